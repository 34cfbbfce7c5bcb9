"""TensorProgram to PyTorch source, and the source to modules (`loading`, which imports torch)."""

from tncompile.emission.generated import GeneratedModule
from tncompile.emission.module_source import emit

__all__ = ["GeneratedModule", "emit"]
