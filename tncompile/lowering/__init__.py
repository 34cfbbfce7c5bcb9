"""ContractionTree to TensorProgram: layouts, stacking, folding."""

from tncompile.lowering.lower import lower
from tncompile.program.program import TensorProgram

__all__ = ["TensorProgram", "lower"]
