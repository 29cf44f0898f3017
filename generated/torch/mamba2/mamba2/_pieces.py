"""One call over the pieces of a row that a rank has: what comes in from the ranks before, what goes on to those after, and the call itself."""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Sequence

import torch
from torch import Tensor

from ._carry import Transitions
from ._shards import Part, Piece, cut

if TYPE_CHECKING:
    from .cp import SequenceShards


class PiecesCall:
    """One call on this rank. `rows` are parts of sequences: those of the batch where each is one, else tokens of all lie in one row. A
    state that is None is zero in all rows, as it is to kernels."""

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
        lie = (lambda x: x) if self.rows.plain else self.flat
        self.tensors: tuple[Tensor, ...] = tuple(lie(x) if i < self.inputs else x for i, x in enumerate(args[: len(args) - count]))

    def _own(self, named: Any, extents: Any, state: Tensor | None) -> tuple[int, ...]:
        return tuple(state.shape[2:]) if state is not None else self.transitions.reference.signature.own(named, extents)

    def release(self) -> None:
        """What autograd saves is not held twice."""
        self.tensors, self.initial = (), ()

    def hold(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = tuple(tensors)

    def flat(self, x: Tensor) -> Tensor:
        """All rows of the batch in one."""
        return x.reshape(1, self.batch * self.tokens, *x.shape[2:])

    def given(self, d: Tensor | None) -> Tensor | None:
        """The cotangent of an output, as this call has its tensors."""
        return d if d is None else d.contiguous() if self.rows.plain else self.flat(d.contiguous())

    def out(self, x: Tensor) -> Tensor:
        return x if self.rows.plain else x.view(self.batch, self.tokens, *x.shape[2:])

    def zeros(self, state: int, rows: int) -> Tensor:
        return torch.zeros(rows, self.heads, *self.sizes[state], dtype=self.exact, device=self.rows.device)

    def ended(self, x: Tensor) -> Tensor:
        """Final states by sequence, of those that end here."""
        found = self.rows.last_sequences.put(None, self.rows.last_rows.of(x), self.sequences)
        return x.new_zeros(self.sequences, *x.shape[1:]) if found is None else found

    def began(self, d: Tensor) -> Tensor:
        """Gradients of initial states by sequence, of those that begin here."""
        found = self.rows.first_sequences.put(None, self.rows.first_rows.of(d), self.sequences)
        return d.new_zeros(self.sequences, *d.shape[1:]) if found is None else found

    def known(self) -> list[Tensor | None]:
        """What states are before each row, where that is given."""
        first = self.rows.first_rows
        given = [None if state is None else first.put(None, self.rows.first_sequences.of(state), self.rows.count) for state in self.initial]
        return [*given, *(None for _ in self.transitions.states[len(given) :])]

    def forward(self, final: bool, starts: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
        return _tuple((self.op.forward_final if final else self.op.forward)(*self.tensors, *starts, self.rows.offsets))

    def backward(
        self, d_outputs: Sequence[Tensor | None], d_ends: Sequence[Tensor | None], starts: Sequence[Tensor | None], initial: bool
    ) -> tuple[list, list]:
        run = self.op.backward_initial if initial else self.op.backward
        grads = _tuple(run(*self.tensors, *starts, self.rows.offsets, *d_outputs, *d_ends))
        count = len(self.tensors)
        return list(grads[:count]), list(grads[count:]) if initial else [None for _ in starts]

    def _of(self, part: Part, starts: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Arguments of a call of these rows alone."""
        inputs = self.tensors if part.whole else [*self._tokens(part, self.tensors[: self.inputs]), *self.tensors[self.inputs :]]
        return [*inputs, *(part.rows.of(start) for start in starts), part.offsets]

    def _tokens(self, part: Part, given: Sequence[Tensor | None]) -> list[Tensor | None]:
        return [x if x is None or part.whole else cut(self.flat(x), part.spans) for x in given]

    def arrive(self) -> tuple[list[Tensor | None], list[Tensor | None]]:
        """The states before each row, and by level what all pieces have handed on, if backward needs the M in it."""
        starts, kept = self.known(), []
        for level in self.transitions.levels if self.shards.crossing else ():
            gathered = self.shards.gather(self._ends(level, starts))
            every = self.shards.by_piece(gathered)
            kept.append(gathered if self._needs_maps(level) else None)
            carry: dict[int, Tensor] = {}
            for p in sorted({*self.shards.before, *self.shards.own}):
                piece = self.shards.pieces[p]
                if piece.enters and p in self.shards.own:
                    at = self.rows.heads[self.shards.own.index(p)]
                    for state in level:
                        starts[state] = at.put(starts[state], carry[state], self.rows.count)
                if p in self.shards.before:
                    found = zip(level, self._split(level, every[p], True))
                    carry = {state: self._after(piece, state, u, m, carry) for state, (u, m) in found}
        return starts, kept

    def leave(
        self, d_outputs: Sequence[Tensor | None], d_finals: Sequence[Tensor | None], starts: Sequence[Tensor | None],
        kept: Sequence[Tensor | None],
    ) -> list[Tensor | None]:
        """The cotangents of the states after each row."""
        last, sequences = self.rows.last_rows, self.rows.last_sequences
        ends = [None if d is None else last.put(None, sequences.of(d.to(self.exact).contiguous()), self.rows.count) for d in d_finals]
        levels = self.transitions.levels
        for level, forward in zip(reversed(levels), reversed(kept)):
            every = self.shards.by_piece(self.shards.gather(self._begins(level, d_outputs, starts, ends)))
            maps = None if forward is None else self.shards.by_piece(forward)
            carry: dict[int, Tensor] = {}
            for p in sorted({*self.shards.after, *self.shards.own}, reverse=True):
                piece = self.shards.pieces[p]
                if piece.leaves and p in self.shards.own:
                    at = self.rows.tails[self.shards.own.index(p)]
                    for state in level:
                        ends[state] = at.put(ends[state], carry[state], self.rows.count)
                if p in self.shards.after:
                    found = {state: r for state, (r, _) in zip(level, self._split(level, every[p], False))}
                    if piece.through:
                        ms = self._split(level, maps[p], True) if maps is not None else [(None, None) for _ in level]
                        for state, (_, m) in zip(level, ms):
                            self._before(piece, state, m, carry[state], found)
                    carry = found
        return ends

    def _needs_maps(self, level: Sequence[int]) -> bool:
        """Does a cotangent come here past a whole piece whose M backward has to know?"""
        through = any(self.shards.pieces[p].through for p in self.shards.after)
        return through and any(self.transitions.states[state].shape(self.sizes[state]) is not None for state in level)

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

    def _ends(self, level: Sequence[int], starts: Sequence[Tensor | None]) -> Tensor:
        """U and M of own pieces, each in a row of numbers; zeros where nothing goes on."""
        own = [self.shards.pieces[p] for p in self.shards.own]
        made: list[tuple[list, list] | None] = [None for _ in own]
        leaving = [i for i, piece in enumerate(own) if piece.leaves]
        if leaving:
            part = self.rows.part([row for i in leaving for row in self.rows.tail_rows[i]], self._reach(level))
            finals = _tuple(self.op.ends(*self._of(part, starts)))
            maps = self._maps([i for i in leaving if own[i].through], level, starts)
            for n, i in enumerate(leaving):
                made[i] = ([finals[state][n * self.batch : (n + 1) * self.batch] for state in level], maps.get(i, [None for _ in level]))
        return self._join(level, made, True)

    def _begins(
        self, level: Sequence[int], d_outputs: Sequence[Tensor | None], starts: Sequence[Tensor | None], ends: Sequence[Tensor | None]
    ) -> Tensor:
        """The gradients of the states before own pieces, as if none came from beyond them."""
        own = [self.shards.pieces[p] for p in self.shards.own]
        made: list[tuple[list, list] | None] = [None for _ in own]
        entering = [i for i, piece in enumerate(own) if piece.enters]
        if entering:
            part = self.rows.part([row for i in entering for row in self.rows.head_rows[i]])
            given = [*self._tokens(part, d_outputs), *(part.rows.of(end) for end in ends)]
            grads = _tuple(self.op.reverse_ends(*self._of(part, starts), *given))
            for n, i in enumerate(entering):
                made[i] = ([grads[state][n * self.batch : (n + 1) * self.batch] for state in level], [None for _ in level])
        return self._join(level, made, False)

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

    def _maps(self, slots: Sequence[int], level: Sequence[int], starts: Sequence[Tensor | None]) -> dict[int, list[Tensor | None]]:
        """M of own pieces that one sequence fills."""
        kinds = {state: self.transitions.states[state].kind for state in level}
        found: dict[int, dict[int, Tensor | None]] = {slot: {} for slot in slots}
        for slot in slots if not {"scaled", "each"}.isdisjoint(kinds.values()) else ():
            a, b = self.rows.ranges[slot]
            tokens = [self.out(x)[:, a:b] for x in self.tensors[: self.inputs]]
            before = [self.rows.heads[slot].of(start) for start in starts]
            states = [self.zeros(i, self.batch) if start is None else start for i, start in enumerate(before)]
            found[slot].update(enumerate(self.transitions.over([*tokens, *self.tensors[self.inputs :], *states], self.times)))
        mixed = [state for state in level if kinds[state] == "mixed"]
        if mixed and slots:
            for state, every in self._mixed(slots, mixed, starts).items():
                for slot, m in zip(slots, every.split(self.batch)):
                    found[slot][state] = m
        return {slot: [ms.get(state) for state in level] for slot, ms in found.items()}

    def _mixed(self, slots: Sequence[int], states: Sequence[int], starts: Sequence[Tensor | None]) -> dict[int, Tensor]:
        """M of states that tokens mix, piece after piece: its rows are the gradients of a state before the piece, where those of the one
        after it are units. What is written has no part in that."""
        args = self._of(self.rows.part([row for slot in slots for row in self.rows.head_rows[slot]]), starts)
        carried = {state: self.transitions.states[state] for state in states}
        rows: dict[int, list[Tensor]] = {state: [] for state in states}
        for units in zip_longest(*(carried[state].units(self.zeros(state, self.batch * len(slots))) for state in states)):
            seeds: list[Tensor | None] = [None for _ in starts]
            for state, unit in zip(states, units):
                seeds[state] = unit
            grads = _tuple(self.op.reverse_ends(*args, *(None for _ in range(self.outputs)), *seeds))
            for state, unit in zip(states, units):
                if unit is not None:
                    rows[state].append(carried[state].columns(grads[state]))
        return {state: torch.cat(found, 3)[..., : found[0].shape[2]].mT for state, found in rows.items()}

    def _shapes(self, level: Sequence[int], maps: bool) -> list[tuple[tuple[int, ...], tuple[int, ...] | None]]:
        """Of U and M of these states."""
        lead, found = (self.batch, self.heads), []
        for state in level:
            m = self.transitions.states[state].shape(self.sizes[state]) if maps else None
            found.append(((*lead, *self.sizes[state]), None if m is None else (*lead, *m)))
        return found

    def _join(self, level: Sequence[int], made: Sequence[tuple[list, list] | None], maps: bool) -> Tensor:
        """[own pieces, numbers]: by state U, then M if it has one."""
        shapes = self._shapes(level, maps)
        total = sum(math.prod(shape) for each in shapes for shape in each if shape is not None)
        parts: list[Tensor] = []
        for found in made:
            if found is None:
                parts.append(torch.zeros(total, dtype=self.exact, device=self.rows.device))
                continue
            for u, m, (_, of_m) in zip(*found, shapes):
                parts.append(u.reshape(-1))
                if of_m is not None:
                    parts.append(u.new_zeros(math.prod(of_m)) if m is None else m.expand(of_m).reshape(-1))
        return (parts[0] if len(parts) == 1 else torch.cat(parts)).view(len(made), total)

    def _split(self, level: Sequence[int], x: Tensor, maps: bool) -> list[tuple[Tensor, Tensor | None]]:
        """The reverse of `_join`, of one piece."""
        made, at = [], 0
        for shapes in self._shapes(level, maps):
            found: list[Tensor | None] = []
            for shape in shapes:
                count = 0 if shape is None else math.prod(shape)
                found.append(None if shape is None else x[at : at + count].view(shape))
                at += count
            made.append((found[0], found[1]))
        return made


def _tuple(x: Any) -> tuple:
    return (x,) if isinstance(x, Tensor) else tuple(x)
