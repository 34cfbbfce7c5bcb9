"""Operations that are written twice are computed once, where nothing in them is random."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.layers.table import LAYERS
from tncompile.language.typing.model import Layer, ModelInput, Part, PlainTensor, ResolvedModel
from tncompile.language.typing.operations import (
    Apply,
    CallPart,
    Contract,
    Literal,
    Operation,
    Scan,
)
from tncompile.language.typing.values import Value

VIEWS = frozenset(
    {"reshape", "flatten", "transpose", "permute", "expand", "split", "chunk", "real", "imag"}
)
"""The functions that compute nothing."""

_PLACES = ("operands", "span", "turns", "places", "step")
"""Fields of operations that say where they stand, or follow from the others."""


@dataclass(frozen=True, slots=True)
class Graph:
    """The operations of a model in order, its results, and the names of values."""

    operations: tuple[Operation, ...]
    output: tuple[Value, ...]
    names: Mapping[Value, str]


def without_repeats(graph: Graph) -> Graph:
    """The same values from fewer operations: equal ones of equal operands are one.

    They are of one turn of a `repeat`, so that its turns stay alike. Constants and views stay, as
    they cost nothing, and what gives two results, which share no memory.
    """
    return _Merging(_exposed(graph.output)).merged(graph)


def computes(operation: Operation) -> bool:
    """Whether an operation computes something, and is no mere view."""
    match operation:
        case Apply(function=function):
            return function not in VIEWS
        case Contract(operands=operands, legs=legs, output=output):
            given = {name for each in legs for axis in each.axes for name in axis}
            return len(operands) > 1 or given != {name for axis in output.axes for name in axis}
        case CallPart() | Scan():
            return True
        case _:
            return False


def _exposed(output: Iterable[Value]) -> set[Operation]:
    """What gives results, be it through views: two of them share no memory."""
    found: set[Operation] = set()
    waiting = [value.operation for value in output]
    while waiting:
        operation = waiting.pop()
        if operation not in found:
            found.add(operation)
            if not computes(operation):
                waiting += [value.operation for value in operation.operands]
    return found


@dataclass
class _Merging:
    """The operations so far: their numbers, which equal ones share, and what stands for others."""

    exposed: set[Operation]
    numbers: dict[Operation, int] = field(default_factory=dict)
    keys: dict[Hashable, int] = field(default_factory=dict)
    first: dict[Hashable, Operation] = field(default_factory=dict)
    instead: dict[Operation, Operation] = field(default_factory=dict)
    values: dict[tuple[Operation, int | None], Value] = field(default_factory=dict)
    pure: dict[int, bool] = field(default_factory=dict)  # models by identity

    def merged(self, graph: Graph) -> Graph:
        """The graph without what is computed already."""
        kept: list[Operation] = []
        for operation in graph.operations:
            operands = tuple(map(self.value, operation.operands))
            key = self._key(operation, operands)
            number = self.keys.setdefault(key, len(self.keys))
            place = number, operation.turns
            earlier = self.first.get(place)
            if earlier is not None and self._may_merge(operation):
                self.instead[operation] = earlier
                continue
            made = operation
            if any(one is not two for one, two in zip(operands, operation.operands, strict=True)):
                made = self.instead[operation] = replace(operation, operands=operands)
            self.numbers[made] = number
            self.first.setdefault(place, made)
            kept.append(made)
        if not self.instead:
            return graph
        names: dict[Value, str] = {}
        for value, name in graph.names.items():
            names.setdefault(self.value(value), name)
        return Graph(tuple(kept), tuple(map(self.value, graph.output)), names)

    def value(self, value: Value) -> Value:
        """What a value is after merging."""
        operation = self.instead.get(value.operation, value.operation)
        if operation is value.operation:
            return self.values.setdefault((operation, value.position), value)
        key = operation, value.position
        if key not in self.values:
            self.values[key] = replace(value, operation=operation)
        return self.values[key]

    def _may_merge(self, operation: Operation) -> bool:
        constant = all(value.constant for value in operation.operands)
        return computes(operation) and not constant and operation not in self.exposed

    def _is_pure(self, operation: Operation) -> bool:
        """Whether an operation of equal operands gives equal results, and changes nothing."""
        match operation:
            case Apply(options=options):
                return not options.get("dropout")
            case CallPart(part=part) | Scan(part=part):
                callee = part.callee
                if isinstance(callee, ResolvedModel):
                    if id(callee) not in self.pure:
                        self.pure[id(callee)] = all(map(self._is_pure, callee.operations))
                    return self.pure[id(callee)]
                if isinstance(callee, Layer):
                    return not LAYERS[callee.name].training
                return isinstance(callee, ResolvedNetwork)
            case _:
                return True

    def _key(self, operation: Operation, operands: Sequence[Value]) -> Hashable:
        """What an operation computes from what; one that is not pure is like no other."""
        if not self._is_pure(operation):
            return id(operation)
        given = tuple((self.numbers[each.operation], each.position) for each in operands)
        if isinstance(operation, Contract):
            return given, _unnamed(operation)
        if isinstance(operation, Literal):  # models that differ in a number alone stay alike
            return _hashed(operation.number), operation.span.text
        own = (each.name for each in fields(operation) if each.name not in _PLACES)
        return type(operation), given, tuple(_hashed(getattr(operation, name)) for name in own)


def _unnamed(operation: Contract) -> Hashable:
    """A sum of products whatever its legs are called."""
    everywhere = (*operation.legs, operation.output)
    names = dict.fromkeys(name for legs in everywhere for axis in legs.axes for name in axis)
    number = {name: k for k, name in enumerate(names)}
    return (
        tuple(
            (legs.dots, *(tuple(map(number.get, axis)) for axis in legs.axes))
            for legs in everywhere
        ),
        tuple(operation.sizes[name] for name in names),
    )


def _hashed(option: object) -> Hashable:
    """An option, told apart from those of other kinds: 1 is neither 1.0 nor true."""
    match option:
        case Part() | PlainTensor() | ModelInput():
            return id(option)
        case Mapping():
            return tuple(sorted((name, _hashed(each)) for name, each in option.items()))
        case _:
            return repr(option)
