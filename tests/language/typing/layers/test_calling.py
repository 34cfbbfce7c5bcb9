"""Calls of layers: the operands that are refused, what is checked, and what comes out."""

from __future__ import annotations

import pytest

from tests.support.layers import (
    HERE,
    Axis,
    called,
    holds,
    made,
    trouble,
    value,
)
from tncompile.language.diagnostics.collector import Failed, Problems
from tncompile.language.syntax import tree
from tncompile.language.typing.layers import call_layer
from tncompile.language.typing.model import Layer, Part
from tncompile.language.typing.operations import CallPart
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Call, Typed, Typing
from tncompile.language.typing.values import Term, Tuple, Value

LOOK = made("MultiheadAttention", 4, 2, batch_first=True)


def f(*axes: Axis) -> Value:
    """A value of floats."""
    return value("float", *axes)


SEQUENCE = made("LSTM", 3, 4, batch_first=True)
STEPS = f("b", "t", 3)
LINEAR = made("Linear", 5, 4)
REFLECTED = made("Conv1d", 4, 4, 3, padding=3, padding_mode="reflect")


@pytest.mark.parametrize(
    ("layer", "operands", "code", "place", "says"),
    [
        (LINEAR, [f("...", "t", 4)], "TN601", "x", "(..., 5), not (..., t, 4)"),
        (LINEAR, [f("t")], "TN601", "x", "(..., 5), not (t)"),
        (LINEAR, [f("...")], "TN601", "x", "(..., 5), not (...)"),
        (LINEAR, [value("int", "...", 5)], "TN603", "x", "float or complex"),
        (LINEAR, [(1, 2, 3, 4, 5)], "TN603", "x", "float or complex"),
        (LINEAR, [Tuple((1, 2))], "TN610", "x", "tuple"),
        (LINEAR, ["no"], "TN305", "x", "string"),
        (LINEAR, [], "TN208", "p", "input"),
        (LINEAR, [f(5)] * 2, "TN208", "x", "1 input"),
        (made("LayerNorm", (2, 3)), [f("...", 3, 3)], "TN601", "x", "(..., 2, 3)"),
        (made("LayerNorm", 3), [value("complex", "...", 3)], "TN603", "x", "complex"),
        (made("Embedding", 9, 4), [f("t")], "TN603", "x", "int"),
        (made("EmbeddingBag", 9, 4), [value("int", "t")], "TN601", "x", "(b, n)"),
        (made("EmbeddingBag", 9, 4), [value("int", "...", "t")], "TN605", "x", "..."),
        (made("EmbeddingBag", 9, 4), [*[value("int", "t")] * 2, f("t")], "TN208", "x", "2 inputs"),
        (made("BatchNorm1d", 4), [f("...", 4)], "TN605", "x", "..."),
        (made("BatchNorm1d", 4), [f("b", 5)], "TN601", "x", "(b, 4)"),
        (made("BatchNorm1d", 4), [f("b", 4, 3, 2)], "TN601", "x", "(b, 4, l)"),
        (made("BatchNorm2d", 4), [f(4, 4)], "TN601", "x", "(..., 4, h, w)"),
        (made("GroupNorm", 2, 4), [f("...", 5)], "TN601", "x", "(..., 4)"),
        (made("GroupNorm", 2, 4), [f(4)], "TN601", "x", "(b, 4)"),
        (made("PReLU", 4), [f("...", 4)], "TN605", "x", "..."),
        (made("PReLU", 4), [f(2, 3, 4)], "TN601", "x", "(b, 4, s1)"),
        (made("Flatten"), [f("...", 4)], "TN605", "x", "..."),
        (made("Flatten"), [f(4)], "TN605", "x", "start_dim"),
        (made("Flatten", end_dim=3), [f(4, 4)], "TN605", "x", "end_dim"),
        (made("Flatten", 2, 1), [f(4, 4, 4)], "TN605", "x", "end_dim"),
        (made("Conv1d", 4, 4, 3), [f("b", 4, 2)], "TN601", "x", "at least 3"),
        (made("Conv1d", 4, 4, 3), [f("b", 3, "t")], "TN601", "x", "(..., 4, l)"),
        (REFLECTED, [f(4, 3)], "TN601", "x", "at least 4"),
        (made("MaxPool2d", 3), [f(4, 3, 2)], "TN601", "x", "axis -1"),
        (SEQUENCE, [f("...", "t", 3)], "TN605", "x", "..."),
        (SEQUENCE, [f("t", 3)], "TN601", "x", "(b, t, 3)"),
        (SEQUENCE, [STEPS, f(1, "b", 4)], "TN208", "p", "c"),
        (SEQUENCE, [STEPS, f(1, "b", 4), f(1, "a", 4)], "TN601", "x", "(1, b, 4)"),
        (SEQUENCE, [STEPS, f(2, "b", 4), f(2, "b", 4)], "TN601", "x", "(1, b, 4)"),
        (SEQUENCE, [STEPS] * 4, "TN208", "x", "3 inputs"),
        (LOOK, [f("b", "t", 4)] * 2, "TN208", "p", "value"),
        (LOOK, [f("b", "t", 4)] * 4, "TN603", "x", "bool"),
        (LOOK, [*[f("b", "t", 4)] * 3, value("bool", "b", "s")], "TN601", "x", "(b, t)"),
    ],
)  # fmt: skip
def test_what_a_call_is_refused_for(
    layer: Layer, operands: list[Term], code: str, place: str, says: str
) -> None:
    found = trouble(layer, *operands)
    assert found.code == code
    assert found.primary.span.text == place
    assert says in found.message
    assert found.notes
    assert found.hint is not None


