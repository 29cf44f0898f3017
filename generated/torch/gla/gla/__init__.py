# Made by lmoec 0.1.0; changes will be lost.
# source: sha256 713cdd316db04ad613ff9411f7e1e9a36f10f77bde674be8019f7aad40f1e6ce
# command: lmoec build gla.lmoe --target torch
"""Gated linear attention: every key channel decays on its own.

Functions: gla, gla_step, gla_step_functional, gla_reference. `doctor()` says what runs where, `warmup()` loads kernels before the first call.
"""

from __future__ import annotations

from ._runtime import LmoecError
from ._runtime import doctor as _doctor
from . import _ops, _reference, _transitions, cp
from .gla import gla, gla_step, gla_step_functional, gla_reference

__version__ = "0.1.0"
SOURCE_HASH = "713cdd316db04ad613ff9411f7e1e9a36f10f77bde674be8019f7aad40f1e6ce"
#: For selective activation checkpointing: the results of these operators are worth keeping.
SAC_SAVE_OPS = {_ops.gla.forward, _ops.gla.forward_final, _ops.gla.forward_kept, _ops.gla.forward_final_kept}


def warmup(device: object = None) -> None:
    """Loads all kernels for a device (the current one if None), so that the first call waits for nothing."""
    for scan in _ops.KERNELS:
        scan.warmup(device)


def doctor() -> str:
    """Which devices `gla` finds, which kernels each takes, or why not."""
    return _doctor(list(_ops.KERNELS))


__all__ = ["LmoecError", "SAC_SAVE_OPS", "SOURCE_HASH", "__version__", "doctor", "gla", "gla_reference", "gla_step", "gla_step_functional", "warmup"]
