"""Calls, pipes and `repeat`: what is called, and with what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from tncompile.language.diagnostics.collector import Failed, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.evaluating.functions import FUNCTIONS as NUMBER_FUNCTIONS
from tncompile.language.parsing.lexer import one_line
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span
from tncompile.language.typing.calls import call_part
from tncompile.language.typing.calls.scanning import apply_scan
from tncompile.language.typing.expressions import numbers
from tncompile.language.typing.functions import FUNCTIONS, apply_function
from tncompile.language.typing.functions.attention import apply_attention
from tncompile.language.typing.habits import OF_VALUES
from tncompile.language.typing.model import Part
from tncompile.language.typing.names import Family
from tncompile.language.typing.operations import Turn
from tncompile.language.typing.state import Call, Typed, inside
from tncompile.language.typing.values import Term, Tuple, Value

if TYPE_CHECKING:
    from tncompile.language.resolved import Value as Whole
    from tncompile.language.typing.expressions import Reader

MOST_TURNS = 10_000


def pipe(reader: Reader, piped: Typed, stage: tree.Expression) -> Term:
    """`piped |> stage`."""
    return _through(reader, piped, (stage,))


def _through(reader: Reader, piped: Typed, stages: Sequence[tree.Expression]) -> Term:
    for stage in stages:
        piped = Typed(_stage(reader, piped, stage), stage.span)
    return piped.term


def _stage(reader: Reader, piped: Typed, node: tree.Expression) -> Term:
    node = reader.chosen(node)
    match node:
        case tree.Repeat():
            return _repeat(reader, piped, node)
        case tree.NetworkExpression():
            return reader.contraction(node, piped)
        case tree.Call():
            return call(reader, node, piped)
        case tree.Reference() | tree.Item():
            return _apply(reader, node, (), node.span, piped)
        case tree.Binary(symbol, tree.Reference() | tree.Item() | tree.Call() as stage):
            first = f"write `(… |> {one_line(stage.span)}) {symbol} …`: `|>` binds loosest"
            raise _no_stage(node, "an expression", first)
        case _:
            raise _no_stage(node, "an expression")


def _repeat(reader: Reader, piped: Typed, node: tree.Repeat) -> Term:
    """The stages as often as the range says; shapes may change from turn to turn."""
    typing, subscript = reader.typing, node.subscript
    start, stop = reader.integer(subscript.start), reader.integer(subscript.stop)
    if stop - start > MOST_TURNS:
        message = f"this repeats {stop - start} times"
        note, hint = f"at most {MOST_TURNS} turns are unrolled", "make the range smaller"
        span = subscript.start.span.to(subscript.stop.span)
        raise failure(Code.TOO_MANY, message, span, "too many turns", note, hint)
    stages: list[tree.Expression] = []
    body: tree.Expression = node.stage
    while isinstance(body, tree.Pipe):
        stages.append(body.stage)
        body = body.value
    stages.append(body)
    stages.reverse()
    name, loop = subscript.name.text, len(typing.operations)
    for count in range(start, stop):
        turn = Turn(loop, name, count)
        inner = reader.within({name: count}, inside(typing, turn))
        piped = Typed(_through(inner, piped, stages), node.span)
    return piped.term


def call(reader: Reader, node: tree.Call, piped: Typed | None) -> Term:
    """A call as written, with what is piped into it as its first arguments."""
    function = reader.chosen(node.function)
    return _apply(reader, function, node.arguments, node.span, piped)


def _apply(
    reader: Reader,
    function: tree.Expression,
    written: Sequence[tree.Argument],
    span: Span,
    piped: Typed | None,
) -> Term:
    callee = _callee(reader, function)
    first: list[Typed] = []
    if piped is not None:
        terms = piped.term.items if isinstance(piped.term, Tuple) else (piped.term,)
        first = [Typed(term, piped.span) for term in terms]
    if callee == "scan":
        cell, rest = _cell(reader, function, written, first)
        arguments = (*first, *reader.arguments(rest))
        return apply_scan(reader.typing, _call("scan", function, span, arguments, first), cell,
                          call_part)  # fmt: skip
    arguments = (*first, *reader.arguments(written))
    if isinstance(callee, Part):
        described = _call(f"`{callee.name}`", function, span, arguments, first)
        return call_part(reader.typing, callee, described)
    described = _call(callee, function, span, arguments, first)
    if callee in NUMBER_FUNCTIONS and (callee not in FUNCTIONS or _numeric(arguments)):
        return _number(reader, callee, function, span, described)
    if callee in numbers.ANALYTIC and len(arguments) == 1 and arguments[0].name is None:
        number = arguments[0].term
        if isinstance(number, int | float) and not isinstance(number, bool):
            return numbers.analytic(callee, number, span)
    if callee == "attention":
        return apply_attention(reader.typing, described)
    return apply_function(reader.typing, callee, described)


def _call(
    text: str,
    function: tree.Expression,
    span: Span,
    arguments: tuple[Typed, ...],
    first: Sequence[Typed],
) -> Call:
    return Call(text, function.span, span, arguments, len(first))


def _callee(reader: Reader, node: tree.Expression) -> Part | str:
    """The part, or the name of the function; TN604 for anything else."""
    match node:
        case tree.Reference(name):
            entity = reader.entity(name)
            if isinstance(entity, Family):
                member = entity.member((), name.span)
                if isinstance(member, Part):
                    return member
                raise _not_callable(node, entity.name.span, _what(entity, member))
            if entity is not None:
                raise _not_callable(node, None, "a number")
            if reader.knows_function(name.text):
                return name.text
            raise Failed(None)  # unknown or failed, which is reported
        case tree.Item():
            found = reader.member(node)
            if isinstance(found, Part):
                return found
            if found is not None and isinstance(node.value, tree.Reference):
                family = reader.entity(node.value.name)
                if isinstance(family, Family):
                    raise _not_callable(node, family.name.span, _what(family, found))
    first = _first_call(node)
    reader.term(first)  # a mistake in it comes first
    raise _not_callable(first, None, "an expression")


def _first_call(node: tree.Expression) -> tree.Expression:
    """Of a chain of calls and items, `f(x)(y)[0](z)`, the first call, in a loop; else all of it."""
    first = inner = node
    while isinstance(inner, tree.Call | tree.Item):
        if isinstance(inner, tree.Call):
            first = inner
        inner = inner.function if isinstance(inner, tree.Call) else inner.value
    return first


def _what(family: Family, member: Term | Part) -> str:
    return {"input": "an input", "tensor": "a tensor"}.get(
        family.what, "a value" if isinstance(member, Value) else "no part"
    )


def _not_callable(
    node: tree.Expression, declared: Span | None, what: str, hint: str = ""
) -> Failed:
    text = one_line(node.span)
    message = f"`{text}` is {what}: it cannot be called"
    note = "parts, their members and functions are called"
    hint = hint or "name a part or a function here"
    labels = () if declared is None else Label(declared, "declared here")
    return failure(Code.NOT_CALLABLE, message, node.span, what, note, hint, labels)


def _no_stage(node: tree.Expression, what: str, hint: str = "") -> Failed:
    message = f"{what} is no stage of a pipe"
    note = "a stage is a part, a function, a call of one, `network { … }`, `repeat`, or a choice"
    hint = hint or "write the name of a part or a function, or put the value into its call"
    return failure(Code.NOT_CALLABLE, message, node.span, "not a stage", note, hint)


def not_a_value(node: tree.Repeat) -> NoReturn:
    """TN604 for a `repeat` that nothing is piped into."""
    message, label = "nothing goes into this `repeat`", "a stage, not a value"
    note = "`repeat` is a stage of a pipe"
    hint = "pipe a value into it: `x |> repeat k in 0..3 { … }`"
    raise failure(Code.NOT_CALLABLE, message, node.span, label, note, hint)


def _cell(
    reader: Reader,
    function: tree.Expression,
    written: Sequence[tree.Argument],
    piped: Sequence[Typed],
) -> tuple[Part, Sequence[tree.Argument]]:
    """The part that `scan` runs, and the other arguments."""
    for k, argument in enumerate(written):
        if argument.name is not None and argument.name.text != "cell":
            continue
        if k and argument.name is None:
            continue
        callee = _callee(reader, reader.chosen(argument.value))
        if isinstance(callee, Part):
            return callee, [*written[:k], *written[k + 1 :]]
        message = f"`scan` runs a part, and `{one_line(argument.span)}` is a function"
        note = "a cell takes an entry and the state, and gives the new state"
        hint = "declare a model that calls it, and a part of that model"
        raise failure(Code.NOT_CALLABLE, message, argument.span, "a function", note, hint)
    message = "`scan` needs the part that it runs"
    note, hint = "the first argument is the cell", "write `scan(cell, xs, state, dim = t)`"
    label = "a value is piped in its place" if piped else "no cell"
    raise failure(Code.WRONG_ARGUMENT, message, function.span, label, note, hint)


def _numeric(arguments: Sequence[Typed]) -> bool:
    return all(isinstance(each.term, bool | int | float | tuple) for each in arguments)


def _number(reader: Reader, name: str, node: tree.Expression, span: Span, call: Call) -> Term:
    """A function of numbers, such as `prod(d)` or `max(s - 1, 0)`."""
    function = NUMBER_FUNCTIONS[name]
    order = {word: k for k, word in enumerate(function.names)}
    slots: dict[int, tuple[tree.Expression, Whole]] = {}
    for k, argument in enumerate(call.arguments):
        place = k
        if argument.name is not None:
            place = order.get(argument.name.text, -1)
        number = reader.typing.number(argument, OF_VALUES.get(name))
        count = function.most is not None and k >= function.most
        if place < 0 or place in slots or count:
            raise _wrong_count(call, function.signature, argument.span)
        if not isinstance(number, bool | int | float | tuple):
            message, label = f"`{name}` takes numbers and lists of integers", "neither"
            hint = f"write `{function.signature}`"
            note = "other lists and strings are for functions of values"
            raise failure(Code.WRONG_TYPE, message, argument.span, label, note, hint)
        slots[place] = (tree.Number("0", span=argument.span), number)
    if len(slots) < function.least or sorted(slots) != list(range(len(slots))):
        raise _wrong_count(call, function.signature, node.span)
    values = tuple(slots[k] for k in sorted(slots))
    reader.typing.budget.charge(function.cost(values), span)
    return function.compute(tree.Call(node, (), span=span), values)


def _wrong_count(call: Call, signature: str, span: Span) -> Failed:
    message, label = f"`{call.text}` is called with other arguments than it takes", "does not fit"
    note, hint = "arguments are given in order, or by name", f"write `{signature}`"
    return failure(Code.WRONG_ARGUMENT, message, span, label, note, hint)
