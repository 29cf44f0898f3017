# Made by lmoec 0.1.0; changes will be lost.
# source: sha256 22590fd97ecaa3107d76b6e4756adec4d2f3fd4099de5136a253dbdb1ef95bb9
# command: lmoec build gsa.lmoe --target torch
"""The operators of everything in the package. Importing this touches no device."""

from __future__ import annotations

from pathlib import Path

from . import _reference
from ._library import register
from ._runtime import Scan

PLANS = Path(__file__).resolve().parent / "plans"
gsa_kernels = Scan(PLANS / "gsa")
gsa = register("lmoec_gsa_1b48fb28", _reference.gsa, gsa_kernels)
KERNELS = (gsa_kernels,)
SCANS = {"gsa": gsa}
