"""The reference: tokens against chunks, written gradients against autograd, one sequence against several."""

import pytest
import torch
from cases import SCANS, cotangents, draw, error, gradients, leaves, reference_of, split


def close(found, expected, limit=1e-10):
    assert len(found) == len(expected)
    for i, (x, y) in enumerate(zip(found, expected)):
        assert x.shape == y.shape and error(x, y) < limit, f"number {i}: {error(x, y)}"


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("states", [False, True])
def test_chunks_agree_with_tokens(scan, packed, states):
    reference = reference_of(scan)
    offsets = torch.tensor([0, 66, 66, 67, 131]) if packed else None
    args = draw(scan, batch=1 if packed else 2, tokens=131, sequences=4 if packed else 2, states=states)
    given = leaves(args)
    expected = reference.loop(given, offsets)
    seeds = cotangents(expected)
    close(reference.forward(args, offsets), expected)
    found = reference.backward(args, seeds, offsets)
    close([d for d, x in zip(found, args) if x is not None], gradients(expected, given, seeds))


@pytest.mark.parametrize("scan", SCANS)
def test_loop_passes_gradcheck(scan):
    reference = reference_of(scan)
    args = leaves(draw(scan, batch=1, tokens=4, heads=2, groups=1, sequences=2))
    assert torch.autograd.gradcheck(lambda *given: reference.loop(given, torch.tensor([0, 1, 4])), args)


@pytest.mark.parametrize("scan", SCANS)
def test_absent_cotangents_are_zeros(scan):
    reference = reference_of(scan)
    args = draw(scan)
    results = reference.forward(args)
    seeds = cotangents(results)
    count = len(reference.signature.outputs)
    zeros = [torch.zeros_like(x) for x in seeds]
    close(reference.backward(args, [*seeds[:count], *(None for _ in seeds[count:])]), reference.backward(args, [*seeds[:count], *zeros[count:]]))


@pytest.mark.parametrize("scan", SCANS)
def test_steps_agree_with_the_whole(scan):
    reference = reference_of(scan)
    args = draw(scan, tokens=5)
    inputs, params, states = split(reference.signature, args)
    expected = reference.forward(args)
    in_place = [state.clone() for state in states]
    count = len(reference.signature.outputs)
    for t in range(5):
        token = [x[:, t].contiguous() for x in inputs]
        results = reference.step((*token, *params, *states))
        states = results[count:]
        again = reference.step((*token, *params, *in_place), in_place=True)
        for x, y, whole in zip(results, again, expected):
            assert torch.equal(x, y) and error(x, whole[:, t]) < 1e-10
    close(states, expected[count:])
    close(in_place, expected[count:])


@pytest.mark.parametrize("scan", SCANS)
def test_continues_where_a_call_ended(scan):
    reference = reference_of(scan)
    args = draw(scan)
    inputs, params, states = split(reference.signature, args)
    count = len(reference.signature.outputs)
    first = reference.forward((*(x[:, :3] for x in inputs), *params, *states))
    second = reference.forward((*(x[:, 3:] for x in inputs), *params, *first[count:]))
    joined = [torch.cat([x, y], 1) for x, y in zip(first[:count], second[:count])]
    close([*joined, *second[count:]], reference.forward(args))


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_short_dtypes(scan, dtype):
    reference = reference_of(scan)
    args = draw(scan, dtype=dtype)
    results = reference.forward(args)
    exact = reference.forward(tuple(x.double() for x in args))
    limit = {torch.bfloat16: 1e-2, torch.float16: 2e-3, torch.float32: 1e-5}[dtype]
    for named, x in zip(reference.signature.outputs, results):
        assert x.dtype == (dtype if named.io else torch.float32)
    close(results, exact, limit)


@pytest.mark.parametrize("scan", SCANS)
def test_no_tokens_give_the_initial_state(scan):
    reference = reference_of(scan)
    args = draw(scan, tokens=0)
    _, _, states = split(reference.signature, args)
    count = len(reference.signature.outputs)
    results = reference.forward(args)
    assert all(x.shape[1] == 0 for x in results[:count])
    assert all(torch.equal(x, y) for x, y in zip(results[count:], states))
