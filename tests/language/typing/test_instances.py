"""Blocks with their arguments: equal ones are one, mistakes are said once, work is bounded."""

from __future__ import annotations

import pytest
import torch

import tncompile
from tncompile.language.evaluating import scope

NETWORK = """network N(d: int) {
  index i = d, o = d
  require d < 10, "small"
  input x(..., i)
  tensor A(i, o)
  output y(..., o)
}
"""


def mistakes(text: str, target: str = "") -> list[tuple[str, str]]:
    """Codes and messages of what is wrong with a text."""
    with pytest.raises(tncompile.CompileError) as caught:
        tncompile.loads(text).instantiate(target)
    return [(each.code.value, each.message) for each in caught.value.diagnostics]


def test_equal_instances_keep_their_own_names() -> None:
    spec = tncompile.loads(f"{NETWORK}network P = N(3)\nnetwork Q = N(3)\n")
    assert [repr(spec.instantiate(name)) for name in "PQ"] == ["Architecture(P)", "Architecture(Q)"]


def test_a_mistake_of_two_instances_is_said_once() -> None:
    text = f"{NETWORK}network P = N(30)\nnetwork Q = N(30)\n"
    assert mistakes(text) == [("TN302", "requirement failed: small")]
    inner = "model I(d: int) {\n  input x(..., d)\n  output x + ones((d + 1))\n}\n"
    outer = "model {0}(d: int) {{\n  part i = I(d)\n  input x(..., d)\n  output i(x)\n}}\n"
    text = inner + outer.format("A") + outer.format("B") + "model P = A(3)\nmodel Q = B(3)\n"
    assert [code for code, _ in mistakes(text)] == ["TN601"]


def test_equal_numbers_of_two_types_are_two_arguments() -> None:
    inner = "model I(n: int) {\n  input x(..., n)\n  output x\n}\n"
    text = f"{inner}model M() {{\n  part a = I(1)\n  part b = I(true)\n  input x(..., 1)\n"
    assert mistakes(f"{text}  output x |> a |> b\n}}\n", "M")[0][0] == "TN305"


def test_many_large_members_end_in_a_diagnostic(monkeypatch: pytest.MonkeyPatch) -> None:
    """The budget is that of the whole model, not of each member."""
    monkeypatch.setattr(scope, "MOST_STEPS", 100_000)
    inner = """model I(l: int) {
  input x(..., 2)
  let y = x + l
  output y |> repeat k in 0..900 { relu }
}
"""
    outer = """model M(n: int) {
  part p[l in 0..n] = I(l)
  input x(..., 2)
  output p[0](x)
}
"""
    assert repr(tncompile.loads(inner + outer).instantiate("M(2)")) == "Model(M(n = 2))"
    assert mistakes(inner + outer, "M(100)")[0][0] == "TN501"


@pytest.mark.parametrize(
    ("statements", "code"),
    [
        ("input x(4) output x + zeros((..., 4))", "TN405"),
        (
            "batch s, t input x(s, t) "
            "require (t * 4294967296 + 4294967296) * 4294967296 < s output x",
            "TN501",
        ),
        ("let d = 0 require d > 0 and 8 % d == 0 input x(..., 4) output x", "TN302"),
    ],
)
def test_what_cannot_be_computed_has_its_own_message(statements: str, code: str) -> None:
    assert [found for found, _ in mistakes(f"model M() {{ {statements} }}")] == [code]


def test_lists_in_tuples_have_items() -> None:
    text = "model M() { input x(..., 4) let p = ([0.5, 2], x) output p[1] * p[0][0] }"
    assert repr(tncompile.loads(text).instantiate()) == "Model(M)"


def test_a_causal_size_does_not_hide_what_python_does_with_it() -> None:
    inner = 'model F() { part s = extern "torch.nn.Softmax"(dim = -2) input x(..., 4) output s(x) }'
    text = "model M() { part f = F() batch t causal input x(..., t, 4) output f(x) }"
    assert [code for code, _ in mistakes(f"{inner}\n{text}", "M")] == ["TN609"]


def test_sizes_that_nobody_named_may_be_too_small_to_plan_for() -> None:
    text = """import "std/linear.tn" { MPO }
model M() {
  part f = MPO(ins = [2, 2], outs = [2, 2])
  batch t
  require t > 100
  input x(..., t, 4)
  output f(x[..., 0..t - 100, *])
}
"""
    assert tncompile.loads(text).instantiate().plan(search="fast")


def test_equalities_together_are_not_taken_for_differences() -> None:
    text = """model M() {
  batch a, b, c, d, e, f
  require a * b == c * d and a * b == e * f
  input x(..., c, d)
  input y(..., e, f)
  input z(a, b)
  output reshape(x, (..., c * d)) + reshape(y, (..., e * f))
}
"""
    model = tncompile.loads(text).instantiate()
    assert [each.code.value for each in model.warnings] in ([], ["TN608"])


def test_sizes_of_inputs_that_are_left_out_are_left_out() -> None:
    text = """model M(cross: bool) {
  batch t, s
  input x(..., t, 4)
  input m(..., s, 4) if cross
  output if cross then attention(x, m, m) else x
}
"""
    spec = tncompile.loads(text)
    assert spec.instantiate("M(true)").module()(torch.ones(2, 3, 4), torch.ones(2, 5, 4)).shape
    assert spec.instantiate("M(false)").module()(torch.ones(2, 3, 4)).shape == (2, 3, 4)
    used = text.replace("else x", "else x + s")
    assert [code for code, _ in mistakes(used, "M(false)")] == ["TN405"]


def test_members_of_families_are_what_their_expressions_are() -> None:
    text = """model M() {
  let sizes[l in 0..2] = [4 + l, 6]
  part map[l in 0..2] = Linear(sizes[l][0], sizes[l][1])
  batch t
  let half[l in 0..2] = t // (l + 1)
  input x(..., t, 4)
  output map[0](x[..., 0..half[1], *])
}
"""
    module = tncompile.loads(text).instantiate().module()
    assert module(torch.ones(8, 4)).shape == (4, 6)


def test_a_shared_tensor_starts_in_one_way() -> None:
    text = """model M() {
  tensor w[l in 0..2](4) init constant(0.5 + l) share l
  input x(..., 4)
  output x * w[0]
}
"""
    assert mistakes(text) == [("TN306", "`w[1]` cannot share its tensor: it starts in another way")]


def test_blocks_are_declared_before_they_are_used() -> None:
    below = "model B() {\n  input x(..., 2)\n  output x\n}\n"
    text = "model A() {\n  part p = B()\n  input x(..., 2)\n  output p(x)\n}\n"
    assert mistakes(text + below, "A") == [("TN201", "`B` is used before it is declared")]
