"""Mixtures in parts: where tokens go, what experts do for rows that somebody brought them. Nothing here reads what a device knows."""

from __future__ import annotations

import torch
from torch import Tensor

from ._part import FLOATS, LOCAL, exact
from ._part_ops import Operators


def chosen(held: Tensor, weights: Tensor | None, counts: Tensor, columns: int) -> tuple[Tensor, Tensor | None, Tensor]:
    """Indices that hold for each token [B, T, columns], from the least, -1 for none; what weighs them; how many tokens each has."""
    flat = held.flatten(2)
    count = flat.shape[-1]
    numbers = torch.arange(count, device=flat.device)
    found = torch.where(flat > 0, numbers, count).topk(min(columns, count), largest=False).values.sort().values
    there = found < count
    ids = torch.where(there, found, -1)
    counts = counts.flatten().to(torch.int64)
    if weights is None:
        return ids, None, counts
    own = weights.flatten(2).gather(-1, found.clamp(max=count - 1))
    return ids, torch.where(there, own, torch.zeros((), dtype=own.dtype, device=own.device)), counts


def by_counts(
    operators: Operators, rows: tuple[Tensor, ...], counts: Tensor, scores: Tensor | None, weights: tuple[Tensor, ...], weighs: bool
) -> Tensor:
    """The work for rows that lie expert by expert. Rows beyond have an index that nobody has."""
    local, (count, device) = _local(operators, weights), _first(operators, rows)
    if counts.dtype not in (torch.int32, torch.int64) or counts.shape != (local,):
        name = operators.program.name
        raise ValueError(f"{name}: counts must be int32 or int64 [{local}], as many as weights have experts, found {counts.dtype} {list(counts.shape)}")
    ids = torch.searchsorted(counts.cumsum(0), torch.arange(count, device=device), right=True)
    if weighs and scores is None:
        scores = torch.ones(count, dtype=exact(rows[0].dtype) if rows[0].dtype in FLOATS else torch.float32, device=device)
    return _call(operators, rows, ids, scores, weights)


def by_ids(operators: Operators, rows: tuple[Tensor, ...], ids: Tensor, scores: Tensor | None, weights: tuple[Tensor, ...], first: int) -> Tensor:
    """The work for rows that know their experts; what this rank has not is none."""
    _first(operators, rows)
    if ids.ndim != 2 or ids.is_floating_point():
        raise ValueError(f"{operators.program.name}: ids must be whole numbers [R, K], found {ids.dtype} {list(ids.shape)}")
    return _call(operators, rows, ids - first if first else ids, scores, weights)


def _call(operators: Operators, rows: tuple[Tensor, ...], ids: Tensor, scores: Tensor | None, weights: tuple[Tensor, ...]) -> Tensor:
    """One row of tokens."""
    beside = (ids,) if scores is None else (ids, scores)
    return operators((*(x[None] for x in (*rows, *beside)), *weights))[0][0]


def _first(operators: Operators, rows: tuple[Tensor, ...]) -> tuple[int, torch.device]:
    for field, x in zip(operators.program.inputs, rows):
        if x.ndim == 0:
            raise ValueError(f"{operators.program.name}: {field.python} must have rows, found a number")
    return rows[0].shape[0], rows[0].device


def _local(operators: Operators, weights: tuple[Tensor, ...]) -> int:
    """How many experts this rank has: the weights say it."""
    for field, x in zip(operators.program.params, weights):
        if LOCAL in field.sizes and x.ndim == len(field.sizes):
            return x.shape[field.sizes.index(LOCAL)]
    raise ValueError(f"{operators.program.name}: no weight has an axis of experts")
