"""Layers and mixtures under torch.compile: whole graphs, and one for all lengths."""

import pytest
import torch
from part_cases import MODES, PARTS, SMALL, call, class_of, draw, error, gradients, leaves, outputs, program_of, small  # noqa: F401
from torch._dynamo.testing import CompileCounterWithBackend


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def agree(part, found, expected, args, mode="train"):
    pairs = [(x, y) for x, y in zip(found, expected) if y is not None]
    both = [gradients(outputs(part, results, mode), args) for results in (found, expected)]
    for x, y in [*pairs, *zip(*both)]:
        assert error(x, y) < 1e-4


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("mode", MODES)
def test_whole_graph(part, mode):
    args = leaves(part, draw(part, mode, dtype=torch.float32), mode)
    compiled = torch.compile(lambda *given: call(part, given, mode), fullgraph=True, backend="aot_eager")
    agree(part, compiled(*args), call(part, args, mode), args, mode)


@pytest.mark.parametrize("part", PARTS)
def test_one_graph_for_all_lengths(part):
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(lambda *given: call(part, given), fullgraph=True, backend=counter)
    for tokens in (8, 13, 21, 34, 55):
        args = leaves(part, draw(part, tokens=tokens, dtype=torch.float32))
        agree(part, compiled(*args), call(part, args), args)
    assert counter.frame_count <= 2


@pytest.mark.parametrize("part", PARTS)
def test_module_in_one_graph(part):
    module = class_of(SMALL[part][0])()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(module, fullgraph=True, backend=counter)
    for tokens in (8, 13, 21):
        inputs = draw(part, tokens=tokens, dtype=torch.float32)[: len(program_of(part).inputs)]
        for x, y in zip(compiled(*inputs, seed=3), module(*inputs, seed=3)):
            assert (x is None and y is None) or error(x, y) < 1e-4
    assert counter.frame_count <= 2


@pytest.mark.parametrize("part", PARTS[:1])
def test_inductor(part):
    args = leaves(part, draw(part, dtype=torch.float32))
    compiled = torch.compile(lambda *given: call(part, given), fullgraph=True)
    agree(part, compiled(*args), call(part, args), args)
