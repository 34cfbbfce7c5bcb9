"""Corners that random programs rarely reach: scalars, empty families, names, dtypes."""

from __future__ import annotations

import torch
from torch._dynamo.testing import CompileCounter

import tncompile


def module(text: str, dtype: torch.dtype | None = None) -> torch.nn.Module:
    return tncompile.loads(text).instantiate().module(seed=0, dtype=dtype)


def graphs(made: torch.nn.Module, calls: list[tuple[torch.Tensor, ...]]) -> int:
    """How many graphs these calls compile to."""
    torch._dynamo.reset()
    counter = CompileCounter()
    compiled = torch.compile(made, fullgraph=True, dynamic=True, backend=counter)
    for call in calls:
        torch.testing.assert_close(compiled(*call), made(*call))
    return counter.frame_count


SCALAR = "network A() { index i = 3 input x(..., i) tensor W(i) output y(...) }"
LAYERS = """network A() {
  index l = 4, i = 3, o = 2
  input x(..., i)
  input layer(onehot(l))
  tensor L(l, i, o)
  output y(..., o)
}"""
PICKED = """network A() {
  index v = 5, o = 3
  input a(..., onehot(v))
  input b(..., v)
  tensor G(v, o)
  output y(..., o)
}"""


def test_no_leading_axes_and_no_other_either() -> None:
    made = module(SCALAR)
    x = torch.randn(4, 3)
    assert made(x[0]).shape == ()
    torch.testing.assert_close(torch.func.vmap(made)(x), made(x))


def test_scalar_ids_are_not_compiled_in() -> None:
    made = module(LAYERS)
    x = torch.randn(5, 3)
    for k in range(4):
        torch.testing.assert_close(made(x, torch.tensor(k)), x @ made.L[k])
    assert graphs(made, [(x, torch.tensor(k)) for k in range(4)]) == 1


def test_ids_that_pick_from_an_input_leave_the_batch_open() -> None:
    made = module(PICKED)
    calls = [(torch.randint(0, 5, (n,)), torch.randn(n, 5)) for n in (2, 3, 7, 64)]
    ids, x = calls[1]
    due = x[torch.arange(3), ids][:, None] * made.G[ids]
    torch.testing.assert_close(made(ids, x), due)
    assert graphs(made, calls) <= 2


def test_flattened_axes_over_an_empty_family_have_length_one() -> None:
    text = """network A(n: int = 0) {
  index i = 3, o = 2
  index e[k in 0..n] = 4
  input x(..., i, (e[*]))
  tensor G(i, o, e[*])
  output y(..., (e[*]), o)
}"""
    assert module(text)(torch.ones(5, 3, 1)).shape == (5, 1, 2)


def test_a_tensor_may_be_called_training() -> None:
    text = (
        "network A() { index i = 2, o = 2 input x(..., i) tensor training(i, o) output y(..., o) }"
    )
    made = module(text)
    assert list(made.state_dict()) == ["training"]
    assert not torch.nn.Sequential(made).eval()[0].training
    assert made.train().training
    assert torch.compile(made, backend="eager")(torch.ones(2)).shape == (2,)


def test_ids_alone_come_out_in_the_dtype_of_the_module() -> None:
    made = module(
        "network A() { index v = 5 input a(..., onehot(v)) output y(..., v) }", dtype=torch.float64
    )
    assert made(torch.tensor([1, 2])).dtype == torch.float64
    assert made.half()(torch.tensor(1)).dtype == torch.float16
    assert not made.state_dict()


def test_the_logarithm_of_zero_leaves_other_gradients_alone() -> None:
    made = module(
        "network A() { index i = 3, o = 2 input x(..., i) tensor W(i, o) output y(..., o) log }"
    )
    x = torch.randn(2, 3)
    x[0] = 0
    sign, log = made(x)
    assert torch.equal(sign[0], torch.zeros(2))
    assert torch.equal(log[0], torch.full((2,), -torch.inf))
    log[1].sum().backward()
    assert made.W.grad is not None
    assert bool(made.W.grad.isfinite().all())
