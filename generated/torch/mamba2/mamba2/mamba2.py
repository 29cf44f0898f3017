# Made by lmoec 0.1.0; changes will be lost.
# source: sha256 51662da26c3d743e01738d7a7275594e512e571193f064d1f35aac0d44ba0dc3
# command: lmoec build mamba2.lmoe --target torch
"""Mamba-2 (SSD): the step size discretises a scalar A; B and C are shared within a group of heads; D skips the state.
Dao and Gu 2024, "Transformers are SSMs: Generalized Models and Efficient Algorithms Through Structured State Space Duality", arXiv:2405.21060.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from . import _ops, _reference, _transitions
from ._calls import exact_dtype, io_dtype, no_gradient, once, packed, ready, traced
from ._layout import laid
from .cp import HeadShards, SequenceShards, sharded

_op = _ops.mamba2.calls


class _Mamba2(torch.autograd.Function):
    """Keeps what the call was given; backward computes the rest again."""

    @staticmethod
    def forward(ctx: Any, known: Any, x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens) -> Any:
        ctx.save_for_backward(x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens)
        ctx.set_materialize_grads(False)
        return _op.forward.by(known, (x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens))

    @staticmethod
    @once
    def backward(ctx: Any, d_out0) -> Any:
        if d_out0 is None:
            return None, None, None, None, None, None, None, None, None, None
        x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens = ctx.saved_tensors
        if h is not None and ctx.needs_input_grad[8]:
            return (None, *_op.backward_initial(x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens, laid(d_out0), None), None)
        return (None, *_op.backward(x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens, laid(d_out0), None), None, None)


class _Mamba2Final(torch.autograd.Function):
    """Keeps what the call was given; backward computes the rest again."""

    @staticmethod
    def forward(ctx: Any, known: Any, x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens) -> Any:
        ctx.save_for_backward(x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens)
        ctx.set_materialize_grads(False)
        return _op.forward_final.by(known, (x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens))

    @staticmethod
    @once
    def backward(ctx: Any, d_out0, d_final0) -> Any:
        if d_out0 is None and d_final0 is None:
            return None, None, None, None, None, None, None, None, None, None
        x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens = ctx.saved_tensors
        if h is not None and ctx.needs_input_grad[8]:
            return (None, *_op.backward_initial(x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens, laid(d_out0), laid(d_final0)), None)
        return (None, *_op.backward(x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens, laid(d_out0), laid(d_final0)), None, None)


class _Mamba2Kept(torch.autograd.Function):
    """Keeps what the call was given, and what forward has made that backward would make again by products."""

    @staticmethod
    def forward(ctx: Any, known: Any, x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens) -> Any:
        result, kept = _op.forward_kept.by(known, (x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens))
        ctx.save_for_backward(x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens, kept)
        ctx.set_materialize_grads(False)
        return result

    @staticmethod
    @once
    def backward(ctx: Any, d_out0) -> Any:
        if d_out0 is None:
            return None, None, None, None, None, None, None, None, None, None
        x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens, kept = ctx.saved_tensors
        if h is not None and ctx.needs_input_grad[8]:
            return (None, *_op.backward_initial_kept(x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens, laid(d_out0), None, kept), None)
        return (None, *_op.backward_kept(x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens, laid(d_out0), None, kept), None, None)


class _Mamba2FinalKept(torch.autograd.Function):
    """Keeps what the call was given, and what forward has made that backward would make again by products."""

    @staticmethod
    def forward(ctx: Any, known: Any, x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens) -> Any:
        *results, kept = _op.forward_final_kept.by(known, (x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens))
        ctx.save_for_backward(x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens, kept)
        ctx.set_materialize_grads(False)
        return tuple(results)

    @staticmethod
    @once
    def backward(ctx: Any, d_out0, d_final0) -> Any:
        if d_out0 is None and d_final0 is None:
            return None, None, None, None, None, None, None, None, None, None
        x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens, kept = ctx.saved_tensors
        if h is not None and ctx.needs_input_grad[8]:
            return (None, *_op.backward_initial_kept(x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens, laid(d_out0), laid(d_final0), kept), None)
        return (None, *_op.backward_kept(x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens, laid(d_out0), laid(d_final0), kept), None, None)


_traced = traced(_Mamba2, _op.forward)
_traced_final = traced(_Mamba2Final, _op.forward_final)
_traced_kept = traced(_Mamba2Kept, _op.forward_kept)
_traced_final_kept = traced(_Mamba2FinalKept, _op.forward_final_kept)


def mamba2(
    x: Tensor,
    dt: Tensor,
    B: Tensor,
    C: Tensor,
    *,
    A_log: Tensor,
    dt_bias: Tensor,
    D: Tensor,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    cu_seqlens_cpu: Tensor | None = None,
    keep: bool = False,
    shards: SequenceShards | HeadShards | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Mamba-2 (SSD): the step size discretises a scalar A; B and C are shared within a group of heads; D skips the state.
    Dao and Gu 2024, "Transformers are SSMs: Generalized Models and Efficient Algorithms Through Structured State Space Duality", arXiv:2405.21060.

        scan mamba2(x: [P], dt: [], B, C: [N] per group) -> o: [P] with N = 64, P = 64 {
          param A_log, dt_bias, D: []
          state h: [N, P]

          let delta = softplus(dt + dt_bias)
          h = exp(-exp(A_log) * delta) * h[t-1] + outer(B, delta * x)
          o = C @ h + D * x
        }

    Args:
        x: [B, T, H, P]; its dtype is that of the call.
        dt: [B, T, H]; float32.
        B: [B, T, G, N]; as x; one for each group of heads, H a multiple of G.
        C: [B, T, G, N]; as x; one for each group of heads, H a multiple of G.
        A_log: [H]; float32.
        dt_bias: [H]; float32.
        D: [H]; float32.
        initial_state: h [N, H, N, P] in float32, N = B or the number of packed sequences; zeros if None.
        output_final_state: gives the state after the last token, too.
        cu_seqlens: int32 or int64 [N + 1] or [1, N + 1], on the device: offsets of packed sequences, which lie in one row (B = 1).
        cu_seqlens_cpu: the same on the CPU, where a caller has it: saves work in eager mode.
        keep: on CUDA, what forward has made that backward would make again by products (scores, solves, cumulated gates) waits for it in memory, if there is such: backward is faster, more is held between the two, gradients are the same. Of shards nothing is kept.
        shards: the tokens are those of one rank out of a longer row (module `cp`).

    Returns:
        o [B, T, H, P], and the state after the last token of every sequence where `output_final_state`, else None.

    Raises:
        ValueError: a shape, dtype, device or `cu_seqlens` that does not fit; the message names the tensor.
        LmoecError: no kernels for the device, the dtype or the sizes; the message says what to do.

    Kernels were built for P = 64, N = 64 in bf16 on sm80; P = 64, N = 64 in bf16 on sm90. Other sizes and float64 run on the CPU.
    Gradients come from the inputs alone: nothing else is kept, unless `keep`. There is no second derivative, no forward mode and no vmap.
    """
    dtype = io_dtype(x)
    exact = exact_dtype(dtype)
    x = x if x.dtype is dtype and x.is_contiguous() else ready(x, dtype, "mamba2: x", 1)
    dt = dt if dt.dtype is exact and dt.is_contiguous() else ready(dt, exact, "mamba2: dt", 0)
    B = B if B.dtype is dtype and B.is_contiguous() else ready(B, dtype, "mamba2: B", 1)
    C = C if C.dtype is dtype and C.is_contiguous() else ready(C, dtype, "mamba2: C", 1)
    A_log = A_log if A_log.dtype is exact and A_log.is_contiguous() else ready(A_log, exact, "mamba2: A_log")
    dt_bias = dt_bias if dt_bias.dtype is exact and dt_bias.is_contiguous() else ready(dt_bias, exact, "mamba2: dt_bias")
    D = D if D.dtype is exact and D.is_contiguous() else ready(D, exact, "mamba2: D")
    h = initial_state
    h = None if h is None else h if h.dtype is exact and h.is_contiguous() else ready(h, exact, "mamba2: the state h")
    if shards is not None:
        rows = (_op, _reference.mamba2.signature, _transitions.mamba2, (x, dt, B, C, A_log, dt_bias, D, h), output_final_state, cu_seqlens)
        results = sharded(mamba2, shards, *rows)
        return (*results[:1], results[1] if output_final_state else None)
    cu_seqlens = packed(cu_seqlens, cu_seqlens_cpu)
    wanted = torch.is_grad_enabled() and (
        x.requires_grad
        or dt.requires_grad
        or B.requires_grad
        or C.requires_grad
        or A_log.requires_grad
        or dt_bias.requires_grad
        or D.requires_grad
        or (h is not None and h.requires_grad)
    )
    if output_final_state:
        results = (_traced_final_kept if keep else _traced_final)(x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens) if wanted else _op.forward_final(x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens)
        return results[0], results[1]
    results = (_traced_kept if keep else _traced)(x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens) if wanted else _op.forward(x, dt, B, C, A_log, dt_bias, D, h, cu_seqlens)
    return results, None


