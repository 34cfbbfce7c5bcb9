"""Mistakes that anybody makes: brackets, commas and the order of things.

Each function yields suggestions for the mistakes that fit where the parser stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tncompile.language.parsing.errors.context import ParseContext
from tncompile.language.parsing.errors.messages import Suggestion
from tncompile.language.parsing.tables import END

LEGS = ("TENSOR", "INPUT", "BIAS", "OUTPUT")
_MOST_DIGITS = 6
_DOTTED = re.compile(r"\w+(?:\s*\.\s*\w+)*")
_DECLARED = re.compile(r"(\w+)\s*\([^()]*\)\s*$")
_TARGET = re.compile(r"=\s*(\w+)")
_LONGEST_HEAD = 1_000
"""Characters before the `=` that are searched for the name that is declared."""

# ── legs and lists ───────────────────────────────────────────────────────────────────────────────


def member_of_a_declaration(context: ParseContext) -> Iterator[Suggestion]:
    """`index o[2] = 3` and `index o[k in 2] = 3`."""
    if context.statement not in ("INDEX", "BOND", "HYPER", "WINDOW", "TENSOR", "INPUT"):
        return
    if context.terminal == "NUMBER" and context.symbols[-2:] == ("NAME", "LSQB"):
        member, variable = context.text, "k"
    elif context.terminal == "RSQB" and context.expects("RANGE"):
        member, variable = context.at(-1).text, context.word_at(-3)
    else:
        return
    if member.isdigit() and len(member) <= _MOST_DIGITS and variable.isidentifier():
        hint = f"write the range that holds it alone: `[{variable} in {member}..{int(member) + 1}]`"
        note = "a range is half open: its end is left out"
        yield Suggestion("", "expected a range", hint, note)


def condition_of_a_window(context: ParseContext) -> Iterator[Suggestion]:
    """`window h = conv(size = 3) if d > 3`."""
    if context.terminal != "IF" or not context.at_statement:
        return
    label = "expected the next statement"
    if context.statement == "WINDOW":
        hint = "declare a family, of no members where there is none: `h[a in 0..n]`"
        note = "`h[*].in`, `h[*].kernel` and `h[*].out` are no legs then"
        yield Suggestion("a window takes no condition", label, hint, note)


def square_brackets(context: ParseContext) -> Iterator[Suggestion]:
    """`tensor A[i, o]`: square brackets around legs, also after the range of a family."""
    symbols = context.symbols
    message = "legs stand in parentheses"
    if context.terminal == "LSQB" and symbols[-1:] == ("RSQB",) and context.expects("LPAR"):
        hint = "write `(` and `)` around the legs: `G[k in 0..n](b[k], i[k])`"
        yield Suggestion(message, "after the range of a family come its legs", hint)
    if context.terminal == "LSQB" and context.statement in ("BIAS", "OUTPUT"):
        if symbols[-1] != "NAME":
            return
        opening = context.position
    else:
        depth = next((d for d in (1, 2) if len(symbols) > d and symbols[-d] == "LSQB"), 0)
        if not depth or symbols[-1] == "IN":
            return
        if symbols[-depth - 2 : -depth] not in (("TENSOR", "NAME"), ("INPUT", "NAME")):
            return
        start = context.starts[-depth]
        opening = next(k for k, token in enumerate(context.tokens) if token.span.start == start)
    if _legs_after_bracket(context, opening):
        family = context.statement in ("TENSOR", "INPUT")
        yield Suggestion(
            "a family needs a range" if family else "",
            "expected `in`" if family else "no family here",
            "say over which values it runs: `G[k in 0..n](…)`",
        )
    place = context.tokens[opening].span
    label = "square brackets declare a family, as in `G[k in 0..n](…)`"
    yield Suggestion(message, label, "write `(` and `)` around the legs", place=place)


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


def no_legs(context: ParseContext) -> Iterator[Suggestion]:
    """`tensor A` and then the next statement."""
    kind, name = ("", "", *context.symbols)[-2:]
    if name == "NAME" and kind in LEGS and context.expects("LPAR") and not context.expects("PLUS"):
        word = re.compile(r"\w+").match(context.source.text, context.starts[-1])
        declared = f"{kind.lower()} {word[0] if word else 'A'}"
        hint = f"name its legs in order: `{declared}(i, j)`; `()` for a single number"
        yield Suggestion(f"`{declared}` has no legs", "expected `(` and its legs before this", hint)


def not_a_leg(context: ParseContext) -> Iterator[Suggestion]:
    """A string, a number or arithmetic where a leg stands: `A("io")`, `A(i, 3)`, `A(i + 1)`."""
    if context.statement not in LEGS or context.block != "network":
        return
    if context.symbols[-1:] == ("INIT",) or context.expects("FROZEN"):
        return
    if context.terminal == "STRING" and context.expects("DOTS"):
        letters = ", ".join(c for c in context.text if c.isalpha()) or "i, j"
        hint = f"write `{context.statement.lower()} A({letters})`"
        yield Suggestion("legs are names, not a string", "expected the name of an index", hint)
    elsewhere = "a size stands where the index is declared"
    if context.terminal == "NUMBER" and _legs_expected(context):
        text = context.source.text
        unused = (name for name in "ijklmpqrs" if not re.search(rf"\b{name}\b", text))
        index = f"index {next(unused, 'new')} = {context.text}"
        hint = f"declare `{index}` before, and write the name here"
        yield Suggestion("a leg is the name of an index, not a number", elsewhere, hint)
    if context.terminal == "COLON" and context.expects("COMMA"):
        hint = "declare its size before, as in `index i = 4`, and write the name alone"
        yield Suggestion("a leg has no size of its own", elsewhere, hint)
    after_a_leg = context.expects("OPTIONAL") or context.expects("DOTS")
    if context.terminal in ("PLUS", "MINUS") and after_a_leg:
        hint = "`b[k + 1]` is the next member of a family; a stride or a shift is a `window`"
        yield Suggestion("there is no arithmetic with legs", "expected the name of an index", hint)


def _legs_expected(context: ParseContext) -> bool:
    return context.expects("ONEHOT", "LPAR") and not context.expects("NUMBER")


def what_a_leg_takes(context: ParseContext) -> Iterator[Suggestion]:
    """`b[k]??` and `?b[k]`, or a condition: `A[k in 0..n](b[k], o if k == 2)`."""
    if context.statement not in LEGS:
        return
    in_legs = context.expects("OPTIONAL", "COMMA") and not context.at_statement
    if context.terminal == "IF" and in_legs:
        family = "what one member alone has is a family of one"
        hint = f"{family}: `index o[k in 2..3] = …`, and `o[k]?` here"
        note = "`?` leaves out the members that there are not"
        yield Suggestion("a leg takes no condition", "expected `?`, or the next leg", hint, note)
    if context.terminal == "OPTIONAL":
        note = "`?` says that a leg may be absent, as at an open end"
        if context.symbols[-1:] == ("OPTIONAL",):
            yield Suggestion("one `?` is enough", "a second one", "delete it", note)
        if _legs_expected(context):
            label = "expected a leg before it"
            yield Suggestion("`?` stands after a leg", label, "write `b[k - 1]?`", note)


def slice_of(context: ParseContext) -> Iterator[Suggestion]:
    """`b[0..3]`, `a[1:2]`, `int[0..3]`: a range where one member or item is taken."""
    if context.terminal not in ("RANGE", "DOTS", "COLON") or not context.expects("RSQB"):
        return
    symbols = context.symbols
    opened = max(k for k, symbol in enumerate(symbols) if symbol == "LSQB")
    if "IN" in symbols[opened:]:
        hint = "count the steps, `k in 0..n`, and use `2 * k`"
        yield Suggestion("a range has no step", "a range is `from..to`", hint)
    if symbols[opened - 1] == "leg_name":
        hint = "`b[*]` is all members, `b[0], b[1]` are two of them"
        label = "expected one subscript, or `*`"
        yield Suggestion("a leg takes no slice of a family", label, hint)
    label = "expected the position of one item"
    yield Suggestion("a list has no slices", label, "write the items: `[a[0], a[1]]`")


def dots_and_star(context: ParseContext) -> Iterator[Suggestion]:
    """`x(i, ...)` and `v[*, l]`."""
    if context.terminal == "DOTS" and context.statement in LEGS:
        note = "`...` stands for any number of leading axes"
        label = "the dots come first among the legs"
        yield Suggestion("", label, "write them first: `(..., i)`", note)
    after_star = context.symbols[-2:] in (("star", "COMMA"), ("star", "_commas"))
    if after_star and context.terminal != "RSQB":
        hint = "`v[*]` is all members in order, `v[l, *]` those with that first subscript"
        yield Suggestion("", "`*` is the last subscript of a leg", hint)


def missing_comma(context: ParseContext) -> Iterator[Suggestion]:
    """Two legs, arguments or items side by side."""
    if not context.expects("COMMA") or context.token.first:
        return
    if context.terminal not in ("NAME", "NUMBER", "STRING", "LPAR", "LSQB", "DOTS", "STAR"):
        return
    closing = ("RPAR", "RSQB") if context.at_statement else ("RPAR", "RSQB", "RBRACE")
    if not any(terminal in context.expected for terminal in closing):
        return
    if context.symbols[-1] in ("INT", "FLOAT", "BOOL"):
        return  # `float[n]`
    if context.symbols[-1] == "NAME" and context.expects("ASSIGN"):
        yield Suggestion(hint=f"write `{context.word_at(-1)} = …`, or a `,` between two arguments")
    legs = context.statement in LEGS
    note = "only the legs of one flattened axis, `(a b)`, do without commas" if legs else None
    if context.at(-1).text == context.text:
        yield Suggestion("", "the same again", "delete it", note)
    between = "`,`" if legs or not context.expects("PLUS") else "`,` or an operator"
    yield Suggestion("", "", f"put a {between} before it", note)


# ── blocks and imports ───────────────────────────────────────────────────────────────────────────


def foreign_import(context: ParseContext) -> Iterator[Suggestion]:
    """Imports as other languages write them."""
    if context.token.first or "IMPORT" not in context.symbols[-4:]:
        return
    last = context.symbols[-1]
    if context.text == "as" and last != "IMPORT":
        hint = "use the name it has; `network M = MPO(…)` names an instance of it"
        yield Suggestion("an import gives no other name", "", hint)
    if last == "IMPORT":
        dotted = _DOTTED.match(context.source.text, context.token.span.start)
        path = "/".join(re.findall(r"\w+", dotted.group())) if dotted else "file"
        hint = f'write `import "{path}.tn"`'
        yield Suggestion("", "expected the path of a file, in quotes", hint)
    if last == "STRING" and context.terminal in ("NAME", "LPAR", "LSQB", "STAR"):
        label = "the names to import stand in braces"
        yield Suggestion("", label, 'write `import "file.tn" { A, B }`')
    if last == "LBRACE" and context.terminal in ("STAR", "RBRACE"):
        hint = "delete the braces: without them all of the file is imported"
        yield Suggestion("", "expected the name of a block", hint)


def heads_of_blocks(context: ParseContext) -> Iterator[Suggestion]:
    """`network A() = B(…)`, `network N { … }`, and a block without its `{`."""
    block = context.statement in ("NETWORK", "MODEL")
    if context.terminal == "ASSIGN" and context.expects("LBRACE") and block:
        kind = context.statement.lower()
        place, text = context.token.span.start, context.source.text
        declared = _DECLARED.search(text, max(0, place - _LONGEST_HEAD), place)
        target = _TARGET.match(text, place)
        if declared and target and declared[1] == target[1]:
            message = f"`{target[1]}` cannot be an instance of itself"
            hint = f"write what it is made of in braces, `{kind} {target[1]}(…) {{ … }}`"
        else:
            message = "a named instance has no parameters"
            hint = f"delete the parentheses: `{kind} NAME = OTHER(…)`"
        note = "a named instance is another block with all its arguments"
        yield Suggestion(message, "expected `{`", hint, note)
    named = context.symbols[-2:] in (("NETWORK", "NAME"), ("MODEL", "NAME"))
    if context.terminal == "LBRACE" and named:
        hint = "write `()` before the brace where there are none"
        yield Suggestion("the parameters are missing", "expected `(`", hint)
    if context.expected == ("LBRACE",):
        note = "what belongs to a block stands in braces"
        yield Suggestion("", "expected `{`", "open the block with a `{` before it", note)


def nested_block(context: ParseContext) -> Suggestion:
    """A block or an import between the braces of a block."""
    inside = f"is inside of a {context.block}"
    if context.terminal == "IMPORT":
        hint, note = "move it to the top of the file", "what is imported is known in the whole file"
        return Suggestion("imports stand outside of blocks", f"this {inside}", hint, note)
    hint = f"move it out of the {context.block}"
    note = "a block has no access to another: each stands for itself, at the top of a file"
    return Suggestion("blocks do not nest", f"this {context.text} {inside}", hint, note)


def strays(context: ParseContext) -> Iterator[Suggestion]:
    """A doc that no block follows, and a closing bracket where none is open."""
    doc = context.terminal == "DOC"
    if doc and context.expects("NUMBER"):
        yield Suggestion("a doc is no string", hint="strings stand in one pair of double quotes")
    if doc or (context.terminal == "IMPORT" and context.symbols[-1:] == ("DOC",)):
        message = "a doc stands before the block that it describes"
        label = "nothing to describe" if doc else "an import has no doc"
        hint = "put it right before `network`, `model` or `rewrite`, or make it a `#` comment"
        yield Suggestion(message, label, hint)
    brackets = [symbol for symbol, _ in context.open_brackets if symbol != "LBRACE"]
    braces = context.terminal == "RBRACE" and context.open_brackets
    if context.terminal in ("RBRACE", "RPAR", "RSQB") and not brackets and not braces:
        yield Suggestion("", "nothing is open here", "delete it")
