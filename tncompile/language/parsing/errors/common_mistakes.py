"""Slips that are recognized: brackets, commas and the order of things.

Each is a function from the situation to its advice, or None.
"""

from __future__ import annotations

import re

from tncompile.language.parsing.errors.context import ParseContext
from tncompile.language.parsing.errors.messages import Suggestion, shown
from tncompile.language.parsing.tables import END
from tncompile.language.syntax.source import Span

_MOST_DIGITS = 6
LEGS = ("TENSOR", "INPUT", "BIAS", "OUTPUT")

# ── legs and lists ───────────────────────────────────────────────────────────────────────────────


def square_brackets(situation: ParseContext) -> Suggestion | None:
    """`tensor A[i, o]`: square brackets around legs, also after the range of a family."""
    symbols = situation.symbols
    if situation.terminal == "LSQB" and symbols[-1:] == ("RSQB",) and "LPAR" in situation.expected:
        return Suggestion(
            "legs stand in parentheses",
            "after the range of a family come its legs",
            "write `(` and `)` around the legs: `G[k in 0..n](b[k], i[k])`",
        )
    place: Span | None = None
    following = None
    if situation.terminal == "LSQB" and situation.statement in ("BIAS", "OUTPUT"):
        if symbols[-1] != "NAME":
            return None
        place, following = situation.span, situation.position
    else:
        for depth in (1, 2):
            if len(symbols) > depth and symbols[-depth] == "LSQB" and "IN" not in symbols[-1:]:
                start = situation.starts[-depth]
                place = Span(situation.source, start, start + 1)
                following = next(
                    k for k, token in enumerate(situation.tokens) if token.start == start
                )
                depth_found = depth
                break
        else:
            return None
        words = symbols[-depth_found - 2 : -depth_found]
        if words not in (("TENSOR", "NAME"), ("INPUT", "NAME")):
            return None
    if _followed_by_parenthesis(situation, following):
        return Suggestion(
            "a family needs a range" if situation.statement in ("TENSOR", "INPUT") else "",
            "expected `in`" if situation.statement in ("TENSOR", "INPUT") else "no family here",
            "say over which values it runs: `G[k in 0..n](…)`",
        )
    return Suggestion(
        "legs stand in parentheses",
        "square brackets declare a family, as in `G[k in 0..n](…)`",
        "write `(` and `)` around the legs",
        place=place,
    )


def _followed_by_parenthesis(situation: ParseContext, opening: int) -> bool:
    """Whether the bracket at token `opening` is closed and `(` comes next."""
    depth = 0
    for k, token in enumerate(situation.tokens[opening:], start=opening):
        if token.kind in ("LSQB", "LPAR"):
            depth += 1
        elif token.kind in ("RSQB", "RPAR"):
            depth -= 1
            if depth == 0:
                return situation.tokens[k + 1].kind == "LPAR"
        elif token.kind == END:
            return False
    return False


def no_legs(situation: ParseContext) -> Suggestion | None:
    """`tensor A` and then the next statement."""
    if situation.symbols[-1:] != ("NAME",) or "LPAR" not in situation.expected:
        return None
    kind = situation.symbols[-2] if len(situation.symbols) > 1 else ""
    if kind not in LEGS or "PLUS" in situation.expected:
        return None
    name = situation.source.text[situation.starts[-1] :].split(maxsplit=1)[0]
    word = re.match(r"\w+", name)
    name = word.group() if word else "A"
    return Suggestion(
        f"`{kind.lower()} {name}` has no legs",
        "expected `(` and its legs before this",
        f"name its legs in order: `{kind.lower()} {name}(i, j)`; `()` for a single number",
    )


