"""A forward pass of the folded module: what its program does per call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tncompile.machine.profile import MachineProfile
from tncompile.network.model import Init, Parameter, TensorNetwork
from tncompile.program.folding import remainder
from tncompile.program.operations import LoadParameter, results, sources
from tncompile.program.program import TensorProgram
from tncompile.simulation.kernels import OpCost
from tncompile.simulation.trace import Trace, trace


def folded_trace(
    network: TensorNetwork,
    program: TensorProgram,
    sizes: Mapping[str, int],
    profile: MachineProfile,
) -> Trace:
    """Trace what is left of a program when the module is folded.

    The costs are those of the steps of `program`: zero for what is precomputed. Loading a buffer
    is a cost of the first step that reads it.
    """
    rest = remainder(program)
    loads = [step.operation for step in rest.steps if isinstance(step.operation, LoadParameter)]
    buffers = tuple(
        _buffer(load.key, tuple(k.at(sizes) for k in rest.values[load.result].shape))
        for load in loads
    )
    strides = {
        load.key: tuple(k.at(sizes) for k in rest.values[load.result].strides) for load in loads
    }
    folded = network.model_copy(update={"parameters": buffers})
    traced = trace(folded, rest, sizes, profile, training=False, strides=strides)
    forward = [OpCost() for _ in program.steps]
    number = {name: k for k, step in enumerate(program.steps) for name in results(step.operation)}
    loading: dict[str, OpCost] = {}
    for step, cost in zip(rest.steps, traced.forward, strict=True):
        if isinstance(step.operation, LoadParameter):
            loading[step.operation.result] = cost
            continue
        own = forward[number[results(step.operation)[0]]]
        for read in {source for source in sources(step.operation) if source in loading}:
            own.add(loading.pop(read))
        own.add(cost)
    for name, cost in loading.items():  # buffers that are returned as they are
        forward[number[name]].add(cost)
    return replace(traced, forward=tuple(forward))


def _buffer(name: str, shape: tuple[int, ...]) -> Parameter:
    return Parameter(
        key=name,
        family=name,
        axes=((),) * len(shape),
        shape=shape,
        init=Init(scheme="zeros"),
        frozen=True,
        written=name,
    )
