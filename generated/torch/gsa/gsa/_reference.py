# Made by lmoec 0.1.0; changes will be lost.
# source: sha256 22590fd97ecaa3107d76b6e4756adec4d2f3fd4099de5136a253dbdb1ef95bb9
# command: lmoec build gsa.lmoe --target torch
"""The formulas in PyTorch: one token, and a chunk of tokens with its gradients, as lmoec derives them. Tensors end with the axes that are named."""

from __future__ import annotations

import math

import torch

from ._algebra import Gate, Read, Write, outer_walk, outer_walk_adjoint, permuted, prefix, prefix_adjoint
from ._drive import Reference
from ._math import chain, gelu, less, number, sign, silu, softplus
from ._signature import Named, Signature


def _gsa_token(q, k, v, g, Kt, Vt):
    """One token of every sequence: q [N, H, K], k [N, H, K], v [N, H, V], g [N, H, M]."""
    x1 = torch.exp(g)
    x2 = -torch.expm1(g)
    x3 = x1[..., :, None] * permuted(Kt, 1, 0) + permuted(k[..., :, None] * x2[..., None, :], 1, 0)
    x4 = torch.einsum("...k,...mk->...m", q, x3) / torch.sqrt(number(q.shape[-1]))
    x5 = torch.exp(x4 - x4.amax(-1)[..., None])
    x6 = x1[..., :, None] * Vt + x2[..., :, None] * v[..., None, :]
    return (torch.einsum("...m,...mv->...v", x5 / x5.sum(-1)[..., None], x6),), (permuted(x3, 1, 0).expand_as(Kt), x6.expand_as(Vt),)


def _gsa_chunk(q, k, v, g, Kt, Vt):
    """The tokens of a chunk: q [N, C, H, K], k [N, C, H, K], v [N, C, H, V], g [N, C, H, M]."""
    tokens = q.shape[-3]
    x1 = -torch.expm1(g)
    [r0_0], Kt_after = outer_walk(Kt, tokens, Gate(g, axis=1), [Write(k, x1)], [Read(q, (True,))])
    x2 = r0_0 / torch.sqrt(number(q.shape[-1]))
    x3 = torch.exp(x2 - x2.amax(-1)[..., None])
    [r1_0], Vt_after = outer_walk(Vt, tokens, Gate(g, axis=0), [Write(x1, v)], [Read(x3 / x3.sum(-1)[..., None], (True,))])
    return (r1_0,), (Kt_after, Vt_after,)


def _gsa_chunk_backward(q, k, v, g, Kt, Vt, d_o, d_Kt, d_Vt):
    """Cotangents of what a chunk takes, from those of what it gives."""
    tokens = q.shape[-3]
    x1 = -torch.expm1(g)
    [r0_0], Kt_after = outer_walk(Kt, tokens, Gate(g, axis=1), [Write(k, x1)], [Read(q, (True,))])
    x2 = torch.sqrt(number(q.shape[-1]))
    x3 = r0_0 / x2
    x4 = x3.amax(-1)
    x5 = torch.exp(x3 - x4[..., None])
    x6 = x5.sum(-1)
    x7 = x5 / x6[..., None]
    [r2_0, r2_1, r2_2, r2_3], d_Vt_before = outer_walk_adjoint(
        Vt,
        d_Vt,
        tokens,
        Gate(g, axis=0),
        [Write(x1, v)],
        [Read(x7, (True,))],
        [d_o],
    )
    x8 = chain(chain(r2_0, (1.0 / x6)[..., None]) + chain(r2_0, -(x7 / x6[..., None])).sum(-1)[..., None], x5)
    [r3_0, r3_1, r3_2, r3_3], d_Kt_before = outer_walk_adjoint(
        Kt,
        d_Kt,
        tokens,
        Gate(g, axis=1),
        [Write(k, x1)],
        [Read(q, (True,))],
        [chain(x8 + (-x8.sum(-1))[..., None] * (1.0 - less(x3, x4[..., None])), 1.0 / x2)],
    )
    return (r3_0, r3_1, r2_2, r2_3 + r3_3 + -(r2_1 + r3_2) * torch.exp(g),), (), (d_Kt_before, d_Vt_before,)


gsa = Reference(
    Signature(
        name="gsa",
        inputs=(
            Named("q", ("K",), io=True),
            Named("k", ("K",), io=True),
            Named("v", ("V",), io=True),
            Named("g", ("M",), high=0),
        ),
        params=(),
        states=(
            Named("Kt", ("K", "M",)),
            Named("Vt", ("M", "V",)),
        ),
        outputs=(
            Named("o", ("V",), io=True),
        ),
    ),
    token=_gsa_token,
    chunk=_gsa_chunk,
    chunk_backward=_gsa_chunk_backward,
    size=16,
)

#: References by the name of the scan, and the names of its functions.
SCANS = {"gsa": gsa}
MODULES = {"gsa": "gsa"}
