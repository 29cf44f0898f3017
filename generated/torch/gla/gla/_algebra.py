"""The chunk: what C tokens do to a state that several of them read and write, and the same backwards.

Tensors have the axes [B, C, H, ...] (sequences, tokens, heads) outside of this file and [B, H, C, ...] within. Numbers of tokens are small, so whatever
lies between two tokens is written out for every pair. Decays are sums of logarithms over the tokens between, masked before `exp`: nothing overflows, and
a gate of -inf is a zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Gate:
    """Factors exp(log): one for the whole state (`axis` None), per row (0) or per channel of the value axis number `axis` - 1.

    `factor`: the gradient wanted is that of exp(log), which may be 0, and not that of log.
    """

    log: Tensor
    axis: int | None = None
    factor: bool = False


@dataclass(frozen=True)
class Read:
    """sum over rows of row * S. `before`: without the decay of its own token. `sees`: which writes of its own token it finds in S."""

    row: Tensor
    sees: tuple[bool, ...]
    before: bool = False


@dataclass(frozen=True)
class Write:
    """S += outer(col, w) with w = value + what `erase` reads."""

    col: Tensor
    value: Tensor | None = None
    erase: Read | None = None


def permuted(x: Tensor, *order: int) -> Tensor:
    """The last axes in another order."""
    lead = x.ndim - len(order)
    return x.permute(*range(lead), *(lead + i for i in order))


def prefix(h: Tensor, decay: Tensor | None, write: Tensor | None, tokens: int) -> tuple[Tensor, Tensor]:
    """h_t = decay_t * h_{t-1} + write_t for an elementwise state h [B, H, ...]: h_t and h_{t-1} of every token [B, C, H, ...]."""
    shape = (h.shape[0], tokens, *h.shape[1:])
    b = torch.zeros(shape, dtype=h.dtype, device=h.device) if write is None else _full(write, shape, h)
    if decay is None:
        after = b
    else:
        after = _scan(_full(decay, shape, h), b, h)
    return after, torch.cat([h[:, None], after[:, :-1]], 1)


def prefix_adjoint(d_last: Tensor, decay: Tensor | None, d_after: Tensor | None, d_before: Tensor | None, tokens: int) -> tuple[Tensor, Tensor]:
    """Cotangents of h_t with all that comes later [B, C, H, ...], and of the first h [B, H, ...]."""
    shape = (d_last.shape[0], tokens, *d_last.shape[1:])
    zeros = torch.zeros(shape, dtype=d_last.dtype, device=d_last.device)
    after = zeros if d_after is None else _full(d_after, shape, d_last)
    before = zeros if d_before is None else _full(d_before, shape, d_last)
    # What token t hands to token t - 1: its own reading, and its cotangent times its decay.
    given = after + torch.cat([before[:, 1:], zeros[:, :1]], 1)
    if decay is None:
        total = torch.cat([given[:, :-1], given[:, -1:] + d_last[:, None]], 1)
        return total, before[:, 0]
    a = _full(decay, shape, d_last)
    later = torch.cat([a[:, 1:], torch.ones_like(a[:, :1])], 1)
    total = _scan(later.flip(1), given.flip(1), d_last).flip(1)
    return total, before[:, 0] + a[:, 0] * total[:, 0]


def _scan(a: Tensor, b: Tensor, first: Tensor) -> Tensor:
    """h_t = a_t h_{t-1} + b_t along axis 1, in log2(C) steps."""
    b = torch.cat([b[:, :1] + a[:, :1] * first[:, None], b[:, 1:]], 1)
    step = 1
    while step < a.shape[1]:
        b = torch.cat([b[:, :step], b[:, step:] + a[:, step:] * b[:, :-step]], 1)
        a = torch.cat([a[:, :step], a[:, step:] * a[:, :-step]], 1)
        step *= 2
    return b


def _full(x: Tensor, shape: tuple[int, ...], like: Tensor) -> Tensor:
    return x.to(like).expand(shape)


def outer_walk(state: Tensor, tokens: int, gate: Gate | None, writes: list[Write], reads: list[Read]) -> tuple[list[Tensor], Tensor]:
    """What the reads give [B, C, H, ...values], and the state after the chunk; state [B, H, rows, ...values]."""
    chunk = _Chunk(state, tokens, gate, writes, reads)
    w, o = chunk.forward()
    results = [chunk.values_out(o[:, :, i :: len(reads)]) for i in range(len(reads))]
    return results, chunk.last(w)


def outer_walk_adjoint(
    state: Tensor, d_state: Tensor | None, tokens: int, gate: Gate | None, writes: list[Write], reads: list[Read], given: list[Tensor | None]
) -> tuple[list[Tensor], Tensor]:
    """The cotangents of every row, of every write's col, value and erase, and of the gate's log [B, C, H, ...], and of the state before the chunk."""
    return _Chunk(state, tokens, gate, writes, reads).backward(d_state, given)


class _Chunk:
    """Operands of one chunk, laid out. Writes and reads are numbered token by token: `i * count + which`."""

    def __init__(self, state: Tensor, tokens: int, gate: Gate | None, writes: list[Write], reads: list[Read]):
        self.shape, self.tokens, self.writes, self.reads = state.shape, tokens, writes, reads
        batch, heads, rows, *values = state.shape
        self.values = values
        # Gates along a value axis: every value channel is a head of its own with one gate.
        self.split = math.prod(values) if gate is not None and gate.axis is not None and gate.axis > 0 else 1
        self.state = self._state_in(state)
        self.like = state
        self.decay = None if gate is None else _spans(self._gate_in(gate, batch, heads, rows)).exp()
        self.gate = gate
        device = state.device
        token = torch.arange(tokens, device=device)
        # Places in time: 0 before the chunk, i + 1 after token i.
        self.write_time = (token + 1).repeat_interleave(len(writes))
        self.col = self._stack([write.col for write in writes])
        self.value = self._stack_values([write.value for write in writes])
        erases = [write.erase for write in writes]
        self.erase = _Readers(self, erases) if any(erase is not None for erase in erases) else None
        self.read = _Readers(self, reads) if reads else None

    def _rows_in(self, x: Tensor) -> Tensor:
        batch, heads, rows = self.shape[:3]
        x = _full(x, (batch, self.tokens, heads, rows), self.like).transpose(1, 2)
        return x if self.split == 1 else x[:, :, None].expand(-1, -1, self.split, -1, -1).flatten(1, 2)

    def _rows_out(self, x: Tensor) -> Tensor:
        if self.split > 1:
            x = x.unflatten(1, (-1, self.split)).sum(2)
        return x.transpose(1, 2)

    def _values_in(self, x: Tensor | None) -> Tensor:
        batch, heads = self.shape[:2]
        shape = (batch, self.tokens, heads, *self.values)
        x = torch.zeros(shape, dtype=self.like.dtype, device=self.like.device) if x is None else _full(x, shape, self.like)
        x = x.flatten(3) if self.values else x[..., None]
        x = x.transpose(1, 2)
        return x if self.split == 1 else x.movedim(3, 2).flatten(1, 2)[..., None]

    def values_out(self, x: Tensor) -> Tensor:
        if self.split > 1:
            x = x[..., 0].unflatten(1, (-1, self.split)).movedim(2, 3)
        return x.transpose(1, 2).unflatten(3, self.values) if self.values else x.transpose(1, 2)[..., 0]

    def _state_in(self, state: Tensor) -> Tensor:
        state = state.flatten(3) if self.values else state[..., None]
        return state if self.split == 1 else state.movedim(3, 2).flatten(1, 2)[..., None]

    def _state_out(self, state: Tensor) -> Tensor:
        if self.split > 1:
            state = state[..., 0].unflatten(1, (-1, self.split)).movedim(2, 3)
        return state.reshape(self.shape)

    def _gate_in(self, gate: Gate, batch: int, heads: int, rows: int) -> Tensor:
        if gate.axis is None:
            return _full(gate.log[..., None], (batch, self.tokens, heads, 1), self.like).transpose(1, 2)
        if gate.axis == 0:
            return _full(gate.log, (batch, self.tokens, heads, rows), self.like).transpose(1, 2)
        own = gate.axis - 1
        log = gate.log.reshape(*gate.log.shape, *(1 for _ in self.values[own + 1 :]))
        log = log.reshape(*log.shape[: gate.log.ndim - 1], *(1 for _ in self.values[:own]), *log.shape[gate.log.ndim - 1 :])
        return self._values_in(log)

    def _gate_out(self, d_log: Tensor) -> Tensor:
        axis = None if self.gate is None else self.gate.axis
        if axis is None:
            return d_log.transpose(1, 2)[..., 0]
        if axis == 0:
            return d_log.transpose(1, 2)
        d = self.values_out(d_log)
        others = [3 + i for i in range(len(self.values)) if i != axis - 1]
        return d.sum(others) if others else d

    def _stack(self, rows: list[Tensor]) -> Tensor:
        return torch.stack([self._rows_in(x) for x in rows], 3).flatten(2, 3)

    def _stack_values(self, values: list[Tensor | None]) -> Tensor:
        return torch.stack([self._values_in(x) for x in values], 3).flatten(2, 3)

    def between(self, later: Tensor, earlier: Tensor) -> Tensor | None:
        """exp of the gates between places in time [B, H, later, earlier, 1 | rows]; None where nothing decays."""
        return None if self.decay is None else self.decay[:, :, later[:, None], earlier[None, :]]

    def to_end(self) -> Tensor | None:
        """Decay of every write until the end of the chunk [B, H, writes, 1 | rows]."""
        return None if self.decay is None else self.decay[:, :, -1, self.write_time]

    def forward(self) -> tuple[Tensor, Tensor]:
        """What every write adds, and what every read gives."""
        w = self.value
        if self.erase is not None:
            right = self.value + self.erase.from_start() @ self.state
            w = torch.linalg.solve_triangular(self.erase.unit(), right, upper=False, unitriangular=True)
        if self.read is None:
            return w, w[:, :, :0]
        return w, self.read.from_start() @ self.state + self.read.scores() @ w

    def last(self, w: Tensor) -> Tensor:
        col, state = self.col, self.state
        if self.decay is not None:
            col, state = col * self.to_end(), state * self.decay[:, :, -1, 0, :, None]
        return self._state_out(state + col.mT @ w)

    def backward(self, d_last: Tensor | None, given: list[Tensor | None]) -> tuple[list[Tensor], Tensor]:
        w, _ = self.forward()
        d_state_in = torch.zeros_like(self.state) if d_last is None else self._state_in(d_last)
        d_decay = None if self.decay is None else torch.zeros_like(self.decay)
        # The state after the chunk.
        to_end = self.to_end()
        ended = self.col if to_end is None else self.col * to_end
        d_w = ended @ d_state_in
        d_ended = w @ d_state_in.mT
        d_col = d_ended if to_end is None else d_ended * to_end
        d_first = d_state_in
        if self.decay is not None:
            d_first = d_state_in * self.decay[:, :, -1, 0, :, None]
            _add(d_decay, -1, self.write_time, _folded(d_ended * self.col, self.decay))
            d_decay[:, :, -1, 0] += _folded((d_state_in * self.state).sum(-1), self.decay)
        results: dict[str, list[Tensor]] = {}
        if self.read is not None:
            d_o = self._stack_values(given[: len(self.reads)])
            d_row, d_col_read, d_first_read = self.read.pull(d_o, w, d_decay)
            d_w = d_w + self.read.scores().mT @ d_o
            d_col, d_first = d_col + d_col_read, d_first + d_first_read
            results["row"] = [self._rows_out(d_row[:, :, i :: len(self.reads)]) for i in range(len(self.reads))]
        d_value = d_w
        if self.erase is not None:
            d_value = torch.linalg.solve_triangular(self.erase.unit().mT, d_w, upper=True, unitriangular=True)
            d_row, d_col_erase, d_first_erase = self.erase.pull(d_value, w, d_decay)
            d_col, d_first = d_col + d_col_erase, d_first + d_first_erase
            results["erase"] = [self._rows_out(d_row[:, :, i :: len(self.writes)]) for i in range(len(self.writes))]
        out = results.get("row", [])
        for i, write in enumerate(self.writes):
            out.append(self._rows_out(d_col[:, :, i :: len(self.writes)]))
            if write.value is not None:
                out.append(self.values_out(d_value[:, :, i :: len(self.writes)]))
            if write.erase is not None:
                out.append(results["erase"][i])
        if self.decay is not None:
            out.append(self._gate_out(_factors_adjoint(d_decay, self.decay) if self.gate.factor else _spans_adjoint(d_decay * self.decay)))
        return out, self._state_out(d_first)


class _Readers:
    """Reads of every token, or the erases of its writes (None: of those that erase nothing)."""

    def __init__(self, chunk: _Chunk, reads: list[Read | None]):
        self.chunk = chunk
        device, tokens, writes = chunk.state.device, chunk.tokens, len(chunk.writes)
        none = torch.zeros((), dtype=chunk.like.dtype, device=device)
        self.row = chunk._stack([none.expand(1, 1, 1, 1) if read is None else read.row for read in reads])
        token = torch.arange(tokens, device=device)
        before = torch.tensor([read is not None and read.before for read in reads], device=device)
        self.time = (token[:, None] + 1 - before.to(token.dtype)).flatten()
        sees = torch.tensor([[read is not None and read.sees[i] for i in range(writes)] for read in reads], dtype=torch.bool, device=device)
        earlier = token[:, None, None, None] > token[None, None, :, None]
        same = (token[:, None, None, None] == token[None, None, :, None]) & sees[None, :, None, :]
        self.mask = (earlier | same).flatten(2, 3).flatten(0, 1)

    def from_start(self) -> Tensor:
        """Rows that read the state before the chunk."""
        decay = self.chunk.decay
        return self.row if decay is None else self.row * decay[:, :, self.time, 0]

    def scores(self) -> Tensor:
        """How much of every write every read finds [B, H, reads, writes]."""
        decay = self.chunk.between(self.time, self.chunk.write_time)
        if decay is None:
            pairs = self.row @ self.chunk.col.mT
        elif decay.shape[-1] == 1:
            pairs = (self.row @ self.chunk.col.mT) * decay[..., 0]
        else:
            pairs = torch.einsum("...ik,...jk,...ijk->...ij", self.row, self.chunk.col, decay)
        return pairs * self.mask

    def unit(self) -> Tensor:
        """1 - scores: who is erased by whom."""
        scores = self.scores()
        return torch.eye(scores.shape[-1], dtype=scores.dtype, device=scores.device) - scores

    def pull(self, d_out: Tensor, w: Tensor, d_decay: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Cotangents of the rows, of all cols and of the state before the chunk; adds those of decays to `d_decay`."""
        chunk = self.chunk
        d_first = self.from_start().mT @ d_out
        d_start = d_out @ chunk.state.mT
        d_scores = (d_out @ w.mT) * self.mask
        decay = chunk.between(self.time, chunk.write_time)
        if decay is None or d_decay is None:
            return d_start + d_scores @ chunk.col, d_scores.mT @ self.row, d_first
        start = chunk.decay[:, :, self.time, 0]
        _add(d_decay, self.time, 0, _folded(d_start * self.row, chunk.decay))
        if decay.shape[-1] == 1:
            decayed = d_scores * decay[..., 0]
            _add_pairs(d_decay, self.time, chunk.write_time, (d_scores * (self.row @ chunk.col.mT))[..., None])
            return d_start * start + decayed @ chunk.col, decayed.mT @ self.row, d_first
        pairs = d_scores[..., None] * decay
        _add_pairs(d_decay, self.time, chunk.write_time, d_scores[..., None] * self.row[:, :, :, None] * chunk.col[:, :, None])
        return d_start * start + (pairs * chunk.col[:, :, None]).sum(3), (pairs * self.row[:, :, :, None]).sum(2), d_first


