"""Forward, backward and step of one plan through the runtime, on emulated kernels, against values that the compiler's oracle made (launcher.test.ts)."""
import itertools, json, sys
from pathlib import Path

import torch

from stub import _host, _runtime, fake, record

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


def results(scan, case, offsets):
    args, cotangents = [load(entry) for entry in case["args"]], [load(entry) for entry in case["cotangents"]]
    fake.alive += [args, cotangents, offsets]
    if case["program"] == "step":
        return scan.step(args)
    if case["program"] == "forward":
        return scan.forward(args, offsets, final=case["final"])
    return scan.backward(args, cotangents, offsets)


def run(scan, case):
    offsets = None if case["offsets"] is None else torch.tensor(case["offsets"], dtype=torch.int64)
    kinds = [("", offsets)] if offsets is None else [("device offsets", offsets), ("32 bits", offsets.int()), ("host offsets", offsets.clone())]
    for capture, turn, (kind, given) in itertools.product((False, True), (0, 1), kinds):
        if kind == "host offsets":
            fake.elsewhere = {id(given)}
        fake.capture = capture
        # Twice: from scratch, and by what is ready.
        for again in (1, 2):
            found = results(scan, case, given)
            fake.wait(turn)
            for what, one, expected in zip(case["names"], found, case["expected"]):
                judge(f"{case['name']} {case['program']} {what}, {kind}, turn {turn}, capture {capture}, call {again}", one, expected, case["allowed"][what])
        fake.capture, fake.elsewhere = False, set()


cases = json.loads((folder / "cases.json").read_text())
scan = _runtime.Scan(folder / "plans" / cases["scan"])
for case in cases["cases"]:
    run(scan, case)
print("\n".join(failures))
print(f"{len(cases['cases'])} cases, {len(failures)} failures", file=sys.stderr)
sys.exit(1 if failures else 0)
