"""Experts on several ranks (expert parallelism): rows go to the rank that has their expert, and what it gives comes back.

    shards = ExpertShards(group, experts=64)                     # rank r has experts r * 8 to r * 8 + 7 of 64 on 8 ranks
    routed = mixture_route(x, gate=gate)
    sent = shards.dispatch(routed.ids, routed.scores, x)         # rows of this rank's experts, from all ranks
    sums = sent.combine(mixture_experts(*sent.rows, sent.counts, scores=sent.scores, ...))

As many rows are exchanged as there are: how many is read back once a call. Dispatchers that do without bring rows and counts, or rows and indices, to
the same functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ._calls import once


class ExpertShards:
    """Which experts this rank has: those from `first` on, `local` of them; as many as every other, or one more.

    Args:
        group: the ranks that share the experts; the default group if None.
        experts: of all ranks.
        multiple: the number of rows that come is rounded up to one of it, so that kernels see fewer different ones, for each of which the first call prepares
            its launches. Rows beyond the counts are nothing to experts.
    """

    def __init__(self, group: dist.ProcessGroup | None = None, *, experts: int, multiple: int = 1):
        if not dist.is_initialized():
            raise RuntimeError("ExpertShards needs a process group: call torch.distributed.init_process_group first")
        self.group = dist.group.WORLD if group is None else group
        self.rank, self.world, self.experts = dist.get_rank(group), dist.get_world_size(group), experts
        self.multiple = multiple
        if self.rank < 0:
            raise ValueError("ExpertShards: this process is no member of the group")
        if experts < self.world:
            raise ValueError(f"ExpertShards: {self.world} ranks share {experts} experts: some would have none")
        ends = [experts * r // self.world for r in range(self.world + 1)]
        self.sizes = [b - a for a, b in zip(ends, ends[1:])]
        self.first, self.local = ends[self.rank], self.sizes[self.rank]

    def mine(self, x: Tensor) -> Tensor:
        """Of a tensor [experts, ...] what this rank has."""
        return x.narrow(0, self.first, self.local)

    def dispatch(self, ids: Tensor, scores: Tensor | None, *rows: Tensor) -> Sent:
        """Sends rows [..., D] to the ranks of their experts: ids [..., K] from 0, negative ones none, and what weighs them."""
        lead, columns = ids.shape[:-1], ids.shape[-1]
        key = torch.where(ids < 0, self.experts, ids).flatten()
        order = torch.argsort(key, stable=True)
        counts = torch.zeros(self.experts + 1, dtype=torch.int64, device=ids.device).scatter_add_(0, key, torch.ones_like(key))[:-1]
        arriving = _exchanged(counts, [self.local] * self.world, self.sizes, self.group)
        # The only time that this process waits for the device.
        leaving = torch.stack([x.sum() for x in counts.split(self.sizes)])
        leaves, comes = torch.stack([leaving, arriving.reshape(self.world, self.local).sum(1)]).tolist()
        order = order[: sum(leaves)]
        place = torch.full_like(key, len(order)).scatter_(0, order, torch.arange(len(order), device=ids.device)).reshape(-1, columns)
        # They come rank by rank and lie expert by expert then.
        expert = torch.arange(self.local, device=ids.device).repeat(self.world).repeat_interleave(arriving, output_size=sum(comes))
        there = torch.argsort(expert, stable=True)
        back = torch.argsort(there)
        # Any row will do for one that nobody reads.
        there = torch.nn.functional.pad(there, (0, -len(there) % self.multiple))
        way = Way(leaves, comes, order, place, there, back, self.group)
        return Sent(
            rows=tuple(way.go(Spread.apply(x.reshape(-1, *x.shape[len(lead) :]), order, place)) for x in rows),
            counts=arriving.reshape(self.world, self.local).sum(0),
            scores=None if scores is None else way.go(scores.flatten().index_select(0, order)), way=way, lead=lead)


@dataclass(frozen=True)
class Way:
    """How rows go, and how they come back."""

    leaves: list[int]
    comes: list[int]
    #: Of what leaves: the number among all tokens' columns; and of each of these its place in what leaves, or one beyond it.
    order: Tensor
    place: Tensor
    there: Tensor
    back: Tensor
    group: dist.ProcessGroup

    def go(self, x: Tensor) -> Tensor:
        return Ordered.apply(Exchange.apply(x, self.comes, self.leaves, self.group), self.there, self.back)

    def come(self, x: Tensor) -> Tensor:
        return Exchange.apply(Ordered.apply(x, self.back, self.there), self.leaves, self.comes, self.group)


@dataclass(frozen=True)
class Sent:
    """What this rank's experts have to do: `rows` and `scores` expert by expert, `counts` of each."""

    rows: tuple[Tensor, ...]
    counts: Tensor
    scores: Tensor | None
    way: Way
    lead: torch.Size

    def combine(self, y: Tensor) -> Tensor:
        """What experts gave for rows, back where these came from: for each token its sum [..., D]."""
        summed = Summed.apply(self.way.come(y), self.way.order, self.way.place)
        return summed.reshape(*self.lead, *y.shape[1:])


def _exchanged(x: Tensor, comes: list[int], leaves: list[int], group: dist.ProcessGroup) -> Tensor:
    made = torch.ops._c10d_functional.all_to_all_single(x.contiguous(), comes, leaves, group.group_name)
    return torch.ops._c10d_functional.wait_tensor(made)


class Exchange(torch.autograd.Function):
    """Rows to other ranks; gradients the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, comes: list[int], leaves: list[int], group: dist.ProcessGroup) -> Tensor:
        ctx.way = leaves, comes, group
        return _exchanged(x, comes, leaves, group)

    @staticmethod
    @once
    def backward(ctx: Any, d: Tensor) -> Any:
        return _exchanged(d, *ctx.way), None, None, None


class Ordered(torch.autograd.Function):
    """Rows in another order; `back`: the order that undoes it, whatever lies beyond."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, there: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        return x.index_select(0, there)

    @staticmethod
    @once
    def backward(ctx: Any, d: Tensor) -> Any:
        return d.index_select(0, *ctx.saved_tensors), None, None


# Each is the other's gradient, and neither adds by atomics.


def _spread(x: Tensor, order: Tensor, place: Tensor) -> Tensor:
    """The row of the token of each that leaves."""
    return x.index_select(0, order // place.shape[1])


def _summed(y: Tensor, place: Tensor) -> Tensor:
    """Of each token the sum of what left for it."""
    some = torch.cat([y, y.new_zeros((1, *y.shape[1:]))])
    total = some.index_select(0, place[:, 0])
    for column in range(1, place.shape[1]):
        total = total + some.index_select(0, place[:, column])
    return total


class Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, place: Tensor) -> Tensor:
        ctx.save_for_backward(place)
        return _spread(x, order, place)

    @staticmethod
    @once
    def backward(ctx: Any, d: Tensor) -> Any:
        return _summed(d, *ctx.saved_tensors), None, None


class Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, order: Tensor, place: Tensor) -> Tensor:
        ctx.save_for_backward(order, place)
        return _summed(y, place)

    @staticmethod
    @once
    def backward(ctx: Any, d: Tensor) -> Any:
        return _spread(d, *ctx.saved_tensors), None, None
