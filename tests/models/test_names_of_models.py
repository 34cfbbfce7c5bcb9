"""Models and networks of any name: classes hide nothing that the emitted file uses."""

from __future__ import annotations

import pytest
import torch

import tncompile

_LOCALS = ["device", "dtype", "batch_invariant", "h", "i", "j", "k", "like", "x", "shape", "F"]


@pytest.mark.parametrize("name", _LOCALS)
def test_a_part_of_a_model_of_this_name(name: str) -> None:
    text = f"""
model {name}(c: int) {{ part w = Linear(c, c) input y(..., c) output w(y) }}
model Block(number: int) {{
  part p[a in 0..2, b in 0..3] = {name}(3)
  tensor u[a in 0..2, b in 0..2](3) init ones
  input y(..., 3)
  output p[0, 0](p[1, 2](y * number * u[1, 1]))
}}
model Whole() {{
  part b[s in 0..3] = Block(s + 1)
  input y(..., 3)
  output y |> repeat s in 0..3 {{ b[s] }}
}}
"""
    module = tncompile.loads(text).instantiate("Whole").module(seed=0)
    assert module(torch.ones(2, 3)).shape == (2, 3)


def test_options_of_a_model_without_networks_are_checked() -> None:
    text = "model M() { part w = Linear(3, 3) input x(..., 3) output w(x) }"
    model = tncompile.loads(text).instantiate("M")
    for wrong in ({"serach": "fast"}, {"sizes": 3}):
        with pytest.raises(TypeError):
            model.plan(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="search is one of"):
        model.module(search="quick")  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [2, 8, 9, 40])
@pytest.mark.parametrize("second", [2, 3])
def test_families_of_tensors_of_any_length_start(count: int, second: int) -> None:
    text = f"""
model M() {{
  tensor w[k in 0..{count}](if k % 5 == 4 then 2 else {second}) init constant(0.5)
  tensor v[k in 0..{count}](2) init normal(0.1)
  input x(..., 2)
  output x * v[1] + sum(concat(w[*], dim = -1), -1)
}}
"""
    module = tncompile.loads(text).instantiate("M").module(seed=0)
    assert all((w == 0.5).all() for w in module.w)
    assert len(module.v) == count
    assert all(v.abs().max() > 0 for v in module.v)
    assert module(torch.ones(3, 2)).shape == (3, 2)
