"""Blocks at their defaults and at the sizes that people use, and networks of equal steps."""

from __future__ import annotations

from tests.support.modules import Subject

_TARGETS = {
    "linear": (
        "LowRank(768, 768)",
        "MPO(ins = [4, 4, 4, 4, 4], outs = [4, 4, 4, 4, 4])",
        "TensorRing(ins = [8, 8, 8], outs = [8, 8, 8])",
        "Tucker(ins = [8, 8, 8], outs = [8, 8, 8])",
        "CP(ins = [4, 4, 4, 4, 4], outs = [4, 4, 4, 4, 4])",
        "BlockTerm(ins = [8, 8, 8], outs = [8, 8, 8])",
        "KroneckerSum(ins = [8, 8, 8], outs = [8, 8, 8])",
        "BTT(ins = [32, 32], outs = [32, 32])",
        "Monarch(ins = [32, 32], outs = [32, 32])",
        "HierarchicalTucker(ins = [4, 4, 4, 4], outs = [4, 4, 4, 4])",
        "TreeLinear(ins = [4, 4, 4, 4, 4], outs = [4, 4, 4, 4, 4])",
        "BilinearTN(64, 48, 32)",
        "TensorContraction(ins = [64, 7, 7], outs = [32, 5, 5])",
        "TensorRegression(ins = [64, 7, 7], out_features = 100)",
    ),
    "convolution": (
        "Tucker2Conv(64, 64, padding = 1)",
        "TuckerConv(64, 64, kernel_size = [64], padding = 32)",
        "CPConv(64, 64, padding = 1)",
        "TTConv(ins = [8, 8], outs = [8, 8], padding = 1)",
        "TRConv(ins = [8, 8], outs = [8, 8], padding = 1)",
        "DepthwiseSeparable(64, 128, padding = 1)",
        "GroupedConv(64, 64, groups = 4, padding = 1)",
    ),
    "embedding": ("TTEmbedding(rows = [10, 10, 10, 10], columns = [4, 4, 4, 4])",),
    "classifier": (
        "MPSClassifier()",
        "MPSClassifier(sites = 16)",
        "TreeClassifier()",
        "TreeClassifier(sites = 64)",
        "PEPSClassifier()",
        "PEPSClassifier(rows = 5, columns = 5)",
        "MERAClassifier()",
    ),
    "stacked": (
        "Ring()", "Ring(n = 80)", "Chain()", "Star()", "SharedStar()", "SharedChain()",
        "ByTurns()", "Frozen()", "LogChain()",
    ),
}  # fmt: skip

_LONGER = {"MPSClassifier(sites = 16)", "TreeClassifier(sites = 64)",
           "PEPSClassifier(rows = 5, columns = 5)"}  # fmt: skip
"""Blocks that are there twice. What they add is their length, and what stacked networks do is which
equal steps run together: the effort of the search decides neither."""

USED = tuple(
    Subject(file, target, "fast" if file == "stacked" or target in _LONGER else "normal")
    for file, targets in _TARGETS.items()
    for target in targets
)
"""All of them; ranks that are not given are those of the library."""

LISTED = tuple(subject for subject in USED if subject.file != "stacked")
"""Those of the library, which the documentation lists."""
