"""Names that patterns choose: `*` in one stands for anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

MOST = 8
"""Names that a message lists."""


def matching(
    patterns: str | Iterable[str],
    names: Sequence[str],
    *,
    none: str = "no layer is called {pattern}: there are {names}",
) -> list[str]:
    """The names that one of the patterns matches, in their order.

    Raises ValueError for a pattern that matches nothing, with the words `none`; TypeError for one
    that is no text.

    >>> matching("*.up", ["0.up", "0.down", "1.up"])
    ['0.up', '1.up']
    """
    wanted = [patterns] if isinstance(patterns, str) else list(patterns)
    for pattern in wanted:
        if not isinstance(pattern, str):
            raise TypeError(f"a pattern is a str, not {type(pattern).__name__}")
        if not any(fnmatchcase(name, pattern) for name in names):
            listed = ", ".join(_line(name) for name in names[:MOST]) or "none"
            raise ValueError(none.format(pattern=_line(pattern), names=listed))
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in wanted)]


def _line(name: str) -> str:
    """A name in a line of text."""
    return (name if name.isprintable() else repr(name)[1:-1]) or "the model itself"
