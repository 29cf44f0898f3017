"""Checks Python packages of layers and mixtures on a device: python3 test/gpu/torch_parts.py [--device cpu] FOLDER..., each made by
`lmoec build --target torch --dtype f32,bf16`, with `--experts N` for the parts of a mixture.

Results and gradients of every function, in training and outside, beside the formula in float64 on the same rounded numbers; the same bits twice. Where kernels
of parts were built for all experts: rows by counts, rows by indices and the module of a rank beside the whole. Prints errors; the last line counts."""

import argparse
import importlib
import re
import sys
import traceback
from pathlib import Path

import torch

#: Largest rms of a difference over rms of what is right.
ALLOWED = {torch.float32: 1e-4, torch.bfloat16: 1e-2}
counted = [0, 0]


def check(what, fine, detail=""):
    counted[0 if fine else 1] += 1
    print(f"{what}: {'ok' if fine else 'FAILED'} {detail}".rstrip(), flush=True)


def error(found, expected):
    found, expected = found.detach().double().cpu(), expected.detach().double().cpu()
    if found.shape != expected.shape:
        return float("inf")
    return ((found - expected).square().mean().sqrt() / expected.square().mean().sqrt().clamp(min=1e-12)).item()


class Part:
    def __init__(self, package, folder, module):
        self.package, self.module = package, module
        self.home = importlib.import_module(f"{package.__name__}.{module}")
        self.parts = importlib.import_module(f"{package.__name__}._parts")
        self.plans = folder / package.__name__ / "plans" / module

    def program(self, key):
        return getattr(self.parts, f"{self.module}_{key}")

    def built(self, key, dtype):
        name = {torch.float32: "f32", torch.bfloat16: "bf16"}[dtype]
        return any(self.plans.glob(f"**/*.{name}/{key}/plan.json"))

    def draw(self, dtype, device, seed=1, batch=2, tokens=150):
        """Of each argument of the whole: what the device has, in the dtype of a call."""
        generator = torch.Generator().manual_seed(seed)
        made = {}
        for field in self.program("train").args:
            shape = (*((batch, tokens) if field.token else ()), *field.sizes)
            if field.index:
                made[field.python] = torch.randint(0, 2, shape, generator=generator).to(device)
                continue
            scale = 1.0 if field.token or len(shape) < 2 else shape[-2] ** -0.5
            x = (scale * torch.randn(shape, generator=generator)).to(device, dtype if field.io else torch.float32)
            made[field.python] = x.requires_grad_(not field.buffer)
        return made

    def call(self, function, given, **options):
        inputs = [given[field.python] for field in self.program("train").inputs]
        params = {field.python: given[field.python] for field in self.program("train").params}
        return getattr(self.home, function)(*inputs, **params, seed=3, step=1, **options)

    def loss(self, results, training):
        generator = torch.Generator().manual_seed(7)
        total = 0.0
        for field in self.program("train" if training else "eval").outputs:
            y = getattr(results, field.python)
            if y.requires_grad:
                total = total + (y.double() * torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y.device)).sum()
        return total


def exact(given):
    return {name: x.cpu() if x.dtype in (torch.int32, torch.int64) else x.detach().double().cpu().requires_grad_(x.requires_grad) for name, x in given.items()}


def gradients(part, results, given, training):
    wanted = [name for name, x in given.items() if x.requires_grad]
    found = torch.autograd.grad(part.loss(results, training), [given[name] for name in wanted], allow_unused=True)
    return {name: torch.zeros_like(given[name]) if d is None else d for name, d in zip(wanted, found)}


def whole(part, dtype, device):
    for training in (True, False):
        given = part.draw(dtype, device)
        reference = exact(given)
        results, right = part.call(part.module, given, training=training), part.call(f"{part.module}_reference", reference, training=training)
        errors = {field.python: error(getattr(results, field.python), getattr(right, field.python))
                  for field in part.program("train" if training else "eval").results}
        d, wanted = gradients(part, results, given, training), gradients(part, right, reference, training)
        errors |= {f"d_{name}": error(d[name], wanted[name]) for name in wanted}
        name, largest = max(errors.items(), key=lambda one: one[1])
        label = f"{part.module} {str(dtype)[6:]} {'training' if training else 'outside'}"
        check(label, largest < ALLOWED[dtype], f"{largest:.1e} ({name})")
        again = part.call(part.module, given, training=training)
        same = all(torch.equal(getattr(again, field.python), getattr(results, field.python)) for field in part.program("eval").results)
        twice = gradients(part, again, given, training)
        check(f"{label}, the same bits twice", same and all(torch.equal(twice[name], d[name]) for name in d))


