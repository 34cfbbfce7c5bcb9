"""Costs against independent counts, and as numbers and text that tools and people can read."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

import tncompile
from tests import small_networks as small
from tncompile.lowering import lower
from tncompile.network.contraction import ContractionTree
from tncompile.network.model import DOTS, TensorNetwork
from tncompile.planning import BUILTIN, Cost, cost, plan
from tncompile.planning.costing import Crossing, Figures
from tncompile.planning.machine import MachineProfile, read_profile, write_profile
from tncompile.planning.table import bytes_text, count_text, seconds_text
from tncompile.planning.tracing import trace

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


def made_cost(network: TensorNetwork, batch: int = 32, search: str = "normal") -> Cost:
    """The cost of the plan for a network."""
    return plan(network, batch=batch, search=search).main.cost


def counted(network: TensorNetwork, tree: ContractionTree, batch: int) -> int:
    """Multiply-adds by the definition of a sum of products."""
    length = {index.name: index.size or batch for index in network.indices}
    legs = [set(operand.legs) for operand in tree.operands]
    total = 0
    for step in tree.steps:
        total += math.prod(length[leg] for leg in legs[step.left] | legs[step.right])
        legs.append(set(step.legs))
    return total


@pytest.mark.parametrize("name", NETWORKS)
def test_multiply_adds_are_those_of_the_tree(name: str) -> None:
    planned = plan(NETWORKS[name], batch=32)
    held = planned.main.cost
    due = counted(NETWORKS[name], planned.main.tree, 32)
    assert held.inference.multiply_adds == due
    assert sum(step.multiply_adds for step in held.steps) == due
    assert sum(step.count for step in held.steps) == len(planned.main.tree.steps)


def test_a_low_rank_layer_by_hand() -> None:
    held = made_cost(small.low_rank(48, 32, 6), 32)
    forward, training = held.inference, held.training
    assert forward.multiply_adds == 32 * 48 * 6 + 32 * 6 * 32
    assert forward.flops == 2 * forward.multiply_adds
    # Backward: both gradients of the second product, the gradient of the parameter of the first.
    assert training.multiply_adds == 2 * 32 * 48 * 6 + 3 * 32 * 6 * 32
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
    for figures in (stored["inference"], stored["training"], *others):
        assert list(figures) == FIGURES
    assert list(stored["compared"]) == ["inference", "training"]
    assert stored["alternatives"] == stored["compared"]["training"]
    for step in stored["steps"]:
        keys = {"result", "left", "right", "indices", "multiply_adds", "bytes", "share"}
        assert keys <= set(step)
    assert 0.2 < sum(step["share"] for step in stored["steps"]) <= 1 + 1e-9
    assert 0.2 < sum(step["training_share"] for step in stored["steps"]) <= 1 + 1e-9


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
    assert all(held.seconds <= (f.seconds or 0) for f in held.alternatives.values())


def test_crossings_are_exact() -> None:
    network = small.ring([4] * 5, [4] * 5, 4)
    ours, leanest = plan(network, batch=256), plan(network, batch=256, minimize="flops")
    edge = ours.main.cost.crossings["FLOP-optimal"].faster_up_to
    assert edge is not None
    assert edge < 256
    for batch, faster in ((edge, True), (edge + 1, False)):
        seconds = [cost(network, one, batch=batch).seconds for one in (leanest, ours)]
        assert (seconds[0] < seconds[1]) is faster


def test_steps_have_names_of_the_spec() -> None:
    held = made_cost(small.low_rank(48, 32, 6))
    first, second = held.steps
    assert {first.left, first.right} == {"x", "A"}
    assert {second.left, second.right} == {"t1", "B"}
    assert (first.result, first.indices) == ("t1", (DOTS, "r"))
    assert first.bytes == 4 * 32 * 6


def test_batched_steps_say_how_many_they_serve() -> None:
    held = made_cost(small.mps(200, 2, 4, 3), search="fast")
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
    assert str(held) == held.table()
    forward, training = held.table(), held.table(training=True)
    assert "inference time" in forward
    assert "\na forward pass      " in forward
    assert "training time" in training
    assert "\na training step      " in training
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
    rate = BUILTIN.gemm_rate(64)
    due = BUILTIN.call + 2 * 64 * 512 * 256 / rate
    assert forward.dense_seconds == pytest.approx(due)
    assert training.dense_flops == 2 * (forward.dense_flops or 0)
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
    assert "materialize dense" not in text
    assert held.crossings["dense layer"].faster_from == 1
    assert "A dense layer is faster at every batch size." in text
    assert held.reasons == {}


def test_what_is_missing_has_a_reason() -> None:
    held = made_cost(small.mps(40, 2, 5, 3))
    assert set(held.reasons) == {"materialize dense", "dense layer"}
    due = "Not compared: materialize dense and dense layer; a dense weight of 3.30 T numbers is"
    assert due in " ".join(str(held).split())
    assert "out of reach" not in str(held)


@pytest.mark.parametrize("network", NETWORKS)
def test_forward_of_a_training_step_takes_what_a_forward_pass_takes(network: str) -> None:
    held = NETWORKS[network]
    main = plan(held, batch=32).main
    program = lower(held, main.tree, sizes=main.sizes)
    inference = trace(held, program, main.sizes, BUILTIN, training=False)
    training = trace(held, program, main.sizes, BUILTIN, training=True)
    seconds = [[work.seconds for work in traced.forward] for traced in (inference, training)]
    assert seconds[0] == seconds[1]


def test_equal_crossings_are_said_once() -> None:
    held = made_cost(small.ring([4] * 5, [4] * 5, 4), 256)
    twice = {"materialize dense": Crossing(411), "FLOP-optimal": Crossing(411)}
    text = replace(held, crossed={"inference": twice}).table()
    assert "Materialize dense and FLOP-optimal are faster from batch 411 on." in text


def test_crossings_in_words() -> None:
    held = made_cost(small.low_rank(48, 32, 6))
    for crossing, words in (
        (Crossing(1), "at every batch size"),
        (Crossing(1, 9), "up to batch 9"),
        (Crossing(100, 9), "up to batch 9 and from batch 100 on"),
        (Crossing(5, 90), "from batch 5 to 90"),
    ):
        text = replace(held, crossed={"inference": {"dense layer": crossing}}).table()
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
    assert held.inference.dense_flops == 0
    assert "materialize dense" not in held.alternatives


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


# ── machine profiles ────────────────────────────────────────────────────────────────────────────


def test_narrow_products_run_below_rate() -> None:
    rates = [BUILTIN.gemm_rate(side) for side in (1, 2, 3, 8, 12, 16, 100, 5000)]
    assert rates == sorted(rates)
    assert (rates[3], rates[4], rates[5]) == pytest.approx((118e9, 180e9, 250e9))


def test_profiles_are_stored(tmp_path: object) -> None:
    path = f"{tmp_path}/machine.json"
    write_profile(BUILTIN, path)
    assert read_profile(path) == BUILTIN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 1}',
        '{"version": 2, "profile": {}}',
        '{"version":1,"profile":3}',
    ],
)
def test_damaged_profiles_are_refused(tmp_path: object, text: str) -> None:
    path = f"{tmp_path}/machine.json"
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    with pytest.raises(ValueError, match="is no machine profile"):
        read_profile(path)


def test_another_machine_may_choose_otherwise() -> None:
    network = small.mpo([8, 8, 8, 8], [8, 8, 8, 8], 8)
    values = {name: getattr(BUILTIN, name) for name in MachineProfile.__dataclass_fields__}
    slow = MachineProfile(**{**values, "name": "slow", "gemm": ((1, 1e8),)})
    chosen = plan(network, batch=256, profile=slow).main.cost
    assert chosen.machine == "slow"
    least = chosen.alternatives["FLOP-optimal"].flops
    assert chosen.flops <= 1.3 * (least or 0)
