"""One call over the pieces of a row that a rank has: what comes in from the ranks before, what goes on to those after, and the call itself."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Sequence

import torch
from torch import Tensor

from ._carry import Transitions
from ._shards import Piece, cut

if TYPE_CHECKING:
    from .cp import SequenceShards


@dataclass
class _Part:
    """Some rows of a call, as a packed call of their own."""

    spans: list[tuple[int, int]]
    offsets: Tensor
    rows: Tensor


class PiecesCall:
    """One call on this rank. Tokens of all rows of the batch lie in one row; `rows` are parts of sequences."""

    def __init__(self, shards: SequenceShards, op: Any, transitions: Transitions, args: Sequence[Tensor | None]):
        signature = transitions.reference.signature
        self.shards, self.op, self.transitions = shards, op, transitions
        self.inputs, self.outputs = len(signature.inputs), len(signature.outputs)
        count = len(transitions.states)
        given = args[len(args) - count :] if count else ()
        extents = signature.check((*args[: len(args) - count], *(None for _ in range(count))))
        self.batch, self.tokens = extents.batch, extents.tokens
        self.heads = next((state.shape[1] for state in given if state is not None), extents.heads)
        self.times = self.heads // extents.groups
        self.rows = shards.rows(self.batch, args[0].device)
        self.exact = signature.exact(signature.dtype(tuple(args)))
        self.sequences = shards.sequences if shards.packed else self.batch
        self.sizes = [self._own(named, extents, state) for named, state in zip(signature.states, (*given, *(None for _ in range(count - len(given)))))]
        self.initial = given
        self.tensors: tuple[Tensor, ...] = tuple(self.flat(x) if i < self.inputs else x for i, x in enumerate(args[: len(args) - count]))

    def _own(self, named: Any, extents: Any, state: Tensor | None) -> tuple[int, ...]:
        return tuple(state.shape[2:]) if state is not None else self.transitions.reference.signature.own(named, extents)

    def release(self) -> None:
        """What autograd saves is not held twice."""
        self.tensors, self.initial = (), ()

    def hold(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = tuple(tensors)

    def flat(self, x: Tensor) -> Tensor:
        return x.contiguous().view(1, self.batch * self.tokens, *x.shape[2:])

    def out(self, x: Tensor) -> Tensor:
        return x.view(self.batch, self.tokens, *x.shape[2:])

    def zeros(self, state: int, rows: int) -> Tensor:
        return torch.zeros(rows, self.heads, *self.sizes[state], dtype=self.exact, device=self.tensors[0].device)

    def ended(self, x: Tensor) -> Tensor:
        """Final states by sequence, of those that end here."""
        return x.new_zeros(self.sequences, *x.shape[1:]).index_copy_(0, self.rows.last_sequences, x[self.rows.last_rows])

    def began(self, d: Tensor) -> Tensor:
        """Gradients of initial states by sequence, of those that begin here."""
        return d.new_zeros(self.sequences, *d.shape[1:]).index_copy_(0, self.rows.first_sequences, d[self.rows.first_rows])

    def known(self) -> list[Tensor]:
        """What states are before each row, where that is given; zeros elsewhere."""
        made = [self.zeros(i, self.rows.count) for i in range(len(self.transitions.states))]
        for start, state in zip(made, self.initial):
            if state is not None:
                start.index_copy_(0, self.rows.first_rows, state[self.rows.first_sequences])
        return made

    def forward(self, final: bool, starts: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return _tuple((self.op.forward_final if final else self.op.forward)(*self.tensors, *starts, self.rows.offsets))

    def backward(self, d_outputs: Sequence[Tensor | None], d_ends: Sequence[Tensor], starts: Sequence[Tensor], initial: bool) -> tuple[list, list]:
        run = self.op.backward_initial if initial else self.op.backward
        grads = _tuple(run(*self.tensors, *starts, self.rows.offsets, *d_outputs, *d_ends))
        count = len(self.tensors)
        return list(grads[:count]), list(grads[count:]) if initial else [None for _ in starts]

    def part(self, which: Sequence[int], most: int | None = None) -> _Part:
        """These rows; of each only the last `most` tokens."""
        spans = [self.rows.spans[row] for row in which]
        if most is not None:
            spans = [(max(a, b - most), b) for a, b in spans]
        offsets = [0]
        for a, b in spans:
            offsets.append(offsets[-1] + b - a)
        return _Part(spans, torch.tensor(offsets), torch.tensor(which, device=self.tensors[0].device))

    def arrive(self) -> tuple[list[Tensor], list[Tensor]]:
        """The states before each row, and by state M of all pieces (empty where there is none)."""
        starts = self.known()
        maps = [self.zeros(i, 0) for i in range(len(starts))]
        if not self.shards.crossing:
            return starts, maps
        for level in self.transitions.levels:
            every = self.shards.gather(self._ends(level, starts))
            parts = [self._split(level, x, True) for x in every]
            for i, state in enumerate(level):
                if parts[0][i][1] is not None:
                    maps[state] = torch.stack([part[i][1] for part in parts])
            carry: dict[int, Tensor] = {}
            for p, piece in enumerate(self.shards.pieces):
                if piece.enters and p in self.shards.own:
                    at = self.rows.heads[self.shards.own.index(p)]
                    for state in level:
                        starts[state].index_copy_(0, at, carry[state])
                if piece.leaves:
                    carry = {state: self._after(piece, state, u, m, carry) for state, (u, m) in zip(level, parts[p])}
        return starts, maps

    def leave(self, d_outputs: Sequence[Tensor | None], d_finals: Sequence[Tensor | None], starts: Sequence[Tensor], maps: Sequence[Tensor]) -> list[Tensor]:
        """The cotangents of the states after each row."""
        ends = [self.zeros(i, self.rows.count) for i in range(len(starts))]
        for end, d in zip(ends, d_finals):
            if d is not None:
                end.index_copy_(0, self.rows.last_rows, d[self.rows.last_sequences].to(end.dtype))
        if not self.shards.crossing:
            return ends
        for level in reversed(self.transitions.levels):
            every = self.shards.gather(self._begins(level, d_outputs, starts, ends))
            parts = [self._split(level, x, False) for x in every]
            carry: dict[int, Tensor] = {}
            for p in reversed(range(len(self.shards.pieces))):
                piece = self.shards.pieces[p]
                if piece.leaves and p in self.shards.own:
                    at = self.rows.tails[self.shards.own.index(p)]
                    for state in level:
                        ends[state].index_copy_(0, at, carry[state])
                if piece.enters:
                    found = {state: r for state, (r, _) in zip(level, parts[p])}
                    if piece.through:
                        for state in level:
                            self._before(piece, state, maps[state][p] if len(maps[state]) else None, carry[state], found)
                    carry = found
        return ends

    def _after(self, piece: Piece, state: int, u: Tensor, m: Tensor | None, carry: dict[int, Tensor]) -> Tensor:
        """The state after a piece."""
        if not piece.through:
            return u
        carried = self.transitions.states[state]
        if carried.kind == "lost":
            from_ = self._ancestor(state, piece.tokens)
            return u if from_ is None else carry[from_]
        return u + carried.apply(m, carry[state])

    def _before(self, piece: Piece, state: int, m: Tensor | None, d: Tensor, found: dict[int, Tensor]) -> None:
        """Adds what the cotangent of a state after a piece gives to those before it."""
        carried = self.transitions.states[state]
        to = self._ancestor(state, piece.tokens) if carried.kind == "lost" else state
        if to is not None:
            found[to] = found[to] + (d if carried.kind == "lost" else carried.apply(m, d, transposed=True))

    def _ancestor(self, state: int, tokens: int) -> int | None:
        """The state whose value a delay line has after some tokens; None: one of them."""
        at: int | None = state
        for _ in range(tokens):
            at = self.transitions.states[at].source
            if at is None:
                return None
        return at

    def _ends(self, level: Sequence[int], starts: Sequence[Tensor]) -> Tensor:
        """U and M of own pieces, in a row [own, B, H, ...]; zeros where nothing goes on."""
        own = [self.shards.pieces[p] for p in self.shards.own]
        made = [None for _ in own]
        leaving = [i for i, piece in enumerate(own) if piece.leaves]
        if leaving:
            part = self.part([row for i in leaving for row in self.rows.tail_rows[i]], self._reach(level))
            args = [*(cut(x, part.spans) for x in self.tensors[: self.inputs]), *self.tensors[self.inputs :], *(start[part.rows] for start in starts)]
            finals = _tuple(self.op.ends(*args, part.offsets))
            for n, i in enumerate(leaving):
                us = [finals[state][n * self.batch : (n + 1) * self.batch] for state in level]
                made[i] = self._join(level, us, self._maps(i, level, starts) if own[i].through else [None for _ in level], True)
        empty = self._join(level, [self.zeros(state, self.batch) for state in level], [None for _ in level], True)
        return torch.stack([empty if x is None else x for x in made])

    def _begins(self, level: Sequence[int], d_outputs: Sequence[Tensor | None], starts: Sequence[Tensor], ends: Sequence[Tensor]) -> Tensor:
        """The gradients of the states before own pieces, as if none came from beyond them."""
        own = [self.shards.pieces[p] for p in self.shards.own]
        made = [None for _ in own]
        entering = [i for i, piece in enumerate(own) if piece.enters]
        none = [None for _ in level]
        if entering:
            part = self.part([row for i in entering for row in self.rows.head_rows[i]])
            args = [*(cut(x, part.spans) for x in self.tensors[: self.inputs]), *self.tensors[self.inputs :], *(start[part.rows] for start in starts)]
            given = [*(None if d is None else cut(d, part.spans) for d in d_outputs), *(end[part.rows] for end in ends)]
            grads = _tuple(self.op.reverse_ends(*args, part.offsets, *given))
            for n, i in enumerate(entering):
                made[i] = self._join(level, [grads[state][n * self.batch : (n + 1) * self.batch] for state in level], none, False)
        empty = self._join(level, [self.zeros(state, self.batch) for state in level], none, False)
        return torch.stack([empty if x is None else x for x in made])

    def _reach(self, level: Sequence[int]) -> int | None:
        """How many last tokens decide what delay lines of inputs have; None: all."""
        states = self.transitions.states
        if any(states[state].kind != "lost" or states[state].level > 0 for state in level):
            return None
        most = 1
        for state in level:
            depth = 1
            while (source := states[state].source) is not None:
                state, depth = source, depth + 1
            most = max(most, depth)
        return most

    def _maps(self, slot: int, level: Sequence[int], starts: Sequence[Tensor]) -> list[Tensor | None]:
        """M of an own piece that one sequence fills."""
        kinds = {state: self.transitions.states[state].kind for state in level}
        found: dict[int, Tensor | None] = {}
        if not {"scaled", "each"}.isdisjoint(kinds.values()):
            a, b = self.rows.ranges[slot]
            tokens = [self.out(x)[:, a:b] for x in self.tensors[: self.inputs]]
            given = [*tokens, *self.tensors[self.inputs :], *(start[self.rows.heads[slot]] for start in starts)]
            found.update(enumerate(self.transitions.over(given, self.times)))
        mixed = [state for state in level if kinds[state] == "mixed"]
        found.update(self._mixed(slot, mixed, starts) if mixed else {})
        return [found.get(state) for state in level]

    def _mixed(self, slot: int, states: Sequence[int], starts: Sequence[Tensor]) -> dict[int, Tensor]:
        """M of states that tokens mix: its rows are the gradients of a state before the piece, where those of the one after it are units. What is
        written has no part in that."""
        part = self.part(self.rows.head_rows[slot])
        args = [*(cut(x, part.spans) for x in self.tensors[: self.inputs]), *self.tensors[self.inputs :], *(start[part.rows] for start in starts)]
        carried = {state: self.transitions.states[state] for state in states}
        rows: dict[int, list[Tensor]] = {state: [] for state in states}
        for units in zip_longest(*(carried[state].units(self.zeros(state, self.batch)) for state in states)):
            seeds: list[Tensor | None] = [None for _ in starts]
            for state, unit in zip(states, units):
                seeds[state] = unit
            grads = _tuple(self.op.reverse_ends(*args, part.offsets, *(None for _ in range(self.outputs)), *seeds))
            for state, unit in zip(states, units):
                if unit is not None:
                    rows[state].append(carried[state].columns(grads[state]))
        return {state: torch.cat(found, 3)[..., : found[0].shape[2]].mT for state, found in rows.items()}

    def _join(self, level: Sequence[int], us: Sequence[Tensor], ms: Sequence[Tensor | None], maps: bool) -> Tensor:
        """[B, H, numbers]: by state U, then M if it has one."""
        parts = []
        for state, u, m in zip(level, us, ms):
            parts.append(u.flatten(2))
            shape = self.transitions.states[state].shape(self.sizes[state]) if maps else None
            if shape is not None:
                lead = (self.batch, self.heads)
                parts.append(u.new_zeros(*lead, *shape).flatten(2) if m is None else m.expand(*lead, *shape).flatten(2))
        return torch.cat(parts, 2)

    def _split(self, level: Sequence[int], x: Tensor, maps: bool) -> list[tuple[Tensor, Tensor | None]]:
        """The reverse of `_join`."""
        made, at = [], 0

        def take(shape: Sequence[int]) -> Tensor:
            nonlocal at
            count = torch.Size(shape).numel()
            at += count
            return x[:, :, at - count : at].unflatten(2, tuple(shape)) if len(shape) > 0 else x[:, :, at - 1]

        for state in level:
            shape = self.transitions.states[state].shape(self.sizes[state]) if maps else None
            u = take(self.sizes[state])
            made.append((u, None if shape is None else take(shape)))
        return made


def _tuple(x: Any) -> tuple:
    return (x,) if isinstance(x, Tensor) else tuple(x)
