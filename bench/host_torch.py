"""Host time of calls of a PyTorch package, in microseconds: python3 bench/host_torch.py FOLDER..., each made by `lmoec build --target torch`.

Rows: the runtime alone, with the same tensors at every call and with those of 20 layers in turn; the operator (torch's dispatcher around it); the function with gradients; autograd
with gradients that nobody computes; FLA's function of the same name where it is installed.
A call's host time is that of a burst so short that no queue fills up, divided by its calls; the least of many bursts."""
import importlib
import itertools
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "test" / "gpu"))
from torch_runtime import Subject  # noqa: E402

BURST, BURSTS = 20, 60


def host_time(run):
    for _ in range(5):
        run()
    best = float("inf")
    for _ in range(BURSTS):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(BURST):
            run()
        best = min(best, (time.perf_counter() - begin) / BURST)
    return best * 1e6


def backward_time(run, leaves, cotangent):
    """Of one call in a graph of many, as in a model: autograd's own thread wakes up once for all. Every call has leaves of its own, so that nothing is added up."""
    best, own = float("inf"), [[x.detach().clone().requires_grad_() for x in leaves] for _ in range(BURST)]
    wanted = [x for each in own for x in each]
    for _ in range(BURSTS):
        results = [run(each) for each in own]
        torch.cuda.synchronize()
        begin = time.perf_counter()
        torch.autograd.grad(results, wanted, [cotangent] * BURST)
        best = min(best, (time.perf_counter() - begin) / BURST)
    return best * 1e6


class Nothing(torch.autograd.Function):
    """As many gradients as a scan's, of which none is computed: what autograd takes by itself."""

    @staticmethod
    def forward(ctx, given, *inputs):
        ctx.given = given
        return torch.empty_like(inputs[0])

    @staticmethod
    def backward(ctx, _):
        return (None, *ctx.given)


def rows(subject):
    package, scan, operators = subject.package, subject.scan, subject.package._ops.SCANS[subject.name]
    args = subject.draw(batch=1, tokens=128, heads=4, groups=4, states=False)
    token = subject.draw(batch=1, heads=4, groups=4, token=True)
    outputs = scan.forward(args, final=False)
    cotangents = [torch.randn_like(x) for x in outputs] + [None] * len(subject.reference.signature.states)
    given = [x for x in args if x is not None]
    wanted = tuple(x is not None for x in args)
    offsets = torch.tensor([0, 50, 128], dtype=torch.int32, device="cuda")
    yield "runtime", "forward", host_time(lambda: scan.forward(args, final=False))
    yield "runtime", "backward", host_time(lambda: scan.backward(args, cotangents, wanted=wanted))
    layers = itertools.cycle([[None if x is None else x.clone() for x in args] for _ in range(BURST)])
    yield "runtime", "backward of layers in turn", host_time(lambda: scan.backward(next(layers), cotangents, wanted=wanted))
    yield "runtime", "forward, packed", host_time(lambda: scan.forward(args, offsets, final=False))
    yield "runtime", "step in place", host_time(lambda: scan.step(token, in_place=True))
    with torch.no_grad():
        yield "operator", "forward", host_time(lambda: operators.forward(*args, None))
        yield "operator", "backward", host_time(lambda: operators.backward(*args, None, *cotangents))
        yield "operator", "step", host_time(lambda: operators.step(*token))
    function = getattr(package, subject.name, None)
    signature = subject.reference.signature
    inputs = len(signature.inputs)
    names = [named.name for named in signature.params]
    leaves = [x.detach().requires_grad_() for x in given[: inputs + len(names)]]
    call = lambda leaves: function(*leaves[:inputs], **dict(zip(names, leaves[inputs:])))[0]
    yield "function", "forward, with gradients", host_time(lambda: call(leaves))
    yield "function", "backward", backward_time(call, leaves, cotangents[0])
    yield "autograd", "backward of nothing", backward_time(lambda leaves: Nothing.apply(leaves, *leaves), leaves, cotangents[0])


def fla_rows(subject):
    try:
        ops = importlib.import_module("fla.ops." + subject.name)
    except ImportError:
        return
    chunk = getattr(ops, "chunk_" + subject.name, None)
    if chunk is None:
        return
    args = [x.detach().requires_grad_() for x in subject.draw(batch=1, tokens=128, heads=4, groups=4, states=False) if x is not None]
    run = lambda leaves: chunk(*leaves)[0]
    yield "FLA", "forward, with gradients", host_time(lambda: run(args))
    yield "FLA", "backward", backward_time(run, args, torch.randn_like(run(args)))


def main(folders):
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}; B=1 T=128 H=4")
    print(f"{'scan':14}{'what':12}{'call':30}{'us':>8}")
    for folder in folders:
        path = Path(folder).resolve()
        name = next(each.name for each in path.iterdir() if (each / "_runtime.py").exists())
        sys.path.insert(0, str(path))
        package = importlib.import_module(name)
        for part in ("_ops", "_reference", "_host", "_runtime"):
            setattr(package, part, importlib.import_module(f"{name}.{part}"))
        for scan_name, scan in zip(package._ops.SCANS, package._ops.KERNELS):
            subject = Subject(package, scan_name, scan, scan.suitable(torch.cuda.current_device())[0])
            for what, call, micros in (*rows(subject), *fla_rows(subject)):
                print(f"{scan_name:14}{what:12}{call:30}{micros:8.1f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
