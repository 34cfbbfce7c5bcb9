"""`distill`: a smaller model trained to do what the original does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from tncompile.notebook import as_html

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tncompile.planning.paths.optimizers import Progress
    from tncompile.tensorizing.replacing.tensorized import Tensorized

MEMORY = 2**31
"""Bytes of outputs of the original that are kept, unless a limit is given."""


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
        lines = [f"{'step':>8}  {'seconds':>8}  {'training':>9}  {'held out':>9}"]
        lines.append("─" * len(lines[0]))
        for each in self.history:
            training = f"{each.training:.5f}" if each.step else ""
            row = f"{each.step:>8,}  {each.seconds:>8.1f}  {training:>9}  {each.held_out:>9.5f}"
            lines.append(row)
        counts = f"{self.steps:,} steps, {self.samples:,} samples"
        tokens = f", {self.tokens:,} tokens" if self.tokens else ""
        lines.append(f"{counts}{tokens}; held out {self.start:.5f} before, {self.best:.5f} at best")
        return "\n".join([*lines, f"ended: {self.stopped}"])

    def __repr__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        return as_html(self.table())


def distill(
    model: nn.Module,
    small: Tensorized | nn.Module,
    data: Iterable[Any],
    *,
    output: Callable[[nn.Module, Any], torch.Tensor] | None = None,
    loss: Callable[[torch.Tensor, torch.Tensor, Any], torch.Tensor] | None = None,
    layers: Sequence[str] = (),
    steps: int | None = None,
    minutes: float | None = None,
    rate: float = 0.004,
    held_out: Iterable[Any] | float = 0.05,
    patience: int | None = None,
    parameters: Sequence[str] | None = None,
    dropout: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    memory_limit: int = MEMORY,
    seed: int = 0,
    progress: Progress | None = None,
) -> Distilled:
    """A copy of a smaller model, trained to give what the original gives; no labels are needed.

    `small` is what `tensorize` or `refit` made, or any model that is called as `model` is; both
    stay as they are. `data` and `output` are those of `calibrate`: batches are gone through in
    random order, again and again, until `steps` or `minutes` are over, one time without either.
    The loss is `loss(its output, that of the original, batch)`, or by default
    4 (1 − cosine) + 10 · mean square of what differs in the similarities of a batch + ½ · relative
    square of outputs and of the outputs of the `layers`, patterns of names of modules that both
    have (Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015).

    Steps are those of Adam (Kingma and Ba, 2015), each `rate` times the root mean square of the
    tensor at the start: factors of a network differ in size, and one step for all of them destroys
    some. The gauges of networks are balanced first. The rate is warmed up over a twentieth and
    falls as a cosine; gradients are clipped. All parameters that require a gradient are trained, or
    those that `parameters`, patterns of their names, match; frozen ones, buffers and ties stay.
    Parameters of 16 bits are stepped in float32. Dropout is off unless it is wanted.

    Batches that are held out, given or a part of the data, are looked at 20 times; the best that
    was seen is returned, the start included, and after `patience` looks without a better one it
    ends. Outputs of the original are kept within `memory_limit` bytes, when data come again. With a
    `checkpoint`, a file of safetensors, what was reached is written at each look; a file that is
    there is continued, to the bit as if there had been no break where `steps` are given.
    `progress` is called with what is done and all.

    Raises ValueError for data without batches, patterns that match nothing, a loss that is not
    finite at the start, and a file of another run; TypeError for what is no such thing; `OSError`
    where the file cannot be read or written.

    >>> taught = tncompile.distill(net, done, [torch.randn(50, 8) for _ in range(4)], steps=4)
    >>> taught.model(torch.ones(2, 8)).shape
    torch.Size([2, 8])
    """
    from tncompile.tensorizing.healing.training import Settings, run_distill

    settings = Settings.checked(
        steps=steps,
        minutes=minutes,
        rate=rate,
        patience=patience,
        dropout=dropout,
        memory_limit=memory_limit,
        seed=seed,
    )
    return run_distill(
        model,
        small,
        data,
        settings,
        output=output,
        loss=loss,
        layers=layers,
        held_out=held_out,
        parameters=parameters,
        checkpoint=checkpoint,
        progress=progress,
    )
