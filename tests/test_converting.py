"""Layers of torch as networks, and back."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import tncompile


def seeded(layer: type[nn.Module], *arguments: object, **options: object) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return layer(*arguments, **options)


def size(module: nn.Module) -> int:
    """Parameters of the weight."""
    bias = getattr(module, "bias", None)
    return sum(p.numel() for p in module.parameters()) - (0 if bias is None else bias.numel())


def off(module: nn.Module, layer: nn.Module) -> float:
    """The relative error of a weight."""
    weight, found = layer.weight.detach(), module.weight.detach()
    return float((found - weight).norm() / weight.norm())


LINEAR = seeded(nn.Linear, 24, 32)


@pytest.mark.parametrize(
    ("block", "options"),
    [
        ("MPO", {"ranks": 3}),
        ("MPO", {"sites": 2, "budget": 0.5}),
        ("TensorRing", {"budget": 0.3}),
        ("LowRank", {"budget": 0.5}),
        ("CP", {"rank": 4}),
        ("Monarch", {}),
        ("BTT", {"budget": 0.6}),
        ("Tucker", {"budget": 0.4}),
        ("KroneckerSum", {"sites": 2, "budget": 0.4}),
        ("HierarchicalTucker", {"budget": 0.5, "ins": [4, 6], "outs": [4, 8]}),
    ],
)
def test_linear_layers(block: str, options: dict[str, object]) -> None:
    module = tncompile.from_linear(LINEAR, block, **options)
    assert (module.in_features, module.out_features) == (24, 32)
    assert torch.equal(module.bias, LINEAR.bias)
    budget = options.get("budget")
    if isinstance(budget, float):
        assert size(module) <= budget * LINEAR.weight.numel()
        assert size(module) > 0.3 * budget * LINEAR.weight.numel()
    dense = tncompile.to_dense(module)
    x = torch.randn(5, 24, generator=torch.Generator().manual_seed(0))
    assert isinstance(dense, nn.Linear)
    torch.testing.assert_close(dense(x), module(x))
    assert off(dense, LINEAR) < 1


def test_what_a_network_is_made_dense_of_comes_back() -> None:
    module = tncompile.from_linear(LINEAR, "MPO", ranks=3)
    again = tncompile.from_linear(tncompile.to_dense(module), "MPO", ranks=3)
    torch.testing.assert_close(again.weight, module.weight)


def test_a_budget_takes_the_largest_rank() -> None:
    module = tncompile.from_linear(LINEAR, "LowRank", budget=0.5)
    rank = module.A.shape[1]
    assert (24 + 32) * rank <= 0.5 * 24 * 32 < (24 + 32) * (rank + 1)


def test_a_budget_leaves_bonds_that_nothing_needs() -> None:
    """With room for all of it, ranks are those of an exact train."""
    module = tncompile.from_linear(LINEAR, "MPO", budget=10.0, sites=2)
    torch.testing.assert_close(module.weight, LINEAR.weight)
    assert module.G[0].shape == (6, 8, 16)  # 24 = 6 · 4, 32 = 8 · 4


@pytest.mark.parametrize(
    ("block", "options"),
    [("LowRank", {}), ("MPO", {"sites": 2}), ("TensorRing", {"sites": 2}), ("BTT", {})],
)
def test_a_tolerance_is_reached(block: str, options: dict[str, object]) -> None:
    module = tncompile.from_linear(LINEAR, block, tolerance=0.5, **options)
    assert off(module, LINEAR) <= 0.5 * (1 + 1e-5)
    assert size(module) < LINEAR.weight.numel()


def test_a_tolerance_of_low_rank_takes_the_smallest() -> None:
    module = tncompile.from_linear(LINEAR, "LowRank", tolerance=0.4)
    values = torch.linalg.svdvals(LINEAR.weight.detach().double())
    rank = module.A.shape[1]
    assert values[rank:].norm() <= 0.4 * values.norm() < values[rank - 1 :].norm()


@pytest.mark.parametrize("tolerance", [0.3, 0.6])
def test_a_tolerance_takes_less_than_equal_shares(tolerance: float) -> None:
    """Ranks for the same error at each cut, as TT-SVD shares it, need more numbers."""
    layer = seeded(nn.Linear, 48, 36, bias=False)
    shape = {"ins": [4, 4, 3], "outs": [4, 3, 3]}
    module = tncompile.from_linear(layer, "MPO", tolerance=tolerance, **shape)
    assert off(module, layer) <= tolerance * (1 + 1e-5)
    weight = layer.weight.detach().double().reshape(4, 3, 3, 4, 4, 3)
    tensor = weight.permute(0, 3, 1, 4, 2, 5)
    ranks = []
    for cut in (2, 4):
        values = torch.linalg.svdvals(tensor.reshape(math.prod(tensor.shape[:cut]), -1))
        tails = values.square().flip(0).cumsum(0).flip(0).sqrt()
        ranks.append(int((tails > tolerance * float(values.norm()) / math.sqrt(2)).sum()))
    equal = tncompile.from_linear(layer, "MPO", ranks=ranks, **shape)
    assert size(module) < size(equal)


def test_a_tolerance_counts_in_the_metric() -> None:
    layer = seeded(nn.Linear, 24, 16, bias=False)
    samples = torch.randn(50, 24, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 25)
    module = tncompile.from_linear(layer, "MPO", tolerance=0.4, inputs=samples, sites=2)
    wanted, found = layer(samples), module(samples)
    error = ((found - wanted).norm() / wanted.norm()).detach()
    assert float(error) < 0.4 * 1.02  # moments are damped by a hundredth
    assert size(module) < layer.weight.numel()


def test_bilinear_layers() -> None:
    layer = seeded(nn.Bilinear, 6, 5, 4)
    exact = tncompile.from_bilinear(layer, rank=6)
    left, right = torch.ones(3, 6), torch.arange(15.0).reshape(3, 5)
    torch.testing.assert_close(exact(left, right), layer(left, right))
    dense = tncompile.to_dense(exact)
    assert isinstance(dense, nn.Bilinear)
    torch.testing.assert_close(dense.weight, layer.weight)
    near = tncompile.from_bilinear(layer, tolerance=0.6)
    assert off(near, layer) <= 0.6 * (1 + 1e-5)
    with pytest.raises(TypeError, match="Linear is not a bilinear layer"):
        tncompile.from_bilinear(nn.Linear(3, 3))  # type: ignore[arg-type]


COMPLEX = """network Low() {
  index i = 6, o = 5
  bond r = 5
  input x(..., i)
  tensor A(i, r) complex
  tensor B(r, o) complex
  bias c(o) if BIAS
  output y(..., o)
}"""


def test_complex_layers() -> None:
    layer = seeded(nn.Linear, 6, 5, bias=False, dtype=torch.complex64)
    network = tncompile.loads(COMPLEX.replace("BIAS", "false")).instantiate()
    module = tncompile.from_linear(layer, network)
    assert module.A.dtype == torch.complex64
    torch.testing.assert_close(module.weight, layer.weight)
    with pytest.raises(ValueError, match=r"LowRank.* has no complex tensor"):
        tncompile.from_linear(layer, "LowRank", rank=2)
    biased = tncompile.loads(COMPLEX.replace("BIAS", "true")).instantiate()
    with pytest.raises(ValueError, match="the bias of the layer is complex"):
        tncompile.from_linear(seeded(nn.Linear, 6, 5, dtype=torch.complex64), biased)


def test_transposed_convolutions() -> None:
    network = tncompile.loads("""network Up() {
      index i = 4, o = 6
      window h = conv(size = 3, stride = 2, padding = 1)
      bond r = 4
      input x(..., i, h.out)
      tensor A(i, r, h.kernel)
      tensor B(r, o)
      bias c(o)
      output y(..., o, h.in)
    }""").instantiate()
    layer = seeded(nn.ConvTranspose1d, 4, 6, 3, stride=2, padding=1)
    module = tncompile.from_conv(layer, network)
    images = torch.arange(72.0).reshape(2, 4, 9) / 72
    assert module(images).shape == layer(images).shape
    assert off(module, layer) < 1
    again = tncompile.to_dense(module)
    assert isinstance(again, nn.ConvTranspose1d)
    torch.testing.assert_close(again(images), module(images))
    with pytest.raises(ValueError, match="are not transposed: give an architecture"):
        tncompile.from_conv(layer, "Tucker2Conv")


def test_dtype_mode_and_bias_are_kept() -> None:
    layer = seeded(nn.Linear, 12, 10, bias=False, dtype=torch.float64).eval()
    layer.weight.requires_grad_(False)
    module = tncompile.from_linear(layer, "MPO", ranks=4, sites=2)
    assert module.weight.dtype == torch.float64
    assert not module.training
    assert module.bias is None
    assert not any(p.requires_grad for p in module.parameters())
    half = tncompile.from_linear(LINEAR.to(torch.bfloat16), "LowRank", rank=4)
    assert half.A.dtype == torch.bfloat16
    LINEAR.to(torch.float32)


def test_widths_without_factors_are_padded() -> None:
    layer = seeded(nn.Linear, 23, 101)
    module = tncompile.from_linear(layer, "MPO", ranks=24)
    assert module.weight.shape == (101, 23)
    assert torch.equal(module.bias[:101], layer.bias)


CONVOLUTIONS = [
    (nn.Conv2d, {"padding": 1, "stride": 2}, "Tucker2Conv", {"budget": 0.5}),
    (nn.Conv2d, {"padding": "same", "dilation": 2}, "TTConv", {"ranks": 3, "sites": 2}),
    (nn.Conv1d, {"padding": 1, "padding_mode": "circular"}, "CPConv", {"rank": 6}),
    (nn.Conv2d, {"bias": False}, "TRConv", {"ranks": 2, "sites": 1}),
    (nn.Conv2d, {"groups": 2}, "GroupedConv", {}),
]


@pytest.mark.parametrize(("kind", "settings", "block", "options"), CONVOLUTIONS)
def test_convolutions(
    kind: type[nn.Module], settings: dict[str, object], block: str, options: dict[str, object]
) -> None:
    conv = seeded(kind, 6, 8, 3, **settings)
    module = tncompile.from_conv(conv, block, **options)
    assert module.weight.shape == conv.weight.shape
    x = torch.randn(2, 6, *(9,) * (conv.weight.dim() - 2))
    dense = tncompile.to_dense(module)
    assert type(dense) is kind
    assert conv(x).shape == module(x).shape
    torch.testing.assert_close(dense(x), module(x), rtol=1e-4, atol=1e-5)
    if block == "GroupedConv":
        torch.testing.assert_close(module(x), conv(x), rtol=1e-4, atol=1e-5)


def test_embeddings() -> None:
    table = seeded(nn.Embedding, 211, 12, padding_idx=0)
    module = tncompile.from_embedding(table, budget=0.5)
    assert size(module) <= 0.5 * table.weight.numel()
    dense = tncompile.to_dense(module)
    ids = torch.tensor([[0, 210], [7, 100]])
    torch.testing.assert_close(dense(ids), module(ids))
    assert off(dense, table) < 1


def test_blocks_and_architectures_of_ones_own() -> None:
    spec = tncompile.loads("""network Two(in_features: int, out_features: int, rank: int) {
      index i = in_features, o = out_features
      bond r = rank
      input x(..., i)
      tensor U(i, r)
      tensor V(r, o)
      output y(..., o)
    }""")
    layer = seeded(nn.Linear, 12, 10, bias=False)
    module = tncompile.from_linear(layer, spec["Two"], budget=0.6)
    assert module.U.shape == (12, 3)
    arch = spec.instantiate("Two", in_features=12, out_features=10, rank=10)
    torch.testing.assert_close(tncompile.from_linear(layer, arch).weight, layer.weight)
    with pytest.raises(ValueError, match="has no bias, the layer has one"):
        tncompile.from_linear(seeded(nn.Linear, 12, 10), arch)
    with pytest.raises(ValueError, match="a budget chooses those of a block"):
        tncompile.from_linear(layer, arch, budget=0.5)
    with pytest.raises(TypeError, match="has its arguments"):
        tncompile.from_linear(layer, arch, rank=3)


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(TypeError, match=r"Conv1d is not a linear layer \(nn.Linear\)"):
        tncompile.from_linear(nn.Conv1d(2, 2, 1), "MPO")  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="did you mean 'MPO'"):
        tncompile.from_linear(LINEAR, "MP0")
    with pytest.raises(TypeError, match="a name, a Block or an Architecture, not int"):
        tncompile.from_linear(LINEAR, 3)  # type: ignore[arg-type]
    with pytest.raises(tncompile.CompileError, match="rank"):
        tncompile.from_linear(LINEAR, "LowRank", ranks=3)
    with pytest.raises(ValueError, match="split in one factor or more, not -1"):
        tncompile.from_linear(LINEAR, "MPO", sites=-1)
    with pytest.raises(TypeError, match="budget is a number, not str"):
        tncompile.from_linear(LINEAR, "MPO", budget="a")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a seed is an int, not 'a'"):
        tncompile.from_linear(LINEAR, "LowRank", rank=2, seed="a")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"metric is a tncompile\.Metric, not Tensor"):
        tncompile.from_linear(LINEAR, "LowRank", rank=2, metric=torch.eye(24))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not both"):
        tncompile.from_linear(LINEAR, "MPO", budget=0.5, tolerance=0.5)
    with pytest.raises(ValueError, match=r"budget is a part of the parameters, above 0"):
        tncompile.from_linear(LINEAR, "MPO", budget=-1.0)
    with pytest.raises(ValueError, match=r"has \d+ parameters, 0\.\d+ of the weight's"):
        tncompile.from_linear(LINEAR, "Monarch", budget=0.01)
    with pytest.raises(ValueError, match=r"has \d+ parameters"):
        tncompile.from_linear(LINEAR, "MPO", budget=0.001)
    with pytest.raises(ValueError, match="no TensorRing of fewer parameters"):
        tncompile.from_linear(LINEAR, "TensorRing", tolerance=1e-3, sites=2)
    with pytest.raises(ValueError, match="has no groups, the layer has 2"):
        tncompile.from_conv(nn.Conv2d(4, 4, 3, groups=2), "CPConv")
    with pytest.raises(ValueError, match="even kernel"):
        tncompile.from_conv(nn.Conv1d(4, 4, 4, padding="same"), "CPConv")
    with pytest.raises(ValueError, match="not transposed"):
        tncompile.from_conv(nn.ConvTranspose1d(4, 4, 4), "CPConv")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_norm"):
        tncompile.from_embedding(nn.Embedding(4, 4, max_norm=1.0))
    with pytest.raises(ValueError, match="ReLU stands for no layer"):
        tncompile.to_dense(nn.ReLU())


def test_arguments_that_are_no_such_thing() -> None:
    layer = torch.nn.Linear(8, 8)
    with pytest.raises(TypeError, match="budget is a number, not bool"):
        tncompile.from_linear(layer, "LowRank", budget=True)
    with pytest.raises(TypeError, match=r"inputs are a torch\.Tensor, not list"):
        tncompile.from_linear(layer, "LowRank", rank=2, inputs=[[1.0] * 8])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="are zero"):
        tncompile.from_linear(layer, "LowRank", rank=2, inputs=torch.zeros(10, 8))
    with pytest.raises(ValueError, match="has no weight yet"):
        tncompile.from_linear(torch.nn.LazyLinear(5), "LowRank")
    arch = tncompile.load("std/linear.tn").instantiate(
        "LowRank", in_features=8, out_features=8, rank=2
    )
    with pytest.raises(TypeError, match="is sparse"):
        arch.fit(torch.eye(8).to_sparse())


@pytest.mark.parametrize(("into", "out"), [(7, 13), (1, 5), (5, 1), (1, 1), (40, 20)])
def test_the_rank_of_interpolative_fits_small_layers(into: int, out: int) -> None:
    layer = torch.nn.Linear(into, out)
    small = tncompile.from_linear(layer, "Interpolative")
    if min(into, out) <= 16:  # of full rank: exact
        x = torch.randn(3, into)
        torch.testing.assert_close(small(x), layer(x), rtol=1e-4, atol=1e-5)
