"""Runs one plan (plan.json with its kernels) on torch tensors by the runtime of PyTorch packages: what bench/compare.py measures.

    plan = Plan("dir/plan.json")
    tensors, launch = plan.prepare("forward", {"q": q, ...}, lengths=[T] * B, heads=H)       # "step": one token each, lengths [1] * B
"""
import importlib
import sys
import types
from pathlib import Path

import torch


def runtime():
    """The static modules of a package (templates/torch), as a package of their own."""
    name = "lmoec_runtime"
    if name not in sys.modules:
        package = types.ModuleType(name)
        package.__path__ = [str(Path(__file__).resolve().parent.parent / "templates" / "torch")]
        sys.modules[name] = package
    for part in ("_host", "_driver", "_plan", "_graph", "_bound", "_images"):
        importlib.import_module(f"{name}.{part}")
    return sys.modules[name]


class Plan:
    def __init__(self, path):
        self.parts = runtime()
        self.loaded = self.parts._plan.Plan(str(path))
        self.plan = self.loaded.json
        self.images = self.parts._images.Images()

    def prepare(self, program, given, lengths, heads, groups=None):
        """Tensors by the plan's names, results among them, and what launches the program again. Absent states and cotangents are zeros."""
        host, plan = self.parts._host, self.loaded
        index, groups = host.current_device(), groups or heads
        equal = len(set(lengths)) <= 1
        lead = (len(lengths),) if program == "step" else (len(lengths), lengths[0]) if equal and lengths else (1, sum(lengths))
        names = plan.programs[program]["takes"]
        tensors = {name: given[name].to(host.DTYPES[plan.tensors[name]["dtype"]]).contiguous() for name in names if given.get(name) is not None}
        missing = [name for name in names if name not in tensors and plan.tensors[name]["role"] in ("input", "param")]
        if missing:
            raise ValueError(f"{plan.scan}: pass {', '.join(missing)}")
        wanted = tuple(plan.programs[program]["gives"])
        extents = self.parts._plan.extents_of(plan, sum(lengths), heads, groups, len(lengths), lengths)
        sample = next(iter(tensors.values()))
        offsets = None if equal else torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()], dtype=torch.int32, device=sample.device)
        request = self.parts._bound.Request(
            plan, program, names, {name for name in names if name not in tensors}, wanted, False, lead, extents, 0 if equal else 4, equal)
        self.parts._driver.ensure_context(index)
        parts, kernels = self.parts, self.images.kernels(plan, index)
        bound, alone = parts._bound.Bound(request, kernels, index), []
        pointers = [tensors[name].data_ptr() if name in tensors else 0 for name in names]

        def launch(only=None):
            """All kernels, or one of them on the current stream, with what a whole call left it."""
            if only is not None:
                if not alone:
                    # One queue: a kernel of the second would run beside the events that time it.
                    before, parts._bound.ONE_QUEUE = parts._bound.ONE_QUEUE, True
                    single = parts._bound.Bound(request, kernels, index)
                    parts._bound.ONE_QUEUE = before
                    alone.extend([single, single.ready(list(pointers), 0 if offsets is None else offsets.data_ptr())])
                    single._run(single.ops)
                for function, args, what in alone[0].ops:
                    if what[0] == only:
                        parts._driver.check(function(*args), only)
                return
            results = bound(list(pointers), 0 if offsets is None else offsets.data_ptr(), host.capturing())
            tensors.update(zip(wanted, (x for x in results if x is not None)))

        launch()
        launch.keep = offsets
        return tensors, launch
