"""The tables of `docs/modules.md`: blocks by capability, filled in by the tests."""

from __future__ import annotations

import fcntl
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from tests.support.capabilities import CAPABILITIES, SIZED, Capability
from tests.support.capabilities.models import MODEL_CAPABILITIES, ModelCapability
from tests.support.model_subjects import MODELS
from tests.support.modules import LIBRARY
from tests.support.sizes import LISTED

INTRODUCTION = """\
# What emitted modules do

Every layer of the standard library gives an `nn.Module` that behaves as a layer of `torch.nn` does;
its models are tried in `tests/test_std_models.py`.
The tests (`tests/support/capabilities/`) try each property on each block and fill these tables:
`pytest tests/emission/test_module.py --update-golden` writes what they found, every other run
compares. What is tried of each block is a small instance:

"""

PROSE = """
## What they are beside layers

A family of tensors is a sequence, as an `nn.ParameterList` is: `for core in layer.G`,
`len(layer.G)`, `layer.G[-1]`, `layer.G[1:3]`, `core in layer.G`; `layer.G[0] = nn.Parameter(…)`
replaces a member.

- Subscripts are those of the declaration, wherever they begin: of `G[k in 1..4]` the first is
  `G[1]`. Below zero they count back from the last one, a slice takes the members whose subscripts
  are in it, any other subscript is an IndexError. `2 in layer.G` asks for a subscript, too.
- Any integer is a subscript, also one of numpy or a tensor of one: `layer.G[torch.tensor(1)]`.
- With several subscripts it is `layer.V[2, 5]`, and `layer.V[2]` is a row, a family of its own:
  iteration gives rows, and `len(layer.V)` counts them.
- A tensor that is tied to another, or shared by a subscript, is one parameter, and read as that.
- Every member is a parameter of its own, `G.2` in the state dict. Where their shapes are equal, one
  tensor of all of them is `torch.stack(list(layer.G))`.

A network whose inputs and output have one axis of features each, behind the same leading axes, has
what tools look for on `nn.Linear`, `nn.Bilinear` or `nn.Embedding`: the numbers of features, and
the properties `weight` and `bias`. So `nn.TransformerEncoderLayer(…).linear1 = layer` runs in
evaluation mode, and `nn.MultiheadAttention(…).out_proj = layer` does; both read `weight`.

- `weight` is the dense map, contracted whenever it is read, in the dtype of the parameters under
  autocast, too, with gradients for them. Nothing keeps it: writing into it changes nothing, and
  what sets or re-draws it leaves the module as it is; to assign it is an error. It is not there
  beyond 2**31 entries.
- `bias` is what is added, along the one axis of the output; None where there is none.
- A tensor of the spec that is called `weight` or `in_features` is what is found under that name.
- The folded module has them, made of its buffers; of tensors that are used more than once, `weight`
  is what unit vectors become, less the bias, equal up to rounding.

One whose input and output have one axis of channels and then those of its windows has the same of
`nn.Conv1d`, `nn.Conv2d`, `nn.Conv3d` or their transposes: `in_channels`, `out_channels`,
`kernel_size`, `stride`, `padding`, `dilation`, `groups`, `padding_mode`, `weight` and `bias`. Torch
pads both ends alike and all axes in one mode; a network that does otherwise stands for no layer.
Groups are what the axes of channels both begin with.

- Any number of leading axes comes before the channels, none among them.
- Images in `torch.channels_last` give equal values, whichever format the plan chose.
- Height and width are dynamic under `torch.compile` and in exports. Torch itself tells lengths of 1
  apart, and batches below 16 in float32: such a module is compiled once more.

Inputs have the dtype of the parameters, or a TypeError says what came and what was expected; under
autocast floating-point inputs of any dtype are taken. The check takes about 0.2 µs.

## What runs when

A plan may hold several ways to contract a network: one for few rows and one for many, others where
gradients are wanted than where not. Then `forward` checks its input and calls one of a few methods:

```python
if self.batch_invariant or torch.compiler.is_compiling():
    return self._contract(x, lead, B)
if torch.is_grad_enabled():
    if B <= 16:  # sweep backward: predicted 316 µs at B = 1 (materialize dense: 551 µs)
        return self._contract_to_16(x, lead, B)
    ...
```

`B` is the product of all leading axes (or the size of the first `batch` axis); the comments are the
reasons of the plan, and the docstring of each method says when it runs, in which order it contracts
and what that costs. A module whose plan has one program has one `forward` and no choice at all.

- The mode is that of `torch.is_grad_enabled()`, whether or not anything requires a gradient.
- Methods compute the same up to rounding. Switching gradients off, or changing the batch, may
  therefore change the last bits of a result.
- Under `torch.compile`, `torch.export` and `torch.onnx.export` it is always `_contract`, one graph
  for every batch size and mode. Under `torch.func.vmap` the mapped axis is hidden, and the size of
  what is left decides.
- Some methods loop over parts of the batch (`for x1 in torch.split(x, 16):`), so that what is made
  on the way stays in the cache. They are for eager mode alone; compilers never see a loop.

## Tables of ids

Where each row of the result is made of ids alone (`TTEmbedding`, tables of several ids, complex
ones too), ids that are equal are contracted once in eager mode, where that pays:

```python
# equal ids once, a training step: predicted 19.5 ms at B = 8,192 where 5,120 differ (all of
# them: 26.3 ms)
if torch.is_grad_enabled() and B > 63:
    repeated = _distinct(ids, 0.625)
```

- Nothing is assumed of how ids are distributed: from sizes on where sorting them is predicted to
  take at most 8 % of a call, they are sorted (`torch.unique`), and the number of those that differ
  decides. speed.md has what that gains, and what is lost where all differ.
- A table of fewer rows than ids is one of the trees of the plan: it is contracted as a whole, once,
  then looked up (`materialize dense`), in programs for compilers as well.
- Networks with `log`, with other inputs beside ids, or with named axes do not look for equal ids;
  nor do plans with a memory limit, as both the rows that differ and all rows are held.
- On a CUDA device nothing is sorted, as the host would wait for the number of different ids; nor
  under `vmap`, compilers, on `meta`, in the folded module, whose table is looked up, or with
  `batch_invariant`.

Bags of ids are `EmbeddingBag` and, of a tensor-train table, `TTEmbeddingBag`: with weights and
`padding`, tables of 100,000 rows, 8,192 ids and gradients equal to those of `nn.EmbeddingBag`,
compiled and exported for any number of ids and bags. `LanguageModel(dense_embedding = false,
tied = true)` has one set of cores for its table and its head.

## Equal results at any batch size

`arch.module(batch_invariant=True)` (an argument of the emitted class where there is a choice, an
attribute afterwards) runs `_contract` for every batch size and in every mode, as compilers do.

What it promises is *the same operations in the same order for each row, whatever else is in the
batch*; no sum ever runs over the batch. Whether the bits are the same is then up to the matrix
products of torch: on CPU those of 7, 64 and 128 rows mostly agree in float32, while one row goes
another way (`a[:1] @ w` is not bitwise `(a @ w)[:1]`), and float64 differs at more sizes. Where the
products of a backend are batch invariant, so is the module.

## Folding

`module.fold()` returns a module for inference (of the class `MPOFolded` in the same file, for
`MPO`), in which everything that depends on parameters alone was computed once and is a buffer:
merged cores, the dense weight where that is the fastest, tables for ids with their rows together.
`print` says what it holds, the docstring of the class what each buffer is made of.

```python
layer = arch.module(batch=(1, 256))
# … training …
served = layer.fold().eval()  # no parameters, faster: the more so, the smaller the batch
```

- It is a snapshot: parameters that change later do not change it. Fold again after training.
- Nothing of the module is kept alive by it, no memory is shared, and gradients with respect to
  inputs work; there are none for parameters, because there are none.
- It has its own branches by batch size and a state dict of its own, moves with `.to`, pickles,
  exports and compiles. Load such a state dict into `arch.module().fold()` of the same plan.
- Buffers that several branches need are there once; but branches that need different ones hold
  both, so a folded module can be larger than the module. Plan for one batch size to avoid that.
- What is folded is computed in the dtype of the parameters, under autocast too. Fold after `.to`,
  or in float64 before it, where the last bits matter.
- A tensor that nothing can be merged into is held as it is: every module folds.

## Results

What `forward` returns belongs to the caller: it never shares memory with a parameter, a buffer or
an input, nor do two entries of it. Working on it in place changes no later call, and where it is a
parameter in another order, say, gradients still reach that parameter. Only such results are copied.
"""

