"""One mistake is one message: what uses a value that could not be typed is silent."""

from __future__ import annotations

import pytest

import tncompile


@pytest.mark.parametrize("used", ["h[3]", "sum(concat(h[*], dim = -1), -1)", "h[2] + h[3]"])
def test_a_family_that_stops_in_the_middle_is_reported_once(used: str) -> None:
    text = f"""
model M() {{
  part p = Linear(4, 5)
  input x(..., 4)
  let h[l in 0..4] = if l == 0 then x else p(h[l - 1])
  output {used}
}}
"""
    with pytest.raises(tncompile.CompileError) as caught:
        tncompile.loads(text).instantiate("M")
    assert [str(d.code) for d in caught.value.diagnostics] == ["TN601"]


def test_a_member_that_is_not_there_yet_is_reported() -> None:
    text = """
model M() {
  input x(..., 4)
  let h[l in 0..3] = if l == 0 then x else h[l + 1]
  output h[2]
}
"""
    with pytest.raises(tncompile.CompileError) as caught:
        tncompile.loads(text).instantiate("M")
    assert [str(d.code) for d in caught.value.diagnostics] == ["TN205"]


def test_heads_that_do_not_divide_a_width_are_one_mistake() -> None:
    split = "network { (..., (heads e)) -> (..., heads, e) }"
    text = f"""
model M(d: int = 10, heads: int = 4) {{
  input x(..., d)
  input y(..., 2 * d + 1)
  let (q, k) = (x |> {split}, x |> {split})
  let v = x |> {split}
  let w = y |> {split}
  output (q, k, v, w)
}}
"""
    with pytest.raises(tncompile.CompileError) as caught:
        tncompile.loads(text).instantiate("M")
    assert [d.hint for d in caught.value.diagnostics] == [
        "2 or 5 divides 10",
        "3 or 7 divides 21",
    ]
