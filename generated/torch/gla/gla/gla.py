# Made by lmoec 0.1.0; changes will be lost.
# source: sha256 713cdd316db04ad613ff9411f7e1e9a36f10f77bde674be8019f7aad40f1e6ce
# command: lmoec build gla.lmoe --target torch
"""Gated linear attention: every key channel decays on its own.
Yang et al. 2023, "Gated Linear Attention Transformers with Hardware-Efficient Training", arXiv:2312.06635.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from . import _ops, _reference, _transitions
from ._calls import exact_dtype, io_dtype, no_gradient, once, packed, ready, traced
from ._layout import laid
from .cp import HeadShards, SequenceShards, sharded

_op = _ops.gla.calls


class _Gla(torch.autograd.Function):
    """Keeps what the call was given; backward computes the rest again."""

    @staticmethod
    def forward(ctx: Any, known: Any, q, k, v, g, S, cu_seqlens) -> Any:
        ctx.save_for_backward(q, k, v, g, S, cu_seqlens)
        ctx.set_materialize_grads(False)
        return _op.forward.by(known, (q, k, v, g, S, cu_seqlens))

    @staticmethod
    @once
    def backward(ctx: Any, d_out0) -> Any:
        if d_out0 is None:
            return None, None, None, None, None, None, None
        q, k, v, g, S, cu_seqlens = ctx.saved_tensors
        if S is not None and ctx.needs_input_grad[5]:
            return (None, *_op.backward_initial(q, k, v, g, S, cu_seqlens, laid(d_out0), None), None)
        return (None, *_op.backward(q, k, v, g, S, cu_seqlens, laid(d_out0), None), None, None)


class _GlaFinal(torch.autograd.Function):
    """Keeps what the call was given; backward computes the rest again."""

    @staticmethod
    def forward(ctx: Any, known: Any, q, k, v, g, S, cu_seqlens) -> Any:
        ctx.save_for_backward(q, k, v, g, S, cu_seqlens)
        ctx.set_materialize_grads(False)
        return _op.forward_final.by(known, (q, k, v, g, S, cu_seqlens))

    @staticmethod
    @once
    def backward(ctx: Any, d_out0, d_final0) -> Any:
        if d_out0 is None and d_final0 is None:
            return None, None, None, None, None, None, None
        q, k, v, g, S, cu_seqlens = ctx.saved_tensors
        if S is not None and ctx.needs_input_grad[5]:
            return (None, *_op.backward_initial(q, k, v, g, S, cu_seqlens, laid(d_out0), laid(d_final0)), None)
        return (None, *_op.backward(q, k, v, g, S, cu_seqlens, laid(d_out0), laid(d_final0)), None, None)


class _GlaKept(torch.autograd.Function):
    """Keeps what the call was given, and what forward has made that backward would make again by products."""

    @staticmethod
    def forward(ctx: Any, known: Any, q, k, v, g, S, cu_seqlens) -> Any:
        result, kept = _op.forward_kept.by(known, (q, k, v, g, S, cu_seqlens))
        ctx.save_for_backward(q, k, v, g, S, cu_seqlens, kept)
        ctx.set_materialize_grads(False)
        return result

    @staticmethod
    @once
    def backward(ctx: Any, d_out0) -> Any:
        if d_out0 is None:
            return None, None, None, None, None, None, None
        q, k, v, g, S, cu_seqlens, kept = ctx.saved_tensors
        if S is not None and ctx.needs_input_grad[5]:
            return (None, *_op.backward_initial_kept(q, k, v, g, S, cu_seqlens, laid(d_out0), None, kept), None)
        return (None, *_op.backward_kept(q, k, v, g, S, cu_seqlens, laid(d_out0), None, kept), None, None)


class _GlaFinalKept(torch.autograd.Function):
    """Keeps what the call was given, and what forward has made that backward would make again by products."""

    @staticmethod
    def forward(ctx: Any, known: Any, q, k, v, g, S, cu_seqlens) -> Any:
        *results, kept = _op.forward_final_kept.by(known, (q, k, v, g, S, cu_seqlens))
        ctx.save_for_backward(q, k, v, g, S, cu_seqlens, kept)
        ctx.set_materialize_grads(False)
        return tuple(results)

    @staticmethod
    @once
    def backward(ctx: Any, d_out0, d_final0) -> Any:
        if d_out0 is None and d_final0 is None:
            return None, None, None, None, None, None, None
        q, k, v, g, S, cu_seqlens, kept = ctx.saved_tensors
        if S is not None and ctx.needs_input_grad[5]:
            return (None, *_op.backward_initial_kept(q, k, v, g, S, cu_seqlens, laid(d_out0), laid(d_final0), kept), None)
        return (None, *_op.backward_kept(q, k, v, g, S, cu_seqlens, laid(d_out0), laid(d_final0), kept), None, None)


_traced = traced(_Gla, _op.forward)
_traced_final = traced(_GlaFinal, _op.forward_final)
_traced_kept = traced(_GlaKept, _op.forward_kept)
_traced_final_kept = traced(_GlaFinalKept, _op.forward_final_kept)


def gla(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    *,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    cu_seqlens_cpu: Tensor | None = None,
    keep: bool = False,
    shards: SequenceShards | HeadShards | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Gated linear attention: every key channel decays on its own.
    Yang et al. 2023, "Gated Linear Attention Transformers with Hardware-Efficient Training", arXiv:2312.06635.

        scan gla(q, k: [K], v: [V], g: [K] in -inf..0) -> o: [V] with K = 64, V = 64 {
          state S: [K, V]

          S = exp(g) * S[t-1] + outer(k, v)
          o = q @ S / sqrt(K)
        }

    Args:
        q: [B, T, H, K]; its dtype is that of the call.
        k: [B, T, H, K]; as q.
        v: [B, T, H, V]; as q.
        g: [B, T, H, K], in -inf..0; float32.
        initial_state: S [N, H, K, V] in float32, N = B or the number of packed sequences; zeros if None.
        output_final_state: gives the state after the last token, too.
        cu_seqlens: int32 or int64 [N + 1] or [1, N + 1], on the device: offsets of packed sequences, which lie in one row (B = 1).
        cu_seqlens_cpu: the same on the CPU, where a caller has it: saves work in eager mode.
        keep: on CUDA, what forward has made that backward would make again by products (scores, solves, cumulated gates) waits for it in memory, if there is such: backward is faster, more is held between the two, gradients are the same. Of shards nothing is kept.
        shards: the tokens are those of one rank out of a longer row (module `cp`).

    Returns:
        o [B, T, H, V], and the state after the last token of every sequence where `output_final_state`, else None.

    Raises:
        ValueError: a shape, dtype, device or `cu_seqlens` that does not fit; the message names the tensor.
        LmoecError: no kernels for the device, the dtype or the sizes; the message says what to do.

    Kernels were built for K = 64, V = 64 in bf16 on sm80; K = 64, V = 64 in bf16 on sm90. Other sizes and float64 run on the CPU.
    Gradients come from the inputs alone: nothing else is kept, unless `keep`. There is no second derivative, no forward mode and no vmap.
    """
    dtype = io_dtype(q)
    exact = exact_dtype(dtype)
    q = q if q.dtype is dtype and q.is_contiguous() else ready(q, dtype, "gla: q", 1)
    k = k if k.dtype is dtype and k.is_contiguous() else ready(k, dtype, "gla: k", 1)
    v = v if v.dtype is dtype and v.is_contiguous() else ready(v, dtype, "gla: v", 1)
    g = g if g.dtype is exact and g.is_contiguous() else ready(g, exact, "gla: g", 1)
    S = initial_state
    S = None if S is None else S if S.dtype is exact and S.is_contiguous() else ready(S, exact, "gla: the state S")
    if shards is not None:
        rows = (_op, _reference.gla.signature, _transitions.gla, (q, k, v, g, S), output_final_state, cu_seqlens)
        results = sharded(gla, shards, *rows)
        return (*results[:1], results[1] if output_final_state else None)
    cu_seqlens = packed(cu_seqlens, cu_seqlens_cpu)
    wanted = torch.is_grad_enabled() and (
        q.requires_grad
        or k.requires_grad
        or v.requires_grad
        or g.requires_grad
        or (S is not None and S.requires_grad)
    )
    if output_final_state:
        results = (_traced_final_kept if keep else _traced_final)(q, k, v, g, S, cu_seqlens) if wanted else _op.forward_final(q, k, v, g, S, cu_seqlens)
        return results[0], results[1]
    results = (_traced_kept if keep else _traced)(q, k, v, g, S, cu_seqlens) if wanted else _op.forward(q, k, v, g, S, cu_seqlens)
    return results, None


