"""Long families run as batched products: the same numbers, and no line a member."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import tncompile

CHAIN = """
network Chain(n: int, f: int = 2, rank: int = 3, classes: int = 2) {
  let middle = n // 2
  index p[k in 0..n] = f
  index label = classes
  bond  a[k in 0..n] = rank
  input x(..., INPUT)
  tensor A[k in 0..n](a[k - 1]?, p[k], a[k])SHARE
  tensor T(a[n - 1], label)
  output y(..., label)
}
"""

FLOATS, IDS = "k in 0..n, p[k]", "k in 0..n, onehot(p[k])"


def chain(given: str, share: str, n: int) -> tncompile.Architecture:
    text = CHAIN.replace("INPUT", given).replace("SHARE", share)
    if share:
        text = text.replace("A[k in 0..n](a[k - 1]?,", "A[k in 1..n](a[k - 1],")
        text = text.replace("  tensor T", "  tensor First(p[0], a[0])\n  tensor T")
    return tncompile.loads(text).instantiate("Chain", n=n)


def sweep(module: torch.nn.Module, x: Tensor, n: int) -> Tensor:
    """The same chain, site by site."""
    state = dict(module.state_dict())
    features = torch.eye(2, dtype=torch.float64)[x] if not x.is_floating_point() else x
    first = state.get("A.0", state.get("First"))
    assert first is not None
    value = features[..., 0, :] @ first
    for k in range(1, n):
        core = state.get(f"A.{k}", state.get("A"))
        assert core is not None
        value = torch.einsum("...a,...p,apb->...b", value, features[..., k, :], core)
    return value @ state["T"]


@pytest.mark.parametrize("share", ["", " share k"])
@pytest.mark.parametrize("given", [FLOATS, IDS])
@pytest.mark.parametrize("n", [66, 131, 256])
def test_long_chains_equal_the_sweep(given: str, share: str, n: int) -> None:
    arch = chain(given, share, n)
    module = arch.module(dtype=torch.float64, seed=1)
    rng = torch.Generator().manual_seed(n)
    if given == IDS:
        x = torch.randint(0, 2, (2, 3, n), generator=rng)
    else:
        u = torch.rand(2, 3, n, generator=rng, dtype=torch.float64)
        x = torch.stack([1 - u, u], -1)
    torch.testing.assert_close(module(x), sweep(module, x, n), rtol=1e-10, atol=1e-10)
    assert arch.source().count("\n") < 800  # also in the class that `fold` makes


def test_gradients_of_a_long_chain_equal_those_of_the_sweep() -> None:
    n = 100
    module = chain(FLOATS, "", n).module(dtype=torch.float64, seed=1)
    u = torch.rand(4, n, dtype=torch.float64)
    x = torch.stack([1 - u, u], -1).requires_grad_()
    parameters = dict(module.named_parameters())
    ours = torch.autograd.grad(module(x).square().sum(), [x, *parameters.values()])
    held = {key: value.detach().clone().requires_grad_() for key, value in parameters.items()}

    class Held(torch.nn.Module):
        def state_dict(self, *args: object, **kwargs: object) -> dict[str, Tensor]:
            return held

    again = x.detach().clone().requires_grad_()
    due = torch.autograd.grad(sweep(Held(), again, n).square().sum(), [again, *held.values()])
    for one, other in zip(ours, due, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


TREE = """
network Tree(depth: int, f: int = 3, chi: int = 4, classes: int = 5) {
  let patches = 2 ** depth
  index p[j in 0..patches] = f
  index c = classes
  bond  v[l in 0..depth + 1, j in 0..patches // 2 ** l] = chi
  input x(..., j in 0..patches, p[j])
  tensor E[j in 0..patches](p[j], v[0, j])
  tensor N[l in 1..depth + 1, j in 0..patches // 2 ** l](
    v[l - 1, 2 * j], v[l - 1, 2 * j + 1], v[l, j])
  tensor T(v[depth, 0], c)
  output y(..., c)
}
"""


@pytest.mark.parametrize("share", [False, True])
def test_wide_trees_equal_the_levels_written_out(share: bool) -> None:
    text = TREE.replace("v[0, j])", "v[0, j]) share j").replace("v[l, j])", "v[l, j]) share j")
    arch = tncompile.loads(text if share else TREE).instantiate("Tree", depth=7)
    module = arch.module(dtype=torch.float64, seed=1)
    state = module.state_dict()
    x = torch.randn(5, 128, 3, dtype=torch.float64)
    level = [x[:, j] @ state["E" if share else f"E.{j}"] for j in range(128)]
    for l in range(1, 8):
        level = [
            torch.einsum(
                "za,zb,abc->zc",
                level[2 * j],
                level[2 * j + 1],
                state[f"N.{l}" if share else f"N.{l}.{j}"],
            )
            for j in range(len(level) // 2)
        ]
    due = level[0] @ state["T"]
    torch.testing.assert_close(module(x), due, rtol=1e-10, atol=1e-10)
    # Six levels below 65 members are few enough to be written out, but nothing of all 128.
    _, _, written = arch.source().partition("\nclass Tree(")
    scales = written.count(" = _magnitude(")  # of the norm: a line each beside the division
    assert written.count("\n") - scales < 600
