"""Syntax of other languages, and the order in which mistakes are recognized.

Each function yields suggestions for the mistakes that fit where the parser stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile

from tncompile.language.diagnostics.spelling import closest
from tncompile.language.parsing.errors import common_mistakes as mistakes
from tncompile.language.parsing.errors.context import (
    BLOCK_WORDS,
    STATEMENT_TERMINALS,
    STATEMENT_WORDS,
    ParseContext,
)
from tncompile.language.parsing.errors.messages import Suggestion, one_of, shown
from tncompile.language.parsing.errors.model_mistakes import mistake_of_models
from tncompile.language.parsing.lexer import SEMICOLON, WORD
from tncompile.language.parsing.tables import END

_ATTRIBUTES = ("init", "share", "tie", "frozen", "complex", "conj", "log")
_KEYWORDS = frozenset(
    {"as", "conj", "else", "frozen", "if", "in", "init", "keep", "log", "share", "then", "tie"}
    | {"and", "or", "not", "network", "model", "complex"}
)
_TYPES = {"list": "int[n]", "integer": "int", "str": "int", "tuple": "int[n]"}
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
_EXAMPLES_OF_MODELS = {
    "batch": "batch t",
    "input": "input x(..., t, 4)",
    "tensor": "tensor w(4) init zeros",
    "output": "output y",
}


# ── symbols and forms of other languages ─────────────────────────────────────────────────────────


def _semicolon_and_einsum(context: ParseContext) -> Iterator[Suggestion]:
    if context.terminal == SEMICOLON:
        message, label = "`;` is not part of the language", "nothing ends a statement"
        word = "every statement begins with a word such as `tensor`"
        yield Suggestion(message, label, "delete it", f"{word}, and ends where the next one begins")
    following = context.tokens[context.position + 1 :]
    line = [context.token, *takewhile(lambda token: not token.first, following)]
    if any(token.kind == "STRING" and _EINSUM.fullmatch(token.text) for token in line):
        yield Suggestion(
            "tensors are not multiplied by an einsum string",
            "a network is declared, not computed",
            "declare each tensor with its legs: `tensor A(i, r)`; equal names are summed over",
            "`tncompile.from_einsum` turns an einsum string into a network",
        )


def _loop(context: ParseContext) -> Iterator[Suggestion]:
    clause = context.terminal == "IN" and context.word_at(-2) == "for"
    if clause or context.text in ("for", "while", "foreach"):
        yield Suggestion(
            "there are no loops",
            "a family declares all its members at once",
            "give the name a range: `tensor G[k in 0..n](b[k], i[k])`",
            "a network is declared, not run: the order of its computation is the compiler's",
            place=context.at(-2).span if clause else None,
        )


def _comment(context: ParseContext) -> Iterator[Suggestion]:
    following = context.at(1).kind
    opens = context.terminal == "SLASH" and following in ("STAR", "POWER")
    dashes = context.terminal == following == "MINUS"
    if opens or (context.at_statement and (dashes or context.terminal == "FLOOR")):
        hint = "write `#` and the text up to the end of the line"
        yield Suggestion("a comment begins with `#`", hint=hint)


def _number(context: ParseContext) -> Iterator[Suggestion]:
    """`3x`, `.5` and `1.`."""
    before, after = context.at(-1), context.at(1)
    adjacent = before.kind == "NUMBER" and before.span.end == context.token.span.start
    if adjacent and context.token.kind == WORD:
        hint = f"a product is written `{before.text} * {context.text}`"
        yield Suggestion("", "a name begins with a letter", hint)
    label = "digits stand on both sides of the point"
    if context.terminal == "DOT" and after.kind == "NUMBER" and context.expects("NUMBER"):
        yield Suggestion("", label, f"write `0.{after.text}`")
    if context.terminal == "DOT" and before.kind == "NUMBER":
        yield Suggestion("", label, f"write `{before.text}.0`")


def _range(context: ParseContext) -> Iterator[Suggestion]:
    if context.expects("RANGE"):
        message = "a range is written with two dots"
        if context.terminal in ("DOTS", "COMMA"):
            yield Suggestion(message, hint="write `0..n`")
        if any(context.word_at(-k) == "range" for k in range(1, 8)):
            yield Suggestion(message, hint="write `0..n` for `range(n)`")


def _colon(context: ParseContext) -> Iterator[Suggestion]:
    if context.terminal != "COLON":
        return
    after_legs = context.at_statement or context.expects("FROZEN")
    legs = mistakes.LEGS if context.block == "network" else ("TENSOR",)
    if after_legs and context.statement in legs:
        if context.statement == "TENSOR" and context.at(1).text.startswith("complex"):
            yield Suggestion(
                "a `tensor` has no type of its own",
                "its legs say its shape",
                "write `complex` after the legs, without the colon",
                "a complex tensor has the complex type that goes with the module's",
            )
        yield Suggestion(
            f"a `{context.statement.lower()}` has no type of its own",
            "its legs say its shape",
            "delete it; a module is made in one type: `module(dtype=torch.complex64)`",
            "numbers have the type that the module is made in, or moved to",
        )
    if context.expects("ASSIGN") and context.statement == "BATCH":
        hint = f"the size that it usually has follows `=`: `{context.word_at(-1) or 't'} = 128`"
        yield Suggestion(hint=hint)
    if context.expects("ASSIGN") and context.statement == "WINDOW":
        hint = f"write `=`, as in `{context.word_at(-1) or 'h'} = conv(size = 3)`"
        yield Suggestion(hint=hint)
    if context.expects("LBRACE") or context.expects("LET"):
        hint = "write `{` here and `}` at the end"
        yield Suggestion("`:` opens no block", "blocks stand in braces", hint)
    if context.expects("RANGE"):
        yield Suggestion("a range is written with two dots", hint="write `0..n`")
    if context.expects("ASSIGN") and context.statement != "PART":
        name = context.word_at(-1) or "i"
        yield Suggestion(hint=f"a size or a value follows `=`: `{name} = 4`")


def _comparison(context: ParseContext) -> Iterator[Suggestion]:
    if context.terminal == "EQUAL" and context.expects("ASSIGN"):
        yield Suggestion("`==` gives no value", "`==` compares", "write `=`")
    if context.terminal != "ASSIGN":
        return
    if context.expects("EQUAL"):
        label = "`=` gives a value to a name"
        yield Suggestion("`=` does not compare", label, "`==` compares: `n == 4`")
    if context.expects("COLON"):
        hint = f"say what it is: `{context.word_at(-1)}: int = …`"
        yield Suggestion("the type is missing", "a parameter has a type", hint)
    if context.statement in ("TENSOR", "BIAS"):
        message = f"a `{context.statement.lower()}` is given no value"
        hint = "its legs say its shape, and `init SCHEME` its first values"
        yield Suggestion(message, "it is trained", hint)


def _arrow(context: ParseContext) -> Iterator[Suggestion]:
    if context.terminal == "ARROW" and context.block != "model":
        label = "an arrow stands in a `rewrite` and after `extern` only"
        hint = "the result of a network is its `output y(legs)`"
        yield Suggestion("", label, hint if context.block != "rewrite" else None)


def _question_mark(context: ParseContext) -> Iterator[Suggestion]:
    """`c ? a : b`."""
    if context.terminal == "OPTIONAL" and context.expects("PLUS"):
        yield Suggestion("a choice is written in words", hint="write `if c then a else b`")


def _python_conditional(context: ParseContext) -> Iterator[Suggestion]:
    if context.terminal not in ("ELSE", "IF") or context.expects("THEN"):
        return
    if context.terminal == "IF" and not context.expects("PLUS"):
        label = "a choice inside an expression stands in parentheses"
        yield Suggestion("", label, "write `(if c then a else b)`")
    label = "the condition of a choice comes first"
    yield Suggestion("", label, "write `if c then a else b`")


# ── words that are almost right, or in the wrong place ───────────────────────────────────────────


def _word_in_the_wrong_place(context: ParseContext) -> Iterator[Suggestion]:
    """`share k` after something that is no tensor; a statement in no block, or in another kind."""
    word = context.text
    if not context.at_statement:
        return
    misplaced = not context.expects(context.terminal) and context.at(1).kind != "ASSIGN"
    if word in _ATTRIBUTES and misplaced:
        message, label = f"`{word}` does not belong here", "an attribute of tensors"
        if word == "log":
            yield Suggestion(message, "an attribute of the output", "write `output y(legs) log`")
        yield Suggestion(message, label, "write it after the legs of a `tensor`")
    homes = [block for block in ("network", "model") if word in STATEMENT_WORDS[block]]
    if not homes:
        return
    if not context.block:
        hint = "statements stand between the braces of `network N(…) { … }`"
        yield Suggestion(f"`{word}` stands outside of a block", hint=hint)
    message, home = f"`{word}` is no statement of a {context.block}", homes[0]
    hint = f"move it into a `{home}`" + (", and use that as a `part`" if home == "network" else "")
    yield Suggestion(
        message, f"{'an' if word[0] in 'aeiou' else 'a'} `{word}` belongs in a `{home}`", hint
    )


def _foreign_word(context: ParseContext) -> Iterator[Suggestion]:
    """A word at the start of a block or a statement that is none of the language."""
    if context.terminal != "NAME" or not context.at_statement:
        return
    words = STATEMENT_WORDS.get(context.block, tuple(BLOCK_WORDS))
    foreign = _FOREIGN_STATEMENTS if context.block else _FOREIGN_BLOCKS
    text = context.text
    similar = closest(text, words)
    attribute = closest(text, _ATTRIBUTES) if context.expects("FROZEN") else None
    if attribute is not None and similar is None:
        yield Suggestion(f"unknown word {shown(text)}", hint=f"did you mean `{attribute}`?")
    what = "statement" if context.block else "block"
    meant = similar or foreign.get(text.lower())
    if meant is not None:
        own = _EXAMPLES_OF_MODELS if context.block == "model" else {}
        hint = f"did you mean `{meant}`, as in `{own.get(meant, _EXAMPLES[meant])}`?"
    elif context.block and context.at(1).kind == "ASSIGN" and context.expects("COMMA"):
        word = context.statement.lower()
        hint = f"put a `,` before it if it is one more {word}; a value is named by `let {text} = …`"
    elif context.block and context.at(1).kind == "ASSIGN":
        hint = f"a value is named by `let {text} = …`"
    else:
        hint = f"a {what} begins with {one_of([f'`{word}`' for word in words])}"
    yield Suggestion(f"no {what} begins with {shown(text)}", hint=hint)


def _unknown_type(context: ParseContext) -> Iterator[Suggestion]:
    if context.expects("INT") and context.token.kind == WORD:
        meant = _TYPES.get(context.text.lower()) or closest(context.text, ("int", "bool", "float"))
        part = ", `float` or `part`" if context.statement == "MODEL" else " or `float`"
        label = f"a parameter is `int`, `int[n]`, `bool`{part}"
        hint = f"did you mean `{meant}`?" if meant else None
        yield Suggestion(f"unknown type {shown(context.text)}", label, hint)


def _reserved(context: ParseContext) -> Iterator[Suggestion]:
    """A reserved word in the place of a name."""
    token = context.token
    if token.kind != WORD or context.terminal == "NAME" or not context.expects("NAME"):
        return
    if context.at(-1).kind == "DOT" and context.expects("IN"):
        face = {"input": "in", "output": "out"}.get(context.text)
        yield Suggestion(
            f"a window has no face `{context.text}`",
            "`in`, `kernel` or `out`",
            f"write `.{face}`" if face else "write one of these",
            "a window has `.in` on one input, `.kernel` on tensors, `.out` on the output",
        )
    elif context.expects("NUMBER") and context.terminal in STATEMENT_TERMINALS and not token.first:
        yield Suggestion(
            f"nothing is named `{context.text}`",
            f"`{context.text}` begins a statement",
            f"declare the part, value or parameter `{context.text}` before; then it is a name here",
            "a word that begins statements is a name only where something is declared so",
        )
    elif not (token.first or context.expects("NUMBER") or context.expects("FROZEN")):
        twice = context.at(-1).text == context.text
        yield Suggestion(
            f"`{context.text}` cannot be a name",
            "a word of the language",
            "delete it" if twice else f"call it `{context.text}_` or something that says more",
            "a name is one word, and none of `if then else and or not in true false`",
        )


def _misspelled_word(context: ParseContext) -> Iterator[Suggestion]:
    """Any other word, where a keyword that looks like it could stand."""
    if context.terminal == "NAME" and not context.expects("NAME"):
        words = [terminal.lower() for terminal in context.expected if terminal.isupper()]
        if meant := closest(context.text, [word for word in words if word in _KEYWORDS]):
            yield Suggestion(hint=f"did you mean `{meant}`?")


_RECOGNIZERS = (
    mistake_of_models,
    _semicolon_and_einsum,
    _loop,
    _comment,
    _number,
    _word_in_the_wrong_place,
    mistakes.foreign_import,
    _foreign_word,
    _unknown_type,
    mistakes.what_a_leg_takes,
    mistakes.member_of_a_declaration,
    mistakes.condition_of_a_window,
    mistakes.square_brackets,
    mistakes.no_legs,
    mistakes.not_a_leg,
    mistakes.slice_of,
    _question_mark,
    _range,
    _colon,
    _comparison,
    _arrow,
    mistakes.dots_and_star,
    mistakes.heads_of_blocks,
    mistakes.strays,
    _python_conditional,
    _reserved,
    mistakes.missing_comma,
    _misspelled_word,
)
"""In the order in which they are tried."""


def recognize(context: ParseContext) -> Suggestion | None:
    """The suggestion of the first mistake that fits; None where only the grammar can speak."""
    if context.terminal == END:
        return None
    return next((each for recognizer in _RECOGNIZERS for each in recognizer(context)), None)
