"""`network { … }` of values: shapes and kinds as einsum's, and every rule on legs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

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
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.instantiating import resolve
from tncompile.language.linking import link
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import SourceFile
from tncompile.language.typing.expressions.contractions import contract
from tncompile.language.typing.model import Layer, Part
from tncompile.language.typing.operations import Contract, Legs
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Typed
from tncompile.language.typing.values import Numbers, Shape, Term, Value

TERMS: Mapping[str, Term | Part] = {
    "t": size("t"),
    "s": size("s"),
    "heads": 4,
    "none": 0,
    "half": 0.5,
    "list": (2, 3),
    "rows": Numbers((0.5, 1)),
    "x": value("..., t, 32"),
    "q": value("..., 4, t, 8"),
    "keys": value("..., 4, s, 8"),
    "w": value("32, 8"),
    "z": value("t, 8", "complex"),
    "ids": value("..., t, 6", "int"),
    "flags": value("t, 6", "bool"),
    "odd": value("..., t, 7"),
    "even": value("..., 2 * t"),
    "halves": value("..., t // 2 * 2"),
    "point": value(""),
    "map": Part("map", (), (), Layer("Identity", {}, {}, {}), declared=HERE),
}


def names() -> Names:
    return Names(dict(TERMS), typing("s", "t"))


def contracted(text: str, piped: Value | None = None, found: Names | None = None) -> Value:
    node = expression(f"network {{ {text} }}" if piped is None else f"x |> network {{ {text} }}")
    if isinstance(node, tree.Pipe):
        node = node.stage
    assert isinstance(node, tree.NetworkExpression)
    found = found or names()
    typed = None if piped is None else Typed(piped, node.span)
    return contract(found.typing, node, found.operand, found.terms.get, typed)


def wrong(text: str, piped: Value | None = None) -> Diagnostic:
    with pytest.raises(Failed) as caught:
        contracted(text, piped)
    return diagnostic(caught.value)


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("q(..., heads, t, e), keys(..., heads, s, e) -> (..., heads, t, s)", "..., 4, t, s"),
        ("q(..., h, t, e) -> (..., t, (h e))", "..., t, 32"),
        ("x(..., t, (heads e)) -> (..., heads, t, e)", "..., 4, t, 8"),
        ("x(..., t, (heads e)), w((heads e), o) -> (..., e, t, o)", "..., 8, t, 8"),
        ("x(..., t, a), w(a, (heads b)) -> (..., t, heads, b)", "..., t, 4, 2"),
        ("x(..., a, b) -> (...)", "..."),
        ("w(a, b) -> ()", ""),
        ("w(a, b), point() -> (b, a)", "8, 32"),
        ("w((a heads), b), w((c b), d) -> (a, c, heads, d)", "8, 4, 4, 8"),
        ("even(..., (two t)) -> (..., two, t)", "..., 2, t"),
        ("w((a b), i), w((b c), j), w((c d), i), w(l, d) -> (a, b, c, j, l)", "4, 8, 4, 8, 32"),
        ("x(..., t, b), ids(..., t, c) -> (..., t, (b c))", "..., t, 192"),
    ],
)
def test_the_shape_is_the_one_on_the_right(text: str, due: str) -> None:
    assert contracted(text).shape == shape(due)


def test_the_operand_without_a_name_is_the_piped_value() -> None:
    result = contracted("w(a, e), (..., t, a) -> (..., t, e)", value("..., t, 32"))
    assert result.shape == shape("..., t, 8")
    assert isinstance(result.operation, Contract)
    assert result.operation.legs == (
        Legs((("a",), ("e",)), False),
        Legs((("t",), ("a",)), True),
    )
    assert result.operation.output == Legs((("t",), ("e",)), True)
    assert result.operation.sizes == {"a": size("32"), "e": size("8"), "t": size("t")}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ids(..., t, a) -> (..., a, t)", "int"),
        ("flags(t, a) -> ((a t))", "bool"),
        ("z(t, a) -> (a, t)", "complex"),
        ("ids(..., t, a) -> (..., t)", "float"),
        ("flags(t, a), ids(..., t, a) -> (..., t, a)", "float"),
        ("z(t, a), w(b, a) -> (t, b)", "complex"),
        ("z(t, a) -> ()", "complex"),
    ],
)
def test_only_relabeling_keeps_every_kind(text: str, kind: str) -> None:
    assert contracted(text).kind == kind


def test_a_contraction_of_constants_is_one() -> None:
    found = names()
    found.terms["one"] = found.typing.as_value(Typed((1, 2), HERE))
    assert contracted("one(a) -> ()", found=found).constant
    assert not contracted("one(a), w(b, c) -> (a, b, c)", found=found).constant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x(..., t, width), w(widht, o) -> (..., t, o)", "did you mean `widht`?"),
        ("x(..., t, i), w(j, o) -> (..., t, o)", "did you mean `j`?"),
        ("x(..., t, i), w(i, o) -> (..., t)", "`network { (i, o) -> (i) }`"),
    ],
)
def test_a_leg_of_one_operand_alone_is_no_silent_sum(text: str, said: str) -> None:
    with pytest.raises(Failed) as caught:
        contracted(text)
    assert said in (diagnostic(caught.value).hint or "")
    assert contracted(text.rpartition(", w(")[0] + " -> (..., t)").shape == shape("..., t")


@pytest.mark.parametrize(
    ("text", "code", "there"),
    [
        # ends
        ("x(..., t, a), w(a, b) -> (..., t)", Code.DANGLING_INDEX, "b"),
        ("x(..., t, i), w(j, o) -> (..., t, o)", Code.DANGLING_INDEX, "i"),
        # the axes and the dots
        ("x(t, a) -> (t)", Code.MODEL_SHAPES, "t"),
        ("w(..., a, b) -> (..., a)", Code.MODEL_SHAPES, "..."),
        ("w(a, b, c) -> (a)", Code.MODEL_SHAPES, "c"),
        ("w(a) -> (a)", Code.MODEL_SHAPES, "a"),
        ("w() -> ()", Code.MODEL_SHAPES, "w()"),
        ("x(..., t, a) -> (t)", Code.BATCH_MISSING, "..."),
        ("w(a, b) -> (..., b)", Code.BATCH_MISSING, "..."),
        # sizes
        ("even(..., (t two)), x(..., two, a) -> (..., t)", Code.MODEL_SHAPES, "(t two)"),
        ("x(..., s, a) -> (..., s)", Code.MODEL_SHAPES, "s"),
        ("w(heads, a) -> (a)", Code.MODEL_SHAPES, "heads"),
        ("x(..., heads, a) -> (..., a)", Code.MODEL_SHAPES, "heads"),
        ("w(a, b), w(b, c) -> (a, c)", Code.MODEL_SHAPES, "b"),
        ("odd(..., t, (heads e)) -> (..., t, e)", Code.MODEL_SHAPES, "(heads e)"),
        ("x(..., (s a), b) -> (..., a)", Code.MODEL_SHAPES, "(s a)"),
        ("w((heads b), b) -> (heads)", Code.REPEATED_LEG, "b"),
        ("w((heads b), c), w(d, b), w(b, e) -> (heads)", Code.MODEL_SHAPES, "b"),
        ("w(a, (heads b)), w(b, c) -> (a, c)", Code.MODEL_SHAPES, "(heads b)"),
        ("w((a b), c) -> (a, c)", Code.UNKNOWN_LEG_SIZE, "a"),
        ("w((a b), (c d)) -> (a, c)", Code.UNKNOWN_LEG_SIZE, "a"),
        ("w(none, c) -> (c)", Code.BAD_SIZE, "none"),
        # names
        ("w(a, x) -> (a)", Code.UNKNOWN_NAME, "x"),
        ("w(a, map) -> (a)", Code.UNKNOWN_NAME, "map"),
        ("w(a, half) -> (a)", Code.WRONG_TYPE, "half"),
        ("w(a, list) -> (a)", Code.WRONG_TYPE, "list"),
        ("w(a, rows) -> (a)", Code.WRONG_TYPE, "rows"),
        ("w(a, a) -> (a)", Code.REPEATED_LEG, "a"),
        ("w(a, b) -> (a, a)", Code.REPEATED_LEG, "a"),
        ("w(a, b) -> (a, d)", Code.OUTPUT_NOT_CARRIED, "d"),
        ("w(a, b) -> (a, heads)", Code.OUTPUT_NOT_CARRIED, "heads"),
        ("w(a, b) -> (a, x)", Code.UNKNOWN_NAME, "x"),
        # what networks with a name have
        ("w(a, b[0]) -> (a)", Code.MISPLACED, "b[0]"),
        ("w(a, b[*]) -> (a)", Code.MISPLACED, "b[*]"),
        ("w(a, b?) -> (a)", Code.MISPLACED, "b?"),
        ("w(a, b.in) -> (a)", Code.MISPLACED, "b.in"),
        ("w(a, (b c) as 3) -> (a)", Code.MISPLACED, "3"),
        ("w(a, onehot(b)) -> (a)", Code.MISPLACED, "onehot(b)"),
        ("w(a, p in 0..2) -> (a)", Code.MISPLACED, "p in 0..2"),
        ("w(a, b) -> ((a b) as 3)", Code.MISPLACED, "3"),
        # names of operands
        ("w(a, b), (b) -> (a)", Code.WRONG_ARGUMENT, "(b)"),
    ],
)
def test_what_is_wrong_with_the_legs(text: str, code: Code, there: str) -> None:
    assert place(wrong(text)) == (code, there)


@pytest.mark.parametrize("text", ["w(a, b) -> (a)", "(..., t, a), (a, b) -> (..., b)"])
def test_one_operand_of_a_stage_has_no_name(text: str) -> None:
    assert wrong(text, value("..., t, 32")).code == Code.WRONG_ARGUMENT


def test_the_size_of_a_leg_is_explained_where_it_comes_from() -> None:
    found = wrong("w(a, b), w(b, c) -> (a, c)")
    assert [label.text for label in found.secondary] == ["`b` is 8 here"]
    assert "(32, 8)" in found.message
    assert "32, not 8" in found.message


def test_a_division_that_holds_for_some_sizes_is_checked_in_forward() -> None:
    found = names()
    result = contracted("x(..., (two a), b), pair(two) -> (..., a, b)", found=_with_pair(found))
    assert result.shape == shape("..., t // 2, 32")
    (warning,) = found.typing.problems.warnings
    assert place(warning) == (Code.UNDECIDED_SIZES, "(two a)")
    (check,) = found.typing.checks.values()
    assert {check.comparison.left, check.comparison.right} == {size("t"), size("t // 2 * 2")}


def test_halves_of_an_even_length_need_no_check() -> None:
    found = names()
    result = contracted("halves(..., (two a)), pair(two) -> (..., a)", found=_with_pair(found))
    assert result.shape == shape("..., t // 2")
    assert not found.typing.problems.warnings
    assert not found.typing.checks


def test_sizes_and_axes_have_limits() -> None:
    axes = [f"t{letter}" for letter in "abcdefghijklmnopqrstuvwxyzabcdefghijklmnop"]
    found = names()
    found.terms["long"] = value(", ".join(axes))
    legs = [f"i{k}" for k in range(len(axes))]
    text = f"long({', '.join(legs)}) -> (({' '.join(legs)}))"
    with pytest.raises(Failed) as caught:
        contracted(text, found=found)
    assert diagnostic(caught.value).code == Code.TOO_MANY
    other = [f"j{k}" for k in range(len(axes))]
    text = f"long({', '.join(legs)}), long({', '.join(other)}) -> ({', '.join(legs + other)})"
    with pytest.raises(Failed) as caught:
        contracted(text, found=found)
    assert diagnostic(caught.value).code == Code.TOO_MANY


def _with_pair(found: Names) -> Names:
    found.terms["pair"] = value("2")
    return found


@pytest.mark.parametrize(
    ("declared", "code"),
    [
        ("let e = 1 // d", Code.BAD_ARITHMETIC),
        ("let e = softmax(x, 3)", Code.NO_SUCH_AXIS),
        ("let (e, f) = chunk(x, 3, -1)", Code.MODEL_SHAPES),
        ("let e[k in 0..2] = softmax(x, 3)", Code.NO_SUCH_AXIS),
    ],
)
def test_a_name_that_failed_is_reported_once(declared: str, code: Code) -> None:
    text = f"""model M(d: int = 0) {{
      input x(..., 8)
      {declared}
      output network {{ x(..., (a e)) -> (..., a) }}
    }}"""
    with pytest.raises(CompileError) as caught:
        resolve(link(SourceFile("main.tn", text)), "M()")
    assert [each.code for each in caught.value.diagnostics] == [code]


# ── against einsum ────────────────────────────────────────────────────────────────────────────────

LEGS = "abcdef"
RUN_TIME = {"t": 3, "s": 5}


@st.composite
def contractions(draw: st.DrawFn) -> tuple[dict[str, Size], list[list[str]], list[str], bool]:
    """Sizes of legs, the groups of each operand, those of the result, and whether dots are."""
    sizes = {
        leg: draw(st.sampled_from([size("1"), size("2"), size("3"), size("t"), size("s + 1")]))
        for leg in LEGS
    }
    operands = []
    for _ in range(draw(st.integers(1, 3))):
        legs = draw(st.lists(st.sampled_from(LEGS), unique=True, max_size=4))
        operands.append(draw(grouped(legs)))
    used = sorted({leg for groups in operands for group in groups for leg in group})
    kept = draw(st.permutations(used))[: draw(st.integers(0, len(used)))]
    return sizes, operands, draw(grouped(list(kept))), draw(st.booleans())


@st.composite
def grouped(draw: st.DrawFn, legs: list[str]) -> list[str]:
    """The legs in order, some of them as groups."""
    groups: list[str] = []
    for leg in legs:
        if groups and draw(st.booleans()):
            groups[-1] += leg
        else:
            groups.append(leg)
    return groups


def solvable(operands: list[list[str]], declared: set[str]) -> set[str]:
    """The legs whose size can be known."""
    groups = [set(group) for operand in operands for group in operand]
    known = declared | {leg for group in groups if len(group) == 1 for leg in group}
    while True:
        more = {leg for g in groups if len(g - known) == 1 for leg in g - known}
        if not more:
            return known
        known |= more


@settings(max_examples=300, deadline=None)
@given(contractions(), st.sets(st.sampled_from(LEGS)))
def test_random_contractions_are_einsums(
    case: tuple[dict[str, Size], list[list[str]], list[str], bool], declared: set[str]
) -> None:
    sizes, operands, output, dots = case
    found = Names({}, typing("s", "t"))
    for leg in declared:
        number = sizes[leg].value
        found.terms[leg] = sizes[leg] if number is None else number
    written = []
    for k, groups in enumerate(operands):
        axes = [_product(sizes[leg] for leg in group) for group in groups]
        operand = Shape(tuple(axes), dots and k == 0)
        found.terms[f"x{k}"] = Value("float", operand, value("").operation, span=HERE)
        written.append(f"x{k}({_legs(groups, operand.dots)})")
    text = f"{', '.join(written)} -> ({_legs(output, dots)})"
    known = solvable(operands, declared)
    legs = {leg for groups in operands for group in groups for leg in group}
    if not legs <= known:
        with pytest.raises(Failed) as caught:
            contracted(text, found=found)
        code, leg = place(diagnostic(caught.value))
        assert code == Code.UNKNOWN_LEG_SIZE
        assert leg in legs - known
        return
    ends = Counter(leg for groups in operands for group in groups for leg in group)
    alone = {leg for leg in legs if ends[leg] == 1 and sizes[leg].value != 1} - {*"".join(output)}
    if alone and len(operands) > 1:
        with pytest.raises(Failed) as caught:
            contracted(text, found=found)
        code, leg = place(diagnostic(caught.value))
        assert (code, leg in alone) == (Code.DANGLING_INDEX, True)
        return
    result = contracted(text, found=found)
    assert not found.typing.checks
    operation = result.operation
    assert isinstance(operation, Contract)
    assert dict(operation.sizes) == {leg: sizes[leg] for leg in legs}
    computed = _einsum(operation)
    due = [2] * dots + [math.prod(sizes[leg].at(RUN_TIME) for leg in group) for group in output]
    assert list(computed.shape) == due
    assert [2] * dots + [axis.at(RUN_TIME) for axis in result.shape.sizes] == due


def _product(sizes: object) -> Size:
    result = Size.number(1)
    for each in sizes:  # type: ignore[attr-defined]
        result = result * each
    return result


def _legs(groups: list[str], dots: bool) -> str:
    axes = [group if len(group) == 1 else f"({' '.join(group)})" for group in groups]
    return ", ".join(["..."] * dots + axes)


def _einsum(operation: Contract) -> torch.Tensor:
    """The operation by torch, from operands of the shapes of its values, two leading entries."""
    numbers = {leg: extent.at(RUN_TIME) for leg, extent in operation.sizes.items()}
    operands, formulas = [], []
    for operand, legs in zip(operation.operands, operation.legs, strict=True):
        flat = [2] * legs.dots + [axis.at(RUN_TIME) for axis in operand.shape.sizes]
        spread = [2] * legs.dots + [numbers[leg] for axis in legs.axes for leg in axis]
        operands.append(torch.randn(flat).reshape(spread))
        formulas.append(_formula(legs))
    result = torch.einsum(f"{','.join(formulas)}->{_formula(operation.output)}", *operands)
    grouped = [math.prod(numbers[leg] for leg in axis) for axis in operation.output.axes]
    return result.reshape([2] * operation.output.dots + grouped)


def _formula(legs: Legs) -> str:
    return "..." * legs.dots + "".join(leg for axis in legs.axes for leg in axis)
