"""Writes `docs/library.md` and the pictures of `docs/drawings/library/`.

python docs/generate_library.py
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import tncompile
from tncompile.cli.reading import link_file
from tncompile.cli.texts import declaration
from tncompile.language.docs import summary
from tncompile.language.linked import LinkedBlock
from tncompile.language.linking.importing import files_of

PAGE = Path(__file__).parent / "library.md"
DRAWINGS = Path(__file__).parent / "drawings" / "library"

TARGETS = {
    "LowRank": "LowRank(64, 64)",
    "MPO": "MPO(ins = [8, 8, 8], outs = [8, 8, 8])",
    "TensorRing": "TensorRing(ins = [8, 8, 8], outs = [8, 8, 8])",
    "Tucker": "Tucker(ins = [8, 8], outs = [8, 8])",
    "CP": "CP(ins = [8, 8], outs = [8, 8])",
    "BlockTerm": "BlockTerm(ins = [8, 8], outs = [8, 8])",
    "KroneckerSum": "KroneckerSum(ins = [8, 8], outs = [8, 8])",
    "BTT": "BTT(ins = [8, 8], outs = [8, 8])",
    "Monarch": "Monarch(ins = [8, 8], outs = [8, 8])",
    "HierarchicalTucker": "HierarchicalTucker(ins = [4, 4, 4, 4], outs = [4, 4, 4, 4])",
    "TreeLinear": "TreeLinear(ins = [8, 8], outs = [8, 8])",
    "BilinearTN": "BilinearTN(64, 64, 64)",
    "TensorContraction": "TensorContraction(ins = [8, 8, 8], outs = [4, 4, 4])",
    "TensorRegression": "TensorRegression(ins = [8, 8, 8], out_features = 10)",
    "MPSClassifier": "MPSClassifier(sites = 4)",
    "TreeClassifier": "TreeClassifier(sites = 4)",
    "PEPSClassifier": "PEPSClassifier(rows = 3, columns = 3)",
    "MERAClassifier": "MERAClassifier(sites = 4)",
    "ZeroMPO": "ZeroMPO(ins = [8, 8, 8], outs = [8, 8, 8])",
    "MetaTT": "MetaTT",
    "PairCircuit": "PairCircuit",
    "LowRankTable": "LowRankTable(words = 1000, features = 64)",
    "LowRankConv": "LowRankConv(64, 64)",
    "MPSAmplitude": "MPSAmplitude(sites = 3)",
    "MPSNorm": "MPSNorm(sites = 3)",
    "TTEmbedding": "TTEmbedding(rows = [32, 32, 32], columns = [8, 8, 8])",
    "TTScores": "TTScores(rows = [32, 32, 32], columns = [8, 8, 8])",
    "ModeMaps": "ModeMaps(32, 32, modes = [12, 12])",
    "TuckerModeMaps": "TuckerModeMaps(32, 32, modes = [12, 12])",
    "DenseExperts": "DenseExperts",
    "PickedExperts": "PickedExperts",
    "CausalDepthwise": "CausalDepthwise",
    "Tucker2Conv": "Tucker2Conv(64, 64)",
    "TuckerConv": "TuckerConv(64, 64)",
    "CPConv": "CPConv(64, 64)",
    "TTConv": "TTConv(ins = [8, 8], outs = [8, 8])",
    "TRConv": "TRConv(ins = [64], outs = [64])",
    "DepthwiseSeparable": "DepthwiseSeparable(64, 64)",
    "GroupedConv": "GroupedConv(64, 64, kernel_size = [3], groups = 4)",
}
"""What the picture of each network is of, in its docstring and on the page."""

START = """\
# The library

Written by `docs/generate_library.py` from the files that ship with tncompile; a test compares them.
A file imports the blocks that it names: `import "std/linear.tn" { MPO, TensorRing }`.

```sh
tncompile blocks std/linear.tn  # what a file offers, with the papers
tncompile show std/linear.tn 'MPO(ins = [4, 8, 8], outs = [8, 8, 4])' -o mpo.svg
```

[drawing.md](drawing.md) says how to read the pictures. Docstrings have them as text, inputs below,
the output above: `●` joins lines, `┼` only crosses them, `<h>` is the window of a convolution and
`+ c` a bias. Two lines that end in the same name are one, a line without a name is an index like
those beside it, and batch axes are left out.
"""


@cache
def files() -> dict[str, tuple[str, list[LinkedBlock]]]:
    """By file of the library, what it says of itself and the blocks that it declares."""
    found = {}
    for name in files_of("std"):
        linked = link_file(name, None)
        intro = re.match(r"(?:#.*\n)*", linked.source.text)
        lines = [line.removeprefix("#").strip() for line in (intro[0] if intro else "").split("\n")]
        blocks = [block for block in linked.blocks.values() if not block.imported]
        found[name] = " ".join(lines).strip(), blocks
    return found


@cache
def networks() -> dict[str, tuple[str, LinkedBlock]]:
    """By name, the file and the block of each network of the library."""
    return {
        block.name: (name, block)
        for name, (_, blocks) in files().items()
        for block in blocks
        if block.kind == "network"
    }


@cache
def instance(name: str) -> tncompile.Architecture:
    """The network of this name at the sizes of its picture."""
    file, _ = networks()[name]
    made = tncompile.load(file).instantiate(TARGETS[name])
    assert isinstance(made, tncompile.Architecture)
    return made


def drawing(name: str) -> str:
    """The text of a picture."""
    return instance(name).draw().svg + "\n"


def entry(block: LinkedBlock) -> Iterator[str]:
    """The paragraphs about a block."""
    paper = re.search(r"\(arXiv:([\w./-]+)\)", block.doc or "")
    link = f" [arXiv:{paper[1]}](https://arxiv.org/abs/{paper[1]})" if paper else ""
    yield f"### {block.name}"
    yield f"{summary(block.doc)}{link}"
    yield f"`{declaration(block)}`"
    if block.name in networks():
        picture = f"drawings/{DRAWINGS.name}/{block.name}.svg"
        yield f"![{block.name}]({picture})\n<br>`{TARGETS[block.name]}`"


def page() -> str:
    """The whole page."""
    parts = [START.rstrip()]
    for name, (_, blocks) in files().items():
        links = ", ".join(f"[{block.name}](#{block.name.lower()})" for block in blocks)
        parts.append(f"- [`{name}`](#{re.sub(r'[^a-z]', '', name)}): {links}")
    parts[1:] = ["\n".join(parts[1:])]
    for name, (intro, blocks) in files().items():
        parts += [f"## {name}", intro]
        for block in blocks:
            parts += entry(block)
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write them all."""
    DRAWINGS.mkdir(exist_ok=True)
    for name in TARGETS:
        (DRAWINGS / f"{name}.svg").write_text(drawing(name), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
