"""Which networks a model has, and with how many rows each is called."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.model import Resolved, ResolvedModel
from tncompile.language.typing.operations import CallPart, Scan
from tncompile.language.typing.values import Value
from tncompile.planning.request import DEFAULT_LENGTH

Sizes = tuple[tuple[str, int], ...]
"""Run-time sizes by name, ascending."""


@dataclass(slots=True)
class Reach:
    """How a network is called in a model: how often, by rows and its other run-time sizes.

    Rows are the product of its leading axes. A model that is called twice calls its networks twice.
    """

    network: ResolvedNetwork
    calls: dict[tuple[int, Sizes], int] = field(default_factory=dict)

    @property
    def batches(self) -> tuple[int, ...]:
        """The numbers of rows, ascending."""
        return tuple(sorted({rows for rows, _ in self.calls}))

    @property
    def sizes(self) -> dict[str, int]:
        """Its other run-time sizes, where it is called with the most rows."""
        return dict(max(self.calls, key=lambda call: call[0])[1]) if self.calls else {}


def usual_sizes(model: ResolvedModel, sizes: Mapping[str, int]) -> dict[str, int]:
    """The run-time sizes of a model: those given, else the usual ones, else 64."""
    return {size.name: sizes.get(size.name, size.usual or DEFAULT_LENGTH) for size in model.sizes}


def networks_of(model: ResolvedModel) -> Iterator[ResolvedNetwork]:
    """The networks that a model is made of, each once, in the order of their first part."""
    seen: set[int] = set()
    todo: list[Resolved] = [model]
    while todo:
        each = todo.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, ResolvedNetwork):
            yield each
            continue
        parts = [part.callee for part in each.parts]
        todo += [c for c in reversed(parts) if isinstance(c, ResolvedNetwork | ResolvedModel)]


def reached(model: ResolvedModel, rows: int, sizes: Mapping[str, int]) -> list[Reach]:
    """How each network of a model is called where `...` has `rows` rows and sizes are these."""
    found = {id(network): Reach(network) for network in networks_of(model)}
    totals = _totals(model, rows, tuple(sorted(sizes.items())), {})
    for (network, inner_rows, inner_sizes), count in totals.items():
        found[network].calls[inner_rows, inner_sizes] = count
    return list(found.values())


_Totals = dict[tuple[int, int, Sizes], int]
"""How often a network is called with rows and sizes."""


def _totals(
    model: ResolvedModel, rows: int, sizes: Sizes, known: dict[tuple[int, int, Sizes], _Totals]
) -> _Totals:
    """The calls of networks in a model and in its models, each of which is looked at once."""
    key = (id(model), rows, sizes)
    if key not in known:
        totals: _Totals = {}
        for callee, inner_rows, inner_sizes, times in _calls(model, rows, dict(sizes)):
            calls: _Totals = {(id(callee), inner_rows, inner_sizes): 1}
            if isinstance(callee, ResolvedModel):
                calls = _totals(callee, inner_rows, inner_sizes, known)
            for call, count in calls.items():
                totals[call] = totals.get(call, 0) + times * count
        known[key] = totals
    return known[key]


def _calls(
    model: ResolvedModel, rows: int, sizes: Mapping[str, int]
) -> Iterator[tuple[Resolved, int, Sizes, int]]:
    """The calls of networks and models in a model, with rows, sizes, and how often."""
    for operation in model.operations:
        times = 1
        if isinstance(operation, Scan):
            steps = operation.operands[0].shape.axis(operation.axis)
            operation, times = operation.step, max(1, steps.at(sizes))
        if not isinstance(operation, CallPart):
            continue
        callee = operation.part.callee
        if not isinstance(callee, ResolvedNetwork | ResolvedModel):
            continue
        yield callee, *sizes_of_call(operation, callee, rows, sizes), times


def sizes_of_call(
    call: CallPart, callee: Resolved, rows: int, sizes: Mapping[str, int]
) -> tuple[int, Sizes]:
    """The rows of a network or model that is called in a model of these, and its sizes."""
    bound = {name: size.at(sizes) for name, size in call.bindings.items()}
    lead = max(
        (
            _rows(value, _behind(callee, name), rows, sizes)
            for name, value in zip(call.inputs, call.operands, strict=True)
        ),
        default=rows,
    )
    return lead, tuple(sorted(bound.items()))


def _behind(callee: Resolved, name: str) -> int | None:
    """How many axes an input has behind `...`; None where it has no `...`."""
    for source in callee.inputs:
        if source.name == name:
            if isinstance(callee, ResolvedModel):
                shape = source.shape  # type: ignore[union-attr]
                return len(shape.sizes) if shape.dots else None
            kinds = [axis.kind for axis in source.axes]  # type: ignore[union-attr]
            return len(kinds) - 1 if "dots" in kinds else None
    return None


def _rows(value: Value, behind: int | None, rows: int, sizes: Mapping[str, int]) -> int:
    """The product of the axes of a value that `...` of an input takes."""
    if behind is None:
        return 1
    taken = value.shape.sizes[: len(value.shape.sizes) - behind]
    lead = rows if value.shape.dots else 1
    return lead * math.prod(
        max(1, size.at(sizes)) for size in taken
    )  # usual sizes may be too small
