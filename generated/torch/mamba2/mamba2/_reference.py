# Made by lmoec 0.1.0; changes will be lost.
# source: sha256 51662da26c3d743e01738d7a7275594e512e571193f064d1f35aac0d44ba0dc3
# command: lmoec build mamba2.lmoe --target torch
"""The formulas in PyTorch: one token, and a chunk of tokens with its gradients, as lmoec derives them. Tensors end with the axes that are named."""

from __future__ import annotations

import math

import torch

from ._algebra import Gate, Read, Write, outer_walk, outer_walk_adjoint, permuted, prefix, prefix_adjoint
from ._drive import Reference
from ._math import chain, gelu, less, number, sign, silu, softplus
from ._signature import Named, Signature


def _mamba2_token(x, dt, B, C, A_log, dt_bias, D, h):
    """One token of every sequence: x [N, H, P], dt [N, H], B [N, H, N], C [N, H, N]."""
    x1 = softplus(dt + dt_bias)
    x2 = torch.exp(-torch.exp(A_log) * x1)[..., None, None] * h + B[..., :, None] * (x1[..., None] * x)[..., None, :]
    return (torch.einsum("...n,...np->...p", C, x2) + D[..., None] * x,), (x2.expand_as(h),)


def _mamba2_chunk(x, dt, B, C, A_log, dt_bias, D, h):
    """The tokens of a chunk: x [N, C, H, P], dt [N, C, H], B [N, C, H, N], C [N, C, H, N]."""
    tokens = x.shape[-3]
    x1 = softplus(dt + dt_bias)
    [r0_0], h_after = outer_walk(h, tokens, Gate(-torch.exp(A_log) * x1), [Write(B, x1[..., None] * x)], [Read(C, (True,))])
    return (r0_0 + D[..., None] * x,), (h_after,)


def _mamba2_chunk_backward(x, dt, B, C, A_log, dt_bias, D, h, d_o, d_h):
    """Cotangents of what a chunk takes, from those of what it gives."""
    tokens = x.shape[-3]
    x1 = torch.exp(A_log)
    x2 = -x1
    x3 = dt + dt_bias
    x4 = softplus(x3)
    x5 = x2 * x4
    x6 = x4[..., None] * x
    [r1_0, r1_1, r1_2, r1_3], d_h_before = outer_walk_adjoint(h, d_h, tokens, Gate(x5), [Write(B, x6)], [Read(C, (True,))], [d_o])
    x7 = chain(torch.einsum("...p,...p->...", r1_2, x) + chain(r1_3, x2), torch.sigmoid(x3))
    return (d_o * D[..., None] + r1_2 * x4[..., None], x7, r1_1, r1_0,), (chain(-(r1_3 * x4), x1), x7, torch.einsum("...p,...p->...", d_o, x),), (d_h_before,)


mamba2 = Reference(
    Signature(
        name="mamba2",
        inputs=(
            Named("x", ("P",), io=True),
            Named("dt", ()),
            Named("B", ("N",), io=True, group=True),
            Named("C", ("N",), io=True, group=True),
        ),
        params=(
            Named("A_log", ()),
            Named("dt_bias", ()),
            Named("D", ()),
        ),
        states=(
            Named("h", ("N", "P",)),
        ),
        outputs=(
            Named("o", ("P",), io=True),
        ),
    ),
    token=_mamba2_token,
    chunk=_mamba2_chunk,
    chunk_backward=_mamba2_chunk_backward,
    size=64,
)

#: References by the name of the scan, and the names of its functions.
SCANS = {"mamba2": mamba2}
MODULES = {"mamba2": "mamba2"}
