"""Values that are numbers of Python wherever they are used: `0.5`, `t`, `t ** -0.5`."""

from __future__ import annotations

from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.operations import Apply, CallPart, Literal, Operation, SizeValue
from tncompile.language.typing.values import Numbers, Value

NUMBER_OPERATORS = frozenset({"add", "sub", "mul", "div", "pow", "neg"})
"""What Python computes where all operands are numbers."""

DEEPEST_NUMBER = 4


def is_number(value: Value) -> bool:
    """Whether a value is written as a number of Python: `0.5`, `t`, `t ** -0.5`.

    Numbers act on tensors of any dtype as they are. A quotient or a power is one where it cannot
    fail, or be complex, since a run-time size is at least 1.
    """
    return gives_number(value.operation)


def gives_number(operation: Operation, depth: int = DEEPEST_NUMBER) -> bool:
    """Whether an operation is one on numbers."""
    match operation:
        case Literal(number=number):
            return not isinstance(number, tuple | Numbers)
        case SizeValue():
            return True
        case Apply(function=function, operands=operands) if function in NUMBER_OPERATORS and depth:
            if function == "div" and not _is_positive(operands[1]):
                return False
            if function == "pow" and not (_is_positive(operands[0]) and _is_small(operands[1])):
                return False
            return all(gives_number(operand.operation, depth - 1) for operand in operands)
    return False


def _is_positive(value: Value) -> bool:
    match value.operation:
        case Literal(number=int() | float() as number):
            return number > 0
        case SizeValue(size=size):
            return str(size) in size.names
    return False


def _is_small(value: Value) -> bool:
    """Whether a number is so small that a power of it does not overflow."""
    match value.operation:
        case Literal(number=int() | float() as number):
            return abs(number) <= 2
    return False


def picked(operation: Operation) -> frozenset[str]:
    """The inputs of ids of a network that a call gives a number: it picks a slice.

    The ids have no axes, and that the number is one of them was seen when the model was typed.
    """
    if not isinstance(operation, CallPart):
        return frozenset()
    callee = operation.part.callee
    if not isinstance(callee, ResolvedNetwork):
        return frozenset()
    given = dict(zip(operation.inputs, operation.operands, strict=True))
    return frozenset(
        source.name
        for source in callee.inputs
        if [axis.kind for axis in source.axes] == ["onehot"]
        and isinstance(given[source.name].operation, Literal)
    )


def picked_values(operation: Operation) -> list[Value]:
    """The numbers that a call gives a network as ids."""
    if not isinstance(operation, CallPart) or not (names := picked(operation)):
        return []
    pairs = zip(operation.inputs, operation.operands, strict=True)
    return [value for name, value in pairs if name in names]
