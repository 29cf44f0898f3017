"""Scans of the package, and random tensors for them."""

import math

import torch
from subject import ops, package

SCANS = sorted(ops.SCANS)

#: Sizes of axes for what runs on the CPU: any will do there.
SMALL = (3, 4, 5, 2, 6)


def reference_of(scan):
    return package._reference.SCANS[scan]


def sizes_of(signature):
    axes = []
    for named in (*signature.args, *signature.outputs):
        axes += [axis for axis in named.axes if axis not in axes]
    return {axis: SMALL[i % len(SMALL)] for i, axis in enumerate(axes)}


def within(named, shape, generator):
    """Random values in the range of a tensor, small enough that states do not grow."""
    x = torch.randn(shape, dtype=torch.float64, generator=generator)
    if named.low == -math.inf and named.high == math.inf:
        return x / math.sqrt(shape[-1]) if named.axes else x
    if named.low == -math.inf:
        return named.high - torch.nn.functional.softplus(x)
    if named.high == math.inf:
        return named.low + torch.nn.functional.softplus(x)
    return named.low + (named.high - named.low) * torch.sigmoid(x)


def draw(scan, batch=2, tokens=7, heads=4, groups=2, sequences=None, states=True, token=False, dtype=torch.float64, seed=0):
    """Arguments of the operators: inputs, params, initial states (None without `states`)."""
    signature = reference_of(scan).signature
    sizes = sizes_of(signature)
    generator = torch.Generator().manual_seed(seed)
    exact = signature.exact(dtype)
    lead = (batch,) if token else (batch, tokens)

    def make(named, outer):
        shape = (*outer, *(sizes[axis] for axis in named.axes))
        return within(named, shape, generator).to(dtype if named.io else exact)

    args = [make(named, (*lead, groups if named.group else heads)) for named in signature.inputs]
    args += [make(named, (heads,)) for named in signature.params]
    args += [make(named, (sequences or batch, heads)) if states else None for named in signature.states]
    return tuple(args)


def call(scan, args, function=None, **options):
    """The public function with the operators' arguments: all results in a row."""
    signature = reference_of(scan).signature
    module = package._reference.MODULES[scan]
    function = function or getattr(package, module)
    inputs, params, states = split(signature, args)
    if any(state is not None for state in states):
        options["initial_state"] = states[0] if len(states) == 1 else tuple(states)
    *outputs, final = function(*inputs, **{named.name: x for named, x in zip(signature.params, params)}, **options)
    return [*outputs, *(() if final is None else (final,) if isinstance(final, torch.Tensor) else final)]


def split(signature, args):
    first, second = len(signature.inputs), len(signature.inputs) + len(signature.params)
    return args[:first], args[first:second], args[second:]


def leaves(args):
    return [None if x is None else x.detach().clone().requires_grad_() for x in args]


def cotangents(results, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x.dtype) for x in results]


def gradients(results, given, seeds=None):
    """Gradients of a random combination of the results; zeros where nothing depends."""
    wanted = [x for x in given if x is not None]
    found = torch.autograd.grad(results, wanted, seeds if seeds is not None else cotangents(results), allow_unused=True)
    return [torch.zeros_like(x) if d is None else d for d, x in zip(found, wanted)]


def error(found, expected):
    """rms of the difference over that of what is expected."""
    scale = expected.double().norm().item()
    difference = (found.double() - expected.double()).norm().item()
    return difference / scale if scale > 0 else difference


PACKED = torch.tensor([0, 3, 3, 4, 7])
