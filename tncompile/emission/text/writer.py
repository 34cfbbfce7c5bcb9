"""Lines of Python as `ruff format` would leave them, and the comments that go with them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from unicodedata import category

from tncompile.language.diagnostics.excerpt import UNSEEN
from tncompile.language.docs import is_verbatim, paragraphs

WIDTH = 100
"""The length of a line of emitted code."""

INDENT = 8
"""The columns left of a statement in a method."""

TAB = "    "


def indented(lines: Iterable[str], levels: int = 1) -> list[str]:
    """The lines moved to the right; empty lines stay empty."""
    return [f"{TAB * levels}{line}" if line else line for line in lines]


# ── text that others wrote ─────────────────────────────────────────────────────────────────────
#
# Whatever comes from a spec, a TARGET, a lock file or a profile reaches an emitted file through
# `comment_lines`, `string` (or `string_lines`) and `docstring`, and through nothing else. They take
# it as it is and let it be neither code nor the end of a line, for Python or for an editor.


def comment(text: str) -> str:
    """A comment on one line."""
    return "# " + _ENCODING.sub(r"\g<0> ", _visible(text, literal=False))


def comment_lines(text: str, *, indent: int = 0) -> list[str]:
    """A comment on lines of its own."""
    return [comment(line) for line in filled(text, WIDTH - indent - 2)]


def string(text: str) -> str:
    r"""A string literal in double quotes whose value is the text.

    >>> print(string('a "b"'), string("a\N{LINE SEPARATOR}b"))
    "a \"b\"" "a\u2028b"
    """
    return f'"{_inside(text)}"'


def string_lines(text: str, field: str = "", *, indent: int = 0) -> list[str]:
    """A string literal, split into neighbors where it is too long for a line.

    `field` is a replacement field `{…}` at its end, of our own; only the piece that holds it is
    formatted.

    >>> string_lines("got shape ", "{x.shape}")
    ['f"got shape {x.shape}"']
    """
    if not field and len(string(text)) + indent <= WIDTH:
        return [string(text)]
    room = WIDTH - indent - 3
    pieces: list[str] = []
    line = ""
    for word in re.findall(r"\S*\s*", text):
        if line and len(_inside(line + word)) > room:
            pieces.append(line)
            line = ""
        line += word
    if field and line and len(_inside(line) + field) > room:
        pieces.append(line)
        line = ""
    lines = [string(piece) for piece in pieces]
    if field:
        doubled = string(line.replace("{", "{{").replace("}", "}}"))
        return [*lines, f'f{doubled[:-1]}{field}"']
    return [*lines, string(line)]


def docstring(lines: Sequence[str]) -> list[str]:
    """A docstring of these lines, the first one behind the opening quotes.

    >>> docstring(["Says no."]) == ['"' * 3 + "Says no." + '"' * 3]
    True
    """
    inside = [doc_line(line).rstrip() for line in lines]
    if len(inside) > 1:
        return [f'"""{inside[0]}', *inside[1:], '"""']
    last = _LAST_QUOTE.sub(r"\1\"", inside[0])  # it would be one of four quotes
    return [f'"""{last}"""']


def doc_line(line: str) -> str:
    """A line as it stands in a docstring."""
    return _QUOTES.sub(r"\"\"\"", _visible(line))


_ENCODING = re.compile(r"coding(?=[:=])")
"""What names the encoding of a file where it stands in a comment on its first lines."""

_QUOTES = re.compile('"""')
_LAST_QUOTE = re.compile(r'(?<!\\)((?:\\\\)*)"$')


def _visible(text: str, *, literal: bool = True) -> str:
    """The text with escape sequences for all that is not one visible character or a space.

    In a literal a backslash is doubled, so that what is read again is the text.
    """
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    escaped = text.replace("\\", "\\\\") if literal else text
    return "".join(
        character.encode("unicode_escape").decode() if category(character) in UNSEEN else character
        for character in escaped
    )


def _inside(text: str) -> str:
    """The inside of a string literal in double quotes."""
    return _visible(text).replace('"', '\\"')


# ── statements ─────────────────────────────────────────────────────────────────────────────────


def statement(text: str, remark: str = "", *, indent: int = INDENT) -> list[str]:
    """A statement that fits on a line, its comment beside it, or above where there is no room."""
    line = f"{text}  {comment(remark)}" if remark else text
    return [line] if len(line) + indent <= WIDTH else [*comment_lines(remark, indent=indent), text]


def filled(text: str, width: int, *, hanging: str = "", before: int = 0) -> list[str]:
    """The text in lines of at most `width`; words that are longer stay whole.

    The first line has so many columns `before` it, as behind opening quotes.
    """
    lines = textwrap.wrap(
        text,
        width,
        initial_indent=" " * before,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line[before:] if k == 0 else line for k, line in enumerate(lines)]


