"""TensorProgram to PyTorch source, and the source to modules (`loading`, which imports torch)."""

from tncompile.emission.file import emit
from tncompile.emission.generated import GeneratedModule

__all__ = ["GeneratedModule", "emit"]
