# Made by lmoec 0.1.0; changes will be lost.
# source: sha256 22590fd97ecaa3107d76b6e4756adec4d2f3fd4099de5136a253dbdb1ef95bb9
# command: lmoec build gsa.lmoe --target torch
"""Gated slot attention: a first memory addresses slots, their softmax reads a second one.

Functions: gsa, gsa_step, gsa_step_functional, gsa_reference, GsaState. `doctor()` says what runs where, `warmup()` loads kernels before the first call.
"""

from __future__ import annotations

from ._runtime import LmoecError
from ._runtime import doctor as _doctor
from . import _ops, _reference, _transitions, cp
from .gsa import gsa, gsa_step, gsa_step_functional, gsa_reference, GsaState

__version__ = "0.1.0"
SOURCE_HASH = "22590fd97ecaa3107d76b6e4756adec4d2f3fd4099de5136a253dbdb1ef95bb9"
#: For selective activation checkpointing: the results of these operators are worth keeping.
SAC_SAVE_OPS = {_ops.gsa.forward, _ops.gsa.forward_final, _ops.gsa.forward_kept, _ops.gsa.forward_final_kept}


def warmup(device: object = None) -> None:
    """Loads all kernels for a device (the current one if None), so that the first call waits for nothing."""
    for scan in _ops.KERNELS:
        scan.warmup(device)


def doctor() -> str:
    """Which devices `gsa` finds, which kernels each takes, or why not."""
    return _doctor(list(_ops.KERNELS))


__all__ = ["GsaState", "LmoecError", "SAC_SAVE_OPS", "SOURCE_HASH", "__version__", "doctor", "gsa", "gsa_reference", "gsa_step", "gsa_step_functional", "warmup"]
