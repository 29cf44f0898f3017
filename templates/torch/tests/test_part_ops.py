"""Layers and mixtures: gradients, operators, modules, what they say of wrong tensors."""

import copy

import pytest
import torch
from part_cases import (MODES, PARTS, SMALL, call, class_of, close, draw, gradients, keys_of, leaves, operators_of, outputs, program_of,
                        small)  # noqa: F401
from subject import ops, package
from torch.utils.checkpoint import checkpoint

TESTS = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("mode", MODES)
def test_gradients_are_those_of_autograd(part, mode):
    args = leaves(part, draw(part, mode, tokens=9), mode)
    found, expected = call(part, args, mode), call(part, args, mode, "_reference")
    close(found, expected, 1e-10)
    close(gradients(outputs(part, found, mode), args), gradients(outputs(part, expected, mode), args), 1e-9)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("mode", MODES)
def test_gradcheck(part, mode):
    """Away from the places where a choice changes: a step of 1e-6 moves none of these."""
    args = leaves(part, draw(part, mode, batch=1, tokens=3), mode)
    operators, count = operators_of(part, mode), len(program_of(part, mode).outputs)
    keys = keys_of(part, mode)
    assert torch.autograd.gradcheck(lambda *given: [y for y in operators.traced.apply(*given, None, keys, None)[:count] if y.requires_grad], args)


@pytest.mark.parametrize("part", PARTS)
def test_packed_sequences(part):
    """Sequences in one row are those of a batch; of those that are equally long, the same bits."""
    args = draw(part, tokens=6)
    program = program_of(part)
    row = tuple(x.reshape(1, 12, *x.shape[2:]) if field.token else x for field, x in zip(program.args, args))
    found = call(part, row, cu_seqlens=torch.tensor([0, 6, 12]))
    for field, x, y in zip(program.results, found, call(part, args)):
        assert torch.equal(x.reshape(y.shape), y), field.name


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("lengths", [[0], [1], [1, 0, 4], [0, 0]])
def test_few_tokens(part, lengths):
    args = leaves(part, draw(part, batch=1, tokens=sum(lengths)))
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    results = call(part, args, cu_seqlens=offsets)
    found = gradients(outputs(part, results), args)
    assert all(x.isfinite().all() for x in (*results, *found) if x is not None)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("mode", MODES)
def test_opcheck(part, mode):
    operators, program = operators_of(part, mode), program_of(part, mode)
    for args in (draw(part, mode), [x.transpose(-1, -2).contiguous().transpose(-1, -2) if x.ndim > 1 else x for x in draw(part, mode)]):
        given = (*args, None, keys_of(part, mode))
        torch.library.opcheck(operators.forward, given, test_utils=TESTS)
    *results, kept = operators.forward(*given)
    seeds = [torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(2)) for y in results[: len(program.outputs)]]
    torch.library.opcheck(operators.backward, (*given, kept, *seeds), test_utils=[test for test in TESTS if "autograd" not in test])


@pytest.mark.parametrize("part", PARTS)
def test_absent_cotangents_are_zeros(part):
    operators, program = operators_of(part), program_of(part)
    given = (*draw(part), None, keys_of(part))
    *results, kept = operators.forward(*given)
    whole = lambda found: [found] if isinstance(found, torch.Tensor) else found
    count = len(program.outputs)
    absent = whole(operators.backward(*given, kept, *[None] * count))
    zeros = whole(operators.backward(*given, kept, *[torch.zeros_like(y) for y in results[:count]]))
    assert all(torch.equal(x, y) for x, y in zip(absent, zeros))


@pytest.mark.parametrize("part", PARTS)
def test_same_bits_twice(part):
    args = leaves(part, draw(part, dtype=torch.float32))
    first, second = call(part, args), call(part, args)
    for x, y in zip([*first, *gradients(outputs(part, first), args)], [*second, *gradients(outputs(part, second), args)]):
        assert (x is None and y is None) or torch.equal(x, y)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("loss", [lambda x: x.square().sum(), lambda x: x.sum()], ids=["square", "sum"])