def divided(part, dtype, device):
    """Parts of a mixture outside of training beside the whole, in one dtype on one device; weights of all experts."""
    given = {name: x.detach() for name, x in part.draw(dtype, device).items()}
    expected = part.call(part.module, given, training=False)
    route, experts = part.program("route_eval"), part.program("experts")
    own = lambda program: {field.python: given[field.python] for field in program.params}
    routed = getattr(part.home, f"{part.module}_route")(*[given[f.python] for f in route.inputs], **own(route), training=False, seed=3, step=1)
    at = next(i for i, field in enumerate(experts.inputs) if field.index)
    rows = [given[f.python] if f.python in given else getattr(routed, f.python) for f in experts.inputs[:at]]
    weighs, count = len(experts.inputs) > at + 1, len(routed.counts)
    state = {field.name: given[field.python] for field in part.program("train").params}
    module = next(x for x in vars(part.home).values() if isinstance(x, type) and x.__module__ == part.home.__name__ and hasattr(x, "load_whole"))
    mine = module(count, device=device, dtype=dtype)
    mine.load_whole(state)
    ids = routed.ids.flatten(0, 1)
    flat = [x.flatten(0, 1) for x in rows]
    order = torch.argsort(torch.where(ids.flatten() < 0, count, ids.flatten()), stable=True)[: int((ids >= 0).sum())]
    token = order // ids.shape[-1]
    # More rows than counts say, which are nothing at all.
    sorted_ = [torch.cat([x[token], x.new_full((5, *x.shape[1:]), float("nan"))]) for x in flat]
    scores = torch.cat([routed.scores.flatten()[order], routed.scores.new_zeros(5)]) if weighs else None
    with torch.no_grad():
        y = mine(*sorted_, routed.counts, *([scores] if weighs else []))[: len(token)]
        by_counts = torch.zeros(len(flat[0]), *y.shape[1:], dtype=torch.float32, device=device).index_add_(0, token, y.float())
        by_ids = mine.by_id(*flat, ids, *([routed.scores.flatten(0, 1)] if weighs else []))
    for what, sums in (("rows by counts", by_counts), ("rows by indices", by_ids)):
        sums = sums.to(dtype).unflatten(0, rows[0].shape[:2])
        found = {field.python: sums for field in part.program("eval").outputs if not hasattr(routed, field.python)}
        if hasattr(part.home, f"{part.module}_combine"):
            program = part.program("combine_eval")
            inputs = [sums if f.python not in given else given[f.python] for f in program.inputs]
            made = getattr(part.home, f"{part.module}_combine")(*inputs, **own(program), training=False, seed=3, step=1)
            found = {name: x for name, x in made._asdict().items()}
        errors = [error(x, getattr(expected, name)) for name, x in found.items()]
        check(f"{part.module} {str(dtype)[6:]} {what}", len(errors) > 0 and max(errors) < ALLOWED[dtype], f"{max(errors):.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    for folder in options.folders:
        sys.path.insert(0, str(folder))
        package = importlib.import_module(next(x.parent.name for x in folder.glob("*/_parts.py")))
        modules = [found[1] for found in re.finditer(r"^(\w+)_train = Program\(", (folder / package.__name__ / "_parts.py").read_text(), re.M)]
        modules = [name for name in modules if not re.search(r"_(route|combine)$", name)]
        for module in modules:
            part = Part(package, folder, module)
            for dtype in ALLOWED:
                for job in (whole, divided):
                    kernels = "train" if job is whole else "experts-*"
                    has = hasattr(part.home, f"{module}_experts") if job is divided else True
                    if not has or not (options.device == "cpu" or part.built(kernels, dtype)):
                        continue
                    try:
                        job(part, dtype, options.device)
                    except Exception:
                        check(f"{module} {str(dtype)[6:]} {job.__name__}", False, traceback.format_exc())
    print(f"{counted[0]} passed, {counted[1]} failed")
    sys.exit(1 if counted[1] > 0 or counted[0] == 0 else 0)


if __name__ == "__main__":
    main()
