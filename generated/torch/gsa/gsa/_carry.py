"""What many tokens do to a state that comes in: S after = M S before + U. Here are the M, from gates and erases alone; kernels give the U."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ._algebra import Gate, Write, _Chunk, _full
from ._drive import Reference
from ._signature import Signature

#: Numbers that the tokens of one batch of chunks may take.
BUDGET = 2**26
CHUNK = {"plain": 64, "channels": 16}


@dataclass(frozen=True)
class Carried:
    """How a state passes tokens.

    `kept`: as it is. `scaled`: M is a factor for the whole state of a head, or for every channel of its axis number `channel`. `each`: a factor per element.
    `mixed`: a matrix over the axis number `row`. `lost`: nothing of it is left, but what it was stands one token later in the states that name it as their
    `source`.

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
        y = (m.mT if transposed else m) @ x.flatten(3) if x.ndim > 3 else ((m.mT if transposed else m) @ x[..., None])[..., 0]
        return y.reshape(x.shape).movedim(2, 2 + self.row)

    def after(self, later: Tensor, earlier: Tensor) -> Tensor:
        """M of what comes earlier, then later."""
        return later @ earlier if self.kind == "mixed" else later * earlier


@dataclass(frozen=True)
class Transitions:
    """How the states of a scan pass tokens. `of` takes the tensors `names` and gives M by state, None where none is needed."""

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
            total = [m if before is None else carried.after(m, before) for carried, m, before in zip(self.states, found, total)]
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


def matrix(gate: Gate | None, writes: Sequence[Write], state: Tensor, tokens: int, rows: int) -> Tensor:
    """M [B, H, rows, rows] of writes that erase: all chunks at once, then pairs of chunks, pairs of pairs."""
    batch, heads = state.shape[:2]
    full = (batch, tokens, heads)
    cols = [_full(write.col, (*full, rows), state) for write in writes]
    erases = [None if write.erase is None else _full(write.erase.row, (*full, rows), state) for write in writes]
    log = None if gate is None else _full(gate.log, full if gate.axis is None else (*full, gate.log.shape[-1]), state)
    by_row = gate is not None and gate.axis == 0
    size = CHUNK["channels" if by_row else "plain"]
    one = len(writes) * size
    cost = batch * heads * (rows * rows + 3 * one * one + (3 * (size + 1) ** 2 * rows if by_row else 0))
    step = max(1, BUDGET // cost) * size
    total = torch.eye(rows, dtype=state.dtype, device=state.device).expand(batch, heads, rows, rows)
    for first in range(0, tokens, step):
        count = min(step, tokens - first)
        chunks = -(-count // size)

        def cut(x: Tensor | None) -> Tensor | None:
            """Chunks as rows of the batch; tokens that fill the last one do nothing."""
            if x is None:
                return None
            x = x[:, first : first + count]
            x = torch.cat([x, x.new_zeros(batch, chunks * size - count, *x.shape[2:])], 1)
            return x.unflatten(1, (chunks, size)).flatten(0, 1)

        unit = torch.eye(rows, dtype=state.dtype, device=state.device).expand(batch * chunks, heads, rows, rows)
        own = [Write(cut(col), None, None if write.erase is None else type(write.erase)(cut(row), write.erase.sees, write.erase.before)) for write, col, row in zip(writes, cols, erases)]
        chunk = _Chunk(unit, size, None if gate is None else Gate(cut(log), 0 if by_row else None), own, [])
        w, _ = chunk.forward()
        total = _product(chunk.last(w).unflatten(0, (batch, chunks))) @ total
    return total


def _product(m: Tensor) -> Tensor:
    """Of the matrices along axis 1, the first rightmost."""
    while m.shape[1] > 1:
        even = m.shape[1] // 2 * 2
        pairs = m[:, 1:even:2] @ m[:, 0:even:2]
        m = pairs if even == m.shape[1] else torch.cat([pairs, m[:, even:]], 1)
    return m[:, 0]
