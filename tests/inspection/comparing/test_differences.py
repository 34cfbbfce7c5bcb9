"""`arch.diff(other)`: equality, figures, sizes, tables, what it refuses."""

from __future__ import annotations

import json

import pytest

import tncompile
from tests.support.library import architecture

SMALL, LARGE = (
    architecture("linear", f"MPO(ins = [4, 3], outs = [3, 4], ranks = {rank})") for rank in (2, 3)
)
FEED = architecture("transformer", "FeedForward(width = 12)")
FROZEN = """network N(d: int = 4) {
  index i = d, j = 3
  input x(..., i)
  tensor W(i, j)
  tensor F(i) frozen
  output y(..., j)
}"""


def test_figures_are_those_of_costs() -> None:
    found = SMALL.diff(LARGE, batch=8, search="fast")
    costs = [each.cost(batch=8, search="fast") for each in (SMALL, LARGE)]
    figures = {(each.name, each.mode): (each.before, each.after) for each in found.figures}
    for mode in ("inference", "folded", "training"):
        for name, field in (("FLOPs", "flops"), ("predicted time", "seconds")):
            both = tuple(getattr(getattr(cost, mode), field) for cost in costs)
            assert figures[name, mode] == both
    assert figures["parameters", None] == tuple(cost.inference.parameters for cost in costs)
    assert figures["compression", None] == tuple(cost.inference.compression for cost in costs)
    for each in found.figures:
        if each.before and each.after is not None:
            assert each.ratio == each.after / each.before


def test_figures_of_models_are_those_of_their_costs() -> None:
    other = architecture("transformer", "FeedForward(width = 12, dense = false)")
    found = FEED.diff(other, batch=4, search="fast")
    costs = [each.cost(batch=4, search="fast") for each in (FEED, other)]
    figures = {(each.name, each.mode): (each.before, each.after) for each in found.figures}
    assert figures["parameters", None] == tuple(cost.parameters for cost in costs)  # type: ignore[attr-defined]
    assert figures["peak memory", "training"] == tuple(cost.training.peak_bytes for cost in costs)
    assert not [key for key in figures if key[1] == "folded"]


def test_what_is_frozen_is_not_trained() -> None:
    trained = tncompile.loads(FROZEN.replace(" frozen", "")).instantiate()
    found = trained.diff(tncompile.loads(FROZEN).instantiate(), search="fast")
    figures = {each.name: (each.before, each.after) for each in found.figures if not each.mode}
    assert figures["trainable"] == (16, 12)
    assert figures["frozen"] == (0, 4)
    assert figures["bytes of parameters"] == (64, 64)
    assert "frozen " in found.table()
    assert "trainable" not in SMALL.diff(LARGE, search="fast").table()


def test_frozen_parts_of_a_model_count_with_what_is_in_them() -> None:
    text = "model M() {\n  part a = Linear(3, 2)\n  input x(..., 3)\n  output a(x)\n}"
    one, other = (
        tncompile.loads(each).instantiate()
        for each in (text, text.replace("Linear(3, 2)", "Linear(3, 2) frozen"))
    )
    figures = {each.name: each.after for each in one.diff(other, search="fast").figures}
    assert (figures["trainable"], figures["frozen"]) == (0, 8)


def test_equal_ones_are_one_sentence() -> None:
    again = architecture("linear", "MPO(ins = [4, 3], outs = [3, 4], ranks = [2])")
    found = SMALL.diff(again, search="fast")
    assert found.equal
    assert repr(found).startswith("No difference: ")
    assert "\n" not in repr(found)
    assert not SMALL.diff(LARGE, search="fast").equal


def test_arguments_that_change_nothing_are_listed() -> None:
    text = FROZEN.replace("d: int = 4", "d: int = 4, spare: int = 1")
    spec = tncompile.loads(text)
    found = spec.instantiate("N").diff(spec.instantiate("N(spare = 2)"), search="fast")
    assert found.equal
    assert "argument spare  1  2" in found.table()


