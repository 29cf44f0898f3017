"""The operators and the functions over them, as PyTorch sees them."""

import copy
import pickle

import pytest
import torch
from torch.autograd import forward_ad
from cases import PACKED, SCANS, call, cotangents, draw, error, gradients, leaves, reference_of, split
from subject import laid, ops, package

CHECKS = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")


def module_of(scan):
    return package._reference.MODULES[scan]


def permuted(args):
    """The same values in memory of another order."""
    return tuple(x if x is None or x.ndim < 2 else x.transpose(0, 1).contiguous().transpose(0, 1) for x in args)


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("packed", [False, True])
def test_opcheck(scan, packed):
    op = ops.SCANS[scan]
    offsets = PACKED if packed else None
    args = draw(scan, batch=1 if packed else 2, sequences=4 if packed else 2, states=not packed, dtype=torch.float32)
    for forward in (op.forward, op.forward_final):
        torch.library.opcheck(forward, (*args, offsets), test_utils=CHECKS)
    seeds = cotangents(reference_of(scan).forward(args, offsets))
    for forward in (op.forward_kept, op.forward_final_kept):
        torch.library.opcheck(forward, (*args, offsets), test_utils=CHECKS)
    kept = op.forward_kept(*args, offsets)[-1]
    for backward, more in ((op.backward, ()), (op.backward_initial, ()), (op.backward_kept, (kept,)), (op.backward_initial_kept, (kept,))):
        for given in ((*seeds, *more), (*(None for _ in seeds), *more)):
            torch.library.opcheck(backward, (*args, offsets, *given), test_utils=tuple(check for check in CHECKS if check != "test_autograd_registration"))


@pytest.mark.parametrize("scan", [scan for scan in SCANS if ops.SCANS[scan].ends is not None])
@pytest.mark.parametrize("packed", [False, True])
def test_ends_alone(scan, packed):
    """What ranks hand on is what whole calls give."""
    op, signature = ops.SCANS[scan], reference_of(scan).signature
    offsets = PACKED if packed else None
    args = draw(scan, batch=1 if packed else 2, sequences=4 if packed else 2, states=not packed, dtype=torch.float32)
    results = in_row(op.forward_final(*args, offsets))
    seeds = cotangents(results)
    torch.library.opcheck(op.ends, (*args, offsets), test_utils=CHECKS)
    torch.library.opcheck(op.reverse_ends, (*args, offsets, *seeds), test_utils=tuple(check for check in CHECKS if check != "test_autograd_registration"))
    for found, whole in ((op.ends(*args, offsets), results), (op.reverse_ends(*args, offsets, *seeds), op.backward_initial(*args, offsets, *seeds))):
        last = in_row(whole)[-len(signature.states) :]
        assert len(in_row(found)) == len(last)
        for x, y in zip(in_row(found), last):
            assert x.shape == y.shape and x.dtype == y.dtype and error(x, y) < 1e-5


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("final", [False, True])
def test_gradients_of_what_is_kept(scan, packed, final):
    args = leaves(draw(scan, batch=1 if packed else 2, sequences=4 if packed else 2, dtype=torch.float32))
    options = dict(cu_seqlens=PACKED if packed else None, output_final_state=final)
    found, expected = (call(scan, args, keep=keep, **options) for keep in (True, False))
    for x, y in zip([*found, *gradients(found, args)], [*expected, *gradients(expected, args)]):
        assert torch.equal(x, y)


def in_row(results):
    return (results,) if isinstance(results, torch.Tensor) else tuple(results)


@pytest.mark.parametrize("scan", SCANS)
def test_opcheck_of_steps(scan):
    op = ops.SCANS[scan]
    args = draw(scan, token=True, dtype=torch.float32)
    torch.library.opcheck(op.step_functional, args, test_utils=CHECKS)
    torch.library.opcheck(op.step, args, test_utils=CHECKS)


@pytest.mark.parametrize("scan", SCANS)
def test_opcheck_in_another_order(scan):
    args = permuted(draw(scan, dtype=torch.float32, states=False))
    torch.library.opcheck(ops.SCANS[scan].forward, (*args, None), test_utils=CHECKS)


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("packed", [False, True])
def test_gradcheck(scan, packed):
    args = leaves(draw(scan, batch=1, tokens=4, heads=2, groups=1, sequences=3 if packed else 1))
    offsets = torch.tensor([0, 1, 1, 4]) if packed else None
    # Every element in a batch; packed, random directions of all of them.
    assert torch.autograd.gradcheck(lambda *given: tuple(call(scan, given, output_final_state=True, cu_seqlens=offsets)), args, fast_mode=packed)


