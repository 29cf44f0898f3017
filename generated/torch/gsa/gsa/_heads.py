"""Rows of tokens over several ranks by exchanging tokens for heads: every rank has all tokens of some heads while the scan runs. For scans whose
pieces are no affine maps, and for rows so short that states are more than tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from ._signature import Signature
    from .cp import SequenceShards


class HeadShards:
    """What `SequenceShards.heads()` gives."""

    def __init__(self, shards: SequenceShards):
        self.shards = shards

    def run(self, function: Callable[..., Any], signature: Signature, args: Sequence[Tensor | None], final: bool) -> tuple[Tensor, ...]:
        """Outputs of the tokens of this rank, then final states: those of heads that other ranks have are 0."""
        shards, count = self.shards, len(signature.inputs)
        if signature.counts_heads:
            raise ValueError(f"{signature.name} counts its heads, and a rank would have some of them only; use `shards` without heads()")
        inputs, states = args[:count], args[len(args) - len(signature.states) :]
        for named, x in zip(signature.inputs, inputs):
            if x.shape[2] % shards.world:
                what = f"{signature.name}: {named.name} has {x.shape[2]} heads, which {shards.world} ranks cannot share"
                raise ValueError(f"{what}; use `shards` without heads()")
        params = {named.name: self._own(x, 0) for named, x in zip(signature.params, args[count:])}
        initial = [None if x is None else self._own(x, 1) for x in states]
        if any(x is not None for x in initial):
            params["initial_state"] = initial[0] if len(initial) == 1 else tuple(initial)
        offsets = torch.tensor(shards.offsets, device=inputs[0].device) if shards.packed else None
        taken = [_ToHeads.apply(shards, x) for x in inputs]
        *outputs, state = function(*taken, **params, output_final_state=final, cu_seqlens=offsets)
        finals = [] if state is None else [state] if isinstance(state, Tensor) else list(state)
        own, every = outputs[0].shape[2], outputs[0].shape[2] * shards.world
        first = shards.rank * own
        spread = [F.pad(x, (*(0 for _ in range(2 * (x.ndim - 2))), first, every - own - first)) for x in finals]
        return (*(_ToTokens.apply(shards, x) for x in outputs), *(shards.gathered(x) for x in spread))

    def _own(self, x: Tensor, axis: int) -> Tensor:
        heads = x.shape[axis] // self.shards.world
        return x.narrow(axis, self.shards.rank * heads, heads)


def _exchange(shards: SequenceShards, parts: Sequence[Tensor], shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """`parts`: for every rank. What they have for this one, of these shapes."""
    sizes = [torch.Size(shape).numel() for shape in shapes]
    sent = torch.cat([part.reshape(-1) for part in parts])
    found = sent.new_empty(sum(sizes))
    dist.all_to_all_single(found, sent, sizes, [part.numel() for part in parts], group=shards.group)
    return [x.view(shape) for x, shape in zip(found.split(sizes), shapes)]


def _to_heads(shards: SequenceShards, x: Tensor) -> Tensor:
    """[B, own tokens, heads, ...] -> [B, all tokens, own heads, ...]."""
    batch, _, heads, *own = x.shape
    share = heads // shards.world
    shapes = [(batch, sum(shards.pieces[p].tokens for p in held), share, *own) for held in shards.held]
    pieces: dict[int, Tensor] = {}
    for held, found in zip(shards.held, _exchange(shards, x.split(share, 2), shapes)):
        pieces.update(zip(held, found.split([shards.pieces[p].tokens for p in held], 1)))
    return torch.cat([pieces[p] for p in range(len(shards.pieces))], 1)


def _to_tokens(shards: SequenceShards, x: Tensor) -> Tensor:
    """[B, all tokens, own heads, ...] -> [B, own tokens, heads, ...]."""
    batch, _, share, *own = x.shape
    parts = [torch.cat([x.narrow(1, shards.pieces[p].start, shards.pieces[p].tokens) for p in held], 1) for held in shards.held]
    return torch.cat(_exchange(shards, parts, [(batch, shards.local_tokens, share, *own)] * shards.world), 2)


class _ToHeads(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, shards: SequenceShards, x: Tensor) -> Tensor:
        ctx.shards = shards
        return _to_heads(shards, x)

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Any:
        return None, _to_tokens(ctx.shards, d)


class _ToTokens(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, shards: SequenceShards, x: Tensor) -> Tensor:
        ctx.shards = shards
        return _to_tokens(shards, x)

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Any:
        return None, _to_heads(ctx.shards, d)


class SumOfRanks(torch.autograd.Function):
    """What all ranks have, added up. Every rank's loss may read it: cotangents are added up, too."""

    @staticmethod
    def forward(ctx: Any, group: dist.ProcessGroup | None, x: Tensor) -> Tensor:
        ctx.group = group
        return _summed(group, x)

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Any:
        return None, _summed(ctx.group, d)


def _summed(group: dist.ProcessGroup | None, x: Tensor) -> Tensor:
    made = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(made, group=group)
    return made
