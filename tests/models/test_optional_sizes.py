"""`batch s if c`: a run-time size of inputs that have the same `if`."""

from __future__ import annotations

import torch

import tncompile

TEXT = """model Decoder(d: int = 4, memory: bool = false) {
  part look = Linear(d, d)
  batch t causal, s = 12 if memory
  input x(..., t, d)
  input m(..., s, d) if memory
  output if memory then attention(look(x), m, m) else look(x)
}
"""


def test_cross_attention_is_there_with_its_memory() -> None:
    spec = tncompile.loads(TEXT)
    assert not spec.warnings
    assert spec.describe() == TEXT
    x, memory = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    alone = spec.instantiate("Decoder").module(seed=0)
    torch.testing.assert_close(alone(x), alone.get_submodule("look")(x))
    across = spec.instantiate("Decoder", memory=True).module(seed=0)
    query = across.get_submodule("look")(x)
    expected = torch.nn.functional.scaled_dot_product_attention(query, memory, memory)
    torch.testing.assert_close(across(x, memory), expected)


def test_the_name_of_a_size_that_is_not_there_is_free_for_legs() -> None:
    text = """model M(memory: bool = false) {
  batch t, s if memory
  input x(..., t, 4)
  output x |> network { (..., t, s) -> (..., s, t) }
}"""
    module = tncompile.loads(text).instantiate("M").module(seed=0)
    x = torch.randn(3, 4)
    torch.testing.assert_close(module(x), x.T)
