"""A table of mixed dimensions is known by its graph, and has what nn.Embedding has."""

from __future__ import annotations

import pytest
import torch

import tncompile
from tncompile.language.typing.model import ResolvedModel
from tncompile.models.graph.mixed import mixed

FORM = """
model Mine(n: int = 40, m: int = 8, a: int = 20, b: int = 5) {
  tensor all(n, 2) init normal(1)
  tensor many(a + 1, 3) init normal(1)
  tensor few(b + 1, 2) init normal(1)
  tensor where_(n) init arange int
  tensor weight(7, m) init normal(1)
  input z(...) int
  let y = take(where_, z)
  let u = take(many, clamp(y, max = a))
  let v = take(few, clamp(y, max = b))
  output concat(take(all, y), u, v, dim = -1) @ weight
}
"""


def known(text: str) -> bool:
    model = tncompile.loads(text)["Mine"].instantiate()._resolved
    assert isinstance(model, ResolvedModel)
    return mixed(model) is not None


def test_names_say_nothing() -> None:
    assert known(FORM)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tensor all(n, 2) init normal(1)", "tensor all(n, 2) init normal(1) frozen"),
        ("init arange int", "init zeros int"),
        ("@ weight", "@ weight * 2"),
        ("take(where_, z)", "take(where_, take(where_, z))"),
        ("clamp(y, max = a)", "clamp(y, max = a - 1)"),
        ("clamp(y, max = b)", "clamp(y, min = 0, max = b)"),
        ("take(few, clamp(y, max = b))", "take(few, clamp(z, max = b))"),
        ("u, v, dim", "v, u, dim"),
        ("take(all, y)", "relu(take(all, y))"),
        ("input z(...) int", "input z(4) int"),
        ("concat(take(all, y), u, v, dim = -1)", "(concat(take(all, y), u, v, dim = -1) + 1)"),
        ("a: int = 20", "a: int = 4"),
    ],
)
def test_what_is_another_map_is_not_taken_for_one(old: str, new: str) -> None:
    assert old in FORM
    assert not known(FORM.replace(old, new, 1))


@pytest.fixture(scope="module")
def arch() -> tncompile.Architecture:
    return tncompile.load("std/embedding.tn").instantiate(
        "MixedEmbedding", words=600, features=32, counts=[200, 50], ranks=[4, 12, 28]
    )


def filled(arch: tncompile.Architecture) -> torch.nn.Module:
    module = arch.module(seed=0)
    generator = torch.Generator().manual_seed(3)
    module.places.copy_(torch.randperm(600, generator=generator))
    return module


def ids() -> torch.Tensor:
    return torch.randint(0, 600, (3, 11), generator=torch.Generator().manual_seed(0))


def test_the_weight_is_what_is_looked_up(arch: tncompile.Architecture) -> None:
    module = filled(arch)
    assert (module.num_embeddings, module.embedding_dim) == (600, 32)
    torch.testing.assert_close(module(torch.arange(600)), module.weight)
    said = "num_embeddings=600, embedding_dim=32, counts=[200, 50], ranks=[4, 12, 28]"
    assert said in str(module)
    module.weight.sum().backward()
    assert all(p.grad is not None for p in module.parameters())
    dense = tncompile.to_dense(module)
    torch.testing.assert_close(dense(ids()), module(ids()))


def test_names_of_tensors_come_first() -> None:
    module = tncompile.loads(FORM)["Mine"].instantiate().module()
    assert module.weight is module._parameters["weight"]


def test_folded(arch: tncompile.Architecture) -> None:
    module = filled(arch)
    folded = module.fold()  # type: ignore[operator]
    assert torch.equal(folded(ids()), module(ids()))
    assert torch.equal(folded.weight, module.weight)
    assert not list(folded.parameters())


@pytest.mark.parametrize("way", ["compiled", "exported", "vmap"])
@pytest.mark.parametrize("weights", [None, "int8", "int4"])
def test_modes(arch: tncompile.Architecture, way: str, weights: str | None) -> None:
    module, x = filled(arch), ids()
    if weights is not None:
        state = tncompile.quantized_state(arch, module.state_dict(), weights)  # type: ignore[arg-type]
        before = module.weight.detach()
        module = arch.module(weights=weights)  # type: ignore[arg-type]
        module.load_state_dict(state)
        lost = float((module.weight.detach() - before).norm() / before.norm())
        assert 0 < lost < {"int8": 0.02, "int4": 0.25}[weights]
    due = module(x)
    match way:
        case "compiled":
            found = torch.compile(module, backend="aot_eager")(x)
        case "exported":
            found = torch.export.export(module, (x,)).module()(x)
        case _:
            found = torch.func.vmap(module)(x)
    torch.testing.assert_close(found, due)


def test_wrong_ids(arch: tncompile.Architecture) -> None:
    with pytest.raises(IndexError, match=r"ids must be in \[0, 600\), got 600"):
        arch.module()(torch.tensor([600]))
    with pytest.raises(TypeError, match=r"ids\(\.\.\.\) int: expected int"):
        arch.module()(torch.ones(3))
