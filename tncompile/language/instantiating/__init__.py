"""A block and arguments to a `ResolvedNetwork`: values, then families, then structure."""

from tncompile.language.instantiating.targets import resolve

__all__ = ["resolve"]