def not_a_leg(situation: ParseContext) -> Suggestion | None:
    """A string, a number or arithmetic where a leg stands: `A("io")`, `A(i, 3)`, `A(i + 1)`."""
    if situation.statement not in LEGS or situation.block != "network":
        return None
    if situation.symbols[-1:] == ("INIT",) or "FROZEN" in situation.expected:
        return None
    found = situation.text
    if situation.terminal == "STRING" and "DOTS" in situation.expected:
        letters = ", ".join(c for c in found if c.isalpha()) or "i, j"
        return Suggestion(
            "legs are names, not a string",
            "expected the name of an index",
            f"write `{situation.statement.lower()} A({letters})`",
        )
    if situation.terminal == "NUMBER" and _legs_expected(situation):
        return Suggestion(
            "a leg is the name of an index, not a number",
            "a size stands where the index is declared",
            f"declare `index {_free(situation)} = {found}` before, and write the name here",
        )
    if situation.terminal == "COLON" and "COMMA" in situation.expected:
        return Suggestion(
            "a leg has no size of its own",
            "a size stands where the index is declared",
            "declare its size before, as in `index i = 4`, and write the name alone",
        )
    if situation.terminal in ("PLUS", "MINUS") and {"OPTIONAL", "DOTS"} & set(situation.expected):
        return Suggestion(
            "there is no arithmetic with legs",
            "expected the name of an index",
            "`b[k + 1]` is the next member of a family; a stride or a shift is a `window`",
        )
    return None


def _free(situation: ParseContext) -> str:
    """A short name that the text does not have yet."""
    text = situation.source.text
    names = (name for name in "ijklmpqrs" if not re.search(rf"\b{name}\b", text))
    return next(names, "new")


def condition_on_a_leg(situation: ParseContext) -> Suggestion | None:
    """`A[k in 0..n](b[k], o if k == 2)`."""
    if situation.terminal != "IF" or situation.statement not in LEGS:
        return None
    if not {"OPTIONAL", "COMMA"} <= set(situation.expected) or situation.at_statement:
        return None
    return Suggestion(
        "a leg takes no condition",
        "expected `?`, or the next leg",
        "what one member alone has is a family of one: `index o[k in 2..3] = …`, and `o[k]?` here",
        "`?` leaves out the members that there are not",
    )


def member_of_a_declaration(situation: ParseContext) -> Suggestion | None:
    """`index o[2] = 3` and `index o[k in 2] = 3`."""
    if situation.statement not in ("INDEX", "BOND", "HYPER", "TENSOR", "INPUT"):
        return None
    symbols = situation.symbols
    if situation.terminal == "NUMBER" and symbols[-2:] == ("NAME", "LSQB"):
        only, letter = situation.text, "k"
    elif situation.terminal == "RSQB" and "RANGE" in situation.expected:
        before = situation.around(-1)
        only = situation.text_of(before) if before is not None else ""
        letter = situation.word_at(-3)
    else:
        return None
    if not only.isdigit() or len(only) > _MOST_DIGITS or not letter.isidentifier():
        return None
    return Suggestion(
        f"unexpected {shown(situation.text)}",
        "expected a range",
        f"write the range that holds it alone: `[{letter} in {only}..{int(only) + 1}]`",
        "a range is half open: its end is left out",
    )


def _legs_expected(situation: ParseContext) -> bool:
    return {"ONEHOT", "LPAR"} <= set(situation.expected) and "NUMBER" not in situation.expected


def optional_twice(situation: ParseContext) -> Suggestion | None:
    """`b[k]??` and `?b[k]`."""
    if situation.terminal != "OPTIONAL" or situation.statement not in LEGS:
        return None
    if situation.symbols[-1:] == ("OPTIONAL",):
        message, label, hint = "one `?` is enough", "a second one", "delete it"
    elif _legs_expected(situation):
        message, label = "`?` stands after a leg", "expected a leg before it"
        hint = "write `b[k - 1]?`"
    else:
        return None
    return Suggestion(message, label, hint, "`?` says that a leg may be absent, as at an open end")


