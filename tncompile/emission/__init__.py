"""TensorProgram to PyTorch source, and the source to modules (`loading`, which imports torch)."""

from tncompile.emission.file import emit, emit_class, write_file
from tncompile.emission.generated import ClassSource, GeneratedModule

__all__ = ["ClassSource", "GeneratedModule", "emit", "emit_class", "write_file"]
