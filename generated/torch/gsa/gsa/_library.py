"""Defines a scan's operators: a schema, kernels on CUDA, the reference on the CPU, shapes for tracing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Callable

import torch
from torch import Tensor

from ._calls import straight
from ._drive import Reference
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
