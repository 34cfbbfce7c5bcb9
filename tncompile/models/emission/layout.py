"""Long statements of emitted methods on several lines, as `ruff format` would leave them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

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
    deeper = indent + len(TAB)
    if line.startswith("return ") and len(items := list(split(line[len("return ") :]))) > 1:
        lines = [each for item in items for each in fitted(item, indent=deeper, tail=",")]
        return ["return (", *indented(lines), f"){tail}"]
    if chained := _chain(line):
        target, links = chained
        lines = [each for link in links for each in fitted(link, indent=deeper)]
        return [f"{target}(", *indented(lines), f"){tail}"]
    start, end = groups[-1]
    if indent + start + 1 > WIDTH or not line[start + 1 : end].strip():
        start, end = max(groups, key=lambda group: group[1] - group[0])
    head, inside, rest = line[: start + 1], line[start + 1 : end], line[end:] + tail
    items = list(split(inside))
    flat = ", ".join(items)
    if len(items) == 1 and (made := _generator(items[0])):
        if deeper + len(flat) <= WIDTH:
            return [head, *indented([flat]), rest]
        return [head, *indented([*fitted(made[0], indent=deeper), made[1]]), rest]
    if not head.endswith(("[", "{")) and deeper + len(flat) <= WIDTH:
        return [head, *indented([flat]), rest]
    comma = "," if len(items) > 1 or head.endswith(("[", "{")) else ""
    lines = [each for item in items for each in fitted(item, indent=deeper, tail=comma)]
    return [head, *indented(lines), rest]


def _chain(line: str) -> tuple[str, list[str]] | None:
    """What a statement gives a name to, and the calls of a chain of several methods."""
    target, _, chain = line.partition(" = ") if " = " in line.split("(")[0] else ("", "", line)
    if line.startswith("return "):
        target, chain = "return ", line.removeprefix("return ")
    elif target:
        target += " = "
    ends = [end for _, end in _groups(chain)]
    dots = [end + 1 for end in ends if chain[end + 1 : end + 2] == "."]
    if len(dots) < 2 or ends[-1] != len(chain) - 1 or " " in _outside(chain):
        return None
    places = [0, *dots, len(chain)]
    return target, [chain[a:b] for a, b in pairwise(places)]


def _outside(text: str) -> str:
    """The text without what is in brackets."""
    kept, last = "", 0
    for start, end in _groups(text):
        kept += text[last:start]
        last = end + 1
    return kept + text[last:]


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


def _generator(text: str) -> tuple[str, str] | None:
    """What a generator makes, and what it runs over: `A`, `for _ in range(2)`."""
    depth = 0
    for place, character in _code(text):
        if character in _CLOSING:
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif depth == 0 and text.startswith(" for ", place):
            return text[:place], text[place + 1 :]
    return None
