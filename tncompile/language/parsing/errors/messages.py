"""The wording of TN101 and TN102."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.parsing.errors.context import (
    CLOSING,
    STATEMENT_TERMINALS,
    ParseContext,
    shown,
)
from tncompile.language.parsing.errors.expectations import construct_at
from tncompile.language.parsing.tables import END, Tables
from tncompile.language.syntax.source import Span

_NAMED = {
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "a string in double quotes",
    "DOC": 'a """doc"""',
    END: "the end",
}

_VALUES = frozenset(
    {"NAME", "NUMBER", "STRING", "TRUE", "FALSE", "LPAR", "LSQB", "MINUS", "NOT", "IF", "REPEAT"}
)
_OPERATORS = frozenset(
    {"PIPE", "OR", "AND", "EQUAL", "UNEQUAL", "LESS", "AT_MOST", "MORE", "AT_LEAST", "PLUS"}
    | {"MINUS", "STAR", "SLASH", "FLOOR", "PERCENT", "MATMUL", "POWER"}
)
_ATTRIBUTES = frozenset({"INIT", "SHARE", "TIE", "FROZEN", "IF", "CONJ", "LOG", "NAME"})
_LEGS = frozenset({"NAME", "ONEHOT", "LPAR"})
_INSIDE_LEGS = frozenset({"DOT", "OPTIONAL", "LSQB", "IN"})
_BLOCKS = frozenset({"IMPORT", "NETWORK", "MODEL", "REWRITE", "DOC"})


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A message for a mistake that is recognized; `place` where that is not the token itself."""

    message: str
    label: str = ""
    hint: str | None = None
    note: str | None = None
    place: Span | None = None


def english(terminal: str, tables: Tables) -> str:
    """What a terminal is called in a message."""
    if terminal in _NAMED:
        return _NAMED[terminal]
    for texts in (tables.words, tables.symbols):
        for text, name in texts.items():
            if name == terminal:
                return f"`{text}`"
    raise KeyError(terminal)


def expectation(terminals: Iterable[str], tables: Tables) -> str:
    """What could stand here, in a few words: "expected `,` or `)`"."""
    left = set(terminals)
    phrases: list[str] = []
    operators = "PLUS" in left  # a value ends here
    if operators:
        left -= _OPERATORS | {"LPAR", "LSQB"}
    if "COMMA" in left and left & {"RPAR", "RSQB"}:
        left -= _INSIDE_LEGS
    if left >= {"NAME", "NUMBER", "TRUE"}:
        left -= _VALUES
        phrases.append("a value")
    if "FROZEN" in left:
        left -= _ATTRIBUTES
        if not left & {"LET", "COMMA"}:
            phrases.append("an attribute")
    if left >= _LEGS:
        left -= _LEGS
        phrases.append("a leg")
    if left >= _BLOCKS:
        left -= _BLOCKS | {END}
        phrases.append("a block (`import`, `network`, `model` or `rewrite`)")
    if "LET" in left:
        left -= STATEMENT_TERMINALS | _INSIDE_LEGS | {"COMMA", "IF"}
        phrases.append("a statement")
    phrases += sorted(english(terminal, tables) for terminal in left)
    if operators and len(phrases) < 3:
        phrases.append("an operator")
    return "expected " + one_of(phrases)


def one_of(phrases: list[str]) -> str:
    """`a, b or c`."""
    if len(phrases) <= 1:
        return "".join(phrases)
    return ", ".join(phrases[:-1]) + " or " + phrases[-1]


def syntax_error(
    context: ParseContext, suggestion: Suggestion | None, tables: Tables
) -> Diagnostic:
    """TN101, or TN102 where the text ends too early."""
    end = context.terminal == END
    if suggestion is None:
        suggestion = Suggestion("", expectation(context.expected, tables))
    place = context.span if end else suggestion.place or context.span
    message = suggestion.message
    if not message or end:
        message = f"unexpected {'end of the text' if end else shown(context.text)}"
    label = suggestion.label or expectation(context.expected, tables)
    secondary: tuple[Label, ...] = ()
    hint, note = suggestion.hint, suggestion.note
    opened = context.bracket_left_open()
    if opened is not None and opened[1] != place:
        symbol, span = opened
        secondary = (Label(span, f"this {english(symbol, tables)} is still open"),)
        hint = hint or f"close it with {english(CLOSING[symbol], tables)}"
        note = note or "newlines mean nothing: what a bracket opens goes on until it is closed"
    construct = construct_at(context)
    return Diagnostic(
        Code.UNEXPECTED_END if end else Code.UNEXPECTED_TOKEN,
        message,
        Label(place, label),
        secondary,
        (note or construct.note,),
        hint or construct.hint,
    )


def limit_error(span: Span, message: str, label: str, hint: str = "write less of it") -> Diagnostic:
    """TN101 for a text past the limits of the language."""
    note = "limits keep every text, whatever it holds, quick to check"
    return Diagnostic(Code.UNEXPECTED_TOKEN, message, Label(span, label), (), (note,), hint)
