"""ContractionTree to TensorProgram: layouts, stacking, folding."""

from tncompile.lowering.program import TensorProgram
from tncompile.lowering.sequencing import lower

__all__ = ["TensorProgram", "lower"]
