"""Steps of a program timed one by one: values, gradients, rows; no times."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import tncompile
from tests.support import small_networks as small
from tncompile.lowering import lower
from tncompile.lowering.schedule import Schedule
from tncompile.network.contraction import ContractionTree
from tncompile.planning import BUILTIN, plan
from tncompile.planning.plan import ContractionPlan
from tncompile.program.interpreter import RowMajorGradient
from tncompile.program.interpreter import run_program as interpret
from tncompile.program.operations import ContiguousGrad
from tncompile.tuning.profiler import profile_steps
from tncompile.tuning.step_timer import time_steps
from tncompile.tuning.timing import random_inputs

NETWORKS = {
    "mpo": small.mpo([4, 6, 8], [8, 6, 4], 6),
    "mps": small.mps(12, 2, 5, 3),
    "long mps": small.mps(80, 2, 4, 3),
    "tree": small.tree(8, 3, 4, 5),
    "norm": small.norm(8, 3),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_timed_steps_compute_what_the_program_says(name: str, training: bool) -> None:
    network = NETWORKS[name]
    planned = plan(network, batch=32, search="fast")
    weights = {p.key: torch.randn(p.shape) for p in network.parameters}
    inputs = random_inputs(network, planned.sizes)
    given = {one.name: value for one, value in zip(network.inputs, inputs, strict=True)}
    for variant in planned.variants:
        program = lower(network, variant.tree, variant.schedule, sizes=planned.sizes)
        made, spent = time_steps(
            network, program, weights, inputs, planned.sizes, training=training
        )
        due = interpret(network, program, weights, given)
        torch.testing.assert_close(made, due[0] if isinstance(due, tuple) else due)
        assert len(spent) == len(program.steps)
        assert all(one.forward >= 0 and one.backward >= 0 for one in spent)
        assert training or all(one.backward == 0 for one in spent)


def test_gradients_are_settled_as_in_a_module() -> None:
    network = tncompile.load("std/linear.tn").instantiate(
        "Monarch(ins = [64, 64], outs = [64, 64])"
    )
    program = lower(network.network, *_settling(network.plan(256)), sizes={"...": 8})
    assert any(isinstance(step.operation, ContiguousGrad) for step in program.steps)
    weights = {p.key: torch.randn(p.shape) for p in network.network.parameters}
    inputs = random_inputs(network.network, {"...": 8})
    made, spent = time_steps(network.network, program, weights, inputs, {"...": 8}, training=True)
    given = {network.network.inputs[0].name: inputs[0]}
    due = interpret(network.network, program, weights, given)
    assert isinstance(due, torch.Tensor)
    torch.testing.assert_close(made, due)
    assert sum(one.backward for one in spent) > 0


def test_a_gradient_that_is_settled_is_the_same_row_major() -> None:
    x = torch.randn(3, 4, 5, requires_grad=True)
    arriving = torch.randn(5, 3, 4).permute(1, 2, 0)
    made = RowMajorGradient.apply(x)
    assert torch.equal(made, x)
    (gradient,) = torch.autograd.grad(made, x, arriving)
    assert gradient.is_contiguous()
    assert torch.equal(gradient, arriving)


def _settling(planned: ContractionPlan) -> tuple[ContractionTree, Schedule]:
    """What is run in training steps, its first contraction settled whether it needs it or not."""
    variant = planned.variant(256, "training")
    return variant.tree, replace(
        variant.schedule, contiguous_grads=variant.schedule.contiguous_grads or (0,)
    )


def test_a_loop_is_timed_as_a_whole() -> None:
    network = small.mpo([8, 8], [8, 8], 4)
    planned = plan(network, batch=64, search="fast")
    schedule = type(planned.main.schedule)(chunk_rows=16)
    program = lower(network, planned.main.tree, schedule, sizes=planned.sizes)
    assert program.loop is not None
    weights = {p.key: torch.randn(p.shape) for p in network.parameters}
    inputs = random_inputs(network, {"...": 50})
    made, _ = time_steps(network, program, weights, inputs, {"...": 50}, training=True)
    straight = lower(network, planned.main.tree, sizes=planned.sizes)
    due = interpret(network, straight, weights, {network.inputs[0].name: inputs[0]})
    assert isinstance(due, torch.Tensor)
    torch.testing.assert_close(made, due)


def test_rows_are_those_of_the_cost_table() -> None:
    network = NETWORKS["mpo"]
    planned = plan(network, batch=32, search="fast")
    main = planned.main
    program = lower(network, main.tree, main.schedule, sizes=planned.sizes)
    weights = {p.key: torch.randn(p.shape) for p in network.parameters}
    inputs = random_inputs(network, planned.sizes)
    sizes = planned.sizes
    rows = profile_steps(network, main, program, weights, inputs, sizes, BUILTIN, "training")
    steps = main.cost.steps
    assert [row.result for row in rows[: len(steps)]] == [step.result for step in steps]
    assert sum(row.flops for row in rows) == main.cost.flops