def mamba2_step(
    x: Tensor,
    dt: Tensor,
    B: Tensor,
    C: Tensor,
    state: Tensor,
    *,
    A_log: Tensor,
    dt_bias: Tensor,
    D: Tensor,
) -> Tensor:
    """One token: the state is updated in place.

    Takes x [B, H, P], dt [B, H], B [B, G, N], C [B, G, N]; gives o [B, H, P]. Without gradients.
    """
    no_gradient("mamba2_step", x, dt, B, C, A_log, dt_bias, D)
    dtype = io_dtype(x)
    exact = exact_dtype(dtype)
    x = x if x.dtype is dtype and x.is_contiguous() else ready(x, dtype, "mamba2: x", 1)
    dt = dt if dt.dtype is exact and dt.is_contiguous() else ready(dt, exact, "mamba2: dt", 0)
    B = B if B.dtype is dtype and B.is_contiguous() else ready(B, dtype, "mamba2: B", 1)
    C = C if C.dtype is dtype and C.is_contiguous() else ready(C, dtype, "mamba2: C", 1)
    A_log = A_log if A_log.dtype is exact and A_log.is_contiguous() else ready(A_log, exact, "mamba2: A_log")
    dt_bias = dt_bias if dt_bias.dtype is exact and dt_bias.is_contiguous() else ready(dt_bias, exact, "mamba2: dt_bias")
    D = D if D.dtype is exact and D.is_contiguous() else ready(D, exact, "mamba2: D")
    h = state
    return _op.step(x, dt, B, C, A_log, dt_bias, D, h)


