"""Experts split over 2 and 4 ranks, each with tokens of its own, against one process: outputs and every gradient."""

import pytest
import torch
import torch.distributed as dist
from launch import ranks
from part_cases import PORTIONS, call, draw, error, in_place, program_of
from subject import package
from test_part_experts import Parts

WORLDS = (2, 4)


def whole(part, given, seeds, tokens):
    """One process: tokens of each rank apart, as a rank sees them."""
    args = [x.detach().clone().requires_grad_(x.is_floating_point() and not field.buffer) for field, x in zip(program_of(part).args, given)]
    results, losses = [], []
    for r, seed in enumerate(seeds):
        some = tuple(x[:, r * tokens : (r + 1) * tokens] if field.token else x for field, x in zip(program_of(part).args, args))
        results.append(call(part, some))
        losses.append(loss_of(part, results[-1], seed))
    wanted = [x for x in args if x.requires_grad]
    found = torch.autograd.grad(sum(losses), wanted, allow_unused=True)
    return results, dict(zip([i for i, x in enumerate(args) if x.requires_grad], found))


def loss_of(part, results, seed):
    generator = torch.Generator().manual_seed(seed)
    total = 0.0
    for field in program_of(part).outputs:
        y = getattr(results, field.python) if hasattr(results, field.python) else results[field.python]
        d = torch.randn(y.shape, generator=generator, dtype=y.dtype)
        if y.requires_grad:
            total = total + (y * d).sum()
    return total


def compare(part, rank, world, tokens, experts_of):
    parts = Parts(part)
    # With many tokens more rows than there are.
    shards = package.ep.ExpertShards(experts=parts.count, multiple=1 if tokens == 1 else 64)
    given = draw(part, batch=1, tokens=tokens * world, seed=5)
    if experts_of is not None:
        given = one_sided(parts, given, experts_of)
    seeds = range(world)
    expected, wanted = whole(part, given, seeds, tokens)
    fields = program_of(part).args
    families = {field.python for field in PORTIONS[part]["experts"].program.params if "experts" in field.sizes}
    own = []
    for field, x in zip(fields, given):
        x = x[:, rank * tokens : (rank + 1) * tokens] if field.token else shards.mine(x.flatten(0, parts.groups - 1)) if field.python in families else x
        own.append(x.detach().clone().requires_grad_(x.is_floating_point() and not field.buffer))
    named = parts.given(own)
    routed = parts.route(named)
    rows, weighs = parts.rows(named, routed)
    sent = shards.dispatch(routed.ids, routed.scores if weighs else None, *rows)
    assert len(sent.rows[0]) % shards.multiple == 0 and 0 <= len(sent.rows[0]) - sent.counts.sum() < shards.multiple
    weights = {field.python: named[field.python] for field in PORTIONS[part]["experts"].program.params}
    y = parts.experts(sent.rows, sent.counts, weights, sent.scores)
    results = dict(zip([field.python for field in program_of(part).outputs], parts.finish(named, sent.combine(y), routed)))
    errors = {f"result {name}": error(x, getattr(expected[rank], name)) for name, x in results.items()}
    kept = [i for i, x in enumerate(own) if x.requires_grad]
    found = torch.autograd.grad(loss_of(part, results, rank), [own[i] for i in kept], allow_unused=True)
    for i, d in zip(kept, found):
        field, full = fields[i], torch.zeros_like(given[i]) if wanted[i] is None else wanted[i]
        d = torch.zeros_like(own[i]) if d is None else d.clone()
        if field.token:
            full = full[:, rank * tokens : (rank + 1) * tokens]
        elif field.python in families:
            full = shards.mine(full.flatten(0, parts.groups - 1))
        else:
            dist.all_reduce(d)
        errors[f"gradient {field.python}"] = error(d, full)
    return errors


def one_sided(parts, given, value):
    """Params of the router that send all tokens alike, so that some experts and ranks have none."""
    families = {field.python for field in PORTIONS[parts.part]["experts"].program.params}
    return tuple(x if field.token or field.python in families or field.index else torch.full_like(x, value) for field, x in zip(parts.program.args, given))


def job(rank, world):
    found = {}
    for part in sorted(PORTIONS):
        if Parts(part).count < world:
            continue
        for tokens in (1, 7):
            for value in (None, 0.0):
                for name, wrong in compare(part, rank, world, tokens, value).items():
                    found[f"{part}, {tokens} tokens, router {value}: {name}"] = wrong
    return found


def nobody(rank, world):
    """Tokens that go nowhere, and to a single rank."""
    shards = package.ep.ExpertShards(experts=2 * world)
    x = torch.arange(6.0, dtype=torch.float64).reshape(3, 2).requires_grad_()
    none = shards.dispatch(torch.full((3, 2), -1), None, x)
    last = shards.dispatch(torch.tensor([[2 * world - 1, -1]] * 3), torch.ones(3, 2, dtype=torch.float64), x)
    sums = last.combine(last.rows[0] * last.scores[:, None])
    (sums * 2).sum().backward()
    with pytest.raises(ValueError, match="some would have none"):
        package.ep.ExpertShards(experts=world - 1)
    return {
        "none": (none.combine(none.rows[0]) == 0).all().item() and none.rows[0].shape == (0, 2) and none.counts.sum().item() == 0,
        "counts": last.counts.tolist() == ([0, 3 * world] if rank == world - 1 else [0, 0]), "sums": torch.equal(sums, x),
        "gradient": torch.equal(x.grad, torch.full_like(x, 2.0)),
    }


def both(rank, world):
    """In one process group, since starting ranks takes longer than what they do."""
    with pytest.MonkeyPatch.context() as patch:
        in_place(patch)
        return job(rank, world), nobody(rank, world)


@pytest.mark.parametrize("world", WORLDS)
def test_ranks_with_experts_are_one_process(world):
    for rank, (errors, found) in enumerate(ranks(world, both)):
        wrong = {name: value for name, value in errors.items() if not value < 1e-10}
        assert not wrong, (rank, wrong)
        assert all(found.values()), (rank, found)


def test_some_mixture_fits():
    assert any(Parts(part).count >= max(WORLDS) for part in PORTIONS)