def gla_step(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    state: Tensor,
) -> Tensor:
    """One token: the state is updated in place.

    Takes q [B, H, K], k [B, H, K], v [B, H, V], g [B, H, K]; gives o [B, H, V]. Without gradients.
    """
    no_gradient("gla_step", q, k, v, g)
    dtype = io_dtype(q)
    exact = exact_dtype(dtype)
    q = q if q.dtype is dtype and q.is_contiguous() else ready(q, dtype, "gla: q", 1)
    k = k if k.dtype is dtype and k.is_contiguous() else ready(k, dtype, "gla: k", 1)
    v = v if v.dtype is dtype and v.is_contiguous() else ready(v, dtype, "gla: v", 1)
    g = g if g.dtype is exact and g.is_contiguous() else ready(g, exact, "gla: g", 1)
    S = state
    return _op.step(q, k, v, g, S)


def gla_step_functional(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    state: Tensor,
) -> tuple[Tensor, Tensor]:
    """One token: gives the next state and leaves the given one as it is.

    Takes q [B, H, K], k [B, H, K], v [B, H, V], g [B, H, K]; gives o [B, H, V] and the state. Without gradients.
    """
    no_gradient("gla_step", q, k, v, g)
    dtype = io_dtype(q)
    exact = exact_dtype(dtype)
    q = q if q.dtype is dtype and q.is_contiguous() else ready(q, dtype, "gla: q", 1)
    k = k if k.dtype is dtype and k.is_contiguous() else ready(k, dtype, "gla: k", 1)
    v = v if v.dtype is dtype and v.is_contiguous() else ready(v, dtype, "gla: v", 1)
    g = g if g.dtype is exact and g.is_contiguous() else ready(g, exact, "gla: g", 1)
    S = state
    S = S if S.dtype is exact and S.is_contiguous() else ready(S, exact, "gla: the state S")
    results = _op.step_functional(q, k, v, g, S)
    return results[0], results[1]


def gla_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    *,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    cu_seqlens_cpu: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The formula token by token in plain PyTorch: slow, on any device, in any floating dtype, differentiable by autograd as often as wanted."""
    dtype = io_dtype(q)
    exact = exact_dtype(dtype)
    q = q if q.dtype is dtype and q.is_contiguous() else ready(q, dtype, "gla: q", 1)
    k = k if k.dtype is dtype and k.is_contiguous() else ready(k, dtype, "gla: k", 1)
    v = v if v.dtype is dtype and v.is_contiguous() else ready(v, dtype, "gla: v", 1)
    g = g if g.dtype is exact and g.is_contiguous() else ready(g, exact, "gla: g", 1)
    S = initial_state
    S = None if S is None else S if S.dtype is exact and S.is_contiguous() else ready(S, exact, "gla: the state S")
    results = _reference.gla.loop((q, k, v, g, S), packed(cu_seqlens, cu_seqlens_cpu), output_final_state)
    final = results[1] if output_final_state else None
    return results[0], final
