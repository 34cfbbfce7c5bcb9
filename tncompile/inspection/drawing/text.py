"""Lines of text: spans in sizes and styles, and how wide they are without a browser."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from unicodedata import east_asian_width

Style = Literal["plain", "italic", "dim", "dim italic", "bold"]

WIDTHS = {
    **dict.fromkeys("0123456789abdeghnopqu_+=<>~*?$#LéΣ", 0.556),
    **dict.fromkeys(" .,:;ijl|!/[]()tfI'\"", 0.278),
    **dict.fromkeys("ckrsvxyzJ-−", 0.52),
    **dict.fromkeys("BEKPSVXYA&", 0.667),
    **dict.fromkeys("FTZ", 0.611),
    **dict.fromkeys("wCDHNRUG", 0.74),
    **dict.fromkeys("OQ", 0.778),
    **{"m": 0.833, "M": 0.85, "W": 0.95, "@": 1.0, "%": 0.9},
    **{"…": 1.0, "⋯": 1.0, "×": 0.584, "−": 0.584, "·": 0.333, "⊕": 0.8, "→": 1.0},
}
"""Widths in parts of the font size, of Helvetica and fonts that have its metrics."""

BOLD = 1.06
"""How much wider bold letters are."""

OTHER, SQUARE = 0.72, 1.0
"""The width of a character that is not in the table, and of those of East Asia."""

SLACK = 1.06
"""Browsers' fonts are up to 8 % wider than the table (DejaVu Sans), or 10 % narrower."""


@dataclass(frozen=True)
class Span:
    """A piece of a line: its text, the size of its type in px, its style, how far it is lowered."""

    text: str
    size: float
    style: Style = "plain"
    lowered: float = 0.0

    @property
    def width(self) -> float:
        """In px."""
        wider = BOLD if self.style == "bold" else 1.0
        parts = sum(WIDTHS.get(each) or _other(each) for each in self.text)
        return SLACK * self.size * wider * parts


def _other(character: str) -> float:
    return SQUARE if east_asian_width(character) in "WF" else OTHER


Line = tuple[Span, ...]


def width_of(line: Iterable[Span]) -> float:
    """The width of a line in px."""
    return sum(span.width for span in line)
