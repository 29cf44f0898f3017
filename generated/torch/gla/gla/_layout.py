"""Where tokens and heads of a tensor lie: kernels step over gaps between them, such as those of a slice of a fused projection."""

from __future__ import annotations

import math

from torch import Tensor

# Kernels have the distances as int32.
MOST = 2**31 - 1


def distances(x: Tensor, own: int) -> tuple[int, int] | None:
    """Elements between two tokens and between two heads of [B, T, heads, ...] or [B, heads, ...], whose last `own` axes are one head's.
    None where kernels cannot read it: its own axes have gaps, batch and tokens are no single axis, rows are off the boundaries of wide loads."""
    shape, strides = x.shape, x.stride()
    lead = len(shape) - own
    if lead < 2:
        return None
    cell = 1
    for size, stride in zip(reversed(shape[lead:]), reversed(strides[lead:])):
        if size != 1 and stride != cell:
            return None
        cell *= size
    head = strides[lead - 1] if shape[lead - 1] > 1 else cell
    token = None
    for size, stride in zip(reversed(shape[: lead - 1]), reversed(strides[: lead - 1])):
        if size == 1:
            continue
        if token is not None and stride != whole:
            return None
        token = stride if token is None else token
        whole = size * stride
    token = shape[lead - 1] * cell if token is None else token
    piece = boundary(x, cell)
    fits = all(0 < distance <= MOST and distance * x.dtype.itemsize % piece == 0 for distance in (token, head))
    return (token, head) if fits else None


def boundary(x: Tensor, cell: int) -> int:
    """Bytes to whose multiples the cells of a head are aligned where nothing has gaps; wide loads count on it."""
    return math.gcd(cell * x.dtype.itemsize, 16) or 16


def laid(x: Tensor | None, own: int | None = None) -> Tensor | None:
    """The tensor, or a copy without gaps where kernels cannot step over them. `own`: as above, of inputs per token; others have no gaps."""
    return x if x is None or x.is_contiguous() or (own is not None and distances(x, own) is not None) else x.contiguous()
