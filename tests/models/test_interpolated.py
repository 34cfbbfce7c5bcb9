"""A model that is a matrix of low rank is known by its graph, and has what a layer has."""

from __future__ import annotations

import pytest
import torch

import tncompile
from tncompile.language.typing.model import ResolvedModel
from tncompile.models.graph.interpolated import interpolated

FORM = """
model Mine(n: int = 24, m: int = 20, r: int = 12) {
  tensor some(r, m) init uniform(0.5)
  tensor sums(n - r, r) init normal(1)
  tensor places(n) init arange int
  tensor weight(m) init zeros
  input z(..., n)
  let y = take(z, places, dim = -1)
  output (y[..., 0..r] + y[..., r..n] @ sums) @ some + weight
}
"""


def known(text: str) -> bool:
    model = tncompile.loads(text)["Mine"].instantiate()._resolved
    assert isinstance(model, ResolvedModel)
    return interpolated(model) is not None


def test_names_say_nothing() -> None:
    assert known(FORM)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("init normal(1)", "init normal(1) frozen"),
        ("arange", "zeros"),
        ("@ some", "@ some * 2"),
        ("y[..., 0..r]", "y[..., 1..r + 1]"),
        ("y[..., r..n]", "y[..., 0..n - r]"),
        ("y[..., 0..r]", "z[..., 0..r]"),
        ("input z(..., n)", "input z(n)"),
        ("input z(..., n)", "batch t input z(..., t, n)"),
        ("+ weight", "+ weight + weight"),
        ("+ weight", "+ relu(weight)"),
        ("@ sums)", "@ sums * z[..., 0..r])"),
        ("input z", "part l = Linear(n, n) input z"),
        ("take(z,", "take(relu(z),"),
    ],
)
def test_what_is_another_map_is_not_taken_for_one(old: str, new: str) -> None:
    assert old in FORM
    text = FORM.replace(old, new, 1)
    if "Linear" in new:
        text = text.replace("take(z,", "take(l(z),")
    assert not known(text)


@pytest.fixture(scope="module")
def arch() -> tncompile.Architecture:
    return tncompile.load("std/linear.tn").instantiate(
        "Interpolative", in_features=48, out_features=30, rank=16
    )


def filled(arch: tncompile.Architecture) -> torch.nn.Module:
    module = arch.module(seed=0)
    generator = torch.Generator().manual_seed(3)
    module.order.copy_(torch.randperm(48, generator=generator))
    return module


def test_the_weight_is_what_forward_multiplies_by(arch: tncompile.Architecture) -> None:
    module, x = filled(arch), torch.randn(3, 48, generator=torch.Generator().manual_seed(0))
    assert (module.in_features, module.out_features) == (48, 30)
    torch.testing.assert_close(module(x), x @ module.weight.mT + module.bias)
    assert str(module) == "Interpolative(in_features=48, out_features=30, rank=16, bias=True)"
    module.weight.sum().backward()
    assert all(p.grad is not None for name, p in module.named_parameters() if name != "c")


def test_names_of_tensors_come_first() -> None:
    module = tncompile.loads(FORM)["Mine"].instantiate().module()
    assert module.weight is module._parameters["weight"]
    assert module.bias is module.weight


def test_folded(arch: tncompile.Architecture) -> None:
    module, x = filled(arch), torch.randn(3, 48, generator=torch.Generator().manual_seed(0))
    folded = module.fold()  # type: ignore[operator]
    assert torch.equal(folded(x), module(x))
    assert torch.equal(folded.weight, module.weight)
    assert not list(folded.parameters())
    assert set(folded.state_dict()) == set(module.state_dict())
    before = folded(x)
    with torch.no_grad():
        module.columns.zero_()
    assert torch.equal(folded(x), before)


@pytest.mark.parametrize("way", ["compiled", "exported", "vmap"])
@pytest.mark.parametrize("weights", [None, "int8", "int4"])
def test_modes(arch: tncompile.Architecture, way: str, weights: str | None) -> None:
    module, x = filled(arch), torch.randn(4, 48, generator=torch.Generator().manual_seed(0))
    if weights is not None:
        state = tncompile.quantized_state(arch, module.state_dict(), weights)  # type: ignore[arg-type]
        module = arch.module(weights=weights)  # type: ignore[arg-type]
        module.load_state_dict(state)
        assert [name for name, _ in module.named_parameters()] == ["c"]
    due = module(x)
    match way:
        case "compiled":
            found = torch.compile(module, backend="aot_eager")(x)
        case "exported":
            found = torch.export.export(module, (x,)).module()(x)
        case _:
            found = torch.func.vmap(module)(x)
    torch.testing.assert_close(found, due)


@pytest.mark.parametrize(
    ("weights", "group", "most"),
    [("int8", None, 0.02), ("int8", 32, 0.02), ("int4", None, 0.2), ("int4", 8, 0.2)],
)
def test_quantized(
    arch: tncompile.Architecture, weights: str, group: int | None, most: float
) -> None:
    module = filled(arch)
    options = {"weights": weights, "group": group}
    small = arch.module(seed=0, **options)  # type: ignore[arg-type]
    drawn = small.weight.detach().clone()
    state = tncompile.quantized_state(arch, module.state_dict(), weights, group=group)  # type: ignore[arg-type]
    small.load_state_dict(state)
    assert torch.equal(small.order, module.order)
    wanted = module.weight.detach()
    lost = float((small.weight - wanted).norm() / wanted.norm())
    assert 0 < lost < most
    assert 0.5 < float(drawn.norm() / arch.module(seed=0).weight.detach().norm()) < 2
    assert small.half().order.dtype is torch.int64


def test_a_start_is_as_large_as_that_of_a_layer() -> None:
    made = tncompile.load("std/linear.tn").instantiate("Interpolative(512, 384, rank = 64)")
    weight = made.module(seed=0).weight.detach()
    assert float(weight.square().sum()) / 384 == pytest.approx(1 / 3, rel=0.1)


def test_it_is_trained_from_scratch() -> None:
    made = tncompile.load("std/linear.tn").instantiate("Interpolative(8, 6, rank = 3)")
    module = made.module(seed=0)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 8, generator=generator)
    y = made.module(seed=1)(x).detach()
    optimizer = torch.optim.Adam(module.parameters(), 0.03)
    first = last = 0.0
    for step in range(300):
        loss = (module(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        last = float(loss.detach())
        first = first if step else last
    assert last < 0.01 * first
