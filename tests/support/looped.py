"""Modules that run in chunks."""

from __future__ import annotations

from tests.support.modules import ALL, Subject
from tests.support.strategies import random_tree
from tncompile.compiler import norm_program, plan_network
from tncompile.emission import GeneratedModule, emit
from tncompile.initialization.draws import initialize
from tncompile.lowering import lower
from tncompile.lowering.schedule import Schedule
from tncompile.planning.request import plan_request
from tncompile.program.program import TensorProgram
from tncompile.program.rewriting import straightened
from tncompile.program.variants import Branch, Branches

LOOPED = [
    subject
    for subject in ALL
    if len(subject.network.tensors) < 20  # any tree over many of them is out of bounds
    and lower(subject.network, random_tree(subject.network, 0), Schedule(chunk_rows=3)).loop
    is not None
]


def generated(subject: Subject, program: TensorProgram) -> GeneratedModule:
    """A module that runs this program in eager mode."""
    net = subject.network
    only = (Branch(program, None, ""),)
    planned = plan_network(net, plan_request(net, search="fast"))
    branches = Branches(straightened(program), only, only, only)
    return emit(net, planned, branches, initialize(net, norm_program))