def test_second_derivatives_are_refused(part, loss):
    """Of a sum, too, whose cotangents need no gradient: a penalty on gradients must not be lost without a word."""
    args = leaves(part, draw(part))
    whole = sum(loss(y) for y in outputs(part, call(part, args)) if y.requires_grad)
    grads = torch.autograd.grad(whole, [x for x in args if x is not None and x.requires_grad], create_graph=True, allow_unused=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        (whole + sum(d.sum() for d in grads if d is not None)).backward()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("traced", [False, True])
def test_transforms_are_refused_by_name(part, traced):
    """Kernels see no tangents: results would be wrong without a word."""
    args = draw(part)
    at = next(i for i, x in enumerate(args) if x is not None and x.is_floating_point())
    args = leaves(part, args) if traced else args
    first = args[at].detach()
    whole = lambda x: outputs(part, call(part, [*args[:at], x, *args[at + 1 :]]))[0]
    with pytest.raises(NotImplementedError, match="there is no forward mode"):
        torch.func.jvp(whole, (first,), (torch.ones_like(first),))
    with pytest.raises(NotImplementedError, match="there is no torch.func.grad"):
        torch.func.vjp(whole, first)


@pytest.mark.parametrize("part", PARTS)
def test_draws_come_from_seed_and_generator(part):
    if not program_of(part).sites:
        pytest.skip("it draws nothing")
    args = draw(part, tokens=40)
    same = lambda x, y: all(torch.equal(a, b) for a, b in zip(x, y) if a is not None)
    assert same(call(part, args, seed=1), call(part, args, seed=1))
    assert not same(call(part, args, seed=1), call(part, args, seed=2))
    assert not same(call(part, args, seed=1), call(part, args, seed=1, step=1))
    torch.manual_seed(5)
    first = call(part, args, seed=None)
    second = call(part, args, seed=None)
    torch.manual_seed(5)
    assert same(first, call(part, args, seed=None)) and not same(first, second)


@pytest.mark.parametrize("part", PARTS)
def test_dtypes(part):
    exact = call(part, draw(part, dtype=torch.float64), "eval")
    for dtype, limit in ((torch.float32, 1e-4), (torch.bfloat16, None)):
        args = leaves(part, draw(part, dtype=dtype), "eval")
        results = call(part, args, "eval")
        for field in program_of(part, "eval").results:
            assert getattr(results, field.python).dtype == program_of(part, "eval").wanted(field, dtype)
        if limit is not None:
            close(results, exact, limit)
        for d, x in zip(gradients(outputs(part, results, "eval"), args), [x for x in args if x.requires_grad]):
            assert d.dtype == x.dtype


@pytest.mark.parametrize("part", PARTS)
def test_autocast(part):
    args = leaves(part, draw(part, dtype=torch.float32))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        results = call(part, args)
    assert all(getattr(results, field.python).dtype == program_of(part).wanted(field, torch.bfloat16) for field in program_of(part).results)
    assert all(d.dtype == torch.float32 for d in gradients(outputs(part, results), args))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("seed", [3, None])
def test_checkpointed(part, seed):
    args = leaves(part, draw(part, dtype=torch.float32))
    torch.manual_seed(0)
    expected = call(part, args, seed=seed)
    torch.manual_seed(0)
    found = checkpoint(lambda *given: call(part, given, seed=seed), *args, use_reentrant=False)
    for x, y in zip([*found, *gradients(outputs(part, found), args)], [*expected, *gradients(outputs(part, expected), args)]):
        assert (x is None and y is None) or torch.equal(x, y)


@pytest.mark.parametrize("part", PARTS)
def test_module(part):
    cls, program = class_of(SMALL[part][0]), program_of(part)
    torch.manual_seed(1)
    module = cls()
    assert set(module.state_dict()) == {field.name for field in program.params}
    assert {name for name, _ in module.named_parameters()} == {field.name for field in program.params if not field.buffer}
    inputs = draw(part, dtype=torch.float32)[: len(program.inputs)]
    for training in (True, False):
        module.train(training)
        found = module(*inputs, seed=3)
        state = module.state_dict()
        expected = call(part, (*inputs, *(state[field.name] for field in program.params)), MODES[not training])
        for x, y in zip(found, expected):
            assert (x is None and y is None) or torch.equal(x, y)
    module.train()
    loss = sum(y.sum() for y in outputs(part, module(*inputs)))
    if isinstance(loss, torch.Tensor):
        loss.backward()
    other = cls()
    other.load_state_dict(module.state_dict())
    copied = copy.deepcopy(module)
    for x, y, z in zip(module.state_dict().values(), other.state_dict().values(), copied.state_dict().values()):
        assert torch.equal(x, y) and torch.equal(x, z)
    meta = cls(device="meta").to_empty(device="cpu")
    torch.manual_seed(1)
    meta.reset_parameters()
    torch.manual_seed(1)
    for x, y in zip(meta.state_dict().values(), cls().state_dict().values()):
        assert torch.equal(x, y)


@pytest.mark.parametrize("part", PARTS)
def test_updates_move_buffers_once_a_step(part):
    module, update = class_of(SMALL[part][0])(), SMALL[part][3].update
    if update is None:
        pytest.skip("it has no buffers that a formula moves")
    inputs = [draw(part, tokens=30, dtype=torch.float32, seed=seed)[: len(program_of(part).inputs)] for seed in (1, 2)]
    before = {path: module._at(path).clone() for path in update.buffers}
    results = [module(*x, seed=1) for x in inputs]
    assert all(torch.equal(module._at(path), before[path]) for path in update.buffers), "a call moves nothing"
    twice, once = copy.deepcopy(module), copy.deepcopy(module)
    module.update(results)
    assert any(not torch.equal(module._at(path), before[path]) for path in update.buffers)
    if all(adds for _, adds in update.takes):
        # What two calls give adds up.
        added = results[0]._replace(**{name: getattr(results[0], name) + getattr(results[1], name) for name, _ in update.takes})
        once.update(added)
        assert all(torch.equal(module._at(path), once._at(path)) for path in update.buffers)
    twice.update(results[0])
    assert all(not x.requires_grad for x in twice.buffers())


@pytest.mark.parametrize("part", PARTS)
def test_scores_are_looked_at_where_somebody_asks(part, monkeypatch):
    """With gradients and without; what asks nothing waits for nothing."""
    args, asked = draw(part), []
    monkeypatch.setattr(operators_of(part).reference, "examine", lambda given, offsets, keys, kept: asked.append((len(given), kept.dtype)))
    expected = call(part, args)
    call(part, leaves(part, args))
    assert asked == []
    for given in (args, leaves(part, args)):
        for x, y in zip(call(part, given, check=True), expected):
            assert (x is None and y is None) or torch.equal(x, y)
    assert asked == [(len(args), torch.uint8)] * 2


@pytest.mark.parametrize("part", PARTS)
def test_compiled_calls_do_not_wait(part):
    torch._dynamo.reset()
    compiled = torch.compile(lambda *given: call(part, given, check=True), fullgraph=True, backend="eager")
    with pytest.raises(Exception, match="check=True waits for the device"):
        compiled(*draw(part))


@pytest.mark.parametrize("part", PARTS)
def test_errors_name_the_tensor(part):
    args, program = draw(part), program_of(part)
    first = program.inputs[0].python
    with pytest.raises(ValueError, match=rf"{part}: {first} must have the shape"):
        call(part, (args[0][..., None], *args[1:]))
    last = program.params[-1] if program.params else None
    if last is not None and last.sizes:
        with pytest.raises(ValueError, match=f"{part}: {last.python} must have the shape"):
            call(part, (*args[:-1], args[-1].new_zeros((*args[-1].shape[:-1], args[-1].shape[-1] + 1))))
    with pytest.raises(ValueError, match="cu_seqlens"):
        call(part, args, cu_seqlens=torch.tensor([0, 5]))


def test_what_the_package_says_of_itself():
    assert package.__version__ and len(package.SOURCE_HASH) == 64
    assert all(hasattr(package, name) for name in package.__all__)
    assert all(isinstance(op, torch._ops.OpOverload) for op in package.SAC_SAVE_OPS)
    assert isinstance(package.doctor(), str)
    for module, *_ in SMALL.values():
        text = getattr(package, module).__doc__
        assert "Args:" in text and "Returns:" in text and "Raises:" in text
        assert getattr(ops, f"{module}_train").program is not None
