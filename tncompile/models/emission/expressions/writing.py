"""One operation of a model as an expression of PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import tncompile.models.emission.expressions.functions.attention as attention
import tncompile.models.emission.expressions.functions.constants as constants
import tncompile.models.emission.expressions.functions.elementwise as elementwise
import tncompile.models.emission.expressions.functions.fourier as fourier
import tncompile.models.emission.expressions.functions.lookups as lookups
import tncompile.models.emission.expressions.functions.operators as operators
import tncompile.models.emission.expressions.functions.reductions as reductions
import tncompile.models.emission.expressions.functions.shapes as shapes
from tncompile.language.typing.operations import (
    Apply,
    Contract,
    Literal,
    Operation,
    Select,
    SizeValue,
)
from tncompile.models.emission.expressions.contraction import contract
from tncompile.models.emission.expressions.conversion import Applied, as_tensor
from tncompile.models.emission.expressions.selection import select
from tncompile.models.emission.expressions.text import Context, Text

RULES: Mapping[str, Callable[[Applied], Text]] = {
    **operators.RULES,
    **elementwise.RULES,
    **reductions.RULES,
    **shapes.RULES,
    **lookups.RULES,
    **constants.RULES,
    **fourier.RULES,
    **attention.RULES,
}


def write(operation: Operation, operands: Sequence[Text], context: Context) -> Text:
    """The expression of an operation that is neither an input, a tensor, a call nor a `scan`.

    Of several results it is a tuple. Operands are names, or expressions that are used once.
    """
    match operation:
        case Apply(function=function):
            return RULES[function](Applied(operation, operands, context))
        case Literal():
            return constants.literal(operation, context)
        case SizeValue():
            return constants.size_value(operation, context)
        case Select(operands=(value,)):
            return select(operation, as_tensor(value, operands[0], context), context)
        case Contract():
            return contract(operation, operands, context)
        case _:
            raise TypeError(type(operation).__name__)
