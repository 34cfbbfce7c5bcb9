"""Slips that are recognized: brackets, commas and the order of things.

Each is a function from the situation to its advice, or None.
"""

from __future__ import annotations

import re

from tncompile.language.parsing.messages import Advice, shown
from tncompile.language.parsing.situation import Situation
from tncompile.language.parsing.tables import END
from tncompile.language.source import Span

# ── legs and lists ───────────────────────────────────────────────────────────────────────────────


def square_brackets(situation: Situation) -> Advice | None:
    """`tensor A[i, o]`: square brackets around legs."""
    symbols = situation.symbols
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
        return Advice(
            "a family needs a range" if situation.statement in ("TENSOR", "INPUT") else "",
            "expected `in`" if situation.statement in ("TENSOR", "INPUT") else "no family here",
            "say over which values it runs: `G[k in 0..n](…)`",
        )
    return Advice(
        "legs stand in parentheses",
        "square brackets declare a family, as in `G[k in 0..n](…)`",
        "write `(` and `)` around the legs",
        place=place,
    )


def _followed_by_parenthesis(situation: Situation, opening: int) -> bool:
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


def no_legs(situation: Situation) -> Advice | None:
    """`tensor A` and then the next statement."""
    if situation.symbols[-1:] != ("NAME",) or "LPAR" not in situation.expected:
        return None
    kind = situation.symbols[-2] if len(situation.symbols) > 1 else ""
    if kind not in ("TENSOR", "INPUT", "BIAS", "OUTPUT") or "PLUS" in situation.expected:
        return None
    name = situation.source.text[situation.starts[-1] :].split(maxsplit=1)[0]
    word = re.match(r"\w+", name)
    name = word.group() if word else "A"
    return Advice(
        f"`{kind.lower()} {name}` has no legs",
        "expected `(` and its legs before this",
        f"name its legs in order: `{kind.lower()} {name}(i, j)`; `()` for a single number",
    )


def missing_comma(situation: Situation) -> Advice | None:
    """Two legs, arguments or items side by side."""
    if "COMMA" not in situation.expected or situation.token.first:
        return None
    if situation.terminal not in ("NAME", "NUMBER", "STRING", "LPAR", "LSQB", "DOTS", "STAR"):
        return None
    if not {"RPAR", "RSQB"} & set(situation.expected):
        return None
    legs = situation.statement in ("TENSOR", "INPUT", "BIAS", "OUTPUT")
    note = "only the legs of one flattened axis, `(a b)`, do without commas" if legs else None
    return Advice(f"unexpected {shown(situation.text)}", "", "put a `,` before it", note)


def late_dots(situation: Situation) -> Advice | None:
    if situation.terminal != "DOTS":
        return None
    if situation.statement not in ("TENSOR", "INPUT", "BIAS", "OUTPUT"):
        return None
    return Advice(
        "unexpected `...`",
        "the dots come first among the legs",
        "write them first: `(..., i)`",
        "`...` stands for any number of leading axes",
    )


def early_star(situation: Situation) -> Advice | None:
    if situation.symbols[-2:] not in (("star", "COMMA"), ("star", "_commas")):
        return None
    if situation.terminal == "RSQB":
        return None
    return Advice(
        f"unexpected {shown(situation.text)}",
        "`*` is the last subscript of a leg",
        "`v[*]` is all members in order, `v[l, *]` those with that first subscript",
    )


# ── blocks ───────────────────────────────────────────────────────────────────────────────────────


def no_parameters(situation: Situation) -> Advice | None:
    if situation.terminal != "LBRACE" or situation.statement not in ("NETWORK", "MODEL"):
        return None
    if "LPAR" not in situation.expected:
        return None
    return Advice(
        "the parameters are missing",
        "expected `(`",
        "write `()` before the brace where there are none",
    )


def nested_block(situation: Situation) -> Advice:
    """A block or an import between the braces of a block."""
    if situation.terminal == "IMPORT":
        return Advice(
            "imports stand outside of blocks",
            f"this is inside of a {situation.block}",
            "move it to the top of the file",
            "what is imported is known in the whole file",
        )
    return Advice(
        "blocks do not nest",
        f"this {situation.text} is inside of a {situation.block}",
        f"move it out of the {situation.block}",
        "a block has no access to another: each stands for itself, at the top of a file",
    )


def stray_doc(situation: Situation) -> Advice | None:
    if situation.terminal not in ("DOC", "IMPORT"):
        return None
    if situation.terminal == "IMPORT" and situation.symbols[-1:] != ("DOC",):
        return None
    if situation.terminal == "DOC" and "NUMBER" in situation.expected:
        return Advice("a doc is no string", hint="strings stand in one pair of double quotes")
    return Advice(
        "a doc stands before the block that it describes",
        "nothing to describe" if situation.terminal == "DOC" else "an import has no doc",
        "put it right before `network`, `model` or `rewrite`, or make it a `#` comment",
    )


def stray_brace(situation: Situation) -> Advice | None:
    if situation.terminal not in ("RBRACE", "RPAR", "RSQB"):
        return None
    round_ones = [symbol for symbol, _ in situation.open_brackets if symbol != "LBRACE"]
    if round_ones or (situation.terminal == "RBRACE" and situation.open_brackets):
        return None
    return Advice(f"unexpected {shown(situation.text)}", "nothing is open here", "delete it")
