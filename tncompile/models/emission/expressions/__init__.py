"""What one operation of a model is in PyTorch, as an expression: `write`."""

from tncompile.models.emission.expressions.conversion import as_tensor
from tncompile.models.emission.expressions.sources import HELPERS
from tncompile.models.emission.expressions.text import Context, Precedence, Text
from tncompile.models.emission.expressions.writing import write

__all__ = ["HELPERS", "Context", "Precedence", "Text", "as_tensor", "write"]
