"""Activation checkpointing, whole and selective."""

import pytest
import torch
from cases import SCANS, call, draw, gradients, leaves
from subject import ops, package
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("keep", [False, True])
def test_checkpointed(scan, keep):
    args = leaves(draw(scan, dtype=torch.float32))
    expected = call(scan, args, output_final_state=True)
    found = checkpoint(lambda *given: call(scan, given, output_final_state=True, keep=keep), *args, use_reentrant=False)
    for x, y in zip([*found, *gradients(found, args)], [*expected, *gradients(expected, args)]):
        assert torch.equal(x, y)


@pytest.mark.parametrize("scan", SCANS)
def test_policies_keep_the_operators_results(scan):
    args = leaves(draw(scan, dtype=torch.float32))
    calls = []

    class Counter(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, given=(), kwargs=None):
            if func in package.SAC_SAVE_OPS:
                calls.append(func)
            return func(*given, **(kwargs or {}))

    def policy(ctx, op, *given, **kwargs):
        return CheckpointPolicy.MUST_SAVE if op in package.SAC_SAVE_OPS else CheckpointPolicy.PREFER_RECOMPUTE

    with Counter():
        found = checkpoint(
            lambda *given: [x.sin() for x in call(scan, given)], *args, use_reentrant=False, context_fn=lambda: create_selective_checkpoint_contexts(policy)
        )
        found = gradients(found, args)
    assert calls == [ops.SCANS[scan].forward]
    expected = gradients([x.sin() for x in call(scan, args)], args)
    for x, y in zip(found, expected):
        assert torch.equal(x, y)
