# Made by lmoec 0.1.0; changes will be lost.
# source: sha256 51662da26c3d743e01738d7a7275594e512e571193f064d1f35aac0d44ba0dc3
# command: lmoec build mamba2.lmoe --target torch
"""The operators of everything in the package. Importing this touches no device."""

from __future__ import annotations

from pathlib import Path

from . import _reference
from ._library import register
from ._runtime import Scan

PLANS = Path(__file__).resolve().parent / "plans"
mamba2_kernels = Scan(PLANS / "mamba2")
mamba2 = register("lmoec_mamba2_3618a09a", _reference.mamba2, mamba2_kernels)
KERNELS = (mamba2_kernels,)
SCANS = {"mamba2": mamba2}