def test_other_inputs_and_outputs_are_said_first() -> None:
    wide = architecture("linear", "MPO(ins = [4, 4], outs = [3, 4], ranks = 2)")
    found = SMALL.diff(wide, search="fast")
    assert not found.same_interface
    assert found.table().startswith(
        "They take or give other shapes:\n"
        "  A  x (..., 12) → (..., 12)\n  B  x (..., 16) → (..., 12)\n"
    )
    assert found.changes[0].kind == "input"
    assert SMALL.diff(LARGE, search="fast").same_interface


def test_a_network_and_a_model() -> None:
    for one, other in ((SMALL, FEED), (FEED, SMALL)):
        found = one.diff(other, search="fast")
        assert [(each.kind, each.aspect) for each in found.changes] == [("block", "kind")]
        assert found.same_interface
        assert "a network" in found.table()
        folded = next(each for each in found.figures if each.mode == "folded")
        assert None in (folded.before, folded.after)
        assert folded.ratio is None


def test_sizes_go_where_they_are_known() -> None:
    text = (
        "network N() {\n  batch n\n  index i = 4\n  input x(n, i)\n  tensor W(i)\n  output y(n)\n}"
    )
    one, other = (tncompile.loads(each).instantiate() for each in (text, FROZEN))
    found = one.diff(other, batch=2, sizes={"n": 8}, search="fast")
    assert found.sizes[0]["n"] == 8
    assert found.sizes[0] != found.sizes[1]
    assert "not alike" in found.table()
    with pytest.raises(ValueError, match="`q` is a run-time size of neither N nor N"):
        one.diff(other, sizes={"q": 8}, search="fast")


def test_costs_without_sizes_are_left_out() -> None:
    text = """model M(d: int = 4) {
  part a = Linear(d, 2)
  batch t
  input x(..., t, d)
  output a(x)
}"""
    spec = tncompile.loads(text)
    one, other = spec.instantiate("M"), spec.instantiate("M(d = 5)")
    found = one.diff(other)
    assert found.uncosted == "`t` of M has no usual size"
    assert not [each for each in found.figures if each.mode]
    assert "Costs are not compared: `t` of M has no usual size" in found.table()
    assert "Costs are not compared" in one.diff(one).table()
    assert not one.diff(other, sizes={"t": 3}, search="fast").uncosted


def test_versions_of_one_block_are_told_apart_by_their_files() -> None:
    one = tncompile.loads(FROZEN, name="old.tn").instantiate()
    other = tncompile.loads(FROZEN.replace("j = 3", "j = 2"), name="n\x1b[31mew.tn").instantiate()
    found = one.diff(other, search="fast")
    assert found.first == "old.tn: N"
    assert found.second == "n�[31mew.tn: N"


def test_numbers_for_tools() -> None:
    stored = json.loads(json.dumps(SMALL.diff(LARGE, search="fast").to_dict(), allow_nan=False))
    assert stored["equal"] is False
    assert stored["changes"][0] == {
        "kind": "bond",
        "name": "b[0]",
        "status": "changed",
        "aspect": "size",
        "before": "2",
        "after": "3",
    }
    assert {"name", "mode", "unit", "before", "after", "ratio"} == set(stored["figures"][0])


def test_training_shows_its_plans() -> None:
    wide = architecture("linear", "TensorRing(ins = [4, 3, 2], outs = [3, 4, 2])")
    found = SMALL.diff(wide, search="fast", training=True)
    assert "What runs in a training step:" in found.table()
    assert {each.mode for each in found.plans} == {"inference", "folded", "training"}


@pytest.mark.parametrize("other", [None, "std/linear.tn", 3, SMALL.network])
def test_what_is_no_architecture_is_refused(other: object) -> None:
    with pytest.raises(TypeError, match="an architecture is compared with one, not with a"):
        SMALL.diff(other)  # type: ignore[arg-type]


def test_tables_are_as_wide_as_they_are_asked_to_be() -> None:
    ring = architecture("linear", "TensorRing(ins = [4, 3, 2, 2], outs = [3, 4, 2, 2])")
    found = FEED.diff(ring, search="fast")
    long = architecture("transformer", "FeedForward(width = 12, dense = false)")
    for each in (found, FEED.diff(long, search="fast")):
        assert max(map(len, each.table().splitlines())) <= 100
    assert "…" in FEED.diff(long, search="fast").table()
    assert "…" not in FEED.diff(long, search="fast").table(width=200)
