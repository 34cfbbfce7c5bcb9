"""Mistakes that anybody makes: brackets, commas and the order of things.

Each function looks at where the parser stands, and gives a suggestion or None.
"""

from __future__ import annotations

import re

from tncompile.language.parsing.errors.context import ParseContext
from tncompile.language.parsing.errors.messages import Suggestion
from tncompile.language.parsing.tables import END
from tncompile.language.syntax.source import Span

_MOST_DIGITS = 6
LEGS = ("TENSOR", "INPUT", "BIAS", "OUTPUT")

# ── legs and lists ───────────────────────────────────────────────────────────────────────────────


def square_brackets(context: ParseContext) -> Suggestion | None:
    """`tensor A[i, o]`: square brackets around legs, also after the range of a family."""
    symbols = context.symbols
    if context.terminal == "LSQB" and symbols[-1:] == ("RSQB",) and context.expects("LPAR"):
        return Suggestion(
            "legs stand in parentheses",
            "after the range of a family come its legs",
            "write `(` and `)` around the legs: `G[k in 0..n](b[k], i[k])`",
        )
    if context.terminal == "LSQB" and context.statement in ("BIAS", "OUTPUT"):
        if symbols[-1] != "NAME":
            return None
        opening = context.position
    else:
        depth = next((d for d in (1, 2) if len(symbols) > d and symbols[-d] == "LSQB"), 0)
        if not depth or symbols[-1] == "IN":
            return None
        if symbols[-depth - 2 : -depth] not in (("TENSOR", "NAME"), ("INPUT", "NAME")):
            return None
        start = context.starts[-depth]
        opening = next(k for k, token in enumerate(context.tokens) if token.start == start)
    if _legs_after_bracket(context, opening):
        family = context.statement in ("TENSOR", "INPUT")
        return Suggestion(
            "a family needs a range" if family else "",
            "expected `in`" if family else "no family here",
            "say over which values it runs: `G[k in 0..n](…)`",
        )
    token = context.tokens[opening]
    return Suggestion(
        "legs stand in parentheses",
        "square brackets declare a family, as in `G[k in 0..n](…)`",
        "write `(` and `)` around the legs",
        place=Span(context.source, token.start, token.start + 1),
    )


def _legs_after_bracket(context: ParseContext, opening: int) -> bool:
    """Whether the bracket at token `opening` is closed and `(` comes next."""
    depth = 0
    for k, token in enumerate(context.tokens[opening:], start=opening):
        if token.kind in ("LSQB", "LPAR"):
            depth += 1
        elif token.kind in ("RSQB", "RPAR"):
            depth -= 1
            if depth == 0:
                return context.tokens[k + 1].kind == "LPAR"
        elif token.kind == END:
            break
    return False


def no_legs(context: ParseContext) -> Suggestion | None:
    """`tensor A` and then the next statement."""
    kind, name = ("", *context.symbols)[-2:] if context.symbols else ("", "")
    if name != "NAME" or kind not in LEGS or not context.expects("LPAR") or context.expects("PLUS"):
        return None
    word = re.compile(r"\w+").match(context.source.text, context.starts[-1])
    declared = f"{kind.lower()} {word[0] if word else 'A'}"
    return Suggestion(
        f"`{declared}` has no legs",
        "expected `(` and its legs before this",
        f"name its legs in order: `{declared}(i, j)`; `()` for a single number",
    )


def not_a_leg(context: ParseContext) -> Suggestion | None:
    """A string, a number or arithmetic where a leg stands: `A("io")`, `A(i, 3)`, `A(i + 1)`."""
    if context.statement not in LEGS or context.block != "network":
        return None
    if context.symbols[-1:] == ("INIT",) or context.expects("FROZEN"):
        return None
    if context.terminal == "STRING" and context.expects("DOTS"):
        letters = ", ".join(c for c in context.text if c.isalpha()) or "i, j"
        return Suggestion(
            "legs are names, not a string",
            "expected the name of an index",
            f"write `{context.statement.lower()} A({letters})`",
        )
    if context.terminal == "NUMBER" and _legs_expected(context):
        return Suggestion(
            "a leg is the name of an index, not a number",
            "a size stands where the index is declared",
            f"declare `index {_new_name(context)} = {context.text}` before, "
            "and write the name here",
        )
    if context.terminal == "COLON" and context.expects("COMMA"):
        return Suggestion(
            "a leg has no size of its own",
            "a size stands where the index is declared",
            "declare its size before, as in `index i = 4`, and write the name alone",
        )
    after_a_leg = context.expects("OPTIONAL") or context.expects("DOTS")
    if context.terminal in ("PLUS", "MINUS") and after_a_leg:
        return Suggestion(
            "there is no arithmetic with legs",
            "expected the name of an index",
            "`b[k + 1]` is the next member of a family; a stride or a shift is a `window`",
        )
    return None


