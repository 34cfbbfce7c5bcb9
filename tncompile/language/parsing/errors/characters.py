"""The wording of TN103 and TN104: characters that no program may hold, quotes left open."""

from __future__ import annotations

from unicodedata import category, combining, digit, name

import tncompile.language.parsing.lexer as lexer
from tncompile.language.diagnostics.collector import problem
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic
from tncompile.language.syntax.source import Span

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
    **dict.fromkeys("（）", "parentheses are `(` and `)`"),
    "^": "a power is `**`: `2 ** k`",
    "&": "both of two conditions is `and`",
    "|": "one of two conditions is `or`; a pipe is `|>`",
    "!": "the opposite of a condition is `not`; unequal is `!=`",
    "~": "the opposite of a condition is `not`",
    "$": "names are letters, digits and `_`",
    "_": "a name begins with a letter",
    "\\": "newlines mean nothing: a statement may run over several lines without `\\`",
    "\r": "lines end with a line feed, or with carriage return and line feed",
}

_CONTROLS = {
    "\0": "the null character",
    "\a": "the bell",
    "\b": "a backspace",
    "\v": "a vertical tab",
    "\f": "a form feed",
    "\r": "a carriage return alone",
    "\x1b": "the escape character",
    "\x7f": "the delete character",
    "\x85": "a next-line character",
}
"""What Unicode gives no name."""


def character_error(token: lexer.Token) -> Diagnostic:
    """TN103 for a character that no program may hold, TN104 for quotes that are not closed."""
    code, span = Code.UNKNOWN_CHARACTER, token.span
    if token.kind == lexer.UNTERMINATED_STRING:
        code = Code.UNTERMINATED_STRING
        message, label = "unterminated string", 'the closing `"` is missing'
        note = "a string ends on the line on which it begins"
        hint = 'put a `"` where the string ends'
    elif token.kind == lexer.UNTERMINATED_DOC:
        code, span = Code.UNTERMINATED_STRING, Span(span.source, span.start, span.start + 3)
        message, label = "unterminated doc", 'the closing `"""` is missing'
        note = "a doc runs over lines, up to three double quotes"
        hint = 'put a `"""` where the doc ends'
    elif token.kind == lexer.BAD_ESCAPE:
        span = Span(span.source, span.start, span.start + 2)
        message, label = f"unknown escape `{token.text[:2]}`", "not an escape"
        note = 'a string knows two escapes, `\\"` and `\\\\`'
        hint = "write `\\\\` for a backslash, and `/` between folders"
    else:
        character, point = token.text, f"U+{ord(token.text):04X}"
        visible = character.isprintable() and not character.isspace() and not combining(character)
        message = f"unknown character {f'`{character}`' if visible else point}"
        label = "not part of the language"
        known = name(character, _CONTROLS.get(character, "without a name")).lower()
        elsewhere = "; elsewhere than in comments, strings and docs it means nothing"
        note = f"this is {point}, {known}{elsewhere if visible else ''}"
        hint = _LOOKALIKES.get(character) or _replacement(character)
    return problem(code, message, span, label, notes=note, hint=hint)


def _replacement(character: str) -> str:
    """What to type for a character that nothing is known of but its category."""
    match category(character):
        case "Nd" | "No" | "Nl":
            value = digit(character, None)
            if value is not None:
                return f"digits are 0 to 9: write `{value}`"
            return "numbers are made of the digits 0 to 9, and `.` in floats"
        case "Mn" | "Mc" | "Me":
            return "names are made of the letters A to Z without accents, digits and `_`"
        case "Lu" | "Ll" | "Lt" | "Lm" | "Lo":
            return "names are made of the letters A to Z, digits and `_`"
        case "Zs" | "Zl" | "Zp" | "Cc" if character.isspace():
            return "type a plain space or a line break"
        case "Cc" | "Cf" | "Cs" | "Co" | "Cn":
            return "delete it: it is invisible"
        case _:
            return "delete it, or move it into a `#` comment"
