"""What FLA computes inside its kernels before the recurrence, in PyTorch: where no formula has just these options together."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

NO_SPEED = "use_gate_in_kernel=True needs A_log, or a lower_bound"


def unit(x: Tensor) -> Tensor:
    """Vectors of length 1."""
    exact = x if x.dtype == torch.float64 else x.float()
    return (exact * torch.rsqrt(exact.square().sum(-1, keepdim=True) + 1e-6)).to(x.dtype)


def rate(beta: Tensor, logits: bool, negative: bool) -> Tensor:
    """Of writing: `logits` go through a sigmoid, which `negative` doubles."""
    if negative and not logits:
        raise ValueError("allow_neg_eigval=True needs use_beta_sigmoid_in_kernel=True")
    if not logits:
        return beta
    return _exact(beta).sigmoid() * (2 if negative else 1)


def decay(g: Tensor, A_log: Tensor | None, dt_bias: Tensor | None, bound: float | None = None) -> Tensor:
    """Log decay from what a layer projects, per head `[..., H]` or, where `g` has an axis more than heads, per channel."""
    channels = g.ndim == 4
    g = _exact(g)
    shape = g.shape[2:] if channels else g.shape[2:3]
    if dt_bias is not None:
        g = g + dt_bias.to(g.dtype).view(shape)
    speed = None if A_log is None else A_log.to(g.dtype).exp().view((-1, 1) if channels else (-1,))
    if bound is not None:
        return bound * torch.sigmoid(g if speed is None else speed * g)
    if speed is None:
        raise ValueError(NO_SPEED)
    return -speed * F.softplus(g)


def projected(g: Tensor, A_log: Tensor | None, dt_bias: Tensor | None, bound: float | None = None) -> dict[str, Tensor]:
    """The params of a formula that makes decays of `g` itself, as `decay` does."""
    if A_log is None and bound is None:
        raise ValueError(NO_SPEED)
    shape = g.shape[2:]
    zeros = _exact(g.new_zeros(shape))
    speed = zeros.new_zeros(shape[0]) if A_log is None else A_log.view(-1)
    params = {"A_log": speed, "dt_bias": zeros if dt_bias is None else dt_bias.view(shape)}
    return params if bound is None else {**params, "least": zeros.new_full(shape[:1], bound)}


def _exact(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
