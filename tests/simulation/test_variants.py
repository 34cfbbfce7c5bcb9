"""Variants by mode and batch size: what is merged and dropped, where one ends, what is run."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import tncompile
from tests.support import small_networks as small
from tncompile.compiler import lower_network
from tncompile.lowering import lower
from tncompile.lowering.schedule import STRAIGHT, Schedule
from tncompile.network.contraction import ContractionTree
from tncompile.planning import BUILTIN, ContractionPlan, NoPlanError, cost, plan
from tncompile.planning.batch_ranges import BRANCHES, batch_ranges
from tncompile.planning.evaluation import ScheduledTree
from tncompile.program.folding import remainder
from tncompile.program.operation import results
from tncompile.program.printer import describe_branches
from tncompile.simulation.modes import MODES, Mode, trace_in
from tncompile.simulation.trace import trace
from tncompile.tuning.timing import folded

MPO = small.mpo([8, 8, 12], [12, 16, 16], 16)
LOW_RANK = small.low_rank(64, 48, 8)

TREE = ContractionTree((), ())
FIRST, SECOND, THIRD, FOURTH, FIFTH = (
    ScheduledTree((name,), k, TREE) for k, name in enumerate("abcde")
)


def line(start: float, slope: float) -> tuple[float, float]:
    """A time that grows with the batch size."""
    return start, slope


def priced(times: dict[int, tuple[float, float]], way: ScheduledTree, size: int) -> float:
    """Start and slope of the way, at a size."""
    start, slope = times[way.number]
    return start + slope * size


@pytest.fixture(scope="module")
def planned() -> ContractionPlan:
    """A plan with several variants a mode."""
    return plan(MPO, batch=(1, 64, 1024))


# ── ranges ──────────────────────────────────────────────────────────────────────────────────────


def test_thresholds_lie_where_two_ways_take_equally_long() -> None:
    times = {0: line(1, 1), 1: line(100, 0.1)}
    found = batch_ranges(
        [(1, FIRST), (64, FIRST), (1024, SECOND)],
        frozenset({64}),
        lambda way, size: priced(times, way, size),
    )
    assert [one.option for one in found] == [FIRST, SECOND]
    assert found[0].batches == (1, 64)
    assert found[1].up_to is None
    edge = found[0].up_to
    assert edge is not None
    assert 110 * 15 / 16 <= edge <= 110 * 17 / 16


def test_a_slight_gain_is_no_branch() -> None:
    """Up to 8 rows `SECOND` is faster by so much, beyond that `FIRST` is."""

    def ranges(gain: float) -> list[tuple[ScheduledTree, tuple[int, ...]]]:
        def price(option: ScheduledTree, size: int) -> float:
            winner = SECOND if size <= 8 else FIRST
            return 100.0 if option is winner else 100.0 * gain

        found = batch_ranges([(1, SECOND), (64, FIRST)], frozenset({64}), price)
        return [(one.option, one.batches) for one in found]

    assert ranges(1.08) == [(FIRST, (1, 64))]
    assert ranges(1.2) == [(SECOND, (1,)), (FIRST, (64,))]


def test_asked_sizes_keep_what_is_clearly_faster() -> None:
    times = {0: line(100, 0), 1: line(108, 0)}
    other = {0: line(200, 0), 1: line(100, 0)}

    def price(way: ScheduledTree, size: int) -> float:
        return priced(times if size == 64 else other, way, size)

    winners = [(64, FIRST), (1024, SECOND)]
    assert len(batch_ranges(winners, frozenset({64}), price)) == 2
    assert len(batch_ranges(winners, frozenset({1024}), price)) == 1


def test_at_most_four_ways_a_mode() -> None:
    ways = (FIRST, SECOND, THIRD, FOURTH, FIFTH)
    sizes = (1, 8, 64, 512, 4096)

    def price(way: ScheduledTree, size: int) -> float:
        return 1.0 if sizes[way.number] == size else 2.0 + (way.number == 4) * 10

    found = batch_ranges(list(zip(sizes, ways, strict=True)), frozenset(), price)
    assert len(found) == BRANCHES
    assert FIFTH in [one.option for one in found]
    ends = [one.up_to for one in found]
    assert ends[-1] is None
    assert [end for end in ends if end is not None] == sorted({e for e in ends if e is not None})


def test_a_way_that_must_not_be_taken_is_never_the_neighbor() -> None:
    def price(way: ScheduledTree, size: int) -> float:
        return float("inf") if way is SECOND and size == 64 else 1.0

    found = batch_ranges([(64, FIRST), (1024, SECOND)], frozenset({64, 1024}), price)
    assert [one.option for one in found] == [FIRST]


# ── plans ───────────────────────────────────────────────────────────────────────────────────────


def test_every_size_has_a_variant_in_every_mode(planned: ContractionPlan) -> None:
    for mode in MODES:
        held = planned.of(mode)
        assert held[-1].up_to is None
        assert 1 <= len(held) <= BRANCHES
        assert [batch for one in held for batch in one.batches] == [1, 8, 64, 512, 1024, 4096]
        for left, right in itertools.pairwise(held):
            assert left.up_to is not None
            assert left.batches[-1] <= left.up_to < right.batches[0]
        for size in (1, 7, 64, 100, 5000):
            variant = planned.variant(size, mode)
            assert variant.mode == mode
            assert variant.up_to is None or size <= variant.up_to


def test_modes_and_sizes_decide(planned: ContractionPlan) -> None:
    """Batch 1 sweeps or halves; large batches go through one dense weight: the input comes last."""
    small_one, large = planned.variant(1, "inference"), planned.variant(1024, "inference")
    assert small_one.tree != large.tree
    assert planned.variant(1, "folded") != small_one
    (given,) = [
        number
        for number, one in enumerate(large.tree.operands)
        if MPO.tensors[one.tensor].role == "input"
    ]
    assert given in (large.tree.steps[-1].left, large.tree.steps[-1].right)


def test_variants_are_nearly_the_best_of_all_that_is_known(planned: ContractionPlan) -> None:
    ways = {(one.tree, one.schedule) for one in planned.variants}
    for mode in MODES:
        for batch in (1, 64, 1024):
            ours = planned.variant(batch, mode)
            sizes = {"...": batch}
            times = {
                way: trace_in(
                    MPO, lower(MPO, *way, sizes=planned.sizes), sizes, BUILTIN, mode
                ).total.seconds
                for way in ways
            }
            assert times[ours.tree, ours.schedule] <= 1.09 * min(times.values())


def test_one_straight_program_for_everything(planned: ContractionPlan) -> None:
    assert planned.whole.schedule.chunk_rows == 0
    branches = lower_network(MPO, planned)
    assert branches.whole.loop is None
    assert [branch.up_to for branch in branches.training] == [
        one.up_to for one in planned.of("training")
    ]
    assert all(branch.reason for branch in branches.folded)
    text = describe_branches(branches)
    assert text.startswith("whole")
    assert "folded" in text


def test_equal_programs_are_one_object() -> None:
    planned = plan(LOW_RANK, batch=16, minimize="flops")
    branches = lower_network(LOW_RANK, planned)
    programs = [branches.whole, *(b.program for b in (*branches.training, *branches.inference))]
    assert len({id(one) for one in programs}) < len(programs)


def test_plans_without_run_time_sizes_have_one_variant() -> None:
    network = small.norm(6, 3)
    planned = plan(network, batch=(1, 64))
    assert planned.sizes == {}
    assert all(len(planned.of(mode)) == 1 for mode in MODES)
    assert all(one.up_to is None for one in planned.variants)
    assert cost(network, planned, batch=7).alternatives


def test_a_named_size_that_is_given_leads() -> None:
    planned = plan(LOW_RANK, batch=(1, 64), sizes={"...": 32})
    assert planned.batch == 32
    assert planned.main.sizes == {"...": 32}


def test_a_fast_search_looks_at_the_asked_sizes_only() -> None:
    planned = plan(MPO, batch=(2, 300), search="fast")
    assert {batch for one in planned.variants for batch in one.batches} == {2, 300}


def test_the_reason_says_what_is_run(planned: ContractionPlan) -> None:
    for variant in planned.variants:
        assert "predicted" in variant.reason
        if variant.schedule.chunk_rows:
            assert f"chunks of {variant.schedule.chunk_rows:,}" in variant.reason


# ── the memory limit ────────────────────────────────────────────────────────────────────────────


def test_the_limit_holds_at_every_asked_size() -> None:
    least = [plan(MPO, batch=batch, minimize="memory").main.cost.peak_bytes for batch in (64, 256)]
    limit = least[1] + least[1] // 20
    planned = plan(MPO, batch=(64, 256), memory_limit=limit)
    for batch in (64, 256):
        for mode in MODES:
            held = cost(MPO, planned, batch=batch, mode=mode)
            assert held.peak_bytes <= limit
    with pytest.raises(NoPlanError, match="a training step of `Test\\(\\)` takes at least"):
        plan(MPO, batch=(64, 256), memory_limit=least[0] // 2)


# ── the folded module ───────────────────────────────────────────────────────────────────────────

FOLDED = {
    "mpo": MPO,
    "low rank": LOW_RANK,
    "mps": small.mps(12, 2, 5, 3),
    "norm": small.norm(6, 3),
    "ring": small.ring([4] * 4, [4] * 4, 3),
}


@pytest.mark.parametrize("name", FOLDED)
def test_what_is_folded_takes_no_time(name: str) -> None:
    network = FOLDED[name]
    planned = plan(network, batch=16, search="fast")
    for variant in planned.variants:
        program = lower(network, variant.tree, variant.schedule, sizes=planned.sizes)
        twin = trace_in(network, program, planned.sizes, BUILTIN, "folded")
        forward = trace(network, program, planned.sizes, BUILTIN, training=False)
        called = {name for step in remainder(program).steps for name in results(step.operation)}
        for step, ours, theirs in zip(program.steps, twin.forward, forward.forward, strict=True):
            name = results(step.operation)[0]
            if program.values[name].varying:
                assert name in called
                assert ours.flops == theirs.flops
                assert ours.multiply_adds == theirs.multiply_adds
            else:
                assert ours.flops == ours.moved == 0
                assert ours.seconds == 0 or (step.operation.is_view and name in called)
        assert twin.total.seconds <= forward.total.seconds


def test_buffers_take_the_place_of_parameters() -> None:
    """A dense weight is held, what it was made of is not."""
    planned = plan(MPO, batch=16, search="fast")
    dense = next(one for one in planned.alternatives if one.name == "materialize dense")
    program = lower(MPO, dense.tree, dense.schedule, sizes=planned.sizes)
    twin = trace_in(MPO, program, planned.sizes, BUILTIN, "folded")
    assert twin.resident == 4 * (768 * 3072 + 16 * 768)


# ── what modules compute ────────────────────────────────────────────────────────────────────────

TARGETS = (
    "MPO(ins = [4, 4, 6], outs = [6, 4, 4], ranks = 5)",
    "TensorRing(ins = [4, 4], outs = [4, 4], ranks = 3)",
    "CP(ins = [4, 6], outs = [6, 4], rank = 5)",
)


@cache
def library(target: str) -> tuple[tncompile.Architecture, ContractionPlan]:
    """A block of the library, and its plan for few rows and for many."""
    arch = tncompile.load("std/linear.tn").instantiate(target)
    return arch, arch.plan((1, 8, 300))


@pytest.mark.parametrize("target", TARGETS)
def test_every_variant_computes_the_same(target: str) -> None:
    arch, planned = library(target)
    module = arch.module(seed=0, dtype=torch.float64, plan=planned)
    plain = arch.module(seed=0, dtype=torch.float64, minimize="flops", search="fast")
    twin = folded(module)
    for size in sorted({1, 2, 9, 301, *(v.up_to or 1 for v in planned.variants)}):
        x = torch.randn(size, 1, *[k.length or 1 for k in arch.network.inputs[0].axes[1:]]).double()
        due = plain(x)
        assert torch.allclose(module(x), due, atol=1e-10)
        with torch.no_grad():
            assert torch.allclose(twin(x), due, atol=1e-10)


@pytest.mark.parametrize("mode", MODES)
def test_costs_are_those_of_what_runs(planned: ContractionPlan, mode: Mode) -> None:
    for batch in (1, 64, 1024, 100):
        held = cost(MPO, planned, batch=batch, mode=mode)
        variant = planned.variant(batch, mode)
        program = lower(MPO, variant.tree, variant.schedule, sizes=planned.sizes)
        traced = trace_in(MPO, program, {"...": batch}, BUILTIN, mode)
        assert held.seconds == pytest.approx(traced.total.seconds)
        assert held.peak_bytes == traced.peak
        assert held.found_by == variant.found_by


def test_torch_counts_the_multiply_adds_of_what_runs() -> None:
    """Those of the cost, whichever program of the module runs: few rows have one of their own."""
    arch = tncompile.load("std/linear.tn").instantiate(
        "MPO(ins = [8, 8, 12], outs = [12, 16, 16], ranks = 16)"
    )
    planned = arch.plan((1, 1024), search="fast")
    module = arch.module(seed=0, plan=planned)
    assert planned.variant(1, "inference").tree != planned.variant(1024, "inference").tree
    for batch, mode in itertools.product((1, 1024), MODES):
        running = module.fold() if mode == "folded" else module
        due = cost(arch.network, planned, batch=batch, mode=mode).figures.multiply_adds
        x = torch.randn(batch, running.in_features, requires_grad=mode == "training")
        counter = FlopCounterMode(display=False)
        with counter, torch.set_grad_enabled(mode == "training"):
            made = running(x)
            if mode == "training":
                made.backward(torch.ones_like(made))
        assert counter.get_total_flops() == 2 * (due or 0)


def test_strategies_are_stored(planned: ContractionPlan) -> None:
    again = ContractionPlan.from_json(planned.to_json())
    assert [one.schedule for one in again.variants] == [one.schedule for one in planned.variants]
    assert any(one.schedule != STRAIGHT for one in again.variants)
    moved = replace(planned.whole, schedule=Schedule(chunk_rows=16))
    assert moved != planned.whole