@pytest.mark.parametrize("scan", SCANS)
def test_function_agrees_with_its_reference(scan):
    args = leaves(draw(scan))
    reference = getattr(package, f"{module_of(scan)}_reference")
    for options in ({}, {"output_final_state": True}):
        found, expected = call(scan, args, **options), call(scan, args, reference, **options)
        for x, y in zip([*found, *gradients(found, args)], [*expected, *gradients(expected, args)]):
            assert error(x, y) < 1e-10


@pytest.mark.parametrize("scan", SCANS)
def test_only_what_needs_a_gradient_gets_one(scan):
    args = draw(scan)
    first = args[0].clone().requires_grad_()
    results = call(scan, (first, *args[1:]), output_final_state=True)
    sum(x.sum() for x in results).backward()
    assert first.grad is not None
    with torch.no_grad():
        assert not any(x.requires_grad for x in call(scan, (first, *args[1:])))


@pytest.mark.parametrize("scan", SCANS)
def test_steps_decode(scan):
    signature = reference_of(scan).signature
    args = draw(scan, tokens=4)
    inputs, params, states = split(signature, args)
    keywords = {named.name: x for named, x in zip(signature.params, params)}
    expected = call(scan, args, output_final_state=True)
    step, functional = (getattr(package, f"{module_of(scan)}_{kind}") for kind in ("step", "step_functional"))
    whole = lambda parts: parts[0] if len(parts) == 1 else tuple(parts)
    held, kept = [x.clone() for x in states], whole(states)
    for t in range(4):
        token = [x[:, t] for x in inputs]
        outputs = step(*token, whole(held), **keywords)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        *others, kept = functional(*token, kept, **keywords)
        for x, y, all_tokens in zip(outputs, others, expected):
            assert torch.equal(x, y) and error(x, all_tokens[:, t]) < 1e-10
    for x, y in zip(held, expected[len(signature.outputs) :]):
        assert error(x, y) < 1e-10


@pytest.mark.parametrize("scan", SCANS)
def test_a_step_refuses_gradients(scan):
    signature = reference_of(scan).signature
    inputs, params, states = split(signature, draw(scan, token=True))
    keywords = {named.name: x for named, x in zip(signature.params, params)}
    first = inputs[0].clone().requires_grad_()
    with pytest.raises(RuntimeError, match="has no gradient"):
        getattr(package, f"{module_of(scan)}_step")(first, *inputs[1:], states[0] if len(states) == 1 else states, **keywords)


