"""Runs one plan (plan.json with its kernels) on torch tensors by the runtime of PyTorch packages, for bench/compare.py and bench/moe.py.

    plan = Plan("dir/plan.json")
    tensors, launch = plan.prepare("forward", {"q": q, ...}, lengths=[T] * B, heads=H)       # "step": one token each, lengths [1] * B

Plans of scans may have forward_kept, which leaves workspaces among its tensors, and backward_kept, which takes those that its last launch has left (`kept`):

    made, forward = plan.prepare("forward_kept", {"q": q, ...}, lengths=[T] * B, heads=H)
    gradients, backward = plan.prepare("backward_kept", {"q": q, ..., "d_o": d_o}, lengths=[T] * B, heads=H, kept=made)

Of layers and mixtures, whose plans say what users call their tensors (src/ir/plan/names.ts):

    forward = plan.named("forward", {"x": x, "expert.up": w, ...}, lengths=[T] * B)
    backward = plan.named("backward", {"x": x, ..., "d_y": dy, "d_loss.balance": 1.0}, lengths=[T] * B, kept=forward.tensors)
    forward.launch(), backward.launch(), backward.results()["d_x"]
"""
import importlib
import sys
import types
from pathlib import Path

import torch

from noise import halves_of, key_of


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

    def prepare(self, program, given, lengths, heads, groups=None, kept=None):
        """Tensors by the plan's names, results among them, and what launches the program again. Absent states and cotangents are zeros. `kept`: tensors of
        the program before, of which this one takes what that has left last."""
        host, plan = self.parts._host, self.loaded
        index, groups = host.current_device(), groups or heads
        equal = len(set(lengths)) <= 1
        lead = (len(lengths),) if program == "step" else (len(lengths), lengths[0]) if equal and lengths else (1, sum(lengths))
        names = plan.programs[program]["takes"]
        left = () if kept is None else tuple(name for name in names if plan.tensors[name]["role"] == "workspace")
        given = {**given, **{name: kept[name] for name in left}}
        tensors = {name: given[name].to(host.DTYPES[plan.tensors[name]["dtype"]]).contiguous() for name in names if given.get(name) is not None}
        missing = [name for name in names if name not in tensors and plan.tensors[name]["role"] in ("input", "param")]
        if missing:
            raise ValueError(f"{plan.scan}: pass {', '.join(missing)}")
        wanted = tuple(plan.programs[program]["gives"])
        extents = self.parts._plan.extents_of(plan, sum(lengths), heads, groups, len(lengths), lengths)
        sample = next(iter(tensors.values()))
        offsets = None if equal else torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()], dtype=torch.int32, device=sample.device)
        parts, absent = self.parts, {name for name in names if name not in tensors}
        request, captured = (parts._bound.Request(
            plan, program, names, absent, wanted, False, lead, extents, 0 if equal else 4, keeps_tables) for keeps_tables in (equal, False))
        parts._driver.ensure_context(index)
        kernels = self.images.kernels(plan, index)
        # A graph has all that it needs, as those that packages are captured in: the tables too.
        bound, alone, inside = parts._bound.Bound(request, kernels, index), [], parts._bound.Bound(captured, kernels, index)
        addresses = {name: tensors[name].data_ptr() for name in names if name in tensors}

        def pointers():
            return [kept[name].data_ptr() if name in left else address for name, address in addresses.items()]

        def launch(only=None):
            """All kernels, or one of them on the current stream, with what a whole call left it."""
            if only is not None:
                if not alone:
                    # One queue: a kernel of the second would run beside the events that time it.
                    before, parts._bound.ONE_QUEUE = parts._bound.ONE_QUEUE, True
                    single = parts._bound.Bound(request, kernels, index)
                    parts._bound.ONE_QUEUE = before
                    alone.extend([single, single.ready(pointers(), 0 if offsets is None else offsets.data_ptr())])
                    single._run(single.ops)
                for function, args, what in alone[0].ops:
                    if what[0] == only:
                        parts._driver.check(function(*args), only)
                return
            capturing = host.capturing()
            results = (inside if capturing else bound)(pointers(), 0 if offsets is None else offsets.data_ptr(), capturing)
            tensors.update(zip(wanted, (x for x in results if x is not None)))

        def drop():
            """Results go, so that the next launch has their memory."""
            for name in (*wanted, *left):
                tensors.pop(name, None)

        launch()
        launch.drop = drop
        launch.keep, launch.kernels = offsets, [item["kernel"] for item in plan.launches_of(program, extents)]
        return tensors, launch

    def named(self, program, given, lengths, kept=None, seed=0, step=0):
        """A program on tensors by the names of users; cotangents that are not there are zeros. `kept`: what the program before left, by the
        plan's names. `seed`, `step`: of draws."""
        names, tensors = self.plan["names"], {}
        # Where sequences are nothing to its kernels, all tokens are one; draws know them all the same.
        joined = [sum(lengths)] if names.get("joins") else lengths
        extents = self.parts._plan.extents_of(self.loaded, sum(joined), 1, 1, len(joined), joined)
        device = next(x.device for x in given.values() if isinstance(x, torch.Tensor))
        for name in self.loaded.programs[program]["takes"]:
            source, declared = names["given"][name], self.loaded.tensors[name]
            value = self._value(source, given, lengths, kept or {}, (seed, step))
            if value is None:
                raise ValueError(f"{self.loaded.scan}: pass {source.get('name', name)}")
            shape = [extent if isinstance(extent, int) else extents[extent] for extent in declared["shape"]]
            value = torch.as_tensor(value, dtype=self.parts._host.DTYPES[declared["dtype"]], device=device)
            # [B, T, ...] and [tokens, ...] are the same memory.
            tensors[name] = value.reshape(shape) if value.numel() > 1 else value.expand(shape)
        made, launch = self.prepare(program, tensors, joined, 1)
        return Named(made, launch, names["results"].get(program, {}))

    @staticmethod
    def _value(source, given, lengths, kept, draw):
        match source["kind"]:
            case "user":
                return given.get(source["name"], 0.0 if source["name"].startswith("d_") else None)
            case "kept":
                return kept.get(source["tensor"])
            case "number":
                return [float(at if source["of"] == "sequence" else time) for at, n in enumerate(lengths) for time in range(n)]
            case "key":
                return halves_of(key_of(draw[0], source["path"], draw[1], source["number"]))


class Named:
    """A program that has run once, and runs again by `launch`."""

    def __init__(self, tensors, launch, described):
        self.tensors, self.launch, self.kernels, self._described = tensors, launch, launch.kernels, described

    def results(self):
        """By the names of users, sums of parts in f32; what nobody computes is not among them."""
        def whole(parts):
            return self.tensors[parts[0]] if len(parts) == 1 else sum(self.tensors[part].float() for part in parts)

        return {name: whole(result["tensors"]) for name, result in self._described.items() if result["tensors"]}
