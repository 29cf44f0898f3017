# The package that these tests are about.
import gla as package
from gla import _ops as ops
from gla._layout import laid

__all__ = ["laid", "ops", "package"]