def filled_docs(text: str, width: int) -> list[str]:
    """The text in lines of which none is longer than `width` in a docstring, if words allow it."""
    for room in range(width, width // 4, -4):
        lines = filled(text, room)
        if all(len(doc_line(line)) <= width for line in lines):
            break
    return lines


def doc_lines(doc: str, width: int) -> list[str]:
    """What a block says of itself in lines that fit behind the quotes of a docstring.

    A paragraph with a line that does not fit is filled anew, unless lines of it are indented.
    """
    lines: list[str] = []
    for written in paragraphs(doc):
        room = [width - 3 * (not lines and not k) for k in range(len(written))]
        long = [len(doc_line(line)) > most for line, most in zip(written, room, strict=True)]
        if any(long) and not is_verbatim(written):
            written, long = [" ".join(written)], [True]
        lines += [""] * bool(lines)
        for line, does_not_fit in zip(written, long, strict=True):
            lines += filled_docs(line, width - 3) if does_not_fit else [line]
    return lines


def call(head: str, items: Sequence[str], tail: str = ")", *, indent: int = INDENT) -> list[str]:
    """`head(items)tail` on one line, else the items on one of their own, else one a line.

    `head` ends with the opening bracket and `tail` starts with the closing one. The items of a list
    or dict are never together on a line of their own.

    >>> call("f(", ["a", "b"])
    ['f(a, b)']
    """
    flat = ", ".join(items)
    if not items or indent + len(head) + len(flat) + len(tail) <= WIDTH:
        return [f"{head}{flat}{tail}"]
    if not head.endswith(("[", "{")) and indent + len(TAB) + len(flat) <= WIDTH:
        return [head, f"{TAB}{flat}", tail]
    return [head, *(f"{TAB}{item}," for item in items), tail]


def assignment(
    head: str, items: Sequence[str], tail: str, remark: str, *, indent: int = INDENT
) -> list[str]:
    """`target = f(items)tail  # comment`, the comment above where it takes more than a line.

    A call whose one argument is a list, `f([items])`, is broken from the outside in.
    """
    flat = f"{head}{', '.join(items)}{tail}"
    if len(flat) + indent <= WIDTH:
        return statement(flat, remark, indent=indent)
    lines = call(head, items, tail, indent=indent)
    if head.endswith("(["):
        listed = call("[", items, "]", indent=indent + len(TAB))
        lines = [head[:-1], *indented(listed), tail[1:]]
    return [*comment_lines(remark, indent=indent), *lines]


def function(
    name: str, parameters: Sequence[str], returned: str, body: Sequence[str], *, indent: int = 4
) -> list[str]:
    """`def name(parameters) -> returned:` and its body, where `indent` is that of its head."""
    head = call(f"def {name}(", parameters, f") -> {returned}:", indent=indent)
    return [*head, *indented(body)]


def class_(head: str, body: Sequence[str], methods: Iterable[Sequence[str]]) -> list[str]:
    """A class: docstring and attributes, then methods with an empty line before each."""
    spaced = (line for method in methods for line in ("", *method))
    return [f"class {head}:", *indented([*body, *spaced])]


_MEMBER = re.compile(r"(?P<family>.*\[(?:.*, )?)(?P<last>\d+)\]$")


def compact(names: Iterable[str]) -> list[str]:
    """The names with runs of three or more neighbors of a family as `i[0..4]`, half open.

    >>> compact(["b[0]", "i[1]", "i[2]", "i[3]", "v[0, 4]"])
    ['b[0]', 'i[1..4]', 'v[0, 4]']
    """
    groups: list[tuple[str, int, list[str]]] = []
    for name in names:
        match = _MEMBER.match(name)
        family, last = (match["family"], int(match["last"])) if match else ("", 0)
        before, first, group = groups[-1] if groups else ("", 0, [])
        if match and before == family and first + len(group) == last:
            group.append(name)
        else:
            groups.append((family, last, [name]))
    texts: list[str] = []
    for family, first, group in groups:
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


FEW_RANGES = 8
"""Up to so many ranges numbers are written as ranges, however short."""

LISTED = 56
"""Characters of numbers in a line."""


def runs(numbers: Sequence[int]) -> list[range]:
    """The numbers as ranges of equal steps, greedily, in their order.

    >>> runs([0, 1, 2, 3, 9, 7, 5])
    [range(0, 4), range(9, 4, -2)]
    >>> runs([4, 4])
    [range(4, 5), range(4, 5)]
    """
    ranges: list[range] = []
    k = 0
    while k < len(numbers):
        end = k + 1
        step = numbers[end] - numbers[k] or 1 if end < len(numbers) else 1
        while end < len(numbers) and numbers[end] - numbers[end - 1] == step:
            end += 1
        if end - k == 2 and abs(step) != 1:  # two numbers are a pattern only when neighbors
            end, step = k + 1, 1
        ranges.append(range(numbers[k], numbers[end - 1] + (1 if step > 0 else -1), step))
        k = end
    return ranges


def range_text(numbers: range) -> str:
    """The call that makes the range.

    >>> range_text(range(0, 4)), range_text(range(2, 9, 3)), range_text(range(5, 4))
    ('range(4)', 'range(2, 9, 3)', 'range(5, 4)')
    """
    if numbers.step != 1:
        return f"range({numbers.start}, {numbers.stop}, {numbers.step})"
    start = f"{numbers.start}, " if numbers.start else ""
    return f"range({start}{numbers.stop})"


def listings(numbers: Sequence[int]) -> list[list[str]]:
    """The numbers as items of a list, ranges starred; of many short ranges as many as fit a line.

    >>> listings([0, 1, 2, 3, 7])
    [['*range(4)', '7']]
    """
    ranges = runs(numbers)
    least = 3 if len(ranges) <= FEW_RANGES else 2 * FEW_RANGES
    lines: list[list[str]] = [[]]
    for run in ranges:
        for text in [f"*{range_text(run)}"] if len(run) >= least else map(str, run):
            if len(", ".join([*lines[-1], text])) > LISTED:
                lines.append([])
            lines[-1].append(text)
    return lines
