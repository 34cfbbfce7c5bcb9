"""Text to syntax tree."""

from tncompile.language.parsing.parser import parse, parse_target

__all__ = ["parse", "parse_target"]
