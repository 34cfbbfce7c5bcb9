"""Arguments to the values of parameters: types, lengths of lists, defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from tncompile.language.diagnostics.collector import (
    Failed,
    Problems,
    counted,
    failure,
    with_article,
)
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.evaluating.arithmetic import (
    LARGEST_LIST,
    LARGEST_VALUE,
    integer,
    is_whole,
    kind_of,
    too_large,
    too_long,
)
from tncompile.language.evaluating.compiled import evaluate
from tncompile.language.evaluating.factorization import factorize
from tncompile.language.evaluating.scope import Scope
from tncompile.language.linked import ArgumentValue
from tncompile.language.parsing.lexer import one_line
from tncompile.language.resolved import Value, value_text
from tncompile.language.syntax.tree import Block, Expression, Parameter, Reference
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
        scope.declared[parameter.name.text] = parameter.name.span
        argument = arguments.get(parameter.name.text)
        try:
            if argument is None:
                argument = _default(parameter, scope)
            if _waits_for(parameter, argument, lost):
                raise Failed(None)
            value = _conform(parameter, argument, scope)
        except Failed as failed:
            problems.add(_quoting(failed.diagnostic, argument))
            lost.update(_lengths(parameter))
            continue
        scope.values[parameter.name.text] = value
        scope.places[parameter.name.text] = argument.span


def _lengths(parameter: Parameter) -> tuple[str, ...]:
    """The name that the type of the parameter may bind."""
    length = parameter.type.length
    return (length.name.text,) if isinstance(length, Reference) else ()


def _waits_for(parameter: Parameter, argument: ArgumentValue, lost: set[str]) -> bool:
    """Whether one int is to stand for a list whose length a failed argument would have bound."""
    return not isinstance(argument.value, tuple) and any(n in lost for n in _lengths(parameter))


def _quoting(diagnostic: Diagnostic | None, argument: ArgumentValue | None) -> Diagnostic | None:
    """The diagnostic with a note on the argument that has no place in the file."""
    if diagnostic is None or argument is None or argument.quoted is None:
        return diagnostic
    note = f"the argument is `{argument.quoted}`"
    return replace(diagnostic, notes=(note, *diagnostic.notes))


def _default(parameter: Parameter, scope: Scope) -> ArgumentValue:
    if parameter.default is None:
        raise Failed(None)  # reported where the block is called
    return ArgumentValue(evaluate(parameter.default, scope), parameter.default.span)


def _conform(parameter: Parameter, argument: ArgumentValue, scope: Scope) -> Value:
    """The value as the type of the parameter wants it."""
    value = argument.value
    if parameter.type.length is not None:
        return _conform_list(parameter, parameter.type.length, argument, scope)
    match parameter.type.name.text, value:
        case "bool", bool():
            return value
        case "int", int() if not isinstance(value, bool):
            return _in_bounds(value, argument)
        case "float", int() | float() if not isinstance(value, bool):
            if isinstance(value, int):
                return float(_in_bounds(value, argument))
            if not math.isfinite(value):
                raise _wrong(parameter, argument, "a finite number", actual=value_text(value))
            return value
        case wanted, _:
            raise _wrong(parameter, argument, with_article(wanted))


def _in_bounds(value: int, argument: ArgumentValue) -> int:
    if -LARGEST_VALUE <= value <= LARGEST_VALUE:
        return value
    raise too_large(argument.span, "number")


def _wrong(
    parameter: Parameter, argument: ArgumentValue, wanted: str, *, actual: str = ""
) -> Failed:
    name, value = parameter.name.text, argument.value
    actual = actual or with_article(kind_of(value))
    hint = f"give `{name}` {wanted}"
    if wanted in ("an int", _LIST_OR_INT) and is_whole(value):
        hint = f"write `{int(value)}`"
    return failure(
        Code.WRONG_TYPE,
        f"`{name}` takes {wanted}, not {actual}",
        argument.span,
        f"this is {actual}" if argument.quoted is None else f"`{name}` takes {wanted}",
        notes=(f"`{name}` is declared as `{_type_text(parameter)}`",),
        hint=argument.advice or hint,
    )


def _type_text(parameter: Parameter) -> str:
    return one_line(parameter.type.span)


def _conform_list(
    parameter: Parameter, length: Expression, argument: ArgumentValue, scope: Scope
) -> tuple[int, ...]:
    value = argument.value
    binds = isinstance(length, Reference) and length.name.text not in scope.values
    if binds and isinstance(length, Reference):
        if not isinstance(value, tuple):
            raise _no_length(parameter, argument, length)
        scope.values[length.name.text] = len(value)
        scope.places[length.name.text] = argument.span
        return _items_in_bounds(value, argument)
    wanted = max(0, integer(length, evaluate(length, scope)))
    match value:
        case tuple() if len(value) == wanted:
            return _items_in_bounds(value, argument)
        case tuple():
            raise _length_differs(parameter, length, wanted, argument, scope)
        case int() if not isinstance(value, bool):
            if wanted > LARGEST_LIST:
                raise too_long(argument.span, wanted)
            return (_in_bounds(value, argument),) * wanted
        case _:
            raise _wrong(parameter, argument, _LIST_OR_INT)


def _items_in_bounds(items: tuple[int, ...], argument: ArgumentValue) -> tuple[int, ...]:
    if len(items) > LARGEST_LIST:
        raise too_long(argument.span, len(items))
    for item in items:
        _in_bounds(item, argument)
    return items


def _no_length(parameter: Parameter, argument: ArgumentValue, length: Reference) -> Failed:
    name, n = parameter.name.text, length.name.text
    if kind_of(argument.value) != "int":
        return _wrong(parameter, argument, "a list of int")
    size = argument.value if isinstance(argument.value, int) else 1
    factors = factorize(size, 2) if 4 <= size <= _LARGEST_FACTORED else None
    hint = f"write a list: `{name} = [{size}]`"
    if factors is not None and 1 not in factors:
        first, second = factors
        hint = f"write a list: `{name} = [{first}, {second}]`, which is `factor({size}, 2)`"
    return failure(
        Code.WRONG_TYPE,
        f"`{name}` takes a list here: nothing else says how long it is",
        argument.span,
        "this is one int",
        notes=(f"one int stands for a whole list only once a list before it has bound `{n}`",),
        hint=hint,
    )


def _length_differs(
    parameter: Parameter, length: Expression, wanted: int, argument: ArgumentValue, scope: Scope
) -> Failed:
    count = len(argument.value) if isinstance(argument.value, tuple) else 1
    bound = [
        Label(scope.places[used.name.text], f"this makes it {wanted}")
        for used in values_used(length)
        if used.name.text in scope.places
    ]
    name = parameter.name.text
    text = one_line(length.span)
    written = "" if text == str(wanted) else f" (`{text}`)"
    return failure(
        Code.LENGTH_MISMATCH,
        f"`{name}` has {counted(count, 'item')} where {counted(wanted, 'item')}{written} "
        f"{'is' if wanted == 1 else 'are'} needed",
        argument.span,
        f"{count} here",
        secondary=tuple(bound[:1]) or (Label(length.span, f"{wanted} here"),),
        notes=(f"`{name}` is declared as `{_type_text(parameter)}`",),
        hint=f"give `{name}` {counted(wanted, 'item')}",
    )
