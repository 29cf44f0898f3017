"""One long row of tokens over several ranks (context parallelism): every scan of this package takes `shards=`.

    shards = SequenceShards(group, cu_seqlens)          # once per batch; global offsets, on the CPU
    o, _ = scan(shards.local(q), ..., shards=shards)    # every rank has its own tokens

What many tokens do to a state is one affine map. Each rank makes the maps of its pieces, all ranks gather them once, and each folds those before its own:
then it knows the state in which its pieces begin, and runs as ever. Backward the same once more, from right to left. What is gathered does not grow with
the number of tokens.
"""

from __future__ import annotations

from typing import Any, Callable, Iterable, Iterator, Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from ._calls import once
from ._carry import Transitions
from ._heads import HeadShards, SumOfRanks
from ._pieces import PiecesCall
from ._shards import Piece, Rows, pieces_of
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
        #: Pieces from which states come to own ones, and those from which cotangents do: up to where a sequence begins or ends.
        count = len(self.pieces)
        self.before = frozenset(q for p in self.own if self.pieces[p].enters for q in self._until(range(p - 1, -1, -1)))
        self.after = frozenset(q for p in self.own if self.pieces[p].leaves for q in self._until(range(p + 1, count)))
        self._places = [next(rank * len(held) + held.index(p) for rank, held in enumerate(self.held) if p in held) for p in range(count)]
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

    def _until(self, order: Iterable[int]) -> Iterator[int]:
        """Pieces with tokens in this order, until a sequence has an end in one."""
        for q in order:
            if self.pieces[q].tokens > 0:
                yield q
                if not self.pieces[q].through:
                    return

    def rows(self, batch: int, device: torch.device) -> Rows:
        """The parts of sequences that this rank has, as the rows of one packed call."""
        key = (batch, device)
        if key not in self._rows:
            self._rows[key] = Rows([self.pieces[p] for p in self.own], batch, device)
        return self._rows[key]

    def gather(self, x: Tensor) -> Tensor:
        """What all ranks give, each x [own pieces, numbers] of one shape. The only communication."""
        if self.world == 1:
            return x
        every = torch.empty(self.world * x.shape[0], x.shape[1], dtype=x.dtype, device=x.device)
        all_gather(every.view(-1), x.view(-1), group=self.group)
        return every

    def by_piece(self, gathered: Tensor) -> list[Tensor]:
        """The rows of what was gathered, in order of time."""
        rows = gathered.unbind(0)
        return [rows[place] for place in self._places]


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
    """Keeps what the call was given, the states in which its pieces begin, and what pieces do to a state where backward needs it."""

    @staticmethod
    def forward(ctx: Any, shards: SequenceShards, op: Any, transitions: Transitions, final: bool, *args: Tensor | None) -> Any:
        call = PiecesCall(shards, op, transitions, args)
        starts, kept = call.arrive()
        results = call.forward(final, starts)
        ctx.call, ctx.given = call, [x is not None for x in args]
        ctx.save_for_backward(*call.tensors, *starts, *kept)
        call.release()
        ctx.set_materialize_grads(False)
        outputs = [call.out(x) for x in results[: call.outputs]]
        return (*outputs, *(call.ended(x) for x in results[call.outputs :]))

    @staticmethod
    @once
    def backward(ctx: Any, *cotangents: Tensor | None) -> Any:
        call = ctx.call
        states, saved, count = len(call.transitions.states), ctx.saved_tensors, len(ctx.given)
        call.hold(saved[: count - states])
        starts, kept = saved[count - states : count], saved[count:]
        d_outputs = [call.given(d) for d in cotangents[: call.outputs]]
        d_finals = (*cotangents[call.outputs :], *(None for _ in range(states)))[:states]
        initial = any(needed for needed in ctx.needs_input_grad[len(ctx.needs_input_grad) - states :]) if states else False
        d_inputs, d_starts = call.backward(d_outputs, call.leave(d_outputs, d_finals, starts, kept), starts, initial)
        call.release()
        shaped = [call.out(d) if i < call.inputs else d for i, d in enumerate(d_inputs)]
        given = ctx.given[len(ctx.given) - states :] if states else []
        return (None, None, None, None, *shaped, *(call.began(d) if d is not None and known else None for d, known in zip(d_starts, given)))