@pytest.mark.parametrize("scan", SCANS)
def test_errors_name_the_tensor(scan):
    signature = reference_of(scan).signature
    args = draw(scan)
    last = len(signature.inputs) - 1
    name = signature.inputs[last].name

    def changed(i, x):
        return (*args[:i], x, *args[i + 1 :])

    with pytest.raises(ValueError, match=rf"{scan}: {name} .*found the shape"):
        call(scan, changed(last, args[last][0]))
    if last > 0:
        with pytest.raises(ValueError, match=rf"{scan}: {name} has T = 6, {signature.inputs[0].name} has T = 7"):
            call(scan, changed(last, args[last][:, :6]))
    with pytest.raises(ValueError, match=rf"{name}.*floating"):
        call(scan, changed(last, args[last].long()))
    with pytest.raises(ValueError, match="packed sequences lie in one row"):
        call(scan, args, cu_seqlens=torch.tensor([0, 3, 7]))
    inputs, params, states = split(signature, draw(scan, batch=1, sequences=2))
    for offsets, message in [
        (torch.tensor([0, 4, 3, 7]), "rise from 0"), (torch.tensor([0, 3, 8]), "rise from 0"), (torch.tensor([1, 3, 7]), "rise from 0"),
        (torch.tensor([0.0, 3.0, 7.0]), "int32 or int64"), (torch.tensor([[0, 3], [3, 7]]), "int32 or int64"), (torch.tensor([0]), "N \\+ 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            call(scan, (*inputs, *params, *(None for _ in states)), cu_seqlens=offsets)
    if states:
        with pytest.raises(ValueError, match=f"the state {signature.states[0].name} has 2 rows for 1 sequences"):
            call(scan, (*inputs, *params, *states))


@pytest.mark.parametrize("scan", SCANS)
def test_offsets_may_lie_in_a_row(scan):
    """[1, N + 1], as loaders give them that batch everything."""
    args = draw(scan, batch=1, sequences=2)
    offsets = torch.tensor([0, 3, 7])
    for options in ({"cu_seqlens": offsets[None]}, {"cu_seqlens": offsets, "cu_seqlens_cpu": offsets[None]}):
        for x, y in zip(call(scan, args, **options), call(scan, args, cu_seqlens=offsets)):
            assert torch.equal(x, y)


@pytest.mark.parametrize("scan", SCANS)
def test_tensors_of_two_devices(scan):
    signature = reference_of(scan).signature
    args = draw(scan, dtype=torch.float32)
    last = len(signature.args) - 1
    if last == 0:
        pytest.skip("a single tensor is on a single device")
    with pytest.raises(ValueError, match=f"{signature.args[last].name} is on meta, {signature.args[0].name} on cpu"):
        signature.check((*args[:last], args[last].to("meta")))


@pytest.mark.parametrize("scan", SCANS)
def test_slices_of_a_fused_projection(scan):
    signature = reference_of(scan).signature
    args = leaves(draw(scan))
    inputs = args[: len(signature.inputs)]
    # As of a projection to all heads of every input; and of one to every input of a head.
    for axis in (2, 3):
        wide = [torch.stack([x.detach(), x.detach()], axis).requires_grad_() for x in inputs]
        slices = [x.select(axis, 1) for x in wide]
        assert any(not x.is_contiguous() for x in slices)
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
            found = call(scan, (*slices, *args[len(inputs) :]))
        expected = call(scan, args)
        begins = {x.data_ptr() for x in kept}
        copied = [named.name for named, x in zip(signature.inputs, slices) if laid(x, len(named.axes)) is x and x.data_ptr() not in begins]
        assert not copied, "kept as they are"
        # Functions of PyTorch on the CPU round the last bit by how their elements lie; gradients read what they gave.
        for x, y in zip(found, expected):
            torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)
        for d, e, x in zip(gradients(found, wide), gradients(expected, inputs), wide):
            torch.testing.assert_close(d.select(axis, 1), e, rtol=1e-12, atol=1e-12)
            assert not d.select(axis, 0).any()


@pytest.mark.parametrize("scan", SCANS)
def test_opcheck_of_slices(scan):
    signature = reference_of(scan).signature
    args = draw(scan, dtype=torch.float32, states=False)
    slices = [torch.stack([x, x], 2).select(2, 1) for x in args[: len(signature.inputs)]]
    torch.library.opcheck(ops.SCANS[scan].forward, (*slices, *args[len(slices) :], None), test_utils=CHECKS)


@pytest.mark.parametrize("scan", SCANS)
def test_autocast(scan):
    args = leaves(draw(scan, dtype=torch.float32))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        results = call(scan, args)
    for named, x in zip(reference_of(scan).signature.outputs, results):
        assert x.dtype == (torch.bfloat16 if named.io and any(y.io for y in reference_of(scan).signature.inputs) else torch.float32)
    for d, x in zip(gradients(results, args), args):
        assert d.dtype == x.dtype == torch.float32
    # Tensors are rounded on the way in, and nothing within.
    signature = reference_of(scan).signature
    rounded = [x.bfloat16() if named.io else x for named, x in zip(signature.args, args)]
    for x, y in zip(results, call(scan, rounded)):
        assert torch.equal(x, y)


@pytest.mark.parametrize("scan", SCANS)
def test_mixed_dtypes_follow_the_first(scan):
    signature = reference_of(scan).signature
    args = leaves(draw(scan, dtype=torch.float32))
    io = [i for i, named in enumerate(signature.inputs) if named.io]
    given = list(args)
    for i in io[:1]:
        given[i] = leaves([args[i].bfloat16()])[0]
    results = call(scan, given)
    for d, x in zip(gradients(results, given), given):
        assert d.dtype == x.dtype


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("loss", [lambda x: x.square().sum(), lambda x: x.sum()], ids=["square", "sum"])
def test_second_derivatives_are_refused(scan, keep, loss):
    """Of a sum, too, whose cotangents need no gradient: a penalty on gradients must not be lost without a word."""
    args = leaves(draw(scan))
    results = call(scan, args, output_final_state=True, keep=keep)
    whole = loss(results[0])
    grads = torch.autograd.grad(whole, [x for x in args if x is not None], create_graph=True, allow_unused=True)
    penalty = sum(d.sum() for d in grads if d is not None)
    for differentiate in (lambda: (whole + penalty).backward(retain_graph=True), lambda: torch.autograd.grad(penalty, args[0], allow_unused=True)):
        with pytest.raises(RuntimeError, match="no second derivative"):
            differentiate()


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("traced", [False, True])
def test_transforms_are_refused_by_name(scan, traced):
    """Kernels see no tangents and no batches: results would be wrong without a word."""
    args = (leaves if traced else list)(draw(scan, tokens=3, states=False))
    first, rest = args[0].detach(), list(args[1:])
    whole = lambda x, function=getattr(package, module_of(scan)): call(scan, [x, *rest], function)[0]
    plain = getattr(package, f"{module_of(scan)}_reference")
    ways = {
        "forward mode": lambda f: torch.func.jvp(f, (first,), (torch.ones_like(first),))[1],
        "grad, vjp": lambda f: torch.func.vjp(f, first)[1](torch.ones_like(f(first)))[0],
        "vmap": lambda f: torch.func.vmap(f)(first[None]),
    }
    for what, way in ways.items():
        with pytest.raises(NotImplementedError, match=f"^{scan}: there is no .*{what}.*_reference"):
            way(whole)
        assert way(lambda x: whole(x, plain)).abs().sum() > 0
    with forward_ad.dual_level(), pytest.raises(NotImplementedError, match=f"^{scan}: there is no forward mode"):
        whole(forward_ad.make_dual(first, torch.ones_like(first)))
    with forward_ad.dual_level():
        assert torch.equal(whole(first), whole(first)), "no tangent is there"
    # Of tensors that no transform knows a call is as ever.
    if not traced:
        assert torch.equal(torch.func.vmap(lambda x: x + whole(first).sum())(torch.zeros(2, dtype=first.dtype)), whole(first).sum().expand(2))


@pytest.mark.parametrize("scan", SCANS)
def test_cotangents_may_come_in_batches(scan):
    args = leaves(draw(scan, tokens=3, states=False))
    o, first = call(scan, args)[0], [x for x in args if x is not None][0]
    seeds = torch.randn(2, *o.shape, dtype=o.dtype)
    found = torch.autograd.grad(o, first, seeds, is_grads_batched=True, retain_graph=True)[0]
    for x, d in zip(found, seeds):
        assert error(x, torch.autograd.grad(o, first, d, retain_graph=True)[0]) < 1e-10


@pytest.mark.parametrize("scan", SCANS)
def test_what_differentiates_gradients_is_refused(scan):
    """torch.autograd.functional takes what nothing depends on for zero: tangents are made of a backward that is differentiated by its cotangents."""
    args = draw(scan, tokens=3, states=False)
    whole = lambda x: call(scan, [x, *args[1:]])[0]
    tangents = torch.autograd.functional
    for way in (lambda: tangents.jvp(whole, args[0], torch.ones_like(args[0])), lambda: tangents.hvp(lambda x: whole(x).square().sum(), args[0], args[0])):
        with pytest.raises(RuntimeError, match="no second derivative"):
            way()


@pytest.mark.parametrize("scan", SCANS)
def test_same_bits_twice(scan):
    args = leaves(draw(scan, dtype=torch.float32))
    first, second = call(scan, args, output_final_state=True), call(scan, args, output_final_state=True)
    for x, y in zip([*first, *gradients(first, args)], [*second, *gradients(second, args)]):
        assert torch.equal(x, y)


@pytest.mark.parametrize("scan", SCANS)
def test_functions_can_be_copied_and_pickled(scan):
    function = getattr(package, module_of(scan))
    assert copy.deepcopy(function) is function
    assert pickle.loads(pickle.dumps(function)) is function


def test_what_the_package_says_of_itself():
    assert package.__version__ and len(package.SOURCE_HASH) == 64
    assert all(hasattr(package, name) for name in package.__all__)
    assert all(isinstance(op, torch._ops.OpOverload) for op in package.SAC_SAVE_OPS)
    assert isinstance(package.doctor(), str)
    for scan in SCANS:
        text = getattr(package, module_of(scan)).__doc__
        assert f"scan {scan}(" in text and "Args:" in text and "Raises:" in text
