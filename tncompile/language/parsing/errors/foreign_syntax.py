"""Mistakes that are recognized: habits from elsewhere, and slips with a likely cause.

Each is a function from the situation to its advice, or None; the first one that answers is heard.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tncompile.language.diagnostics.spelling import closest
from tncompile.language.parsing.errors import common_mistakes as slips
from tncompile.language.parsing.errors.context import (
    BLOCK_WORDS,
    MODEL_WORDS,
    NETWORK_WORDS,
    REWRITE_WORDS,
    ParseContext,
)
from tncompile.language.parsing.errors.messages import Suggestion, one_of, shown
from tncompile.language.parsing.lexer import SEMICOLON, WORD
from tncompile.language.parsing.tables import END

_STATEMENTS = {"network": NETWORK_WORDS, "model": MODEL_WORDS, "rewrite": REWRITE_WORDS}
_ATTRIBUTES = ("init", "share", "tie", "frozen", "conj", "log")
_EINSUM = re.compile(r'"[A-Za-z.,\s]*->[A-Za-z.\s]*"')

_FOREIGN_BLOCKS = {
    **dict.fromkeys(("net", "layer", "module", "struct"), "network"),
    **dict.fromkeys(("def", "fn", "func", "function", "class"), "network"),
    **dict.fromkeys(("from", "include", "use", "using"), "import"),
}
_FOREIGN_STATEMENTS = {
    **dict.fromkeys(("dim", "dims", "dimension", "axis", "size", "leg"), "index"),
    **dict.fromkeys(("rank", "edge", "link"), "bond"),
    **dict.fromkeys(("param", "parameter", "weight", "core", "node", "site", "factor"), "tensor"),
    **dict.fromkeys(("var", "const", "val", "int", "float", "bool"), "let"),
    **dict.fromkeys(("return", "result", "yield", "out"), "output"),
    **dict.fromkeys(("assert", "check", "ensure", "raise"), "require"),
    **dict.fromkeys(("arg", "args"), "input"),
}
_WRITTEN = {
    "import": 'import "file.tn" { N }',
    "network": "network N(d: int = 4) { … }",
    "model": "model M(d: int = 4) { … }",
    "rewrite": "rewrite R { … }",
    "index": "index i = size",
    "bond": "bond b = size",
    "hyper": "hyper h = size",
    "batch": "batch n",
    "window": "window h = conv(size = 3)",
    "input": "input x(i)",
    "tensor": "tensor A(i, b)",
    "bias": "bias c(o)",
    "output": "output y(o)",
    "let": "let n = value",
    "require": 'require condition, "reason"',
    "part": "part p = N(d = 4)",
    "linear": 'linear "pattern" -> N()',
    "conv": 'conv "pattern" -> N()',
    "embedding": 'embedding "pattern" -> N()',
    "any": 'any "pattern" -> keep',
}


def recognize(situation: ParseContext) -> Suggestion | None:
    """The advice of the first habit that fits, None where only the grammar can speak."""
    if situation.terminal == END:
        return None
    for habit in _HABITS:
        advice = habit(situation)
        if advice is not None:
            return advice
    return None


# ── from other languages ─────────────────────────────────────────────────────────────────────────


def _semicolon(situation: ParseContext) -> Suggestion | None:
    if situation.terminal != SEMICOLON:
        return None
    return Suggestion(
        "`;` is not part of the language",
        "nothing ends a statement",
        "delete it",
        "every statement begins with a word such as `tensor`, and ends where the next one begins",
    )


def _einsum(situation: ParseContext) -> Suggestion | None:
    texts = [situation.text_of(t) for t in situation.rest_of_line() if t.kind == "STRING"]
    if not any(_EINSUM.fullmatch(text) for text in texts):
        return None
    return Suggestion(
        "tensors are not multiplied by an einsum string",
        "a network is declared, not computed",
        "declare each tensor with its legs: `tensor A(i, r)`; equal names are summed over",
        "`tncompile.from_einsum` turns an einsum string into a network",
    )


def _loop(situation: ParseContext) -> Suggestion | None:
    place = None
    if situation.terminal == "IN" and situation.word_at(-2) == "for":
        token = situation.around(-2)
        place = situation.span_of(token) if token is not None else None
    elif situation.text not in ("for", "while", "foreach"):
        return None
    return Suggestion(
        "there are no loops",
        "a family declares all its members at once",
        "give the name a range: `tensor G[k in 0..n](b[k], i[k])`",
        "a network is declared, not run: the order of its computation is the compiler's",
        place=place,
    )


def _colon(situation: ParseContext) -> Suggestion | None:
    if situation.terminal != "COLON":
        return None
    after_legs = situation.at_statement or "FROZEN" in situation.expected
    if after_legs and situation.block == "network" and situation.statement in slips.LEGS:
        return Suggestion(
            f"a `{situation.statement.lower()}` has no type of its own",
            "its legs say its shape",
            "delete it; a module is made in one type: `module(dtype=torch.complex64)`",
            "numbers have the type that the module is made in, or moved to",
        )
    if "LBRACE" in situation.expected or "LET" in situation.expected:
        return Suggestion(
            "`:` opens no block", "blocks stand in braces", "write `{` here and `}` at the end"
        )
    if "RANGE" in situation.expected:
        return Suggestion("a range is written with two dots", hint="write `0..n`")
    if "ASSIGN" in situation.expected:
        hint = f"a size or a value follows `=`: `{situation.word_at(-1) or 'i'} = 4`"
        return Suggestion("unexpected `:`", hint=hint)
    return None


def _comparison(situation: ParseContext) -> Suggestion | None:
    if situation.terminal == "ASSIGN" and "EQUAL" in situation.expected:
        return Suggestion(
            "`=` does not compare",
            "`=` gives a value to a name",
            "`==` compares: `n == 4`",
        )
    if situation.terminal == "ASSIGN" and "COLON" in situation.expected:
        name = situation.word_at(-1)
        hint = f"say what it is: `{name}: int = …`"
        return Suggestion("the type is missing", "a parameter has a type", hint)
    if situation.terminal == "ASSIGN" and situation.statement in ("TENSOR", "BIAS"):
        return Suggestion(
            f"a `{situation.statement.lower()}` is given no value",
            "it is trained",
            "its legs say its shape, and `init SCHEME` its first values",
        )
    if situation.terminal == "EQUAL" and "ASSIGN" in situation.expected:
        return Suggestion("`==` gives no value", "`==` compares", "write `=`")
    return None


def _arrow(situation: ParseContext) -> Suggestion | None:
    if situation.terminal != "ARROW":
        return None
    return Suggestion(
        "unexpected `->`",
        "an arrow stands in a `rewrite` and after `extern` only",
        "the result of a network is its `output y(legs)`" if situation.block != "rewrite" else None,
    )


def _comment(situation: ParseContext) -> Suggestion | None:
    following = situation.around(1)
    after = following.kind if following is not None else ""
    opens = situation.terminal == "SLASH" and after in ("STAR", "POWER")
    dashes = situation.terminal == after == "MINUS"
    opens = opens or (situation.at_statement and (dashes or situation.terminal == "FLOOR"))
    if not opens:
        return None
    return Suggestion(
        "a comment begins with `#`", hint="write `#` and the text up to the end of the line"
    )


def _python_conditional(situation: ParseContext) -> Suggestion | None:
    if situation.terminal not in ("ELSE", "IF") or "THEN" in situation.expected:
        return None
    if situation.terminal == "IF" and "PLUS" not in situation.expected:
        return Suggestion(
            "unexpected `if`",
            "a choice inside an expression stands in parentheses",
            "write `(if c then a else b)`",
        )
    return Suggestion(
        f"unexpected {shown(situation.text)}",
        "the condition of a choice comes first",
        "write `if c then a else b`",
    )


def _range_function(situation: ParseContext) -> Suggestion | None:
    if "RANGE" not in situation.expected:
        return None
    if situation.terminal in ("DOTS", "COMMA"):
        return Suggestion("a range is written with two dots", hint="write `0..n`")
    words = [situation.word_at(-k) for k in range(1, 8)]
    if "range" in words:
        return Suggestion("a range is written with two dots", hint="write `0..n` for `range(n)`")
    return None


# ── words that are almost right ──────────────────────────────────────────────────────────────────


def _foreign_word(situation: ParseContext) -> Suggestion | None:
    """A word at the start of a block or a statement that is none of the language."""
    if situation.terminal != "NAME" or not situation.at_statement:
        return None
    words = _STATEMENTS.get(situation.block, tuple(BLOCK_WORDS))
    foreign = _FOREIGN_STATEMENTS if situation.block else _FOREIGN_BLOCKS
    text = situation.text
    meant = closest(text, words) or foreign.get(text.lower())
    attribute = closest(text, _ATTRIBUTES) if "FROZEN" in situation.expected else None
    if attribute is not None and closest(text, words) is None:
        return Suggestion(f"unknown word {shown(text)}", hint=f"did you mean `{attribute}`?")
    what = "statement" if situation.block else "block"
    message = f"no {what} begins with {shown(text)}"
    if meant is not None:
        return Suggestion(message, hint=f"did you mean `{meant}`, as in `{_WRITTEN[meant]}`?")
    following = situation.around(1)
    if situation.block and following is not None and following.kind == "ASSIGN":
        return Suggestion(message, hint=f"a value is named by `let {text} = …`")
    known = [f"`{word}`" for word in words]
    return Suggestion(message, hint=f"a {what} begins with {one_of(known)}")


def _misplaced_attribute(situation: ParseContext) -> Suggestion | None:
    """`share k` after something that is no tensor."""
    following = situation.around(1)
    named = following is not None and following.kind == "ASSIGN"
    if situation.text not in _ATTRIBUTES or situation.terminal in situation.expected or named:
        return None
    if not situation.at_statement:
        return None
    message = f"`{situation.text}` does not belong here"
    if situation.text == "log":
        return Suggestion(message, "an attribute of the output", "write `output y(legs) log`")
    return Suggestion(message, "an attribute of tensors", "write it after the legs of a `tensor`")


def _number_before_name(situation: ParseContext) -> Suggestion | None:
    """`3x`."""
    before = situation.around(-1)
    if before is None or before.kind != "NUMBER" or before.end != situation.token.start:
        return None
    if situation.token.kind != WORD:
        return None
    number, word = situation.text_of(before), situation.text
    hint = f"a product is written `{number} * {word}`"
    return Suggestion(f"unexpected {shown(word)}", "a name begins with a letter", hint)


def _bare_point(situation: ParseContext) -> Suggestion | None:
    """`.5` and `1.`."""
    if situation.terminal != "DOT":
        return None
    before, after = situation.around(-1), situation.around(1)
    if after is not None and after.kind == "NUMBER" and "NUMBER" in situation.expected:
        hint = f"write `0.{situation.text_of(after)}`"
    elif before is not None and before.kind == "NUMBER":
        hint = f"write `{situation.text_of(before)}.0`"
    else:
        return None
    return Suggestion("unexpected `.`", "digits stand on both sides of the point", hint)


def _wrong_block(situation: ParseContext) -> Suggestion | None:
    """A statement outside of all blocks, or in a block of another kind."""
    word = situation.text
    if not situation.at_statement or word not in (*NETWORK_WORDS, *MODEL_WORDS):
        return None
    if not situation.block:
        return Suggestion(
            f"`{word}` stands outside of a block",
            hint="statements stand between the braces of `network N(…) { … }`",
        )
    home = "network" if word in NETWORK_WORDS else "model"
    return Suggestion(
        f"`{word}` is no statement of a {situation.block}",
        f"a `{word}` belongs in a `{home}`",
        f"move it into a `{home}`" + (", and use that as a `part`" if home == "network" else ""),
    )


def _reserved(situation: ParseContext) -> Suggestion | None:
    """A reserved word in the place of a name."""
    token = situation.token
    if token.kind != WORD or situation.terminal == "NAME" or "NAME" not in situation.expected:
        return None
    if token.first or "NUMBER" in situation.expected or "FROZEN" in situation.expected:
        return None
    return Suggestion(
        f"`{situation.text}` cannot be a name",
        "a word of the language",
        f"call it `{situation.text}_` or something that says more",
        "words that begin a block or a statement, or belong to expressions, are reserved",
    )


def _unknown_type(situation: ParseContext) -> Suggestion | None:
    if "INT" not in situation.expected or situation.token.kind != WORD:
        return None
    text = situation.text
    python = {"list": "int[n]", "integer": "int", "str": "int", "tuple": "int[n]"}
    meant = python.get(text.lower()) or closest(text, ("int", "bool", "float"))
    return Suggestion(
        f"unknown type {shown(text)}",
        "a parameter is `int`, `int[n]`, `bool` or `float`",
        f"did you mean `{meant}`?" if meant else None,
    )


def _misspelt_word(situation: ParseContext) -> Suggestion | None:
    """Any other word, where a keyword that looks like it could stand."""
    if situation.terminal != "NAME" or "NAME" in situation.expected:
        return None
    words = [t.lower() for t in situation.expected if t.isalpha() and t.isupper()]
    meant = closest(situation.text, [w for w in words if w in _KEYWORDS])
    if meant is None:
        return None
    return Suggestion(f"unexpected {shown(situation.text)}", hint=f"did you mean `{meant}`?")


_KEYWORDS = frozenset(
    {"as", "conj", "else", "frozen", "if", "in", "init", "keep", "log", "share", "then", "tie"}
    | {"and", "or", "not", "network", "model"}
)


_HABITS: tuple[Callable[[ParseContext], Suggestion | None], ...] = (
    _semicolon,
    _einsum,
    _loop,
    _comment,
    _number_before_name,
    _bare_point,
    _misplaced_attribute,
    _wrong_block,
    slips.import_habits,
    _foreign_word,
    _unknown_type,
    slips.condition_on_a_leg,
    slips.member_of_a_declaration,
    slips.square_brackets,
    slips.no_legs,
    slips.not_a_leg,
    slips.optional_twice,
    slips.slice_of,
    slips.ternary,
    _range_function,
    _colon,
    _comparison,
    _arrow,
    slips.late_dots,
    slips.early_star,
    slips.parameters_of_an_instance,
    slips.no_parameters,
    slips.no_brace,
    slips.stray_doc,
    slips.stray_brace,
    _python_conditional,
    _reserved,
    slips.missing_comma,
    _misspelt_word,
)
