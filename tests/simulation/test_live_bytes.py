"""The memory of a run over time: its largest sum is the peak, in every mode at every size."""

from __future__ import annotations

import pytest

import tncompile
from tncompile.lowering import lower
from tncompile.lowering.schedule import Schedule
from tncompile.machine.profile import BUILTIN
from tncompile.simulation.live_bytes import live_bytes
from tncompile.simulation.modes import MODES, trace_in

CASES = [
    ("std/linear.tn", "MPO(ins = [4, 8, 8], outs = [8, 8, 4], ranks = 8)"),
    ("std/linear.tn", "TensorRing(ins = [4, 4, 4], outs = [4, 4, 4])"),
    ("std/classifier.tn", "TreeClassifier"),
    ("std/classifier.tn", "MPSClassifier(sites = 64)"),
    ("std/convolution.tn", "CPConv(8, 8, rank = 4)"),
    ("std/embedding.tn", "TTEmbedding(rows = [16, 16], columns = [8, 8])"),
]


@pytest.mark.parametrize(("file", "target"), CASES)
def test_the_largest_sum_is_the_peak(file: str, target: str) -> None:
    arch = tncompile.load(file).instantiate(target)
    planned = arch.cost(batch=64, search="fast")
    for figures in (planned, planned.at(batch=1), planned.at(batch=1000)):
        for mode in MODES:
            cost = figures.of(mode)
            memory = cost.live_bytes
            assert memory.peak == max(memory.series, default=memory.resident) == cost.peak_bytes
            assert all(step.waiting >= 0 and step.written > 0 for step in memory.steps)
            assert any(step.backward for step in memory.steps) == (mode == "training")
            if mode != "folded":
                stored = 4 * arch.network.parameter_count
                assert memory.parameters == stored


@pytest.mark.parametrize("recompute", [False, True])
def test_loops_over_chunks(recompute: bool) -> None:
    arch = tncompile.load("std/linear.tn").instantiate(
        "MPO(ins = [8, 8], outs = [8, 8], ranks = 16)"
    )
    variant = arch.plan(batch=1000, search="fast").variant(1000, "training")
    schedule = Schedule(chunk_rows=64, recompute=recompute)
    sizes = {"...": 1000}
    program = lower(arch.network, variant.tree, schedule, sizes=sizes)
    for mode in MODES:
        how = program, sizes, BUILTIN, mode
        memory = live_bytes(arch.network, variant.tree, schedule, *how)
        assert memory.peak == trace_in(arch.network, *how).peak
        assert memory.peak > memory.resident + 4 * 64 * 64  # the results of the chunks


def test_what_a_step_holds() -> None:
    """By hand: x (64, 32), A (32, 4), B (4, 16); at inference A, B stay, x A waits for its use."""
    arch = tncompile.load("std/linear.tn").instantiate("LowRank(32, 16, rank = 4)")
    cost = arch.cost(batch=64, search="fast", minimize="flops")
    memory = cost.live_bytes
    assert (memory.inputs, memory.parameters) == (4 * 64 * 32, 4 * (32 * 4 + 4 * 16 + 16))
    rows = {step.contraction: step for step in memory.steps}
    assert [cost.steps[k].contraction for k in (0, 1)] == ["x · A", "B · t1"]
    assert (rows[0].waiting, rows[0].written) == (0, 4 * 64 * 4)
    assert (rows[1].waiting, rows[1].written) == (4 * 64 * 4, 4 * 64 * 16)
