"""Where each index of a network ends: on tensors, inputs, the output, biases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from tncompile.language.diagnostics.diagnostic import Label
from tncompile.language.resolved import (
    ResolvedAxis,
    ResolvedBias,
    ResolvedIndex,
    ResolvedInput,
    ResolvedOutput,
    ResolvedTensor,
)
from tncompile.language.syntax.source import Span

MOST_LABELS = 6


@dataclass(frozen=True, slots=True)
class Structure:
    """An unrolled network, before it is known to be sound."""

    name: Span
    indices: tuple[ResolvedIndex, ...]
    inputs: tuple[ResolvedInput, ...]
    tensors: tuple[ResolvedTensor, ...]
    biases: tuple[ResolvedBias, ...]
    output: ResolvedOutput


Where = Literal["tensor", "input", "output", "bias"]


class End(NamedTuple):
    """One end of an index: the leg, and the tensor, input, bias or output that it is on."""

    where: Where
    span: Span
    owner: str
    alone: bool = False


@dataclass(slots=True)
class Ends:
    """All ends of one index: on tensors, then inputs, the output and biases."""

    held: list[End] = field(default_factory=list)

    def on(self, *places: Where) -> list[End]:
        """The ends on these kinds of things."""
        return [end for end in self.held if end.where in places]

    @property
    def tensors(self) -> list[End]:
        """Those on tensors."""
        return self.on("tensor")

    @property
    def inputs(self) -> list[End]:
        """Those on inputs, one a slice."""
        return self.on("input")

    @property
    def output(self) -> list[End]:
        """Those on the output: one or none."""
        return self.on("output")

    @property
    def biases(self) -> list[End]:
        """Those on biases."""
        return self.on("bias")

    @property
    def outside(self) -> list[End]:
        """Those on inputs and the output."""
        return self.on("input", "output")

    @property
    def count(self) -> int:
        """All ends; a bias is added to the output and joins nothing."""
        return len(self.on("tensor", "input", "output"))

    def labels(self) -> tuple[Label, ...]:
        """A label at each end, the first few."""
        seen: dict[Span, str] = {}
        for end in self.on("tensor", "input", "output"):
            seen.setdefault(end.span, f"on `{end.owner}`")
        return tuple(Label(span, text) for span, text in list(seen.items())[:MOST_LABELS])


def find_ends(structure: Structure) -> dict[str, Ends]:
    """The ends by the name of the index, in the order of declaration."""
    ends = {index.name: Ends() for index in structure.indices}
    for tensor in structure.tensors:
        for name, span in places(tensor.axes):
            ends[name].held.append(End("tensor", span, tensor.name, tensor.alone))
    for given in structure.inputs:
        for piece in given.slices:
            for name, span in places(piece.axes):
                ends[name].held.append(End("input", span, given.name))
    for name, span in places(structure.output.axes):
        ends[name].held.append(End("output", span, structure.output.name))
    for bias in structure.biases:
        for name, span in places(bias.axes):
            ends[name].held.append(End("bias", span, bias.name))
    return ends


def places(axes: tuple[ResolvedAxis, ...]) -> Iterator[tuple[str, Span]]:
    """Each index on the axes with the leg that puts it there; `...` is left out."""
    for axis in axes:
        if axis.kind != "dots":
            yield from zip(axis.indices, axis.spans, strict=True)
