"""`attention`: the shape it gives, its options, and every rule on its arguments."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.typed_values import (
    HERE,
    Names,
    called,
    diagnostic,
    place,
    shape,
    size,
    typing,
    value,
)
from tncompile.language.diagnostics.collector import Failed
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic
from tncompile.language.typing.functions.attention import apply_attention
from tncompile.language.typing.operations import Apply
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Shape, Tuple, Value


def names() -> Names:
    terms = {
        "q": value("..., 4, t, 8"),
        "same": value("..., 4, t, 8"),
        "k": value("..., 2, s, 8"),
        "v": value("..., 2, s, 3"),
        "own": value("..., 2, t, 8"),
        "look": value("..., 1, t, s", "bool"),
        "lean": value("s"),
        "far": value("4, 16"),
        "nearest": value("3, 16"),
        "flat": value("t, 8"),
        "vector": value("8"),
        "dotted": value("..., 8"),
        "wide": value("..., 2, s, 9"),
        "long": value("..., 2, t, 3"),
        "turned": value("..., 4, 8, t"),
        "three": value("..., 3, s, 8"),
        "outer": value("..., 6, 4, t, 8"),
        "other": value("..., 3, 2, s, 8"),
        "half": value("..., 4, t // 2, 8"),
        "ids": value("..., 2, s, 8", "int"),
        "waves": value("..., 4, t, 8", "complex"),
        "counts": value("t, s", "int"),
        "deep": value("..., 2, 4, t, s"),
        "swapped": value("s, t"),
        "pair": Tuple((value("t, 8"), value("t, 8"))),
        "t": size("t"),
        "n": 4,
    }
    return Names(dict(terms), typing("s", "t"))


def attended(text: str, found: Names | None = None) -> Value:
    found = found or names()
    return apply_attention(found.typing, called(found, f"attention({text})"))


def wrong(text: str) -> Diagnostic:
    with pytest.raises(Failed) as caught:
        attended(text)
    return diagnostic(caught.value)


def options(result: Value) -> dict[str, object]:
    operation = result.operation
    assert isinstance(operation, Apply)
    assert operation.function == "attention"
    return dict(operation.options)


DEFAULTS: dict[str, object] = {
    "mask": False,
    "relative": False,
    "causal": False,
    "reach": None,
    "scale": None,
    "dropout": 0.0,
    "grouped": 1,
    "aligned": False,
}


@pytest.mark.parametrize(
    ("text", "due", "changed"),
    [
        ("q, q, same", "..., 4, t, 8", {"aligned": True}),
        ("q, k, v", "..., 4, t, 3", {"grouped": 2}),
        ("q, own, long", "..., 4, t, 3", {"grouped": 2, "aligned": True}),
        ("q, k, v, look", "..., 4, t, 3", {"grouped": 2, "mask": True}),
        ("q, k, v, mask = lean", "..., 4, t, 3", {"grouped": 2, "mask": True}),
        ("flat, flat, flat, causal = true", "t, 8", {"causal": True, "aligned": True}),
        (
            "q, k, v, causal = true, reach = n, scale = 1, dropout = 0.5",
            "..., 4, t, 3",
            {"grouped": 2, "causal": True, "reach": 4, "scale": 1, "dropout": 0.5},
        ),
        (
            "q, k, v, causal = true, relative = far",
            "..., 4, t, 3",
            {"grouped": 2, "causal": True, "relative": True},
        ),
        (
            "q, k, v, look, true, relative = lean",
            "..., 4, t, 3",
            {"grouped": 2, "causal": True, "relative": True, "mask": True},
        ),
        ("q, v = v, k = k", "..., 4, t, 3", {"grouped": 2}),
    ],
)
def test_what_it_gives(text: str, due: str, changed: dict[str, object]) -> None:
    found = names()
    result = attended(text, found)
    assert (result.kind, result.shape) == ("float", shape(due))
    assert options(result) == DEFAULTS | changed
    assert not found.typing.checks


def test_operands_are_in_order_the_mask_the_last() -> None:
    found = names()
    result = attended("q, mask = look, v = v, k = k", found)
    assert result.operation.operands == tuple(found.terms[name] for name in ("q", "k", "v", "look"))


def test_one_key_for_any_number_of_queries() -> None:
    found = names()
    found.terms["q"] = value("..., t, s, 8")
    found.terms["k"] = value("..., 1, s, 8")
    result = attended("q, k, k", found)
    assert options(result)["grouped"] == size("t")
    assert options(result)["aligned"]


@pytest.mark.parametrize(
    ("text", "code", "there"),
    [
        ("q, k", Code.WRONG_ARGUMENT, "attention"),
        ("q, k, v, heads = 3", Code.WRONG_ARGUMENT, "heads"),
        ("q, k, v, 1, 2, 3, 4, 5, 6, 7", Code.WRONG_ARGUMENT, "7"),
        ("q, k, v, reach = 3", Code.WRONG_ARGUMENT, "reach = 3"),
        ("q, k, v, relative = far", Code.WRONG_ARGUMENT, "relative = far"),
        # shapes
        ("q, vector, v", Code.MODEL_SHAPES, "vector"),
        ("dotted, dotted, dotted", Code.MODEL_SHAPES, "dotted"),
        ("q, flat, flat", Code.MODEL_SHAPES, "flat"),
        ("flat, q, q", Code.MODEL_SHAPES, "q"),
        ("q, k, long", Code.MODEL_SHAPES, "long"),
        ("q, wide, v", Code.MODEL_SHAPES, "wide"),
        ("q, turned, turned", Code.MODEL_SHAPES, "turned"),
        ("q, three, three", Code.MODEL_SHAPES, "three"),
        ("q, k, three", Code.MODEL_SHAPES, "three"),
        ("k, q, same", Code.MODEL_SHAPES, "q"),
        ("outer, other, other", Code.MODEL_SHAPES, "other"),
        ("q, k, v, deep", Code.MODEL_SHAPES, "deep"),
        ("q, k, v, swapped", Code.MODEL_SHAPES, "swapped"),
        ("q, k, v, dotted", Code.MODEL_SHAPES, "dotted"),
        ("flat, flat, flat, look", Code.MODEL_SHAPES, "look"),
        ("q, k, v, causal = true, relative = nearest", Code.MODEL_SHAPES, "nearest"),
        ("q, k, v, causal = true, relative = k", Code.MODEL_SHAPES, "k"),
        ("flat, flat, flat, causal = true, relative = far", Code.MODEL_SHAPES, "far"),
        ("q, k, v, causal = true, relative = counts", Code.KINDS, "counts"),
        # kinds
        ("q, ids, v", Code.KINDS, "ids"),
        ("waves, k, v", Code.KINDS, "waves"),
        ("q, k, v, counts", Code.KINDS, "counts"),
        ("q, k, v, waves", Code.KINDS, "waves"),
        ("pair, k, v", Code.NUMBER_OF_VALUES, "pair"),
        # options
        ("q, k, v, causal = 1", Code.WRONG_TYPE, "1"),
        ("q, k, v, causal = true, reach = 0", Code.BAD_SIZE, "0"),
        ("q, k, v, causal = true, reach = t", Code.RUNTIME_SIZE, "t"),
        ("q, k, v, causal = true, reach = 0.5", Code.WRONG_TYPE, "0.5"),
        ("q, k, v, scale = lean", Code.VALUE_FOR_NUMBER, "lean"),
        ("q, k, v, scale = true", Code.WRONG_TYPE, "true"),
        ("q, k, v, dropout = 1.5", Code.WRONG_TYPE, "1.5"),
        ('q, k, v, dropout = "no"', Code.WRONG_TYPE, '"no"'),
    ],
)
def test_what_is_wrong_with_the_arguments(text: str, code: Code, there: str) -> None:
    assert place(wrong(text)) == (code, there)


def test_both_shapes_are_in_the_message() -> None:
    found = wrong("q, wide, v")
    assert "(..., 2, s, 9)" in found.message
    assert "(..., 4, t, 8)" in found.message
    assert [label.span.text for label in found.secondary] == ["q"]


def test_a_piped_value_is_reported_at_the_stage() -> None:
    found = names()
    call = replace(called(found, "attention(waves, k, v)"), piped=1)
    with pytest.raises(Failed) as caught:
        apply_attention(found.typing, call)
    assert place(diagnostic(caught.value)) == (Code.KINDS, "attention")


def test_keys_that_may_be_fewer_than_values_are_checked_in_forward() -> None:
    found = names()
    found.terms["v"] = value("..., 4, (t + 1) // 2, 8")
    attended("q, half, v", found)
    (check,) = found.typing.checks
    assert {check.left, check.right} == {size("t // 2"), size("(t + 1) // 2")}
    assert [warning.code for warning in found.typing.problems.warnings] == [Code.UNDECIDED_SIZES]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_shapes_are_those_of_torch(data: st.DataObject) -> None:
    number = st.integers(1, 3)
    lead = data.draw(st.lists(number, max_size=2))
    ratio = data.draw(number) if lead else 1
    s, t, e, f = (data.draw(number) for _ in range(4))
    axes = {"k": [*lead, t, e], "v": [*lead, t, f], "q": [*lead, s, e]}
    if lead:
        axes["q"][len(lead) - 1] *= ratio
    scores = [*axes["q"][:-1], t]
    axes["m"] = [n if data.draw(st.booleans()) else 1 for n in scores][data.draw(number) - 1 :]
    found = names()
    for name, counts in axes.items():
        sizes = Shape(tuple(map(Size.number, counts)))
        found.terms[name] = Value("float", sizes, value("").operation, span=HERE)
    result = attended("q, k, v, m", found)
    tensors = {name: torch.randn(counts) for name, counts in axes.items()}
    k, v = (tensors[name] for name in "kv")
    if lead:
        k, v = k.repeat_interleave(ratio, -3), v.repeat_interleave(ratio, -3)
    due = torch.nn.functional.scaled_dot_product_attention(
        tensors["q"], k, v, tensors["m"].expand(scores)
    )
    assert [axis.value for axis in result.shape.sizes] == list(due.shape)
    assert options(result)["grouped"] == ratio
    assert options(result)["aligned"] == (s == t)
