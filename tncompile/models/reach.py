"""What a model is made of, and with how many rows each network and model in it is called."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.model import Resolved, ResolvedModel
from tncompile.language.typing.operations import CallPart, Contract, Scan
from tncompile.language.typing.values import Value
from tncompile.models.contracting import Place, joined
from tncompile.models.graph.hoisting import Splits, behind, find_splits, goes_ahead

Sizes = tuple[tuple[str, int], ...]
"""Run-time sizes by name, ascending."""


@dataclass(slots=True)
class Reach:
    """How a network is called in a model: how often, by rows and its other run-time sizes.

    Rows are the product of its leading axes. A model that is called twice calls its networks twice.
    """

    network: ResolvedNetwork
    calls: Counter[tuple[int, Sizes]] = field(default_factory=Counter)

    @property
    def batches(self) -> tuple[int, ...]:
        """The numbers of rows, ascending."""
        return tuple(sorted({rows for rows, _ in self.calls}))

    @property
    def sizes(self) -> dict[str, int]:
        """Its other run-time sizes, where it is called with the most rows."""
        return dict(max(self.calls, key=lambda call: call[0])[1]) if self.calls else {}


def networks_of(model: ResolvedModel) -> Iterator[ResolvedNetwork]:
    """The networks that a model is made of, each once, in the order of their first part."""
    return (each for each in blocks_of(model) if isinstance(each, ResolvedNetwork))


def blocks_of(model: ResolvedModel) -> Iterator[Resolved]:
    """A model, and the networks and models that it is made of, each once."""
    seen: set[int] = set()
    todo: list[Resolved] = [model]
    while todo:
        each = todo.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, ResolvedNetwork):
            continue
        parts = [part.callee for part in each.parts]
        todo += [c for c in reversed(parts) if isinstance(c, ResolvedNetwork | ResolvedModel)]


def reached(model: ResolvedModel, rows: int, sizes: Mapping[str, int]) -> list[Reach]:
    """How each network of a model is called where `...` has `rows` rows and sizes are these."""
    found = {id(network): Reach(network) for network in networks_of(model)}
    calls = _Calls(find_splits(model))
    totals = calls.of(_Called(model, rows, tuple(sorted(sizes.items()))))
    for (callee, inner_rows, inner_sizes, _), count in totals.items():
        if callee in found:
            found[callee].calls[inner_rows, inner_sizes] += count
    return list(found.values())


def contracted(
    model: ResolvedModel, rows: int, sizes: Mapping[str, int]
) -> dict[str, dict[Place, Counter[tuple[int, Sizes]]]]:
    """How often each `network { … }` of values is computed, by its model and its sizes there.

    Sizes are those of the model that it is in, rows those of `...`.
    """
    splits = find_splits(model)
    totals = _Calls(splits).of(_Called(model, rows, tuple(sorted(sizes.items()))))
    calls: dict[int, list[tuple[int, Sizes, bool | None, int]]] = defaultdict(list)
    for (callee, inner_rows, inner_sizes, ahead), count in totals.items():
        calls[callee].append((inner_rows, inner_sizes, ahead, count))
    found: dict[str, dict[Place, Counter[tuple[int, Sizes]]]] = {}
    for each in blocks_of(model):
        if isinstance(each, ResolvedNetwork):
            continue
        for operation in each.operations:
            if not isinstance(operation, Contract):
                continue
            early = goes_ahead(operation, each, splits)
            inside = found.setdefault(each.target, {})
            times = inside.setdefault((joined(operation), early), Counter())
            for inner_rows, inner_sizes, ahead, count in calls[id(each)]:
                if ahead in (None, early):
                    times[inner_rows, inner_sizes] += count
    return found


@dataclass(frozen=True, slots=True)
class _Called:
    """A call of a block; of a cell that is split, what goes ahead or a step: `ahead` says which."""

    callee: Resolved
    rows: int
    sizes: Sizes
    ahead: bool | None = None


_Totals = dict[tuple[int, int, Sizes, bool | None], int]
"""How often networks and models are called: by identity, rows, sizes, and `ahead`."""


@dataclass(slots=True)
class _Calls:
    """What is called in models; a model is looked at once for each way it is called."""

    splits: Splits
    known: dict[tuple[int, int, Sizes, bool | None], _Totals] = field(default_factory=dict)

    def of(self, call: _Called) -> _Totals:
        """A call, and what is called in it, with what is called in that."""
        callee = call.callee
        inside = id(callee), call.rows, call.sizes, call.ahead
        if isinstance(callee, ResolvedNetwork):
            return {inside: 1}
        if inside not in self.known:
            totals: _Totals = {inside: 1}
            for each, times in self._calls(callee, call):
                for key, count in self.of(each).items():
                    totals[key] = totals.get(key, 0) + times * count
            self.known[inside] = totals
        return self.known[inside]

    def _calls(self, model: ResolvedModel, call: _Called) -> Iterator[tuple[_Called, int]]:
        """The calls of networks and models in a call of a model, each with how often."""
        sizes = dict(call.sizes)
        for operation in model.operations:
            ahead = goes_ahead(operation, model, self.splits)
            if call.ahead is not None and ahead != call.ahead:
                continue
            step = operation.step if isinstance(operation, Scan) else operation
            if not isinstance(step, CallPart):
                continue
            callee = step.part.callee
            if not isinstance(callee, ResolvedNetwork | ResolvedModel):
                continue
            inner = _Called(callee, *sizes_of_call(step, callee, call.rows, sizes))
            if not isinstance(operation, Scan):
                yield inner, 1
                continue
            steps = max(1, operation.operands[0].shape.axis(operation.axis).at(sizes))
            if id(callee) in self.splits:
                yield replace(inner, rows=inner.rows * steps, ahead=True), 1
                inner = replace(inner, ahead=False)
            yield inner, steps


def sizes_of_call(
    call: CallPart, callee: Resolved, rows: int, sizes: Mapping[str, int]
) -> tuple[int, Sizes]:
    """The rows of a network or model that is called in a model of these, and its sizes."""
    bound = {name: max(1, size.at(sizes)) for name, size in call.bindings.items()}
    lead = max(
        (
            _rows(value, behind(callee, name), rows, sizes)
            for name, value in zip(call.inputs, call.operands, strict=True)
        ),
        default=rows,
    )
    return lead, tuple(sorted(bound.items()))


def _rows(value: Value, own: int | None, rows: int, sizes: Mapping[str, int]) -> int:
    """The product of the axes of a value that `...` of an input takes."""
    if own is None:
        return 1
    taken = value.shape.sizes[: len(value.shape.sizes) - own]
    lead = rows if value.shape.dots else 1
    # Sizes that nobody named may be too small for what is cut off them.
    return lead * math.prod(max(1, size.at(sizes)) for size in taken)
