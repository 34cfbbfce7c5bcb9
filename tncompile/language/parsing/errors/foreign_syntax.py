"""Syntax of other languages, and the order in which mistakes are recognized.

Each function looks at where the parser stands, and gives a suggestion or None.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tncompile.language.diagnostics.spelling import closest
from tncompile.language.parsing.errors import common_mistakes as mistakes
from tncompile.language.parsing.errors.context import (
    BLOCK_WORDS,
    MODEL_WORDS,
    NETWORK_WORDS,
    REWRITE_WORDS,
    ParseContext,
    shown,
)
from tncompile.language.parsing.errors.messages import Suggestion, one_of
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
_EXAMPLES = {
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


def recognize(context: ParseContext) -> Suggestion | None:
    """The suggestion of the first mistake that fits; None where only the grammar can speak."""
    if context.terminal == END:
        return None
    suggestions = (recognizer(context) for recognizer in _RECOGNIZERS)
    return next((suggestion for suggestion in suggestions if suggestion is not None), None)


# ── symbols and forms of other languages ─────────────────────────────────────────────────────────


def _semicolon(context: ParseContext) -> Suggestion | None:
    if context.terminal != SEMICOLON:
        return None
    return Suggestion(
        "`;` is not part of the language",
        "nothing ends a statement",
        "delete it",
        "every statement begins with a word such as `tensor`, and ends where the next one begins",
    )


def _einsum(context: ParseContext) -> Suggestion | None:
    strings = (context.text_of(t) for t in context.rest_of_line() if t.kind == "STRING")
    if not any(_EINSUM.fullmatch(string) for string in strings):
        return None
    return Suggestion(
        "tensors are not multiplied by an einsum string",
        "a network is declared, not computed",
        "declare each tensor with its legs: `tensor A(i, r)`; equal names are summed over",
        "`tncompile.from_einsum` turns an einsum string into a network",
    )


def _loop(context: ParseContext) -> Suggestion | None:
    place = None
    if context.terminal == "IN" and context.word_at(-2) == "for":
        place = context.span_of(context.tokens[context.position - 2])
    elif context.text not in ("for", "while", "foreach"):
        return None
    return Suggestion(
        "there are no loops",
        "a family declares all its members at once",
        "give the name a range: `tensor G[k in 0..n](b[k], i[k])`",
        "a network is declared, not run: the order of its computation is the compiler's",
        place=place,
    )


def _colon(context: ParseContext) -> Suggestion | None:
    if context.terminal != "COLON":
        return None
    after_legs = context.at_statement or context.expects("FROZEN")
    if after_legs and context.block == "network" and context.statement in mistakes.LEGS:
        return Suggestion(
            f"a `{context.statement.lower()}` has no type of its own",
            "its legs say its shape",
            "delete it; a module is made in one type: `module(dtype=torch.complex64)`",
            "numbers have the type that the module is made in, or moved to",
        )
    if context.expects("LBRACE") or context.expects("LET"):
        hint = "write `{` here and `}` at the end"
        return Suggestion("`:` opens no block", "blocks stand in braces", hint)
    if context.expects("RANGE"):
        return Suggestion("a range is written with two dots", hint="write `0..n`")
    if context.expects("ASSIGN"):
        hint = f"a size or a value follows `=`: `{context.word_at(-1) or 'i'} = 4`"
        return Suggestion("unexpected `:`", hint=hint)
    return None


def _comparison(context: ParseContext) -> Suggestion | None:
    if context.terminal == "EQUAL" and context.expects("ASSIGN"):
        return Suggestion("`==` gives no value", "`==` compares", "write `=`")
    if context.terminal != "ASSIGN":
        return None
    if context.expects("EQUAL"):
        label = "`=` gives a value to a name"
        return Suggestion("`=` does not compare", label, "`==` compares: `n == 4`")
    if context.expects("COLON"):
        hint = f"say what it is: `{context.word_at(-1)}: int = …`"
        return Suggestion("the type is missing", "a parameter has a type", hint)
    if context.statement in ("TENSOR", "BIAS"):
        return Suggestion(
            f"a `{context.statement.lower()}` is given no value",
            "it is trained",
            "its legs say its shape, and `init SCHEME` its first values",
        )
    return None


def _arrow(context: ParseContext) -> Suggestion | None:
    if context.terminal != "ARROW":
        return None
    return Suggestion(
        "unexpected `->`",
        "an arrow stands in a `rewrite` and after `extern` only",
        "the result of a network is its `output y(legs)`" if context.block != "rewrite" else None,
    )


def _comment(context: ParseContext) -> Suggestion | None:
    following = context.kind_at(1)
    opens = context.terminal == "SLASH" and following in ("STAR", "POWER")
    dashes = context.terminal == following == "MINUS"
    if not opens and not (context.at_statement and (dashes or context.terminal == "FLOOR")):
        return None
    hint = "write `#` and the text up to the end of the line"
    return Suggestion("a comment begins with `#`", hint=hint)


def _python_conditional(context: ParseContext) -> Suggestion | None:
    if context.terminal not in ("ELSE", "IF") or context.expects("THEN"):
        return None
    if context.terminal == "IF" and not context.expects("PLUS"):
        label = "a choice inside an expression stands in parentheses"
        return Suggestion("unexpected `if`", label, "write `(if c then a else b)`")
    label = "the condition of a choice comes first"
    return Suggestion(context.unexpected, label, "write `if c then a else b`")


def _range_function(context: ParseContext) -> Suggestion | None:
    if not context.expects("RANGE"):
        return None
    message = "a range is written with two dots"
    if context.terminal in ("DOTS", "COMMA"):
        return Suggestion(message, hint="write `0..n`")
    if any(context.word_at(-k) == "range" for k in range(1, 8)):
        return Suggestion(message, hint="write `0..n` for `range(n)`")
    return None


def _number_before_name(context: ParseContext) -> Suggestion | None:
    """`3x`."""
    before = context.around(-1)
    if before is None or before.kind != "NUMBER" or before.end != context.token.start:
        return None
    if context.token.kind != WORD:
        return None
    hint = f"a product is written `{context.text_of(before)} * {context.text}`"
    return Suggestion(context.unexpected, "a name begins with a letter", hint)


def _bare_point(context: ParseContext) -> Suggestion | None:
    """`.5` and `1.`."""
    if context.terminal != "DOT":
        return None
    if context.kind_at(1) == "NUMBER" and context.expects("NUMBER"):
        hint = f"write `0.{context.text_of(context.tokens[context.position + 1])}`"
    elif context.kind_at(-1) == "NUMBER":
        hint = f"write `{context.text_of(context.tokens[context.position - 1])}.0`"
    else:
        return None
    return Suggestion("unexpected `.`", "digits stand on both sides of the point", hint)


# ── words that are almost right, or in the wrong place ───────────────────────────────────────────


def _foreign_word(context: ParseContext) -> Suggestion | None:
    """A word at the start of a block or a statement that is none of the language."""
    if context.terminal != "NAME" or not context.at_statement:
        return None
    words = _STATEMENTS.get(context.block, tuple(BLOCK_WORDS))
    foreign = _FOREIGN_STATEMENTS if context.block else _FOREIGN_BLOCKS
    text = context.text
    similar = closest(text, words)
    attribute = closest(text, _ATTRIBUTES) if context.expects("FROZEN") else None
    if attribute is not None and similar is None:
        return Suggestion(f"unknown word {shown(text)}", hint=f"did you mean `{attribute}`?")
    what = "statement" if context.block else "block"
    meant = similar or foreign.get(text.lower())
    if meant is not None:
        hint = f"did you mean `{meant}`, as in `{_EXAMPLES[meant]}`?"
    elif context.block and context.kind_at(1) == "ASSIGN":
        hint = f"a value is named by `let {text} = …`"
    else:
        hint = f"a {what} begins with {one_of([f'`{word}`' for word in words])}"
    return Suggestion(f"no {what} begins with {shown(text)}", hint=hint)


def _misplaced_attribute(context: ParseContext) -> Suggestion | None:
    """`share k` after something that is no tensor."""
    if context.text not in _ATTRIBUTES or context.expects(context.terminal):
        return None
    if not context.at_statement or context.kind_at(1) == "ASSIGN":
        return None
    message = f"`{context.text}` does not belong here"
    if context.text == "log":
        return Suggestion(message, "an attribute of the output", "write `output y(legs) log`")
    return Suggestion(message, "an attribute of tensors", "write it after the legs of a `tensor`")


def _wrong_block(context: ParseContext) -> Suggestion | None:
    """A statement outside of all blocks, or in a block of another kind."""
    word = context.text
    if not context.at_statement or word not in (*NETWORK_WORDS, *MODEL_WORDS):
        return None
    if not context.block:
        hint = "statements stand between the braces of `network N(…) { … }`"
        return Suggestion(f"`{word}` stands outside of a block", hint=hint)
    home = "network" if word in NETWORK_WORDS else "model"
    return Suggestion(
        f"`{word}` is no statement of a {context.block}",
        f"a `{word}` belongs in a `{home}`",
        f"move it into a `{home}`" + (", and use that as a `part`" if home == "network" else ""),
    )


def _reserved(context: ParseContext) -> Suggestion | None:
    """A reserved word in the place of a name."""
    token = context.token
    if token.kind != WORD or context.terminal == "NAME" or not context.expects("NAME"):
        return None
    if token.first or context.expects("NUMBER") or context.expects("FROZEN"):
        return None
    return Suggestion(
        f"`{context.text}` cannot be a name",
        "a word of the language",
        f"call it `{context.text}_` or something that says more",
        "words that begin a block or a statement, or belong to expressions, are reserved",
    )


def _unknown_type(context: ParseContext) -> Suggestion | None:
    if not context.expects("INT") or context.token.kind != WORD:
        return None
    python = {"list": "int[n]", "integer": "int", "str": "int", "tuple": "int[n]"}
    meant = python.get(context.text.lower()) or closest(context.text, ("int", "bool", "float"))
    return Suggestion(
        f"unknown type {shown(context.text)}",
        "a parameter is `int`, `int[n]`, `bool` or `float`",
        f"did you mean `{meant}`?" if meant else None,
    )


def _misspelled_word(context: ParseContext) -> Suggestion | None:
    """Any other word, where a keyword that looks like it could stand."""
    if context.terminal != "NAME" or context.expects("NAME"):
        return None
    words = [terminal.lower() for terminal in context.expected if terminal.isupper()]
    meant = closest(context.text, [word for word in words if word in _KEYWORDS])
    return Suggestion(context.unexpected, hint=f"did you mean `{meant}`?") if meant else None


_KEYWORDS = frozenset(
    {"as", "conj", "else", "frozen", "if", "in", "init", "keep", "log", "share", "then", "tie"}
    | {"and", "or", "not", "network", "model"}
)

_RECOGNIZERS: tuple[Callable[[ParseContext], Suggestion | None], ...] = (
    _semicolon,
    _einsum,
    _loop,
    _comment,
    _number_before_name,
    _bare_point,
    _misplaced_attribute,
    _wrong_block,
    mistakes.foreign_import,
    _foreign_word,
    _unknown_type,
    mistakes.condition_on_a_leg,
    mistakes.member_of_a_declaration,
    mistakes.square_brackets,
    mistakes.no_legs,
    mistakes.not_a_leg,
    mistakes.optional_twice,
    mistakes.slice_of,
    mistakes.ternary,
    _range_function,
    _colon,
    _comparison,
    _arrow,
    mistakes.late_dots,
    mistakes.early_star,
    mistakes.parameters_of_an_instance,
    mistakes.no_parameters,
    mistakes.no_brace,
    mistakes.stray_doc,
    mistakes.stray_brace,
    _python_conditional,
    _reserved,
    mistakes.missing_comma,
    _misspelled_word,
)
"""In the order in which they are tried."""
