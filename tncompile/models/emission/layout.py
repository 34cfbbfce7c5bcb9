"""Long statements of emitted methods on several lines, as `ruff format` would leave them."""

from __future__ import annotations

from collections.abc import Iterator

from tncompile.emission.text.writer import INDENT, TAB, WIDTH, indented

_CLOSING = {"(": ")", "[": "]", "{": "}"}


def fitted(line: str, *, indent: int = INDENT, tail: str = "") -> list[str]:
    """A statement, or an item that `tail` follows, broken inside its longest pair of brackets.

    >>> fitted("f(a)")
    ['f(a)']
    """
    if indent + len(line) + len(tail) <= WIDTH:
        return [line + tail]
    groups = list(_groups(line))
    if not groups:
        return [line + tail]
    start, end = max(groups, key=lambda group: group[1] - group[0])
    head, inside, rest = line[: start + 1], line[start + 1 : end], line[end:] + tail
    items = list(split(inside))
    deeper = indent + len(TAB)
    flat = ", ".join(items)
    alone = len(items) == 1
    if alone and " for " in inside and head.endswith("(") and deeper + len(flat) > WIDTH:
        made, _, over = _generator(items[0])
        return [head, *indented([*fitted(made, indent=deeper), over]), rest]
    if alone and items[0][0] in _CLOSING and not head.endswith(("[", "{")):
        # One bracket in another opens on the same line.
        inner = fitted(items[0], indent=indent)
        return [head, *indented(fitted(items[0], indent=deeper)), rest] if inner else []
    if (not head.endswith(("[", "{")) or alone) and deeper + len(flat) <= WIDTH and not (
        head.endswith(("[", "{"))
    ):
        return [head, *indented([flat]), rest]
    lines: list[str] = []
    for item in items:
        lines += fitted(item, indent=deeper, tail=",")
    return [head, *indented(lines), rest]


def split(text: str) -> Iterator[str]:
    """The items of a text between brackets, by its commas."""
    start, depth = 0, 0
    for place, character in _code(text):
        if character in _CLOSING:
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and depth == 0:
            yield text[start:place].strip()
            start = place + 1
    if text[start:].strip():
        yield text[start:].strip()


def _groups(text: str) -> Iterator[tuple[int, int]]:
    """Where the brackets are that stand in no others."""
    opened: list[int] = []
    for place, character in _code(text):
        if character in _CLOSING:
            opened.append(place)
        elif character in ")]}" and opened:
            start = opened.pop()
            if not opened and text[start + 1 : place].strip():
                yield start, place


def _code(text: str) -> Iterator[tuple[int, str]]:
    """The characters that stand in no string literal."""
    place = 0
    while place < len(text):
        if text[place] == '"':
            place += 1
            while text[place] != '"':
                place += 2 if text[place] == "\\" else 1
        else:
            yield place, text[place]
        place += 1


def _generator(text: str) -> tuple[str, str, str]:
    """What a generator makes, and what it runs over: `A`, `for _ in range(2)`."""
    depth = 0
    for place, character in _code(text):
        if character in _CLOSING:
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif depth == 0 and text.startswith(" for ", place):
            return text[:place], " ", text[place + 1 :]
    return text, " ", ""
