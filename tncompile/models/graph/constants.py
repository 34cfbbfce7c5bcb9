"""Values that no input changes: computed when a module is made, and held beside its parameters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from tncompile.language.typing.model import ResolvedModel
from tncompile.language.typing.operations import (
    Apply,
    CallPart,
    Contract,
    Entries,
    Literal,
    Operation,
    Scan,
    Select,
)
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Shape, Value
from tncompile.models.graph.numbers import is_number, picked_values


def held_values(model: ResolvedModel, live: Sequence[Operation]) -> list[Value]:
    """The constants that `forward` reads, in the order in which they are computed.

    Numbers are written where they are used, unless a part takes one: parts take tensors, but for
    the number of a slice of a network.
    """
    fixed: dict[Value, bool] = {}
    read: dict[Value, None] = {}
    for operation in live:
        if not _inside(operation, fixed):
            written = set(picked_values(operation))
            parts = isinstance(operation, CallPart | Scan)
            for value in operation.operands:
                if value not in written and (parts or not is_number(value)):
                    read[value] = None
    read |= dict.fromkeys(model.output)
    return [value for value in read if is_fixed(value, fixed)]


_TAKEN = ("device", "dtype", "batch_invariant")


def given_numbers(model: ResolvedModel, numbers: Iterable[Value]) -> dict[Value, str]:
    """The constants that are an argument of the model, by its parameter.

    Models that differ in nothing else are one class, whose constructor takes these numbers.
    """
    given: dict[Value, str] = {}
    for value in numbers:
        match value.operation:
            case Literal(number=int() as number, span=span) if not isinstance(number, bool):
                name = span.text
                if model.values.get(name) == number and name not in _TAKEN:
                    given[value] = name
    return given


def _inside(operation: Operation, fixed: dict[Value, bool]) -> bool:
    return _is_fixed_operation(operation) and all(is_fixed(x, fixed) for x in operation.operands)


def is_fixed(value: Value, known: dict[Value, bool]) -> bool:
    """Whether neither inputs, parameters nor run-time sizes are needed to compute a value."""
    waiting = [value]
    while waiting:
        each = waiting[-1]
        if each in known:
            waiting.pop()
        elif not value_is_plain(each):
            known[each] = False
        elif missing := [operand for operand in each.operation.operands if operand not in known]:
            waiting += missing
        else:
            known[each] = all(known[operand] for operand in each.operation.operands)
    return known[value]


def value_is_plain(value: Value) -> bool:
    """Whether the operation that gives a value mentions nothing that is known at run time."""
    return not value.runs and not value.shape.dots and _is_fixed_operation(value.operation)


def _is_fixed_operation(operation: Operation) -> bool:
    match operation:
        case Literal():
            return True
        case Apply(options=options):
            return not any(map(_runs, options.values()))
        case Select(slots=slots):
            return not any(map(_runs, slots))
        case Contract(sizes=sizes):
            return not any(map(_runs, sizes.values()))
        case _:
            return False


def _runs(option: object) -> bool:
    """Whether an option needs a size that is known at run time."""
    match option:
        case Size():
            return option.value is None
        case Shape(sizes, dots):
            return dots or any(map(_runs, sizes))
        case Entries(start, stop):
            return _runs(start) or _runs(stop)
        case tuple():
            return any(map(_runs, option))
        case _:
            return False


def precise(operations: Sequence[Operation], held: Collection[Value]) -> set[Value]:
    """The constants that are kept in float32 at least, as others are computed from them.

    Those that are made where they meet another value are made in its dtype.
    """
    found: set[Value] = set()
    for operation in operations:
        if not isinstance(operation, CallPart | Scan) and _is_constant(operation):
            found.update(operation.operands)
    for operation in operations:
        for value in operation.operands:
            if value.operation.operands and value not in held and _is_constant(value.operation):
                found.add(value)
    return {
        value
        for value in found
        if value.constant and value.kind == "float" and not is_number(value)
    }


def _is_constant(operation: Operation) -> bool:
    match operation:
        case Apply() | Select() | Contract():
            return all(value.constant for value in operation.operands)
        case _:
            return False


def needed(values: Iterable[Value], stop: Iterable[Value] = ()) -> set[Operation]:
    """The operations behind these values; `stop` are given from elsewhere."""
    ended = set(stop)
    found: set[Operation] = set()
    waiting = [value for value in values if value not in ended]
    while waiting:
        operation = waiting.pop().operation
        if operation not in found:
            found.add(operation)
            waiting += [value for value in operation.operands if value not in ended]
    return found
