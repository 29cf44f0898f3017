"""Functions with the names, arguments, defaults and results of flash-linear-attention, run by kernels that lmoec makes from formulas."""

from ._scan import CALLS, use
from .decays import mamba_chunk_scan_combined
from .install import FUNCTIONS, install

globals().update(FUNCTIONS)
__all__ = ["CALLS", "install", "mamba_chunk_scan_combined", "use", *FUNCTIONS]
