"""Complex tensors in the simulation: memory against torch, arithmetic against a count by hand."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

import tncompile
from benchmarks.memory import peak_allocated
from tests.simulation.test_memory import close
from tests.support import small_networks as small
from tests.support.complex_networks import TEXT
from tests.support.memory import held_bytes, random_inputs
from tncompile.lowering import lower
from tncompile.network.contraction import build_tree, operands
from tncompile.planning import BUILTIN
from tncompile.simulation.trace import Trace, trace

TARGETS = (
    "Mixed(d = 64, r = 24)",
    "Mixed(d = 160, r = 130)",
    "Projector(d = 96, r = 16)",
    "Chain(n = 12)",
    "Words(words = 300)",
    "State()",
)


TIED = """
network Frozen(d: int, r: int) {
  index  i = d, o = d
  bond   b = r, e = r
  input  x(..., i)
  tensor A(i, b) complex
  tensor F(b, e) frozen
  tensor B(o, e) tie A conj
  output y(..., o)
}
network Norm(n: int = 8) {
  bond   s[k in 0..n] = 4, a[k in 0..n - 1] = 12, b[k in 0..n - 1] = 12
  index  o = 1
  tensor A[k in 0..n](a[k - 1]?, s[k], a[k]?) complex
  tensor B[k in 0..n](b[k - 1]?, s[k], b[k]?) tie A conj
  tensor E(o)
  output y(o)
}
network Overlap(n: int = 12) {
  index  p[k in 0..n] = 2, q[k in 0..n] = 2
  bond   a[k in 0..n - 1] = 8, b[k in 0..n - 1] = 8
  input  x(..., k in 0..n, p[k])
  input  z(..., k in 0..n, q[k])
  tensor A[k in 0..n](a[k - 1]?, p[k], a[k]?) complex
  tensor B[k in 0..n](b[k - 1]?, q[k], b[k]?) tie A conj
  output y(...)
}
"""


@pytest.mark.parametrize("target", TARGETS)
def test_modules_allocate_what_is_predicted(target: str) -> None:
    assert_predicted(tncompile.loads(TEXT).instantiate(target), 64)


@pytest.mark.parametrize(
    ("target", "batch"),
    [
        ("Projector(d = 200, r = 200)", 1), ("Projector(d = 200, r = 8)", 16),
        ("Projector(d = 64, r = 64)", 64), ("Projector(d = 16, r = 96)", 1),
        ("Frozen(d = 200, r = 200)", 64), ("Frozen(d = 64, r = 64)", 16),
        ("Frozen(d = 16, r = 96)", 1), ("Norm()", 1), ("Overlap()", 64),
    ],
)  # fmt: skip
def test_tensors_beside_their_conjugates_allocate_what_is_predicted(
    target: str, batch: int
) -> None:
    assert_predicted(tncompile.loads(TEXT + TIED).instantiate(target), batch)


def assert_predicted(made: tncompile.Architecture, batch: int) -> None:
    """Whether a module takes the memory that its plan predicts, forward and in training."""
    torch.set_num_threads(1)
    cost = made.cost(batch=batch, search="fast")
    module = made.module(seed=0, batch=batch, search="fast")
    given = random_inputs(made.network, cost)
    held = held_bytes([*module.parameters(), *module.buffers(), *given])

    def forward() -> object:
        with torch.no_grad():
            return module(*given)

    def training_step() -> object:
        result: Tensor = module(*given)
        gradient = torch.ones(result.shape, dtype=result.dtype)
        result.backward(gradient)  # type: ignore[no-untyped-call]
        return result, gradient

    forward()
    assert close(cost.inference.peak_bytes or 0, held + peak_allocated(forward))
    training_step()
    module.zero_grad()
    for x in given:
        x.grad = None
    assert close(cost.training.peak_bytes or 0, held + peak_allocated(training_step))


@pytest.mark.parametrize("families", [("K",), ("U",), ("U", "K"), ("V",)], ids=str)
def test_convolutions_allocate_what_is_predicted(families: tuple[str, ...]) -> None:
    torch.set_num_threads(1)
    text = TEXT.replace(") complex", ")").replace("i = 4, o = 6", "i = 32, o = 32")
    for name in families:
        text = re.sub(rf"(tensor {name}\(.*\))", r"\1 complex", text)
    made = tncompile.loads(text).instantiate("Image(r = 32)")
    cost = made.cost(batch=16, sizes={"h": 28, "w": 28}, search="fast")
    module = made.module(seed=0, batch=16, search="fast")
    x = torch.randn(16, 32, 28, 28, requires_grad=True)
    held = held_bytes([*module.parameters(), x])

    def forward() -> object:
        with torch.no_grad():
            return module(x)

    def training_step() -> object:
        result: Tensor = module(x)
        result.backward(torch.ones_like(result))  # type: ignore[no-untyped-call]
        return result

    forward()
    assert close(cost.inference.peak_bytes or 0, held + peak_allocated(forward))
    training_step()
    module.zero_grad()
    x.grad = None
    assert close(cost.training.peak_bytes or 0, held + peak_allocated(training_step))


def traced(complex_tensors: tuple[str, ...], rank: int, *, training: bool = False) -> Trace:
    """A chain of two products, x · A · B, at 10 rows."""
    net = small.make_network(
        {"n": None, "i": 200, "o": 300, "r": rank},
        {"x": ("n", "i")},
        {"A": ("i", "r"), "B": ("r", "o")},
        ("n", "o"),
        complex_tensors=complex_tensors,
    )
    tree = build_tree(net, operands(net), ((0, 1), (2, 3)))
    program = lower(net, tree, sizes={"n": 10})
    return trace(net, program, {"n": 10}, BUILTIN, training=training)


@pytest.mark.parametrize(
    ("families", "rank", "first", "second"),
    [
        ((), 50, 1, 1),
        (("B",), 50, 1, 2),  # a real left factor meets the parts of a complex one
        (("A",), 50, 2, 2),  # turned round, so that the real factor is the left one
        (("A",), 150, 2, 2),  # a long one is multiplied by the parts of the other
        (("A", "B"), 50, 2, 4),
    ],
)
def test_real_multiply_adds_are_counted(
    families: tuple[str, ...], rank: int, first: int, second: int
) -> None:
    total = traced(families, rank).total
    assert total.multiply_adds == 10 * rank * (first * 200 + second * 300)
    assert total.flops == 2 * total.multiply_adds


def test_gradients_of_real_tensors_take_no_complex_arithmetic() -> None:
    """x · A · B of a complex B: the gradients of x and A are real, those of B are."""
    backward = sum(cost.multiply_adds for cost in traced(("B",), 50, training=True).backward)
    assert backward == 10 * 50 * (2 * 200 + 2 * 2 * 300)


def test_complex_products_are_priced_as_four_real_ones() -> None:
    real, complex_ = traced((), 50), traced(("A", "B"), 50)
    assert complex_.total.seconds > 1.5 * real.total.seconds
    assert complex_.resident == 4 * (10 * 200 + 2 * 50 * (200 + 300))
