"""Defines a scan's operators: a schema, kernels on CUDA, the reference on the CPU, shapes for tracing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ._definitions import Definitions, Operator
from ._drive import Reference
from ._runtime import Scan


@dataclass(frozen=True)
class Calls:
    """What functions call: the operators, or what they come to."""

    forward: Operator
    forward_final: Operator
    backward: Operator
    backward_initial: Operator
    step: Operator
    step_functional: Operator
    #: Forward that leaves what backward would make again, as bytes behind its results; backward that takes it behind its cotangents.
    forward_kept: Operator
    forward_final_kept: Operator
    backward_kept: Operator
    backward_initial_kept: Operator
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
    made = Definitions(namespace, signature.name, reference, kernels)
    define = made.define

    def left(given: tuple[Tensor | None, ...]) -> Tensor:
        """What is kept, without values: the reference keeps nothing."""
        ours = given[0].device.type == "cuda" and made.device is kernels
        return given[0].new_empty(kernels.kept_bytes(given[:count], given[count]) if ours else 0, dtype=torch.uint8)

    def forward_of(final: bool, keeps: bool = False) -> Operator:
        run, name = ("forward_kept", "_kept") if keeps else ("forward", "")
        results = lambda given: signature.results(given[:count], signature.check(given[:count], given[count]), final)
        return define(
            f"forward_final{name}" if final else f"forward{name}", [*fixed, *optional, "Tensor? cu_seqlens"], outputs + (finals if final else 0) + keeps,
            lambda scan, given: getattr(scan, run)(given[:count], given[count], final),
            (lambda given: (*results(given), left(given))) if keeps else results,
            lambda scan: scan.way(run, count, "all" if final else "outputs"),
        )

    def backward_of(initial: bool, keeps: bool = False) -> Operator:
        gives = len(args) + (finals if initial else 0)
        wanted = (*(True for _ in args), *(initial for _ in states))
        last = count + 1 + len(cotangents)
        run, name = ("backward_kept", "_kept") if keeps else ("backward", "")
        return define(
            f"backward_initial{name}" if initial else f"backward{name}",
            [*fixed, *optional, "Tensor? cu_seqlens", *cotangents, *(["Tensor kept"] if keeps else [])], gives,
            lambda scan, given: getattr(scan, run)(given[:count], given[count + 1 : last], *given[last:], given[count], wanted)[:gives],
            lambda given: signature.gradients(given[:count], signature.check(given[:count], given[count]), initial),
            lambda scan: scan.way(run, count, wanted[:gives]), backward=True,
        )

    def step_of(in_place: bool) -> Operator:
        return define(
            "step" if in_place else "step_functional", [*fixed, *(mutable if in_place else optional)], outputs + (0 if in_place else finals),
            lambda scan, given: scan.step(given, in_place),
            lambda given: signature.results(given, signature.check(given, token=True), not in_place, token=True),
            lambda scan: scan.way("step", None, "all", in_place),
        )

    found = {
        "forward": forward_of(False), "forward_final": forward_of(True), "backward": backward_of(False), "backward_initial": backward_of(True),
        "forward_kept": forward_of(False, True), "forward_final_kept": forward_of(True, True),
        "backward_kept": backward_of(False, True), "backward_initial_kept": backward_of(True, True),
        "step": step_of(True), "step_functional": step_of(False),
    }
    if states and reference.affine:
        found["ends"] = define(
            "ends", [*fixed, *optional, "Tensor? cu_seqlens"], finals, lambda scan, given: scan.ends(given[:count], given[count]),
            lambda given: signature.results(given[:count], signature.check(given[:count], given[count]), True)[outputs:],
            lambda scan: scan.way("ends", count),
        )
        found["reverse_ends"] = define(
            "reverse_ends", [*fixed, *optional, "Tensor? cu_seqlens", *cotangents], finals,
            lambda scan, given: scan.reverse_ends(given[:count], given[count + 1 :], given[count]),
            lambda given: signature.gradients(given[:count], signature.check(given[:count], given[count]), True)[len(args) :],
            lambda scan: scan.way("reverse_ends", count), backward=True,
        )
    return Operators(**found, calls=Calls(**made.calls), library=made.library)
