# The package that these tests are about.
import gla as package
from gla import _ops as ops

__all__ = ["ops", "package"]
