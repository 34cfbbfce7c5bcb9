"""A target and its arguments to the network or the model that they ask for."""

from tncompile.language.instantiating.targets import resolve

__all__ = ["resolve"]