def _new_name(context: ParseContext) -> str:
    """A short name that the text does not have yet."""
    text = context.source.text
    names = (name for name in "ijklmpqrs" if not re.search(rf"\b{name}\b", text))
    return next(names, "new")


def condition_on_a_leg(context: ParseContext) -> Suggestion | None:
    """`A[k in 0..n](b[k], o if k == 2)`."""
    if context.terminal != "IF" or context.statement not in LEGS:
        return None
    if not context.expects("OPTIONAL", "COMMA") or context.at_statement:
        return None
    return Suggestion(
        "a leg takes no condition",
        "expected `?`, or the next leg",
        "what one member alone has is a family of one: `index o[k in 2..3] = …`, and `o[k]?` here",
        "`?` leaves out the members that there are not",
    )


def member_of_a_declaration(context: ParseContext) -> Suggestion | None:
    """`index o[2] = 3` and `index o[k in 2] = 3`."""
    if context.statement not in ("INDEX", "BOND", "HYPER", "TENSOR", "INPUT"):
        return None
    if context.terminal == "NUMBER" and context.symbols[-2:] == ("NAME", "LSQB"):
        member, variable = context.text, "k"
    elif context.terminal == "RSQB" and context.expects("RANGE"):
        before = context.around(-1)
        member = context.text_of(before) if before is not None else ""
        variable = context.word_at(-3)
    else:
        return None
    if not member.isdigit() or len(member) > _MOST_DIGITS or not variable.isidentifier():
        return None
    return Suggestion(
        context.unexpected,
        "expected a range",
        f"write the range that holds it alone: `[{variable} in {member}..{int(member) + 1}]`",
        "a range is half open: its end is left out",
    )


def _legs_expected(context: ParseContext) -> bool:
    return context.expects("ONEHOT", "LPAR") and not context.expects("NUMBER")


def optional_twice(context: ParseContext) -> Suggestion | None:
    """`b[k]??` and `?b[k]`."""
    if context.terminal != "OPTIONAL" or context.statement not in LEGS:
        return None
    note = "`?` says that a leg may be absent, as at an open end"
    if context.symbols[-1:] == ("OPTIONAL",):
        return Suggestion("one `?` is enough", "a second one", "delete it", note)
    if _legs_expected(context):
        label = "expected a leg before it"
        return Suggestion("`?` stands after a leg", label, "write `b[k - 1]?`", note)
    return None


def slice_of(context: ParseContext) -> Suggestion | None:
    """`b[0..3]`, `a[1:2]`, `int[0..3]`: a range where one member or item is taken."""
    if context.terminal not in ("RANGE", "DOTS", "COLON") or not context.expects("RSQB"):
        return None
    symbols = context.symbols
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
    label = "expected the position of one item"
    return Suggestion("a list has no slices", label, "write the items: `[a[0], a[1]]`")


def ternary(context: ParseContext) -> Suggestion | None:
    """`c ? a : b`."""
    if context.terminal != "OPTIONAL" or not context.expects("PLUS"):
        return None
    return Suggestion("a choice is written in words", "", "write `if c then a else b`")


def missing_comma(context: ParseContext) -> Suggestion | None:
    """Two legs, arguments or items side by side."""
    if not context.expects("COMMA") or context.token.first:
        return None
    if context.terminal not in ("NAME", "NUMBER", "STRING", "LPAR", "LSQB", "DOTS", "STAR"):
        return None
    closing = ("RPAR", "RSQB") if context.at_statement else ("RPAR", "RSQB", "RBRACE")
    if not any(terminal in context.expected for terminal in closing):
        return None
    if context.symbols[-1] in ("INT", "FLOAT", "BOOL"):
        return None  # `float[n]`
    if context.symbols[-1] == "NAME" and context.expects("ASSIGN"):
        hint = f"write `{context.word_at(-1)} = …`, or a `,` between two arguments"
        return Suggestion(context.unexpected, "", hint)
    legs = context.statement in LEGS
    note = "only the legs of one flattened axis, `(a b)`, do without commas" if legs else None
    before = context.around(-1)
    if before is not None and context.text_of(before) == context.text:
        return Suggestion(context.unexpected, "the same again", "delete it", note)
    between = "`,`" if legs or not context.expects("PLUS") else "`,` or an operator"
    return Suggestion(context.unexpected, "", f"put a {between} before it", note)


def late_dots(context: ParseContext) -> Suggestion | None:
    """`x(i, ...)`."""
    if context.terminal != "DOTS" or context.statement not in LEGS:
        return None
    return Suggestion(
        "unexpected `...`",
        "the dots come first among the legs",
        "write them first: `(..., i)`",
        "`...` stands for any number of leading axes",
    )


def early_star(context: ParseContext) -> Suggestion | None:
    """`v[*, l]`."""
    after_star = context.symbols[-2:] in (("star", "COMMA"), ("star", "_commas"))
    if not after_star or context.terminal == "RSQB":
        return None
    return Suggestion(
        context.unexpected,
        "`*` is the last subscript of a leg",
        "`v[*]` is all members in order, `v[l, *]` those with that first subscript",
    )


