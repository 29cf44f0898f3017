# Made by lmoec 0.1.0; changes will be lost.
# source: sha256 51662da26c3d743e01738d7a7275594e512e571193f064d1f35aac0d44ba0dc3
# command: lmoec build mamba2.lmoe --target torch
"""What many tokens do to the states of each scan, for rows of tokens that several ranks share (cp.py)."""

from __future__ import annotations

import math

import torch

from . import _reference
from ._algebra import Gate, Read, Write, outer_walk, permuted, prefix
from ._carry import Carried, Transitions, product, span
from ._math import chain, gelu, less, number, sign, silu, softplus


def _mamba2_transition(tokens, dt, A_log, dt_bias, h):
    """M of every state over these tokens; None where nobody needs to be told."""
    x1 = softplus(dt + dt_bias)
    return (span(Gate(-torch.exp(A_log) * x1), h, tokens, None),)


mamba2 = Transitions(
    _reference.mamba2,
    (Carried("scaled"),),
    ("dt", "A_log", "dt_bias", "h",),
    _mamba2_transition,
)
