"""The modes that a program runs in: inference, training, folded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from tncompile.lowering import TensorProgram
from tncompile.machine.profile import MachineProfile
from tncompile.network.model import TensorNetwork
from tncompile.simulation.folded import folded_trace
from tncompile.simulation.trace import Trace, trace


def trace_in(
    network: TensorNetwork,
    program: TensorProgram,
    sizes: Mapping[str, int],
    profile: MachineProfile,
    mode: Mode,
) -> Trace:
    """What a program does in a mode at these run-time sizes."""
    if mode == "folded":
        return folded_trace(network, program, sizes, profile)
    return trace(network, program, sizes, profile, training=mode == "training")


Mode = Literal["training", "inference", "folded"]
"""What is counted: a training step, a forward pass, or a forward pass of the folded module, where
all that depends on parameters alone is there already."""


MODES: tuple[Mode, ...] = ("training", "inference", "folded")