def test_a_piped_value_is_refused_at_the_stage() -> None:
    found = trouble(LINEAR, f("...", 4), piped=1)
    assert (found.code, found.primary.span.text) == ("TN601", "p")
    assert found.primary.text == "the last axis is `4`, not `5`"
    assert found.secondary[0].span == HERE


def test_layers_take_their_inputs_in_order() -> None:
    layer, typing = made("Linear", 4, 4), Typing(Problems())
    part = Part("p", (), (), layer, declared=HERE)
    argument = Typed(f(4), HERE, tree.Name("input", span=HERE))
    with pytest.raises(Failed) as caught:
        call_layer(typing, part, Call("p", HERE, HERE, (argument,)))
    assert caught.value.diagnostic is not None
    assert caught.value.diagnostic.code == "TN208"


def test_a_size_that_grows_too_large() -> None:
    layer, term = made("ConvTranspose1d", 1, 1, 1, stride=2**40), f(1, "t")
    term = called(layer, term)
    assert trouble(layer, term).code == "TN501"


def test_sizes_that_are_open_are_checked_when_it_runs() -> None:
    typing, t = Typing(Problems()), Size.name("t")
    called(made("Linear", 4, 4), f(t // 2), typing=typing)
    (warning,) = typing.problems.warnings
    assert warning.code == "TN608"
    called(made("Conv1d", 4, 4, 5, padding=1), f(4, t), typing=typing)
    assert [str(each.right) for each in typing.checks] == ["4", "t"]
    assert [each.operator for each in typing.checks] == ["==", "<="]
    assert holds(typing, {"t": 8})
    assert not holds(typing, {"t": 2})


@pytest.mark.parametrize("layer", [made("Linear", 4, 4), made("Dropout", 0.5), made("Identity")])
def test_linear_layers_keep_complex_values_complex(layer: Layer) -> None:
    given = called(layer, value("complex", "...", 4))
    assert isinstance(given, Value)
    assert given.text == "(..., 4) complex"


def test_one_operation_gives_all_results() -> None:
    typing = Typing(Problems())
    states = f(1, "b", 4), f(1, "b", 4)
    given = called(SEQUENCE, STEPS, *states, typing=typing)
    assert isinstance(given, Tuple)
    assert [str(each) for each in map(text_of, given.items)] == [
        "(b, t, 4)",
        "(1, b, 4)",
        "(1, b, 4)",
    ]
    (operation,) = typing.operations
    assert isinstance(operation, CallPart)
    assert operation.inputs == ("input", "h", "c")
    assert operation.operands == (STEPS, *states)


def text_of(term: object) -> str:
    """Shape and kind of a value."""
    assert isinstance(term, Value)
    return term.text
