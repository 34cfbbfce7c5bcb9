"""What a cell computes from its sequences alone: `scan` does it for all steps at once, ahead."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.layers.table import LAYERS
from tncompile.language.typing.model import Extern, Layer, Part, Resolved, ResolvedModel
from tncompile.language.typing.operations import (
    Apply,
    CallPart,
    Contract,
    Literal,
    Operation,
    Read,
    Scan,
    Select,
    Stored,
)
from tncompile.language.typing.repeats import computes
from tncompile.language.typing.values import Shape, Value
from tncompile.models.graph.constants import held_values, needed
from tncompile.models.graph.numbers import is_number

AHEAD, STEP = "_ahead", "_advance"
"""The methods of a cell that is split: for all steps at once, and for one of them."""

GROWTH = 4
"""A value computed ahead has at most so many times the entries of all inputs: it is kept."""


@dataclass(frozen=True, slots=True)
class Split:
    """A cell as two methods: what goes ahead of all steps, and the rest of one step.

    crossing  what is computed ahead and read by a step; first what is the same in all
    early     the inputs that are read ahead
    late      the inputs that a step reads
    ahead     the operations that go ahead
    """

    crossing: tuple[Value, ...]
    early: tuple[str, ...]
    late: tuple[str, ...]
    ahead: frozenset[Operation]


Splits = Mapping[int, Split]
"""The cells of a model that are two methods, by the identity of the callee."""


def goes_ahead(operation: Operation, model: ResolvedModel, splits: Splits) -> bool:
    """Whether an operation of a model is computed for all steps of a `scan` at once."""
    split = splits.get(id(model))
    return split is not None and operation in split.ahead


def behind(callee: Resolved, name: str) -> int | None:
    """How many axes an input has behind `...`; None where it has no `...`."""
    for source in callee.inputs:
        if source.name == name:
            if isinstance(callee, ResolvedModel):
                shape = source.shape  # type: ignore[union-attr]
                return len(shape.sizes) if shape.dots else None
            kinds = [axis.kind for axis in source.axes]  # type: ignore[union-attr]
            return len(kinds) - 1 if "dots" in kinds else None
    return None


def crossing_name(model: ResolvedModel, value: Value) -> str:
    """What a value is called that goes from one method to the other."""
    match value.operation:
        case _ if value in model.names:
            return model.names[value]
        case CallPart(part=part) if not part.outer:
            return part.family
        case _:
            return "y"


def extra_axes(scan: Scan) -> int:
    """How many axes right of the steps fall into the `...` of the cell."""
    callee = scan.part.callee
    assert isinstance(callee, ResolvedModel)
    place = len(scan.operands[0].shape.sizes) + scan.axis
    for name, value in zip(scan.step.inputs, scan.operands[: scan.sequences], strict=False):
        axes = behind(callee, name)
        if axes is not None:
            return len(value.shape.sizes) - place - 1 - axes
    return 0


def find_splits(root: ResolvedModel) -> Splits:
    """The cells of a model that gain from it, wherever they are called by a `scan`."""
    passing: dict[int, set[frozenset[str]]] = {}
    cells: dict[int, ResolvedModel] = {}
    seen: set[int] = set()
    todo: list[ResolvedModel] = [root]
    while todo:
        model = todo.pop()
        if id(model) in seen:
            continue
        seen.add(id(model))
        todo += [part.callee for part in model.parts if isinstance(part.callee, ResolvedModel)]
        for operation in model.operations:
            if isinstance(operation, Scan) and isinstance(operation.part.callee, ResolvedModel):
                cells[id(operation.part.callee)] = operation.part.callee
                names = frozenset() if operation.part.outer else _passing(operation)
                passing.setdefault(id(operation.part.callee), set()).add(names)
    found: dict[int, Split] = {}
    for key, cell in cells.items():
        if len(passing[key]) == 1 and (split := _split(cell, *passing[key])):
            found[key] = split
    return found


def _passing(scan: Scan) -> frozenset[str]:
    """The inputs that can be given whole sequences: the steps fall into their `...`."""
    callee = scan.part.callee
    assert isinstance(callee, ResolvedModel)
    names = scan.step.inputs[: scan.sequences]
    dotted = [name for name in names if behind(callee, name) is not None]
    return frozenset(dotted if extra_axes(scan) >= 0 else ())


# ── what can go ahead ──────────────────────────────────────────────────────────────────────────


def _split(cell: ResolvedModel, sequences: frozenset[str]) -> Split | None:
    """None where nothing goes ahead, or sizes are known at run time alone."""
    if cell.sizes or cell.handed:
        return None
    live = needed(cell.output)
    operations = [each for each in cell.operations if each in live]
    held = set(held_values(cell, operations))
    results: dict[Operation, dict[Value, None]] = {}
    for value in (*(x for each in operations for x in each.operands), *cell.output):
        results.setdefault(value.operation, {})[value] = None
    most = GROWTH * sum(_entries(each.shape) for each in cell.inputs)
    varies: dict[Value, bool] = dict.fromkeys(held, False)
    ahead: set[Operation] = set()
    for operation in operations:
        values = results.get(operation, {})
        match operation:
            case Read(source=source):
                varies |= dict.fromkeys(values, True) if source.name in sequences else {}
            case Stored() | Literal():
                varies |= dict.fromkeys(values, False)
            case _ if _may(operation) and all(value in varies for value in operation.operands):
                moving = any(varies[value] for value in operation.operands)
                fits = (_entries(value.shape) <= most for value in values)
                if all(value.shape.dots == moving for value in values) and (
                    not moving or all(fits)
                ):
                    varies |= dict.fromkeys(values, moving)
                    if not any(value in held or is_number(value) for value in values):
                        ahead.add(operation)
    return _cut(cell, operations, held, ahead)


def _cut(
    cell: ResolvedModel, operations: Sequence[Operation], held: set[Value], ahead: set[Operation]
) -> Split | None:
    """The split where these operations go ahead; None where they are views alone."""
    late = [each for each in operations if each not in ahead]
    reads = dict.fromkeys((*(x for each in late for x in each.operands), *cell.output))
    order = {operation: k for k, operation in enumerate(operations)}
    read = [value for value in reads if value.operation in ahead and value not in held]
    crossing = tuple(
        sorted(read, key=lambda x: (x.shape.dots, order[x.operation], x.position or 0))
    )
    before, after = needed(crossing, held), needed(cell.output, {*held, *crossing})
    if not any(map(computes, before & ahead)):
        return None
    return Split(crossing, _inputs(cell, before), _inputs(cell, after), frozenset(before & ahead))


def _inputs(cell: ResolvedModel, operations: set[Operation]) -> tuple[str, ...]:
    read = {each.source.name for each in operations if isinstance(each, Read)}
    return tuple(each.name for each in cell.inputs if each.name in read)


def _entries(shape: Shape) -> int:
    return math.prod(size.value or 1 for size in shape.sizes)


def _may(operation: Operation) -> bool:
    """Whether steps may be a leading axis of what an operation takes."""
    match operation:
        case CallPart(part=part) | Scan(part=part):
            return _may_part(part)
        case Apply() | Contract() | Select():
            return True
        case _:
            return False


def _may_part(part: Part) -> bool:
    match part.callee:
        case Layer(name=name):
            return not name.startswith(("BatchNorm", "InstanceNorm"))
        case ResolvedNetwork():
            return True
        case ResolvedModel() as model:
            if part.handed or part.outer:
                return False
            return all(map(_may_part, model.parts))
        case Extern():
            return False


def is_plain(part: Part) -> bool:
    """Whether a graph may hold a loop of calls: without dropout, loops, and what is foreign."""
    match part.callee:
        case Layer(name=name):
            return not LAYERS[name].training
        case ResolvedNetwork():
            return True
        case ResolvedModel() as model:
            loops = any(isinstance(each, Scan) for each in model.operations)
            drops = any(
                isinstance(each, Apply) and each.options.get("dropout") for each in model.operations
            )
            return not loops and not drops and not part.handed and all(map(is_plain, model.parts))
        case Extern():
            return False


def is_smooth(part: Part) -> bool:
    """Whether all that a cell gives has gradients."""
    callee = part.callee
    kinds = {x.kind for x in callee.output} if isinstance(callee, ResolvedModel) else set()
    return kinds <= {"float", "complex"}


def takes_steps(scan: Scan) -> bool:
    """Whether one call may take all steps, as one more leading axis: each input has `...`."""
    callee = scan.part.callee
    if not isinstance(callee, ResolvedModel | ResolvedNetwork):
        return False
    return all(behind(callee, name) is not None for name in scan.step.inputs)
