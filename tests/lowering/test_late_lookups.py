"""Parameters merged to tables before ids pick rows of them: values, memory, trees."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tncompile
from benchmarks.memory import peak_allocated
from tests.support.brute_force import brute_force, close, random_tensors
from tests.support.late_lookups import (
    CHAIN,
    NAMED,
    SIZES,
    embedding,
    every_candidate,
    random_embedding,
    random_late_tree,
)
from tests.support.memory import held_bytes
from tests.support.strategies import network
from tncompile.lowering import lower
from tncompile.lowering.schedule import Schedule
from tncompile.lowering.stacking.grouping import units
from tncompile.machine.profile import BUILTIN
from tncompile.network.contraction import (
    Contraction,
    ContractionTree,
    build_tree,
    opened,
    operands,
    verify_tree,
)
from tncompile.network.model import DOTS
from tncompile.planning.layouts.schedules import Scheduler
from tncompile.planning.paths.lookup_tables import TableSearch
from tncompile.planning.paths.optimizers import EFFORTS
from tncompile.planning.serialization import read
from tncompile.program.interpreter import run_program as run
from tncompile.program.operations import Embedding as Rows
from tncompile.simulation.modes import MODES
from tncompile.simulation.trace import trace

each = pytest.mark.parametrize("name", NAMED)


# ── values ──────────────────────────────────────────────────────────────────────────────────────


@given(seed=st.integers(0, 2**32))
@settings(max_examples=120, deadline=None)
def test_any_tables_of_any_network_give_the_sum_of_products(seed: int) -> None:
    sketch = random_embedding(seed)
    net = network(sketch)
    parameters, inputs = random_tensors(sketch, seed)
    due = brute_force(sketch, parameters, inputs)
    tree = random_late_tree(net, seed)
    assert not list(verify_tree(net, tree))
    assert read(ContractionTree, json.loads(json.dumps(asdict(tree)))) == tree
    for schedule in (Schedule(), Schedule(chunk_rows=4), Schedule(batch_equal_steps=True)):
        value = run(net, lower(net, tree, schedule), parameters, inputs)
        assert isinstance(value, Tensor)
        close(value, due)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_proposals_for_random_tables_compute_and_trace(seed: int) -> None:
    sketch = random_embedding(seed)
    net = network(sketch)
    parameters, inputs = random_tensors(sketch, seed)
    due = brute_force(sketch, parameters, inputs)
    for tree in every_candidate(net)[:4]:
        assert not list(verify_tree(net, tree))
        for mode in MODES:
            for schedule in Scheduler(net, BUILTIN).proposals(tree, SIZES, mode):
                program = lower(net, tree, schedule, sizes=SIZES)
                value = run(net, program, parameters, inputs)
                assert isinstance(value, Tensor)
                close(value, due)
                traced = trace(net, program, SIZES, BUILTIN, training=mode == "training")
                assert traced.total.seconds > 0
                assert traced.peak >= traced.resident


@each
def test_every_grouping_equals_the_reference(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values and gradients in float64, whatever is merged."""
    sketch = NAMED[name]
    net = network(sketch)
    parameters, inputs = random_tensors(sketch, 1)
    held = {key: value.requires_grad_() for key, value in parameters.items()}
    due = brute_force(sketch, held, inputs)
    weight = torch.randn(due.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    gradients = torch.autograd.grad((due * weight).sum(), list(held.values()))
    trees = every_candidate(net, monkeypatch)
    assert len({tree.operands for tree in trees}) > (1 if len(sketch.weights) > 2 else 0)
    for tree in trees:
        assert not list(verify_tree(net, tree))
        schedule = next(iter(Scheduler(net, BUILTIN).proposals(tree, SIZES, "training")))
        program = lower(net, tree, schedule)
        value = run(net, program, held, inputs)
        assert isinstance(value, Tensor)
        close(value, due)
        product = value * weight.reshape(value.shape)
        for mine, theirs in zip(
            torch.autograd.grad(product.sum(), list(held.values())), gradients, strict=True
        ):
            torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)


def test_neighboring_digits_are_picked_at_once() -> None:
    """One number of a row, where two tables would be two look-ups."""
    net = network(NAMED["train"])
    whole = next(tree for tree in every_candidate(net) if len(tree.steps[-1].lookups) == 3)
    program = lower(net, whole)
    assert [type(step.operation).__name__ for step in program.steps].count("Embedding") == 1
    assert not any(
        type(step.operation).__name__ in ("UnravelIndex", "RavelIndex") for step in program.steps
    )


