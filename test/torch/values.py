"""The programs of one plan through the runtime, on emulated kernels, against values that the compiler's oracle made (launcher.test.ts)."""
import itertools, json, sys
from pathlib import Path

import torch

from stub import _host, _runtime, fake

import pkg
import pkg._bound, pkg._images, pkg._plan  # noqa: E401

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "bench"))
import lmoec_plan  # noqa: E402

# The stand-ins are in this copy of the runtime.
lmoec_plan.runtime = lambda: pkg

folder = Path(sys.argv[1])
failures = []


def load(entry):
    if entry is None:
        return None
    raw = torch.frombuffer(bytearray((folder / entry["file"]).read_bytes()) or bytearray(8), dtype=torch.float64)[:entry["count"]]
    return raw.reshape(entry["shape"]).to(_host.DTYPES[entry["dtype"]])


def judge(what, found, expected, allowed):
    reference = load(expected)
    if found is None or found.dtype != _host.DTYPES[expected["dtype"]] or tuple(found.shape) != tuple(reference.shape):
        failures.append(f"{what}: {None if found is None else (found.dtype, tuple(found.shape))}, expected {tuple(reference.shape)}")
        return
    x, y = found.double(), reference.double()
    error = ((x - y).norm() / y.norm()).item() if y.norm() > 0 else x.abs().max().item()
    # Not a number is no less than anything.
    if not error < allowed:
        failures.append(f"{what}: error {error}, allowed {allowed}")


def spread(plan, name, x, turn):
    """A slice of something wider, whose gaps are not numbers: as out of a projection to [q, k, v] of all heads, or of each head."""
    declared = plan.tensors[name]
    if declared["role"] != "input":
        return x
    axis = x.dim() - len(declared["axes"]) - turn
    wide = torch.full([*x.shape[:axis], 3, *x.shape[axis:]], float("nan"), dtype=x.dtype)
    made = wide.select(axis, 1)
    made.copy_(x)
    return made


def beyond(plan, name, x, turn):
    """One token a row, and the third row further than 2^31 elements from the first: 32 bits do not say how far. Memory that nobody touches costs nothing."""
    if plan.tensors[name]["role"] != "input":
        return x
    strides = (2**30 + 8, *x.stride()[1:])
    made = torch.empty(2 * strides[0] + x[0].numel(), dtype=x.dtype).as_strided(x.shape, strides)
    made.copy_(x)
    return made


def results(scan, case, offsets, gaps, keep=False):
    args, cotangents = [load(entry) for entry in case["args"]], [load(entry) for entry in case["cotangents"]]
    if gaps is not None:
        plan = scan.plans()[0]
        args = [gaps(plan, name, x, i % 2) for i, (name, x) in enumerate(zip(plan.args, args))]
        if scan._programs[case["program"]]._copies(args, cotangents, False) is not None:
            failures.append(f"{case['name']} {case['program']}: slices are copied")
    fake.alive += [args, cotangents, offsets]
    if case["program"] == "step":
        return scan.step(args)
    if keep:
        *made, kept = scan.forward_kept(args, offsets, final=case["final"])
        fake.alive.append([made, kept])
        return made if case["program"] == "forward" else scan.backward_kept(args, cotangents, kept, offsets)
    if case["program"] == "forward":
        return scan.forward(args, offsets, final=case["final"])
    if case["program"] == "ends":
        return scan.ends(args, offsets)
    if case["program"] == "reverse_ends":
        return scan.reverse_ends(args, cotangents, offsets)
    return scan.backward(args, cotangents, offsets)


def run(scan, case):
    offsets = None if case["offsets"] is None else torch.tensor(case["offsets"], dtype=torch.int64)
    kinds = [("", offsets)] if offsets is None else [("device offsets", offsets), ("32 bits", offsets.int()), ("host offsets", offsets.clone())]
    gaps = {0: None, 1: beyond if case["name"] == "one token" else spread}
    for capture, turn, (kind, given) in itertools.product((False, True), (0, 1), kinds):
        if kind == "host offsets":
            fake.elsewhere = {id(given)}
        fake.capture = capture
        # From scratch; by a graph that is made then; by that graph, with other addresses.
        for again in (1, 2, 3):
            found = results(scan, case, given, gaps[turn])
            fake.wait(turn)
            for what, one, expected in zip(case["names"], found, case["expected"]):
                judge(f"{case['name']} {case['program']} {what}, {kind}, turn {turn}, capture {capture}, call {again}", one, expected, case["allowed"][what])
        # What forward leaves for backward lies elsewhere at every call.
        for again in (1, 2) if case["program"] in ("forward", "backward") and turn == 0 and not capture else ():
            found = results(scan, case, given, None, keep=True)
            fake.wait(turn)
            for what, one, expected in zip(case["names"], found, case["expected"]):
                judge(f"{case['name']} {case['program']} {what}, kept, {kind}, capture {capture}, call {again}", one, expected, case["allowed"][what])
        fake.capture, fake.elsewhere = False, set()


def bench(case):
    """bench/lmoec_plan.py, which has the same runtime under it."""
    (path,) = (folder / "plans").glob("*/*/*/plan.json")
    plan = lmoec_plan.Plan(path)
    args = [load(entry) for entry in case["args"]]
    given = {name: x for name, x in zip((*plan.loaded.args, *plan.loaded.cotangents), [*args, *map(load, case["cotangents"])])}
    first = args[0]
    lengths = [end - begin for begin, end in zip(case["offsets"], case["offsets"][1:])] if case["offsets"] else [first.shape[1]] * first.shape[0]
    groups = min(x.shape[2] for x in args[:len(plan.loaded.named("input"))])
    heads = max(x.shape[2] for x in args[:len(plan.loaded.named("input"))])
    fake.alive.append(given)
    tensors, launch = plan.prepare(case["program"], given, lengths, heads, groups)
    launch()
    fake.alive.append(launch)
    fake.wait()
    names = plan.loaded.gradients if case["program"] == "backward" else plan.loaded.results if case["program"] == "forward" else plan.loaded.programs[case["program"]]["gives"]
    for what, name, expected in zip(case["names"], names, case["expected"]):
        judge(f"bench: {case['name']} {case['program']} {what}", tensors[name], expected, case["allowed"][what])


cases = json.loads((folder / "cases.json").read_text())
scan = _runtime.Scan(folder / "plans" / cases["scan"])
for case in cases["cases"]:
    run(scan, case)
    if case["program"] != "step":
        bench(case)
print("\n".join(failures))
print(f"{len(cases['cases'])} cases, {len(failures)} failures", file=sys.stderr)
sys.exit(1 if failures else 0)
