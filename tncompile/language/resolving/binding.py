"""Arguments to the values of parameters: types, lengths of lists, defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from tncompile.language.diagnostics.collector import Failed, Problems, counted, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.evaluating import arithmetic
from tncompile.language.evaluating.compiled import evaluate
from tncompile.language.evaluating.factorization import factorize
from tncompile.language.evaluating.scope import Scope
from tncompile.language.linked import ArgumentValue
from tncompile.language.parsing.lexer import one_line
from tncompile.language.resolved import Value, value_text
from tncompile.language.syntax.tree import Block, Expression, ListOf, Parameter, Reference
from tncompile.language.syntax.walk import values_used

_LARGEST_FACTORED = 2**24
_LIST_OR_INT = "a list of int, or one int for all items"


def bind(
    block: Block, arguments: Mapping[str, ArgumentValue], scope: Scope, problems: Problems
) -> None:
    """Put the values of the parameters, and of the lengths they bind, into `scope`.

    A parameter that fails stays without a value; its diagnostic goes to `problems`.
    """
    lost: set[str] = set()
    for parameter in block.parameters:
        name, length = parameter.name.text, parameter.type.length
        scope.declared[name] = parameter.name.span
        if parameter.type.name.text == "part":
            continue  # handed on, see `resolve_model`
        argument = arguments.get(name)
        lengths = {length.name.text} if isinstance(length, Reference) else set()
        try:
            if argument is None and parameter.default is not None:
                value = evaluate(parameter.default, scope)
                argument = ArgumentValue(value, parameter.default.span)
            if argument is None:
                raise Failed(None)  # reported where the block is called
            if not isinstance(argument.value, tuple) and lengths & lost:
                raise Failed(None)  # an argument that failed would have bound the length
            scope.values[name] = _conform(parameter, argument, scope)
            scope.places[name] = argument.span
        except Failed as failed:
            diagnostic = failed.diagnostic
            if diagnostic is not None and argument is not None and argument.quoted is not None:
                note = f"the argument is `{argument.quoted}`"  # it has no place in the file
                diagnostic = replace(diagnostic, notes=(note, *diagnostic.notes))
            problems.add(diagnostic)
            lost |= lengths


def _conform(parameter: Parameter, argument: ArgumentValue, scope: Scope) -> Value:
    """The value as the type of the parameter wants it."""
    value = argument.value
    if parameter.type.length is not None:
        return _conform_list(parameter, parameter.type.length, argument, scope)
    match parameter.type.name.text, value:
        case "bool", bool():
            return value
        case "int", int() if not isinstance(value, bool):
            return arithmetic.bounded(value, argument.span, "number")
        case "float", int() | float() if not isinstance(value, bool):
            if isinstance(value, int):
                return float(arithmetic.bounded(value, argument.span, "number"))
            if not math.isfinite(value):
                raise _wrong(parameter, argument, "a finite number", actual=value_text(value))
            return value
        case wanted, _:
            raise _wrong(parameter, argument, "an int" if wanted == "int" else f"a {wanted}")


def _wrong(
    parameter: Parameter, argument: ArgumentValue, wanted: str, *, actual: str = ""
) -> Failed:
    name, value = parameter.name.text, argument.value
    actual = actual or arithmetic.kind_of(value)
    takes = f"`{name}` takes {wanted}"
    label = f"this is {actual}" if argument.quoted is None else takes
    hint = f"give `{name}` {wanted}"
    if wanted in ("an int", _LIST_OR_INT) and arithmetic.is_whole(value):
        hint = f"write `{int(value)}`"
    message, note = f"{takes}, not {actual}", _declared_as(parameter)
    return failure(Code.WRONG_TYPE, message, argument.span, label, note, argument.advice or hint)


def _declared_as(parameter: Parameter) -> str:
    return f"`{parameter.name.text}` is declared as `{one_line(parameter.type.span)}`"


def _conform_list(
    parameter: Parameter, length: Expression, argument: ArgumentValue, scope: Scope
) -> tuple[int, ...]:
    value = argument.value
    if isinstance(length, Reference) and length.name.text not in scope.values:
        if not isinstance(value, tuple):
            raise _no_length(parameter, argument, length)
        scope.values[length.name.text] = len(value)
        scope.places[length.name.text] = argument.span
        return _items_in_bounds(value, argument)
    wanted = max(0, arithmetic.integer(length, evaluate(length, scope)))
    match value:
        case tuple() if len(value) == wanted:
            return _items_in_bounds(value, argument)
        case tuple():
            bound = [
                Label(scope.places[used.name.text], f"this makes it {wanted}")
                for used in values_used(length)
                if used.name.text in scope.places
            ]
            text, items = one_line(length.span), counted(wanted, "item")
            written = "" if text == str(wanted) else f" (`{text}`)"
            needed = f"{items}{written} {'is' if wanted == 1 else 'are'} needed"
            name, label = parameter.name.text, f"{len(value)} here"
            message = f"`{name}` has {counted(len(value), 'item')} where {needed}"
            span, note, hint = argument.span, _declared_as(parameter), f"give `{name}` {items}"
            origin = tuple(bound[:1]) or Label(length.span, f"{wanted} here")
            raise failure(Code.LENGTH_MISMATCH, message, span, label, note, hint, origin)
        case int() if not isinstance(value, bool):
            if wanted > arithmetic.LARGEST_LIST:
                raise arithmetic.too_long(argument.span, wanted)
            scope.uniform.add(parameter.name.text)
            return (arithmetic.bounded(value, argument.span, "number"),) * wanted
        case _:
            raise _wrong(parameter, argument, _LIST_OR_INT)


def _items_in_bounds(items: tuple[int, ...], argument: ArgumentValue) -> tuple[int, ...]:
    if len(items) > arithmetic.LARGEST_LIST:
        raise arithmetic.too_long(argument.span, len(items))
    for item in items:
        arithmetic.bounded(item, argument.span, "number")
    return items


def _no_length(parameter: Parameter, argument: ArgumentValue, length: Reference) -> Failed:
    name, n = parameter.name.text, length.name.text
    if arithmetic.kind_of(argument.value) != "an int":
        return _wrong(parameter, argument, "a list of int")
    size = argument.value if isinstance(argument.value, int) else 1
    factors = factorize(size, 2) if 4 <= size <= _LARGEST_FACTORED else None
    like = parameter.default.items if isinstance(parameter.default, ListOf) else ()
    items = ", ".join([str(size)] * max(len(like), 1))  # as long as the default, such as [3, 3]
    hint = f"write a list: `{name} = [{items}]`"
    if not like and factors is not None and 1 not in factors:
        first, second = factors
        hint = f"write a list: `{name} = [{first}, {second}]`, which is `factor({size}, 2)`"
    message = f"`{name}` takes a list here: nothing else says how long it is"
    note = f"one int stands for a whole list only once a list before it has bound `{n}`"
    return failure(Code.WRONG_TYPE, message, argument.span, "this is one int", note, hint)
