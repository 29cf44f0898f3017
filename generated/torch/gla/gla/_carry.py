"""What many tokens do to a state that comes in: S after = M S before + U. Here are the M that are products of gates; kernels give U, and M where tokens mix a state."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ._algebra import Gate, _full
from ._drive import Reference
from ._signature import Signature


@dataclass(frozen=True)
class Carried:
    """How a state passes tokens.

    `kept`: as it is. `scaled`: M is a factor for the whole state of a head, or for every channel of its axis number `channel`. `each`: a factor per element.
    `mixed`: a matrix over the axis number `row`, of which kernels give the transpose times `units`. `lost`: nothing of it is left, but what it was stands one
    token later in the states that name it as their `source`.

    `level`: how many groups of other states must be known before its writes are.
    """

    kind: str
    level: int = 0
    source: int | None = None
    row: int = 0
    channel: int | None = None

    def shape(self, own: Sequence[int]) -> tuple[int, ...] | None:
        """Of M without [B, H], for a state with these sizes; None where nobody needs to be told."""
        if self.kind in ("kept", "lost"):
            return None
        if self.kind == "each":
            return tuple(own)
        if self.kind == "scaled":
            return tuple(size if i == self.channel else 1 for i, size in enumerate(own))
        return (own[self.row], own[self.row])

    def apply(self, m: Tensor | None, state: Tensor, transposed: bool = False) -> Tensor:
        """M S, or its transpose."""
        if self.kind == "kept":
            return state
        if self.kind == "lost":
            return torch.zeros_like(state)
        if self.kind in ("scaled", "each"):
            return m * state
        x = state.movedim(2 + self.row, 2)
        with _precise(state.device.type):
            y = (m.mT if transposed else m) @ self.columns(state)
        return y.reshape(x.shape).movedim(2, 2 + self.row)

    def units(self, like: Tensor) -> Iterator[Tensor]:
        """The unit matrix over the axis `row` as states [B, H, ...], as many columns at a time as one has room for."""
        own = like.shape[2:]
        size, others = own[self.row], [*own[: self.row], *own[self.row + 1 :]]
        room = math.prod(others)
        for first in range(0, size, room):
            columns = like.new_zeros(size, room)
            columns[first : first + room].fill_diagonal_(1)
            yield columns.view(size, *others).movedim(0, self.row).expand(like.shape).contiguous()

    def columns(self, state: Tensor) -> Tensor:
        """[.., rows, columns] of a state [B, H, ...]."""
        return state.movedim(2 + self.row, 2).flatten(3) if state.ndim > 3 else state[..., None]


@dataclass(frozen=True)
class Transitions:
    """How the states of a scan pass tokens. `of` takes the tensors `names` and gives M by state, None where none is needed or kernels give it."""

    reference: Reference
    states: tuple[Carried, ...]
    names: tuple[str, ...]
    of: Callable[..., tuple[Tensor | None, ...]]
    #: M depends on what other states are: chunk by chunk.
    stateful: bool = False

    @property
    def levels(self) -> list[list[int]]:
        """The states that can be handed on at once, one group after the other."""
        return [[i for i, carried in enumerate(self.states) if carried.level == level] for level in sorted({carried.level for carried in self.states})]

    def over(self, args: Sequence[Tensor], times: int) -> tuple[Tensor | None, ...]:
        """M of every state over the tokens of `args`: inputs [B, T, ..], each for `times` heads where it is one of a group; params; states before."""
        signature = self.reference.signature
        work = signature.exact(signature.dtype(tuple(args)))

        def wide(named, x: Tensor) -> Tensor:
            x = x.to(work)
            return x.repeat_interleave(times, 2) if named.group and times > 1 else x

        with _precise(args[0].device.type):
            if not self.stateful:
                given = {named.name: wide(named, x) for named, x in zip(signature.args, args) if named.name in self.names}
                return self.of(args[0].shape[1], **given)
            return self._by_chunks(signature, [wide(named, x) for named, x in zip(signature.args, args)])

    def _by_chunks(self, signature: Signature, args: list[Tensor]) -> tuple[Tensor | None, ...]:
        inputs, params, states = args[: len(signature.inputs)], args[len(signature.inputs) : len(args) - len(self.states)], args[len(args) - len(self.states) :]
        total: list[Tensor | None] = [None for _ in self.states]
        size = self.reference.size
        for first in range(0, inputs[0].shape[1], size):
            chunk = [*(x[:, first : first + size] for x in inputs), *params, *states]
            given = {named.name: x for named, x in zip(signature.args, chunk) if named.name in self.names}
            found = self.of(chunk[0].shape[1], **given)
            total = [m if before is None else m * before for m, before in zip(found, total)]
            _, states = self.reference.chunk(*chunk)
        return tuple(total)


@contextmanager
def _precise(device: str) -> Iterator[None]:
    """Products of many matrices want every bit: neither autocast nor TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device, enabled=False), torch.no_grad():
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def product(decay: Tensor, state: Tensor, tokens: int) -> Tensor:
    """Of the decays of an elementwise state: [B, H, ...]."""
    return _full(decay, (state.shape[0], tokens, *state.shape[1:]), state).prod(1)


def span(gate: Gate, state: Tensor, tokens: int, axis: int | None) -> Tensor:
    """The product of gates, in the axes of the state; `axis`: which of its own they are along."""
    batch, heads, *own = state.shape
    if axis is None:
        return _full(gate.log, (batch, tokens, heads), state).sum(1).exp().reshape(batch, heads, *(1 for _ in own))
    total = _full(gate.log, (batch, tokens, heads, own[axis]), state).sum(1).exp()
    return total.reshape(batch, heads, *(size if i == axis else 1 for i, size in enumerate(own)))
