"""Runs of parts: layers, networks and models, equal ones once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.layers.table import LAYERS as ENTRIES
from tncompile.language.typing.model import Layer, ResolvedModel
from tncompile.language.typing.operations import CallPart
from tncompile.language.typing.values import Shape as ValueShape
from tncompile.machine.profile import MachineProfile
from tncompile.models.contracting import Orders
from tncompile.models.costs.networks import PlannedNetwork
from tncompile.models.costs.operations.job import Job, foreign
from tncompile.models.costs.operations.layers import LAYERS
from tncompile.models.costs.running.runs import Contraction, Run, reordered, run_alone
from tncompile.models.graph.hoisting import Splits
from tncompile.models.graph.numbers import picked
from tncompile.models.reach import Sizes, sizes_of_call
from tncompile.simulation.kernels import KernelModel
from tncompile.simulation.tensors import Shape, SymbolicTensor


@dataclass(slots=True)
class Runner:
    """Runs of parts on a machine; equal ones are one.

    `networks` are those of the model with their plans, by the identity of the resolved ones,
    `orders` those of contraction in models, `splits` their cells that go ahead of steps;
    `walk` is what runs a model: `run_model`.
    """

    profile: MachineProfile
    networks: Mapping[int, PlannedNetwork]
    orders: Orders
    splits: Splits
    training: bool
    walk: Callable[..., Run]
    runs: dict[tuple[Any, ...], Run] = field(default_factory=dict)

    def model(
        self,
        model: ResolvedModel,
        operands: Sequence[SymbolicTensor],
        requires_grad: Sequence[bool],
        rows: int,
        sizes: Sizes,
        *,
        frozen: bool = False,
        whole: bool = False,
    ) -> Run:
        """A run of a model on operands in the order of its inputs.

        The caller of a `whole` step holds the gradients of the results to its end.
        """
        key = (whole, id(model), rows, sizes, frozen, *requires_grad, *_outlined(operands))
        if key not in self.runs:
            self.runs[key] = self.walk(
                self, model, operands, requires_grad, rows, sizes, frozen=frozen, whole=whole
            )
        return self.runs[key]

    def layer(self, layer: Layer, job: Job, *, frozen: bool) -> Run:
        """A run of a layer; the job has no parameters yet."""
        key = (id(layer), frozen, *job.requires_grad, *job.shapes, *_outlined(job.operands))
        if key not in self.runs:
            trained = self.training and not frozen
            parameters = [foreign(shape, 4) for shape in layer.parameters.values()]
            kernels = KernelModel(self.profile, 4)
            kernels.memory.mark_baseline()
            by_itself = replace(
                job,
                kernels=kernels,
                operands=[*map(alone, job.operands), *parameters],
                requires_grad=(*job.requires_grad, *[trained] * len(parameters)),
            )
            settings = ENTRIES[layer.name].settings(layer.arguments)
            rule = LAYERS[layer.name]
            run = run_alone(kernels, lambda job: rule(job, settings), by_itself, len(job.operands))
            for work in (run.forward, run.backward):
                work.flops = 2 * work.multiply_adds
            largest = Contraction(layer.name, run.forward.seconds)
            self.runs[key] = replace(run, largest=largest if run.forward.flops else None)
        return self.runs[key]

    def call(
        self, call: CallPart, job: Job, rows: int, sizes: Mapping[str, int], *, frozen: bool
    ) -> Run:
        """A run of the part that is called in a model of these rows and sizes."""
        callee = call.part.callee
        if isinstance(callee, Layer):
            return self.layer(callee, job, frozen=frozen)
        assert isinstance(callee, ResolvedNetwork | ResolvedModel)
        inner_rows, inner_sizes = sizes_of_call(call, callee, rows, sizes)
        if isinstance(callee, ResolvedNetwork):
            return self.network(callee, call, job, inner_rows, inner_sizes, frozen=frozen)
        given = dict(zip(call.inputs, job.operands, strict=True))
        needs = dict(zip(call.inputs, job.requires_grad, strict=True))
        operands = []
        for source in callee.inputs:
            shape = shape_at(source.shape, inner_rows, dict(inner_sizes))
            tensor = given[source.name]
            strides = tensor.strides if tensor.shape == shape else None
            operands.append(foreign(shape, tensor.width, strides))
        names = [source.name for source in callee.inputs]
        requires_grad = [needs[name] for name in names]
        run = self.model(callee, operands, requires_grad, inner_rows, inner_sizes, frozen=frozen)
        return reordered(run, names, call.inputs, job)

    def network(
        self,
        network: ResolvedNetwork,
        call: CallPart,
        job: Job,
        rows: int,
        sizes: Sizes,
        *,
        frozen: bool,
    ) -> Run:
        """A run of a network; of a logarithm, it gives the sign, too, in the same shape."""
        numbers = picked(call)
        key = (id(network), rows, sizes, frozen, numbers, *job.requires_grad, *job.shapes)
        if key not in self.runs:
            self.runs[key] = self.networks[id(network)].run(
                rows,
                dict(sizes),
                self.profile,
                call.inputs,
                (job.shapes[0],) * 2 if network.output.log else job.shapes[:1],
                job.widths[0],
                training=self.training,
                through=any(job.requires_grad),
                frozen=frozen,
                numbers=numbers,
            )
        return self.runs[key]


def shape_at(shape: ValueShape, rows: int, sizes: Mapping[str, int]) -> Shape:
    """The shape of a value at these sizes, the axes of `...` as one."""
    return ((rows,) if shape.dots else ()) + tuple(size.at(sizes) for size in shape.sizes)


def alone(tensor: SymbolicTensor) -> SymbolicTensor:
    """The same shape and strides in memory that is counted elsewhere."""
    return foreign(tensor.shape, tensor.width, tensor.strides)


def _outlined(operands: Sequence[SymbolicTensor]) -> tuple[tuple[Shape, Shape, int], ...]:
    return tuple((each.shape, each.strides, each.width) for each in operands)