def slice_of(situation: ParseContext) -> Suggestion | None:
    """`b[0..3]`, `a[1:2]`, `int[0..3]`: a range where one member or item is taken."""
    if situation.terminal not in ("RANGE", "DOTS", "COLON") or "RSQB" not in situation.expected:
        return None
    symbols = situation.symbols
    opened = max(k for k, symbol in enumerate(symbols) if symbol == "LSQB")
    if "IN" in symbols[opened:]:
        return Suggestion(
            "a range has no step",
            "a range is `from..to`",
            "count the steps, `k in 0..n`, and use `2 * k`",
        )
    if symbols[opened - 1] == "leg_name":
        return Suggestion(
            "a leg takes no slice of a family",
            "expected one subscript, or `*`",
            "`b[*]` is all members, `b[0], b[1]` are two of them",
        )
    return Suggestion(
        "a list has no slices",
        "expected the position of one item",
        "write the items: `[a[0], a[1]]`",
    )


def ternary(situation: ParseContext) -> Suggestion | None:
    """`c ? a : b`."""
    if situation.terminal != "OPTIONAL" or "PLUS" not in situation.expected:
        return None
    return Suggestion("a choice is written in words", "", "write `if c then a else b`")


def missing_comma(situation: ParseContext) -> Suggestion | None:
    """Two legs, arguments or items side by side."""
    if "COMMA" not in situation.expected or situation.token.first:
        return None
    if situation.terminal not in ("NAME", "NUMBER", "STRING", "LPAR", "LSQB", "DOTS", "STAR"):
        return None
    closing = {"RPAR", "RSQB"} if situation.at_statement else {"RPAR", "RSQB", "RBRACE"}
    if not closing & set(situation.expected):
        return None
    if situation.symbols[-1:] in (("INT",), ("FLOAT",), ("BOOL",)):
        return None  # `float[n]`
    if situation.symbols[-1] == "NAME" and "ASSIGN" in situation.expected:
        hint = f"write `{situation.word_at(-1)} = …`, or a `,` between two arguments"
        return Suggestion(f"unexpected {shown(situation.text)}", "", hint)
    legs = situation.statement in LEGS
    note = "only the legs of one flattened axis, `(a b)`, do without commas" if legs else None
    before = situation.around(-1)
    if before is not None and situation.text_of(before) == situation.text:
        return Suggestion(
            f"unexpected {shown(situation.text)}", "the same again", "delete it", note
        )
    between = "`,`" if legs or "PLUS" not in situation.expected else "`,` or an operator"
    return Suggestion(f"unexpected {shown(situation.text)}", "", f"put a {between} before it", note)


def late_dots(situation: ParseContext) -> Suggestion | None:
    if situation.terminal != "DOTS":
        return None
    if situation.statement not in LEGS:
        return None
    return Suggestion(
        "unexpected `...`",
        "the dots come first among the legs",
        "write them first: `(..., i)`",
        "`...` stands for any number of leading axes",
    )


def early_star(situation: ParseContext) -> Suggestion | None:
    if situation.symbols[-2:] not in (("star", "COMMA"), ("star", "_commas")):
        return None
    if situation.terminal == "RSQB":
        return None
    return Suggestion(
        f"unexpected {shown(situation.text)}",
        "`*` is the last subscript of a leg",
        "`v[*]` is all members in order, `v[l, *]` those with that first subscript",
    )


# ── imports ──────────────────────────────────────────────────────────────────────────────────────


_DOTTED = re.compile(r"\w+(?:\s*\.\s*\w+)*")


def import_habits(situation: ParseContext) -> Suggestion | None:
    """Imports as other languages write them."""
    symbols = situation.symbols
    if situation.token.first or "IMPORT" not in symbols[-4:]:
        return None
    here = f"unexpected {shown(situation.text)}"
    if situation.text == "as" and symbols[-1] != "IMPORT":
        hint = "use the name it has; `network M = MPO(…)` names an instance of it"
        return Suggestion("an import gives no other name", "", hint)
    if symbols[-1] == "IMPORT":
        dotted = _DOTTED.match(situation.source.text, situation.token.start)
        path = "/".join(re.findall(r"\w+", dotted.group())) if dotted else "file"
        label = "expected the path of a file, in quotes"
        return Suggestion(here, label, f'write `import "{path}.tn"`')
    if symbols[-1] == "STRING" and situation.terminal in ("NAME", "LPAR", "LSQB", "STAR"):
        label = "the names to import stand in braces"
        return Suggestion(here, label, 'write `import "file.tn" { A, B }`')
    if symbols[-1] == "LBRACE" and situation.terminal in ("STAR", "RBRACE"):
        label = "expected the name of a block"
        return Suggestion(
            here, label, "delete the braces: without them all of the file is imported"
        )
    return None


