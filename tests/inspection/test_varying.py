"""Costs at several values of a number, and what a plan was chosen from."""

from __future__ import annotations

import json

import pytest

import tncompile
from tncompile.language.diagnostics.errors import CompileError
from tncompile.planning.report.candidates import fastest_of_each

TRAIN = "MPO(ins = [4, 8], outs = [8, 4], ranks = 4)"


@pytest.fixture(scope="module")
def arch() -> tncompile.Architecture:
    return tncompile.load("std/linear.tn").instantiate(TRAIN)


def test_a_size_varies_with_one_plan(arch: tncompile.Architecture) -> None:
    sizes = [1, 16, 256]
    found = arch.vary("batch", sizes, search="fast", training=True)
    planned = arch.cost(batch=16, search="fast", training=True)
    assert found.planned == 16
    for size, cost in zip(sizes, found.costs, strict=True):
        assert isinstance(cost, type(planned))
        assert cost == planned.at(batch=size)
        assert cost.plan is planned.plan
    assert found.costs[1].figures == planned.figures


def test_a_parameter_varies_and_defaults_follow(arch: tncompile.Architecture) -> None:
    found = arch.vary("ins", [(4, 8), (8, 8)], search="fast", batch=8)
    spec = tncompile.load("std/linear.tn")
    for value, cost in zip(found.values, found.costs, strict=True):
        alone = spec.instantiate("MPO", ins=list(value), outs=[8, 4], ranks=4)
        assert cost.figures == alone.cost(batch=8, search="fast").figures
    assert found.parameters[1] == found.parameters[0] + 4 * 8 * 4  # another 4 inputs at the first
    stored = json.loads(json.dumps(found.to_dict()))
    assert stored["values"] == [[4, 8], [8, 8]]
    assert stored["costs"][1]["inference"]["parameters"] == found.parameters[1]


def test_models_vary() -> None:
    spec = tncompile.load("std/transformer.tn")
    model = spec.instantiate("FeedForward(width = 32, dense = false, rank = 4)")
    found = model.vary("width", [32, 64], search="fast", batch=4)
    alone = spec.instantiate("FeedForward(width = 64, dense = false, rank = 4)")
    cost = alone.cost(batch=4, search="fast")
    assert found.costs[1].to_dict() == cost.to_dict()
    planned = model.cost(batch=8, search="fast")
    sizes = model.vary("batch", [1, 8, 64], search="fast")
    assert [each.flops for each in sizes.costs] == [
        planned.at(batch=size).flops for size in (1, 8, 64)
    ]
    assert "width" in repr(found)
    assert found._repr_html_().startswith("<pre")


@pytest.mark.parametrize(
    ("name", "values", "error", "words"),
    [
        ("rank", [1], ValueError, "did you mean 'ranks'"),
        ("batch", [], ValueError, "at least one value"),
        ("batch", [0], ValueError, "must be positive"),
        ("batch", [1.5], TypeError, "is an int"),
        ("ranks", [0], CompileError, "is not a positive integer"),
        ("\x1b[2J", [1], ValueError, "no parameter or run-time size"),
    ],
)
def test_refusals(
    arch: tncompile.Architecture,
    name: str,
    values: list[int],
    error: type[Exception],
    words: str,
) -> None:
    with pytest.raises(error, match=words) as refused:
        arch.vary(name, values, search="fast")
    assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize("training", [False, True])
def test_candidates(arch: tncompile.Architecture, training: bool) -> None:
    found = arch.candidates(batch=64, search="fast", training=training)
    cost = arch.cost(batch=64, search="fast", training=training)
    (chosen,) = (each for each in found if each.chosen)
    assert chosen.price == (cost.flops, cost.seconds, cost.peak_bytes)
    assert [each.seconds for each in found] == sorted(each.seconds for each in found)
    for each in found:
        beaten = any(
            other.price != each.price
            and all(a <= b for a, b in zip(other.price, each.price, strict=True))
            for other in found
        )
        assert each.on_front != beaten


def test_pictures(arch: tncompile.Architecture) -> None:
    """Titles of points have the numbers; what is no number has bars."""
    sizes = arch.vary("batch", [1, 64, 512], search="fast")
    svg = sizes.draw(theme="light").svg
    for ratio in sizes.against_dense:
        assert ratio is not None
        assert repr(ratio) in svg
    assert "planned: 64" in svg
    kinds = arch.vary("ins", [[4, 8], [8, 8]], search="fast")
    bars = kinds.draw().svg
    assert "ins = [8, 8]" in bars
    assert all(repr(seconds) in bars for seconds in kinds.seconds)
    assert "with_bias = true" in arch.vary("with_bias", [True], search="fast").draw().svg


def test_orders_are_told_apart_by_their_trees(arch: tncompile.Architecture) -> None:
    orders = fastest_of_each(arch.candidates(batch=4096))
    trees = [each.option.tree for each in orders]
    assert len(set(trees)) == len(trees)
    assert [each.seconds for each in orders] == sorted(each.seconds for each in orders)
