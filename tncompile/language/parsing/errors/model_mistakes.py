"""Mistakes in models: kinds, slices, networks of values, and what Python writes otherwise.

Each function yields suggestions for the mistakes that fit where the parser stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tncompile.language.diagnostics.spelling import closest
from tncompile.language.parsing.errors.context import ParseContext
from tncompile.language.parsing.errors.messages import Suggestion, shown

_KINDS = ("bool", "int", "float", "complex")
_MEANT = {
    **dict.fromkeys(("long", "integer", "ids", "short", "byte", "uint8"), "int"),
    **dict.fromkeys(("int8", "int16", "int32", "int64"), "int"),
    **dict.fromkeys(("boolean", "mask"), "bool"),
    **dict.fromkeys(("real", "double", "half", "float32", "float64"), "float"),
    **dict.fromkeys(("float16", "bfloat16", "fp16", "fp32", "bf16"), "float"),
    **dict.fromkeys(("cfloat", "complex64", "complex128"), "complex"),
}
_WIDTHS = {
    "int": "an `int` is an int64: convert other integers in Python, `x.long()`",
    "float": "a `float` has the dtype of the module: `module.to(torch.bfloat16)`",
    "complex": "a `complex` has the dtype that goes with the module's: complex64 beside float32",
}
_EINSUM = re.compile(r'"[A-Za-z.,\s]*->[A-Za-z.\s]*"')
_PATH = re.compile(r"\w{1,100}(?:\.\w{1,100}){0,20}")
_NETWORK = "`network { a(i, j), b(j, k) -> (i, k) }`"


def mistake_of_models(context: ParseContext) -> Iterator[Suggestion]:
    """What is written otherwise in a model."""
    if context.block == "model":
        yield from _kind(context)
        yield from _slice(context)
        yield from _network(context)
        yield from _part(context)
        yield from _python(context)


def _kind(context: ParseContext) -> Iterator[Suggestion]:
    """`input x(..., t) long` and `input x(..., t): int`."""
    if context.statement == "TENSOR" or not context.expects("INT", "COMPLEX"):
        return
    if context.token.first:
        return
    label = "a value is `bool`, `int`, `float` or `complex`; without a word, `float`"
    meant = _meant(context.word_at(1) if context.terminal == "COLON" else context.text)
    if context.terminal == "COLON":
        yield Suggestion("", label, f"write the kind without the colon: `{meant or 'int'}`")
    if context.terminal == "NAME":
        hint = f"did you mean `{meant}`?" if meant else "write one of these, or nothing"
        note = _WIDTHS.get(meant or "") if context.text.lower() in _MEANT else None
        yield Suggestion(f"unknown kind {shown(context.text)}", label, hint, note)


def _meant(word: str) -> str | None:
    return word if word in _KINDS else _MEANT.get(word.lower()) or closest(word, _KINDS)


def _slice(context: ParseContext) -> Iterator[Suggestion]:
    """`x[1:2]`, `x[0...3]` and `x[0..9..2]`."""
    symbols = context.symbols
    opened = max((k for k, symbol in enumerate(symbols) if symbol == "LSQB"), default=0)
    if context.terminal not in ("RANGE", "DOTS", "COLON") or symbols[opened - 1] != "postfix":
        return
    if not context.expects("RSQB") and context.terminal != "COLON":
        return
    if "RANGE" in symbols[opened:]:
        hint = "take every second one with `reshape` and an item"
        yield Suggestion("a slice has no step", "a slice is `from..to`", hint)
    note = "positions are 0 or more; a whole axis is `*`"
    yield Suggestion("a slice is written with two dots", "", "write `x[..., 0..n, *]`", note)


def _network(context: ParseContext) -> Iterator[Suggestion]:
    """What goes wrong in and around `network { … }`."""
    if context.terminal == "NETWORK" and context.at_statement:
        hint = "name the value: `let y = network { … }`"
        yield Suggestion("a network of values is no statement", hint=hint)
    if context.terminal == "NETWORK":
        note = "a network of values has no name"
        yield Suggestion("", "expected `{` after it", f"write {_NETWORK}", note)
    if "NETWORK" not in context.symbols[1:]:
        return
    if context.terminal == "NUMBER":
        hint = f"name the number: `let n = {context.text}`, and write `n`"
        yield Suggestion("", "a leg has a name", hint)
    if _EINSUM.fullmatch(context.text):
        label = "expected an operand: a name with its legs"
        yield Suggestion("legs are names, not a string", label, f"write {_NETWORK}")
    if context.terminal == "DOTS" and not context.expects("DOTS"):
        note = "`...` stands for any number of leading axes"
        yield Suggestion(
            "", "the dots come first among the legs", "write them first: `(..., i)`", note
        )


def _part(context: ParseContext) -> Iterator[Suggestion]:
    """`part p: Linear(4, 4)`, `nn.Linear(4, 4)` and `extern nn.Linear(4, 4)`."""
    if context.statement != "PART":
        return
    if context.terminal == "COLON" and context.expects("ASSIGN"):
        made = f"{context.word_at(1) or 'N'}(…)"
        yield Suggestion("", "expected `=`", f"write `part {context.word_at(-1)} = {made}`")
    if context.terminal == "DOT" and context.expects("LPAR") and not context.expects("PLUS"):
        path = _PATH.match(context.source.text, context.at(-1).span.start)
        name = path[0].split(".")[-1] if path else "N"
        hint = f"write `{name}(…)`, or `extern` where models have no such layer"
        yield Suggestion("layers have no module in front", "expected `(`", hint)
    if context.symbols[-1:] == ("EXTERN",) and context.terminal == "NAME":
        path = _PATH.match(context.source.text, context.token.span.start)
        hint = f'write `extern "{path[0] if path else "package.module.Class"}"(…)`'
        note = "what is outside of the language is named by its module, in quotes"
        yield Suggestion("the path of an `extern` stands in quotes", "", hint, note)


def _python(context: ParseContext) -> Iterator[Suggestion]:
    """`for k in …`, `x.shape`, and arrows elsewhere than they stand."""
    clause = context.terminal == "IN" and context.word_at(-2) == "for"
    if clause or context.text in ("for", "while"):
        yield Suggestion(
            "there are no loops",
            "stages and families are repeated",
            "write `x |> repeat k in 0..n { block[k] }`, or `let h[k in 0..n] = …`",
            "a model has a fixed structure: how often is known before it runs",
            place=context.at(-2).span if clause else None,
        )
    if context.terminal == "DOT" and context.expects("PLUS"):
        hint = "name the sizes of an input by `batch`; functions are called: `sum(x, dim = -1)`"
        member = context.word_at(1)
        if context.word_at(-1) == "self" and member:
            hint = f"parts, tensors and values are called by their own name: `{member}`"
        elif member and context.at(2).kind == "LPAR":
            hint = (
                f"functions are called: `{member}({context.word_at(-1) or 'x'}, …)`; what a part "
            )
            hint += "has inside, its model gives as an `output`"
        elif context.statement == "PART":
            hint = "hand on a part of this model, or tie to what is inside: "
            hint += "`part p = … tie q.inner`"
        elif member in ("weight", "bias"):
            hint = f"declare the tensor, `tensor w(…)`, and tie the part to it: `tie {member} = w`"
        yield Suggestion("a value has no attributes and no methods", "not here", hint)
    if context.word_at(-1) == "lambda":
        hint = "declare a `model`, and a part of it; a family of values names what repeats"
        yield Suggestion(
            "there are no functions of one's own", hint=hint, place=context.at(-1).span
        )
    if context.at_statement and context.at(2).kind == "ASSIGN" and context.at(1).text in "+-*/":
        new = f"{context.text}2"
        hint = f"give the result a name of its own: `let {new} = {context.text} "
        hint += f"{context.at(1).text} …`"
        yield Suggestion("a value never changes", hint=hint)
    if context.terminal == "STRING" and context.statement == "REQUIRE" and context.expects("COMMA"):
        hint = "put a `,` between the condition and its reason"
        yield Suggestion("", "expected `,` before it", hint)
    if context.terminal == "ARROW" and "NETWORK" not in context.symbols[1:]:
        hint = "what comes out is said by `output`"
        yield Suggestion("", "an arrow stands after `extern` and in `network { … }` only", hint)
