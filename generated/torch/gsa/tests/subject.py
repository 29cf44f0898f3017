# The package that these tests are about.
import gsa as package
from gsa import _ops as ops

__all__ = ["ops", "package"]
