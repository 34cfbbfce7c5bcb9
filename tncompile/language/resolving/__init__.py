"""A block and arguments to a `ResolvedNetwork`: values, then families, then structure."""

from tncompile.language.resolving.targets import resolve

__all__ = ["resolve"]
