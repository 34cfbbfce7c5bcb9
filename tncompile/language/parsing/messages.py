"""The wording of TN101 to TN104."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tncompile.language.diagnostics import Code, Diagnostic, Label
from tncompile.language.parsing.lexing import BAD_ESCAPE, UNTERMINATED_DOC, UNTERMINATED_STRING
from tncompile.language.parsing.situation import CLOSING, STATEMENT_TERMINALS, Situation
from tncompile.language.parsing.tables import END, Tables
from tncompile.language.source import SourceFile, Span

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
class Advice:
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


def shown(text: str) -> str:
    """A piece of the program as a message quotes it: one line, at most 40 characters."""
    line = text.split("\n")[0]
    return f"`{line if len(line) <= 40 else line[:39] + '…'}`"


def syntax_error(situation: Situation, advice: Advice | None, tables: Tables) -> Diagnostic:
    """TN101, or TN102 where the text ends too early."""
    end = situation.terminal == END
    if advice is None:
        advice = Advice("", expectation(situation.expected, tables))
    place = situation.span if end else advice.place or situation.span
    message = advice.message
    if not message or end:
        message = f"unexpected {'end of the text' if end else shown(situation.text)}"
    label = advice.label or expectation(situation.expected, tables)
    secondary: tuple[Label, ...] = ()
    hint = advice.hint
    opened = situation.bracket_left_open()
    if opened is not None and opened[1] != place:
        symbol, span = opened
        secondary = (Label(span, f"this {english(symbol, tables)} is still open"),)
        hint = hint or f"close it with {english(CLOSING[symbol], tables)}"
    return Diagnostic(
        Code.UNEXPECTED_END if end else Code.UNEXPECTED_TOKEN,
        message,
        Label(place, label),
        secondary,
        (advice.note,) if advice.note else (),
        hint,
    )


_LOOKALIKES = {
    **dict.fromkeys("“”„‟″«»", 'strings stand in straight double quotes: `"`'),
    **dict.fromkeys("'‘’`´", 'strings stand in double quotes: `"text"`'),
    **dict.fromkeys("−–—", "the minus sign is `-`"),
    **dict.fromkeys(
        "×⋅·⊗∗", "a product of numbers is `*`; tensors are multiplied by sharing an index"
    ),
    **dict.fromkeys("→⟶⇒", "the arrow is `->`"),
    "÷": "division is `//` for integers and `/` for floats",
    "…": "the dots of leading batch axes are three periods: `...`",
    "≤": "at most is `<=`",
    "≥": "at least is `>=`",
    "≠": "unequal is `!=`",
    "，": "the comma is `,`",
    "（": "parentheses are `(` and `)`",
    "）": "parentheses are `(` and `)`",
    "^": "a power is `**`: `2 ** k`",
    "&": "both of two conditions is `and`",
    "|": "one of two conditions is `or`; a pipe is `|>`",
    "!": "the opposite of a condition is `not`; unequal is `!=`",
    "~": "the opposite of a condition is `not`",
    "$": "names are letters, digits and `_`",
    "_": "a name begins with a letter",
    "\\": "newlines mean nothing: a statement may run over several lines without `\\`",
    "\u00a0": "this is a no-break space: type a plain space",
    "\ufeff": "this is an invisible mark: delete it",
    "\r": "lines end with a line feed, or with carriage return and line feed",
}


def character_error(source: SourceFile, kind: str, start: int, end: int) -> Diagnostic:
    """TN103 for a character that no program may hold, TN104 for quotes that are not closed."""
    if kind == UNTERMINATED_STRING:
        return Diagnostic(
            Code.UNTERMINATED_STRING,
            "unterminated string",
            Label(Span(source, start, end), 'the closing `"` is missing'),
            notes=("a string ends on the line on which it begins",),
            hint='put a `"` where the string ends',
        )
    if kind == UNTERMINATED_DOC:
        return Diagnostic(
            Code.UNTERMINATED_STRING,
            "unterminated doc",
            Label(Span(source, start, start + 3), 'the closing `"""` is missing'),
            hint='put a `"""` where the doc ends',
        )
    character = source.text[start]
    if kind == BAD_ESCAPE:
        return Diagnostic(
            Code.UNKNOWN_CHARACTER,
            f"unknown escape `{source.text[start : start + 2]}`",
            Label(Span(source, start, start + 2), "not an escape"),
            notes=('a string knows two escapes, `\\"` and `\\\\`',),
            hint="write `\\\\` for a backslash, and `/` between folders",
        )
    visible = character.isprintable() and not character.isspace()
    name = f"`{character}`" if visible else f"U+{ord(character):04X}"
    hint = _LOOKALIKES.get(character)
    if hint is None and character.isalpha():
        hint = "names are made of the letters A to Z, digits and `_`"
    return Diagnostic(
        Code.UNKNOWN_CHARACTER,
        f"unknown character {name}",
        Label(Span(source, start, start + 1), "not part of the language"),
        notes=() if visible else ("this is a control character or other invisible one",),
        hint=hint,
    )


def limit_error(span: Span, message: str, label: str, hint: str | None = None) -> Diagnostic:
    """TN101 for a text past the limits of the language."""
    note = "limits keep every text, whatever it holds, quick to check"
    return Diagnostic(Code.UNEXPECTED_TOKEN, message, Label(span, label), (), (note,), hint)
