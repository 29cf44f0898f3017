# The package that these tests are about.
import gsa as package
from gsa import _ops as ops
from gsa._layout import laid

__all__ = ["laid", "ops", "package"]
