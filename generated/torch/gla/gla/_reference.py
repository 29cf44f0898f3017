# Made by lmoec 0.1.0; changes will be lost.
# source: sha256 713cdd316db04ad613ff9411f7e1e9a36f10f77bde674be8019f7aad40f1e6ce
# command: lmoec build gla.lmoe --target torch
"""The formulas in PyTorch: one token, and a chunk of tokens with its gradients, as lmoec derives them. Tensors end with the axes that are named."""

from __future__ import annotations

import math

import torch

from ._algebra import Gate, Read, Write, outer_walk, outer_walk_adjoint, permuted, prefix, prefix_adjoint
from ._drive import Reference
from ._math import chain, gelu, less, number, sign, silu, softplus
from ._signature import Named, Signature


def _gla_token(q, k, v, g, S):
    """One token of every sequence: q [N, H, K], k [N, H, K], v [N, H, V], g [N, H, K]."""
    x1 = torch.exp(g)[..., :, None] * S + k[..., :, None] * v[..., None, :]
    return (torch.einsum("...k,...kv->...v", q, x1) / torch.sqrt(number(q.shape[-1])),), (x1.expand_as(S),)


def _gla_chunk(q, k, v, g, S):
    """The tokens of a chunk: q [N, C, H, K], k [N, C, H, K], v [N, C, H, V], g [N, C, H, K]."""
    tokens = q.shape[-3]
    [r0_0], S_after = outer_walk(S, tokens, Gate(g, axis=0), [Write(k, v)], [Read(q, (True,))])
    return (r0_0 / torch.sqrt(number(q.shape[-1])),), (S_after,)


def _gla_chunk_backward(q, k, v, g, S, d_o, d_S):
    """Cotangents of what a chunk takes, from those of what it gives."""
    tokens = q.shape[-3]
    [r1_0, r1_1, r1_2, r1_3], d_S_before = outer_walk_adjoint(
        S,
        d_S,
        tokens,
        Gate(g, axis=0),
        [Write(k, v)],
        [Read(q, (True,))],
        [d_o * (1.0 / torch.sqrt(number(q.shape[-1])))],
    )
    return (r1_0, r1_1, r1_2, r1_3,), (), (d_S_before,)


gla = Reference(
    Signature(
        name="gla",
        inputs=(
            Named("q", ("K",), io=True),
            Named("k", ("K",), io=True),
            Named("v", ("V",), io=True),
            Named("g", ("K",), high=0),
        ),
        params=(),
        states=(
            Named("S", ("K", "V",)),
        ),
        outputs=(
            Named("o", ("V",), io=True),
        ),
    ),
    token=_gla_token,
    chunk=_gla_chunk,
    chunk_backward=_gla_chunk_backward,
    size=16,
)

#: References by the name of the scan, and the names of its functions.
SCANS = {"gla": gla}
MODULES = {"gla": "gla"}
