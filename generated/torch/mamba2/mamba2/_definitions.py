"""Defines operators of torch: a schema, a reference on the CPU, kernels on CUDA, shapes for tracing."""

from __future__ import annotations

import os
from typing import Any, Callable

import torch
from torch import Tensor

from ._calls import VMAP, straight, transform, watched
from ._driver import LmoecError

Operator = Callable[..., Any]


class Call:
    """An operator as functions call it: past torch's dispatcher where that would do nothing but pass a call on."""

    def __init__(self, operator: Operator, direct: Operator, way: Any, one: bool, whose: str, backward: bool) -> None:
        """`direct`: straight to the kernels. `way`: to their program (_again.py), None where nobody remembers calls. `one`: result. `whose`: the function of the
        formula; is this the `backward` of it?"""
        self._operator, self._direct, self._way, self._one, self._whose, self._backward = operator, direct, way, one, whose, backward

    def known(self, given: tuple[Tensor | None, ...]) -> Any:
        """An earlier call that looked the same; None: there was none, or somebody wants to see this one."""
        return None if self._way is None or watched() else self._way.known(given)

    def by(self, known: Any, given: tuple[Tensor | None, ...]) -> Any:
        """Results, by what is known of a call."""
        if known is None:
            if straight(given):
                return self._direct(*given)
            self.refuse(given)
            return self._operator(*given)
        results = known(given)
        return results[0] if self._one else results

    def refuse(self, given: tuple[Tensor | None, ...]) -> None:
        what = transform(given)
        # Cotangents may come in batches (is_grads_batched): torch calls a backward once for each.
        if what is not None and not (self._backward and what == VMAP):
            remedy = "functions that end in _reference are plain PyTorch, which has it"
            raise NotImplementedError(f"{self._whose}: there is no {what} through its operators; {remedy}")

    def __call__(self, *given: Tensor | None) -> Any:
        return self.by(self.known(given), given)


class Definitions:
    """Operators of a namespace. `kernels`: what serves CUDA devices; None: nothing of its own. `whose`: the function that users know."""

    def __init__(self, namespace: str, whose: str, reference: Any, kernels: Any) -> None:
        self.namespace, self.whose, self.reference = namespace, whose, reference
        # The reference serves CUDA only where somebody asks for it: it is many times slower, which must not come unasked.
        asked = os.environ.get("LMOEC_BACKEND") or "cuda"
        if asked not in ("cuda", "reference"):
            raise LmoecError(f"LMOEC_BACKEND={asked} is no backend", "set it to reference, or to cuda as if it were not set")
        self.device = reference if asked == "reference" or kernels is None else kernels
        #: Holds the registrations: they last as long as it does.
        self.library = torch.library.Library(namespace, "FRAGMENT")
        #: By name: what functions call.
        self.calls: dict[str, Call] = {}

    def define(
        self, name: str, takes: list[str], gives: int, run: Callable[[Any, tuple], Any], fake: Callable[[tuple], Any],
        way: Callable[[Any], Any] | None = None, backward: bool = False,
    ) -> Operator:
        """`takes`: arguments of the schema. `run` has the reference or the kernels, and what was given; `fake` makes results of the
        right shapes, or says what is wrong. `way`: that of the kernels, which takes what was given as it is."""
        library, reference, device = self.library, self.reference, self.device
        kernels = None if way is None or device is reference else way(device)
        result = "Tensor" if gives == 1 else f"({', '.join(['Tensor'] * gives)})"
        library.define(f"{name}({', '.join(takes)}) -> {result}", tags=(torch.Tag.pt2_compliant_tag,))
        one = gives == 1

        def on_cpu(*given: Tensor | None) -> Any:
            results = run(reference, given)
            return results[0] if one else tuple(results)

        def on_cuda(*given: Tensor | None) -> Any:
            try:
                results = run(device, given) if kernels is None else kernels(given)
            except LmoecError:
                # What is wrong with a tensor is said in the same words on every device.
                fake(given)
                raise
            return results[0] if one else tuple(results)

        def shapes(*given: Tensor | None) -> Any:
            results = fake(given)
            return results[0] if one else tuple(results)

        library.impl(name, on_cpu, "CPU")
        library.impl(name, on_cuda, "CUDA")
        torch.library.register_fake(f"{self.namespace}::{name}", shapes, lib=library)
        operator = getattr(getattr(torch.ops, self.namespace), name).default
        self.calls[name] = Call(operator, on_cuda, kernels, one, self.whose, backward)
        return operator
