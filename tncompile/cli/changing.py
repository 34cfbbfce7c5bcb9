"""Other arguments of a block that would make it faster, and how much, by prediction."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tncompile import Architecture, Spec
    from tncompile.language.resolved import Value

MOST = 4
"""How many changes are planned: each takes about as long as planning the block itself."""

LARGEST = 100
"""Blocks of more tensors are not planned several times over."""


@dataclass(frozen=True, slots=True)
class Change:
    """Other arguments, the block that they make, and its parameters against those of this one."""

    words: str  # `ranks = [8, 8]`
    architecture: Architecture
    parameters: float  # how many times as many as this one has


def changes(spec: Spec, architecture: Architecture) -> list[Change]:
    """Smaller ranks and other site shapes with the same input and output, where there are any."""
    if len(architecture.network.tensors) > LARGEST:
        return []
    ranks = (_change(spec, architecture, changed) for changed in _ranks(architecture))
    shapes = (_change(spec, architecture, changed) for changed in _shapes(architecture))
    candidates = [
        *(change for change in ranks if change is not None and change.parameters < 1),
        *(change for change in shapes if change is not None),
    ]
    return candidates[:MOST]


def _change(spec: Spec, architecture: Architecture, changed: Mapping[str, Value]) -> Change | None:
    """What some other arguments make; None where that has another input or output, or is none."""
    other = _instantiated(spec, architecture, changed)
    if other is None or _features(other) != _features(architecture):
        return None
    words = ", ".join(f"{name} = {_text(value)}" for name, value in changed.items())
    before = architecture.network.parameter_count
    return Change(words, other, other.network.parameter_count / max(1, before))


def _ranks(architecture: Architecture) -> Iterator[dict[str, Value]]:
    """One argument at a time, its numbers the next power of two down."""
    for name, value in architecture.arguments.items():
        match value:
            case bool() | float():
                continue
            case int() if value > 1:
                yield {name: _half(value)}
            case tuple() if max(value, default=0) > 1:
                yield {name: tuple(map(_half, value))}


def _half(number: int) -> int:
    """The next power of two below; 1 stays.

    >>> [_half(number) for number in (16, 12, 2, 1)]
    [8, 8, 1, 1]
    """
    return 1 if number < 2 else 2 ** (number - 1).bit_length() // 2


def _lists(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """The arguments whose product is the size of an input or of the output: shapes of sites."""
    inputs, output = _features(architecture)
    sizes = {math.prod(axes) for axes in (*inputs, output)}
    return {
        name: value
        for name, value in architecture.arguments.items()
        if isinstance(value, tuple) and len(value) > 1 and math.prod(value) in sizes
    }


def _shapes(architecture: Architecture) -> Iterator[dict[str, Value]]:
    """The same sizes in two to four other factors, as even as can be."""
    from tncompile.language.evaluating.factorization import factorize

    shapes = _lists(architecture)
    others = {
        name: max(value)
        for name, value in architecture.arguments.items()
        if isinstance(value, tuple) and name not in shapes and value
    }
    for count in (2, 3, 4):
        factors = {name: factorize(math.prod(value), count) for name, value in shapes.items()}
        fitting = {name: value for name, value in factors.items() if value is not None}
        if shapes and len(fitting) == len(factors) and fitting != shapes:
            yield {**fitting, **others}


def _instantiated(
    spec: Spec, architecture: Architecture, changed: Mapping[str, Value]
) -> Architecture | None:
    """The block with other arguments; None where it does not take them."""
    from tncompile.language.diagnostics.diagnostic import CompileError

    arguments = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in {**architecture.arguments, **changed}.items()
    }
    try:
        return spec.instantiate(architecture.network.name, **arguments)
    except CompileError:
        return None


def _features(architecture: Architecture) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """The lengths of the axes of every input and of the output."""
    network = architecture.network
    inputs = tuple(
        tuple(axis.length or 0 for axis in tensor.axes if axis.kind != "dots")
        for tensor in network.inputs
    )
    return inputs, tuple(axis.length or 0 for axis in network.output.axes if axis.kind != "dots")


def _text(value: Value) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)
