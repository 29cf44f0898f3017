# The package that these tests are about.
import mamba2 as package
from mamba2 import _ops as ops

__all__ = ["ops", "package"]
