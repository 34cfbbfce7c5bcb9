"""The networks that drawings are checked on: the standard library at three sizes, programs."""

from __future__ import annotations

import re
from functools import cache

import tncompile
from tests.acceptance import ACCEPTANCE
from tests.acceptance.reference import cases
from tests.support.golden_programs import PROGRAMS, architecture
from tests.support.library import library
from tncompile.network.model import TensorNetwork

STD: dict[str, tuple[str, ...]] = {
    "linear": (
        "LowRank(12, 10, rank = 3)",
        "LowRank(384, 1536, rank = 64)",
        "LowRank(4096, 4096, rank = 1)",
        "MPO(ins = [4, 3], outs = [2, 2, 3])",
        "MPO(ins = [4, 8, 8, 4], outs = [4, 8, 8, 4])",
        "MPO(ins = [4] * 20, outs = [4] * 20)",
        "TensorRing(ins = [6], outs = [2, 4])",
        "TensorRing(ins = [4, 8, 8, 4], outs = [4, 8, 8, 4])",
        "TensorRing(ins = [2] * 12, outs = [2] * 12)",
        "Tucker(ins = [5, 3], outs = [7])",
        "Tucker(ins = [8, 8, 8], outs = [8, 8, 8])",
        "Tucker(ins = [4] * 12, outs = [4] * 12)",
        "CP(ins = [5], outs = [4])",
        "CP(ins = [8, 8, 8], outs = [8, 8, 8])",
        "CP(ins = [4] * 20, outs = [4] * 20)",
        "BlockTerm(ins = [5, 3], outs = [2, 4])",
        "BlockTerm(ins = [8, 8, 8], outs = [8, 8, 8])",
        "BlockTerm(ins = [4] * 8, outs = [4] * 8)",
        "KroneckerSum(ins = [5, 3], outs = [2])",
        "KroneckerSum(ins = [8, 8, 8], outs = [8, 8, 8])",
        "KroneckerSum(ins = [4] * 8, outs = [4] * 8)",
        "BTT(ins = [4, 4], outs = [4, 4], rank = 1)",
        "BTT(ins = [32, 32], outs = [32, 32])",
        "BTT(ins = [64, 128], outs = [128, 64], rank = 16)",
        "Monarch(ins = [2, 3], outs = [3, 2])",
        "Monarch(ins = [32, 32], outs = [32, 32])",
        "Monarch(ins = [256, 256], outs = [256, 256])",
        "HierarchicalTucker(ins = [4], outs = [4])",
        "HierarchicalTucker(ins = [4] * 5, outs = [4] * 5)",
        "HierarchicalTucker(ins = [2] * 32, outs = [2] * 32)",
        "TreeLinear(ins = [4], outs = [4, 4])",
        "TreeLinear(ins = [4] * 4, outs = [4] * 4)",
        "TreeLinear(ins = [2] * 32, outs = [2] * 24)",
        "BilinearTN(3, 4, 5)",
        "BilinearTN(64, 64, 10)",
        "BilinearTN(4096, 4096, 1000)",
        "TensorContraction(ins = [3], outs = [2])",
        "TensorContraction(ins = [8, 8, 8], outs = [4, 4, 4])",
        "TensorContraction(ins = [3] * 12, outs = [2] * 12)",
        "TensorRegression(ins = [8], out_features = 3)",
        "TensorRegression(ins = [8, 8, 8], out_features = 10)",
        "TensorRegression(ins = [4] * 11, out_features = 10)",
    ),
    "classifier": (
        "MPSClassifier(sites = 4)",
        "MPSClassifier(sites = 16)",
        "MPSClassifier(sites = 784)",
        "TreeClassifier(sites = 5)",
        "TreeClassifier(sites = 16)",
        "TreeClassifier(sites = 64)",
        "PEPSClassifier(rows = 2, columns = 3)",
        "PEPSClassifier(rows = 4, columns = 4)",
        "PEPSClassifier(rows = 12, columns = 9)",
        "MERAClassifier(sites = 4)",
        "MERAClassifier(sites = 16)",
        "MERAClassifier(sites = 64)",
    ),
    "generative": (
        "MPSAmplitude(sites = 3)",
        "MPSAmplitude(sites = 9)",
        "MPSAmplitude(sites = 100)",
        "MPSNorm(sites = 3)",
        "MPSNorm(sites = 8)",
        "MPSNorm(sites = 100)",
    ),
    "convolution": (
        "Tucker2Conv(64, 64)",
        "Tucker2Conv(3, 16, kernel_size = [7])",
        "Tucker2Conv(8, 8, kernel_size = [3, 3, 3])",
        "TuckerConv(64, 64)",
        "TuckerConv(3, 16, kernel_size = [64])",
        "TuckerConv(8, 8, kernel_size = [3, 3, 3])",
        "CPConv(64, 64)",
        "CPConv(3, 16, kernel_size = [7])",
        "CPConv(8, 8, kernel_size = [3, 3, 3])",
        "TTConv(ins = [4, 4], outs = [4, 4])",
        "TTConv(ins = [4, 4, 4], outs = [4, 4, 4], kernel_size = [7])",
        "TTConv(ins = [2] * 6, outs = [2] * 6)",
        "TRConv(ins = [4, 4], outs = [4, 4])",
        "TRConv(ins = [4, 4, 4], outs = [4, 4, 4], kernel_size = [7])",
        "TRConv(ins = [2] * 6, outs = [2] * 6)",
        "DepthwiseSeparable(16, 32)",
        "DepthwiseSeparable(3, 8, kernel_size = [5])",
        "DepthwiseSeparable(8, 8, kernel_size = [3, 3, 3])",
        "GroupedConv(16, 32, groups = 4)",
        "GroupedConv(4, 8, kernel_size = [5], groups = 2)",
        "GroupedConv(8, 8, kernel_size = [3, 3, 3], groups = 8)",
    ),
    "embedding": (
        "TTEmbedding(rows = [4], columns = [3, 2])",
        "TTEmbedding(rows = [32, 32, 30], columns = [8, 8, 12], words = 30522)",
        "TTEmbedding(rows = [2] * 15, columns = [2] * 9)",
    ),
    "tables": (
        "TTScores(rows = [4], columns = [3])",
        "TTScores()",
        "TTScores(rows = [2] * 15, columns = [2] * 9)",
    ),
    "mixtures": (
        "DenseExperts(2, 3, 4)",
        "DenseExperts()",
        "DenseExperts(spread = true)",
        "PickedExperts(ins = [3], outs = [4])",
        "PickedExperts()",
        "PickedExperts(spread = true, ins = [2] * 12, outs = [2] * 12)",
    ),
    "adapters": (
        "ZeroMPO(ins = [4, 3], outs = [2, 2])",
        "ZeroMPO(ins = [4, 8, 8, 4], outs = [4, 8, 8, 4])",
        "ZeroMPO(ins = [2] * 12, outs = [2] * 12)",
        "MetaTT()",
        "MetaTT(8, 8)",
        "MetaTT(4096, 14336, rank = 64)",
        "PairCircuit(axes = [2, 3])",
        "PairCircuit()",
        "PairCircuit(axes = [4, 4, 4, 4])",
        "LowRankTable(10, 4)",
        "LowRankTable(30522, 384)",
        "LowRankTable(words = 2, features = 2, rank = 1)",
        "LowRankConv(3, 8)",
        "LowRankConv(64, 64, kernel_size = [7])",
        "LowRankConv(4, 4, kernel_size = [3, 3, 3])",
    ),
    "spectral": (
        "ModeMaps(2, 3)",
        "ModeMaps(64, 64, modes = [16, 16])",
        "ModeMaps(8, 8, modes = [8, 8, 8])",
        "TuckerModeMaps(2, 3)",
        "TuckerModeMaps(64, 64, modes = [16, 16])",
        "TuckerModeMaps(8, 8, modes = [8, 8, 8])",
    ),
    "statespace": (
        "CausalDepthwise()",
        "CausalDepthwise(8, 3)",
        "CausalDepthwise(1, 1, with_bias = false)",
    ),
}
"""Calls of blocks by file, three of each block."""


@cache
def std_network(file: str, target: str) -> TensorNetwork:
    """A network of the standard library; `[4] * 3` stands for `[4, 4, 4]`."""
    written = re.sub(r"\[(\d+)\] \* (\d+)", _repeated, target)
    return library(file).instantiate(written).network


def _repeated(match: re.Match[str]) -> str:
    return f"[{', '.join([match[1]] * int(match[2]))}]"


def programs() -> dict[str, TensorNetwork]:
    """The networks of all programs of the tests."""
    found = {f"program {name}": architecture(name).network for name in PROGRAMS}
    for name, case in cases(ACCEPTANCE / "good"):
        spec = tncompile.load(ACCEPTANCE / "good" / case["file"])
        found[name] = spec.instantiate(case["block"], **case["arguments"]).network
    return found
