"""What functions do before and after an operator: whom it goes past, which dtype and layout its tensors have."""

from __future__ import annotations

from typing import Any, Callable

import torch
from torch import Tensor
from torch.autograd import forward_ad

from . import _host as host
from ._layout import laid


def _absent() -> bool:
    """In the place of a question that this torch does not answer: somebody may stand between."""
    return True


VMAP, FORWARD = "vmap", "forward mode (torch.func.jvp, jacfwd, dual numbers)"

# Whoever wants to see operators: compilers and tracers, modes, transforms, profilers. Subclasses of tensors see them too.
_compiling = torch.compiler.is_compiling
_tracing = getattr(torch._C, "_is_tracing", _absent)
_dispatch_modes = getattr(torch._C, "_len_torch_dispatch_stack", _absent)
_function_modes = getattr(torch._C, "_len_torch_function_stack", _absent)
_transforms = getattr(torch._C, "_are_functorch_transforms_active", _absent)
_profiling = getattr(torch.autograd, "_profiler_enabled", _absent)
_some_autocast = getattr(torch._C, "_is_any_autocast_enabled", _absent)


def _forward_mode() -> bool:
    """May tensors carry tangents? They do so within a level of dual numbers."""
    return forward_ad._current_level >= 0


def watched() -> bool:
    return _compiling() or _dispatch_modes() or _function_modes() or _transforms() or _forward_mode() or _profiling() or _tracing()


def transform(given: tuple[Tensor | None, ...]) -> str | None:
    """Through what transform of torch.func, or with what tangents, tensors have come: kernels see values alone, which would be a wrong result without a word."""
    if _compiling():
        # A traced program's tensors do not say it: there a transform is refused whatever it is of.
        return "transform of torch.func in a compiled program" if _transforms() else None
    present = [x for x in given if isinstance(x, Tensor)]
    if _transforms():
        functorch = torch._C._functorch
        if any(map(functorch.is_batchedtensor, present)):
            return VMAP
        if any(map(functorch.is_gradtrackingtensor, present)):
            jvp = functorch.peek_interpreter_stack().key() == functorch.TransformType.Jvp
            return FORWARD if jvp else "torch.func.grad, vjp or jacrev"
    if _forward_mode() and any(forward_ad.unpack_dual(x).tangent is not None for x in present):
        return FORWARD
    return None


def straight(given: tuple[Tensor | None, ...]) -> bool:
    """Would torch's dispatcher do nothing but pass a call on to our kernels? Its way there costs more than half of what their launch does."""
    return not watched() and host.plain(given) and host.device_of(given[0]) >= 0


def traced(function: type[torch.autograd.Function], call: Any) -> Callable[..., Any]:
    """`apply` of an autograd function whose first argument is what `call` knows. Tensors that it knows are no transform's, which
    torch's own `apply` asks of each before it goes on to that of its base: a third of what it takes."""
    past = getattr(super(torch.autograd.Function, function), "apply", function.apply)

    def apply(*given: Tensor | None) -> Any:
        known = call.known(given)
        if known is not None:
            return past(known, *given)
        call.refuse(given)
        return function.apply(None, *given)

    return apply


class _Once(torch.autograd.Function):
    """Gradients as they are, made of tensors behind them: whoever differentiates them by one of those is told."""

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tensors[:count]

    @staticmethod
    def backward(ctx: Any, *_: Tensor | None) -> Any:
        raise RuntimeError("there is no second derivative through operators of lmoec; functions that end in _reference are plain PyTorch, which has it")


class _Unpacked:
    """The context of a backward, whose tensors are unpacked once: checkpointing does it no second time."""

    def __init__(self, ctx: Any) -> None:
        self._ctx, self.saved_tensors = ctx, ctx.saved_tensors

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ctx, name)


def once(backward: Callable[..., Any]) -> Callable[..., Any]:
    """As `once_differentiable`, where somebody is about to differentiate gradients: saying so takes longer than the rest of what Python does in a backward.
    Unlike torch's, which cuts gradients off from what they were made of, so that whoever lets tensors be unused (torch.autograd.functional) gets zeros for them."""

    def run(ctx: Any, *cotangents: Tensor | None) -> Any:
        if not torch.is_grad_enabled() or _compiling():
            return backward(ctx, *cotangents)
        unpacked = _Unpacked(ctx)
        with torch.no_grad():
            results = backward(unpacked, *cotangents)
        made = [x for x in results if x is not None]
        behind = [x for x in (*cotangents, *unpacked.saved_tensors) if x is not None and x.requires_grad]
        told = iter(_Once.apply(len(made), *made, *behind))
        return tuple([None if x is None else next(told) for x in results])

    return run


def io_dtype(x: Tensor) -> torch.dtype:
    """The dtype of a call whose first io input is `x`: under autocast that of autocast."""
    if _some_autocast() and torch.is_autocast_enabled(x.device.type) and x.dtype != torch.float64:
        return torch.get_autocast_dtype(x.device.type)
    return x.dtype


def exact_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def ready(x: Tensor, dtype: torch.dtype, name: str, own: int | None = None) -> Tensor:
    """The tensor in the dtype and the layout that the operators want. `own`: axes of one head, of what is given token by token."""
    if x.dtype != dtype:
        if not x.is_floating_point():
            raise ValueError(f"{name} must be of a floating dtype, found {x.dtype}")
        x = x.to(dtype)
    return laid(x, own)


def packed(cu_seqlens: Tensor | None, cu_seqlens_cpu: Tensor | None) -> Tensor | None:
    """Offsets that the CPU knows save kernels work; traced programs get those of the device."""
    offsets = cu_seqlens if cu_seqlens_cpu is None or torch.compiler.is_compiling() else cu_seqlens_cpu
    # Loaders that batch everything give [1, N + 1].
    return offsets[0] if isinstance(offsets, Tensor) and offsets.ndim == 2 and offsets.shape[0] == 1 else offsets


def no_gradient(name: str, *tensors: Tensor) -> None:
    if torch.is_grad_enabled() and any(x.requires_grad for x in tensors):
        raise RuntimeError(f"{name} has no gradient: call it under torch.no_grad(), or use the function over whole sequences with T = 1")
