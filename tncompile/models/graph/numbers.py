"""Values that are numbers of Python wherever they are used: `0.5`, `t`, `t ** -0.5`."""

from __future__ import annotations

from tncompile.language.typing.operations import Apply, Literal, Operation, SizeValue
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