def _spans(log: Tensor) -> Tensor:
    """Sums of log [.., C, k] over the tokens b <= m < a: [.., C + 1 (a), C + 1 (b), k]; -inf for a < b."""
    tokens = log.shape[2]
    place = torch.arange(tokens + 1, device=log.device)
    from_b = place[:tokens, None] >= place[None, :]
    kept = log[:, :, :, None].expand(-1, -1, -1, tokens + 1, -1).masked_fill(~from_b[..., None], 0.0)
    sums = torch.cat([torch.zeros_like(kept[:, :, :1]), kept.cumsum(2)], 2)
    return sums.masked_fill((place[:, None] < place[None, :])[..., None], -math.inf)


def _spans_adjoint(d: Tensor) -> Tensor:
    """Cotangent of log from that of its spans."""
    tokens = d.shape[2] - 1
    place = torch.arange(tokens + 1, device=d.device)
    later = d.flip(2).cumsum(2).flip(2)[:, :, 1:]
    return later.masked_fill(~(place[:tokens, None] >= place[None, :])[..., None], 0.0).sum(3)


def _factors_adjoint(d: Tensor, decay: Tensor) -> Tensor:
    """Cotangent of the factors from that of their products over spans: each span without the factor itself, since it may be 0."""
    return torch.einsum("...abk,...mbk,...amk->...mk", d, decay[:, :, :-1], decay[:, :, :, 1:])


def _folded(d: Tensor, decay: Tensor) -> Tensor:
    """Sums over the rows where they share a gate."""
    return d.sum(-1, keepdim=True) if decay.shape[-1] == 1 else d


def _add(d_decay: Tensor, later: Tensor | int, earlier: Tensor | int, d: Tensor) -> None:
    """d_decay[later, earlier] += d, where one of the two is a list of places."""
    if isinstance(later, int):
        d_decay[:, :, later].index_add_(2, earlier, d)
    else:
        d_decay[:, :, :, earlier].index_add_(2, later, d)


def _add_pairs(d_decay: Tensor, later: Tensor, earlier: Tensor, d: Tensor) -> None:
    size = d_decay.shape[2]
    at = (later[:, None] * size + earlier[None, :]).flatten()
    # Pairs out of order are masked: their cotangent is 0, and so is what they would add.
    d_decay.flatten(2, 3).index_add_(2, at, d.flatten(2, 3))
