"""The `.tn` text beside the PyTorch that is made of it, and which lines belong together."""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tncompile.inspection.report.markup import EMPTY, Html, element, joined, text
from tncompile.language.syntax.source import Span

MOST_LINES = 1500
"""Lines of a generated file above which a report shows its beginning alone: pages stay small."""

NUMBER = re.compile(r"#(?: \d+ ×)? \[(\d+)\]")
"""What stands before the legs of a result in generated code: the contraction that it is of."""

TENSORS = re.compile(r"\bself\.|\btorch\.|\.(?:reshape|permute|expand)\(")
"""What statements that make tensors have."""

TN_WORDS = frozenset(
    (
        *("network", "model", "rewrite", "import", "extern", "from", "let", "require", "input"),
        *("output", "tensor", "bias", "index", "bond", "batch", "window", "part", "repeat", "scan"),
        *("as", "if", "then", "else", "in", "init", "keep", "frozen", "share", "tie", "conj"),
        *("log", "slices", "onehot", "causal", "true", "false", "int", "float", "bool", "and"),
        *("or", "not", "complex"),
    )
)
PYTHON_WORDS = frozenset(keyword.kwlist)
TOKEN = re.compile(
    r'(?P<s>"""[\s\S]*?"""|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')|(?P<c>#[^\n]*)'
    r"|(?P<n>\b\d\w*(?:\.\d\w*)?(?:(?<=[eE])[+-]\d+)?)|(?P<w>[A-Za-z_]\w*)"
)


@dataclass(frozen=True)
class Method:
    """A method of generated code: its text, and the lines of each contraction, from 0."""

    written: str
    lines: Mapping[int, tuple[int, int]]


def contracting_method(source: str) -> Method | None:
    """The method that contracts, of a source with one program; None where nothing is contracted.

    A statement belongs to the contraction that the next number in a comment names.
    """
    lines = source.splitlines()
    best: Method | None = None
    classes = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
    for name, node in classes.items():
        if name.endswith("Folded") and name.removesuffix("Folded") in classes:
            continue
        for method in node.body:
            if not isinstance(method, ast.FunctionDef) or method.name in ("fold", "weight"):
                continue
            first, last = method.lineno - 1, method.end_lineno or method.lineno
            found = dict(_numbered(lines, method, first))
            if found and (best is None or len(found) >= len(best.lines)):
                best = Method(dedented(lines[first:last]), found)
    return best


def _numbered(
    lines: list[str], method: ast.FunctionDef, first: int
) -> Iterator[tuple[int, tuple[int, int]]]:
    """Contractions and their lines in a method, counted from its first one."""
    statements = [
        node
        for node in ast.walk(method)
        if isinstance(node, ast.Assign | ast.Return | ast.Delete | ast.AugAssign | ast.Expr)
    ]
    start: int | None = None
    begun = False
    end = method.body[0].end_lineno or method.lineno
    for statement in sorted(statements, key=lambda node: node.lineno):
        if statement.lineno <= end:
            continue
        begun = begun or TENSORS.search(ast.unparse(statement)) is not None
        if not begun:  # checks, sizes
            end = statement.end_lineno or statement.lineno
            continue
        own = lines[end : statement.end_lineno]
        begins = statement.lineno - 1
        while begins > end and lines[begins - 1].lstrip().startswith("#"):
            begins -= 1
        start = begins if start is None else start
        end = statement.end_lineno or statement.lineno
        if numbers := NUMBER.findall("\n".join(own)):
            yield int(numbers[-1]), (start - first, end - 1 - first)
            start = None


def dedented(lines: list[str]) -> str:
    """Lines without the indentation of the first."""
    indent = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[indent:] if not line[:indent].strip() else line for line in lines)


def code(
    written: str,
    words: frozenset[str] = PYTHON_WORDS,
    *,
    first: int | None = None,
    made: Mapping[int, str] | None = None,
    label: str = "",
    long: bool = False,
) -> Html:
    """A text in a box, a span a line; with `first` lines are numbered from there.

    `made` are the generated lines of some of them, by position, for the script of the page.
    """
    spans = []
    for place, content in enumerate(_colored(written, words)):
        attributes: dict[str, str] = {} if first is None else {"data_line": str(first + place)}
        if made is not None and place in made:
            attributes["data_made"] = made[place]
        spans.append(element("span", content or Html("\u200b"), class_="line", **attributes))
    name = "code long" if long else "code"
    return element("pre", *spans, class_=name, tabindex="0", aria_label=label)


def _colored(written: str, words: frozenset[str]) -> Iterator[Html]:
    """The lines of a text, keywords, strings, numbers and comments in spans of their own."""
    line: list[Html] = []

    def pieces(content: str, name: str) -> Iterator[Html]:
        """A text that may have line breaks: one piece a line, each but the last one ends it."""
        for number, part in enumerate(content.split("\n")):
            if number:
                yield Html("\n")
            if part:
                yield element("span", text(part), class_=name) if name else text(part)

    def all_pieces() -> Iterator[Html]:
        at = 0
        for match in TOKEN.finditer(written):
            yield from pieces(written[at : match.start()], "")
            kind = match.lastgroup or ""
            if kind == "w":
                kind = "k" if match[0] in words else ""
            yield from pieces(match[0], kind)
            at = match.end()
        yield from pieces(written[at:], "")

    for piece in all_pieces():
        if piece == "\n":
            yield joined(line)
            line = []
        else:
            line.append(piece)
    yield joined(line)


def sources(span: Span, generated: str, families: Mapping[int, Iterable[str]]) -> Html:
    """The text of a block beside the file that is made of it, one under the other on a phone.

    `families` are the tensors and parts that lines of its file declare, counted from one: the lines
    of the generated file that read them light up with these.
    """
    first, _ = span.source.position(span.start)
    last, _ = span.source.position(max(span.start, span.end - 1))
    spec = "\n".join(span.source.line(number) for number in range(first, last + 1))
    lines = generated.splitlines()
    cut = lines[:MOST_LINES]
    made: dict[int, str] = {}
    for line, names in families.items():
        read = re.compile(rf"\bself\.(?:{'|'.join(map(re.escape, names))})\b")
        made[line - first] = " ".join(str(k) for k, each in enumerate(cut) if read.search(each))
    more = EMPTY
    if len(cut) < len(lines):
        words = f"The first {len(cut):,} of {len(lines):,} lines; `tncompile compile` writes all."
        more = element("p", text(words), class_="dim")
    hint = "Arrow keys, or a click, go through the declarations: what reads them lights up."
    return element(
        "div",
        element("p", text(hint), class_="dim"),
        element(
            "div",
            element(
                "figure",
                code(spec, TN_WORDS, first=first, made=made, label="The block", long=True),
                element("figcaption", text("The block")),
            ),
            element(
                "figure",
                code("\n".join(cut), first=1, label="The PyTorch that it becomes", long=True),
                element("figcaption", text("The PyTorch that it becomes")),
            ),
            class_="two",
        ),
        more,
        class_="sources",
    )
