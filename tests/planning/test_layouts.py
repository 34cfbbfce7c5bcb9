"""Layouts chosen over a whole tree, and batches done in parts: the same numbers, fewer copies."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tncompile
from tests.support.brute_force import RUNTIME, brute_force, close, random_tensors
from tests.support.strategies import network, random_sketch, random_tree
from tests.support.window_programs import random_program
from tncompile.lowering import TensorProgram, lower
from tncompile.lowering.schedule import Schedule
from tncompile.machine.profile import BUILTIN
from tncompile.network.contraction import build_tree, operands
from tncompile.network.model import DOTS, TensorNetwork
from tncompile.planning.layouts.assignment import LayoutSearch
from tncompile.planning.layouts.copies import Copies
from tncompile.planning.layouts.estimates import LayoutCostModel
from tncompile.planning.layouts.memory import Lengths, run_length
from tncompile.planning.layouts.schedules import Scheduler
from tncompile.planning.paths.candidates import candidates
from tncompile.planning.paths.optimizers import EFFORTS
from tncompile.planning.paths.problem import contraction_problem
from tncompile.program.interpreter import run_program as run
from tncompile.program.operations import Chunk, Copy, Expand, MatMul
from tncompile.program.printer import describe_program
from tncompile.simulation.modes import MODES, Mode, trace_in
from tncompile.simulation.trace import trace


@given(
    seed=st.integers(0, 2**32),
    mode=st.sampled_from(MODES),
    broadcasting=st.booleans(),
    grouped=st.booleans(),
    rows=st.integers(0, 4),
)
@settings(max_examples=200, deadline=None)
def test_any_layouts_in_any_chunks_give_the_sum_of_products(
    seed: int, mode: Mode, broadcasting: bool, grouped: bool, rows: int
) -> None:
    sketch = random_sketch(seed)
    net = network(sketch)
    tree = random_tree(net, seed)
    parameters, inputs = random_tensors(sketch, seed)
    model = LayoutCostModel(BUILTIN, mode)
    layouts, _ = LayoutSearch(
        net, tree, Copies(Lengths(net, RUNTIME), model, 1.0), broadcasting
    ).cheapest()
    program = lower(net, tree, Schedule(rows, layouts, grouped), sizes=RUNTIME)
    sizes = dict(RUNTIME)

    def check(name: str, value: Tensor) -> None:
        held = program.values[name]
        if program.loop is not None and any("'" in n for e in held.shape for n in e.names):
            return
        for length, stride, real in zip(held.shape, held.strides, value.stride(), strict=True):
            if length.at(sizes) > 1:
                assert stride.at(sizes) == real, (name, describe_program(program))

    value = run(net, program, parameters, inputs, check)
    assert isinstance(value, Tensor)
    close(value, brute_force(sketch, parameters, inputs))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_every_proposal_can_be_lowered_and_traced(seed: int) -> None:
    sketch = random_sketch(seed)
    net = network(sketch)
    tree = random_tree(net, seed)
    sizes = {**RUNTIME, DOTS: 1000}
    straight = trace(net, lower(net, tree, sizes=sizes), sizes, BUILTIN, training=False)
    products = sum(work.multiply_adds for work in straight.forward)
    for mode in MODES:
        for schedule in Scheduler(net, BUILTIN).proposals(tree, sizes, mode):
            program = lower(net, tree, schedule, sizes=sizes)
            traced = trace(net, program, sizes, BUILTIN, training=mode == "training")
            assert sum(work.multiply_adds for work in traced.forward) == products
            assert (traced.total.seconds > 0) == any(
                not step.operation.is_view for step in program.steps
            )
            assert traced.peak >= traced.resident


def mpo(
    batch: int, arguments: str = "ins=[8,8,8,8], outs=[8,8,8,8], ranks=8"
) -> tuple[TensorNetwork, dict[str, int]]:
    spec = tncompile.load("std/linear.tn")
    return spec.instantiate(f"MPO({arguments})").network, {DOTS: batch}


def best(net: TensorNetwork, sizes: dict[str, int], mode: Mode) -> TensorProgram:
    """The program of least predicted time over all trees and proposals."""
    given = operands(net)
    programs = [
        lower(net, one.tree, schedule, sizes=sizes)
        for one in candidates(net, given, contraction_problem(net, given, sizes), EFFORTS["normal"])
        for schedule in Scheduler(net, BUILTIN).proposals(one.tree, sizes, mode)
    ]
    return min(
        programs,
        key=lambda program: (
            trace(net, program, sizes, BUILTIN, training=mode == "training").total.seconds
        ),
    )


def test_halves_of_a_chain_need_no_copy_of_what_the_batch_makes() -> None:
    """Rule 3 of the yardstick: two wide products, the second one batched over the rows."""
    net, sizes = mpo(256)
    program = best(net, sizes, "inference")
    batched = [
        step.operation
        for step in program.steps
        if isinstance(step.operation, Copy)
        and any(program.values[step.operation.result].shape[0].names)
    ]
    assert not batched, describe_program(program)
    assert any(isinstance(step.operation, Expand) for step in program.steps)


def test_a_weight_is_born_in_the_order_in_which_it_is_used() -> None:
    """Rule 7: not the weight is permuted but the input, though the products before cost more."""
    net, sizes = mpo(256, "ins=[16,16,16], outs=[16,16,43], ranks=64")
    program = best(net, sizes, "training")
    shapes = {
        step.operation.result: program.values[step.operation.result].shape
        for step in program.steps
        if isinstance(step.operation, Copy | MatMul)
    }
    counts = {
        name: math.prod(extent.at(sizes) for extent in shape) for name, shape in shapes.items()
    }
    weight = 4096 * 11008
    assert weight in counts.values()
    copies = [step.operation.result for step in program.steps if isinstance(step.operation, Copy)]
    assert all(counts[name] < weight for name in copies), describe_program(program)


def test_parts_of_the_batch_keep_the_peak_low() -> None:
    net, sizes = mpo(2048)
    given = operands(net)
    one = candidates(net, given, contraction_problem(net, given, sizes), EFFORTS["normal"])[0]
    peaks: dict[bool, int] = {}
    for schedule in Scheduler(net, BUILTIN).proposals(one.tree, sizes, "inference"):
        program = lower(net, one.tree, schedule, sizes=sizes)
        peak = trace(net, program, sizes, BUILTIN, training=False).peak
        looped = schedule.chunk_rows > 0
        peaks[looped] = min(peak, peaks.get(looped, peak))
        assert looped == any(isinstance(step.operation, Chunk) for step in program.steps)
    assert peaks[True] < peaks[False] / 2


@pytest.mark.parametrize("size", [1, 3, 4, 5, 8, 9, 17])
@pytest.mark.parametrize("training", [False, True])
def test_a_loop_counts_as_much_as_its_turns_one_by_one(size: int, training: bool) -> None:
    """What is run once for many turns adds up to the work of all of them."""
    net, _ = mpo(1)
    given = operands(net)
    sizes = {DOTS: size}
    one = candidates(net, given, contraction_problem(net, given, sizes), EFFORTS["normal"])[0]
    program = lower(net, one.tree, Schedule(4), sizes=sizes)
    whole = lower(net, one.tree, sizes=sizes)
    products = {
        name: sum(
            work.multiply_adds
            for run in (traced.forward, traced.backward)
            for step, work in zip(held.steps, run, strict=bool(run))
            if isinstance(step.operation, MatMul)
        )
        for name, held in (("loop", program), ("whole", whole))
        for traced in [trace(net, held, sizes, BUILTIN, training=training)]
    }
    assert products["loop"] == products["whole"]


def test_run_lengths_count_what_stays_side_by_side() -> None:
    assert run_length((2, 3, 4), ("b", "a", "c"), ("a", "b", "c")) == 4
    assert run_length((3, 2), ("a", "b"), ("b", "a")) == 1
    assert run_length((2, 3), ("a", "b"), ("a", "b")) == 6


def test_layouts_are_the_same_every_time() -> None:
    net, sizes = mpo(64)
    given = operands(net)
    one = candidates(net, given, contraction_problem(net, given, sizes), EFFORTS["normal"])[0]
    first = Scheduler(net, BUILTIN).proposals(one.tree, sizes, "training")
    again = Scheduler(net, BUILTIN).proposals(one.tree, sizes, "training")
    assert list(first.items()) == list(again.items())
    assert torch.isfinite(torch.tensor(list(first.values()))).all()


@given(seed=st.integers(0, 2**32), mode=st.sampled_from(MODES), windows=st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_schedule_is_predicted_to_take_less_than_the_least(
    seed: int, mode: Mode, windows: bool
) -> None:
    if windows:
        net = tncompile.loads(random_program(seed)).instantiate("N").network
        named = {name: 1 + seed % 5 for name in net.size_names if name in net.index}
        sizes = net.with_window_sizes(net.default_sizes(64, 8) | named)
        terms = operands(net)
        problem = contraction_problem(net, terms, sizes)
        tree = candidates(net, terms, problem, EFFORTS["fast"])[-1].tree
    else:
        net, sizes = network(random_sketch(seed)), {**RUNTIME, DOTS: 1000}
        tree = random_tree(net, seed)
    scheduler = Scheduler(net, BUILTIN)
    least = scheduler.least_seconds(tree, sizes, mode)
    for schedule in (Schedule(), scheduler.arranged(tree, sizes, mode)):
        program = lower(net, tree, schedule, sizes=sizes)
        assert trace_in(net, program, sizes, BUILTIN, mode).total.seconds >= least


def test_the_least_of_a_large_product_is_close() -> None:
    net, sizes = mpo(4096, "ins=[1024], outs=[1024], ranks=[]")
    scheduler = Scheduler(net, BUILTIN)
    tree = build_tree(net, operands(net), ((0, 1),))
    program = lower(net, tree, scheduler.arranged(tree, sizes, "inference"), sizes=sizes)
    taken = trace_in(net, program, sizes, BUILTIN, "inference").total.seconds
    assert 0.5 * taken < scheduler.least_seconds(tree, sizes, "inference") <= taken
