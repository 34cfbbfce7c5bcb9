"""Expressions of a model: numbers, calls and pipes, entries, networks without a name."""

from tncompile.language.typing.expressions.reader import Reader as Reader
