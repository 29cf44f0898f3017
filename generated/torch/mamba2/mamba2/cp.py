"""One long row of tokens over several ranks (context parallelism): every scan of this package takes `shards=`.

    shards = SequenceShards(group, cu_seqlens)          # once per batch; global offsets, on the CPU
    o, _ = scan(shards.local(q), ..., shards=shards)    # every rank has its own tokens

What many tokens do to a state is one affine map. Each rank makes the maps of its pieces, all ranks gather them once, and each folds those before its own:
then it knows the state in which its pieces begin, and runs as ever. Backward the same once more, from right to left. What is gathered does not grow with
the number of tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from ._carry import Transitions
from ._heads import HeadShards, SumOfRanks
from ._shards import Piece, Rows, cut, pieces_of
from ._signature import Signature

#: Its name since torch 2.13, and before.
all_gather = getattr(dist, "all_gather_single", None) or getattr(dist, "all_gather_into_tensor", None)
LAYOUTS = ("contiguous", "headtail")


class SequenceShards:
    """Which tokens of a row this rank has.

    Args:
        group: the ranks that share a row; the default group if None.
        cu_seqlens: offsets of all packed sequences, of all ranks together: numbers, or a tensor on the CPU. Then B is 1.
        tokens: the length of the rows, where nothing is packed.
        layout: `contiguous`: rank r has the r-th of as many pieces as there are ranks. `headtail`: twice as many pieces, the r-th from the left and the
            r-th from the right, one after the other, so that causal attention beside a scan has the same work everywhere.
        gather_final: every rank gets the final states of all sequences, instead of those that end on it.
    """

    def __init__(
        self, group: dist.ProcessGroup | None = None, cu_seqlens: Tensor | Sequence[int] | None = None, *, tokens: int | None = None, layout: str = "contiguous",
        gather_final: bool = False,
    ):
        if layout not in LAYOUTS:
            raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, found {layout!r}")
        if not dist.is_initialized():
            raise RuntimeError("SequenceShards needs a process group: call torch.distributed.init_process_group first")
        if (cu_seqlens is None) == (tokens is None):
            raise ValueError("SequenceShards takes either cu_seqlens, the offsets of all packed sequences, or tokens, the length of the rows")
        self.group = group
        self.rank, self.world = dist.get_rank(group), dist.get_world_size(group)
        if self.rank < 0:
            raise ValueError("SequenceShards: this process is no member of the group")
        self.layout, self.gather_final = layout, gather_final
        self.packed = cu_seqlens is not None
        offsets = [0, tokens] if cu_seqlens is None else cu_seqlens.flatten().tolist() if isinstance(cu_seqlens, Tensor) else list(cu_seqlens)
        if len(offsets) < 2 or offsets[0] != 0 or any(b < a for a, b in zip(offsets, offsets[1:])):
            raise ValueError(f"SequenceShards: offsets must rise from 0, found {offsets}")
        self.offsets, self.sequences, self.tokens = offsets, len(offsets) - 1, offsets[-1]
        #: In order of time; and by rank, which it has, in the order of its tokens.
        self.pieces: list[Piece] = pieces_of(offsets, self.world if layout == "contiguous" else 2 * self.world)
        self.held = [(rank,) if layout == "contiguous" else (rank, 2 * self.world - 1 - rank) for rank in range(self.world)]
        self.own = self.held[self.rank]
        self.crossing = any(piece.leaves for piece in self.pieces)
        self._rows: dict[tuple[int, torch.device], Rows] = {}

    def heads(self) -> HeadShards:
        """The same ranks, which exchange tokens for heads while a scan runs: for any scan, where heads (and groups) are a multiple of the ranks."""
        return HeadShards(self)

    def gathered(self, final: Tensor) -> Tensor:
        """A final state as a call gives it."""
        return SumOfRanks.apply(self.group, final) if self.gather_final else final

    @property
    def local_tokens(self) -> int:
        return sum(self.pieces[p].tokens for p in self.own)

    def positions(self, device: torch.device | str | None = None) -> Tensor:
        """Where the tokens of this rank stand in the whole row."""
        return torch.cat([torch.arange(self.pieces[p].start, self.pieces[p].end, device=device) for p in self.own])

    def local(self, x: Tensor, axis: int = 1) -> Tensor:
        """The tokens of this rank out of a whole tensor."""
        if x.shape[axis] != self.tokens:
            raise ValueError(f"SequenceShards.local: axis {axis} has {x.shape[axis]} tokens, the whole row has {self.tokens}")
        return torch.cat([x.narrow(axis, self.pieces[p].start, self.pieces[p].tokens) for p in self.own], axis)

    def rows(self, batch: int, device: torch.device) -> Rows:
        """The parts of sequences that this rank has, as the rows of one packed call."""
        key = (batch, device)
        if key not in self._rows:
            self._rows[key] = Rows([self.pieces[p] for p in self.own], batch, device)
        return self._rows[key]

    def gather(self, x: Tensor) -> list[Tensor]:
        """By piece, in order of time, what its rank has given: x [own pieces, ...] of one shape on all ranks. The only communication."""
        x = x.contiguous()
        if self.world == 1:
            every = x[None]
        else:
            flat = torch.empty(self.world * x.numel(), dtype=x.dtype, device=x.device)
            all_gather(flat, x.view(-1), group=self.group)
            every = flat.view(self.world, *x.shape)
        return [every[rank, held.index(p)] for p in range(len(self.pieces)) for rank, held in enumerate(self.held) if p in held]


@torch.compiler.disable
def sharded(
    function: Callable[..., Any], shards: SequenceShards | HeadShards, op: Any, signature: Signature, transitions: Transitions | None,
    args: tuple[Tensor | None, ...], final: bool, cu_seqlens: Tensor | None,
) -> tuple[Tensor, ...]:
    """A scan over the tokens of this rank. Outputs, then final states: rows of sequences that end elsewhere are 0, or those of all ranks."""
    # Shards may be those of another package: a model's scans share them.
    name, rows = signature.name, getattr(shards, "shards", shards)
    if cu_seqlens is not None:
        raise ValueError(f"{name}: where `shards` is given, it has the offsets of all ranks; leave cu_seqlens out")
    batch, tokens = args[0].shape[:2]
    if tokens != rows.local_tokens:
        raise ValueError(f"{name}: this rank has {rows.local_tokens} tokens of {rows.tokens}, {signature.inputs[0].name} has {tokens}")
    if rows is not shards:
        return shards.run(function, signature, args, final)
    if transitions is None:
        why = f"{name} runs step by step (`sequential`): what a piece does to its state is no affine map"
        raise NotImplementedError(f"{why}; shards.heads() exchanges tokens for heads instead")
    if shards.packed and batch != 1:
        raise ValueError(f"{name}: packed sequences lie in one row, so B must be 1; found B = {batch}")
    wanted = shards.sequences if shards.packed else batch
    for named, state in zip(transitions.reference.signature.states, args[len(args) - len(transitions.states) :]):
        if state is not None and state.shape[0] != wanted:
            raise ValueError(f"{name}: the state {named.name} has {state.shape[0]} rows for {wanted} sequences; every rank gives the rows of all")
    results = _Sharded.apply(shards, op, transitions, final, *args)
    count = len(signature.outputs)
    return (*results[:count], *(shards.gathered(x) for x in results[count:]))


class _Sharded(torch.autograd.Function):
    """Keeps what the call was given, the states in which its pieces begin, and what every piece does to a state."""

    @staticmethod
    def forward(ctx: Any, shards: SequenceShards, op: Any, transitions: Transitions, final: bool, *args: Tensor | None) -> Any:
        call = _Call(shards, op, transitions, args)
        starts, maps = call.arrive()
        results = call.forward(final, starts)
        ctx.call, ctx.given = call, [x is not None for x in args]
        ctx.save_for_backward(*call.tensors, *starts, *maps)
        call.release()
        ctx.set_materialize_grads(False)
        outputs = [call.out(x) for x in results[: call.outputs]]
        return (*outputs, *(call.ended(x) for x in results[call.outputs :]))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor | None) -> Any:
        call = ctx.call
        states, saved = len(call.transitions.states), ctx.saved_tensors
        first = len(saved) - 2 * states
        call.hold(saved[:first])
        starts, maps = saved[first : first + states], saved[first + states :]
        d_outputs = [None if d is None else call.flat(d) for d in cotangents[: call.outputs]]
        d_finals = (*cotangents[call.outputs :], *(None for _ in range(states)))[:states]
        initial = any(needed for needed in ctx.needs_input_grad[len(ctx.needs_input_grad) - states :]) if states else False
        d_inputs, d_starts = call.backward(d_outputs, call.leave(d_outputs, d_finals, starts, maps), starts, initial)
        call.release()
        shaped = [call.out(d) if i < call.inputs else d for i, d in enumerate(d_inputs)]
        given = ctx.given[len(ctx.given) - states :] if states else []
        return (None, None, None, None, *shaped, *(call.began(d) if d is not None and known else None for d, known in zip(d_starts, given)))


@dataclass
class _Part:
    """Some rows of a call, as a packed call of their own."""

    spans: list[tuple[int, int]]
    offsets: Tensor
    rows: Tensor


class _Call:
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
        if all(self.transitions.states[state].kind in ("kept", "lost") for state in level):
            return [None for _ in level]
        a, b = self.rows.ranges[slot]
        tokens = [self.out(x)[:, a:b] for x in self.tensors[: self.inputs]]
        found = self.transitions.over([*tokens, *self.tensors[self.inputs :], *(start[self.rows.heads[slot]] for start in starts)], self.times)
        return [found[state] for state in level]

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
