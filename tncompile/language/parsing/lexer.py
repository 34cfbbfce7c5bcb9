"""Text to tokens. The automaton decides which words are keywords, by what may stand where."""

from __future__ import annotations

import re
from typing import NamedTuple

from tncompile.language.parsing.tables import END, load_tables
from tncompile.language.syntax.source import SourceFile, Span
from tncompile.language.syntax.tree import Comment

WORD = "WORD"
SEMICOLON = "SEMICOLON"
BAD_CHARACTER = "BAD_CHARACTER"
BAD_ESCAPE = "BAD_ESCAPE"
UNTERMINATED_STRING = "UNTERMINATED_STRING"
UNTERMINATED_DOC = "UNTERMINATED_DOC"

CLOSING = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}

ERRORS = frozenset({BAD_CHARACTER, BAD_ESCAPE, UNTERMINATED_STRING, UNTERMINATED_DOC})
"""Kinds of tokens that no program may hold."""

_NO_TEXT = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff]|\r(?!\n)"
)
_LAYOUT = re.compile(r"[#\s]")
_OPEN_STRING = re.compile(r'("(?:[^"\\\r\n]|\\["\\])*)(?:\\[^"\r\n]*("))?[^\r\n]*')
"""A string that does not end, or does so behind an escape that is none: `"text up to it`, `"`."""


class Token(NamedTuple):
    """A piece of the text; `kind` is a terminal, `WORD` or one of `ERRORS`.

    `first` says that nothing but space stands before it on its line.
    """

    kind: str
    text: str
    span: Span
    first: bool


def tokenize(source: SourceFile) -> tuple[list[Token], tuple[Comment, ...]]:
    """The tokens of a text, the last one of kind `$END`, and its comments."""
    text, tables = source.text, load_tables()
    symbols = {**tables.symbols, ";": SEMICOLON}
    patterns = {
        "SPACE": r"(?:[ \t\n]|\r\n)+",
        "COMMENT": tables.patterns["COMMENT"],
        WORD: "[A-Za-z][A-Za-z0-9_]*",
        "NUMBER": tables.patterns["NUMBER"],
        "DOC": tables.patterns["DOC"],
        "STRING": tables.patterns["STRING"],
        "SYMBOL": "|".join(map(re.escape, sorted(symbols, key=len, reverse=True))),
    }
    scan = re.compile("|".join(f"(?P<{kind}>{each})" for kind, each in patterns.items())).match
    tokens: list[Token] = []
    comments: list[Comment] = []
    position = 1 if text.startswith("\ufeff") else 0  # a byte order mark is no text
    first = True
    while position < len(text):
        match = scan(text, position)
        if match is None:
            kind, position, end = _unreadable(text, position)
        else:
            kind, end = match.lastgroup or "", match.end()
        if kind in ("COMMENT", "DOC", "STRING"):
            illegal = _NO_TEXT.search(text, position, end + 1)
            if illegal is not None and illegal.start() < end:
                kind, position, end = BAD_CHARACTER, *illegal.span()
        piece = text[position:end]
        if kind == "SPACE":
            first = first or "\n" in piece
        elif kind == "COMMENT":
            comments.append(Comment(piece.rstrip(), span=Span(source, position, end)))
        else:
            kind = symbols[piece] if kind == "SYMBOL" else kind
            tokens.append(Token(kind, piece, Span(source, position, end), first))
            first = False
        position = end
    tokens.append(Token(END, "", Span(source, len(text), len(text)), True))
    return tokens, tuple(comments)


def one_line(span: Span) -> str:
    r"""The tokens under a span on one line, with a space where space or comments stood.

    >>> one_line(Span(SourceFile("a.tn", "x(a,  # one\n  b)"), 0, 17))
    'x(a, b)'
    """
    if not _LAYOUT.search(span.text):
        return span.text
    tokens, _ = tokenize(SourceFile(span.source.name, span.text))
    pieces, end = "", tokens[0].span.start
    for token in tokens[:-1]:
        pieces += " " * (token.span.start > end) + token.text
        end = token.span.end
    return pieces


def _unreadable(text: str, position: int) -> tuple[str, int, int]:
    """Kind, start and end of what no token begins with."""
    if text.startswith('"""', position):
        return UNTERMINATED_DOC, position, len(text)
    string = _OPEN_STRING.match(text, position)
    if string is None:
        return BAD_CHARACTER, position, position + 1
    if string[2]:
        return BAD_ESCAPE, string.end(1), string.end(2)
    return UNTERMINATED_STRING, position, string.end()
