"""What functions do before and after an operator: whom it goes past, which dtype and layout its tensors have."""

from __future__ import annotations

from typing import Any, Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from . import _host as host
from ._layout import laid


def _absent() -> bool:
    """In the place of a question that this torch does not answer: somebody may stand between."""
    return True


# Whoever wants to see operators: compilers and tracers, modes, transforms, profilers. Subclasses of tensors see them too.
_compiling = torch.compiler.is_compiling
_tracing = getattr(torch._C, "_is_tracing", _absent)
_dispatch_modes = getattr(torch._C, "_len_torch_dispatch_stack", _absent)
_function_modes = getattr(torch._C, "_len_torch_function_stack", _absent)
_transforms = getattr(torch._C, "_are_functorch_transforms_active", _absent)
_profiling = getattr(torch.autograd, "_profiler_enabled", _absent)
_some_autocast = getattr(torch._C, "_is_any_autocast_enabled", _absent)


def watched() -> bool:
    return _compiling() or _dispatch_modes() or _function_modes() or _transforms() or _profiling() or _tracing()


def straight(given: tuple[Tensor | None, ...]) -> bool:
    """Would torch's dispatcher do nothing but pass a call on to our kernels? Its way there costs more than half of what their launch does."""
    return not watched() and host.plain(given) and host.device_of(given[0]) >= 0


def traced(function: type[torch.autograd.Function], call: Any) -> Callable[..., Any]:
    """`apply` of an autograd function whose first argument is what `call` knows. Tensors that it knows are no transform's, which
    torch's own `apply` asks of each before it goes on to that of its base: a third of what it takes."""
    past = getattr(super(torch.autograd.Function, function), "apply", function.apply)

    def apply(*given: Tensor | None) -> Any:
        known = call.known(given)
        return function.apply(None, *given) if known is None else past(known, *given)

    return apply


def once(backward: Callable[..., Any]) -> Callable[..., Any]:
    """`once_differentiable`, where somebody is about to differentiate gradients: saying so takes longer than the rest of what Python does in a backward."""
    told = once_differentiable(backward)

    def run(ctx: Any, *cotangents: Tensor | None) -> Any:
        if not torch.is_grad_enabled() or _compiling():
            return backward(ctx, *cotangents)
        # Gradients depend on what the call was given, too: with cotangents that need no gradient torch would take them for constants.
        return told(ctx, *(None if d is None else d.detach().requires_grad_() for d in cotangents))

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
