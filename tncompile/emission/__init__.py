"""TensorProgram to PyTorch source, and the source to modules (`loading`, which imports torch)."""

from tncompile.emission.file import ClassSource, GeneratedModule, emit, emit_class, write_file

__all__ = ["ClassSource", "GeneratedModule", "emit", "emit_class", "write_file"]
