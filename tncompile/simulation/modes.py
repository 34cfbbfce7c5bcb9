"""The modes that a program runs in: training, inference, folded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from tncompile.lowering import TensorProgram
from tncompile.machine.profile import MachineProfile
from tncompile.network.model import TensorNetwork
from tncompile.simulation.folded import folded_trace
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
) -> Trace:
    """The cost of a program in a mode at these run-time sizes."""
    if mode == "folded":
        return folded_trace(network, program, sizes, profile)
    return trace(network, program, sizes, profile, training=mode == "training")
