"""The operations of a model as a graph: who reads what, until when, and what it is called."""

from __future__ import annotations

from collections.abc import Sequence

from tncompile.language.typing.model import ResolvedModel
from tncompile.language.typing.operations import Apply, Operation
from tncompile.language.typing.values import Value
from tncompile.models.graph.sharing import Shared


def results_of(
    shared: Shared, output: Sequence[Value]
) -> dict[Operation, tuple[Value | None, ...]]:
    """The results of each operation by position, None for those that nobody reads."""
    computed = shared.computed()
    found: dict[Operation, dict[int, Value]] = {each: {} for each in computed}
    for value in (*(v for each in computed for v in each.operands), *output):
        operation = shared.instead.get(value.operation, value.operation)
        if operation in found:
            found[operation][value.position or 0] = value
    return {
        operation: tuple(values.get(k) for k in range(max(values, default=-1) + 1))
        for operation, values in found.items()
    }


def last_uses(operations: Sequence[Operation], model: ResolvedModel) -> dict[Value, int]:
    """The operation after which each value is let go; what has a name stays to the end."""
    last: dict[Value, int] = {}
    count: dict[Value, int] = {}
    for number, operation in enumerate(operations):
        for value in operation.operands:
            last[value] = number
            count[value] = count.get(value, 0) + 1
    end = len(operations)
    for value in last:
        named = "[" not in model.names.get(value, "[")
        if named or (count[value] > 1 and not value.operation.turns):
            last[value] = end
    return last | dict.fromkeys(model.output, end)


def name_of(operation: Operation) -> str:
    match operation:
        case Apply(function="matmul"):
            return "@"
        case Apply(function=function):
            return function
        case _:
            return "network { … }"


def path_of(part: str, inner: str) -> str:
    """A path to a product: `block[0].attn: attention`."""
    path, colon, name = inner.partition(": ")
    return f"{part}.{path}: {name}" if colon else f"{part}: {inner}"
