"""Mixtures in parts: route, experts by counts and by indices, and what is made of sums, against the whole."""

import pytest
import torch
from part_cases import MODES, PORTIONS, SMALL, class_of, close, call, draw, gradients, leaves, local_class, outputs, program_of, small  # noqa: F401
from subject import package

DIVIDED = sorted(PORTIONS)
TESTS = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")


class Parts:
    """The functions of a mixture in parts, with arguments by the names of the whole's."""

    def __init__(self, part, mode="train"):
        self.part, self.mode, self.portions = part, mode, PORTIONS[part]
        self.program = program_of(part, mode)

    def function(self, name):
        return getattr(package, f"{SMALL[self.part][0]}_{name}")

    def given(self, args):
        return {field.python: x for field, x in zip(self.program.args, args)}

    def _call(self, name, program, given, *first, **options):
        own = {field.python: given[field.python] for field in program.args if field.python in given}
        options |= {} if name.startswith("experts") else {"training": self.mode == "train", "seed": 3}
        inputs = [] if first else [own.pop(field.python) for field in program.inputs]
        return self.function(name)(*first, *inputs, **{k: x for k, x in own.items() if k not in {f.python for f in program.inputs}}, **options)

    def route(self, given, **options):
        return self._call("route", self.portions[f"route_{self.mode}"].program, given, **options)

    def rows(self, given, routed):
        """What experts read of tokens, and whether something weighs."""
        names = [field.python for field in self.portions["experts"].program.inputs]
        at = next(i for i, field in enumerate(self.portions["experts"].program.inputs) if field.index)
        return [given[name] if name in given else getattr(routed, name) for name in names[:at]], len(names) > at + 1

    def weights(self, given, cut=lambda x: x):
        params = self.portions["experts"].program.params
        return {field.python: cut(given[field.python].flatten(0, self.groups - 1)) if "experts" in field.sizes else given[field.python]
                for field in params}

    @property
    def groups(self):
        """How many axes the index of an expert has."""
        held = next(field for field in self.portions[f"route_{self.mode}"].program.outputs if field.name.startswith("held"))
        return len(held.sizes)

    @property
    def count(self):
        held = next(field for field in self.portions[f"route_{self.mode}"].program.outputs if field.name.startswith("held"))
        return int(torch.tensor(held.sizes).prod())

    def finish(self, given, sums, routed):
        """The results of the whole that have gradients."""
        found = {name: x for name, x in routed._asdict().items()}
        if f"combine_{self.mode}" in self.portions:
            program = self.portions[f"combine_{self.mode}"].program
            found |= self._call("combine", program, {**given, program.inputs[-1].python: sums})._asdict()
        results = []
        for field in self.program.outputs:
            results.append(found[field.python] if field.python in found else sums)
        return results

    def experts(self, rows, counts, weights, scores):
        return self.function("experts")(*rows, counts, **weights, **({} if scores is None else {"scores": scores}))

    def by_id(self, rows, ids, scores, weights, **options):
        return self.function("experts_by_id")(*rows, ids, *(() if scores is None else (scores,)), **weights, **options)


def sorted_rows(parts, rows, routed, weighs, beyond=3):
    """Rows expert by expert, and more than counts say, which are nothing at all."""
    ids = routed.ids.flatten()
    order = torch.argsort(torch.where(ids < 0, parts.count, ids), stable=True)[: int((ids >= 0).sum())]
    token = order // routed.ids.shape[-1]
    nothing = lambda x: torch.cat([x, x.new_full((beyond, *x.shape[1:]), float("nan"))])
    made = [nothing(x.flatten(0, 1)[token]) for x in rows]
    return made, nothing(routed.scores.flatten()[order]) if weighs else None, token


def compare(part, mode, run, tokens=9):
    """All results and gradients of the whole, and of its parts."""
    parts = Parts(part, mode)
    whole, own = (leaves(part, draw(part, mode, tokens=tokens), mode) for _ in range(2))
    expected = call(part, whole, mode)
    given = parts.given(own)
    routed = parts.route(given)
    rows, weighs = parts.rows(given, routed)
    sums = run(parts, given, rows, routed, weighs)
    found = parts.finish(given, sums, routed)
    wanted = [getattr(expected, field.python) for field in program_of(part, mode).outputs]
    close(found, wanted, 1e-10)
    kept = [i for i, y in enumerate(wanted) if y.requires_grad]
    close(gradients([found[i] for i in kept], own), gradients([wanted[i] for i in kept], whole), 1e-10)
    assert routed.counts.sum() == (routed.ids >= 0).sum() and routed.counts.dtype == torch.int64


