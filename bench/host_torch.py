"""Host time of calls of a PyTorch package, in microseconds: python3 bench/host_torch.py FOLDER..., each made by `lmoec build --target torch`.

Rows: the runtime alone, with the same tensors at every call, those of 20 layers in turn, and those of more layers than there are
graphs; the operator (torch's dispatcher around it); the function; FLA's function of the same name where it is installed. Beside those
with gradients stands what torch itself takes: a function of autograd that does nothing, with as many inputs and outputs, which keeps
its inputs and gives gradients that are there already.
A call's host time is that of a burst so short that no queue fills up, divided by its calls; the least of many bursts.

`--without-device` measures the same where there is no GPU: tensors are the CPU's, and launches cost nothing (nothing.c; it wants cc)."""
import argparse
import ctypes
import importlib
import itertools
import operator
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "test" / "gpu")]
import untuned  # noqa: E402
from scan_checks import Subject  # noqa: E402
from table import brief  # noqa: E402

BURST = 20


class Timer:
    def __init__(self, device, bursts):
        self.device, self.bursts = device, bursts
        self.wait = torch.cuda.synchronize if device == "cuda" else lambda: None

    def call(self, run):
        for _ in range(5):
            run()
        best = float("inf")
        for _ in range(self.bursts):
            self.wait()
            begin = time.perf_counter()
            for _ in range(BURST):
                run()
            best = min(best, (time.perf_counter() - begin) / BURST)
        return best * 1e6

    def backward(self, run, leaves, cotangent):
        """Of one call in a graph of many, as in a model: autograd's own thread wakes up once for all. Every call has leaves of its
        own, so that nothing is added up."""
        best, own = float("inf"), [[x.detach().clone().requires_grad_() for x in leaves] for _ in range(BURST)]
        wanted = [x for each in own for x in each]
        for _ in range(self.bursts):
            results = [run(each) for each in own]
            self.wait()
            begin = time.perf_counter()
            torch.autograd.grad(results, wanted, [cotangent] * BURST)
            best = min(best, (time.perf_counter() - begin) / BURST)
        return best * 1e6

    def with_gradients(self, run, leaves, cotangent):
        """Forward and backward: ours or another's, and what torch takes of it."""
        result = (cotangent.shape, cotangent.stride()), {"dtype": cotangent.dtype, "device": cotangent.device}
        nothing = lambda given: Nothing.apply(result, *given)
        yield "forward", self.call(lambda: run(leaves)), self.call(lambda: nothing(leaves))
        yield "backward", self.backward(run, leaves, cotangent), self.backward(nothing, leaves, cotangent)


class Nothing(torch.autograd.Function):
    """Has a result and as many gradients as a scan, which are what it was given: what autograd takes by itself."""

    @staticmethod
    def forward(ctx, result, *inputs):
        ctx.save_for_backward(*inputs)
        form, options = result
        return torch.empty_strided(*form, **options)

    @staticmethod
    def backward(ctx, _):
        return (None, *ctx.saved_tensors)


def rows(subject, timer):
    package, scan, calls = subject.package, subject.scan, subject.package._ops.SCANS[subject.name]
    args = subject.draw(batch=1, tokens=128, heads=4, groups=4, states=False)
    token = subject.draw(batch=1, heads=4, groups=4, token=True)
    outputs = scan.forward(args, final=False)
    cotangents = [torch.randn_like(x) for x in outputs] + [None] * len(subject.reference.signature.states)
    given = [x for x in args if x is not None]
    wanted = tuple(x is not None for x in args)
    offsets = torch.tensor([0, 50, 128], dtype=torch.int32, device=timer.device)
    yield "runtime", "forward", timer.call(lambda: scan.forward(args, final=False))
    yield "runtime", "backward", timer.call(lambda: scan.backward(args, cotangents, wanted=wanted))
    for count in (BURST, 2 * subject.package._graph.MOST_LAYERS):
        layers = itertools.cycle([[None if x is None else x.clone() for x in args] for _ in range(count)])
        yield "runtime", f"backward of {count} layers", timer.call(lambda: scan.backward(next(layers), cotangents, wanted=wanted))
    yield "runtime", "forward, packed", timer.call(lambda: scan.forward(args, offsets, final=False))
    yield "runtime", "step in place", timer.call(lambda: scan.step(token, in_place=True))
    signature, function = subject.reference.signature, getattr(package, subject.name)
    inputs, names = len(signature.inputs), [named.name for named in signature.params]
    taken = inputs + len(names)
    params = lambda given: dict(zip(names, given[inputs:]))
    with torch.no_grad():
        if timer.device == "cuda":
            yield "operator", "forward", timer.call(lambda: calls.forward(*args, None))
            yield "operator", "backward", timer.call(lambda: calls.backward(*args, None, *cotangents))
            yield "operator", "step", timer.call(lambda: calls.step(*token))
        step, state = getattr(package, f"{subject.name}_step"), token[taken:]
        if state:
            held = state[0] if len(state) == 1 else tuple(state)
            yield "function", "step", timer.call(lambda: step(*token[:inputs], held, **params(token[:taken])))
        yield "function", "forward, no gradients", timer.call(lambda: function(*given[:inputs], **params(given[:taken])))
    leaves = [x.detach().requires_grad_() for x in given[:taken]]
    for what, ours, torchs in timer.with_gradients(lambda leaves: function(*leaves[:inputs], **params(leaves))[0], leaves, cotangents[0]):
        yield "function", f"{what}, with gradients", ours, torchs


