"""How a training went, and the model that was best in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tncompile.notebook import as_html

if TYPE_CHECKING:
    from torch import nn

    from tncompile.tensorizing.replacing.tensorized import Tensorized


class Evaluation(NamedTuple):
    """How far it was: after so many steps and seconds, the loss in training since, and held out."""

    step: int
    seconds: float
    training: float
    held_out: float


@dataclass(frozen=True, repr=False)
class Distilled:
    """What `distill` returns; it prints as a table.

    model       the smaller model with the parameters that were best on what was held out
    tensorized  the same as `tensorize` returns it, where one was given: it has `save`
    steps       steps that were made; `samples` and `tokens` of the batches that they took: entries
                of the first axis of the output, and those of integers in the batch
    seconds     all of it, those of earlier runs that a checkpoint continues included
    start, best  the loss on what is held out, at the start and at the best
    history     an `Evaluation` each time that loss was taken
    stopped     why it ended

    >>> taught = tncompile.distill(net, done, [torch.randn(50, 8) for _ in range(4)], steps=4)
    >>> taught.best <= taught.start, taught.steps, taught.samples
    (True, 4, 200)
    """

    model: nn.Module = field(repr=False)
    tensorized: Tensorized | None = field(repr=False)
    steps: int
    samples: int
    tokens: int
    seconds: float
    start: float
    best: float
    history: tuple[Evaluation, ...]
    stopped: str

    def table(self) -> str:
        """A row an evaluation.

        >>> taught = tncompile.distill(net, done, [torch.randn(50, 8)] * 4, steps=2)
        >>> taught.table().splitlines()[0].split()
        ['step', 'seconds', 'training', 'held', 'out']
        """
        from tncompile.planning.wording import WIDTH, columns_text

        rows = []
        for each in self.history:
            training = f"{each.training:.5f}" if each.step else ""
            rows.append((f"{each.step:,}", f"{each.seconds:.1f}", training, f"{each.held_out:.5f}"))
        table = columns_text(("step", "seconds", "training", "held out"), rows, WIDTH, 0)
        counts = f"{self.steps:,} steps, {self.samples:,} samples"
        tokens = f", {self.tokens:,} tokens" if self.tokens else ""
        losses = f"held out {self.start:.5f} before, {self.best:.5f} at best"
        return f"{table}\n{counts}{tokens}; {losses}\nended: {self.stopped}"

    def __repr__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        return as_html(self.table())
