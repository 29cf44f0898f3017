"""Defines operators of torch: a schema, a reference on the CPU, kernels on CUDA, shapes for tracing."""

from __future__ import annotations

import os
from typing import Any, Callable

import torch
from torch import Tensor

from ._calls import straight
from ._driver import LmoecError

Operator = Callable[..., Any]


class Definitions:
    """Operators of a namespace. `kernels`: what serves CUDA devices; None: nothing of its own."""

    def __init__(self, namespace: str, reference: Any, kernels: Any) -> None:
        self.namespace, self.reference = namespace, reference
        # The reference serves CUDA only where somebody asks for it: it is many times slower, which must not come unasked.
        self.device = reference if os.environ.get("LMOEC_BACKEND") == "reference" or kernels is None else kernels
        #: Holds the registrations: they last as long as it does.
        self.library = torch.library.Library(namespace, "FRAGMENT")
        #: By name: calls that go past torch's dispatcher where it would do nothing but pass them on.
        self.calls: dict[str, Operator] = {}

    def define(self, name: str, takes: list[str], gives: int, run: Callable[[Any, tuple], Any], fake: Callable[[tuple], Any]) -> Operator:
        """`takes`: arguments of the schema. `run` has the reference or the kernels, and what was given; `fake` makes results of the right shapes, or says what is wrong."""
        library, reference, device = self.library, self.reference, self.device
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
        self.calls[name] = lambda *given: on_cuda(*given) if straight(given) else operator(*given)
        return operator
