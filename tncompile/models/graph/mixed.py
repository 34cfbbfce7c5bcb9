"""A model that is a table of low rank whose rows have numbers of their own count.

Row w of the table is (base[p], more[0][min(p, counts[0])], …) @ basis with p = places[w]: the first
counts[k] places have rows of their own in more[k], all others its last one (Ginart and others,
"Mixed Dimension Embeddings", 2019). It is known by its graph, whatever its names are.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from tncompile.language.typing.model import ModelInput, PlainTensor, ResolvedModel
from tncompile.language.typing.operations import Apply, Read
from tncompile.language.typing.values import Value
from tncompile.models.graph.low_rank import is_of, low_rank_network, operands_of, stored_in
from tncompile.network.model import TensorNetwork


@dataclass(frozen=True)
class Mixed:
    """The tensors of such a model.

    places  (words,) integers: where the row of each word is
    base    (words, ranks[0])
    more    each (counts[k] + 1, ranks[k + 1] - ranks[k]), counts falling
    basis   (ranks[-1], features)
    """

    places: PlainTensor
    base: PlainTensor
    more: tuple[PlainTensor, ...]
    basis: PlainTensor

    @property
    def words(self) -> int:
        """Rows of the table."""
        return self.base.shape[0]

    @property
    def features(self) -> int:
        """Columns of the table."""
        return self.basis.shape[1]

    @property
    def counts(self) -> tuple[int, ...]:
        """How many words have rows of their own, of each of `more`."""
        return tuple(each.shape[0] - 1 for each in self.more)

    @property
    def ranks(self) -> tuple[int, ...]:
        """Numbers of a row: of all words, then of the first ones."""
        found = [self.base.shape[1]]
        for each in self.more:
            found.append(found[-1] + each.shape[1])
        return tuple(found)

    def network(self, model: ResolvedModel) -> TensorNetwork:
        """The table of low rank that has all numbers for all words."""
        sizes = self.words, self.basis.shape[0], self.features
        return low_rank_network(model, sizes, ids=True)


def mixed(model: ResolvedModel) -> Mixed | None:
    """The tensors of a model of this form; None for every other."""
    if len(model.output) != 1 or len(model.inputs) != 1 or model.sizes or model.requirements:
        return None
    operands = operands_of(model.output[0], "matmul") or ()
    basis = stored_in(operands[1], 2) if operands else None
    if basis is None:
        return None
    match operands[0].operation:
        case Apply(function="concat", operands=(first, *rest), options={"dim": -1}) if rest:
            pass
        case _:
            return None
    base, place = _looked_up(first)
    order, ids = (None, None) if place is None else _looked_up(place, 1, "int")
    source = None if ids is None else _read(ids)
    if base is None or order is None or source is None:
        return None
    more = []
    for value in rest:
        table, held = _looked_up(value)
        if table is None or held is None or _clamped(held, table.shape[0] - 1) is not place:
            return None
        more.append(table)
    form = Mixed(order, base, tuple(more), basis)
    return form if _fits(model, form) else None


def _looked_up(
    value: Value, axes: int = 2, kind: str | None = None
) -> tuple[PlainTensor | None, Value | None]:
    """The tensor in which a value is looked up along its first axis, and the ids."""
    operands = operands_of(value, "take")
    if operands is None or value.operation.options["dim"] not in (None, 0):  # type: ignore[attr-defined]
        return None, None
    return stored_in(operands[0], axes, kind), operands[1]


def _clamped(value: Value, most: int) -> Value | None:
    """The value of which a value is the smaller one of it and a number."""
    match value.operation:
        case Apply(function="clamp", operands=(inner,), options={"min": None, "max": top}):
            return inner if top == most else None
        case _:
            return None


def _read(value: Value) -> ModelInput | None:
    """The input that a value is: ids of any shape."""
    match value.operation:
        case Read(source=source) if source.shape.dots and not source.shape.sizes:
            return source if source.kind == "int" else None
        case _:
            return None


def _fits(model: ResolvedModel, form: Mixed) -> bool:
    """Whether these are all tensors of the model, each once, real and trained, of such sizes."""
    trained = (form.base, *form.more, form.basis)
    counts = (form.words, *form.counts)
    return (
        is_of(model, (form.places, *trained))
        and not any(each.frozen or each.complex or each.kind == "int" for each in trained)
        and form.places.shape == (form.words,)
        and form.places.init.scheme == "arange"
        and form.ranks[-1] == form.basis.shape[0] <= form.features
        and all(few < many for many, few in pairwise(counts))
    )
