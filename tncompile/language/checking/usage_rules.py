"""The rules on what may stand where in a network block: functions, schemes, attributes, legs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from tncompile.language.checking.symbols import BlockNames, Rule
from tncompile.language.diagnostics.collector import Suggestions, listed, problem, with_article
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.evaluating.functions import FUNCTIONS, readable
from tncompile.language.parsing.lexer import one_line
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span
from tncompile.language.syntax.walk import walk

_ARGUMENTS = {"normal": "std", "uniform": "bound", "constant": "c"}
SCHEMES = {
    name: f"{name}({_ARGUMENTS[name]})" if name in _ARGUMENTS else name
    for name in ("auto", "normal", "uniform", "orthogonal", "eye", "ones", "zeros", "constant")
}
"""How each scheme is written."""

INT_SCHEMES = {name: name for name in ("arange", "zeros", "ones")}
"""Those of tensors of integers: `arange` counts along the last axis."""

ATTRIBUTES = ("init", "frozen", "complex", "share", "tie", "if")
_LONGEST_QUOTE = 60
_DTYPES = ("complex", "float", "bfloat", "double", "half", "int", "uint", "real")
MODULE_DTYPE = "the type is that of the whole module: `module(dtype=torch.complex64)`"


def misplaced(message: str, span: Span, label: str, note: str, hint: str) -> Diagnostic:
    """TN207 at something that does not belong where it stands."""
    return problem(Code.MISPLACED, message, span, label, note, hint)


# ── expressions ────────────────────────────────────────────────────────────────────────────────


def misused_expression(names: BlockNames) -> Iterator[Diagnostic]:
    """TN207, TN208, TN305, TN205: functions, what only models have, text, items of items."""
    for expression in names.expressions:
        yield from expression_problems(expression, names.suggestions)


_FOREIGN = "the expressions of a network are about sizes; tensors flow in models only"


def expression_problems(
    expression: tree.Expression, suggestions: Suggestions, foreign: str = _FOREIGN
) -> Iterator[Diagnostic]:
    """What no integer expression holds, for the reason `foreign`; of several texts, the first."""
    text_seen = False
    for node in walk(expression, into=readable):
        match node:
            case tree.Number() | tree.Reference():
                pass
            case tree.Binary(operator):
                if operator == "@":
                    message, hint = "`@` is for values", "`*` multiplies numbers"
                    yield misplaced(message, node.operator_span, "not here", foreign, hint)
            case tree.Call():
                yield from _function_problems(node, suggestions)
            case tree.TupleOf(items):
                message, label = "round brackets make no list", "not a list"
                note = "a list of int stands in square brackets; `( )` only groups"
                written = ", ".join(one_line(item.span) for item in items)
                short = len(written) <= _LONGEST_QUOTE and "(" not in written
                hint = f"write `[{written}]`" if short else "write `[` and `]`"
                yield misplaced(message, node.span, label, note, hint)
            case tree.Pipe() | tree.Repeat() | tree.Dots() | tree.NetworkExpression():
                hint = "write an expression of numbers"
                yield misplaced("this is for values", node.span, "not here", foreign, hint)
            case tree.String(value) if not text_seen:
                text_seen = True
                note = "values are int, float, bool or lists of int"
                number = re.fullmatch(r"[0-9]{1,18}|true|false", value) is not None
                hint = f"remove the quotes: `{value}`" if number else "write a number here"
                message, label = "text is no value", "this is text"
                yield problem(Code.WRONG_TYPE, message, node.span, label, note, hint)
            case tree.Item(_, subscripts) if not readable(node):
                slices = tree.Slice | tree.Star | tree.Dots
                first = next(each for each in subscripts if isinstance(each, slices))
                message, label = "a list has no slices", "expected the position of one item"
                hint = "write the items: `[a[0], a[1]]`"
                yield misplaced(message, first.span, label, foreign, hint)
            case tree.Item(_, subscripts) if len(subscripts) != 1:
                message, label = "a list has one subscript", f"{len(subscripts)} subscripts"
                note, hint = "lists hold ints; there are no lists of lists", "write `a[k]`"
                yield problem(Code.NO_SUCH_MEMBER, message, node.span, label, note, hint)
            case _:
                pass


def _function_problems(node: tree.Call, suggestions: Suggestions) -> Iterator[Diagnostic]:
    """TN207 where the function is unknown, TN208 where its arguments do not fit."""
    name = node.function.name.text if isinstance(node.function, tree.Reference) else None
    if name is not None and name in FUNCTIONS:
        yield from argument_problems(node.arguments, node.function.span, name, FUNCTIONS[name])
        return
    message = f"there is no function `{name}`" if name else "only functions can be called"
    note = f"the functions of expressions: {listed(FUNCTIONS, most=20)}"
    hint = "use one of these, or compute it before"
    if name and (close := suggestions.closest(name, tuple(FUNCTIONS))):
        hint = f"did you mean `{close}`?"
    yield misplaced(message, node.function.span, "unknown function", note, hint)


class Signature(Protocol):
    """What a call is checked against; see `Function`."""

    @property
    def signature(self) -> str: ...

    @property
    def least(self) -> int: ...

    @property
    def most(self) -> int | None: ...

    @property
    def names(self) -> tuple[str, ...]: ...


def argument_problems(
    arguments: Sequence[tree.Argument],
    called: Span,
    name: str,
    function: Signature,
    advice: Callable[[str], str | None] = lambda _: None,
) -> Iterator[Diagnostic]:
    """TN208 for the first argument of a call of `name` that does not fit.

    `called` is where the name stands; `advice` is what to write in place of an unknown argument.
    """

    def wrong(message: str, span: Span, label: str, hint: str | None = None) -> Diagnostic:
        note = f"it is called as `{function.signature}`"
        hint = hint or f"call it as `{function.signature}`"
        return problem(Code.WRONG_ARGUMENT, message, span, label, note, hint)

    filled: list[str] = []
    named = False
    for k, argument in enumerate(arguments):
        if argument.name is None:
            if named:
                yield wrong("arguments by position come first", argument.span, "after a named one")
                return
            if function.most is not None and k >= function.most:
                count = "one argument" if function.most == 1 else f"{function.most} arguments"
                yield wrong(f"`{name}` takes {count}", argument.span, "one too many")
                return
            filled.append(function.names[k] if function.names else str(k))
            continue
        named = True
        if argument.name.text not in function.names:
            message = f"`{name}` has no argument `{argument.name.text}`"
            hint = advice(argument.name.text)
            yield wrong(message, argument.name.span, "unknown argument", hint)
            return
        if argument.name.text in filled:
            message = f"`{argument.name.text}` is given twice"
            yield wrong(message, argument.name.span, "again here")
            return
        filled.append(argument.name.text)
    missing = [name for name in function.names[: function.least] if name not in filled]
    if missing or len(filled) < function.least:
        count = "an argument" if function.least == 1 else f"{function.least} arguments"
        if missing and len(function.names) > function.least:
            count = f"its {listed(missing)}"
        yield wrong(f"`{name}` needs {count}", called, "too few arguments")


def part_as_parameter(names: BlockNames) -> Iterator[Diagnostic]:
    """TN207: a parameter of a network that is a part."""
    for parameter in names.block.parameters:
        if parameter.type.name.text == "part":
            note = "a network is one sum of products; a part is called, which models do"
            hint = "write `int`, `int[n]`, `bool` or `float`"
            span, label = parameter.type.span, "this is for models"
            yield misplaced("a network is given no parts", span, label, note, hint)


# ── attributes ─────────────────────────────────────────────────────────────────────────────────


def unknown_scheme(names: BlockNames) -> Iterator[Diagnostic]:
    """TN207 for a scheme that there is not; TN208 for its arguments."""
    for statement in names.block.statements:
        if isinstance(statement, tree.TensorStatement | tree.BiasStatement):
            for attribute in statement.attributes:
                if isinstance(attribute, tree.Scheme):
                    yield from scheme_problems(attribute, names.suggestions)


def scheme_problems(
    scheme: tree.Scheme, suggestions: Suggestions, *, integer: bool = False
) -> Iterator[Diagnostic]:
    """TN207 for a scheme that there is not, or not of integers; TN208 for its arguments."""
    name = scheme.name.text
    schemes = INT_SCHEMES if integer else SCHEMES
    if name not in schemes:
        close = suggestions.closest(name, tuple(schemes))
        note = f"the schemes: {listed(schemes.values(), most=20)}"
        hint = f"did you mean `{close}`?" if close else "use one of these"
        message = f"there is no scheme `{name}`"
        if integer and name in SCHEMES:
            message = f"`{name}` draws no integers"
            note = f"the schemes of integers: {listed(schemes.values(), most=20)}"
            hint = "use one of these, or leave out `int`"
        elif name in INT_SCHEMES:
            message = f"`{name}` is a scheme of integers"
            hint = "a tensor of a model may be `int`; others take one of these"
        yield misplaced(message, scheme.name.span, "unknown scheme", note, hint)
        return
    wanted = _ARGUMENTS.get(name)
    takes = f"`{name}` takes one argument" if wanted else f"`{name}` takes no argument"

    def wrong(message: str, span: Span) -> Diagnostic:
        hint = f"write it as in `init {name}(0.1)`" if wanted else "remove it"
        return problem(Code.WRONG_ARGUMENT, message, span, "this", takes, hint)

    for k, argument in enumerate(scheme.arguments):
        if argument.name is not None and argument.name.text != wanted:
            yield wrong(f"`{name}` has no argument `{argument.name.text}`", argument.name.span)
        elif k >= bool(wanted):
            yield wrong(takes, argument.span)
    if wanted and not scheme.arguments:
        yield wrong(f"`{name}` needs its `{wanted}`", scheme.name.span)


def misplaced_attribute(names: BlockNames) -> Iterator[Diagnostic]:
    """TN207: attributes that are unknown, twice there, or do not belong on this statement."""
    for statement in names.block.statements:
        match statement:
            case tree.TensorStatement(name, _, _, attributes):
                yield from attribute_problems(attributes, "tensor", ATTRIBUTES, names.suggestions)
                yield from against_tie(attributes, name.text)
            case tree.BiasStatement(_, _, attributes):
                yield from attribute_problems(attributes, "bias", ("init", "if"), names.suggestions)
            case tree.OutputStatement(_, _, _, attributes):
                yield from attribute_problems(attributes, "output", (), names.suggestions)
            case tree.BatchStatement(declarations):
                for each in declarations:
                    if each.causal is not None:
                        yield _causal(each.causal)
                    elif each.condition is not None:
                        yield _optional(each.condition)
            case _:
                pass


def _causal(word: tree.Name) -> Diagnostic:
    message, label = "`causal` is for the run-time sizes of models", "not here"
    note = "each entry along a batch axis of a network depends on its own entry of the inputs alone"
    return misplaced(message, word.span, label, note, "remove it")


def _optional(condition: tree.Expression) -> Diagnostic:
    message, label = "a batch axis of a network takes no condition", "not here"
    note = "a run-time size of a model does, as its inputs do"
    hint = "remove it; the number of leading axes is open where `...` stands for them"
    return misplaced(message, condition.span, label, note, hint)


def _word(attribute: tree.Attribute) -> str:
    if isinstance(attribute, tree.UnknownAttribute):
        return attribute.name.text
    return "init" if isinstance(attribute, tree.Scheme) else type(attribute).__name__.lower()


def attribute_problems(
    attributes: Sequence[tree.Attribute],
    statement: str,
    allowed: tuple[str, ...],
    suggestions: Suggestions,
) -> Iterator[Diagnostic]:
    """TN207 for attributes that are not `allowed` on this kind of statement, or there twice."""
    known = (*allowed, "log") if statement == "output" else allowed
    note = f"after the legs of {with_article(statement)}: {listed(known)}"
    seen: set[str] = set()
    for attribute in attributes:
        word = _word(attribute)
        if isinstance(attribute, tree.UnknownAttribute):
            close = suggestions.closest(word, known)
            hint = f"did you mean `{close}`?" if close else "remove it"
            if word == "log":
                hint = "remove it; `log` is for the output: `output y(…) log`"
            if word.rstrip("0123456789") in _DTYPES:
                hint = f"remove it; {MODULE_DTYPE}"
            if word.startswith("complex") and "complex" in allowed:
                hint = "did you mean `complex`?"
            if word in SCHEMES and "init" in allowed and "init" not in seen:
                argument = "(0.1)" if word in _ARGUMENTS else ""
                hint = f"write `init {word}{argument}`"
            message = f"there is no attribute `{word}`"
            yield misplaced(message, attribute.name.span, "unknown attribute", note, hint)
        elif word not in allowed:
            message = f"`{word}` does not belong on {with_article(statement)}"
            yield misplaced(message, _start(attribute, word), "not here", note, "remove it")
        elif word in seen and (word, statement) != ("tie", "part"):
            message = f"`{word}` is there twice"
            yield misplaced(message, _start(attribute, word), "again here", note, "keep one")
        seen.add(word)


def _start(attribute: tree.Attribute, word: str) -> Span:
    """The word itself, where the attribute starts with it."""
    span = attribute.span
    if span.text.startswith(word):
        return Span(span.source, span.start, span.start + len(word))
    return span


def against_tie(attributes: Sequence[tree.Attribute], tensor: str) -> Iterator[Diagnostic]:
    """A tied tensor is another's parameter: it cannot start, be shared or be frozen by itself."""
    tie = next((attribute for attribute in attributes if isinstance(attribute, tree.Tie)), None)
    for attribute in attributes if tie is not None else ():
        if isinstance(attribute, tree.Scheme | tree.Frozen | tree.Complex | tree.Int | tree.Share):
            word = _word(attribute)
            message, label = f"`{word}` cannot go with `tie`", "decided by the other tensor"
            note = f"`{tensor}` has no parameter of its own"
            hint = f"write `{word}` on the tensor that it is tied to"
            yield misplaced(message, _start(attribute, word), label, note, hint)


def log_with_bias(names: BlockNames) -> Iterator[Diagnostic]:
    """TN207: a bias cannot be added to a logarithm."""
    biases = [s for s in names.block.statements if isinstance(s, tree.BiasStatement)]
    for statement in names.block.statements if biases else ():
        if isinstance(statement, tree.OutputStatement) and statement.log is not None:
            message = "`log` and a bias exclude each other"
            label, hint = "the output is a logarithm", "remove `log` or the bias"
            note = "with `log` the result is a sign and a logarithm, which have no sum"
            bias = Label(biases[0].name.span, "this bias would be added to it")
            yield problem(Code.MISPLACED, message, statement.log.span, label, note, hint, bias)


RULES: tuple[Rule, ...] = (
    part_as_parameter,
    misused_expression,
    unknown_scheme,
    misplaced_attribute,
    log_with_bias,
)
