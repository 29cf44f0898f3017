"""A row of tokens cut in pieces: which parts of which sequences lie where. Numbers on the CPU alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

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


class Rows:
    """The segments of a rank's pieces in all rows of a batch, in the order of its tokens when these lie in one row."""

    def __init__(self, pieces: Sequence[Piece], batch: int, device: torch.device):
        tokens = sum(piece.tokens for piece in pieces)
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
        self.offsets = torch.tensor([0, *(end for _, end in self.spans)])

        def index(values: list[int]) -> Tensor:
            return torch.tensor(values, dtype=torch.int64, device=device)

        self.first_rows, self.first_sequences = index([row for row, _ in firsts]), index([n for _, n in firsts])
        self.last_rows, self.last_sequences = index([row for row, _ in lasts]), index([n for _, n in lasts])
        self.heads = [index(rows) for rows in self.head_rows]
        self.tails = [index(rows) for rows in self.tail_rows]


def cut(x: Tensor, spans: Sequence[tuple[int, int]]) -> Tensor:
    """These tokens of x [1, T, ...]."""
    joined: list[tuple[int, int]] = []
    for a, b in spans:
        if joined and joined[-1][1] == a:
            joined[-1] = (joined[-1][0], b)
        else:
            joined.append((a, b))
    if len(joined) == 1:
        return x[:, joined[0][0] : joined[0][1]].contiguous()
    return torch.cat([x[:, a:b] for a, b in joined], 1)
