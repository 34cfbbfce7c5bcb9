"""What was chosen for each layer: a table, and the lines of a rewrite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tncompile.notebook import as_html
from tncompile.tensorizing.rewriting.rewrite import Rewrite, exactly

LIBRARY = {"linear": "linear", "conv1d": "linear", "conv": "convolution", "embedding": "embedding"}
"""The file of `std/` that blocks for a kind of layer are in."""

SIZES = (
    *("ranks", "rank", "in_rank", "out_rank", "kernel_ranks", "in_ranks", "out_ranks"),
    *("terms", "multiplier"),
)
"""Arguments that a table shows as the rank."""


@dataclass(frozen=True)
class Choice:
    """What one layer becomes.

    block       a block of `std/`, None where the layer stays as it is
    arguments   its arguments; those that the layer decides are left out
    dense       parameters of the weight as it is
    parameters  those of the block; biases are no part of either
    error       the squared error that is predicted, in the unit of all layers
    """

    name: str
    kind: str
    block: str | None
    arguments: Mapping[str, object]
    dense: int
    parameters: int
    error: float

    @property
    def rank(self) -> str:
        """The sizes of inner legs as text."""
        found = (value for name, value in self.arguments.items() if name in SIZES)
        return ", ".join(_written(value).strip("[]") for value in found)


@dataclass(frozen=True, repr=False)
class Allocation:
    """What `allocate` chose; it prints as a table.

    layers      a `Choice` for each layer, in the order of the model
    parameters  of the whole model afterwards, biases and all else included
    dense       of the whole model as it is
    error       the relative error of the output that is predicted; without moments the root mean
                square of the relative errors of weights
    threshold   the least squared error that was bought with a unit of the budget
    seconds     what the layers that may be replaced take in a call of the model, predicted, where
                the budget is time; `dense_seconds` as they are

    >>> import torch
    >>> mlp = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64))
    >>> print(tncompile.allocate(mlp, 0.5).layers[0].block)
    LowRank
    """

    layers: tuple[Choice, ...]
    parameters: int
    dense: int
    error: float
    threshold: float = field(default=0.0)
    seconds: float | None = None
    dense_seconds: float | None = None

    @property
    def choices(self) -> dict[str, tuple[str, dict[str, object]]]:
        """The block and its arguments for each layer that is replaced, by name.

        >>> import torch
        >>> mlp = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Linear(64, 64))
        >>> tncompile.allocate(mlp, 0.51).choices["1"]
        ('LowRank', {'rank': 16})
        """
        return {
            each.name: (each.block, dict(each.arguments))
            for each in self.layers
            if each.block is not None
        }

    @property
    def rewrite(self) -> Rewrite:
        """What `tensorize` takes: that of `text`.

        >>> import torch
        >>> mlp = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Linear(64, 64))
        >>> moments = tncompile.calibrate(mlp, [torch.rand(100, 64)])
        >>> found = tncompile.allocate(mlp, 0.51, moments=moments)
        >>> tncompile.tensorize(mlp, found.rewrite, moments=moments).model(torch.rand(2, 64)).shape
        torch.Size([2, 64])
        """
        return Rewrite.loads(self.text())

    def text(self) -> str:
        """The source of a file with a `rewrite` block: a line for each layer, kept ones too.

        >>> import torch
        >>> mlp = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Linear(64, 64))
        >>> print(tncompile.allocate(mlp, 0.51).text(), end="")
        import "std/linear.tn" { LowRank }
        <BLANKLINE>
        rewrite Allocated {
          linear "0" -> LowRank(rank = 16)
          linear "1" -> LowRank(rank = 16)
        }
        """
        named: dict[str, set[str]] = {}
        lines = []
        for each in self.layers:
            call = "keep"
            if each.block is not None:
                named.setdefault(LIBRARY[each.kind], set()).add(each.block)
                given = (f"{name} = {_written(value)}" for name, value in each.arguments.items())
                call = f"{each.block}({', '.join(given)})"
            lines.append(f"  {each.kind} {exactly(each.name)} -> {call}")
        imports = [
            f'import "std/{file}.tn" {{ {", ".join(sorted(blocks))} }}'
            for file, blocks in sorted(named.items())
        ]
        return "\n".join(
            [*imports, *([""] if imports else []), "rewrite Allocated {", *lines, "}\n"]
        )

    def table(self, width: int = 100) -> str:
        """A row a layer: what it becomes, its parameters, its part of the predicted error.

        >>> import torch
        >>> mlp = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Linear(64, 64))
        >>> tncompile.allocate(mlp, 0.51).table().splitlines()[-1][:33]
        '4,224 of 8,320 parameters (51 %),'
        """
        from tncompile.planning.wording import (
            columns_text,
            count_text,
            digits_text,
            percent_text,
            seconds_text,
        )

        head = ("layer", "kind", "becomes", "rank", "parameters", "of the layer", "of the error")
        whole = sum(each.error for each in self.layers) or 1.0
        rows = [
            (
                each.name or "(the model)",
                each.kind,
                each.block or "kept",
                each.rank,
                count_text(each.parameters),
                percent_text(each.parameters / each.dense),
                percent_text(each.error / whole),
            )
            for each in self.layers
        ]
        part = percent_text(self.parameters / self.dense)
        counts = f"{count_text(self.parameters)} of {count_text(self.dense)} parameters ({part})"
        last = f"{counts}, predicted relative error {digits_text(self.error)}"
        if self.seconds is not None and self.dense_seconds:
            share = percent_text(self.seconds / self.dense_seconds)
            last += f", time {seconds_text(self.seconds)} ({share})"
        return "\n".join([columns_text(head, rows, width, 3), "", last])

    def plot(self) -> str:
        """A picture in SVG: for each layer what is kept of it, and its part of the error.

        A notebook shows it below the table.

        >>> import torch
        >>> mlp = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Linear(64, 64))
        >>> from pathlib import Path
        >>> Path("layers.svg").write_text(tncompile.allocate(mlp, 0.51).plot()) > 1000
        True
        """
        from tncompile.tensorizing.allocating.drawing import drawn

        return drawn(self.layers, self.table().splitlines()[-1])

    def __str__(self) -> str:
        return self.table()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self.table()) + self.plot()


def _written(value: object) -> str:
    """A number or a list of numbers in the language."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
