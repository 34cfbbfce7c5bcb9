"""A model that is a matrix of low rank with its gauge fixed, and the network that is the same map.

The map x ↦ x M + c, M of rank r, where r rows of M are stored as they are, and the others as sums
of them: M[order] = [I; T] M[order[:r]]. It is known by its graph, whatever its names are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tncompile.language.typing.model import ModelInput, PlainTensor, ResolvedModel
from tncompile.language.typing.operations import Entries, Read, Select
from tncompile.language.typing.values import Value
from tncompile.models.graph.low_rank import is_of, low_rank_network, operands_of, stored_in
from tncompile.network.model import TensorNetwork


@dataclass(frozen=True)
class Interpolated:
    """The tensors of such a model.

    columns  (rank, out): the rows of M that are chosen, columns of a weight as torch has it
    rest     (in - rank, rank): T; None where all inputs are chosen
    order    (in,) integers: first the places of those that are chosen
    bias     (out,), if there is one
    """

    source: ModelInput
    columns: PlainTensor
    rest: PlainTensor | None
    order: PlainTensor
    bias: PlainTensor | None

    @property
    def inputs(self) -> int:
        """Features of the input."""
        return self.order.shape[0]

    @property
    def outputs(self) -> int:
        """Features of the output."""
        return self.columns.shape[1]

    @property
    def rank(self) -> int:
        """How many inputs are chosen."""
        return self.columns.shape[0]

    @property
    def complex(self) -> bool:
        """Whether the map is: both factors are, then."""
        return self.columns.complex

    def network(self, model: ResolvedModel) -> TensorNetwork:
        """The network of the same map, of the same rank: LowRank, with the bias of the model."""
        sizes = self.inputs, self.rank, self.outputs
        return low_rank_network(model, sizes, self.bias, is_complex=self.complex)


def interpolated(model: ResolvedModel) -> Interpolated | None:
    """The tensors of a model of this form; None for every other."""
    if len(model.output) != 1 or len(model.inputs) != 1 or model.sizes or model.requirements:
        return None
    result, bias = model.output[0], None
    if (operands := operands_of(result, "add")) is not None:
        result, bias = operands[0], stored_in(operands[1], 1)
        if bias is None:
            return None
    operands = operands_of(result, "matmul") or ()
    columns = stored_in(operands[1], 2) if operands else None
    if columns is None:
        return None
    inner, rest = operands[0], None
    if (terms := operands_of(inner, "add")) is not None:
        factors = operands_of(terms[1], "matmul")
        rest = None if factors is None else stored_in(factors[1], 2)
        chosen = _cut(terms[0], 0, columns.shape[0])
        left = None if factors is None else _cut(factors[0], columns.shape[0], None)
        if rest is None or chosen is None or chosen is not left:
            return None
        inner = chosen
    operands = operands_of(inner, "take") or ()
    order = stored_in(operands[1], 1, "int") if operands else None
    if order is None or inner.operation.options["dim"] != -1:  # type: ignore[attr-defined]
        return None
    found = _read(operands[0])
    tensors = [each for each in (columns, rest, order, bias) if each is not None]
    return None if found is None or not _fit(model, tensors, found) else Interpolated(
        found, columns, rest, order, bias
    )  # fmt: skip


def _read(value: Value) -> ModelInput | None:
    """The input that a value is: rows of floats behind any number of leading axes."""
    match value.operation:
        case Read(source=source) if source.shape.dots and len(source.shape.sizes) == 1:
            return source if source.kind in ("float", "complex") else None
        case _:
            return None


def _cut(value: Value, start: int, stop: int | None) -> Value | None:
    """The value of which a part of the last axis is taken; None is its end."""
    match value.operation:
        case Select(operands=(whole,), slots=(Entries(start=first, stop=last),)):
            end = whole.shape.sizes[-1].value if stop is None else stop
            if first is None or last is None or (first.value, last.value) != (start, end):
                return None
            return whole
        case _:
            return None


def _fit(model: ResolvedModel, tensors: Sequence[PlainTensor], source: ModelInput) -> bool:
    """Whether these are all tensors of the model, each once, trained but for the integers."""
    trained = not any(each.frozen for each in tensors if each.kind != "int")
    columns, order = tensors[0], next(each for each in tensors if each.kind == "int")
    alike = all(each.complex == columns.complex for each in tensors[1:] if each.shape[1:])
    fits = source.shape.sizes[0].value == order.shape[0] and columns.shape[0] <= order.shape[0]
    return is_of(model, tensors) and trained and alike and fits and order.init.scheme == "arange"
