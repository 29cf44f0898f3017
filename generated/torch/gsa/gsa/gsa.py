# Made by lmoec 0.1.0; changes will be lost.
# source: sha256 22590fd97ecaa3107d76b6e4756adec4d2f3fd4099de5136a253dbdb1ef95bb9
# command: lmoec build gsa.lmoe --target torch
"""Gated slot attention: a first memory addresses slots, their softmax reads a second one.
Zhang et al. 2024, "Gated Slot Attention for Efficient Linear-Time Sequence Modeling", arXiv:2409.07146.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from . import _ops, _reference, _transitions
from ._calls import exact_dtype, io_dtype, no_gradient, once, packed, ready, traced
from ._layout import laid
from .cp import HeadShards, SequenceShards, sharded

_op = _ops.gsa.calls


class GsaState(NamedTuple):
    """What the tokens so far have left behind."""

    Kt: Tensor  # [N, H, K, M]
    Vt: Tensor  # [N, H, M, V]


class _Gsa(torch.autograd.Function):
    """Keeps what the call was given; backward computes the rest again."""

    @staticmethod
    def forward(ctx: Any, known: Any, q, k, v, g, Kt, Vt, cu_seqlens) -> Any:
        ctx.save_for_backward(q, k, v, g, Kt, Vt, cu_seqlens)
        ctx.set_materialize_grads(False)
        return _op.forward.by(known, (q, k, v, g, Kt, Vt, cu_seqlens))

    @staticmethod
    @once
    def backward(ctx: Any, d_out0) -> Any:
        if d_out0 is None:
            return None, None, None, None, None, None, None, None
        q, k, v, g, Kt, Vt, cu_seqlens = ctx.saved_tensors
        if Kt is not None and ctx.needs_input_grad[5] or Vt is not None and ctx.needs_input_grad[6]:
            return (None, *_op.backward_initial(q, k, v, g, Kt, Vt, cu_seqlens, laid(d_out0), None, None), None)
        return (None, *_op.backward(q, k, v, g, Kt, Vt, cu_seqlens, laid(d_out0), None, None), None, None, None)


class _GsaFinal(torch.autograd.Function):
    """Keeps what the call was given; backward computes the rest again."""

    @staticmethod
    def forward(ctx: Any, known: Any, q, k, v, g, Kt, Vt, cu_seqlens) -> Any:
        ctx.save_for_backward(q, k, v, g, Kt, Vt, cu_seqlens)
        ctx.set_materialize_grads(False)
        return _op.forward_final.by(known, (q, k, v, g, Kt, Vt, cu_seqlens))

    @staticmethod
    @once
    def backward(ctx: Any, d_out0, d_final0, d_final1) -> Any:
        if d_out0 is None and d_final0 is None and d_final1 is None:
            return None, None, None, None, None, None, None, None
        q, k, v, g, Kt, Vt, cu_seqlens = ctx.saved_tensors
        if Kt is not None and ctx.needs_input_grad[5] or Vt is not None and ctx.needs_input_grad[6]:
            return (None, *_op.backward_initial(q, k, v, g, Kt, Vt, cu_seqlens, laid(d_out0), laid(d_final0), laid(d_final1)), None)
        return (None, *_op.backward(q, k, v, g, Kt, Vt, cu_seqlens, laid(d_out0), laid(d_final0), laid(d_final1)), None, None, None)


class _GsaKept(torch.autograd.Function):
    """Keeps what the call was given, and what forward has made that backward would make again by products."""

    @staticmethod
    def forward(ctx: Any, known: Any, q, k, v, g, Kt, Vt, cu_seqlens) -> Any:
        result, kept = _op.forward_kept.by(known, (q, k, v, g, Kt, Vt, cu_seqlens))
        ctx.save_for_backward(q, k, v, g, Kt, Vt, cu_seqlens, kept)
        ctx.set_materialize_grads(False)
        return result

    @staticmethod
    @once
    def backward(ctx: Any, d_out0) -> Any:
        if d_out0 is None:
            return None, None, None, None, None, None, None, None
        q, k, v, g, Kt, Vt, cu_seqlens, kept = ctx.saved_tensors
        if Kt is not None and ctx.needs_input_grad[5] or Vt is not None and ctx.needs_input_grad[6]:
            return (None, *_op.backward_initial_kept(q, k, v, g, Kt, Vt, cu_seqlens, laid(d_out0), None, None, kept), None)
        return (None, *_op.backward_kept(q, k, v, g, Kt, Vt, cu_seqlens, laid(d_out0), None, None, kept), None, None, None)


class _GsaFinalKept(torch.autograd.Function):
    """Keeps what the call was given, and what forward has made that backward would make again by products."""

    @staticmethod
    def forward(ctx: Any, known: Any, q, k, v, g, Kt, Vt, cu_seqlens) -> Any:
        *results, kept = _op.forward_final_kept.by(known, (q, k, v, g, Kt, Vt, cu_seqlens))
        ctx.save_for_backward(q, k, v, g, Kt, Vt, cu_seqlens, kept)
        ctx.set_materialize_grads(False)
        return tuple(results)

    @staticmethod
    @once
    def backward(ctx: Any, d_out0, d_final0, d_final1) -> Any:
        if d_out0 is None and d_final0 is None and d_final1 is None:
            return None, None, None, None, None, None, None, None
        q, k, v, g, Kt, Vt, cu_seqlens, kept = ctx.saved_tensors
        if Kt is not None and ctx.needs_input_grad[5] or Vt is not None and ctx.needs_input_grad[6]:
            return (None, *_op.backward_initial_kept(q, k, v, g, Kt, Vt, cu_seqlens, laid(d_out0), laid(d_final0), laid(d_final1), kept), None)
        return (None, *_op.backward_kept(q, k, v, g, Kt, Vt, cu_seqlens, laid(d_out0), laid(d_final0), laid(d_final1), kept), None, None, None)


_traced = traced(_Gsa, _op.forward)
_traced_final = traced(_GsaFinal, _op.forward_final)
_traced_kept = traced(_GsaKept, _op.forward_kept)
_traced_final_kept = traced(_GsaFinalKept, _op.forward_final_kept)


def gsa(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    *,
    initial_state: GsaState | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    cu_seqlens_cpu: Tensor | None = None,
    keep: bool = False,
    shards: SequenceShards | HeadShards | None = None,
) -> tuple[Tensor, GsaState | None]:
    """Gated slot attention: a first memory addresses slots, their softmax reads a second one.
    Zhang et al. 2024, "Gated Slot Attention for Efficient Linear-Time Sequence Modeling", arXiv:2409.07146.

        scan gsa(q, k: [K], v: [V], g: [M] in -inf..0) -> o: [V] with K = 64, V = 64, M = 64 {
          state Kt: [K, M], Vt: [M, V]

          let write = 1 - exp(g)
          Kt = exp(g) * Kt[t-1] + outer(k, write)
          Vt = exp(g) * Vt[t-1] + outer(write, v)

          let p = softmax[M](q @ Kt / sqrt(K))
          o = p @ Vt
        }

    Args:
        q: [B, T, H, K]; its dtype is that of the call.
        k: [B, T, H, K]; as q.
        v: [B, T, H, V]; as q.
        g: [B, T, H, M], in -inf..0; float32.
        initial_state: Kt [N, H, K, M], Vt [N, H, M, V] in float32, N = B or the number of packed sequences; zeros if None.
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

    Kernels were built for K = 64, V = 64, M = 64 in bf16 on sm80; K = 64, V = 64, M = 64 in bf16 on sm90. Other sizes and float64 run on the CPU.
    Gradients come from the inputs alone: nothing else is kept, unless `keep`. There is no second derivative, no forward mode and no vmap.
    """
    dtype = io_dtype(q)
    exact = exact_dtype(dtype)
    q = q if q.dtype is dtype and q.is_contiguous() else ready(q, dtype, "gsa: q", 1)
    k = k if k.dtype is dtype and k.is_contiguous() else ready(k, dtype, "gsa: k", 1)
    v = v if v.dtype is dtype and v.is_contiguous() else ready(v, dtype, "gsa: v", 1)
    g = g if g.dtype is exact and g.is_contiguous() else ready(g, exact, "gsa: g", 1)
    Kt, Vt = (None, None) if initial_state is None else initial_state
    Kt = None if Kt is None else Kt if Kt.dtype is exact and Kt.is_contiguous() else ready(Kt, exact, "gsa: the state Kt")
    Vt = None if Vt is None else Vt if Vt.dtype is exact and Vt.is_contiguous() else ready(Vt, exact, "gsa: the state Vt")
    if shards is not None:
        rows = (_op, _reference.gsa.signature, _transitions.gsa, (q, k, v, g, Kt, Vt), output_final_state, cu_seqlens)
        results = sharded(gsa, shards, *rows)
        return (*results[:1], GsaState(*results[1:]) if output_final_state else None)
    cu_seqlens = packed(cu_seqlens, cu_seqlens_cpu)
    wanted = torch.is_grad_enabled() and (
        q.requires_grad
        or k.requires_grad
        or v.requires_grad
        or g.requires_grad
        or (Kt is not None and Kt.requires_grad)
        or (Vt is not None and Vt.requires_grad)
    )
    if output_final_state:
        results = (_traced_final_kept if keep else _traced_final)(q, k, v, g, Kt, Vt, cu_seqlens) if wanted else _op.forward_final(q, k, v, g, Kt, Vt, cu_seqlens)
        return results[0], GsaState(*results[1:])
    results = (_traced_kept if keep else _traced)(q, k, v, g, Kt, Vt, cu_seqlens) if wanted else _op.forward(q, k, v, g, Kt, Vt, cu_seqlens)
    return results, None


def gsa_step(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    state: GsaState,
) -> Tensor:
    """One token: the state is updated in place.

    Takes q [B, H, K], k [B, H, K], v [B, H, V], g [B, H, M]; gives o [B, H, V]. Without gradients.
    """
    no_gradient("gsa_step", q, k, v, g)
    dtype = io_dtype(q)
    exact = exact_dtype(dtype)
    q = q if q.dtype is dtype and q.is_contiguous() else ready(q, dtype, "gsa: q", 1)
    k = k if k.dtype is dtype and k.is_contiguous() else ready(k, dtype, "gsa: k", 1)
    v = v if v.dtype is dtype and v.is_contiguous() else ready(v, dtype, "gsa: v", 1)
    g = g if g.dtype is exact and g.is_contiguous() else ready(g, exact, "gsa: g", 1)
    Kt, Vt = state
    return _op.step(q, k, v, g, Kt, Vt)


def gsa_step_functional(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    state: GsaState,
) -> tuple[Tensor, GsaState]:
    """One token: gives the next state and leaves the given one as it is.

    Takes q [B, H, K], k [B, H, K], v [B, H, V], g [B, H, M]; gives o [B, H, V] and the state. Without gradients.
    """
    no_gradient("gsa_step", q, k, v, g)
    dtype = io_dtype(q)
    exact = exact_dtype(dtype)
    q = q if q.dtype is dtype and q.is_contiguous() else ready(q, dtype, "gsa: q", 1)
    k = k if k.dtype is dtype and k.is_contiguous() else ready(k, dtype, "gsa: k", 1)
    v = v if v.dtype is dtype and v.is_contiguous() else ready(v, dtype, "gsa: v", 1)
    g = g if g.dtype is exact and g.is_contiguous() else ready(g, exact, "gsa: g", 1)
    Kt, Vt = state
    Kt = Kt if Kt.dtype is exact and Kt.is_contiguous() else ready(Kt, exact, "gsa: the state Kt")
    Vt = Vt if Vt.dtype is exact and Vt.is_contiguous() else ready(Vt, exact, "gsa: the state Vt")
    results = _op.step_functional(q, k, v, g, Kt, Vt)
    return results[0], GsaState(*results[1:])


def gsa_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    *,
    initial_state: GsaState | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    cu_seqlens_cpu: Tensor | None = None,
) -> tuple[Tensor, GsaState | None]:
    """The formula token by token in plain PyTorch: slow, on any device, in any floating dtype, differentiable by autograd as often as wanted."""
    dtype = io_dtype(q)
    exact = exact_dtype(dtype)
    q = q if q.dtype is dtype and q.is_contiguous() else ready(q, dtype, "gsa: q", 1)
    k = k if k.dtype is dtype and k.is_contiguous() else ready(k, dtype, "gsa: k", 1)
    v = v if v.dtype is dtype and v.is_contiguous() else ready(v, dtype, "gsa: v", 1)
    g = g if g.dtype is exact and g.is_contiguous() else ready(g, exact, "gsa: g", 1)
    Kt, Vt = (None, None) if initial_state is None else initial_state
    Kt = None if Kt is None else Kt if Kt.dtype is exact and Kt.is_contiguous() else ready(Kt, exact, "gsa: the state Kt")
    Vt = None if Vt is None else Vt if Vt.dtype is exact and Vt.is_contiguous() else ready(Vt, exact, "gsa: the state Vt")
    results = _reference.gsa.loop((q, k, v, g, Kt, Vt), packed(cu_seqlens, cu_seqlens_cpu), output_final_state)
    final = GsaState(*results[1:]) if output_final_state else None
    return results[0], final
