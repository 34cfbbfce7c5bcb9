"""Small causal models, compiled once each."""

from __future__ import annotations

from functools import cache

from tests.support.stepping import LENGTH, Going
from tests.support.stepping_programs import PROGRAMS

PIECES = [(2, 1, LENGTH - 3), (1,) * LENGTH, (LENGTH,), (LENGTH - 1, 1), (1, LENGTH - 1)]


@cache
def going(name: str) -> Going:
    """A program, compiled once for all that is asked of it."""
    return Going.of(PROGRAMS[name])
