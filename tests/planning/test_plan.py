"""Plans: what is chosen, by batch size, and as JSON."""

from __future__ import annotations

import json
from functools import cache

import pytest

from tests.support import small_networks as small
from tncompile.network.contraction import verify_tree
from tncompile.planning import ContractionPlan, NoPlanError, cost, plan
from tncompile.planning.verifying import verify_plan

MPO = small.mpo([8, 8, 12], [12, 16, 16], 16)

known = cache(plan)
"""Plans that several tests look at, made once."""


def test_json_in_and_out() -> None:
    for network in (MPO, small.mps(12, 2, 4, 3), small.norm(6, 3)):
        planned = known(network, batch=(1, 64))
        text = planned.to_json()
        again = ContractionPlan.from_json(text)
        assert again == planned
        assert again.to_json() == text
        for variant in again.variants:
            assert list(verify_tree(network, variant.tree)) == []


def test_plans_repeat() -> None:
    assert plan(MPO, batch=64).to_json() == plan(MPO, batch=64).to_json()


@pytest.mark.parametrize("damage", ["version", "variants", "target", "batch"])
def test_damaged_json_is_refused(damage: str) -> None:
    stored = known(MPO, batch=8).to_dict()
    del stored[damage]
    with pytest.raises(ValueError, match="not a contraction plan"):
        ContractionPlan.from_dict(stored)


def test_a_negative_bound_is_refused() -> None:
    stored = json.loads(known(MPO, batch=(1, 64, 1024)).to_json())
    bounded = [one for one in stored["variants"] if one["up_to"] is not None]
    bounded[0]["up_to"] = -5
    with pytest.raises(ValueError, match="-5 where an integer from 0 on is due"):
        ContractionPlan.from_dict(stored)


@pytest.mark.parametrize("text", ["", "3", "[]", '{"version": 1, "variants": [1]}', "{" * 5000])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a contraction plan"):
        ContractionPlan.from_json(text)


def test_every_change_of_a_tree_is_noticed() -> None:
    stored = json.loads(known(MPO, batch=8).to_json())
    tree = stored["trees"][stored["whole"]["tree"]]
    tree["steps"][0]["left"] = tree["steps"][0]["right"]
    damaged = ContractionPlan.from_dict(stored)
    assert list(verify_tree(MPO, damaged.whole.tree))
    assert list(verify_plan(MPO, damaged))


def test_the_middle_batch_size_is_the_main_one() -> None:
    planned = known(MPO, batch=(1, 64, 1024))
    assert planned.batch == 64
    assert planned.main is planned.variant(64)
    assert planned.main.sizes == {"...": 64}
    assert planned.variant(10**6) is planned.of("training")[-1]
    assert planned.with_batch(1024).main is planned.variant(1024)


def test_what_is_minimized() -> None:
    by = {
        goal: known(MPO, batch=64, minimize=goal).main.cost for goal in ("time", "flops", "memory")
    }
    assert by["flops"].flops == min(held.flops for held in by.values())
    assert by["memory"].peak_bytes == min(held.peak_bytes for held in by.values())
    # Among equally fast ones the leaner wins, and a slight gain is not worth a branch.
    assert by["time"].seconds <= 1.1 * min(held.seconds for held in by.values())


def test_memory_limit() -> None:
    lean = known(MPO, batch=64, minimize="memory").main.cost.peak_bytes
    assert known(MPO, batch=64, memory_limit=lean).main.cost.peak_bytes <= lean
    with pytest.raises(NoPlanError, match="at least") as caught:
        known(MPO, batch=64, memory_limit=1)
    least = int(str(caught.value).split("at least ")[1].split(" bytes")[0].replace(",", ""))
    assert least < lean
    assert known(MPO, batch=64, memory_limit=least).main.cost.peak_bytes == least
    with pytest.raises(NoPlanError, match="at least"):
        known(MPO, batch=64, memory_limit=least - 1)


def test_unknown_options() -> None:
    with pytest.raises(ValueError, match="search is one of fast, normal, thorough"):
        plan(MPO, search="slow")
    with pytest.raises(ValueError, match="minimize is one of"):
        plan(MPO, minimize="beauty")
    with pytest.raises(ValueError, match="at least one batch size"):
        plan(MPO, batch=())


@pytest.mark.parametrize("batch", ["64", 64.0, True, [None], (1, "2"), [1, 2.5]])
def test_a_batch_size_is_an_integer(batch: object) -> None:
    with pytest.raises(TypeError, match="a batch size is an int, not"):
        plan(MPO, batch=batch)  # type: ignore[arg-type]


def test_a_named_size_is_an_integer() -> None:
    with pytest.raises(TypeError, match=r"the size of `\.\.\.` is an int, not '3'"):
        plan(MPO, sizes={"...": "3"})  # type: ignore[dict-item]


def test_cost_at_another_batch_size() -> None:
    planned = known(MPO, batch=64)
    here = cost(MPO, planned, batch=64)
    assert here.chosen["training"].cost is planned.main.cost
    assert here.mode == "training"
    other = cost(MPO, planned, batch=128)
    assert other.sizes == {"...": 128}
    assert other.flops > here.flops
    assert other.alternatives == {}


def test_inference_has_plans_of_its_own() -> None:
    planned = known(MPO, batch=64, training=False)
    assert planned.main.mode == "inference"
    assert {variant.mode for variant in planned.variants} == {"inference", "folded"}
    assert planned.of("training") == planned.of("inference")
    assert ContractionPlan.from_json(planned.to_json()) == planned


def test_description() -> None:
    text = known(small.low_rank(64, 48, 8), batch=16, minimize="flops").describe()
    head, *variants = text.split("\n\n")
    assert head == ("plan of Test()\nleast flops, machine profile builtin-2core, search normal")
    found = "search (flops), sweep forward, sweep backward, sweep along the network"
    assert variants[1] == (
        f"inference: {found}\n"
        "  planned for ... = 16\n"
        "  sweep forward: the least flops\n"
        "  t1 = x · A -> ..., r   8,192 multiply-adds\n"
        "  t2 = B · t1 -> o, ...   6,144 multiply-adds"
    )
    assert [text.split(":")[0] for text in variants] == [
        "training",
        "inference",
        "folded",
        "without branches on the batch size",
    ]


def test_progress_over_several_batches() -> None:
    seen: list[tuple[int, int]] = []
    plan(MPO, batch=(1, 64), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1]
    assert [done / total for done, total in seen] == sorted(done / total for done, total in seen)