#: Its names of what the examples call otherwise.
FLA = {"gated_delta": "gated_delta_rule", "delta_net": "delta_rule"}


def fla_rows(subject, timer):
    """FLA's function of the same formula, over a sequence and for one token; its tuner is held, since what it chooses is launched alike."""
    name = FLA.get(subject.name, subject.name)
    try:
        ops = importlib.import_module(f"fla.ops.{name}")
    except ImportError:
        return
    chunk, recurrent = getattr(ops, f"chunk_{name}", None), getattr(ops, f"fused_recurrent_{name}", None)
    if chunk is None or recurrent is None:
        return
    untuned.hold()
    inputs = len(subject.reference.signature.inputs)
    *token, state = subject.draw(batch=1, heads=4, groups=4, token=True)
    with torch.no_grad():
        tokens = [x.unsqueeze(1) for x in token[:inputs]]
        yield "FLA", "step", timer.call(lambda: recurrent(*tokens, initial_state=state, output_final_state=True))
    args = [x.detach().requires_grad_() for x in subject.draw(batch=1, tokens=128, heads=4, groups=4, states=False)[:inputs]]
    run = lambda leaves: chunk(*leaves)[0]
    for what, theirs, torchs in timer.with_gradients(run, args, torch.randn_like(run(args))):
        yield "FLA", f"{what}, with gradients", theirs, torchs


def every_row(subject, timer):
    yield from rows(subject, timer)
    try:
        yield from fla_rows(subject, timer)
    except Exception as error:
        print(f"{subject.name:14}{'FLA':12}{brief(error)}", flush=True)


def without_device(argv):
    """This program again, where a driver is found that does nothing."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "libcuda.so.1"
        subprocess.run(["cc", "-O2", "-w", "-fPIC", "-shared", "-o", library, HERE / "nothing.c"], check=True)
        found = {"LD_LIBRARY_PATH": folder, "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1", "LMOEC_HOST_NOTHING": "1"}
        environment = {**os.environ, **found}
        return subprocess.run([sys.executable, *argv], env=environment).returncode


def stand_in(host, images):
    """The CPU is device 0 and needs no machine code. In C where torch's functions are, so that it takes no longer than they do."""
    class Guard:
        def __init__(self, index):
            pass

        def __enter__(self):
            pass

        def __exit__(self, *_):
            pass

    host.empty, host.device_of = torch._C._dynamo.guards._empty_strided_cpu, operator.attrgetter("output_nr")
    host.current_device, host.current_stream, host.capturing = (lambda: 0), (lambda index: 0), (lambda: False)
    host.capability, host.device_name, host.guard = (lambda index: (9, 0)), (lambda index: "none"), Guard
    host.record_use = lambda tensor, index: None
    images.Images._function = lambda *_: ctypes.c_void_p(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--without-device", action="store_true", help="a driver that does nothing, and the CPU's memory")
    parser.add_argument("--bursts", type=int, default=60, help=f"of {BURST} calls each, of which the shortest counts (default: 60)")
    options = parser.parse_args()
    if options.without_device and "LMOEC_HOST_NOTHING" not in os.environ:
        return without_device(sys.argv)
    timer = Timer("cpu" if options.without_device else "cuda", options.bursts)
    print(f"torch {torch.__version__}, {'no device' if options.without_device else torch.cuda.get_device_name()}; B=1 T=128 H=4")
    print(f"{'scan':14}{'what':12}{'call':30}{'us':>8}{'torch':>8}{'beyond':>8}")
    for folder in options.folders:
        path = Path(folder).resolve()
        name = next(each.name for each in path.iterdir() if (each / "_runtime.py").exists())
        sys.path.insert(0, str(path))
        package = importlib.import_module(name)
        for part in ("_ops", "_reference", "_graph", "_host", "_images", "_runtime"):
            setattr(package, part, importlib.import_module(f"{name}.{part}"))
        if options.without_device:
            stand_in(package._host, package._images)
        for scan_name, scan in zip(package._ops.SCANS, package._ops.KERNELS):
            subject = Subject(package, scan_name, scan, scan.suitable(package._host.current_device())[0], timer.device)
            for what, call, micros, *torchs in every_row(subject, timer):
                beside = f"{torchs[0]:8.1f}{micros - torchs[0]:8.1f}" if torchs else ""
                print(f"{scan_name:14}{what:12}{call:30}{micros:8.1f}{beside}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
