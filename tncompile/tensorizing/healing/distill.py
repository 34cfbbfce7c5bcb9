"""`distill`: a smaller model trained to do what the original does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tncompile.tensorizing.healing.distilled import Distilled

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tncompile.planning.paths.optimizers import Progress
    from tncompile.tensorizing.calibrating.model_moments import Moments
    from tncompile.tensorizing.replacing.tensorized import Tensorized

MEMORY = 2**31
"""Bytes of outputs of the original that are kept, unless a limit is given."""


def distill(
    model: nn.Module,
    small: Tensorized | nn.Module,
    data: Iterable[Any],
    *,
    output: Callable[[nn.Module, Any], torch.Tensor] | None = None,
    loss: Callable[[torch.Tensor, torch.Tensor, Any], torch.Tensor] | None = None,
    layers: Sequence[str] = (),
    moments: Moments | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    rate: float = 0.002,
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
    some. The gauges of networks are balanced first. The rate is warmed up over a twentieth, and 20
    steps at least, and falls as a cosine; gradients are clipped. All parameters that require a
    gradient are trained, or those that `parameters`, patterns of their names, match; frozen ones,
    buffers and ties stay. Parameters of 16 bits are stepped in float32. Dropout is off unless it is
    wanted.

    With `moments`, those of `calibrate` of the model, tensors of networks are measured and stepped
    in coordinates in which the loss curves alike in all directions, as far as moments tell it (as
    Gupta, Koren and Singer, "Shampoo", 2018, from gradients): along every leg of every factor the
    root of its curvature in the metric of the layer, the bonds included. Legs of more than 4,096,
    shared tensors, complex ones and integers have none.

    Batches that are held out, given or a part of the data, are looked at 20 times; the best that
    was seen is returned, the start included, and after `patience` looks without a better one it
    ends. Outputs of the original are kept within `memory_limit` bytes, when data come again. With a
    `checkpoint`, a file of safetensors, what was reached is written at each look; a file that is
    there is continued, to the bit as if there had been no break where `steps` are given.
    `progress` is called with what is done and all.

    Raises ValueError for data without batches, patterns that match nothing, moments of another
    model, a loss that is not finite at the start, and a file of another run; TypeError for what is
    no such thing; `OSError` where the file cannot be read or written.

    >>> import torch
    >>> mlp = torch.nn.Sequential(torch.nn.Linear(32, 32), torch.nn.Tanh())
    >>> less = tncompile.tensorize(mlp, tncompile.allocate(mlp, 0.6).rewrite)
    >>> taught = tncompile.distill(mlp, less, [torch.randn(50, 32) for _ in range(4)], steps=4)
    >>> taught.best <= taught.start
    True
    """
    from tncompile.tensorizing.healing.distilling.settings import Settings
    from tncompile.tensorizing.healing.distilling.training import run_distill

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
        moments=moments,
        held_out=held_out,
        parameters=parameters,
        checkpoint=checkpoint,
        progress=progress,
    )
