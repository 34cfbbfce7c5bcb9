"""All functions of values by name, and what a call of one gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import tncompile.language.typing.functions.constants as constants
import tncompile.language.typing.functions.elementwise as elementwise
import tncompile.language.typing.functions.fourier as fourier
import tncompile.language.typing.functions.joining as joining
import tncompile.language.typing.functions.lookups as lookups
import tncompile.language.typing.functions.reductions as reductions
import tncompile.language.typing.functions.resizing as resizing
import tncompile.language.typing.functions.shapes as shapes
from tncompile.language.diagnostics.errors import InternalError
from tncompile.language.typing.functions.declaring.arguments import count, flag, real
from tncompile.language.typing.functions.declaring.binding import (
    Bound,
    Function,
    Parameter,
    axis,
    bind,
    exact_kinds,
    option,
    optional,
    value,
)
from tncompile.language.typing.functions.declaring.kinds import ANY
from tncompile.language.typing.functions.operators import operator_kinds
from tncompile.language.typing.operations import Apply
from tncompile.language.typing.state import Call, Typing, limited_sizes
from tncompile.language.typing.values import Kind, Shape, Term


def _elsewhere(bound: Bound) -> NoReturn:
    raise InternalError(f"`{bound.function.name}` is typed by a module of its own")


ATTENTION = Function(
    "attention",
    (
        *map(value, "qkv"),
        Parameter("mask", "value", needed=False),
        option("causal", flag, False),
        optional("reach", count),
        optional("scale", real),
        option("dropout", real, 0.0),
        Parameter("relative", "value", needed=False),
    ),
    ANY,
    _elsewhere,
)
SCAN = Function(
    "scan",
    (value("cell"), value("xs"), value("state"), axis(), option("reverse", flag, False)),
    ANY,
    _elsewhere,
)
"""Known here for their names and signatures."""

FUNCTIONS: Mapping[str, Function] = {
    function.name: function
    for function in (
        *elementwise.FUNCTIONS,
        *reductions.FUNCTIONS,
        *shapes.FUNCTIONS,
        *joining.FUNCTIONS,
        *resizing.FUNCTIONS,
        *lookups.FUNCTIONS,
        *constants.FUNCTIONS,
        *fourier.FUNCTIONS,
        ATTENTION,
        SCAN,
    )
}


def apply_function(typing: Typing, name: str, call: Call) -> Term:
    """What a call of a function gives: a value, or a tuple of them."""
    function = FUNCTIONS[name]
    typing.budget.charge(len(call.arguments), call.span)
    with limited_sizes(call.name):
        bound = bind(typing, function, call)
        result = function.result(bound)
    operands = tuple(operand.value for operand in bound.operands)
    if isinstance(result, list):
        typing.budget.charge(len(result), call.span)
        operation = Apply(
            operands, function=name, options=bound.options, span=call.span, turns=typing.turns
        )
        return typing.values(operation, result)
    kind, shape = (bound.kind, result) if isinstance(result, Shape) else result
    return typing.apply(name, operands, kind, shape, call.span, bound.options)


def operand_kinds(operation: Apply) -> tuple[Kind, ...]:
    """The kinds that the operands are converted to before the function is computed.

    They differ from the operands' own where kinds are mixed, and where a function makes ints of
    bools or floats of ints.
    """
    kinds = [operand.kind for operand in operation.operands]
    rule = operator_kinds(operation.function)
    exact: list[Kind | None] = [None] * len(kinds)
    if rule is None:
        function = FUNCTIONS[operation.function]
        rule, exact = function.kinds, exact_kinds(function, len(kinds))
    free = [kind for kind, fixed in zip(kinds, exact, strict=True) if fixed is None]
    return tuple(fixed or rule.taken(free) for fixed in exact)