# ── blocks and imports ───────────────────────────────────────────────────────────────────────────


_DOTTED = re.compile(r"\w+(?:\s*\.\s*\w+)*")


def foreign_import(context: ParseContext) -> Suggestion | None:
    """Imports as other languages write them."""
    symbols = context.symbols
    if context.token.first or "IMPORT" not in symbols[-4:]:
        return None
    if context.text == "as" and symbols[-1] != "IMPORT":
        hint = "use the name it has; `network M = MPO(…)` names an instance of it"
        return Suggestion("an import gives no other name", "", hint)
    if symbols[-1] == "IMPORT":
        dotted = _DOTTED.match(context.source.text, context.token.start)
        path = "/".join(re.findall(r"\w+", dotted.group())) if dotted else "file"
        label = "expected the path of a file, in quotes"
        return Suggestion(context.unexpected, label, f'write `import "{path}.tn"`')
    if symbols[-1] == "STRING" and context.terminal in ("NAME", "LPAR", "LSQB", "STAR"):
        label = "the names to import stand in braces"
        return Suggestion(context.unexpected, label, 'write `import "file.tn" { A, B }`')
    if symbols[-1] == "LBRACE" and context.terminal in ("STAR", "RBRACE"):
        hint = "delete the braces: without them all of the file is imported"
        return Suggestion(context.unexpected, "expected the name of a block", hint)
    return None


def no_brace(context: ParseContext) -> Suggestion | None:
    """A block without its `{`."""
    if context.expected != ("LBRACE",):
        return None
    return Suggestion(
        context.unexpected,
        "expected `{`",
        "open the block with a `{` before it",
        "what belongs to a block stands in braces",
    )


_DECLARED = re.compile(r"(\w+)\s*\([^()]*\)\s*$")
_TARGET = re.compile(r"=\s*(\w+)")
_LONGEST_HEAD = 1_000
"""Characters before the `=` that are searched for the name that is declared."""


def parameters_of_an_instance(context: ParseContext) -> Suggestion | None:
    """`network A() = B(…)`."""
    if context.terminal != "ASSIGN" or not context.expects("LBRACE"):
        return None
    if context.statement not in ("NETWORK", "MODEL"):
        return None
    kind = context.statement.lower()
    place, text = context.token.start, context.source.text
    declared = _DECLARED.search(text, max(0, place - _LONGEST_HEAD), place)
    target = _TARGET.match(text, place)
    if declared and target and declared[1] == target[1]:
        message = f"`{target[1]}` cannot be an instance of itself"
        hint = f"write what it is made of in braces, `{kind} {target[1]}(…) {{ … }}`"
    else:
        message = "a named instance has no parameters"
        hint = f"delete the parentheses: `{kind} NAME = OTHER(…)`"
    note = "a named instance is another block with all its arguments"
    return Suggestion(message, "expected `{`", hint, note)


def no_parameters(context: ParseContext) -> Suggestion | None:
    """`network N { … }`."""
    if context.terminal != "LBRACE" or context.statement not in ("NETWORK", "MODEL"):
        return None
    if context.symbols[-2:] not in (("NETWORK", "NAME"), ("MODEL", "NAME")):
        return None
    hint = "write `()` before the brace where there are none"
    return Suggestion("the parameters are missing", "expected `(`", hint)


def nested_block(context: ParseContext) -> Suggestion:
    """A block or an import between the braces of a block."""
    if context.terminal == "IMPORT":
        return Suggestion(
            "imports stand outside of blocks",
            f"this is inside of a {context.block}",
            "move it to the top of the file",
            "what is imported is known in the whole file",
        )
    return Suggestion(
        "blocks do not nest",
        f"this {context.text} is inside of a {context.block}",
        f"move it out of the {context.block}",
        "a block has no access to another: each stands for itself, at the top of a file",
    )


def stray_doc(context: ParseContext) -> Suggestion | None:
    """A doc that no block follows."""
    doc = context.terminal == "DOC"
    if not doc and (context.terminal != "IMPORT" or context.symbols[-1:] != ("DOC",)):
        return None
    if doc and context.expects("NUMBER"):
        return Suggestion("a doc is no string", hint="strings stand in one pair of double quotes")
    return Suggestion(
        "a doc stands before the block that it describes",
        "nothing to describe" if doc else "an import has no doc",
        "put it right before `network`, `model` or `rewrite`, or make it a `#` comment",
    )


def stray_brace(context: ParseContext) -> Suggestion | None:
    """A closing bracket where none is open."""
    if context.terminal not in ("RBRACE", "RPAR", "RSQB"):
        return None
    opened = [symbol for symbol, _ in context.open_brackets]
    if any(symbol != "LBRACE" for symbol in opened) or (context.terminal == "RBRACE" and opened):
        return None
    return Suggestion(context.unexpected, "nothing is open here", "delete it")
