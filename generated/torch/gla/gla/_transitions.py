# Made by lmoec 0.1.0; changes will be lost.
# source: sha256 713cdd316db04ad613ff9411f7e1e9a36f10f77bde674be8019f7aad40f1e6ce
# command: lmoec build gla.lmoe --target torch
"""What many tokens do to the states of each scan, for rows of tokens that several ranks share (cp.py)."""

from __future__ import annotations

import math

import torch

from . import _reference
from ._algebra import Gate, Read, Write, outer_walk, permuted, prefix
from ._carry import Carried, Transitions, product, span
from ._math import chain, gelu, less, number, sign, silu, softplus


def _gla_transition(tokens, g, S):
    """M of every state over these tokens; None where nobody needs to be told."""
    return (span(Gate(g, axis=0), S, tokens, 0),)


gla = Transitions(
    _reference.gla,
    (Carried("scaled", channel=0),),
    ("g", "S",),
    _gla_transition,
)
