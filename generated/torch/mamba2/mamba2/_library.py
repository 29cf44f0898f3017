"""Defines a scan's operators: a schema, kernels on CUDA, the reference on the CPU, shapes for tracing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from . import _host as host
from ._drive import Reference
from ._layout import laid
from ._runtime import LmoecError, Scan

Operator = Callable[..., Any]


@dataclass(frozen=True)
class Calls:
    """What functions call: the operators, or what they come to."""

    forward: Operator
    forward_final: Operator
    backward: Operator
    backward_initial: Operator
    step: Operator
    step_functional: Operator
    #: What ranks hand on of a piece of a sequence: the states after it, the gradients of those before it. None where a scan has none of both.
    ends: Operator | None = None
    reverse_ends: Operator | None = None


@dataclass(frozen=True, kw_only=True)
class Operators(Calls):
    """Overloads, so that a call does not look them up."""

    #: The same by name, straight to the kernels where nobody stands between.
    calls: Calls
    #: Holds the registrations: they last as long as it does.
    library: torch.library.Library


def _absent() -> bool:
    """In the place of a question that this torch does not answer: somebody may stand between."""
    return True


# Whoever wants to see operators: compilers and tracers, modes, transforms, profilers. Subclasses of tensors see them too.
_PLAIN = frozenset({Tensor, torch.nn.Parameter, type(None)})
_compiling = torch.compiler.is_compiling
_tracing = getattr(torch._C, "_is_tracing", _absent)
_dispatch_modes = getattr(torch._C, "_len_torch_dispatch_stack", _absent)
_function_modes = getattr(torch._C, "_len_torch_function_stack", _absent)
_transforms = getattr(torch._C, "_are_functorch_transforms_active", _absent)
_profiling = getattr(torch.autograd, "_profiler_enabled", _absent)


def straight(given: tuple[Tensor | None, ...]) -> bool:
    """Would torch's dispatcher do nothing but pass a call on to our kernels? Its way there costs more than half of what their launch does."""
    return not (_compiling() or _dispatch_modes() or _function_modes() or _transforms() or _profiling() or _tracing()) and (
        _PLAIN.issuperset(map(type, given)) and host.device_of(given[0]) >= 0
    )


def once(backward: Callable[..., Any]) -> Callable[..., Any]:
    """`once_differentiable`, where somebody is about to differentiate gradients: saying so takes longer than the rest of what Python does in a backward."""
    told = once_differentiable(backward)

    def run(ctx: Any, *cotangents: Tensor | None) -> Any:
        return (told if torch.is_grad_enabled() and not _compiling() else backward)(ctx, *cotangents)

    return run


def register(namespace: str, reference: Reference, kernels: Scan) -> Operators:
    signature = reference.signature
    args = [named.name for named in (*signature.inputs, *signature.params)]
    states = [named.name for named in signature.states]
    count, inputs = len(args) + len(states), len(signature.inputs)
    fixed = [f"Tensor {name}" for name in args]
    optional = [f"Tensor? {name}" for name in states]
    mutable = [f"Tensor({chr(ord('a') + i)}!) {name}" for i, name in enumerate(states)]
    cotangents = [f"Tensor? d_out{i}" for i in range(len(signature.outputs))] + [f"Tensor? d_final{i}" for i in range(len(states))]
    outputs, finals = len(signature.outputs), len(states)
    # The reference serves CUDA only where somebody asks for it: it is many times slower, which must not come unasked.
    device = reference if os.environ.get("LMOEC_BACKEND") == "reference" else kernels
    library = torch.library.Library(namespace, "FRAGMENT")
    calls: dict[str, Operator] = {}

    def define(name: str, takes: list[str], gives: int, run: Callable[[Any, tuple], tuple], fake: Callable[..., tuple]) -> Operator:
        result = "Tensor" if gives == 1 else f"({', '.join(['Tensor'] * gives)})"
        library.define(f"{name}({', '.join(takes)}) -> {result}", tags=(torch.Tag.pt2_compliant_tag,))
        one = gives == 1

        def on_cpu(*given: Tensor | None) -> Any:
            results = run(reference, given)
            return results[0] if one else tuple(results)

        def on_cuda(*given: Tensor | None) -> Any:
            try:
                results = run(device, given)
            except LmoecError:
                # What is wrong with a tensor is said in the same words on every device.
                fake(*given)
                raise
            return results[0] if one else tuple(results)

        def shapes(*given: Tensor | None) -> Any:
            results = fake(*given)
            return results[0] if one else tuple(results)

        library.impl(name, on_cpu, "CPU")
        library.impl(name, on_cuda, "CUDA")
        torch.library.register_fake(f"{namespace}::{name}", shapes, lib=library)
        operator = getattr(getattr(torch.ops, namespace), name).default
        calls[name] = lambda *given: on_cuda(*given) if straight(given) else operator(*given)
        return operator

    def forward_of(final: bool) -> Operator:
        return define(
            "forward_final" if final else "forward", [*fixed, *optional, "Tensor? cu_seqlens"], outputs + (finals if final else 0),
            lambda scan, given: scan.forward(given[:count], given[count], final),
            lambda *given: signature.results(given[:count], signature.check(given[:count], given[count]), final),
        )

    def backward_of(initial: bool) -> Operator:
        wanted = None if initial or not states else (*(True for _ in args), *(False for _ in states))
        gives = len(args) + (finals if initial else 0)
        return define(
            "backward_initial" if initial else "backward", [*fixed, *optional, "Tensor? cu_seqlens", *cotangents], gives,
            lambda scan, given: scan.backward(given[:count], given[count + 1 :], given[count], wanted)[:gives],
            lambda *given: signature.gradients(given[:count], signature.check(given[:count], given[count]), initial),
        )

    def step_of(in_place: bool) -> Operator:
        return define(
            "step" if in_place else "step_functional", [*fixed, *(mutable if in_place else optional)], outputs + (0 if in_place else finals),
            lambda scan, given: scan.step(given, in_place),
            lambda *given: signature.results(given, signature.check(given, token=True), not in_place, token=True),
        )

    found = {
        "forward": forward_of(False), "forward_final": forward_of(True), "backward": backward_of(False), "backward_initial": backward_of(True),
        "step": step_of(True), "step_functional": step_of(False),
    }
    if states and reference.affine:
        found["ends"] = define(
            "ends", [*fixed, *optional, "Tensor? cu_seqlens"], finals, lambda scan, given: scan.ends(given[:count], given[count]),
            lambda *given: signature.results(given[:count], signature.check(given[:count], given[count]), True)[outputs:],
        )
        found["reverse_ends"] = define(
            "reverse_ends", [*fixed, *optional, "Tensor? cu_seqlens", *cotangents], finals,
            lambda scan, given: scan.reverse_ends(given[:count], given[count + 1 :], given[count]),
            lambda *given: signature.gradients(given[:count], signature.check(given[:count], given[count]), True)[len(args) :],
        )
    return Operators(**found, calls=Calls(**calls), library=library)


def io_dtype(x: Tensor) -> torch.dtype:
    """The dtype of a call whose first io input is `x`: under autocast that of autocast."""
    kind = x.device.type
    if torch.is_autocast_enabled(kind) and x.dtype != torch.float64:
        return torch.get_autocast_dtype(kind)
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