SIZES = """\
Every block with its default ranks, the classifiers at their default sizes too, and some larger
ones (`tests/support/sizes.py`). Rings, chains, stars and shared chains whose equal steps run
together are tried in the same ways.

"""

WHOLE = """\
Modules of models are tried by themselves, in evaluation (`tests/models/test_capabilities.py`, with
`--update-golden` as above); what they compute is held by `tests/models/test_acceptance.py`. They
are small instances of models in `tests/acceptance/models/`:

"""

EMPTY = "not tried"


@dataclass
class Table:
    """The cells by block and capability."""

    path: Path
    cells: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Table:
        """The cells of a file, as it stands; it waits for whoever writes it."""
        if not path.exists():
            return cls(path)
        with path.open(encoding="utf-8") as held:
            fcntl.flock(held, fcntl.LOCK_SH)
            return cls._of(path, held.read())

    @classmethod
    def _of(cls, path: Path, text: str) -> Table:
        table = cls(path)
        titles: list[str] = []
        for line in text.splitlines():
            if not line.startswith("| "):
                continue
            first, *rest = (cell.strip() for cell in line.strip("|").split("|"))
            if first == "block":
                titles = rest
            elif not first.startswith("--"):
                table.cells |= {
                    (first, title): cell for title, cell in zip(titles, rest, strict=True)
                }
        return table

    @classmethod
    def write(cls, path: Path, block: str, title: str, finding: str) -> None:
        """Writes a cell; several processes may do so at once."""
        with path.open("a", encoding="utf-8") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            table = cls._of(path, path.read_text(encoding="utf-8"))
            table.cells[block, title] = finding
            path.write_text(table.render(), encoding="utf-8", newline="\n")

    def render(self) -> str:
        """The whole file."""
        instances = "".join(f"- `{subject.target}`\n" for subject in LIBRARY)
        chapters = [
            self._chapter(chapter, list(capabilities), [str(subject) for subject in LIBRARY])
            for chapter, capabilities in groupby(
                CAPABILITIES, key=lambda capability: capability.chapter
            )
        ]
        used = [subject.target for subject in LISTED]
        chapters.append(self._chapter(SIZED[0].chapter, SIZED, used, SIZES))
        opening = WHOLE + "".join(f"- `{subject.target}`\n" for subject in MODELS) + "\n"
        labels = [str(subject) for subject in MODELS]
        chapters.append(self._chapter("Models", MODEL_CAPABILITIES, labels, opening))
        return INTRODUCTION + instances + "".join(chapters) + PROSE

    def _chapter(
        self,
        chapter: str,
        capabilities: Sequence[Capability | ModelCapability],
        labels: Sequence[str],
        opening: str = "",
    ) -> str:
        """A table with its legend; `labels` are those of its rows."""
        legend = "\n".join(
            textwrap.fill(
                f"- **{capability.title}**: {capability.meaning}", 100, subsequent_indent="  "
            )
            for capability in capabilities
        )
        rows = [["block", *(capability.title for capability in capabilities)]]
        for label in labels:
            cells = (
                self.cells.get((label, capability.title), EMPTY) for capability in capabilities
            )
            rows.append([label, *cells])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        rows.insert(1, ["-" * width for width in widths])
        lines = (
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            + " |\n"
            for row in rows
        )  # fmt: skip
        return f"\n## {chapter}\n\n{opening}{legend}\n\n{''.join(lines)}"
