"""What is said of two models: parts, tensors, and what `forward` does."""

from __future__ import annotations

import pytest

import tncompile
from tests.support.library import architecture
from tncompile.inspection.comparing.changes import Change

TEXT = """model Inner(d: int, wide: int = 4) {
  part up = Linear(d, wide)
  part down = Linear(wide, d)
  input x(..., d)
  output x |> up |> relu |> down
}

network Map(d: int, rank: int = 2) {
  index i = d, o = d
  bond b = rank
  input x(..., i)
  tensor A(i, b)
  tensor B(b, o)
  output y(..., o)
}

model M(d: int = 8, n: int = 3) {
  part first = Inner(d)
  part maps[k in 0..n] = Map(d)
  part norm = LayerNorm(d)
  tensor gate(d) init ones
  tensor shift(d) init zeros
  batch t = 5
  require t > 1
  input x(..., t, d)
  input mask(..., t)
  let a = first(x)
  let c = x |> repeat k in 0..n { maps[k] }
  output norm(a * gate - c) + shift
}
"""


OUTPUT = "norm(a * gate - c) + shift"


def changes(old: str, new: str, *, text: str = TEXT) -> tuple[Change, ...]:
    """What is said of the model and of the one where a piece of the text is another one."""
    assert old in text
    one, other = (tncompile.loads(each).instantiate("M") for each in (text, text.replace(old, new)))
    return one.diff(other, search="fast").changes


def lines(found: tuple[Change, ...], depth: int = 0) -> list[str]:
    said = []
    for each in found:
        words = f"{each.kind} {each.name} {each.aspect}: {each.before} -> {each.after}"
        said += [f"{'  ' * depth}{words}", *lines(each.inner, depth + 1)]
    return said


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("- c)", "+ c)", "step 6 : sub -> add"),
        ("a * gate - c", "c - a * gate", "step 6 sub takes: mul (step 5) and maps[2] (step 4) ->"),
        ("|> relu |>", "|> gelu |>", '  step 2 : relu -> gelu(approximate = "none")'),
        ("wide: int = 4", "wide: int = 5", "  argument wide : 4 -> 5"),
        ("rank: int = 2", "rank: int = 3", "  bond b size: 2 -> 3"),
        ("rank: int = 2", "rank: int = 3", "part maps[2] is: Map(d = 8) -> Map(d = 8)"),
        ("LayerNorm(d)", "LayerNorm(d, eps = 0.1)", "  argument eps : None -> 0.1"),
        ("LayerNorm(d)", "RMSNorm(d)", "part norm is: LayerNorm(normalized_shape = 8) -> RMSNorm("),
        ("LayerNorm(d)", "LayerNorm(d) frozen", "part norm frozen: no -> yes"),
        ("gate(d) init ones", "gate(d) init zeros", "tensor gate init: ones -> zeros"),
        ("gate(d) init ones", "gate(1) init ones", "tensor gate shape: 8 -> 1"),
        ("shift(d) init zeros", "shift(d) init zeros frozen", "tensor shift frozen: no -> yes"),
        ("* gate", "* shift", "step 5 mul takes: first (step 1) and tensor gate -> first (step 1)"),
        ("batch t = 5", "batch t = 6", "size t usual size: 5 -> 6"),
        ("batch t = 5", "batch t", "size t usual size: 5 -> none"),
        (
            "input mask(..., t)",
            "input mask(..., t, d)",
            "input mask shape: (..., t) -> (..., t, 8)",
        ),
        (
            "input mask(..., t)",
            "input mask(..., t) int",
            "input mask shape: (..., t) -> (..., t) int",
        ),
        ("input mask(..., t)", "input more(..., t)", "input mask : (..., t) -> None"),
        ("require t > 1", "require t > 2", "requirement t > 1 : "),
        ("+ shift", "+ shift * 2", "step 8 : None -> mul(·, 2)"),
        (OUTPUT, f"({OUTPUT}, c)", "output  shape: (..., t, 8) -> ((..., t, 8), (..., t, 8))"),
        (OUTPUT, f"({OUTPUT}, c)", "output  is: add (step 8) -> add (step 8) and maps[2] (step 4)"),
        (
            "part first = Inner(d)",
            "part first = Linear(d, d)",
            "part first is: Inner(d = 8) -> Lin",
        ),
        ("part norm =", "part other = Linear(2, 2)\n  part norm =", "part other : None -> Linear("),
        ("n: int = 3", "n: int = 2", "part maps[2] : Map(d = 8) -> None"),
        ("first(x)", "first(first(x))", "step 1 : None -> first"),
        ("{ maps[k] }", "{ maps[0] }", "step 3 : maps[1] -> maps[0]"),
    ],
)
def test_everything_is_told(old: str, new: str, line: str) -> None:
    said = lines(changes(old, new))
    assert any(each.startswith(line) for each in said), said


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("let a", "let  a"),
        ("Inner(d: int, wide", "Inner(d: int, unused: int = 0, wide"),
        ("Map(d)", "Map(d, rank = 2)"),
    ],
)
def test_what_is_no_difference(old: str, new: str) -> None:
    assert changes(old, new) == ()


def test_the_order_of_independent_steps_is_none() -> None:
    first = "  let a = first(x)\n"
    later = TEXT.replace(first, "").replace("  output norm", f"{first}  output norm")
    one, other = (tncompile.loads(each).instantiate("M") for each in (TEXT, later))
    assert one.diff(other, search="fast").changes == ()


def test_parts_inside_of_parts_are_told_once_for_a_family() -> None:
    one, other = (
        architecture("transformer", f"LanguageModel(width = 32, heads = 2, depth = 4, {more})")
        for more in ("dense_feed = true", "dense_feed = false")
    )
    found = one.diff(other, search="fast")
    assert [change.name for change in found.changes] == [f"block[{k}]" for k in range(4)]
    table = found.table()
    assert table.count("TransformerBlock(") == 2
    assert "part block[0] … block[3]" in table
    feed = next(each for each in found.changes[0].inner if each.name == "feed")
    (up,) = (each for each in feed.inner if each.name == "up")
    assert up.parameters is not None
    assert up.parameters[0] == 32 * 128 + 128


def test_parts_in_which_the_same_differs_are_told_together() -> None:
    one, other = (
        architecture("attention", f"CausalAttention(16, 2, dense = false, rank = {rank})")
        for rank in (2, 3)
    )
    found = one.diff(other, sizes={"t": 4}, search="fast")
    names = [change.name for change in found.changes]
    assert {"q", "k", "v"} <= {*names}
    assert "part q, k, v" in found.table()


def test_equal_files_are_equal() -> None:
    for file, target in (("resnet", "ResNet"), ("recurrent", "LSTMLayers(8, 16)")):
        one, other = (tncompile.load(f"std/{file}.tn").instantiate(target) for _ in range(2))
        sizes = {"h": 32, "w": 32} if file == "resnet" else {}
        assert one.diff(other, search="fast", sizes=sizes).equal


def test_steps_of_a_scan() -> None:
    text = """model Cell(d: int) {
  part map = Linear(d, d)
  input x(..., d)
  input h(..., d)
  output tanh(map(x) + h)
}
model M(d: int = 4) {
  part cell = Cell(d)
  batch t = 3
  input xs(..., t, d)
  input h(..., d)
  output scan(cell, xs, h, dim = -2)
}
"""
    found = changes("tanh(map(x) + h)", "tanh(map(h) + x)", text=text)
    assert [each.name for each in found] == ["cell"]
    assert changes("dim = -2)", "dim = -2, reverse = true)", text=text)
