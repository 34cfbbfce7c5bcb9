"""Writes the pictures of `docs/drawings/`.

python docs/generate_drawings.py
"""

from __future__ import annotations

from pathlib import Path

import tncompile

DRAWINGS = Path(__file__).parent / "drawings"

FIVE, LONG = "[4, 4, 4, 4, 4]", "rows = [32, 32, 30], columns = [8, 8, 12]"

TARGETS = {
    "mpo": ("linear", "MPO(ins = [8, 16, 8], outs = [8, 16, 8], ranks = 8)"),
    "mpo_padded": ("linear", "MPO(ins = [4, 8, 8], outs = [4, 4], inputs = 250)"),
    "ring": ("linear", "TensorRing(ins = [4, 8, 8, 4], outs = [4, 8, 8, 4])"),
    "tucker": ("linear", "Tucker(ins = [8, 8, 8], outs = [8, 8, 8])"),
    "cp": ("linear", "CP(ins = [8, 8, 8], outs = [8, 8, 8])"),
    "block_term": ("linear", "BlockTerm(ins = [8, 8, 8], outs = [8, 8, 8])"),
    "monarch": ("linear", "Monarch(ins = [32, 32], outs = [32, 32])"),
    "hierarchical_tucker": (
        "linear",
        "HierarchicalTucker(ins = [4, 4, 4, 4, 4], outs = [4, 4, 4, 4, 4])",
    ),
    "tree": ("classifier", "TreeClassifier(sites = 64)"),
    "mps": ("classifier", "MPSClassifier(sites = 784)"),
    "mera": ("classifier", "MERAClassifier(sites = 16)"),
    "peps": ("classifier", "PEPSClassifier(rows = 4, columns = 4)"),
    "norm": ("generative", "MPSNorm(sites = 4)"),
    "convolution": ("convolution", "Tucker2Conv(64, 64)"),
    "embedding": (
        "embedding",
        "TTEmbedding(rows = [32, 32, 30], columns = [8, 8, 12], words = 30522)",
    ),
    "contraction": ("classifier", "TreeClassifier(sites = 64)"),
    "diff": ("linear", "MPO(ins = [4, 8, 2], outs = [8, 4, 2])"),
    "feed_forward": ("transformer", "FeedForward(dense = false)"),
}
"""The file of the library and the call, by the name of the picture."""

AGAINST = {"diff": "TensorRing(ins = [4, 8, 4], outs = [8, 4, 2])"}
"""What a block is compared with, and drawn beside."""

DEPTH = {"feed_forward": 1}


def drawing(name: str) -> str:
    """The text of a picture."""
    file, target = TARGETS[name]
    spec = tncompile.load(f"std/{file}.tn")
    made = spec.instantiate(target)
    if name in AGAINST:
        other = spec.instantiate(AGAINST[name])
        return made.diff(other, search="fast").draw().svg + "\n"
    if name == "contraction":
        return made.draw_contraction(search="fast").svg + "\n"
    return made.draw(depth=DEPTH.get(name, 0)).svg + "\n"


def main() -> None:
    """Write them all."""
    DRAWINGS.mkdir(exist_ok=True)
    for name in TARGETS:
        (DRAWINGS / f"{name}.svg").write_text(drawing(name), encoding="utf-8")


if __name__ == "__main__":
    main()
