"""A row of tokens cut in pieces: which parts of which sequences lie where. Numbers on the CPU alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Iterable, Sequence

import torch
from torch import Tensor


@dataclass(frozen=True)
class Segment:
    """The tokens of one sequence in one piece. `first`, `last`: those of the whole sequence are among them."""

    sequence: int
    start: int
    end: int
    first: bool
    last: bool


@dataclass(frozen=True)
class Piece:
    start: int
    end: int
    segments: tuple[Segment, ...]

    @property
    def tokens(self) -> int:
        return self.end - self.start

    @property
    def enters(self) -> bool:
        """A sequence comes in from the left."""
        return self.tokens > 0 and not self.segments[0].first

    @property
    def leaves(self) -> bool:
        """A sequence goes on to the right."""
        return self.tokens > 0 and not self.segments[-1].last

    @property
    def through(self) -> bool:
        return len(self.segments) == 1 and self.enters and self.leaves


def pieces_of(offsets: Sequence[int], count: int) -> list[Piece]:
    """As even as numbers allow. Sequences without tokens are in the piece of the token that would follow."""
    tokens = offsets[-1]
    bounds = [tokens * p // count for p in range(count + 1)]
    found: list[list[Segment]] = [[] for _ in range(count)]
    for n, (a, b) in enumerate(zip(offsets, offsets[1:])):
        if a == b:
            at = next((p for p in range(count) if a < bounds[p + 1]), count - 1)
            found[at].append(Segment(n, a, b, True, True))
            continue
        for p, (start, end) in enumerate(zip(bounds, bounds[1:])):
            first, last = max(a, start), min(b, end)
            if first < last:
                found[p].append(Segment(n, first, last, first == a, last == b))
    return [Piece(start, end, tuple(segments)) for start, end, segments in zip(bounds, bounds[1:], found)]


class Places:
    """Some rows of a tensor, in rising order."""

    def __init__(self, numbers: Sequence[int], device: torch.device):
        self.numbers = list(numbers)
        self.index = torch.tensor(self.numbers, dtype=torch.int64, device=device)

    def _all(self, rows: int) -> bool:
        return self.numbers == list(range(rows))

    def of(self, x: Tensor | None) -> Tensor | None:
        return x if x is None or self._all(x.shape[0]) else x.index_select(0, self.index)

    def put(self, x: Tensor | None, values: Tensor, rows: int) -> Tensor | None:
        """`x` of that many rows with these replaced; None is zeros."""
        if not self.numbers:
            return x
        if self._all(rows):
            return values
        return (values.new_zeros(rows, *values.shape[1:]) if x is None else x).index_copy(0, self.index, values)


@dataclass(frozen=True)
class Part:
    """Some rows of a call as a call of their own. `whole`: its tokens are all of them. `offsets`: None where rows are those of a batch."""

    whole: bool
    spans: list[tuple[int, int]]
    offsets: Tensor | None
    rows: Places


class Rows:
    """The segments of a rank's pieces in all rows of a batch, in the order of its tokens when these lie in one row. What a call needs on
    the device is made once: to bring numbers there, the host waits for the device."""

    def __init__(self, pieces: Sequence[Piece], batch: int, device: torch.device):
        tokens = sum(piece.tokens for piece in pieces)
        self.device = device
        #: By row, and by piece in one row of the batch: first token, end.
        self.spans: list[tuple[int, int]] = []
        self.ranges: list[tuple[int, int]] = []
        #: By piece and row of the batch: its first and its last row.
        self.head_rows: list[list[int]] = [[] for _ in pieces]
        self.tail_rows: list[list[int]] = [[] for _ in pieces]
        firsts, lasts = [], []
        at = 0
        for piece in pieces:
            self.ranges.append((at, at + piece.tokens))
            at += piece.tokens
        for b in range(batch):
            for i, piece in enumerate(pieces):
                shift = b * tokens + self.ranges[i][0] - piece.start
                if piece.segments:
                    self.head_rows[i].append(len(self.spans))
                    self.tail_rows[i].append(len(self.spans) + len(piece.segments) - 1)
                for segment in piece.segments:
                    # Several rows of a batch are not packed: one sequence each.
                    own = (len(self.spans), segment.sequence + b)
                    if segment.first:
                        firsts.append(own)
                    if segment.last:
                        lasts.append(own)
                    self.spans.append((segment.start + shift, segment.end + shift))
        if not self.spans:
            # Calls have a sequence at least.
            self.spans.append((0, 0))
        self.count = len(self.spans)
        #: Every row of the batch is one segment: nothing has to be packed.
        self.plain = tokens > 0 and self.spans == [(b * tokens, (b + 1) * tokens) for b in range(batch)]
        self.offsets = None if self.plain else _offsets(self.spans)

        def places(numbers: Iterable[int]) -> Places:
            return Places(list(numbers), device)

        self.first_rows, self.first_sequences = places(row for row, _ in firsts), places(n for _, n in firsts)
        self.last_rows, self.last_sequences = places(row for row, _ in lasts), places(n for _, n in lasts)
        self.heads = [places(rows) for rows in self.head_rows]
        self.tails = [places(rows) for rows in self.tail_rows]
        self._parts: dict[tuple[tuple[int, ...], int | None], Part] = {}

    def part(self, which: Sequence[int], most: int | None = None) -> Part:
        """These rows; of each only the last `most` tokens."""
        key = (tuple(which), most)
        if key not in self._parts:
            spans = [(max(a, b - most), b) if most is not None else (a, b) for a, b in (self.spans[row] for row in which)]
            whole = spans == self.spans
            self._parts[key] = Part(whole, spans, self.offsets if whole else _offsets(spans), Places(which, self.device))
        return self._parts[key]


def _offsets(spans: Sequence[tuple[int, int]]) -> Tensor:
    return torch.tensor([0, *accumulate(b - a for a, b in spans)])


def cut(x: Tensor, spans: Sequence[tuple[int, int]]) -> Tensor:
    """These tokens of x [1, T, ...]."""
    joined: list[tuple[int, int]] = []
    for a, b in spans:
        if joined and joined[-1][1] == a:
            joined[-1] = (joined[-1][0], b)
        else:
            joined.append((a, b))
    if len(joined) == 1:
        return x[:, joined[0][0] : joined[0][1]]
    return torch.cat([x[:, a:b] for a, b in joined], 1)
