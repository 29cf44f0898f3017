# The package that these tests are about.
import mamba2 as package
from mamba2 import _ops as ops
from mamba2._layout import laid

__all__ = ["laid", "ops", "package"]
