"""Rows of tokens over 2, 3 and 4 ranks against the same in one process: outputs, states and every gradient, token by token."""

import random

import pytest
import torch
import torch.distributed as dist
from cases import SCANS, call, cotangents, draw, leaves, reference_of, split
from launch import ranks
from subject import package

WORLDS = (2, 3, 4)
LAYOUTS = ("contiguous", "headtail")
TRANSITIONS = {scan: getattr(package._transitions, package._reference.MODULES[scan]) for scan in SCANS}
LINEAR = [scan for scan in SCANS if TRANSITIONS[scan] is not None]


def rows(world, layout):
    """Lengths of rows and offsets of packed sequences: cuts within, at and around the ends of pieces, pieces and sequences of few tokens, of none."""
    generator = random.Random(world)
    pieces = world * LAYOUTS.index(layout) + world
    length = 5 * pieces + 3
    ends = [length * p // pieces for p in range(pieces + 1)]
    around = sorted({0, length, *(end + generator.choice((-1, 0, 1)) for end in ends[1:-1])})
    yield "batch", length, None
    yield "few", pieces - 1, None
    yield "two", 2 * pieces, [0, 2 * pieces]
    yield "at", length, ends
    yield "around", length, around
    yield "empty", length, [0, 0, ends[1], ends[1], length, length]
    yield "random", length, [0, *sorted(generator.choices(range(length + 1), k=generator.randrange(1, 6))), length]


def apart(found, expected):
    """The greatest difference of any number of any token, by the greatest value of all."""
    if found.shape != expected.shape:
        return float("inf")
    if expected.numel() == 0:
        return 0.0
    wrong = (found - expected).abs().max().item() / max(expected.abs().max().item(), 1e-3)
    return wrong if wrong == wrong else float("inf")


def fits_heads(scan, world):
    """Heads and groups as `draw` has them."""
    signature = reference_of(scan).signature
    return not signature.counts_heads and 4 % world == 0 and not (2 % world and any(named.group for named in signature.inputs))


def compare(scan, shards, length, offsets, states, seed, by_heads=False):
    """The greatest errors of what this rank has: outputs, states, gradients by token, gradients that ranks add up."""
    signature = reference_of(scan).signature
    packed = None if offsets is None else torch.tensor(offsets)
    args = draw(scan, batch=2 if offsets is None else 1, tokens=length, sequences=None if offsets is None else len(offsets) - 1, states=states, seed=seed)
    inputs, params, initial = split(signature, args)
    count = len(signature.outputs)
    whole = leaves(args)
    results = call(scan, whole, output_final_state=True, cu_seqlens=packed)
    seeds = cotangents(results)
    wanted = [x for x in whole if x is not None]
    expected = [torch.zeros_like(x) if d is None else d for d, x in zip(torch.autograd.grad(results, wanted, seeds, allow_unused=True), wanted)]
    own = leaves((*(shards.local(x) for x in inputs), *params, *initial))
    found = call(scan, own, output_final_state=True, shards=shards.heads() if by_heads else shards)
    mine = [x for x in own if x is not None]
    # States of sequences that end elsewhere have no gradient here.
    # States that all ranks have are read by the loss of the first.
    read = 0.0 if shards.gather_final and shards.rank > 0 else 1.0
    grads = torch.autograd.grad(found, mine, [*(shards.local(x) for x in seeds[:count]), *(read * x for x in seeds[count:])], allow_unused=True)
    grads = [torch.zeros_like(x) if d is None else d for d, x in zip(grads, mine)]
    errors = {"outputs": max(apart(x, shards.local(y)) for x, y in zip(found[:count], results[:count]))}
    for x in (*(() if shards.gather_final else found[count:]), *grads[len(inputs) :]):
        x = x.detach()
        dist.all_reduce(x, group=shards.group)
    errors["states"] = max([apart(x.detach(), y.detach()) for x, y in zip(found[count:], results[count:])], default=0.0)
    errors["gradients"] = max(apart(d, shards.local(e)) for d, e in zip(grads[: len(inputs)], expected))
    errors["sums"] = max([apart(d, e) for d, e in zip(grads[len(inputs) :], expected[len(inputs) :])], default=0.0)
    return errors


def job(rank, world):
    """All that several ranks do here, since starting them takes the most time."""
    found = {}
    groups = {size: dist.new_group(list(range(size))) for size in WORLDS}
    for size, group in groups.items():
        if rank >= size:
            continue
        for layout in LAYOUTS:
            for i, (kind, length, offsets) in enumerate(rows(size, layout)):
                # Every case with one of the numbers of ranks at least.
                if (i + size + (layout == LAYOUTS[0])) % 2 == 0 and size > 2:
                    continue
                shards = package.cp.SequenceShards(group, offsets, tokens=length if offsets is None else None, layout=layout, gather_final=i % 3 == 1)
                ways = [(scan, False) for scan in LINEAR] + [(scan, True) for scan in SCANS if fits_heads(scan, size)]
                for scan, by_heads in ways:
                    for name, error in compare(scan, shards, length, offsets, i % 2 == 0, i, by_heads).items():
                        key = (scan, name, by_heads)
                        found[key] = max(found.get(key, (0.0, "")), (error, f"{kind} {offsets or length} {layout} on {size}, rank {rank}"))
    return (found, volume(groups[2]), refusals(groups[2]), economy(groups[2])) if rank < 2 else (found, None, None, None)


@pytest.fixture(scope="module")
def by_rank():
    return ranks(max(WORLDS), job)


@pytest.mark.parametrize("scan", LINEAR)
@pytest.mark.parametrize("what", ["outputs", "states", "gradients", "sums"])
def test_ranks_agree_with_one_process(by_rank, scan, what):
    for errors, *_ in by_rank:
        worst, where = errors[scan, what, False]
        assert worst < 1e-10, f"{worst} at {where}"


@pytest.mark.parametrize("scan", [scan for scan in SCANS if fits_heads(scan, 2)])
@pytest.mark.parametrize("what", ["outputs", "states", "gradients", "sums"])
def test_ranks_that_exchange_tokens_for_heads_agree_too(by_rank, scan, what):
    for errors, *_ in by_rank[:2]:
        worst, where = errors[scan, what, True]
        assert worst < 1e-10, f"{worst} at {where}"


def volume(group):
    """Calls and bytes of collectives forward and backward, by length of the row."""
    counted = []
    original = package.cp.all_gather

    def counting(out, x, **options):
        counted[-1].append(x.numel() * x.element_size())
        return original(out, x, **options)

    package.cp.all_gather = counting
    found = {}
    for scan in LINEAR:
        for length in (8, 64):
            shards = package.cp.SequenceShards(group, tokens=length)
            args = leaves(draw(scan, tokens=length, states=False, dtype=torch.float32))
            own = [shards.local(x) if i < len(reference_of(scan).signature.inputs) and x is not None else x for i, x in enumerate(args)]
            counted.append([])
            results = call(scan, own, shards=shards)
            forward = counted[-1]
            counted.append([])
            sum(x.sum() for x in results).backward()
            found[scan, length] = (forward, counted[-1])
        # Nothing crosses a boundary: nothing is said.
        counted.append([])
        shards = package.cp.SequenceShards(group, [0, 4, 8])
        one = draw(scan, batch=1, tokens=4, states=False, dtype=torch.float32)
        call(scan, one, shards=shards)
        found[scan, 0] = counted[-1]
    package.cp.all_gather = original
    return found


def test_volume(by_rank):
    for _, found, *_ in by_rank[:2]:
        for scan in LINEAR:
            levels = len(TRANSITIONS[scan].levels)
            forward, backward = found[scan, 8]
            assert found[scan, 64] == (forward, backward), "what is gathered must not grow with the row"
            assert found[scan, 0] == []
            assert len(forward) == len(backward) == levels
            signature = reference_of(scan).signature
            args = draw(scan, dtype=torch.float32)
            states = split(signature, args)[2]
            numbers = sum(state.numel() for state in states)
            assert sum(backward) == 4 * numbers
            maps = 0
            for state, carried in zip(states, TRANSITIONS[scan].states):
                shape = carried.shape(state.shape[2:])
                maps += 0 if shape is None else state.shape[0] * state.shape[1] * torch.Size(shape).numel()
            assert sum(forward) == 4 * (numbers + maps)


@pytest.mark.parametrize("scan", LINEAR)
def test_states_are_carried_in_every_bit(scan):
    # Neither autocast nor what a user allows products may round a state once for each piece.
    generator = torch.Generator().manual_seed(0)
    for carried in TRANSITIONS[scan].states:
        state = torch.randn(2, 3, *(16 for _ in range(2 + max(carried.row, carried.channel or 0))), generator=generator)
        shape = carried.shape(state.shape[2:])
        m = None if shape is None else torch.randn(2, 3, *shape, generator=generator)
        for transposed in (False, True):
            expected = carried.apply(m, state, transposed)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                found = carried.apply(m, state, transposed)
            assert found.dtype == torch.float32 and apart(found, expected) < 1e-6


class Numbers:
    """torch, for a module whose tensors of numbers are counted."""

    def __init__(self):
        self.made = 0

    def __getattr__(self, name):
        return getattr(torch, name)

    def tensor(self, *given, **options):
        self.made += 1
        return torch.tensor(*given, **options)


def economy(group):
    """By scan and layout: offsets that programs were given, and how many tensors of numbers a first and a second call made."""
    found, real = {}, package.cp.PiecesCall
    for layout in LAYOUTS:
        for scan in LINEAR:
            shards = package.cp.SequenceShards(group, tokens=64, layout=layout)
            args = leaves(draw(scan, tokens=64, states=False, dtype=torch.float32))
            inputs = len(reference_of(scan).signature.inputs)
            own = [shards.local(x) if i < inputs and x is not None else x for i, x in enumerate(args)]
            offsets, counts = [], []

            def calling(shards, op, *given):
                made = real(shards, op, *given)
                offsets.append(made.rows.offsets)
                return made

            package.cp.PiecesCall, package._shards.torch = calling, Numbers()
            package._pieces.torch = package._shards.torch
            for _ in range(2):
                before = package._shards.torch.made
                sum(x.sum() for x in call(scan, own, shards=shards)).backward()
                counts.append(package._shards.torch.made - before)
            package.cp.PiecesCall, package._shards.torch, package._pieces.torch = real, torch, torch
            found[scan, layout] = (all(x is None for x in offsets), *counts)
    return found


def test_numbers_come_to_the_device_once(by_rank):
    # What brings them there waits for all that the device has to do.
    for *_, found in by_rank[:2]:
        for (scan, layout), (plain, first, second) in found.items():
            assert plain == (layout == "contiguous"), f"{scan}: rows of one piece each need no packing, others do"
            assert first > 0 and second == 0, f"{scan}, {layout}: {second} tensors of numbers in a second call"


def refusals(group):
    found = []

    def refused(function, *args, **options):
        try:
            function(*args, **options)
        except (ValueError, NotImplementedError) as error:
            found.append(str(error))
        else:
            found.append("")

    shards = package.cp.SequenceShards(group, tokens=8)
    for scan in SCANS:
        args = draw(scan, tokens=8, states=False)
        refused(call, scan, args, shards=shards)
        own = (*(shards.local(x) for x in split(reference_of(scan).signature, args)[0]), *args[len(reference_of(scan).signature.inputs) :])
        if TRANSITIONS[scan] is None:
            refused(call, scan, own, shards=shards)
        else:
            refused(call, scan, own, shards=shards, cu_seqlens=torch.tensor([0, 4]))
    odd = draw(SCANS[0], tokens=4, heads=3, groups=3, states=False)
    refused(call, SCANS[0], odd, shards=shards.heads())
    refused(package.cp.SequenceShards, tokens=8, layout="striped")
    refused(package.cp.SequenceShards)
    refused(package.cp.SequenceShards, cu_seqlens=[0, 5, 3])
    return found


def test_refusals(by_rank):
    for _, _, found, _ in by_rank[:2]:
        messages = iter(found)
        for scan in SCANS:
            assert "4 tokens of 8" in next(messages)
            if TRANSITIONS[scan] is None:
                message = next(messages)
                assert "step by step" in message and "heads()" in message
            else:
                assert "leave cu_seqlens out" in next(messages)
        assert "has 3 heads, which 2 ranks cannot share" in next(messages)
        assert "layout must be one of" in next(messages)
        assert "either cu_seqlens" in next(messages)
        assert "rise from 0" in next(messages)
