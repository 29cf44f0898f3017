"""Scalar functions of formulas that PyTorch has not, or means otherwise."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def number(x: float) -> Tensor:
    """A number as an argument of a function. Without axes, so that it does not decide about dtypes."""
    return torch.tensor(x, dtype=torch.float64)


def softplus(x: Tensor) -> Tensor:
    return -torch.nn.functional.logsigmoid(-x)


def chain(x: Tensor, y: Tensor) -> Tensor:
    """x y, but 0 where one of them is, however large the other."""
    product = x * y
    return torch.where(torch.isnan(product) & ~torch.isnan(x) & ~torch.isnan(y), 0.0, product)


def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1; what is no number stays so."""
    return torch.where(torch.isnan(x), x, torch.sign(x))


def silu(x: Tensor) -> Tensor:
    return torch.where(x == -math.inf, 0.0, x * torch.sigmoid(x))


def gelu(x: Tensor) -> Tensor:
    return torch.where(x == -math.inf, 0.0, torch.nn.functional.gelu(x))


def less(x: Tensor, y: Tensor) -> Tensor:
    """1 where x < y, else 0."""
    return (x < y).to(torch.promote_types(x.dtype, y.dtype) if min(x.ndim, y.ndim) > 0 else (x if x.ndim > 0 else y).dtype)
