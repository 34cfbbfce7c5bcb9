"""The wording of TN101 and TN102."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tncompile.language.diagnostics.collector import problem
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.parsing.errors.context import STATEMENT_TERMINALS, ParseContext
from tncompile.language.parsing.errors.expectations import construct_at
from tncompile.language.parsing.lexer import CLOSING
from tncompile.language.parsing.tables import END, load_tables
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
    | {"NETWORK"}
)
_OPERATORS = frozenset(
    {"PIPE", "OR", "AND", "EQUAL", "UNEQUAL", "LESS", "AT_MOST", "MORE", "AT_LEAST", "PLUS"}
    | {"MINUS", "STAR", "SLASH", "FLOOR", "PERCENT", "MATMUL", "POWER"}
)
_ATTRIBUTES = frozenset({"INIT", "SHARE", "TIE", "FROZEN", "IF", "CONJ", "LOG", "NAME"})
_LEGS = frozenset({"NAME", "ONEHOT", "LPAR"})
_INSIDE_LEGS = frozenset({"DOT", "OPTIONAL", "LSQB", "IN"})
_BLOCKS = frozenset({"IMPORT", "NETWORK", "MODEL", "REWRITE", "DOC"})


class Suggestion(NamedTuple):
    """What to say of a mistake that is recognized; `place` where that is not the token itself."""

    message: str = ""
    label: str = ""
    hint: str | None = None
    note: str | None = None
    place: Span | None = None


def english(terminal: str) -> str:
    """What a terminal is called in a message."""
    tables = load_tables()
    texts = {name: f"`{text}`" for text, name in [*tables.words.items(), *tables.symbols.items()]}
    return {**texts, **_NAMED}[terminal]


def expectation(terminals: Iterable[str]) -> str:
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
    phrases += sorted(english(terminal) for terminal in left)
    if operators and len(phrases) < 3:
        phrases.append("an operator")
    return "expected " + one_of(phrases)


def shown(text: str) -> str:
    """A piece of the program as a message quotes it: one line, at most 40 characters."""
    line = text.split("\n")[0]
    return f"`{line if len(line) <= 40 else line[:39] + '…'}`"


def one_of(phrases: list[str]) -> str:
    """`a, b or c`."""
    return " or ".join(filter(None, [", ".join(phrases[:-1]), *phrases[-1:]]))


def syntax_error(context: ParseContext, suggestion: Suggestion | None) -> Diagnostic:
    """TN101, or TN102 where the text ends too early."""
    end = context.terminal == END
    message, label, hint, note, place = suggestion or Suggestion()
    if end or not place:
        place = context.token.span
    if end or not message:
        message = f"unexpected {'end of the text' if end else shown(context.text)}"
    secondary: tuple[Label, ...] = ()
    opened = context.bracket_left_open()
    if opened is not None and opened[1] != place:
        symbol, span = opened
        secondary = (Label(span, f"this {english(symbol)} is still open"),)
        hint = hint or f"close it with {english(CLOSING[symbol])}"
        note = note or "newlines mean nothing: what a bracket opens goes on until it is closed"
    usual_hint, usual_note = construct_at(context)
    code = Code.UNEXPECTED_END if end else Code.UNEXPECTED_TOKEN
    label = label or expectation(context.expected)
    note, hint = note or usual_note, hint or usual_hint
    return problem(code, message, place, label, note, hint, secondary)


def limit_error(span: Span, message: str, label: str, hint: str) -> Diagnostic:
    """TN101 for a text past the limits of the language."""
    note = "limits keep every text, whatever it holds, quick to check"
    return problem(Code.UNEXPECTED_TOKEN, message, span, label, notes=note, hint=hint)
