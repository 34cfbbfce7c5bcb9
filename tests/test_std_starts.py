"""How large the blocks of the library start."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch

import tncompile
from tests.support.library import architecture, name, shape_of_inputs

# ── how blocks start ───────────────────────────────────────────────────────────────────────────

STARTS = (
    "LowRank(768, 512)",
    "MPO(ins = [4, 8, 8, 4], outs = [4, 8, 8, 4], ranks = 8)",
    "MPO(ins = [2, 2, 2, 2, 2, 2, 2, 2, 2, 2], outs = [2, 2, 2, 2, 2, 2, 2, 2, 2, 2], ranks = 2)",
    "MPO(ins = factor(768, 3), outs = factor(3072, 3), ranks = 16)",
    "MPO(ins = [15, 15, 14], outs = [8, 8, 8], inputs = 3000, outputs = 500)",
    "TensorRing(ins = [8, 8, 8], outs = [8, 8, 8])",
    "Tucker(ins = [8, 8, 8], outs = [8, 8, 8])",
    "CP(ins = [8, 8, 8], outs = [8, 8, 8])",
    "BlockTerm(ins = [8, 8, 8], outs = [8, 8, 8])",
    "KroneckerSum(ins = [16, 32], outs = [32, 16])",
    "BTT(ins = [16, 32], outs = [32, 16])",
    "Monarch(ins = [16, 32], outs = [32, 16])",
    "HierarchicalTucker(ins = [8, 8, 8], outs = [8, 8, 8])",
    "TreeLinear(ins = [8, 8, 8], outs = [8, 8, 8])",
)


@pytest.mark.parametrize("target", STARTS, ids=lambda target: target[:40])
def test_every_draw_of_a_linear_block_is_as_large_as_a_linear_layer(target: str) -> None:
    made = architecture("linear", target)
    (inputs,) = shape_of_inputs(made.network)[0]
    for seed in range(3):
        module = made.module(search="fast", seed=seed)
        with torch.no_grad():
            weight = module(torch.eye(inputs)) - module(torch.zeros(1, inputs))
            bias = module(torch.zeros(inputs))
        mean_square = weight.square().sum().item() / weight.shape[1]
        assert mean_square == pytest.approx(1 / 3, rel=1e-3)
        assert bias.abs().max().item() <= 1 / math.sqrt(inputs) + 1e-6
        assert bias.abs().max().item() > 0.8 / math.sqrt(inputs)


def test_every_draw_of_a_bilinear_block_has_the_same_size() -> None:
    made = architecture("linear", "BilinearTN(12, 10, 8, rank = 4, with_bias = false)")
    for seed in range(3):
        left, right = torch.eye(12).repeat_interleave(10, 0), torch.eye(10).repeat(12, 1)
        weight = made.module(search="fast", seed=seed)(left, right)
        assert weight.square().sum().item() / 8 == pytest.approx(1 / 3, rel=1e-3)


@pytest.mark.parametrize(
    "target",
    [
        "TensorContraction(ins = [8, 5, 4], outs = [4, 4, 2], with_bias = false)",
        "TensorRegression(ins = [16, 5, 4], out_features = 100, with_bias = false)",
    ],
    ids=name,
)
def test_every_draw_of_a_block_of_many_axes_is_as_large_as_a_linear_layer(target: str) -> None:
    made = architecture("linear", target)
    shape = shape_of_inputs(made.network)[0]
    for seed in range(3):
        held = made.module(search="fast", seed=seed)
        weight = held(torch.eye(math.prod(shape)).reshape(-1, *shape)).flatten(1)
        assert weight.square().sum().item() / weight.shape[1] == pytest.approx(1 / 3, rel=1e-3)


def test_every_draw_of_an_embedding_is_as_large_as_an_embedding() -> None:
    made = architecture(
        "embedding", "TTEmbedding(rows = [10, 12], columns = [8, 8], ranks = 4, words = 100)"
    )
    for seed in range(3):
        table = made.module(seed=seed)(torch.arange(100))
        assert table.square().mean().item() == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(
    "target",
    [
        "MPSClassifier(sites = 6, classes = 3)",
        "TreeClassifier(sites = 7, features = 2, classes = 3)",
        "PEPSClassifier(rows = 3, columns = 2, classes = 3)",
        "MERAClassifier(sites = 4, classes = 3)",
    ],
    ids=name,
)
def test_every_draw_of_a_classifier_has_the_same_size_on_unit_vectors(target: str) -> None:
    made = architecture("classifier", target)
    shape = shape_of_inputs(made.network)[0]
    sites = math.prod(shape) // 2
    every = torch.tensor(list(itertools.product([[1.0, 0.0], [0.0, 1.0]], repeat=sites)))
    for seed in range(3):
        scores = made.module(search="fast", seed=seed)(every.reshape(-1, *shape))
        assert scores.square().mean().item() == pytest.approx(1 / 3, rel=1e-3)


@pytest.mark.parametrize("sites", [64, 784])
def test_a_long_chain_neither_under_nor_overflows(sites: int) -> None:
    module = architecture("classifier", f"MPSClassifier(sites = {sites})").module(seed=0)
    u = torch.rand(8, sites)
    u[0], u[1], u[2] = 0.0, 1.0, 0.5
    scores = module(torch.stack([1 - u, u], -1))
    assert scores.isfinite().all()
    assert 0.1 < scores.abs().median().item() < 3


def test_the_library_loads_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "MPO" in tncompile.load("std/linear.tn").blocks
    with pytest.raises(FileNotFoundError):
        tncompile.load("std/nowhere.tn")
