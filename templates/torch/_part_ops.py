"""Defines the operators of a layer or mixture: schemas, kernels on CUDA, the reference on the CPU, shapes for tracing; and calls with gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ._calls import io_dtype, laid, once
from ._definitions import Definitions, Operator
from ._part import Program, Reference
from ._rows import keys_of


@dataclass(frozen=True, kw_only=True)
class Operators:
    """A program's overloads, and what functions call."""

    program: Program
    forward: Operator
    backward: Operator
    reference: Reference
    #: What serves CUDA devices.
    device: Any
    #: The autograd function, and the operator past the dispatcher where nobody stands between.
    traced: type[torch.autograd.Function]
    plain: Operator
    #: Holds the registrations: they last as long as it does.
    library: torch.library.Library

    def __call__(
        self, args: tuple[Tensor, ...], cu_seqlens: Tensor | None = None, seed: int | Tensor | None = None, step: int = 0, check: bool = False
    ) -> tuple[Tensor, ...]:
        """Results from tensors of any floating dtype and layout. `seed`: of draws; a tensor of keys, or None for keys from torch's generator. `check`: an
        error where something was chosen by scores that are no numbers, for which the call waits for the device."""
        args, keys = self.ready(args), self.keys(seed, step, args[0].device)
        if check and torch.compiler.is_compiling():
            raise ValueError(f"{self.program.name}: check=True waits for the device, which a compiled call cannot: set LMOEC_CHECK=1, or leave it out")
        if torch.is_grad_enabled() and any(x.requires_grad for x in args):
            self.plain.refuse(args)
            return self.traced.apply(*args, cu_seqlens, keys, self.examine if check else None)
        *results, kept = self.plain(*args, cu_seqlens, keys)
        if check:
            self.examine(args, cu_seqlens, keys, kept)
        return tuple(results)

    def examine(self, args: tuple[Tensor, ...], cu_seqlens: Tensor | None, keys: Tensor | None, kept: Tensor) -> None:
        runner = self.reference if args[0].device.type == "cpu" else self.device
        runner.examine(args, cu_seqlens, keys, kept)

    def ready(self, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """In the dtypes and the layout that operators want."""
        first = next((x for field, x in zip(self.program.args, args) if field.io), args[0])
        dtype = io_dtype(first)
        if not dtype.is_floating_point:
            raise ValueError(f"{self.program.name}: a floating dtype is expected, found {dtype}")
        return tuple(laid(x.to(self.program.wanted(field, dtype))) for field, x in zip(self.program.args, args))

    def keys(self, seed: int | Tensor | None, step: int, device: torch.device) -> Tensor | None:
        sites = self.program.sites
        if not sites:
            return None
        if isinstance(seed, Tensor):
            return seed
        if seed is None:
            return torch.randint(0, 65536, (len(sites), 4), device=device).to(torch.float32)
        return keys_of(seed, step, sites, device)

    def by_autograd(self, args: tuple[Tensor, ...], cu_seqlens: Tensor | None = None, seed: int | Tensor | None = None, step: int = 0) -> tuple[Tensor, ...]:
        """The same as plain PyTorch: on any device, in any floating dtype, differentiable as often as wanted."""
        return self.reference.differentiable(self.ready(args), cu_seqlens, self.keys(seed, step, args[0].device))


def register(namespace: str, name: str, program: Program, kernels: Any = None) -> Operators:
    """`kernels`: of CUDA devices (_launch.py); None: there are none."""
    reference = Reference(program)
    made = Definitions(namespace, program.name, reference, kernels)
    given = [*(f"Tensor {field.python}" for field in program.args), "Tensor? cu_seqlens", "Tensor? keys"]
    cotangents = [f"Tensor? d_{field.python}" for field in program.outputs]
    count, has = len(program.args), program.differentiable

    def fake_forward(args: tuple) -> list[Tensor]:
        extents = program.check(args[:count], *args[count:])
        runner = reference if args[0].device.type == "cpu" else made.device
        kept = args[0].new_empty(runner.kept_bytes(args[:count], args[count], extents), dtype=torch.uint8)
        return [*program.empty(args[0], program.results, extents), kept]

    def fake_backward(args: tuple) -> list[Tensor]:
        program.check(args[:count], args[count], args[count + 1])
        return [x.new_empty(x.shape) for x, wanted in zip(args, has) if wanted]

    forward = made.define(
        name, given, len(program.results) + 1, lambda runner, args: runner.forward(args[:count], args[count], args[count + 1]), fake_forward)
    backward = made.define(
        f"{name}_backward", [*given, "Tensor kept", *cotangents], sum(has),
        lambda runner, args: runner.backward(args[:count], args[count], args[count + 1], args[count + 2], args[count + 3 :]), fake_backward,
        backward=True)
    return Operators(
        program=program, forward=forward, backward=backward, reference=reference, device=made.device, plain=made.calls[name], library=made.library,
        traced=_function(made.calls[name], made.calls[f"{name}_backward"], program))


def _function(forward: Operator, backward: Operator, program: Program) -> type[torch.autograd.Function]:
    has, outputs = program.differentiable, len(program.outputs)
    one = sum(has) == 1

    class Traced(torch.autograd.Function):
        """Keeps what the call was given and what forward leaves."""

        @staticmethod
        def forward(ctx: Any, *takes: Any) -> Any:
            *given, examine = takes
            *results, kept = forward(*given)
            if examine is not None:
                examine(tuple(given[:-2]), *given[-2:], kept)
            ctx.save_for_backward(*given, kept)
            ctx.set_materialize_grads(False)
            ctx.mark_non_differentiable(*[y for field, y in zip(program.results, results) if field.fixed])
            return tuple(results)

        @staticmethod
        @once
        def backward(ctx: Any, *cotangents: Tensor | None) -> Any:
            found = backward(*ctx.saved_tensors, *[laid(d) for d in cotangents[:outputs]])
            gradients = iter((found,) if one else found)
            return (*[next(gradients) if wanted else None for wanted in has], None, None, None)

    return Traced
