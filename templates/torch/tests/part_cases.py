"""Layers and mixtures of the package at small sizes, in the place of their own: public functions and modules run them."""

import math

import pytest
import torch
from small import LOCAL, PORTIONS, SMALL
from subject import ops, package

PARTS = sorted(SMALL)
MODES = ("train", "eval")


def in_place(monkeypatch):
    """Puts them there."""
    for module, train, evaluated, stored in SMALL.values():
        monkeypatch.setattr(ops, f"{module}_train", train)
        monkeypatch.setattr(ops, f"{module}_eval", evaluated)
        monkeypatch.setattr(class_of(module), "stored", stored)
    for part, portions in PORTIONS.items():
        monkeypatch.setattr(local_class(part), "stored", LOCAL[part])
        for key, operators in portions.items():
            monkeypatch.setattr(ops, f"{SMALL[part][0]}_{key}", operators)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    in_place(monkeypatch)


def class_of(module):
    home = __import__(f"{package.__name__}.{module}", fromlist=[module])
    return next(x for x in vars(home).values() if isinstance(x, type) and x.__module__ == home.__name__ and issubclass(x, torch.nn.Module))


def local_class(part):
    return getattr(package, f"{class_of(SMALL[part][0]).__name__}Experts")


def operators_of(part, mode="train"):
    return SMALL[part][1 + MODES.index(mode)]


def program_of(part, mode="train"):
    return operators_of(part, mode).program


def draw(part, mode="train", batch=2, tokens=5, dtype=torch.float64, seed=0):
    """Arguments of the operators. Small weights, so that scores lie close together and experts change with the tokens."""
    generator = torch.Generator().manual_seed(seed)
    program = program_of(part, mode)
    args = []
    for field in program.args:
        shape = (*((batch, tokens) if field.token else ()), *field.sizes)
        if field.index:
            args.append(torch.randint(0, 2, shape, generator=generator, dtype=torch.int32))
            continue
        fan = math.sqrt(shape[-2]) if len(shape) > 1 and not field.token else 1.0
        args.append((torch.randn(shape, generator=generator, dtype=torch.float64) / fan).to(program.wanted(field, dtype)))
    return tuple(args)


def keys_of(part, mode="train", seed=3):
    return operators_of(part, mode).keys(seed, 0, torch.device("cpu"))


def call(part, args, mode="train", suffix="", **options):
    """The public function with the operators' arguments: results with gradients, then the others."""
    module, program = SMALL[part][0], program_of(part, mode)
    inputs, params = args[: len(program.inputs)], args[len(program.inputs) :]
    given = {field.python: x for field, x in zip(program.params, params)}
    options.setdefault("seed", 3)
    return getattr(package, module + suffix)(*inputs, **given, training=mode == "train", **options)


def leaves(part, args, mode="train"):
    return tuple(x.detach().clone().requires_grad_() if has else x for x, has in zip(args, program_of(part, mode).differentiable))


def outputs(part, results, mode="train"):
    """What has gradients."""
    return [y for field in program_of(part, mode).outputs if (y := getattr(results, field.python)).requires_grad]


def gradients(results, args, seeds=None):
    """Gradients of a random combination of the results; zeros where nothing depends."""
    wanted = [x for x in args if x.requires_grad]
    if not results:
        return [torch.zeros_like(x) for x in wanted]
    generator = torch.Generator().manual_seed(1)
    seeds = seeds or [torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x.dtype) for x in results]
    found = torch.autograd.grad(results, wanted, seeds, allow_unused=True)
    return [torch.zeros_like(x) if d is None else d for d, x in zip(found, wanted)]


def error(found, expected):
    """rms of the difference over that of what is expected."""
    found, expected = found.detach().double(), expected.detach().double()
    scale, difference = expected.norm().item(), (found - expected).norm().item()
    return difference / scale if scale > 0 else difference


def close(found, expected, limit):
    assert len(found) == len(expected)
    for i, (x, y) in enumerate(zip(found, expected)):
        if y is None:
            assert x is None
            continue
        assert x.shape == y.shape and error(x, y) < limit, f"number {i}: {error(x, y)}"
