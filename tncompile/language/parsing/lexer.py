"""Text to tokens. The automaton decides which words are keywords, by what may stand where."""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import NamedTuple

from tncompile.language.parsing.tables import END, Tables, load_tables
from tncompile.language.syntax.source import SourceFile, Span
from tncompile.language.syntax.tree import Comment

WORD = "WORD"
SEMICOLON = "SEMICOLON"
BAD_CHARACTER = "BAD_CHARACTER"
BAD_ESCAPE = "BAD_ESCAPE"
UNTERMINATED_STRING = "UNTERMINATED_STRING"
UNTERMINATED_DOC = "UNTERMINATED_DOC"

ERRORS = frozenset({BAD_CHARACTER, BAD_ESCAPE, UNTERMINATED_STRING, UNTERMINATED_DOC})
"""Kinds of tokens that no program may hold."""

_SPACE = r"(?:[ \t\n]|\r\n)+"
_NO_TEXT = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff]|\r(?!\n)"
)
_LAYOUT = re.compile(r"[#\s]")
_STRING_SO_FAR = re.compile(r'"(?:[^"\\\n]|\\["\\])*')
_REST_OF_LINE = re.compile(r"[^\r\n]*")


class Token(NamedTuple):
    """A piece of the text; `kind` is a terminal, `WORD` or one of `ERRORS`.

    `first` says that nothing but space stands before it on its line.
    """

    kind: str
    start: int
    end: int
    first: bool


def tokenize(source: SourceFile, tables: Tables) -> tuple[list[Token], tuple[Comment, ...]]:
    """The tokens of a text, the last one of kind `$END`, and its comments."""
    text = source.text
    scan = _scanner(tables).match
    illegal = [match.start() for match in _NO_TEXT.finditer(text)]
    tokens: list[Token] = []
    comments: list[Comment] = []
    symbols = {**tables.symbols, ";": SEMICOLON}
    position = 1 if text.startswith("\ufeff") else 0  # a byte order mark is no text
    first = True
    while position < len(text):
        match = scan(text, position)
        if match is None:
            kind, position, end = _unreadable(text, position)
        else:
            kind, end = match.lastgroup or "", match.end()
        if kind == "SPACE":
            first = first or "\n" in text[position:end]
            position = end
            continue
        if illegal and kind in ("COMMENT", "DOC", "STRING"):
            nearest = bisect_left(illegal, position)
            if nearest < len(illegal) and illegal[nearest] < end:
                kind, position = BAD_CHARACTER, illegal[nearest]
                end = position + 1
        if kind == "COMMENT":
            span = Span(source, position, end)
            comments.append(Comment(text[position:end].rstrip(), span=span))
        else:
            if kind == "SYMBOL":
                kind = symbols[text[position:end]]
            tokens.append(Token(kind, position, end, first))
            first = False
        position = end
    tokens.append(Token(END, len(text), len(text), True))
    return tokens, tuple(comments)


def one_line(span: Span) -> str:
    r"""The tokens under a span on one line, with a space where space or comments stood.

    >>> one_line(Span(SourceFile("a.tn", "x(a,  # one\n  b)"), 0, 17))
    'x(a, b)'
    """
    text = span.text
    if not _LAYOUT.search(text):
        return text
    tokens, _ = tokenize(SourceFile(span.source.name, text), load_tables())
    pieces: list[str] = []
    end = 0
    for token in tokens[:-1]:
        pieces.append(" " if pieces and token.start > end else "")
        pieces.append(text[token.start : token.end])
        end = token.end
    return "".join(pieces)


def _scanner(tables: Tables) -> re.Pattern[str]:
    """One pattern with a named group for every kind of token."""
    symbols = sorted([*tables.symbols, ";"], key=len, reverse=True)
    kinds = {
        "SPACE": _SPACE,
        "COMMENT": tables.patterns["COMMENT"],
        WORD: "[A-Za-z][A-Za-z0-9_]*",
        "NUMBER": tables.patterns["NUMBER"],
        "DOC": tables.patterns["DOC"],
        "STRING": tables.patterns["STRING"],
        "SYMBOL": "|".join(map(re.escape, symbols)),
    }
    return re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in kinds.items()))


def _unreadable(text: str, position: int) -> tuple[str, int, int]:
    """Kind, start and end of what no token begins with."""
    if text.startswith('"""', position):
        return UNTERMINATED_DOC, position, len(text)
    if text[position] != '"':
        return BAD_CHARACTER, position, position + 1
    so_far = _STRING_SO_FAR.match(text, position)
    rest = _REST_OF_LINE.match(text, position)
    assert so_far is not None
    assert rest is not None, "both patterns match whatever follows a quote"
    closed = text.find('"', so_far.end(), rest.end())
    if closed >= 0:
        return BAD_ESCAPE, so_far.end(), closed + 1
    return UNTERMINATED_STRING, position, rest.end()
