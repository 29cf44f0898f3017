"""Checks mixtures of PyTorch packages on a CUDA device, whole and in parts: python3 test/gpu/torch_parts.py FOLDER NAME...

    lmoec build examples/moe/softmax.lmoe --name olmoe --target torch --dtype bf16,f32 --size D=512,F=256,E=64 --experts 16,64 -o out
    python3 test/gpu/torch_parts.py out/softmax olmoe

Of each NAME, a mixture whose experts read its only input and whose sums are its result: results and gradients of the whole, of rows by
counts and of rows by indices (all experts in one call, and a quarter of them at a time), against the same functions in float64 on the CPU;
that nothing waits for the device; and what `check=True` says of numbers that are none."""
import argparse
import importlib
import inspect
import sys
from pathlib import Path

import torch

# rms(difference) / rms(expected), of results and of gradients (src/driver/tolerance.ts).
ALLOWED = {torch.bfloat16: (6e-3, 8e-3), torch.float32: (1e-4, 1e-4)}
passed, failed = 0, 0


def check(what, fine, detail=""):
    global passed, failed
    passed, failed = passed + fine, failed + (not fine)
    print(f"{'ok' if fine else 'FAILED'} {what} {detail}", flush=True)


def error(found, expected):
    return ((found.double().cpu() - expected).norm() / expected.norm()).item()


class Mixture:
    """A mixture's functions, with one set of arguments in two precisions."""

    def __init__(self, module, name, dtype, sizes, wanted, tokens, cut):
        self.run, self.name, self.dtype = {part: getattr(module, name + part) for part in ("", "_route", "_experts", "_experts_by_id")}, name, dtype
        generator = torch.Generator().manual_seed(0)
        draw = lambda shape, fan: (torch.randn(shape, generator=generator, dtype=torch.float64) / fan**0.5).to(dtype)
        fields = [field for field in sizes if field.python != "x"]
        self.x = draw((2, tokens, *sizes[0].sizes), 1)
        self.weights = {field.python: draw(field.sizes, field.sizes[-2] if len(field.sizes) > 1 else 1) for field in fields}
        self.exact = {field.python for field in fields if wanted(field, dtype) != dtype}
        takes = lambda part: set(inspect.signature(self.run[part]).parameters)
        self.routing, self.local = (sorted(takes(part) & set(self.weights)) for part in ("_route", "_experts"))
        self.experts, self.cut = next(field.sizes[0] for field in fields if field.python in self.local), cut
        self.seed = draw(self.x.shape, 1)

    def leaves(self, device, dtype):
        wide = torch.promote_types(dtype, torch.float32)
        weights = {name: t.to(device, wide if name in self.exact else dtype).requires_grad_() for name, t in self.weights.items()}
        return self.x.to(device, dtype).requires_grad_(), weights

    def of(self, weights, names, part=slice(None)):
        return {name: weights[name][part] if part != slice(None) else weights[name] for name in names}

    def whole(self, x, weights):
        return self.run[""](x, **weights, seed=3).y

    def by_counts(self, x, weights):
        routed = self.run["_route"](x, **self.of(weights, self.routing), seed=3)
        token, ids = x.shape[:2].numel(), routed.ids.flatten()
        order = torch.argsort(ids, stable=True)
        rows = order // routed.ids.shape[-1]
        y = self.run["_experts"](x.flatten(0, 1)[rows], routed.counts, **self.of(weights, self.local), scores=routed.scores.flatten()[order])
        # Sums of a token's experts are float32, as those of the kernels.
        sums = torch.zeros(token, x.shape[-1], dtype=torch.promote_types(y.dtype, torch.float32), device=x.device)
        return sums.index_add(0, rows, y.to(sums.dtype)).to(x.dtype).unflatten(0, x.shape[:2])

    def by_ids(self, x, weights, ranks=1):
        routed = self.run["_route"](x, **self.of(weights, self.routing), seed=3)
        rows, ids, scores = (t.flatten(0, 1) for t in (x, routed.ids, routed.scores))
        step = self.experts // ranks
        made = [self.run["_experts_by_id"](rows, ids, scores, **self.of(weights, self.local, slice(a, a + step) if ranks > 1 else slice(None)), first=a)
                for a in range(0, self.experts, step)]
        return sum(y.to(torch.promote_types(y.dtype, torch.float32)) for y in made).to(x.dtype).unflatten(0, x.shape[:2])

    def compare(self):
        x, weights = self.leaves("cpu", torch.float64)
        y = self.whole(x, weights)
        wanted = torch.autograd.grad(y, [x, *weights.values()], self.seed.double())
        for what, run in (("whole", self.whole), ("counts", self.by_counts), ("ids", self.by_ids), ("ids of quarters", lambda x, w: self.by_ids(x, w, self.cut))):
            (x, weights), seed = self.leaves("cuda", self.dtype), self.seed.cuda()
            for again in range(2):  # The second call goes the short way.
                torch.cuda.set_sync_debug_mode("error" if again else "default")
                found = run(x, weights)
                grads = torch.autograd.grad(found, [x, *weights.values()], seed)
                torch.cuda.set_sync_debug_mode("default")
            label, (results, gradients) = f"{self.name} {str(self.dtype)[6:]} {what}", ALLOWED[self.dtype]
            check(f"{label}: y", error(found, y.detach()) <= results, f"{error(found, y.detach()):.1e}")
            for name, d, expected in zip(["x", *self.weights], grads, wanted):
                check(f"{label}: d_{name}", error(d, expected) <= gradients, f"{error(d, expected):.1e}")

    def says(self):
        """A NaN in one token is named by its place."""
        x, weights = self.leaves("cuda", self.dtype)
        x = x.detach().clone()
        x[0, self.x.shape[1] // 2] = float("nan")
        for part, given in (("", weights), ("_route", self.of(weights, self.routing))):
            try:
                self.run[part](x, **given, seed=3, check=True)
                check(f"{self.name}{part} says nothing of NaN", False)
            except ValueError as said:
                check(f"{self.name}{part} of NaN", f"[0, {self.x.shape[1] // 2}]" in str(said), str(said))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("names", nargs="+")
    parser.add_argument("--tokens", type=int, default=500, help="of each of two rows (default: 500)")
    parser.add_argument("--ranks", type=int, default=4, help="parts of the experts, of which each has kernels (default: 4)")
    options = parser.parse_args()
    folder = Path(options.folder)
    sys.path.insert(0, str(folder))
    module = importlib.import_module(folder.name)
    for name in options.names:
        program = getattr(module._ops, f"{name}_train").program
        for dtype in (torch.bfloat16, torch.float32):
            one = Mixture(module, name, dtype, program.args, program.wanted, options.tokens, options.ranks)
            one.compare()
            one.says()
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
