"""What printed references of layers and mixtures compute with. Tensors are [rows, ...axes]; the rows are those of a domain: what there is once,
sequences, tokens, or slots, which are the tokens of each index of a choice, those of one index one behind the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable, Sequence

import torch
from torch import Tensor

ONCE, SEQUENCE, TOKEN = 0, 1, 2
WORD = 0xFFFFFFFF


@dataclass(frozen=True)
class Slots:
    """Rows of a choice: the token of each, its index along each of the groups, and where the rows of every index end."""

    token: Tensor
    index: tuple[Tensor, ...]
    sizes: tuple[int, ...]
    counts: list[int]


@dataclass(frozen=True)
class Groups:
    """Elements that are folded together, as the last axis of a dense tensor. `there`: which of its elements exist; None: all."""

    put: Callable[[Tensor, object], Tensor]
    back: Callable[[Tensor], Tensor]
    there: Tensor | None


class Rows:
    """The rows of one call: equally long sequences, or packed ones in one row of tokens."""

    def __init__(
        self, batch: int, tokens: int, cu_seqlens: Tensor | None, dtype: torch.dtype, device: torch.device, sizes: dict[str, int] | None = None
    ):
        self.dtype, self.device = dtype, device
        #: Of axes that a call brings.
        self.sizes = sizes or {}
        if cu_seqlens is None:
            lengths = torch.full((batch,), tokens, dtype=torch.int64, device=device)
        else:
            lengths = cu_seqlens.to(device=device, dtype=torch.int64).diff()
        self.lengths = lengths
        self.sequence = torch.repeat_interleave(torch.arange(len(lengths), device=device), lengths)
        starts = lengths.cumsum(0) - lengths
        self.time = torch.arange(len(self.sequence), device=device) - starts[self.sequence]
        self.slots: dict[int, Slots] = {}

    # Rows

    def open(self, domain: int, choice: Tensor, dims: tuple[int, ...], sizes: tuple[int, ...]) -> None:
        """The slots of a choice: index by index, and by token in each."""
        choice = choice.expand(len(self.sequence), *choice.shape[1:])
        others = [dim for dim in range(1, choice.ndim) if dim not in dims]
        found = choice.permute(*dims, 0, *others).reshape(*sizes, len(self.sequence)).nonzero()
        group = torch.zeros(len(found), dtype=torch.int64, device=self.device)
        for i, size in enumerate(sizes):
            group = group * size + found[:, i]
        counts = torch.bincount(group, minlength=math.prod(sizes)).tolist()
        self.slots[domain] = Slots(found[:, -1], tuple(found[:, i] for i in range(len(sizes))), sizes, counts)

    def count_of(self, domain: int) -> int:
        return {ONCE: 1, SEQUENCE: len(self.lengths), TOKEN: len(self.sequence)}[domain] if domain <= TOKEN else len(self.slots[domain].token)

    def row_of(self, domain: int, to: int) -> Tensor:
        """For each row of a domain the row of a coarser one that it lies in."""
        if to == ONCE:
            return torch.zeros(self.count_of(domain), dtype=torch.int64, device=self.device)
        if domain == to:
            return torch.arange(self.count_of(domain), device=self.device)
        token = self.slots[domain].token if domain > TOKEN else None
        if to == TOKEN:
            return token
        return self.sequence if token is None else self.sequence[token]

    def wide(self, x: Tensor, domain: int, sizes: tuple[int, ...]) -> Tensor:
        return x.expand(self.count_of(domain), *sizes)

    def gather(self, x: Tensor, domain: int, to: int, dims: tuple[int, ...]) -> Tensor:
        """The row that each row of `to` lies in. Slots take their own index along `dims`, the groups' axes in x (-1: it has none)."""
        own = [dim for dim in dims if dim > 0]
        others = [dim for dim in range(1, x.ndim) if dim not in own]
        index = [self.slots[to].index[i] for i, dim in enumerate(dims) if dim > 0]
        return x.permute(0, *own, *others)[(self.row_of(to, domain), *index)]

    # Numbers

    def full(self, value: float, sizes: tuple[int, ...] = ()) -> Tensor:
        return torch.full((1, *sizes), value, dtype=self.dtype, device=self.device)

    def number(self, x: Tensor) -> Tensor:
        return x.to(self.dtype)

    def count(self, of: str) -> Tensor:
        if of == "time":
            return self.number(self.lengths)
        return self.full({"tokens": len(self.sequence), "batch": len(self.lengths), "ranks": 1}[of])

    def index(self, domain: int, over: str | None, sizes: tuple[int, ...]) -> Tensor:
        """Counts axes row by row; with `over` the tokens of the sequence or of the call before them."""
        cell = torch.arange(math.prod(sizes), device=self.device).reshape(1, *sizes)
        if over is None:
            return self.number(cell).expand(self.count_of(domain), *sizes)
        row = self.time if over == "time" else torch.arange(len(self.sequence), device=self.device)
        return self.number(row.reshape(-1, *(1 for _ in sizes)) * math.prod(sizes) + cell)

    # Sums of products

    def by_group(self, domain: int, equation: str, x: Tensor, weights: Tensor) -> Tensor:
        """Every slot's product with the weight of its index."""
        pieces = x.split(self.slots[domain].counts)
        return torch.cat([torch.einsum(equation, piece, weight) for piece, weight in zip(pieces, weights)])

    def sum_by_group(self, domain: int, equation: str, x: Tensor, y: Tensor) -> Tensor:
        """The sum over the slots of each index."""
        slots = self.slots[domain]
        sums = torch.stack([torch.einsum(equation, a, b) for a, b in zip(x.split(slots.counts), y.split(slots.counts))])
        return sums.reshape(1, *slots.sizes, *sums.shape[1:])

    def add(self, x: Tensor, domain: int, to: int, kept: tuple[int, ...] = ()) -> Tensor:
        """Sums rows that lie in one row of `to`, groups that are kept apart."""
        if domain == to:
            return x
        if to == ONCE and not kept:
            return x.sum(0, keepdim=True)
        bucket, sizes = self._buckets(domain, to, kept)
        count = self.count_of(to)
        sums = torch.zeros(count * math.prod(sizes), *x.shape[1:], dtype=x.dtype, device=x.device).index_add(0, bucket, x)
        return sums.reshape(count, *sizes, *x.shape[1:])

    def sum(self, x: Tensor, there: Tensor | None, domain: int, to: int, dims: tuple[int, ...], kept: tuple[int, ...] = ()) -> Tensor:
        x = masked(x, there)
        return self.add(x.sum(dims) if dims else x, domain, to, kept)

    def _buckets(self, domain: int, to: int, kept: tuple[int, ...]) -> tuple[Tensor, tuple[int, ...]]:
        bucket, sizes = self.row_of(domain, to), ()
        if kept:
            slots = self.slots[domain]
            sizes = tuple(slots.sizes[i] for i in kept)
            for i in kept:
                bucket = bucket * slots.sizes[i] + slots.index[i]
        return bucket, sizes

    # Folds that look at all elements of a group

    def groups(self, x: Tensor, there: Tensor | None, domain: int, to: int, dims: tuple[int, ...], kept: tuple[int, ...]) -> Groups:
        """How the elements of x lie in groups: in the order of its axes, so that the first of equals is the first."""
        if domain == to or (to == ONCE and not kept):
            folded = (*(() if domain == to else (0,)), *dims)
            order = [dim for dim in range(x.ndim) if dim not in folded]
            back = sorted(range(x.ndim), key=[*order, *folded].__getitem__)
            shape = tuple(x.shape[dim] for dim in (*order, *folded))
            lead = (*(() if domain == to else (1,)), *(x.shape[dim] for dim in order))

            def put(value: Tensor, _: object) -> Tensor:
                return value.expand(x.shape).permute(*order, *folded).reshape(*lead, math.prod(shape[len(order):]))

            def unput(value: Tensor) -> Tensor:
                return value.reshape(shape).permute(*back)

            return Groups(put, unput, None if there is None else put(there, False))
        return self._apart(x, there, domain, to, dims, kept)

    def _apart(self, x: Tensor, there: Tensor | None, domain: int, to: int, dims: tuple[int, ...], kept: tuple[int, ...]) -> Groups:
        """Groups of rows that differ in length: each is filled up with elements that do not exist."""
        bucket, sizes = self._buckets(domain, to, kept)
        count = self.count_of(to) * math.prod(sizes)
        lengths = torch.bincount(bucket, minlength=count)
        most = int(lengths.max()) if count > 0 else 0
        order = torch.argsort(bucket, stable=True)
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order), device=x.device) - (lengths.cumsum(0) - lengths)[bucket[order]]
        others = [dim for dim in range(1, x.ndim) if dim not in dims]
        rest = [x.shape[dim] for dim in others]
        own = [x.shape[dim] for dim in dims]

        def put(value: Tensor, fill: object) -> Tensor:
            value = value.expand(x.shape).permute(0, *others, *dims)
            whole = torch.full((count, most, *value.shape[1:]), fill, dtype=value.dtype, device=x.device)
            whole = whole.index_put((bucket, place), value)
            whole = whole.movedim(1, 1 + len(rest))
            return whole.reshape(self.count_of(to), *sizes, *rest, most * math.prod(own))

        def unput(value: Tensor) -> Tensor:
            value = value.reshape(count, *rest, most, *own).movedim(1 + len(rest), 1)
            dims_of = sorted(range(len(others) + len(dims)), key=[*others, *dims].__getitem__)
            return value[bucket, place].permute(0, *(1 + at for at in dims_of))

        exists = there if there is not None else torch.ones((), dtype=torch.bool, device=x.device)
        return Groups(put, unput, put(exists, False))

    def _extreme(self, x: Tensor, there: Tensor | None, where: tuple, low: float) -> tuple[Groups, Tensor]:
        groups = self.groups(x, there, *where)
        return groups, masked(groups.put(x, low), groups.there, low)

    def fold_max(self, x: Tensor, there: Tensor | None, domain: int, to: int, dims: tuple[int, ...], kept: tuple[int, ...] = ()) -> Tensor:
        """Of nothing, something: nobody reads it."""
        _, dense = self._extreme(x, there, (domain, to, dims, kept), -math.inf)
        return dense.amax(-1) if dense.shape[-1] > 0 else dense.sum(-1)

    def fold_min(self, x: Tensor, there: Tensor | None, domain: int, to: int, dims: tuple[int, ...], kept: tuple[int, ...] = ()) -> Tensor:
        return -self.fold_max(-x, there, domain, to, dims, kept)

    def fold_prod(self, x: Tensor, there: Tensor | None, domain: int, to: int, dims: tuple[int, ...], kept: tuple[int, ...] = ()) -> Tensor:
        _, dense = self._extreme(x, there, (domain, to, dims, kept), 1.0)
        return dense.prod(-1)

    def fold_logsumexp(self, x: Tensor, there: Tensor | None, domain: int, to: int, dims: tuple[int, ...], kept: tuple[int, ...] = ()) -> Tensor:
        _, dense = self._extreme(x, there, (domain, to, dims, kept), -math.inf)
        return torch.logsumexp(dense, -1)

    def softmax(
        self, x: Tensor, sink: Tensor | None, there: Tensor | None, domain: int, to: int, dims: tuple[int, ...], kept: tuple[int, ...] = ()
    ) -> Tensor:
        """`sink`: its exponential is in the denominator as well."""
        groups, dense = self._extreme(x, there, (domain, to, dims, kept), -math.inf)
        most = dense.detach().amax(-1, keepdim=True) if dense.shape[-1] > 0 else dense.new_zeros((*dense.shape[:-1], 1))
        if sink is not None:
            most = torch.maximum(most, sink.detach()[..., None])
        shift = torch.where(most.abs() == math.inf, torch.zeros_like(most), most)
        powers = torch.exp(dense - shift)
        total = powers.sum(-1, keepdim=True)
        if sink is not None:
            total = total + torch.exp(sink[..., None] - shift)
        return masked(groups.back(powers / torch.where(total == 0, torch.ones_like(total), total)), there)

    def top(
        self, x: Tensor, count: Tensor, there: Tensor | None, domain: int, to: int, dims: tuple[int, ...], kept: tuple[int, ...] = ()
    ) -> Tensor:
        """The `count` largest of what is there, the first of equals."""
        groups, dense = self._extreme(x.detach(), there, (domain, to, dims, kept), -math.inf)
        if bool(dense.isnan().any()) or bool(count.isnan().any()):
            raise ValueError("a score that something is chosen by, or how many are chosen, is not a number")
        return groups.back(self._first(dense, groups.there, count.detach()[..., None]))

    def first_max(self, x: Tensor, there: Tensor | None, domain: int, to: int, dims: tuple[int, ...], kept: tuple[int, ...] = ()) -> Tensor:
        groups, dense = self._extreme(x.detach(), there, (domain, to, dims, kept), -math.inf)
        return groups.back(self._first(dense, groups.there, torch.ones((), dtype=dense.dtype, device=dense.device)))

    def first_min(self, x: Tensor, there: Tensor | None, domain: int, to: int, dims: tuple[int, ...], kept: tuple[int, ...] = ()) -> Tensor:
        return self.first_max(-x, there, domain, to, dims, kept)

    @staticmethod
    def _first(dense: Tensor, there: Tensor | None, count: Tensor) -> Tensor:
        order = torch.argsort(dense, dim=-1, descending=True, stable=True)
        if there is not None:
            order = order.gather(-1, torch.argsort((~there).gather(-1, order).to(torch.int8), dim=-1, stable=True))
        rank = torch.empty_like(order).scatter_(-1, order, torch.arange(dense.shape[-1], device=dense.device).expand(order.shape))
        chosen = rank < torch.floor(count)
        return chosen if there is None else chosen & there

    def others(self, x: Tensor, there: Tensor | None, domain: int, to: int, dims: tuple[int, ...], kept: tuple[int, ...] = ()) -> Tensor:
        """The product of all elements but this one."""
        groups, dense = self._extreme(x, there, (domain, to, dims, kept), 1.0)
        zero = dense == 0
        product = torch.where(zero, torch.ones_like(dense), dense).prod(-1, keepdim=True)
        left = zero.sum(-1, keepdim=True) - zero.to(torch.int64)
        rest = torch.where(zero, product.expand(dense.shape), product / torch.where(zero, torch.ones_like(dense), dense))
        return masked(groups.back(torch.where(left > 0, torch.zeros_like(rest), rest)), there)

    def sinkhorn(self, x: Tensor, there: Tensor | None, dim: int, tolerance: float) -> Tensor:
        """exp(x), rows and columns scaled in turn to even sums until the column factors settle."""
        z = masked(x.detach(), there, -math.inf).movedim(dim, -1)
        most = z.amax(-1, keepdim=True)
        if bool(most.isnan().any()):
            raise ValueError("a score of a balanced plan is not a number")
        cost = torch.exp(z - torch.where(most == -math.inf, torch.zeros_like(most), most))
        plan = torch.empty_like(cost)
        lanes = cost.reshape(len(cost), -1, cost.shape[-1])
        for lane in range(lanes.shape[1]):
            plan.reshape(lanes.shape)[:, lane] = _balanced(lanes[:, lane], tolerance)
        return plan.movedim(-1, dim)

    # Draws

    def draw(
        self, law: str, keys: Tensor, site: int, domain: int, sizes: tuple[int, ...], elements: tuple[int, ...], group_elements: tuple[int, ...],
        lanes: tuple[int, ...], group_lanes: tuple[int, ...],
    ) -> Tensor:
        """Numbers that are functions of key, token, element and lane: the same on every device. `elements`, `lanes`: what a step along each axis
        adds to their numbers; `group_...`: one along each group of the slots."""
        token = self.slots[domain].token if domain > TOKEN else torch.arange(len(self.sequence), device=self.device)

        def numbers(steps: tuple[int, ...], group_steps: tuple[int, ...]) -> Tensor:
            of = torch.zeros(len(token), *(1 for _ in sizes), dtype=torch.int64, device=self.device)
            for i, step in enumerate(group_steps):
                of = of + (self.slots[domain].index[i] * step).reshape(-1, *(1 for _ in sizes))
            for i, (size, step) in enumerate(zip(sizes, steps)):
                of = of + (torch.arange(size, device=self.device) * step).reshape(-1, *(1 for _ in sizes[i + 1 :]))
            return of.expand(len(token), *sizes)

        element, lane = numbers(elements, group_elements), numbers(lanes, group_lanes)
        one = lambda of: of[token].reshape(-1, *(1 for _ in sizes)).expand(element.shape)
        halves = keys[site].to(torch.int64)
        key = (halves[0] + (halves[1] << 16), halves[2] + (halves[3] << 16))
        words = torch.stack(philox((element // 4, one(self.time), one(self.sequence), lane), key))
        units = (words.to(torch.float64) + 0.5) / 2**32
        if law == "normal":
            radius = torch.sqrt(-2 * torch.log(units[::2]))
            angle = 2 * math.pi * units[1::2]
            units = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], 1).reshape(units.shape)
        return self.number(units.gather(0, (element % 4)[None])[0])


def masked(x: Tensor, there: Tensor | None, fill: float = 0.0) -> Tensor:
    return x if there is None else torch.where(there, x, torch.full((), fill, dtype=x.dtype, device=x.device))


def by_groups(x: Tensor, count: int) -> Tensor:
    """[1, ...groups, ...] with the groups as one axis."""
    return x[0].flatten(0, count - 1)


def pick(x: Tensor, index: Tensor) -> Tensor:
    """The element of that number along the last axis; 0 for a negative one."""
    shape = torch.broadcast_shapes(x.shape[:-1], index.shape)
    at = index.to(torch.int64).expand(shape)
    found = x.expand(*shape, x.shape[-1]).gather(-1, at.clamp(min=0)[..., None])[..., 0]
    return torch.where(at < 0, torch.zeros_like(found), found)


def place(x: Tensor, index: Tensor, size: int) -> Tensor:
    """The other way: 0 but at the index."""
    here = index.to(torch.int64)[..., None] == torch.arange(size, device=x.device)
    return torch.where(here, x[..., None], torch.zeros_like(x)[..., None])


def _balanced(cost: Tensor, tolerance: float) -> Tensor:
    rows, columns = cost.shape
    right = torch.ones(columns, dtype=cost.dtype, device=cost.device)
    inverse = lambda sums, n: torch.where(sums == 0, torch.zeros_like(sums), 1 / (n * sums))
    for _ in range(100_000 if rows > 0 else 0):
        left = inverse(cost @ right, rows)
        after = inverse(left @ cost, columns)
        change, right = float((after - right).abs().mean()), after
        if change < tolerance:
            return cost * left[:, None] * right
    if rows == 0:
        return cost
    raise ValueError(f"the factors of a balanced plan still change by more than {tolerance} after 100000 rounds")


def philox(counter: Sequence[Tensor], key: tuple) -> tuple[Tensor, ...]:
    """Four words of a counter of four and a key of two: Philox 4x32 with ten rounds."""
    (x0, x1, x2, x3), (k0, k1) = counter, key
    for _ in range(10):
        # Whole numbers of 64 bits wrap around; the bits are those of the product.
        a, b = x0 * 0xD2511F53, x2 * 0xCD9E8D57
        x0, x1, x2, x3 = ((b >> 32) & WORD) ^ x1 ^ k0, b & WORD, ((a >> 32) & WORD) ^ x3 ^ k1, a & WORD
        k0, k1 = (k0 + 0x9E3779B9) & WORD, (k1 + 0xBB67AE85) & WORD
    return x0, x1, x2, x3


def keys_of(seed: int, step: int, sites: Sequence[tuple[str, int]], device: torch.device | str | None = None) -> Tensor:
    """Keys of draws, [places, 4], as kernels take them: the halves of two words, the lower ones first."""
    halves = []
    for path, number in sites:
        key, words = (seed & WORD, (seed >> 32) & WORD), [len(path), *map(ord, path), step, number]
        for word in words:
            key = philox((word & WORD, word >> 32, len(words), 0), key)[:2]
        halves.append([float(half) for word in key for half in (word & 0xFFFF, word >> 16)])
    return torch.tensor(halves, dtype=torch.float32).reshape(-1, 4).to(device)