def mamba2_step_functional(
    x: Tensor,
    dt: Tensor,
    B: Tensor,
    C: Tensor,
    state: Tensor,
    *,
    A_log: Tensor,
    dt_bias: Tensor,
    D: Tensor,
) -> tuple[Tensor, Tensor]:
    """One token: gives the next state and leaves the given one as it is.

    Takes x [B, H, P], dt [B, H], B [B, G, N], C [B, G, N]; gives o [B, H, P] and the state. Without gradients.
    """
    no_gradient("mamba2_step", x, dt, B, C, A_log, dt_bias, D)
    dtype = io_dtype(x)
    exact = exact_dtype(dtype)
    x = x if x.dtype is dtype and x.is_contiguous() else ready(x, dtype, "mamba2: x", 1)
    dt = dt if dt.dtype is exact and dt.is_contiguous() else ready(dt, exact, "mamba2: dt", 0)
    B = B if B.dtype is dtype and B.is_contiguous() else ready(B, dtype, "mamba2: B", 1)
    C = C if C.dtype is dtype and C.is_contiguous() else ready(C, dtype, "mamba2: C", 1)
    A_log = A_log if A_log.dtype is exact and A_log.is_contiguous() else ready(A_log, exact, "mamba2: A_log")
    dt_bias = dt_bias if dt_bias.dtype is exact and dt_bias.is_contiguous() else ready(dt_bias, exact, "mamba2: dt_bias")
    D = D if D.dtype is exact and D.is_contiguous() else ready(D, exact, "mamba2: D")
    h = state
    h = h if h.dtype is exact and h.is_contiguous() else ready(h, exact, "mamba2: the state h")
    results = _op.step_functional(x, dt, B, C, A_log, dt_bias, D, h)
    return results[0], results[1]


def mamba2_reference(
    x: Tensor,
    dt: Tensor,
    B: Tensor,
    C: Tensor,
    *,
    A_log: Tensor,
    dt_bias: Tensor,
    D: Tensor,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    cu_seqlens_cpu: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The formula token by token in plain PyTorch: slow, on any device, in any floating dtype, differentiable by autograd as often as wanted."""
    dtype = io_dtype(x)
    exact = exact_dtype(dtype)
    x = x if x.dtype is dtype and x.is_contiguous() else ready(x, dtype, "mamba2: x", 1)
    dt = dt if dt.dtype is exact and dt.is_contiguous() else ready(dt, exact, "mamba2: dt", 0)
    B = B if B.dtype is dtype and B.is_contiguous() else ready(B, dtype, "mamba2: B", 1)
    C = C if C.dtype is dtype and C.is_contiguous() else ready(C, dtype, "mamba2: C", 1)
    A_log = A_log if A_log.dtype is exact and A_log.is_contiguous() else ready(A_log, exact, "mamba2: A_log")
    dt_bias = dt_bias if dt_bias.dtype is exact and dt_bias.is_contiguous() else ready(dt_bias, exact, "mamba2: dt_bias")
    D = D if D.dtype is exact and D.is_contiguous() else ready(D, exact, "mamba2: D")
    h = initial_state
    h = None if h is None else h if h.dtype is exact and h.is_contiguous() else ready(h, exact, "mamba2: the state h")
    results = _reference.mamba2.loop((x, dt, B, C, A_log, dt_bias, D, h), packed(cu_seqlens, cu_seqlens_cpu), output_final_state)
    final = results[1] if output_final_state else None
    return results[0], final
