"""A line of source as a terminal shows it: tabs, wide and invisible characters, long lines."""

from __future__ import annotations

from unicodedata import category, combining, east_asian_width

UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that break lines, are invisible, reverse the direction, or are no text."""

_WIDTH = 100
_MARGIN = 20
_TAB = 4


class Line:
    """The columns of a line; `shown` is what to print, `columns` where code points land in it."""

    def __init__(self, text: str, *, first: int = 0, cut: bool = True) -> None:
        """Show from code point `first` on, as much as fits unless `cut` is off."""
        self._first = first
        self._starts: list[int] = []
        pieces = ["…"] if first else []
        column = len(pieces)
        for character in text[first:]:
            shown = _shown(character, column)
            width = _width(shown)
            if cut and column + width > _WIDTH:
                pieces.append("…")
                break
            self._starts.append(column)
            pieces.append(shown)
            column += width
        self._starts.append(column)
        self.shown = "".join(pieces)

    @classmethod
    def around(cls, text: str, focus: tuple[int, int], marked: tuple[int, int]) -> Line:
        """A line cut so that all of `marked` is seen where that fits, else the start of `focus`."""
        first, last = marked
        whole = cls(text)
        if whole._reaches(last):
            return whole
        near = cls(text, first=max(0, first - _MARGIN))
        return near if near._reaches(last) else cls(text, first=max(0, focus[0] - _MARGIN))

    def _reaches(self, position: int) -> bool:
        """Whether the line is shown up to a code point."""
        return position - self._first < len(self._starts)

    def columns(self, start: int, end: int) -> tuple[int, int]:
        """The columns of code points `start` to `end`: at least one, clipped to what is shown."""
        left = self._column(start)
        return left, max(self._column(end), left + 1)

    def _column(self, position: int) -> int:
        place = min(position - self._first, len(self._starts) - 1)
        return 0 if place < 0 else self._starts[place]


def _shown(character: str, column: int) -> str:
    if character == "\t":
        return " " * (_TAB - column % _TAB)
    if category(character) in UNSEEN or category(character) in ("Co", "Cn"):
        return "\N{REPLACEMENT CHARACTER}"
    return character


def _width(shown: str) -> int:
    if len(shown) != 1 or shown.isascii():
        return len(shown)
    if combining(shown) or category(shown) in ("Mn", "Me"):
        return 0
    return 2 if east_asian_width(shown) in ("W", "F") else 1
