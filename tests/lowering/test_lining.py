"""Members of stacks in the order of their readers: the same numbers, on every tree we plan."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.support import small_networks
from tncompile.emission.steps.expressions import positions_lines
from tncompile.lowering import lower
from tncompile.lowering.schedule import Schedule
from tncompile.network.contraction import operands
from tncompile.network.model import TensorNetwork
from tncompile.planning.paths.candidates import candidates
from tncompile.planning.paths.optimizers import EFFORTS
from tncompile.planning.paths.problem import contraction_problem
from tncompile.program.interpreter import run_program as run
from tncompile.program.operations import Copy, IndexSelect, MatMul, Slice, Split
from tncompile.program.printer import describe_program

NETWORKS = {
    "chain of 21": small_networks.mps(21, 2, 3, 2),
    "chain of 34": small_networks.mps(34, 2, 3, 2),
    "tree of 13": small_networks.tree(13, 3, 2, 4),
    "tree of 32": small_networks.tree(32, 3, 2, 4),
    "norm of 18": small_networks.norm(18, 3),
}


def random_tensors(net: TensorNetwork) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Parameters and inputs of about norm 1 a row, five rows of the batch."""
    rng = torch.Generator().manual_seed(3)
    parameters = {
        one.key: torch.randn(one.shape, generator=rng, dtype=torch.float64)
        / math.sqrt(one.shape[0] if one.shape else 1)
        for one in net.parameters
    }
    inputs = {}
    for one in net.inputs:
        shape = [
            axis.size
            if axis.kind == "slices"
            else math.prod(net.index[name].size or 5 for name in axis.indices)
            for axis in one.axes
        ]
        inputs[one.name] = torch.randn(shape, generator=rng, dtype=torch.float64)
    return parameters, inputs


@pytest.mark.parametrize("name", NETWORKS)
def test_every_tree_gives_the_same_with_equal_steps_together(name: str) -> None:
    net = NETWORKS[name]
    sizes = {index.name: 5 for index in net.indices if index.size is None}
    given = operands(net)
    parameters, inputs = random_tensors(net)
    due = None
    found = candidates(net, given, contraction_problem(net, given, sizes), EFFORTS["fast"])
    for one in found:
        program = lower(net, one.tree, Schedule(batch_equal_steps=True), sizes=sizes)

        def check(made: str, value: Tensor) -> None:
            held = program.values[made]  # noqa: B023
            for length, stride, real in zip(held.shape, held.strides, value.stride(), strict=True):
                if length.at(sizes) > 1:
                    assert stride.at(sizes) == real, (made, describe_program(program))  # noqa: B023

        value = run(net, program, parameters, inputs, check)
        assert isinstance(value, Tensor)
        due = run(net, lower(net, one.tree), parameters, inputs) if due is None else due
        torch.testing.assert_close(value, due, rtol=1e-9, atol=1e-12, msg=", ".join(one.names))


def test_stacks_of_matrices_are_read_without_copies() -> None:
    """Above the products with the inputs a chain of matrices is multiplied as it lies."""
    net = small_networks.mps(66, 2, 4, 3)
    given = operands(net)
    sizes = {index.name: 64 for index in net.indices if index.size is None}
    found = candidates(net, given, contraction_problem(net, given, sizes), EFFORTS["fast"])
    one = next(held for held in found if "levels of 4+ pairs" in held.names)
    program = lower(net, one.tree, Schedule(batch_equal_steps=True), sizes=sizes)
    kinds = [type(step.operation) for step in program.steps]
    assert Split in kinds
    last = max(k for k, kind in enumerate(kinds) if kind is IndexSelect)
    products = [k for k, kind in enumerate(kinds) if kind is MatMul and k > last]
    assert len(products) > 4
    large = [
        step.operation
        for step in program.steps[products[0] :]
        if isinstance(step.operation, Copy | Slice)
        and program.values[step.operation.result].size.at(sizes) > 64 * 4 * 4
    ]
    assert not large


@pytest.mark.parametrize("n", [32, 100, 128, 512])
@pytest.mark.parametrize("starts", [(0, 2, 1, 3), (0, 1), (1, 0, 3, 2)])
def test_positions_are_written_as_they_are(n: int, starts: tuple[int, ...]) -> None:
    step = len(starts)
    positions = tuple(k for start in starts for k in range(start, n, step))
    for numbers in (positions, (*positions, *range(600, 603)), positions[::-1]):
        lines = positions_lines(numbers, "'cpu'", 8)
        assert all(len(line) <= 92 for line in lines)
        held: dict[str, object] = {"torch": torch}
        exec("\n".join(lines), held)
        made = held["positions"]
        assert isinstance(made, Tensor)
        assert tuple(made.tolist()) == numbers
