"""Lines of Python as `ruff format` would leave them, and the comments that go with them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

WIDTH = 100
"""The length of a line of emitted code."""

TAB = "    "


def indented(lines: Iterable[str], levels: int = 1) -> list[str]:
    """The lines moved to the right; empty lines stay empty."""
    return [f"{TAB * levels}{line}" if line else line for line in lines]


def one_line(text: str, comment: str = "", *, indent: int = 0) -> str | None:
    """The statement with its comment on one line of the width left, or None."""
    line = f"{text}  # {comment}" if comment else text
    return line if len(line) + indent <= WIDTH else None


def statement(text: str, comment: str = "", *, indent: int = 0) -> list[str]:
    """A statement that fits on a line, its comment beside it, or above where there is no room."""
    line = one_line(text, comment, indent=indent)
    if line is not None:
        return [line]
    return [*comment_lines(comment, indent=indent), text]


def comment_lines(text: str, *, indent: int = 0) -> list[str]:
    """A comment on lines of its own."""
    return [f"# {line}" for line in filled(text, WIDTH - indent - 2)]


def filled(text: str, width: int, *, hanging: str = "") -> list[str]:
    """The text in lines of at most `width`; words that are longer stay whole."""
    return textwrap.wrap(
        text,
        width,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def call(head: str, items: Sequence[str], tail: str = ")", *, indent: int = 0) -> list[str]:
    """`head(items)tail` on one line, else the items on one of their own, else one a line.

    `head` ends with the opening bracket and `tail` starts with the closing one. The items of a list
    are never together on a line of their own.

    >>> call("f(", ["a", "b"])
    ['f(a, b)']
    """
    flat = ", ".join(items)
    if not items or indent + len(head) + len(flat) + len(tail) <= WIDTH:
        return [f"{head}{flat}{tail}"]
    if not head.endswith("[") and indent + len(TAB) + len(flat) <= WIDTH:
        return [head, f"{TAB}{flat}", tail]
    return [head, *(f"{TAB}{item}," for item in items), tail]


def nested_list(head: str, items: Sequence[str], tail: str, *, indent: int = 0) -> list[str]:
    """`head([items])tail`: a call whose one argument is a list, broken from the outside in."""
    flat = f"[{', '.join(items)}]"
    if indent + len(head) + len(flat) + len(tail) <= WIDTH:
        return [f"{head}{flat}{tail}"]
    return [head, *indented(call("[", items, "]", indent=indent + len(TAB))), tail]


def assignment(
    head: str, items: Sequence[str], tail: str, comment: str, *, indent: int = 0
) -> list[str]:
    """`target = f(items)tail  # comment`, the comment above where it takes more than a line."""
    flat = f"{head}{', '.join(items)}{tail}"
    if len(flat) + indent <= WIDTH:
        return statement(flat, comment, indent=indent)
    if head.endswith("["):
        laid_out = nested_list(head[:-1], items, tail[1:], indent=indent)
    else:
        laid_out = call(head, items, tail, indent=indent)
    return [f"# {comment}", *laid_out]


def string_lines(text: str, field: str = "", *, indent: int = 0) -> list[str]:
    """A string literal, split into neighbors where it is too long for a line.

    `field` is a replacement field `{…}` at its end; only the piece that holds it is formatted.

    >>> string_lines("got shape ", "{x.shape}")
    ['f"got shape {x.shape}"']
    """
    if not field and len(_escaped(text)) + 2 + indent <= WIDTH:
        return [f'"{_escaped(text)}"']
    room = WIDTH - indent - 3
    pieces: list[str] = []
    line = ""
    for word in re.findall(r"\S*\s*", text):
        if line and len(_escaped(line + word)) > room:
            pieces.append(line)
            line = ""
        line += word
    if field and line and len(_escaped(line) + field) > room:
        pieces.append(line)
        line = ""
    lines = [f'"{_escaped(piece)}"' for piece in pieces]
    if field:
        doubled = _escaped(line).replace("{", "{{").replace("}", "}}")
        return [*lines, f'f"{doubled}{field}"']
    return [*lines, f'"{_escaped(line)}"']


def _escaped(text: str) -> str:
    """The inside of a double-quoted literal."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


_MEMBER = re.compile(r"(?P<family>.*\[(?:.*, )?)(?P<last>\d+)\]$")


def compact(names: Iterable[str]) -> list[str]:
    """The names with runs of three or more neighbors of a family as `i[0..4]`, half open.

    >>> compact(["b[0]", "i[1]", "i[2]", "i[3]", "v[0, 4]"])
    ['b[0]', 'i[1..4]', 'v[0, 4]']
    """
    found: list[tuple[str, int, list[str]]] = []
    for name in names:
        match = _MEMBER.match(name)
        if match is None:
            found.append(("", 0, [name]))
            continue
        family, last = match["family"], int(match["last"])
        if found and found[-1][0] == family and found[-1][1] + len(found[-1][2]) == last:
            found[-1][2].append(name)
        else:
            found.append((family, last, [name]))
    texts: list[str] = []
    for family, first, group in found:
        texts += [f"{family}{first}..{first + len(group)}]"] if len(group) > 2 else group
    return texts


def legs(axes: Iterable[Sequence[str]], renamed: dict[str, str]) -> str:
    """The axes of a value: `(B, o[0], b[0] i[1])`; flattened indices share one, `1` is none.

    >>> legs([["..."], ["i[0]", "i[1]"], []], {"...": "B"})
    '(B, i[0] i[1], 1)'
    """
    texts = (" ".join(compact(renamed.get(name, name) for name in axis)) or "1" for axis in axes)
    inside = ", ".join(texts)
    room = WIDTH - 16
    if len(inside) > room:
        cut = inside[: room // 2].rsplit(" ", 1)[0]
        rest = inside[-room // 2 :].split(" ", 1)[-1]
        inside = f"{cut} … {rest}"
    return f"({inside})"
