"""Mistakes that are recognized: habits from elsewhere, and slips with a likely cause."""

from __future__ import annotations

from tncompile.language.parsing.messages import Advice
from tncompile.language.parsing.situation import Situation


def recognize(situation: Situation) -> Advice | None:
    return None
