"""Tensors as integers and scales: bounds, round trips, odd sizes, what is refused."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import tncompile
from tncompile.network.packing import Packing, Weights, packings, quantization
from tncompile.tensorizing.quantizing.codes import packed, unpacked

SHAPES = ((32, 48), (7, 61), (300, 3), (3, 300), (5, 9, 13), (257, 1, 2))


def packing_of(shape: tuple[int, ...], weights: Weights, group: int | None = None) -> Packing:
    legs = [f"i{k}" for k in range(len(shape))]
    sizes = ", ".join(f"{leg} = {n}" for leg, n in zip(legs, shape, strict=True))
    listed = ", ".join(legs)
    text = f"network W() {{\n index {sizes}\n tensor W({listed})\n output y({listed})\n}}"
    arch = tncompile.loads(text).instantiate("W")
    return packings(arch.network, quantization(weights, group))["W"]


def normal(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("group", [None, 16])
def test_eight_bits_are_within_half_a_scale(shape: tuple[int, ...], group: int | None) -> None:
    packing, tensor = packing_of(shape, "int8", group), normal(*shape)
    codes, scale = packed(tensor, packing)
    assert codes.shape == packing.codes.shape
    assert scale.shape == packing.scale.shape
    assert codes.dtype == torch.int8
    assert codes.abs().max() == 127
    back = unpacked(codes, scale, packing)
    half = unpacked(torch.ones_like(codes), scale, packing) / 2
    assert ((back - tensor).abs() <= half * (1 + 1e-5)).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("group", [8, 64])
def test_four_bits_are_never_worse_than_by_the_largest_entry(
    shape: tuple[int, ...], group: int
) -> None:
    packing, tensor = packing_of(shape, "int4", group), normal(*shape)
    codes, scale = packed(tensor, packing)
    assert codes.dtype == torch.uint8
    assert codes.shape == packing.codes.shape
    back = unpacked(codes, scale, packing)
    flat = torch.nn.functional.pad(
        tensor.reshape(packing.rows, -1), (0, packing.groups * packing.group - packing.columns)
    ).reshape(packing.rows, packing.groups, packing.group)
    largest = flat.abs().amax(-1, keepdim=True) / 7
    plain = (flat / largest).round() * largest
    assert (back - tensor).square().sum() < (plain - flat).square().sum()


@pytest.mark.parametrize("shape", SHAPES)
def test_what_four_bits_hold_comes_back_exactly(shape: tuple[int, ...]) -> None:
    packing = packing_of(shape, "int4", 8)
    generator = torch.Generator().manual_seed(0)
    tensor = torch.randint(-7, 8, shape, generator=generator).double()
    codes, scale = packed(tensor, packing)
    assert torch.equal(
        unpacked(codes, torch.ones_like(scale), packing).abs() <= 8, tensor == tensor
    )
    again = packed(unpacked(codes, scale, packing), packing)
    torch.testing.assert_close(unpacked(*again, packing), unpacked(codes, scale, packing))


def test_importance_moves_the_error_to_where_it_does_not_count() -> None:
    packing, tensor = packing_of((16, 64), "int4", 64), normal(16, 64)
    importance = torch.full((16, 64), 1e-3)
    importance[:, :8] = 1
    plain = unpacked(*packed(tensor, packing), packing)
    seen = unpacked(*packed(tensor, packing, importance), packing)

    def error(found: Tensor) -> float:
        return float(((found - tensor).square() * importance).sum())

    assert error(seen) < 0.8 * error(plain)


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_zeros_and_tiny_numbers(weights: Weights) -> None:
    packing = packing_of((20, 64), weights)
    tensor = normal(20, 64)
    tensor[3], tensor[:, 5] = 0, 0
    tensor[4] *= 1e-30
    found = unpacked(*packed(tensor, packing), packing)
    assert torch.isfinite(found).all()
    assert (found[3] == 0).all()
    assert torch.equal(
        unpacked(*packed(torch.zeros(20, 64), packing), packing), torch.zeros(20, 64)
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_scales_have_the_dtype_of_the_tensor(dtype: torch.dtype) -> None:
    for weights, worst in (("int8", 0.02), ("int4", 0.15)):
        packing, tensor = packing_of((40, 64), weights), normal(40, 64, dtype=dtype)
        codes, scale = packed(tensor, packing)
        assert scale.dtype == dtype
        back = unpacked(codes, scale, packing).double()
        assert (back - tensor.double()).norm() / tensor.double().norm() < worst


def test_the_rule_that_says_where_scales_are() -> None:
    def scale(
        shape: tuple[int, ...], weights: Weights = "int8", group: int | None = None
    ) -> object:
        return packing_of(shape, weights, group).scale.shape

    assert scale((384, 1536)) == (1, 1536)  # the longest axis: 384 entries each
    assert scale((1536, 384)) == (1536, 1)
    assert scale((384, 32)) == (1, 32)  # rows of 32 entries are too short
    assert scale((16, 16)) == (16, 1)  # no slice has 64
    assert scale((8, 16, 16, 8)) == (1, 16, 1, 1)
    assert scale((384, 1536), "int4") == (384, 24, 1)
    assert scale((384, 100), "int4") == (384, 2, 1)  # two groups of 50 fill a row
    assert scale((384, 97), "int4") == (384, 2, 1)  # of 50, the second filled up with zeros
    assert scale((384, 4), "int4") == (1, 24, 1)  # rows too short for a group are one
    assert packing_of((384, 97), "int4").codes.shape == (384, 2, 25)
    assert packing_of((384, 1536), "int4", 128).stored_bytes() == 384 * 1536 // 2 + 4 * 384 * 12


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.full((32, 16), math.nan), "not finite"),
        (torch.full((32, 16), -math.inf), "not finite"),
        (torch.empty(32, 16, device="meta"), "no values"),
        (torch.ones(16, 32), r"is \[16, 32\] and not \[32, 16\]"),
        (torch.ones(32, 16, dtype=torch.int64), "dtype torch.int64"),
        ("A", "is no tensor but str"),
    ],
)
def test_weights_that_are_refused(value: object, words: str) -> None:
    spec = tncompile.loads('import "std/linear.tn" { LowRank }')
    arch = spec.instantiate("LowRank", in_features=32, out_features=16)
    state = arch.module(seed=0, search="fast").state_dict()
    with pytest.raises((ValueError, TypeError), match=words):
        tncompile.quantized_state(arch, {**state, "A": value}, "int8")  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="lacks 'A'"):
        tncompile.quantized_state(arch, {"B": state["B"]}, "int8")
    with pytest.raises(ValueError, match="has no tensor 'D'"):
        tncompile.quantized_state(arch, {**state, "D": state["B"]}, "int8")
    with pytest.raises(ValueError, match="weights are one of"):
        tncompile.quantized_state(arch, state, "int2")  # type: ignore[arg-type]
