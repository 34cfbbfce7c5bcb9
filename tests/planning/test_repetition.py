"""Where equal ids are contracted once: by predicted time, for tables of ids alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

import tncompile
from tncompile.planning import ContractionPlan
from tncompile.planning.verifying import verify_plan
from tncompile.program.variants import Repeats

TABLES = tncompile.load("std/embedding.tn")
LARGE = TABLES.instantiate("TTEmbedding", rows=[12, 16, 16], columns=[8, 8, 8], ranks=16)


def _plan(**options: object) -> ContractionPlan:
    given = {"batch": [64, 4096], "search": "fast", **options}
    return LARGE.plan(**given)  # type: ignore[arg-type]


def test_tables_of_three_cores() -> None:
    """In training it pays from some size on, with half of the ids or more."""
    plan = _plan()
    training = next(each for each in plan.repeats if each.training)
    assert training.above < 4096
    assert training.up_to is None or training.up_to >= 1024
    assert 0.5 <= training.share < 1
    assert "equal ids once, a training step: predicted" in training.reason
    assert training.reason in plan.describe().replace("\n  ", " ")


@pytest.mark.parametrize(
    "options", [{"machine": "cuda"}, {"memory_limit": 10**9}, {"minimize": "flops"}]
)
def test_where_it_is_not_tried(options: dict[str, object]) -> None:
    assert _plan(**options).repeats == ()


def test_where_tables_are_small() -> None:
    """Sorting ids takes longer than what it saves."""
    small = TABLES.instantiate("TTEmbedding", rows=[4, 4], columns=[4, 4], ranks=2)
    assert small.plan(batch=[64, 4096], search="fast").repeats == ()


OTHERS = {
    "ids and features": "index i = 2, v = 3, o = 4 \n input x(..., i) \n input ids(..., onehot(v))"
    " \n tensor W(i, v, o) \n output y(..., o)",
    "features": "index i = 2, o = 4 \n input x(..., i) \n tensor W(i, o) \n output y(..., o)",
    "a named axis": "index v = 3, o = 4 \n batch b \n input ids(b, onehot(v)) \n tensor W(v, o)"
    " \n output y(b, o)",
    "a sign and a logarithm": "index v = 3, o = 4 \n input ids(..., onehot(v)) \n tensor W(v, o)"
    " \n output y(..., o) log",
}
ONCE = (Repeats(True, 1, None, 0.5, "once"),)


@pytest.mark.parametrize("name", OTHERS)
def test_rows_of_more_than_ids(name: str) -> None:
    """A plan that looks for equal ids there is none of the network."""
    arch = tncompile.loads(f"network N() {{\n{OTHERS[name]}\n}}").instantiate()
    plan = replace(arch.plan(batch=8, search="fast"), repeats=ONCE)
    found = list(verify_plan(arch.network, plan))
    assert found == ["it looks for equal ids where rows depend on more than ids"]


def test_stored() -> None:
    plan = _plan()
    assert plan.repeats
    assert ContractionPlan.from_json(plan.to_json()) == plan
    stored = plan.to_dict()
    del stored["repeats"]  # as plans that were stored before have none
    assert ContractionPlan.from_dict(stored) == replace(plan, repeats=())
