"""Under torch.compile: whole graphs, and one for all lengths. A graph may lay tensors out otherwise, and products in float32 round by layout."""

import pytest
import torch
from cases import SCANS, call, draw, error, gradients, leaves, reference_of, split
from subject import package
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils.checkpoint import checkpoint


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("options", [{}, {"output_final_state": True}, {"keep": True}], ids=["", "final", "kept"])
def test_whole_graph(scan, options):
    args = leaves(draw(scan, dtype=torch.float32))
    compiled = torch.compile(lambda *given: call(scan, given, **options), fullgraph=True, backend="aot_eager")
    found, expected = compiled(*args), call(scan, args, **options)
    for x, y in zip([*found, *gradients(found, args)], [*expected, *gradients(expected, args)]):
        assert error(x, y) < 1e-5


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("keep", [False, True])
def test_one_graph_for_all_lengths(scan, keep):
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(lambda *given: call(scan, given, keep=keep), fullgraph=True, backend=counter)
    for tokens in (8, 13, 21, 34, 55):
        args = leaves(draw(scan, tokens=tokens, dtype=torch.float32, states=False))
        found, expected = compiled(*args), call(scan, args)
        for x, y in zip([*found, *gradients(found, args)], [*expected, *gradients(expected, args)]):
            assert error(x, y) < 1e-5
    assert counter.frame_count <= 2


@pytest.mark.parametrize("scan", SCANS)
def test_slices_in_one_graph_for_all_lengths(scan):
    signature = reference_of(scan).signature
    counter = CompileCounterWithBackend("aot_eager")

    def both(*given):
        return call(scan, [torch.stack([x, x], 2).select(2, 1) if i < len(signature.inputs) else x for i, x in enumerate(given)])

    compiled = torch.compile(both, fullgraph=True, backend=counter)
    for tokens in (8, 13, 21, 34):
        args = leaves(draw(scan, tokens=tokens, dtype=torch.float32, states=False))
        found, expected = compiled(*args), both(*args)
        for x, y in zip([*found, *gradients(found, args)], [*expected, *gradients(expected, args)]):
            assert error(x, y) < 1e-5
    assert counter.frame_count <= 2


@pytest.mark.parametrize("scan", SCANS)
def test_packed_sequences_of_any_number(scan):
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(lambda offsets, *given: call(scan, given, cu_seqlens=offsets), fullgraph=True, backend=counter)
    for lengths in ([3, 4], [2, 5, 1], [7, 2, 2, 9], [1, 1, 1, 1, 8]):
        offsets = torch.tensor([0, *lengths]).cumsum(0)
        args = draw(scan, batch=1, tokens=sum(lengths), states=False, dtype=torch.float32)
        for x, y in zip(compiled(offsets, *args), call(scan, args, cu_seqlens=offsets)):
            assert error(x, y) < 1e-5
    assert counter.frame_count <= 2


@pytest.mark.parametrize("scan", SCANS)
def test_decoding(scan):
    signature = reference_of(scan).signature
    inputs, params, states = split(signature, draw(scan, token=True, dtype=torch.float32))
    keywords = {named.name: x for named, x in zip(signature.params, params)}
    whole = lambda parts: parts[0] if len(parts) == 1 else tuple(parts)
    step = getattr(package, f"{package._reference.MODULES[scan]}_step")
    compiled = torch.compile(lambda state, *given: step(*given, state, **keywords), fullgraph=True, backend="aot_eager")
    found, expected = [x.clone() for x in states], [x.clone() for x in states]
    with torch.no_grad():
        for _ in range(2):
            ours, theirs = compiled(whole(found), *inputs), step(*inputs, whole(expected), **keywords)
            for x, y in zip([*(ours if isinstance(ours, tuple) else (ours,)), *found], [*(theirs if isinstance(theirs, tuple) else (theirs,)), *expected]):
                assert error(x, y) < 1e-5


@pytest.mark.parametrize("scan", SCANS[:1])
def test_layers_of_one_class_compile_once(scan):
    class Layer(torch.nn.Module):
        """What it makes of its params is an argument of the scan: no layer looks like another but by its class."""

        def __init__(self):
            super().__init__()
            self.factor = torch.nn.Parameter(torch.tensor(0.5 + 0.5 * torch.rand(()).item()))

        def forward(self, first, *others):
            return call(scan, [first * self.factor, *others])

    torch.manual_seed(0)
    layers, args = [Layer() for _ in range(12)], leaves(draw(scan, dtype=torch.float32, states=False))
    expected = [layer(*args) for layer in layers]
    counter = CompileCounterWithBackend("aot_eager")
    for layer in layers:
        layer.compile(fullgraph=True, backend=counter)
    for layer, results in zip(layers, expected):
        for x, y in zip(layer(*args), results):
            assert error(x, y) < 1e-5
    assert counter.frame_count == 1


@pytest.mark.parametrize("scan", SCANS[:1])
def test_checkpointed(scan):
    """What is forgotten is computed again within the graph."""
    args = leaves(draw(scan, dtype=torch.float32))
    both = lambda *given: [x.sin() for x in call(scan, given, output_final_state=True)]
    compiled = torch.compile(lambda *given: checkpoint(both, *given, use_reentrant=False), fullgraph=True, backend="aot_eager")
    found, expected = compiled(*args), both(*args)
    for x, y in zip([*found, *gradients(found, args)], [*expected, *gradients(expected, args)]):
        assert error(x, y) < 1e-5


@pytest.mark.parametrize("scan", SCANS[:1])
def test_inductor(scan):
    args = leaves(draw(scan, dtype=torch.float32))
    compiled = torch.compile(lambda *given: [x * 2 for x in call(scan, given)], fullgraph=True)
    found, expected = compiled(*args), [x * 2 for x in call(scan, args)]
    for x, y in zip([*found, *gradients(found, args)], [*expected, *gradients(expected, args)]):
        assert error(x, y) < 1e-5
