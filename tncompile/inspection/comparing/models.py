"""What differs between two models: inputs, parts, tensors and what `forward` does with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tncompile.inspection.comparing.changes import (
    NONE,
    Change,
    Record,
    argument_changes,
    changes_of,
    order_change,
    shape_text,
    whole_text,
    yes_or_no,
)
from tncompile.inspection.comparing.forward import forward_difference
from tncompile.inspection.comparing.networks import init_text, network_changes
from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.model import (
    Callee,
    Extern,
    Layer,
    Part,
    PlainTensor,
    Resolved,
    ResolvedModel,
)
from tncompile.models.costs.tree import parameter_count
from tncompile.models.printer import callee_text
from tncompile.network.model import TensorNetwork

Network = Callable[[ResolvedNetwork], TensorNetwork]
"""What has the network of a block."""


def input_shapes(model: ResolvedModel) -> dict[str, str]:
    """What `forward` takes, by name: `(..., t, 64)`."""
    return {each.name: _typed(f"{each.shape}", each.kind) for each in model.inputs}


def output_shape(model: ResolvedModel) -> str:
    """What `forward` gives: a shape, or several in a tuple."""
    texts = [value.text for value in model.output]
    return texts[0] if model.single else f"({', '.join(texts)})"


def _typed(shape: str, kind: str) -> str:
    return shape if kind == "float" else f"{shape} {kind}"


@dataclass
class Comparing:
    """Blocks beside each other; those that occur in many parts are looked at once."""

    networks: tuple[Network, Network]
    known: dict[tuple[int, int], tuple[Change, ...]] = field(default_factory=dict)

    def blocks(self, first: Resolved, second: Resolved) -> tuple[Change, ...]:
        """All differences of two networks or of two models, inputs and outputs first."""
        key = id(first), id(second)
        if key not in self.known:
            if isinstance(first, ResolvedModel) and isinstance(second, ResolvedModel):
                self.known[key] = tuple(self._models(first, second))
            else:
                assert isinstance(first, ResolvedNetwork)
                assert isinstance(second, ResolvedNetwork)
                one, other = self.networks
                self.known[key] = network_changes(one(first), other(second))
        return self.known[key]

    def _models(self, first: ResolvedModel, second: ResolvedModel) -> Iterator[Change]:
        both = first, second
        yield from changes_of(*map(_inputs, both))
        yield from order_change("input", *([each.name for each in of.inputs] for of in both))
        yield from changes_of(*({"": _output(each)} for each in both))
        yield from changes_of(*map(_sizes, both))
        yield from changes_of(*map(_requirements, both))
        yield from self._parts(first, second)
        yield from changes_of(*map(_tensors, both))
        yield from changes_of(*map(_ties, both))
        yield from forward_difference(first, second).changes

    def _parts(self, first: ResolvedModel, second: ResolvedModel) -> Iterator[Change]:
        one, other = ({part.name: part for part in of.parts} for of in (first, second))
        for name, part in one.items():
            twin = other.get(name)
            if twin is None:
                alone = stored_count(part.callee)
                yield Change("part", name, "", part_text(part), None, (alone, None))
                continue
            yield from self._part(part, twin)
        for name, part in other.items():
            if name not in one:
                alone = stored_count(part.callee)
                yield Change("part", name, "", None, part_text(part), (None, alone))

    def _part(self, part: Part, twin: Part) -> Iterator[Change]:
        inner = self._inside(part.callee, twin.callee)
        if inner is not None:
            counts = stored_count(part.callee), stored_count(twin.callee)
            before, after = part_text(part), part_text(twin)
            yield Change("part", part.name, "is", before, after, counts, inner)
        yield from changes_of(*({part.name: _aspects(each)} for each in (part, twin)))

    def _inside(self, one: Callee, other: Callee) -> tuple[Change, ...] | None:
        """What differs inside of two parts; None where nothing does."""
        if one is other:
            return None
        blocks = ResolvedNetwork | ResolvedModel
        if isinstance(one, blocks) and isinstance(other, blocks):
            if isinstance(one, ResolvedModel) != isinstance(other, ResolvedModel):
                return ()
            found = self.blocks(one, other)
            return (*argument_changes(one.values, other.values), *found) if found else None
        if isinstance(one, Layer) and isinstance(other, Layer) and one.name == other.name:
            given = argument_changes(one.arguments, other.arguments)
            return given or tuple(changes_of(_stored(one), _stored(other))) or None
        return None if one == other else ()


def stored_count(callee: Callee) -> int | None:
    """The numbers that a part stores; None of an `extern`."""
    return None if isinstance(callee, Extern) else parameter_count(callee)


def part_text(part: Part) -> str:
    """What a part is: the call in full."""
    callee = part.callee
    if not isinstance(callee, Extern):
        return callee_text(part)
    named = [f"{name} = {whole_text(value)}" for name, value in callee.named.items()]
    given = ", ".join([*map(whole_text, callee.positional), *named])
    return f"{callee_text(part)}({given})"


def _stored(layer: Layer) -> dict[str, Record]:
    """The shapes of what a layer stores."""
    return {
        key: Record("tensor", shape_text(shape), {"shape": shape_text(shape)})
        for key, shape in (*layer.parameters.items(), *layer.buffers.items())
    }


def _aspects(part: Part) -> Record:
    handed = {name: other.path for name, other in part.handed.items()}
    aspects = {
        "frozen": yes_or_no(part.frozen),
        "key": part.path,
        "tied": _pairs(part.tied),
        "is given": _pairs(handed),
        "comes from the caller": yes_or_no(part.outer),
    }
    return Record("part", "", aspects)


def _pairs(of: Mapping[str, str]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in sorted(of.items())) or NONE


def _inputs(model: ResolvedModel) -> dict[str, Record]:
    shapes = input_shapes(model)
    return {name: Record("input", shape, {"shape": shape}) for name, shape in shapes.items()}


def _output(model: ResolvedModel) -> Record:
    shape = output_shape(model)
    return Record("output", shape, {"shape": shape})


def _sizes(model: ResolvedModel) -> dict[str, Record]:
    found = {}
    for size in model.sizes:
        usual = NONE if size.usual is None else f"{size.usual:,}"
        aspects = {"usual size": usual, "causal": yes_or_no(size.causal)}
        found[size.name] = Record("size", f"usual size {usual}", aspects)
    return found


def _requirements(model: ResolvedModel) -> dict[str, Record]:
    return {each.text: Record("requirement", each.reason) for each in model.requirements}


def _ties(model: ResolvedModel) -> dict[str, Record]:
    return {key: Record("tie", to, {"to": to}) for key, to in model.tied.items()}


def _tensors(model: ResolvedModel) -> dict[str, Record]:
    return {tensor.path: _tensor(tensor) for tensor in model.tensors}


def _tensor(tensor: PlainTensor) -> Record:
    shape = shape_text(tensor.shape)
    aspects = {
        "shape": shape,
        "entries": tensor.kind,
        "init": init_text(tensor.init.scheme, tensor.init.argument),
        "frozen": yes_or_no(tensor.frozen),
    }
    return Record("tensor", shape, aspects)