def test_equal_tables_of_a_family_run_together() -> None:
    """Batched products, and one look-up in all members of the stack."""
    arch = tncompile.loads(CHAIN).instantiate(n=10)
    net = arch.network
    due = operands(net)
    names = [net.tensors[one.tensor].name for one in due]
    assert names == ["F", *(f"G[{k}]" for k in range(1, 9)), "H"]
    pairs = [(2 * k - 1, 2 * k) for k in range(1, 5)]
    late = {9 + k: due[2 * k - 1].lookups + due[2 * k].lookups for k in range(1, 5)}
    opening = (due[0], *(opened(net, one) for one in due[1:-1]), due[-1])
    rest = ((10, 11), (12, 13), (14, 15), (0, 16), (17, 9))
    tree = build_tree(net, opening, (*pairs, *rest), late)
    assert not list(verify_tree(net, tree))
    assert [len(unit.members) for unit in units(net, tree, batch_equal_steps=True)] == [
        4,
        2,
        1,
        1,
        1,
    ]
    program = lower(net, tree, Schedule(batch_equal_steps=True))
    tables = [
        step
        for step in program.steps
        if isinstance(step.operation, Rows) and step.contraction == 10
    ]
    assert len(tables) == 1
    generator = torch.Generator().manual_seed(1)
    parameters = {
        one.key: torch.randn(one.shape, generator=generator, dtype=torch.float64)
        for one in net.parameters
    }
    inputs = {"ids": torch.randint(2, (6, 10), generator=generator)}
    value = run(net, program, parameters, inputs)
    straight = build_tree(net, due, tuple((k and 9 + k, k + 1) for k in range(9)))
    plain = run(net, lower(net, straight), parameters, inputs)
    assert isinstance(value, Tensor)
    assert isinstance(plain, Tensor)
    close(value, plain)


def test_tables_take_the_memory_that_is_predicted() -> None:
    """Every grouping of an embedding, in a forward pass and in a training step."""
    net, sizes = embedding().network, {DOTS: 512}
    for one in TableSearch(net, operands(net), sizes).candidates(EFFORTS["fast"]):
        program = lower(net, one.tree, sizes=sizes)
        parameters = {p.key: torch.randn(p.shape, requires_grad=True) for p in net.parameters}
        inputs = {"ids": torch.randint(1920, (512,))}
        held = held_bytes([*parameters.values(), *inputs.values()])

        def forward() -> object:
            with torch.no_grad():
                return run(net, program, parameters, inputs)  # noqa: B023

        def training_step() -> object:
            made = run(net, program, parameters, inputs)  # noqa: B023
            assert isinstance(made, Tensor)
            gradient = torch.ones(made.shape)
            torch.autograd.backward(made, gradient)
            return made, gradient

        actions: list[tuple[bool, Callable[[], object]]] = [(False, forward), (True, training_step)]
        for training, action in actions:
            predicted = trace(net, program, sizes, BUILTIN, training=training).peak
            measured = held + peak_allocated(action)
            assert abs(predicted - measured) <= 0.1 * measured, (one.names, training)


# ── what a tree may not do ──────────────────────────────────────────────────────────────────────


def damaged(tree: ContractionTree, number: int, step: Contraction) -> ContractionTree:
    """The tree with one contraction replaced."""
    steps = (*tree.steps[:number], step, *tree.steps[number + 1 :])
    return ContractionTree(tree.operands, steps)


def test_a_tree_that_forgets_ids_is_refused() -> None:
    net = network(NAMED["train"])
    tree = next(t for t in every_candidate(net) if t.steps[0].lookups)
    first = tree.steps[0]
    assert "before its rows are picked" in next(
        verify_tree(net, damaged(tree, 0, replace(first, lookups=())))
    )
    assert "other ids" in next(
        verify_tree(net, damaged(tree, 0, replace(first, lookups=first.lookups[:1])))
    )
    twice = replace(tree.steps[1], lookups=first.lookups)
    assert "other ids" in next(verify_tree(net, damaged(tree, 1, twice)))
    whole = next(t for t in every_candidate(net) if len(t.steps[-1].lookups) == 3)
    assert "ids are not looked up" in next(
        verify_tree(net, damaged(whole, 1, replace(whole.steps[1], lookups=())))
    )
    strange = replace(tree.operands[0], legs=tree.operands[0].legs[1:])
    assert "operands" in next(
        verify_tree(net, ContractionTree((strange, *tree.operands[1:]), tree.steps))
    )