@pytest.mark.parametrize("part", DIVIDED)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_rows_with_counts_are_the_whole(part, mode, dtype):
    def run(parts, given, rows, routed, weighs):
        made, scores, token = sorted_rows(parts, rows, routed, weighs)
        y = parts.experts(made, routed.counts.to(dtype), parts.weights(given), scores)
        assert (y[len(token) :] == 0).all(), "rows beyond the counts are not read"
        shape = rows[0].shape[:2]
        return torch.zeros(shape.numel(), *y.shape[1:], dtype=y.dtype).index_add(0, token, y[: len(token)]).unflatten(0, shape)

    compare(part, mode, run)


@pytest.mark.parametrize("part", DIVIDED)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ranks", [1, 2])
def test_rows_with_indices_are_the_whole(part, mode, ranks):
    """Each of two halves of the experts adds what it has; the first of a few numbers may be any."""
    def run(parts, given, rows, routed, weighs):
        ends = [parts.count * r // ranks for r in range(ranks + 1)]
        scores = routed.scores.flatten(0, 1) if weighs else None
        if scores is not None:
            # What stands beside no expert is nothing at all.
            scores = torch.where(routed.ids.flatten(0, 1) < 0, torch.full((), float("nan"), dtype=scores.dtype), scores)
        flat = [x.flatten(0, 1) for x in rows]
        y = sum(parts.by_id(flat, routed.ids.flatten(0, 1), scores, parts.weights(given, lambda x: x[a:b]), first=a) for a, b in zip(ends, ends[1:]))
        return y.unflatten(0, rows[0].shape[:2])

    compare(part, mode, run)


@pytest.mark.parametrize("part", DIVIDED)
@pytest.mark.parametrize("shape", ["empty", "one", "none"])
def test_experts_without_rows(part, shape):
    """No rows at all, all rows to one expert, rows and no expert: gradients of what nobody read are 0."""
    parts = Parts(part)
    given = parts.given(draw(part, tokens=4, batch=1))
    routed = parts.route(given)
    rows, weighs = parts.rows(given, routed)
    made = [x[0, : 0 if shape == "empty" else 4].detach().clone().requires_grad_() for x in rows]
    weights = {name: x.detach().clone().requires_grad_() for name, x in parts.weights(given).items()}
    counts = torch.zeros(parts.count, dtype=torch.int64)
    counts[-1] = 4 if shape == "one" else 0
    scores = torch.rand(len(made[0]), dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_() if weighs else None
    y = parts.experts(made, counts, weights, scores)
    leaves_ = [*made, *weights.values(), *([scores] if weighs else [])]
    found = torch.autograd.grad(y.sum(), leaves_)
    assert y.shape[0] == len(made[0]) and all(d.isfinite().all() for d in (y, *found))
    if shape != "one":
        assert all((d == 0).all() for d in (y, *found))
    else:
        by_family = [d for (name, d) in zip(weights, found[len(made) :]) if name in parts.weights(given, lambda x: x[:1]) and d.shape[0] == parts.count]
        assert all((d[:-1] == 0).all() for d in by_family) and any((d[-1] != 0).any() for d in by_family)
        ids = torch.full((4, 1), parts.count - 1)
        again = parts.by_id(made, ids, scores[:, None] if weighs else None, weights)
        close([again], [y], 1e-10)
        if weighs:
            ones = parts.experts(made, counts, weights, None)
            close([ones], [parts.experts(made, counts, weights, torch.ones_like(scores))], 1e-10)


@pytest.mark.parametrize("part", DIVIDED)
def test_modules_of_two_ranks_are_the_whole(part):
    """Params cut from the whole module's, rows with counts and with indices, gradients in the modules' params."""
    parts = Parts(part)
    torch.manual_seed(1)
    whole = class_of(SMALL[part][0])().double()
    given = parts.given(draw(part, batch=1)) | {field.python: whole.get_parameter(field.name) for field in parts.program.params if not field.buffer}
    routed = parts.route(given)
    rows, weighs = parts.rows(given, routed)
    flat, ids = [x.flatten(0, 1).detach() for x in rows], routed.ids.flatten(0, 1)
    scores = routed.scores.flatten(0, 1).detach() if weighs else None
    weights = parts.weights(given)
    expected = parts.by_id(flat, ids, scores, weights)
    half = parts.count // 2
    locals_ = [local_class(part)(n, first=first).double() for n, first in ((half, 0), (parts.count - half, half))]
    for module in locals_:
        assert all(x.isfinite().all() for x in module.parameters())
        module.load_whole(whole.state_dict())
    close([sum(module.by_id(*flat, ids, *([scores] if weighs else [])) for module in locals_)], [expected], 1e-10)
    # The rows of the second rank alone.
    made, own_scores, _ = sorted_rows(parts, rows, routed, weighs)
    before = int(routed.counts[:half].sum())
    again = parts.experts(made, routed.counts, weights, own_scores)[before:]
    found = locals_[1](*(x[before:].detach() for x in made), routed.counts[half:], *([own_scores[before:].detach()] if weighs else []))
    close([found], [again], 1e-10)
    found.sum().backward()
    again.sum().backward()
    for field in locals_[1].stored.fields:
        if "experts" in field.sizes and not field.buffer:
            at, full, own = field.sizes.index("experts"), whole.get_parameter(field.name), locals_[1].get_parameter(field.name)
            close([own.grad], [full.grad.flatten(at, at + full.ndim - own.ndim).narrow(at, half, parts.count - half)], 1e-10)


@pytest.mark.parametrize("part", DIVIDED)
def test_operators(part):
    """What torch asks of operators, of each program of the parts."""
    parts = Parts(part)
    given = parts.given(draw(part, batch=1))
    routed = parts.route(given)
    generator = torch.Generator().manual_seed(4)
    for key, operators in PORTIONS[part].items():
        program = operators.program
        if key.endswith("eval"):
            continue
        sizes = {"experts": parts.count, "columns": 2}
        args = []
        for field in program.args:
            shape = (*((1, 5) if field.token else ()), *(sizes[size] if isinstance(size, str) else size for size in field.sizes))
            made = torch.rand(shape, generator=generator, dtype=torch.float64)
            args.append((made * parts.count).to(torch.int32) if field.index else made)
        keys = operators.keys(3, 0, torch.device("cpu"))
        torch.library.opcheck(operators.forward, (*args, None, keys), test_utils=TESTS)
        results = operators.forward(*args, None, keys)
        seeds = [torch.rand(y.shape, dtype=y.dtype, generator=generator) for y in results[: len(program.outputs)]]
        torch.library.opcheck(operators.backward, (*args, None, keys, results[-1], *seeds), test_utils=[x for x in TESTS if "autograd" not in x])
    assert routed.ids.shape[-1] >= 1


@pytest.mark.parametrize("part", DIVIDED)
def test_whole_graphs(part):
    torch._dynamo.reset()
    parts = Parts(part)
    given = parts.given(draw(part, batch=1))

    def run(given):
        routed = parts.route(given)
        rows, weighs = parts.rows(given, routed)
        flat = [x.flatten(0, 1) for x in rows]
        return routed.ids, parts.by_id(flat, routed.ids.flatten(0, 1), routed.scores.flatten(0, 1) if weighs else None, parts.weights(given))

    (ids, y), (other, expected) = torch.compile(run, fullgraph=True, backend="aot_eager")(given), run(given)
    assert torch.equal(ids, other)
    close([y], [expected], 1e-10)


@pytest.mark.parametrize("part", DIVIDED)
def test_errors_name_the_tensor(part):
    parts = Parts(part)
    given = parts.given(draw(part, batch=1))
    routed = parts.route(given)
    rows, weighs = parts.rows(given, routed)
    flat, weights = [x[0] for x in rows], parts.weights(given)
    scores = routed.scores[0] if weighs else None
    with pytest.raises(ValueError, match=rf"{part}_experts: counts must be .*\[{parts.count}\]"):
        parts.experts(flat, routed.counts[:-1], weights, None)
    with pytest.raises(ValueError, match="ids must be whole numbers"):
        parts.by_id(flat, routed.ids[0].double(), scores, weights)
    name = next(field.python for field in PORTIONS[part]["experts"].program.params if "experts" in field.sizes)
    if len(weights) > 1:
        with pytest.raises(ValueError, match=rf"{part}_experts_by_id: .* must have the shape"):
            parts.by_id(flat, routed.ids[0], scores, {**weights, name: weights[name][:-1]})
