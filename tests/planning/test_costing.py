"""Costs against independent counts, and as numbers and text that tools and people can read."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import pytest

import tncompile
from tests.support import small_networks as small
from tests.support.costed import counted
from tncompile.lowering import lower
from tncompile.network.model import DOTS, TensorNetwork
from tncompile.planning import BUILTIN, ContractionPlan, Cost, cost, plan
from tncompile.planning.report.cost import Crossing
from tncompile.planning.tolerances import CLEARLY
from tncompile.planning.wording import bytes_text, count_text, seconds_text
from tncompile.simulation.costs import Figures
from tncompile.simulation.trace import trace

FIGURES = [
    "multiply_adds",
    "flops",
    "peak_bytes",
    "moved_bytes",
    "copied_bytes",
    "largest_intermediate",
    "intensity",
    "seconds",
    "parameters",
    "dense_parameters",
    "dense_flops",
    "dense_seconds",
    "dense_peak_bytes",
    "compression",
]


NETWORKS = {
    "low rank": small.low_rank(48, 32, 6),
    "mpo": small.mpo([4, 6, 8], [8, 6, 4], 6),
    "ring": small.ring([4] * 4, [4] * 4, 3),
    "cp": small.cp([4, 4, 4], [4, 4], 8),
    "mps": small.mps(20, 2, 5, 3),
    "long mps": small.mps(200, 2, 4, 3),
    "peps": small.peps(3, 3, 2, 2, 3),
    "norm": small.norm(10, 4),
}


@cache
def planned_for(network: TensorNetwork, batch: int = 32, search: str = "normal") -> ContractionPlan:
    """The plan of a network, made once."""
    return plan(network, batch=batch, search=search)


@cache
def made_cost(network: TensorNetwork, batch: int = 32, search: str = "normal") -> Cost:
    """The cost of the plan for a network."""
    return cost(network, planned_for(network, batch, search), batch=batch)


@pytest.mark.parametrize("name", NETWORKS)
def test_multiply_adds_are_those_of_the_tree(name: str) -> None:
    planned = planned_for(NETWORKS[name])
    for mode in ("training", "inference"):
        variant = planned.variant(32, mode)
        held = cost(NETWORKS[name], planned, batch=32, mode=mode)
        due = counted(NETWORKS[name], variant.tree, 32)
        if mode == "inference":
            assert held.inference.multiply_adds == due
        assert sum(step.multiply_adds for step in held.steps) == due
        assert sum(step.count for step in held.steps) == len(variant.tree.steps)


def test_a_low_rank_layer_by_hand() -> None:
    planned = plan(small.low_rank(48, 32, 6), batch=32, minimize="flops")
    held = cost(small.low_rank(48, 32, 6), planned, batch=32)
    forward, training = held.inference, held.training
    assert forward.multiply_adds == 32 * 48 * 6 + 32 * 6 * 32
    assert forward.flops == 2 * forward.multiply_adds
    # Backward: both gradients of both products.
    assert training.multiply_adds == 3 * forward.multiply_adds
    weights, data = 4 * (48 * 6 + 6 * 32), 4 * 32 * (48 + 32)
    assert forward.peak_bytes == weights + data + 4 * 32 * 6
    assert forward.moved_bytes == weights + data + 2 * 4 * 32 * 6
    assert forward.largest_intermediate == 32 * 32
    assert (forward.parameters, forward.dense_parameters) == (480, 48 * 32)
    assert forward.dense_flops == 2 * 32 * 48 * 32
    assert forward.compression == pytest.approx(48 * 32 / 480)
    assert forward.intensity == pytest.approx((forward.flops or 0) / (forward.moved_bytes or 1))


@pytest.mark.parametrize("name", NETWORKS)
def test_numbers_are_finite_json(name: str) -> None:
    held = made_cost(NETWORKS[name])
    stored = json.loads(json.dumps(held.to_dict(), allow_nan=False))
    others = [one for held in stored["compared"].values() for one in held.values()]
    for figures in (stored["inference"], stored["folded"], stored["training"], *others):
        assert list(figures) == FIGURES
    assert list(stored["compared"]) == ["training", "inference", "folded"]
    assert stored["alternatives"] == stored["compared"]["training"]
    for step in stored["steps"]:
        keys = {"result", "left", "right", "indices", "multiply_adds", "bytes", "share"}
        assert keys <= set(step)
    for mode in ("training", "inference"):
        steps = stored["chosen"][mode]["steps"]
        assert 0.2 < sum(step["share"] for step in steps) <= 1 + 1e-9


def test_sizes_beyond_every_float() -> None:
    held = made_cost(small.mps(1100, 2, 3, 2), 4, search="fast")
    assert held.inference.dense_parameters is None
    assert held.inference.compression is None
    json.dumps(held.to_dict(), allow_nan=False)
    assert "more than 1e308" in str(held)


def test_alternatives_are_what_they_say() -> None:
    held = made_cost(small.mpo([8, 8], [8, 8], 16), 16)
    assert list(held.alternatives) == ["materialize dense", "FLOP-optimal", "memory-optimal"]
    least_flops = min(f.flops or 0 for f in held.alternatives.values())
    assert held.alternatives["FLOP-optimal"].flops == least_flops <= held.flops
    least_memory = min(f.peak_bytes or 0 for f in held.alternatives.values())
    assert held.alternatives["memory-optimal"].peak_bytes == least_memory <= held.peak_bytes
    assert all(held.seconds <= 1.1 * (f.seconds or 0) for f in held.alternatives.values())


def test_crossings_are_exact() -> None:
    network = small.ring([4] * 5, [4] * 5, 4)
    ours = plan(network, batch=256)
    held = cost(network, ours, batch=256, mode="inference")
    edge = held.crossings["dense layer"].faster_from
    assert edge is not None
    for batch, faster in ((edge, True), (edge - 1, False)):
        figures = cost(network, ours, batch=batch, mode="inference").inference
        assert (CLEARLY * (figures.dense_seconds or 0) < (figures.seconds or 0)) is faster


def test_steps_have_names_of_the_spec() -> None:
    held = made_cost(small.low_rank(48, 32, 6))
    first, second = held.steps
    assert {first.left, first.right} == {"x", "A"}
    assert {second.left, second.right} == {"t1", "B"}
    assert (first.result, first.indices) == ("t1", (DOTS, "r"))
    assert first.bytes == 4 * 32 * 6


def test_batched_steps_say_how_many_they_serve() -> None:
    held = made_cost(NETWORKS["long mps"], search="fast")
    assert max(step.count for step in held.steps) > 64
    assert any("…" in step.left for step in held.steps)


@pytest.mark.parametrize("name", NETWORKS)
def test_tables_fit(name: str) -> None:
    held = made_cost(NETWORKS[name])
    for text in (str(held), held.table(), held.table(training=True)):
        lines = text.split("\n")
        assert max(map(len, lines)) <= 100
        assert all(line == line.rstrip() for line in lines)
        assert "peak memory" in text
        assert "compression" in text


def test_the_table_shows_the_contraction() -> None:
    text = str(made_cost(small.low_rank(512, 512, 32), 64))
    assert "t1    x · A" in text
    assert "materialize dense" in text
    assert "8.00 ×" in text


def test_the_table_is_of_one_mode() -> None:
    held = made_cost(small.mpo([8, 8], [8, 8], 16), 16)
    assert str(held) == held.table() == held.table(training=True)
    forward, training = held.of("inference").table(), held.table(training=True)
    assert forward == held.table(training=False)
    assert "inference time" in forward
    assert "\na forward pass      " in forward
    assert "training time" in training
    assert "\na training step      " in training
    assert "\na forward pass, folded" in held.of("folded").table()
    assert "at a batch of 16 (the product of the leading axes `...`)" in forward
    assert max(map(len, held.table(width=300).split("\n"))) > 0


def test_alternatives_of_each_mode_are_extremes() -> None:
    held = made_cost(small.ring([4] * 5, [4] * 5, 4), 256)
    for mode, plan_figures in (("inference", held.inference), ("training", held.training)):
        others = held.compared[mode]
        assert others["FLOP-optimal"].flops == min(f.flops for f in others.values())
        assert others["FLOP-optimal"].flops <= plan_figures.flops
        assert others["memory-optimal"].peak_bytes <= plan_figures.peak_bytes


def test_the_dense_layer_is_predicted_as_such() -> None:
    network = small.low_rank(512, 256, 8)
    held = made_cost(network, 64)
    forward, training = held.inference, held.training
    due = BUILTIN.product_seconds(1, 64, 512, 256, transposed=(False, True))
    due += BUILTIN.forward_start + BUILTIN.call
    assert forward.dense_seconds == pytest.approx(due)
    assert training.dense_flops == 3 * (forward.dense_flops or 0)  # it goes back to the input, too
    assert due < (training.dense_seconds or 0) < 4 * due
    assert "dense layer, like nn.Linear" in held.table()


def test_one_weight_is_the_dense_one() -> None:
    network = small.make_network(
        {DOTS: None, "i": 6, "o": 4}, {"x": [DOTS, "i"]}, {"A": ["i", "o"]}, [DOTS, "o"]
    )
    held = made_cost(network)
    assert held.compared["training"]["materialize dense"] == held.training
    assert held.reasons == {}


def test_ids_are_looked_up() -> None:
    spec = tncompile.loads('import "std/embedding.tn" { TTEmbedding }')
    held = spec.instantiate("TTEmbedding", rows=[10, 10], columns=[4, 4]).cost()
    text = held.table()
    assert "a table of 1,600 numbers, 6.25 KiB: looked up, no products" in text
    assert "dense layer, like nn.Embedding" in text
    assert "materialize dense" in held.compared["folded"]  # all parameters as one table
    crossing = held.crossings["dense layer"]
    assert crossing.faster_from == 1
    assert crossing.faster_up_to is None or crossing.faster_up_to > 1000  # tables do as well there
    assert held.reasons == {}


def test_what_is_missing_has_a_reason() -> None:
    held = made_cost(small.mps(40, 2, 5, 3))
    assert set(held.reasons) == {"materialize dense", "dense layer"}
    text = " ".join(str(held).split())
    assert "Not compared: materialize dense; a dense weight of 3.30 T numbers is more than" in text
    assert "Not compared: dense layer; a dense map of the 40 slices of `x` would be multi" in text
    large = made_cost(small.low_rank(2**18, 2**17, 2), 1, search="fast")
    text = " ".join(str(large).split())
    assert (
        "Not compared: materialize dense and dense layer; a dense weight of 34.4 G numbers" in text
    )
    assert "out of reach" not in str(held)


@pytest.mark.parametrize("network", NETWORKS)
def test_forward_of_a_training_step_takes_what_a_forward_pass_takes(network: str) -> None:
    held = NETWORKS[network]
    main = planned_for(held).main
    program = lower(held, main.tree, sizes=main.sizes)
    inference = trace(held, program, main.sizes, BUILTIN, training=False)
    training = trace(held, program, main.sizes, BUILTIN, training=True)
    for forward, recorded in zip(inference.forward, training.forward, strict=True):
        assert recorded.multiply_adds == forward.multiply_adds
        added = recorded.seconds - forward.seconds
        assert -1e-12 <= added <= 5 * BUILTIN.recording + 1e-12


def test_equal_crossings_are_said_once() -> None:
    held = made_cost(small.ring([4] * 5, [4] * 5, 4), 256)
    twice = {"materialize dense": Crossing(411), "FLOP-optimal": Crossing(411)}
    text = replace(held, crossed={"training": twice}).table()
    assert "Materialize dense and FLOP-optimal are faster from batch 411 on." in text


def test_crossings_in_words() -> None:
    held = made_cost(small.low_rank(48, 32, 6))
    for crossing, words in (
        (Crossing(1), "at every batch size"),
        (Crossing(1, 9), "up to batch 9"),
        (Crossing(100, 9), "up to batch 9 and from batch 100 on"),
        (Crossing(5, 90), "from batch 5 to 90"),
    ):
        text = replace(held, crossed={"training": {"dense layer": crossing}}).table()
        assert f"A dense layer is faster {words}." in text


def test_inputs_without_batch_axes_are_planned_as_such() -> None:
    network = small.make_network(
        {"i": 600, "o": 400, "r": 20}, {"x": ["i"]}, {"A": ["i", "r"], "B": ["r", "o"]}, ["o"]
    )
    held = made_cost(network, 512)
    assert held.sizes == {}
    assert held.inference.multiply_adds == 600 * 20 + 20 * 400


def test_figures_of_no_input_are_those_of_the_tensor() -> None:
    network = small.make_network(
        {"i": 6, "o": 4, "r": 2}, {}, {"A": ["i", "r"], "B": ["r", "o"]}, ["i", "o"]
    )
    held = made_cost(network)
    assert held.inference.dense_parameters == 24
    assert held.inference.dense_flops is None
    assert "materialize dense" not in held.alternatives
    assert held.reasons == {"dense layer": "the block has no input"}


def test_numbers_as_text() -> None:
    assert count_text(999_999) == "999,999"
    assert count_text(1_000_000) == "1.00 M"
    assert count_text(2**784) == "1.02e236"
    assert bytes_text(1023) == "1,023 B"
    assert bytes_text(1024) == "1.00 KiB"
    assert seconds_text(1e-9) == "0.0010 µs"
    assert seconds_text(90.0) == "90.0 s"


def test_figures_keep_their_order() -> None:
    assert list(Figures.__dataclass_fields__) == FIGURES
