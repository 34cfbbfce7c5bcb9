"""The tree of parts of a model with what each costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.model import Extern, Layer, Part, ResolvedModel
from tncompile.language.typing.values import term_text
from tncompile.machine.profile import MachineProfile
from tncompile.models.costs.networks import DenseLayer, PlannedNetwork
from tncompile.models.costs.report import Kind, PartCost, PartFigures
from tncompile.models.costs.running.runs import Run, Share
from tncompile.models.graph.constants import held_values, needed
from tncompile.simulation.kernels import OpCost

WIDTHS = {"bool": 1, "int": 8, "float": 4, "complex": 8}
"""Bytes of an entry by kind, in a module of float32."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor that a module stores: its key, entries, bytes, and whether it is trained."""

    key: str
    entries: int
    bytes: int
    frozen: bool


def own_tensors(part: Part) -> Iterator[StoredTensor]:
    """Each parameter of a part that is no other part's, and what it has frozen."""
    if not part.outer:
        for tensor in stored_tensors(part.callee):
            if tensor.key not in part.tied:
                yield replace(tensor, frozen=tensor.frozen or part.frozen)


def stored_tensors(callee: object) -> Iterator[StoredTensor]:
    """The tensors of a model, a network or a layer, each once; those of integers are left out."""
    match callee:
        case Layer(parameters=parameters):
            for key, shape in parameters.items():
                yield _tensor(key, shape, "float", False)
        case ResolvedNetwork(parameters=stored):
            for each in stored:
                kind = "complex" if each.complex else "float"
                yield _tensor(each.key, each.shape, kind, each.frozen)
        case ResolvedModel(parts=parts, tensors=tensors):
            for tensor in tensors:
                if not tensor.integer:
                    yield _tensor(tensor.path, tensor.shape, tensor.kind, tensor.frozen)
            seen: set[str] = set()
            for part in parts:
                if part.path not in seen:  # a shared subscript: one part
                    seen.add(part.path)
                    for own in own_tensors(part):
                        yield replace(own, key=f"{part.path}.{own.key}")


def _tensor(key: str, shape: tuple[int, ...], kind: str, frozen: bool) -> StoredTensor:
    entries = math.prod(shape)
    return StoredTensor(key, entries, entries * WIDTHS[kind], frozen)


def parameter_count(callee: object) -> int:
    """The stored numbers of a model, a network or a layer, each once; integers are none."""
    return sum(tensor.entries for tensor in stored_tensors(callee))


def stored_bytes(model: ResolvedModel) -> int:
    """The bytes of parameters, integers, buffers of layers and constants."""
    total = sum(tensor.bytes for tensor in stored_tensors(model))
    total += sum(WIDTHS["int"] * math.prod(each.shape) for each in model.tensors if each.integer)
    seen: set[str] = set()
    for part in model.parts:
        if part.outer or part.path in seen:
            continue
        seen.add(part.path)
        if isinstance(part.callee, Layer):
            total += sum(4 * math.prod(shape) for shape in part.callee.buffers.values())
        elif isinstance(part.callee, ResolvedModel):
            total += stored_bytes(part.callee) - sum(
                tensor.bytes for tensor in stored_tensors(part.callee)
            )
    return total + _constant_bytes(model)


def _constant_bytes(model: ResolvedModel) -> int:
    live = needed(model.output)
    operations = [operation for operation in model.operations if operation in live]
    return sum(
        WIDTHS[value.kind] * math.prod(size.at({}) for size in value.shape.sizes)
        for value in held_values(model, operations)
    )


