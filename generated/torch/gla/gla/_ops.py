# Made by lmoec 0.1.0; changes will be lost.
# source: sha256 713cdd316db04ad613ff9411f7e1e9a36f10f77bde674be8019f7aad40f1e6ce
# command: lmoec build gla.lmoe --target torch
"""The operators of everything in the package. Importing this touches no device."""

from __future__ import annotations

from pathlib import Path

from . import _reference
from ._library import register
from ._runtime import Scan

PLANS = Path(__file__).resolve().parent / "plans"
gla_kernels = Scan(PLANS / "gla")
gla = register("lmoec_gla_a45bc71d", _reference.gla, gla_kernels)
KERNELS = (gla_kernels,)
SCANS = {"gla": gla}
