"""`scan`: kinds and shapes of its results, the call in a step, and every rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from tncompile.language.typing.calls.scanning import apply_scan
from tncompile.language.typing.model import Layer, Part
from tncompile.language.typing.operations import CallPart, Entry, Scan
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Call, Typing
from tncompile.language.typing.values import Kind, Shape, Tuple, Value, flattened

CELL = Part("cell", (), (), Layer("Identity", {}, {}, {}), declared=HERE)

Types = Sequence[tuple[Kind, Shape]]
Cell = Callable[..., Types]
"""From kinds and shapes of what a cell takes to those of what it gives."""


def names() -> Names:
    terms = {
        "x": value("..., t, 8"),
        "y": value("..., t"),
        "z": value("..., s, 8"),
        "u": value("t, b, 8"),
        "w": value("..., t, 2, 8"),
        "ids": value("..., t, 5", "int"),
        "h": value("..., 6"),
        "c": value("..., 6", "complex"),
        "still": value("6"),
        "start": value("b, 6"),
        "t": size("t"),
        "b": size("b"),
        "none": Tuple(()),
    }
    return Names(dict(terms), typing("s", "t", "b"))


def scanned(text: str, cell: Cell, found: Names | None = None) -> Tuple:
    found = found or names()
    call = called(found, f"scan(h, {text})", without_first=True)

    def call_part(inner: Typing, part: Part, step: Call) -> Tuple:
        assert part is CELL
        given = [inner.as_value(argument) for argument in step.arguments]
        types = cell(*((each.kind, each.shape) for each in given))
        return inner.values(CallPart(tuple(given), part=part, span=step.span), types)

    return apply_scan(found.typing, call, CELL, call_part)


def wrong(text: str, cell: Cell) -> Diagnostic:
    with pytest.raises(Failed) as caught:
        scanned(text, cell)
    return diagnostic(caught.value)


def last(*types: tuple[Kind, Shape]) -> Types:
    """A GRU cell: the state alone."""
    return types[-1:]


def gives(*texts: str, kind: Kind = "float") -> Cell:
    """A cell that gives values of these shapes."""
    return lambda *types: [(kind, shape(text)) for text in texts]


@pytest.mark.parametrize(
    ("text", "cell", "due"),
    [
        ("x, h, t", last, ["..., t, 6", "..., 6"]),
        ("x, h, dim = -2", last, ["..., t, 6", "..., 6"]),
        ("y, h, dim = -1", last, ["..., t, 6", "..., 6"]),
        ("u, start, 0", last, ["t, b, 6", "b, 6"]),
        ("state = h, dim = t, xs = x", last, ["..., t, 6", "..., 6"]),
        ("x, h, t, reverse = true", gives("..., 9, 2", "..., 6"), ["..., t, 9, 2", "..., 6"]),
        ("(x, y, w), h, t", gives("...", "..., 6"), ["..., t", "..., 6"]),
        ("x, (h, still), t", gives("..., 6", "6"), ["..., t, 6", "..., 6", "6"]),
        (
            "x, (h, still), t",
            gives("..., 3", "..., 6", "6"),
            ["..., t, 3", "..., 6", "6"],
        ),
        ("w, h, -1", gives("..., t, 2, 5", "..., 6"), ["..., t, 2, 8, 5", "..., 6"]),
    ],
)
def test_outputs_are_stacked_and_the_last_state_follows(
    text: str, cell: Cell, due: list[str]
) -> None:
    result = scanned(text, cell)
    assert [item.shape for item in result.items if isinstance(item, Value)] == list(map(shape, due))
    assert len(result.items) == len(due)


def test_kinds_are_those_of_the_cell() -> None:
    result = scanned("ids, c, t", lambda *types: [("int", shape("...")), types[-1]])
    assert [item.kind for item in result.items if isinstance(item, Value)] == ["int", "complex"]


def test_the_cell_is_called_without_the_axis_and_not_in_the_model() -> None:
    found = names()
    (output, state) = scanned("(x, y, w), h, t, reverse = true", last, found).items
    assert isinstance(output, Value)
    assert isinstance(state, Value)
    operation = output.operation
    assert isinstance(operation, Scan)
    assert state.operation is operation
    assert found.typing.operations == [operation]
    assert (operation.sequences, operation.axis, operation.reverse) == (3, -2, True)
    assert operation.outputs == 0
    assert operation.operands == tuple(found.terms[name] for name in "xywh")
    assert [each.shape for each in operation.step.operands] == [
        shape("..., 8"),
        shape("..."),
        shape("..., 2, 8"),
        shape("..., 6"),
    ]
    for whole, entry in zip(operation.operands, operation.step.operands, strict=True):
        assert isinstance(entry.operation, Entry)
        assert entry.operation.operands == (whole,)


def test_what_comes_out_of_a_part_is_no_constant() -> None:
    found = names()
    for name, axes in (("x", "t"), ("h", "")):
        constant = Value("float", shape(axes), value("").operation, constant=True, span=HERE)
        found.terms[name] = constant
    result = scanned("x, h, t", last, found)
    assert not any(item.constant for item in result.items if isinstance(item, Value))


@pytest.mark.parametrize(
    ("text", "cell", "code", "there"),
    [
        ("x, h", last, Code.WRONG_ARGUMENT, "scan"),
        ("x, h, t, again = 3", last, Code.WRONG_ARGUMENT, "again"),
        ("x, h, t, reverse = 1", last, Code.WRONG_TYPE, "1"),
        ("x, h, dim = 1", last, Code.NO_SUCH_AXIS, "dim = 1"),
        ("x, h, dim = b", last, Code.NO_SUCH_AXIS, "dim = b"),
        ("none, h, t", last, Code.NUMBER_OF_VALUES, "none"),
        ("x, none, t", last, Code.NUMBER_OF_VALUES, "none"),
        ("(x, z), h, t", last, Code.MODEL_SHAPES, "(x, z)"),
        ("(x, u), h, t", last, Code.MODEL_SHAPES, "(x, u)"),
        ("(u, y), h, t", last, Code.MODEL_SHAPES, "(u, y)"),
        ("x, h, t", gives("..., 7"), Code.MODEL_SHAPES, "h"),
        ("x, h, t", gives("6"), Code.MODEL_SHAPES, "h"),
        ("x, (h, h), t", gives("..., 6", "..., 6, 1"), Code.MODEL_SHAPES, "(h, h)"),
        ("x, h, t", gives("..., 6", kind="int"), Code.KINDS, "h"),
        ("x, (h, still), t", gives("6"), Code.NUMBER_OF_VALUES, "(h, still)"),
        ("x, h, t", gives("6", "..., 6"), Code.MODEL_SHAPES, "scan"),
        ("x, still, t", gives("6"), Code.MODEL_SHAPES, "scan"),
        ("w, h, -1", gives("..., 2, t", "..., 6"), Code.MODEL_SHAPES, "scan"),
    ],
)
def test_what_is_wrong(text: str, cell: Cell, code: Code, there: str) -> None:
    assert place(wrong(text, cell)) == (code, there)


def test_a_piped_sequence_is_reported_at_the_stage() -> None:
    found = names()
    call = replace(called(found, "scan(h, (x, z), h, t)", without_first=True), piped=1)
    with pytest.raises(Failed) as caught:
        apply_scan(found.typing, call, CELL, lambda *_: Tuple(()))
    assert place(diagnostic(caught.value)) == (Code.MODEL_SHAPES, "scan")
    call = replace(called(found, "scan(h, x, none, t)", without_first=True), piped=1)
    with pytest.raises(Failed) as caught:
        apply_scan(found.typing, call, CELL, lambda *_: Tuple(()))
    assert place(diagnostic(caught.value)) == (Code.NUMBER_OF_VALUES, "none")


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_shapes_are_those_of_a_loop(data: st.DataObject) -> None:
    axes = st.lists(st.integers(1, 3), max_size=2)
    lead, steps = data.draw(axes), data.draw(st.integers(1, 3))
    sequences = [[*lead, steps, *data.draw(axes)] for _ in range(data.draw(st.integers(1, 2)))]
    state = [[*lead, *data.draw(axes)] for _ in range(data.draw(st.integers(1, 2)))]
    outputs = [[*lead, *data.draw(axes)] for _ in range(data.draw(st.integers(0, 2)))]
    found = names()
    for k, counts in enumerate([*sequences, *state]):
        found.terms[f"v{k}"] = Value("float", _shape(counts), value("").operation, span=HERE)
    xs = ", ".join(f"v{k}" for k in range(len(sequences)))
    hs = ", ".join(f"v{len(sequences) + k}" for k in range(len(state)))
    dim = data.draw(st.sampled_from([len(lead), len(lead) - len(sequences[0])]))

    def cell(*types: tuple[Kind, Shape]) -> Types:
        return [("float", _shape(counts)) for counts in [*outputs, *state]]

    result = scanned(f"({xs},), ({hs},), {dim}", cell, found)
    collected = [torch.zeros(counts) for counts in outputs] or [torch.zeros(state[0])]
    due = [torch.stack([each] * steps, len(lead)) for each in collected]
    due += [torch.zeros(counts) for counts in state]
    shapes = [item.shape for item in flattened(result) if isinstance(item, Value)]
    assert [[axis.value for axis in each.sizes] for each in shapes] == [list(t.shape) for t in due]


def _shape(counts: Sequence[int]) -> Shape:
    return Shape(tuple(map(Size.number, counts)))