@dataclass(slots=True)
class Tree:
    """What makes costs of parts of runs; equal runs are looked at once."""

    networks: Mapping[int, PlannedNetwork]
    profile: MachineProfile
    training: bool
    counts: dict[int, int]  # of the parameters of parts, which sizes do not change
    whole: float = 1.0  # seconds of the model in the mode that was asked for
    known: dict[tuple[int, int, int], tuple[PartCost, ...]] = field(default_factory=dict)

    def root(self, model: ResolvedModel, inference: Run, step: Run) -> PartCost:
        """The model itself."""
        forward, both = _figures(inference.forward), _figures(step.forward, step.backward)
        self.whole = (both if self.training else forward).seconds or 1.0
        if self.profile.overlaps:  # shares are of the seconds of host and device together
            forward.seconds, both.seconds = forward.overlapped(), both.overlapped()
        return PartCost(
            name=model.name,
            callee=model.target,
            kind="model",
            calls=1,
            parameters=self._count(model, lambda: parameter_count(model)),
            inference=_part_figures(forward, inference.peak),
            training=_part_figures(both, max(step.peak, step.backward_peak)),
            saved_bytes=step.saved,
            share=1.0,
            contraction=inference.largest.name if inference.largest else None,
            parts=self._parts(inference.shares, step.shares),
        )

    def _parts(
        self, inference: tuple[Share, ...], step: tuple[Share, ...], times: int = 1
    ) -> tuple[PartCost, ...]:
        key = id(inference), id(step), times
        if key not in self.known:
            pairs = zip(inference, step, strict=True)
            self.known[key] = tuple(self._part(one, two, times) for one, two in pairs)
        return self.known[key]

    def _part(self, inference: Share, step: Share, times: int) -> PartCost:
        """A part; its model is run `times` in that above."""
        part, callee = inference.part, inference.part.callee
        calls = times * inference.calls
        forward = _times(inference.forward, times)
        both = _figures(_times(step.forward, times), _times(step.backward, times))
        seconds = (both if self.training else forward).seconds
        largest = inference.run.largest
        return PartCost(
            name=part.name,
            callee=_callee(part),
            kind=_kind(part),
            calls=calls,
            parameters=self._count(
                part, lambda: sum(tensor.entries for tensor in own_tensors(part))
            ),
            inference=_part_figures(forward, inference.run.peak),
            training=_part_figures(both, step.peak),
            saved_bytes=times * step.saved,
            share=seconds / self.whole,
            contraction=largest.name if largest and not isinstance(callee, Layer) else None,
            dense=self._dense(inference, calls),
            parts=self._parts(inference.run.shares, step.run.shares, calls),
        )

    def _dense(self, share: Share, calls: int) -> DenseLayer | None:
        """The layer that a network is like, for all calls."""
        if not isinstance(share.part.callee, ResolvedNetwork) or share.run.called is None:
            return None
        planned = self.networks[id(share.part.callee)]
        rows, sizes = share.run.called
        dense = planned.dense(rows, sizes, self.profile, self.training)
        if dense is None:
            return None
        seconds = None if dense.seconds is None else calls * dense.seconds
        return DenseLayer(dense.kind, dense.parameters, calls * dense.flops, seconds)

    def _count(self, counted: object, count: Callable[[], int]) -> int:
        if id(counted) not in self.counts:
            self.counts[id(counted)] = count()
        return self.counts[id(counted)]


def _times(work: OpCost, times: int) -> OpCost:
    if times == 1:
        return work
    total = OpCost()
    total.add(work)
    total.repeat(OpCost(), times)
    return total


def _figures(*works: OpCost) -> OpCost:
    total = OpCost()
    for work in works:
        total.add(work)
    return total


def _part_figures(work: OpCost, peak: int) -> PartFigures:
    return PartFigures(work.multiply_adds, work.flops, work.moved, work.seconds, peak)


def _kind(part: Part) -> Kind:
    match part.callee:
        case ResolvedNetwork():
            return "network"
        case ResolvedModel():
            return "model"
        case Layer():
            return "layer"
        case _:
            return "extern"


def _callee(part: Part) -> str:
    """What a part is: `Linear(768, 768)`, `Block(d = 768, heads = 12)`."""
    match part.callee:
        case ResolvedNetwork(target=target) | ResolvedModel(target=target):
            return target
        case Layer(name=name, arguments=arguments):
            written = [
                f"{key} = {term_text(value)}" if k > 1 else term_text(value)
                for k, (key, value) in enumerate(arguments.items())
            ]
            return f"{name}({', '.join(written)})"
        case Extern(path=path):
            return f'extern "{path}"'
