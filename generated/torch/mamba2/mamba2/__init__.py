# Made by lmoec 0.1.0; changes will be lost.
# source: sha256 51662da26c3d743e01738d7a7275594e512e571193f064d1f35aac0d44ba0dc3
# command: lmoec build mamba2.lmoe --target torch
"""Mamba-2 (SSD): the step size discretises a scalar A; B and C are shared within a group of heads; D skips the state.

Functions: mamba2, mamba2_step, mamba2_step_functional, mamba2_reference. `doctor()` says what runs where, `warmup()` loads kernels before the first call.
"""

from __future__ import annotations

from ._runtime import LmoecError
from ._runtime import doctor as _doctor
from . import _ops, _reference, _transitions, cp
from .mamba2 import mamba2, mamba2_step, mamba2_step_functional, mamba2_reference

__version__ = "0.1.0"
SOURCE_HASH = "51662da26c3d743e01738d7a7275594e512e571193f064d1f35aac0d44ba0dc3"
#: For selective activation checkpointing: the results of these operators are worth keeping.
SAC_SAVE_OPS = {_ops.mamba2.forward, _ops.mamba2.forward_final, _ops.mamba2.forward_kept, _ops.mamba2.forward_final_kept}


def warmup(device: object = None) -> None:
    """Loads all kernels for a device (the current one if None), so that the first call waits for nothing."""
    for scan in _ops.KERNELS:
        scan.warmup(device)


def doctor() -> str:
    """Which devices `mamba2` finds, which kernels each takes, or why not."""
    return _doctor(list(_ops.KERNELS))


__all__ = ["LmoecError", "SAC_SAVE_OPS", "SOURCE_HASH", "__version__", "doctor", "mamba2", "mamba2_reference", "mamba2_step", "mamba2_step_functional", "warmup"]
