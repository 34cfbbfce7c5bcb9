"""What untrusted files may hold: texts that want to be code, and JSON values that fit nowhere."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from typing import Any
from unicodedata import category

UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of Unicode of what ends lines, hides or turns around what follows, or is no text."""

PIECES = (
    '"', "'", '"""', "'''", '""""', "\\", '\\"""', "{", "}", "{0}", "{{", "#",
    "\n", "\r", "\r\n", "\t", "\f", "\v", "\0", "\x1a", "\x1b[31m", "\x1c", "\x1d", "\x1e", "\x7f",
    "\x85", "\xa0", "\xad", "\u2028", "\u2029", "\u200d", "\u202e", "\u2066", "\ufeff", "\ufffe",
    "\ud800", "\udfff", "\U000e0001", "\\N{BULLET}", "\\u2028", "\\",
)  # fmt: skip
"""What ends lines, strings, docstrings and comments, opens fields, or is no text at all."""

TEXTS = (
    *(f'word{one}{one}."""{one}; raise SystemExit(1){one}"""' for one in PIECES if one != '"""'),
    *(f"{one}word; {one}raise SystemExit(1){one}" for one in ('"', '"""', "\\", "\u2028", "{0}")),
    "coding: utf-7 +AAo-raise SystemExit(1)+AAo-",
    "-*- coding=latin-1 -*-",
    "words " * 60 + "x" * 300,
)
"""Texts to stand where a text is due."""


def skeleton(source: str) -> str:
    """The syntax tree of a file without its texts, read as Python reads files.

    It asserts that no character of the file ends a line, hides or turns around what follows.
    """
    odd = {c for c in source if category(c) in UNSEEN} - {"\n"}
    assert not odd, f"the file holds {odd!a}"
    tree = ast.parse(source.encode())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────

Path = tuple[str | int, ...]


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of every value inside of a JSON value, itself first."""
    yield path
    items: Any = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, held in items:
        yield from places(held, (*path, key))


def at(value: Any, path: Path) -> Any:
    """The value at a path."""
    for key in path:
        value = value[key]
    return value


def kind(path: Path) -> Path:
    """What a place is, whichever of several it is: numbers of list items left out."""
    return tuple("*" if isinstance(key, int) else key for key in path)


def changed(value: Any, path: Path, new: Any) -> Any:
    """A value with another one at a place, new on the way there; the rest is shared."""
    if not path:
        return new
    made = value.copy()
    made[path[0]] = changed(value[path[0]], path[1:], new)
    return made


def _deep(levels: int) -> Any:
    made: Any = []
    for _ in range(levels):
        made = [made]
    return made


VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 7, 2**63, 10**400, 0.5, -0.5, 1e308, float("inf"), float("nan"),
    "", "x", "a\nb", "\u2028", "\ud800", [], [[]], [None], ["x"], [0], [-1], {}, {"a": 1},
    _deep(200),
)  # fmt: skip
"""What may stand anywhere in a file that is JSON."""


def mutants(value: Any, path: Path) -> Iterator[Any]:
    """Copies of a JSON value with something else at a place, without it, with it twice, swapped."""
    here = at(value, path)
    written = json.dumps(here)
    for new in VALUES:
        if json.dumps(new) != written:
            yield changed(value, path, new)
    if isinstance(here, bool):
        yield changed(value, path, not here)
    elif isinstance(here, int | float):
        yield from (changed(value, path, here + step) for step in (1, -1, 100))
    elif isinstance(here, list) and here:
        yield from (changed(value, path, new) for new in (here[1:], here[:-1], here + here[-1:]))
        yield from (changed(value, path, new) for new in (here[::-1], here + here, here[:1]))
    elif isinstance(here, dict) and here:
        first = next(iter(here))
        yield changed(value, path, {key: here[key] for key in here if key != first})
        yield changed(value, path, {**here, "\u2028": here[first]})
    outer = at(value, path[:-1])
    others = range(len(outer)) if isinstance(outer, list) else outer
    for other in [key for key in others if key != path[-1]][:3]:
        made = changed(value, path, outer[other])
        at(made, path[:-1])[other] = here
        yield made
    without = outer.copy()
    del without[path[-1]]
    yield changed(value, path[:-1], without)
