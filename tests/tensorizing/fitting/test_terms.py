"""Sums of terms, each a network of its own: found from a block diagonalization."""

from __future__ import annotations

import pytest
import torch

import tncompile
from tests.tensorizing.networks import LINEAR, architecture, own_weight, random_weight
from tncompile.tensorizing.fitting.products.posing import posed
from tncompile.tensorizing.fitting.starting.blocks import separated


@pytest.mark.parametrize(
    "arguments",
    [
        {"ins": [4, 4, 4], "outs": [4, 4, 4], "terms": 3, "ranks": 2},
        {"ins": [6, 8, 8], "outs": [8, 6, 8], "terms": 6, "ranks": [3, 4, 4]},
        {"ins": [3, 3, 3, 3], "outs": [3, 3, 3, 3], "terms": 3, "ranks": 2},
    ],
)
def test_sums_of_blocks_are_found(arguments: dict[str, object]) -> None:
    arch = LINEAR.instantiate("BlockTerm", **arguments, with_bias=False)
    fit = arch.fit(own_weight(arch))
    assert fit.method == "blocks"
    assert fit.error < 1e-10


def test_sums_of_trains_and_of_complex_ones() -> None:
    """Each term a train of its own, whose bonds are as wide as the blocks."""
    text = """network Trains() {
      index i = 8, j = 3, k = 8
      hyper t = 3
      bond a = 2, b = 2
      tensor A(i, a, t)KIND
      tensor B(t, a, j, b)KIND
      tensor C(b, k, t)KIND
      output y(i, j, k)
    }"""
    for kind, dtype in (("", torch.float64), (" complex", torch.complex128)):
        arch = architecture(text.replace("KIND", kind))
        shapes = ((8, 2, 3), (3, 2, 3, 2), (2, 8, 3))
        tensors = [random_weight(*shape, seed=n).to(dtype) for n, shape in enumerate(shapes)]
        if kind:
            tensors = [tensor * (1 + 2j) + 1j * tensor.square() for tensor in tensors]
        fit = arch.fit(torch.einsum("iat,tajb,bkt->ijk", *tensors))
        assert fit.method == "blocks"
        assert fit.error < 1e-10


def test_what_is_no_sum_of_trees_is_left_to_others() -> None:
    more = LINEAR.instantiate(
        "BlockTerm", ins=[4, 4], outs=[4, 4], terms=2, ranks=2, with_bias=False
    )  # two sites: no third group
    wide = LINEAR.instantiate(
        "BlockTerm", ins=[2, 2, 2], outs=[2, 2, 2], terms=4, ranks=2, with_bias=False
    )  # eight columns of terms, and four entries
    train = tncompile.from_einsum("ia,ajb,bk->ijk", (4, 2), (2, 4, 2), (2, 4), inputs=0)
    for arch, shape in ((more, (16, 16)), (wide, (8, 8)), (train, (4, 4, 4))):
        problem, _ = posed(arch.network, random_weight(*shape), {})
        assert separated(problem, torch.Generator().manual_seed(0)) is None
