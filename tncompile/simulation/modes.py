"""The modes that a program runs in: training, inference, folded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from tncompile.machine.profile import MachineProfile
from tncompile.network.model import Init, Parameter, TensorNetwork
from tncompile.program.folding import remainder
from tncompile.program.operation import results, sources
from tncompile.program.operations import LoadParameter
from tncompile.program.program import TensorProgram
from tncompile.simulation.kernels import OpCost
from tncompile.simulation.trace import Trace, trace

Mode = Literal["training", "inference", "folded"]
"""A training step, a forward pass, or one of the folded module, whose constants are computed."""

MODES: tuple[Mode, ...] = ("training", "inference", "folded")


def trace_in(
    network: TensorNetwork,
    program: TensorProgram,
    sizes: Mapping[str, int],
    profile: MachineProfile,
    mode: Mode,
    rest: TensorProgram | None = None,
) -> Trace:
    """The cost of a program in a mode at these run-time sizes.

    When the module is folded, the costs are still those of the steps of `program`: zero for what is
    precomputed. Loading a buffer is a cost of the first step that reads it. `rest` is what is
    left to run then, where that is known.
    """
    if mode != "folded":
        return trace(network, program, sizes, profile, training=mode == "training")
    rest = rest or remainder(program)
    parameters: list[Parameter] = []
    strides: dict[str, tuple[int, ...]] = {}
    for load in (step.operation for step in rest.steps):
        if not isinstance(load, LoadParameter):
            continue
        key, value = load.key, rest.values[load.result]
        shape = tuple(extent.at(sizes) for extent in value.shape)
        strides[key] = tuple(extent.at(sizes) for extent in value.strides)
        axes, zeros = ((),) * len(shape), Init(scheme="zeros")
        parameters.append(
            Parameter(key=key, family=key, axes=axes, shape=shape, init=zeros, written=key)
        )
    folded = network.model_copy(update={"parameters": tuple(parameters)})
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