# ── blocks ───────────────────────────────────────────────────────────────────────────────────────


def no_brace(situation: ParseContext) -> Suggestion | None:
    """A block without its `{`."""
    if situation.expected != ("LBRACE",):
        return None
    return Suggestion(
        f"unexpected {shown(situation.text)}",
        "expected `{`",
        "open the block with a `{` before it",
        "what belongs to a block stands in braces",
    )


_DECLARED = re.compile(r"(\w+)\s*\([^()]*\)\s*$")
_NAMED = re.compile(r"=\s*(\w+)")
_LONGEST_HEAD = 1_000
"""Characters before the `=` that are searched for the name that is declared."""


def parameters_of_an_instance(situation: ParseContext) -> Suggestion | None:
    """`network A() = B(…)`."""
    if situation.terminal != "ASSIGN" or "LBRACE" not in situation.expected:
        return None
    if situation.statement not in ("NETWORK", "MODEL"):
        return None
    kind = situation.statement.lower()
    place, text = situation.token.start, situation.source.text
    declared = _DECLARED.search(text, max(0, place - _LONGEST_HEAD), place)
    named = _NAMED.match(text, place)
    if declared and named and declared[1] == named[1]:
        return Suggestion(
            f"`{named[1]}` cannot be an instance of itself",
            "expected `{`",
            f"write what it is made of in braces, `{kind} {named[1]}(…) {{ … }}`",
            "a named instance is another block with all its arguments",
        )
    return Suggestion(
        "a named instance has no parameters",
        "expected `{`",
        f"delete the parentheses: `{kind} NAME = OTHER(…)`",
        "a named instance is another block with all its arguments",
    )


def no_parameters(situation: ParseContext) -> Suggestion | None:
    if situation.terminal != "LBRACE" or situation.statement not in ("NETWORK", "MODEL"):
        return None
    if situation.symbols[-2:] not in (("NETWORK", "NAME"), ("MODEL", "NAME")):
        return None
    return Suggestion(
        "the parameters are missing",
        "expected `(`",
        "write `()` before the brace where there are none",
    )


def nested_block(situation: ParseContext) -> Suggestion:
    """A block or an import between the braces of a block."""
    if situation.terminal == "IMPORT":
        return Suggestion(
            "imports stand outside of blocks",
            f"this is inside of a {situation.block}",
            "move it to the top of the file",
            "what is imported is known in the whole file",
        )
    return Suggestion(
        "blocks do not nest",
        f"this {situation.text} is inside of a {situation.block}",
        f"move it out of the {situation.block}",
        "a block has no access to another: each stands for itself, at the top of a file",
    )


def stray_doc(situation: ParseContext) -> Suggestion | None:
    if situation.terminal not in ("DOC", "IMPORT"):
        return None
    if situation.terminal == "IMPORT" and situation.symbols[-1:] != ("DOC",):
        return None
    if situation.terminal == "DOC" and "NUMBER" in situation.expected:
        return Suggestion("a doc is no string", hint="strings stand in one pair of double quotes")
    return Suggestion(
        "a doc stands before the block that it describes",
        "nothing to describe" if situation.terminal == "DOC" else "an import has no doc",
        "put it right before `network`, `model` or `rewrite`, or make it a `#` comment",
    )


def stray_brace(situation: ParseContext) -> Suggestion | None:
    if situation.terminal not in ("RBRACE", "RPAR", "RSQB"):
        return None
    round_ones = [symbol for symbol, _ in situation.open_brackets if symbol != "LBRACE"]
    if round_ones or (situation.terminal == "RBRACE" and situation.open_brackets):
        return None
    return Suggestion(f"unexpected {shown(situation.text)}", "nothing is open here", "delete it")
