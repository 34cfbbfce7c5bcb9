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
    found: list[Change] = []
    for changed in _ranks(architecture):
        made = _change(spec, architecture, changed)
        if made is not None and made.parameters < 1:
            found.append(made)
    for changed in _shapes(architecture):
        made = _change(spec, architecture, changed)
        if made is not None:
            found.append(made)
    return found[:MOST]


def _change(spec: Spec, architecture: Architecture, changed: Mapping[str, Value]) -> Change | None:
    """What some other arguments make; None where that has another input or output, or is none."""
    made = _instantiated(spec, architecture, changed)
    if made is None or _features(made) != _features(architecture):
        return None
    words = ", ".join(f"{name} = {_text(value)}" for name, value in changed.items())
    before = architecture.network.parameter_count
    return Change(words, made, made.network.parameter_count / max(1, before))


def _values(architecture: Architecture) -> dict[str, Value]:
    return dict(architecture.arguments)


def _ranks(architecture: Architecture) -> Iterator[dict[str, Value]]:
    """One argument at a time, its numbers the next power of two down."""
    for name, value in _values(architecture).items():
        match value:
            case bool() | float():
                continue
            case int() if value > 1:
                yield {name: _half(value)}
            case tuple() if max(value, default=0) > 1:
                yield {name: tuple(_half(one) for one in value)}


def _half(number: int) -> int:
    """The next power of two below; 1 stays.

    >>> [_half(number) for number in (16, 12, 2, 1)]
    [8, 8, 1, 1]
    """
    return 1 if number < 2 else 2 ** (number - 1).bit_length() // 2


def _lists(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """The arguments whose product is the size of an input or of the output: shapes of sites."""
    inputs, output = _features(architecture)
    sizes = {math.prod(one) for one in (*inputs, output)}
    values = _values(architecture).items()
    return {
        name: value
        for name, value in values
        if isinstance(value, tuple) and len(value) > 1 and math.prod(value) in sizes
    }


def _shapes(architecture: Architecture) -> Iterator[dict[str, Value]]:
    """The same sizes in two to four other factors, as even as can be."""
    from tncompile.language.evaluating.factorization import factorize

    held = _lists(architecture)
    others = {
        name: max(value)
        for name, value in _values(architecture).items()
        if isinstance(value, tuple) and name not in held and value
    }
    for count in (2, 3, 4):
        made = {name: factorize(math.prod(value), count) for name, value in held.items()}
        fitting = {name: value for name, value in made.items() if value is not None}
        if held and len(fitting) == len(made) and fitting != held:
            yield {**fitting, **others}


def _instantiated(
    spec: Spec, architecture: Architecture, changed: Mapping[str, Value]
) -> Architecture | None:
    """The block with other arguments; None where it does not take them."""
    from tncompile.language.diagnostics.errors import CompileError

    arguments = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in {**_values(architecture), **changed}.items()
    }
    try:
        return spec.instantiate(architecture.network.name, **arguments)
    except CompileError:
        return None


def _features(architecture: Architecture) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """The lengths of the axes of every input and of the output."""
    network = architecture.network
    given = tuple(
        tuple(axis.length or 0 for axis in one.axes if axis.kind != "dots")
        for one in network.inputs
    )
    return given, tuple(axis.length or 0 for axis in network.output.axes if axis.kind != "dots")


def _text(value: Value) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)
