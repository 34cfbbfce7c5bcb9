"""Items of values: shapes as torch's indexing, and every rule on places."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.typed_values import (
    HERE,
    Names,
    diagnostic,
    expression,
    place,
    shape,
    size,
    typing,
    value,
)
from tncompile.language.diagnostics.collector import Failed
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic
from tncompile.language.syntax import tree
from tncompile.language.typing.expressions.items import select
from tncompile.language.typing.operations import Entries, Select
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Typed
from tncompile.language.typing.values import Shape, Tuple, Value


def names() -> Names:
    terms = {
        "x": value("..., t, 32", "int"),
        "w": value("8, s, 4"),
        "p": value(""),
        "t": size("t"),
        "s": size("s"),
        "n": 3,
        "pair": Tuple((1, 2)),
        "half": 0.5,
    }
    return Names(dict(terms), typing("s", "t"))


def item(text: str, found: Names | None = None) -> Value:
    found = found or names()
    node = expression(text)
    assert isinstance(node, tree.Item)
    return select(found.typing, found.typed(node.value), node, found.typed)


def wrong(text: str) -> Diagnostic:
    with pytest.raises(Failed) as caught:
        item(text)
    return diagnostic(caught.value)


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("x[..., *, *]", "..., t, 32"),
        ("x[...]", "..., t, 32"),
        ("x[..., 0]", "..., t"),
        ("x[..., 0, *]", "..., 32"),
        ("x[..., t - 1, *]", "..., 32"),
        ("x[..., 0..t, 3..7]", "..., t, 4"),
        ("x[..., 0..t // 2, *]", "..., t // 2, 32"),
        ("x[..., t // 2..t, n]", "..., t - t // 2"),
        ("x[..., 0..0, *]", "..., 0, 32"),
        ("w[0, 0, 3]", ""),
        ("w[*, 0..1, 2..4]", "8, 1, 2"),
        ("w[..., 3]", "8, s"),
        ("w[...]", "8, s, 4"),
    ],
)
def test_what_is_left(text: str, due: str) -> None:
    found = names()
    result = item(text, found)
    assert result.shape == shape(due)
    assert result.kind == found.terms[text[0]].kind  # type: ignore[union-attr]
    assert not found.typing.checks


def test_a_slot_for_each_axis_after_the_dots() -> None:
    operation = item("x[..., 2]").operation
    assert isinstance(operation, Select)
    assert operation.slots == (Entries(), size("2"))
    operation = item("x[..., 1..t, *]").operation
    assert isinstance(operation, Select)
    assert operation.slots == (Entries(size("1"), size("t")), Entries())


@pytest.mark.parametrize(
    ("text", "code", "there"),
    [
        ("x[0, *]", Code.NO_SUCH_AXIS, "0"),
        ("x[*]", Code.NO_SUCH_AXIS, "*"),
        ("x[..., 0, 0, *]", Code.NO_SUCH_AXIS, "..."),
        ("w[0, *]", Code.NO_SUCH_AXIS, "0"),
        ("w[1..2, *, *, 0]", Code.NO_SUCH_AXIS, "1..2"),
        ("w[..., *, *, *, 0]", Code.NO_SUCH_AXIS, "..."),
        ("w[0, ..., 0]", Code.NO_SUCH_AXIS, "..."),
        ("w[..., 0, ...]", Code.NO_SUCH_AXIS, "..."),
        ("p[0]", Code.NO_SUCH_AXIS, "0"),
        ("x[..., 0, 32]", Code.MODEL_SHAPES, "32"),
        ("x[..., t, 0]", Code.MODEL_SHAPES, "t"),
        ("x[..., -1, *]", Code.MODEL_SHAPES, "-1"),
        ("x[..., 0 - t, *]", Code.MODEL_SHAPES, "0 - t"),
        ("x[..., *, 8..33]", Code.MODEL_SHAPES, "8..33"),
        ("x[..., *, 8..7]", Code.MODEL_SHAPES, "8..7"),
        ("x[..., 0..t + 1, *]", Code.MODEL_SHAPES, "0..t + 1"),
        ("x[..., 0, x]", Code.VALUE_FOR_NUMBER, "x"),
        ("x[..., 0..p, 0]", Code.VALUE_FOR_NUMBER, "p"),
        ("x[..., 0, pair]", Code.VALUE_FOR_NUMBER, "pair"),
        ("x[..., 0, half]", Code.WRONG_TYPE, "half"),
        ("x[..., 0, true]", Code.WRONG_TYPE, "true"),
        ('x[..., 0, "all"]', Code.WRONG_TYPE, '"all"'),
    ],
)
def test_what_is_wrong_with_the_places(text: str, code: Code, there: str) -> None:
    assert place(wrong(text)) == (code, there)


def test_ids_are_looked_up_by_functions() -> None:
    hint = wrong("w[x, 0, 0]").hint
    assert hint is not None
    assert "take" in hint
    assert "gather" in hint


@pytest.mark.parametrize(
    ("text", "left", "right"),
    [
        ("x[..., 3, *]", "4", "t"),
        ("x[..., s, *]", "s + 1", "t"),
        ("x[..., 2..t, *]", "2", "t"),
        ("x[..., *, 0..s]", "s", "32"),
        ("x[..., t - 2, *]", "0", "t - 2"),
    ],
)
def test_what_can_not_be_decided_is_checked_in_forward(text: str, left: str, right: str) -> None:
    found = names()
    item(text, found)
    (check,) = found.typing.checks
    assert (check.operator, check.left, check.right) == ("<=", size(left), size(right))
    assert not found.typing.problems.warnings


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_random_items_are_those_of_torch(data: st.DataObject) -> None:
    dots = data.draw(st.booleans())
    counts = data.draw(st.lists(st.integers(1, 4), max_size=4))
    written = data.draw(st.integers(0, len(counts)))
    leading = dots or written < len(counts) or not counts or data.draw(st.booleans())
    places, index = ["..."] * leading, [Ellipsis] * leading
    for count in counts[len(counts) - written :]:
        what = data.draw(st.sampled_from(["*", "..", "."]))
        start = data.draw(st.integers(0, count - 1))
        stop = data.draw(st.integers(start, count))
        places.append({"*": "*", "..": f"{start}..{stop}", ".": str(start)}[what])
        index.append({"*": slice(None), "..": slice(start, stop), ".": start}[what])
    found = names()
    sizes = Shape(tuple(map(Size.number, counts)), dots)
    found.terms["x"] = Value("float", sizes, value("").operation, span=HERE)
    result = item(f"x[{', '.join(places)}]", found)
    due = torch.zeros([2, 5] * dots + counts)[tuple(index)]
    assert [2, 5] * dots + [size.value for size in result.shape.sizes] == list(due.shape)
    assert not found.typing.checks


def test_lengths_of_slices_have_limits() -> None:
    found = names()
    for letter in "mn":
        found.terms[letter] = sum((Size.name(f"{letter}{k}") for k in range(150)), size("0"))
    with pytest.raises(Failed) as caught:
        item("x[..., m..n, *]", found)
    assert diagnostic(caught.value).code == Code.TOO_MANY


def test_an_item_of_a_constant_is_one() -> None:
    found = names()
    found.terms["one"] = found.typing.as_value(Typed((1, 2), HERE))
    assert item("one[1]", found).constant
