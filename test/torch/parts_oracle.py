"""Holds the references of layers and mixtures against the oracle: python parts_oracle.py FOLDER SEED. Prints the worst error of everything by part as JSON."""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
sys.path.insert(0, str(folder))
from pkg import _parts
from pkg._module import PartModule
from pkg._part import Reference
from pkg._rows import keys_of


def error(found, expected):
    assert found.shape == expected.shape or found.numel() == expected.numel(), (found.shape, expected.shape)
    found, expected = found.reshape(-1).double(), expected.reshape(-1).double()
    size, difference = expected.norm().item(), (found - expected).norm().item()
    wrong = difference / size if size > 0 else difference
    return wrong if wrong == wrong else float("inf")


results = {}
for file in sorted(folder.glob("*.safetensors")):
    part, mode = file.stem.rsplit("-", 1)
    tensors = load_file(file)
    program = getattr(_parts, f"{part}_{mode}")
    reference = Reference(program)
    args = tuple(tensors[field.name].to(torch.int32 if field.index else torch.float64) for field in program.args)
    offsets = tensors["cu_seqlens"]
    keys = keys_of(seed, 0, program.sites) if program.sites else None
    worst = {}

    def see(name, found):
        if f"expect.{name}" in tensors:
            worst[name] = error(found, tensors[f"expect.{name}"])

    *found, kept = reference.forward(args, offsets, keys)
    for field, x in zip(program.results, found):
        see(field.name, x)
    seeds = [tensors.get(f"d_{field.name}") if field.token else torch.ones((), dtype=torch.float64) for field in program.outputs]
    differentiable = [field for field, has in zip(program.args, program.differentiable) if has]
    for field, d in zip(differentiable, reference.backward(args, offsets, keys, kept, tuple(seeds))):
        see(f"d_{field.name}", d)
    leaves = [x.clone().requires_grad_() if has else x for x, has in zip(args, program.differentiable)]
    again = reference.differentiable(tuple(leaves), offsets, keys)[: len(program.outputs)]
    pairs = [(y, d) for y, d in zip(again, seeds) if y.requires_grad]
    wanted = [x for x in leaves if x.requires_grad]
    if pairs:
        pulled = torch.autograd.grad([y for y, _ in pairs], wanted, [d for _, d in pairs], allow_unused=True)
        for field, x, d in zip(differentiable, wanted, pulled):
            expected = tensors.get(f"expect.d_{field.name}")
            if expected is not None:
                worst[f"autograd d_{field.name}"] = error(torch.zeros_like(x) if d is None else d, expected)
    stored = getattr(_parts, f"{part}_stored")
    if mode == "train" and stored.update is not None:
        module = type("Own", (PartModule,), {"stored": stored})().double()
        for field in stored.fields:
            module._at(field.name).data.copy_(tensors[field.name])
        result = type("Result", (tuple,), {"_fields": ()})()
        for field, x in zip(program.results, found):
            setattr(result, field.python, x)
        module.update(result)
        for path in stored.update.buffers:
            see(f"update.{path}", module._at(path))
    results[file.stem] = {"missing": [name for name in tensors if name.startswith("expect.") and name.removeprefix("expect.") not in worst], "worst": worst}
json.dump(results, sys.stdout)
