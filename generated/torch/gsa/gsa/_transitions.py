# Made by lmoec 0.1.0; changes will be lost.
# source: sha256 22590fd97ecaa3107d76b6e4756adec4d2f3fd4099de5136a253dbdb1ef95bb9
# command: lmoec build gsa.lmoe --target torch
"""What many tokens do to the states of each scan, for rows of tokens that several ranks share (cp.py)."""

from __future__ import annotations

import math

import torch

from . import _reference
from ._algebra import Gate, Read, Write, outer_walk, permuted, prefix
from ._carry import Carried, Transitions, product, span
from ._math import chain, gelu, less, number, sign, silu, softplus


def _gsa_transition(tokens, g, Kt, Vt):
    """M of every state over these tokens; None where nobody needs to be told."""
    return (span(Gate(g, axis=1), Kt, tokens, 1), span(Gate(g, axis=0), Vt, tokens, 0),)


gsa = Transitions(
    _reference.gsa,
    (Carried("scaled", channel=1), Carried("scaled", channel=0),),
    ("g", "Kt", "Vt",),
    _gsa_transition,
)
