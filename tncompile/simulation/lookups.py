"""What looking rows of a table up takes, beside any network."""

from __future__ import annotations

from tncompile.machine.profile import MachineProfile
from tncompile.program import operations as op
from tncompile.simulation.kernels import ID_WIDTH, KernelModel
from tncompile.simulation.rules import MOVES, Call
from tncompile.simulation.tensors import Shape


def lookup_seconds(profile: MachineProfile, count: int, table: Shape, *, training: bool) -> float:
    """Seconds of selecting `count` rows of a table of float32; in training the gradient, too."""
    kernels = KernelModel(profile, 4)
    memory, rows = kernels.memory, (count, *table[1:])
    operands = [memory.new(table, 4), memory.new((count,), ID_WIDTH)]
    kernels.begin_forward()
    call = Call(kernels, operands, (True, False), rows)
    outcome = MOVES[op.Embedding](call, op.Embedding("y", "rows", "places"))
    if training:
        kernels.begin_backward()
        outcome.backward(memory.received(rows, 4))
    return kernels.work.seconds
