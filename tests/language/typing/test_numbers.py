"""Numbers of a model: functions of one, families of them."""

from __future__ import annotations

import math

import pytest
import torch

import tncompile
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.diagnostics.errors import CompileError


def model(body: str) -> tncompile.Spec:
    return tncompile.loads(f"model M(d: int = 4) {{\n{body}\n  input x(..., d)\n  output x * a\n}}")


@pytest.mark.parametrize(
    ("written", "held"),
    [
        ("sqrt(d * d)", "x * 4.0"),
        ("exp(0) + cos(0.0)", "x * 2.0"),
        ("log(1) + sin(0) + 3", "x * 3.0"),
    ],
)
def test_functions_of_numbers_are_numbers(written: str, held: str) -> None:
    assert held in model(f"  let a = {written}").instantiate("M").source()


def test_numbers_decide_before_there_are_values() -> None:
    text = "  let n = sqrt(d)\n  require n == 2\n  let a = if n == 2 then 1 else 0"
    assert model(text).instantiate("M").warnings == ()
    with pytest.raises(CompileError) as raised:
        model(text).instantiate("M", d=9)
    assert raised.value.diagnostics[0].code is Code.REQUIREMENT_FAILED


def test_a_list_is_a_value() -> None:
    module = model("  let a = sqrt([1, 4, 9, 16])").instantiate("M").module()
    assert module(torch.ones(4)).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("written", ["sqrt(-1)", "log(0)", "exp(1000)"])
def test_numbers_are_finite(written: str) -> None:
    with pytest.raises(CompileError) as raised:
        model(f"  let a = {written}").instantiate("M")
    (found,) = raised.value.diagnostics
    assert found.code is Code.BAD_ARITHMETIC
    assert found.primary.span.text == written


def test_families_of_numbers_are_numbers() -> None:
    """Binomial coefficients, of which one decides."""
    text = (
        "  let c[k in 0..4] = if k == 0 then 1 else c[k - 1] * (4 - k) // k\n"
        "  let a = if c[1] == 3 then c[2] else 0"
    )
    assert "x * 3" in model(text).instantiate("M").source()


@pytest.mark.parametrize(
    ("default", "number"), [("pi", math.pi), ("2 * pi - 1", 2 * math.pi - 1), ("d + 1", 5.0)]
)
def test_a_default_is_a_number(default: str, number: float) -> None:
    text = f"model M(d: int = 4, a: float = {default}) {{\n  input x(..., d)\n  output x * a\n}}"
    module = tncompile.loads(text).instantiate("M").module()
    torch.testing.assert_close(module(torch.ones(4)), torch.full((4,), number))


def test_comparisons_are_compared_with_bools() -> None:
    text = """model M() {
  input x(..., 3)
  let same = (x > 0) == (x < 2)
  output where(same != true, x, 5)
}"""
    module = tncompile.loads(text).instantiate("M").module()
    assert module(torch.tensor([-1.0, 1.0, 3.0])).tolist() == [-1, 5, 3]


def test_the_star_of_a_family_within_it_is_those_before() -> None:
    text = """model Dense(d: int = 2, n: int = 3) {
  part grow[l in 0..n] = Linear(d * 2 ** l, d * 2 ** l)
  input x(..., d)
  let h[l in 0..n] = if l == 0 then grow[l](x) else grow[l](concat(x, h[*], dim = -1))
  output h[n - 1]
}"""
    module = tncompile.loads(text).instantiate("Dense").module(seed=0)
    x, parts = torch.rand(5, 2), dict(module.named_modules())
    before: list[torch.Tensor] = []
    for k in range(3):
        before.append(parts[f"grow.{k}"](torch.cat([x, *before], -1)))
    torch.testing.assert_close(module(x), before[-1])
