"""The canonical text of a program: what `tncompile fmt` writes."""

from tncompile.language.formatting.program import format_program

__all__ = ["format_program"]
