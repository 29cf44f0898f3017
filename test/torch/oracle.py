"""Compares the references of a package with what the oracle gives: python oracle.py PACKAGE_FOLDER NAME FILE. Prints the worst error of every scan and way as JSON."""

import importlib
import json
import sys

import torch
from safetensors.torch import load_file

folder, name, file = sys.argv[1:]
sys.path.insert(0, folder)
reference = importlib.import_module(name)._reference
tensors = load_file(file)


def error(found, expected):
    size = expected.norm().item()
    difference = (found - expected).norm().item()
    return difference / size if size > 0 else difference


def worst(found, expected):
    assert len(found) == len(expected)
    return max([error(x.reshape(y.shape), y) for x, y in zip(found, expected)], default=0.0)


results = {}
for scan, scans in reference.SCANS.items():
    signature = scans.signature
    take = lambda prefix, named: [tensors[f"{scan}/{prefix}{x.name}"] for x in named]
    args = [*take("", signature.inputs), *take("", signature.params), *take("initial.", signature.states)]
    offsets = tensors[f"{scan}/cu_seqlens"]
    seeds = [*take("d_out.", signature.outputs), *take("d_final.", signature.states)]
    expected = [*take("expect.", signature.outputs), *take("expect.final.", signature.states)]
    gradients = [*take("expect.d_", (*signature.inputs, *signature.params)), *take("expect.d_initial.", signature.states)]
    given = [x.clone().requires_grad_() for x in args]
    loop = scans.loop(given, offsets)
    pulled = torch.autograd.grad(loop, given, seeds, allow_unused=True)
    pulled = [torch.zeros_like(x) if d is None else d for d, x in zip(pulled, given)]
    results[scan] = {
        "tokens": worst(loop, expected),
        "tokens, gradients": worst(pulled, gradients),
        "chunks": worst(scans.forward(args, offsets), expected),
        "chunks, gradients": worst(scans.backward(args, seeds, offsets), gradients),
    }
json.dump(results, sys.stdout)
