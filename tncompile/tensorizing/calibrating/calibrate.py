"""`calibrate`: what the inputs of layers are, and what their outputs are for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tncompile.tensorizing.calibrating.model_moments import Moments, require_of

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tncompile.planning.paths.optimizers import Progress

EVERY = 64
"""Batches between two writings of a file."""


def calibrate(
    model: nn.Module,
    data: Iterable[Any],
    *,
    output: Callable[[nn.Module, Any], torch.Tensor] | None = None,
    layers: Iterable[str] | None = None,
    seed: int = 0,
    file: str | os.PathLike[str] | None = None,
    dtype: torch.dtype | None = None,
    progress: Progress | None = None,
) -> Moments:
    """Second moments of the inputs of layers and of the gradients at their outputs, over data.

    Layers are nn.Linear, nn.Conv1d to 3d, nn.Embedding, and the Conv1D of transformers; `layers`
    are names of some of them, `*` in a name stands for anything. `data` are batches: a tensor, a
    tuple of arguments of the model, or a dict of them. `output(model, batch)` is what counts, of
    shape (samples, …): an embedding, logits; the first tensor that the model returns, otherwise.
    Gradients are those of ⟨z, output⟩ with random signs z, which follow from `seed` and the batch:
    what a change of a weight does to the output, without labels (Gauss-Newton).

    Moments are kept in `file`, every 64 batches and at the end; one that is there is continued,
    the batches in it are skipped. Sums are float64, or `dtype`: float32 is half of the memory
    (`Moments.bytes_needed`), and adds small batches to large sums less well. The model computes as
    in `eval()`, and is left as it was. `progress(done, total)` is called after each batch; for data
    without a length the total is what was done.

    Raises ValueError for a model without layers, an output that depends on none of them or has no
    gradients, numbers that are not finite, or a file of another model or of other data; TypeError
    for data that is one batch; OSError where a file cannot be read or written.

    >>> import torch
    >>> mlp = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> moments = tncompile.calibrate(mlp, [torch.rand(32, 4) for _ in range(3)])
    >>> moments
    Moments(2 layers, 96 samples, 3 batches)
    >>> moments.metric("2")
    Metric(inputs of 8, outputs of 2, damping=0.01)
    """
    import torch

    from tncompile.tensorizing.calibrating.calling import require_batches, require_values
    from tncompile.tensorizing.calibrating.running import run_batches

    require_values(model)
    require_batches("data", data)
    wide = dtype or torch.float64
    if wide not in (torch.float32, torch.float64):
        raise ValueError(f"sums are float32 or float64, not {wide}")
    start: Moments | None = None
    if file is not None and Path(file).exists():
        start = Moments.load(file)
        require_of(start, model)
    done = start.batches if start is not None else 0
    moments: Moments | None = None
    for now in run_batches(model, data, output, layers, seed, wide, start, progress):
        moments = now()
        if file is not None and moments.batches > done and moments.batches % EVERY == 0:
            moments.save(file)
            done = moments.batches
    assert moments is not None
    if not moments.batches:
        raise ValueError("there are no batches")
    if not moments.samples:
        raise ValueError("the batches have no samples")
    if not moments.layers:
        raise ValueError("the output depends on no layer: is it computed without gradients?")
    if file is not None and moments.batches > done:
        moments.save(file)
    return moments
