"""Where each index of a network ends: on tensors, inputs, the output, biases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

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


class End(NamedTuple):
    """One end of an index: the leg, and the tensor, input, bias or output that it is on.

    `alone` says that the tensor is the one member of its family.
    """

    span: Span
    owner: str
    alone: bool = False


@dataclass(slots=True)
class Ends:
    """All ends of one index; an input has one a slice, the output one or none."""

    tensors: list[End] = field(default_factory=list)
    inputs: list[End] = field(default_factory=list)
    output: list[End] = field(default_factory=list)
    biases: list[End] = field(default_factory=list)

    @property
    def outside(self) -> list[End]:
        """The ends on inputs and the output."""
        return self.inputs + self.output

    @property
    def count(self) -> int:
        """How many things the index joins; a bias is added to the output and joins nothing."""
        return len(self.tensors) + len(self.outside)

    def labels(self) -> tuple[Label, ...]:
        """A label at each end, the first few."""
        owners: dict[Span, str] = {}
        for end in self.tensors + self.outside:
            owners.setdefault(end.span, f"on `{end.owner}`")
        return tuple(Label(span, text) for span, text in list(owners.items())[:MOST_LABELS])


def find_ends(structure: Structure) -> dict[str, Ends]:
    """The ends by the name of the index, in the order of declaration."""
    ends = {index.name: Ends() for index in structure.indices}
    for tensor in structure.tensors:
        for name, span in index_spans(tensor.axes):
            ends[name].tensors.append(End(span, tensor.name, tensor.alone))
    for tensor_input in structure.inputs:
        for part in tensor_input.slices:
            for name, span in index_spans(part.axes):
                ends[name].inputs.append(End(span, tensor_input.name))
    for name, span in index_spans(structure.output.axes):
        ends[name].output.append(End(span, structure.output.name))
    for bias in structure.biases:
        for name, span in index_spans(bias.axes):
            ends[name].biases.append(End(span, bias.name))
    return ends


def index_spans(axes: tuple[ResolvedAxis, ...]) -> Iterator[tuple[str, Span]]:
    """Each index on the axes with the leg that puts it there; `...` is left out."""
    for axis in axes:
        if axis.kind != "dots":
            yield from zip(axis.indices, axis.spans, strict=True)
