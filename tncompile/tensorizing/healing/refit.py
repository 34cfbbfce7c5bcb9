"""`refit`: networks fitted anew on the inputs that the smaller model gives them, one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tncompile.tensorizing.healing.refitted import Refit

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tncompile.planning.paths.optimizers import Progress
    from tncompile.tensorizing.calibrating.model_moments import Moments
    from tncompile.tensorizing.replacing.tensorized import Tensorized

MEMORY = 2**31
"""Bytes of what modules returned that are kept between layers, unless a limit is given."""


def refit(
    model: nn.Module,
    done: Tensorized,
    data: Iterable[Any],
    *,
    output: Callable[[nn.Module, Any], torch.Tensor] | None = None,
    damping: float = 0.05,
    residual: Sequence[str] | None = None,
    moments: Moments | None = None,
    memory_limit: int = MEMORY,
    seed: int = 0,
    progress: Progress | None = None,
) -> Refit:
    """Networks fitted anew, on the inputs that the smaller model gives them; in closed form.

    `model` is the original, `done` what `tensorize` made of it, which stays as it is. Layers are
    taken in the order in which a forward pass reaches them. With x̃ what the model that is refitted
    so far gives a layer and y the output of the original there, the weight becomes the ridge
    regression of y on x̃ towards the original weight, `damping` in units of the mean square of x̃;
    it is fitted onto the network in the metric of the x̃ and of the gradients at the output, and a
    bias follows. Where the output is added to a residual stream, y has the error of the stream
    added. So errors are not handed on (Frantar and Alistarh, "Optimal Brain Compression", 2022, and
    Wang et al., "SVD-LLM", 2024, refit on such inputs). What does not lower the error of a layer's
    outputs is not taken.

    `data` and `output` are those of `calibrate`; rows count by their squared gradients, so that
    padding counts nothing. All batches are gone through as often as there are stops, but what
    modules returned is kept, within `memory_limit` bytes. `residual` are patterns of names of the
    layers that may make up for the stream, (), for none; by default all whose output is seen to be
    added to what was there before. `moments`, from `calibrate`, give gradients a better estimate
    than the data do. `progress` is called with layers done and to do.

    Linear maps and convolutions without groups are refitted; of those with more than 4,096 inputs,
    channels × kernel, the bias moves alone. Embeddings, raw parameters, weights
    that others read off the network and layers that are never called stay as they were fitted.
    Raises ValueError for another model than `done` is of, data without batches, patterns that match
    nothing, and numbers that are not finite; TypeError for what is no such thing.

    >>> again = tncompile.refit(net, done, [torch.randn(200, 8) for _ in range(3)])
    >>> again.model(torch.ones(2, 8)).shape
    torch.Size([2, 8])
    """
    from tncompile.tensorizing.healing.refits.running import run_refit

    return run_refit(
        model,
        done,
        data,
        output=output,
        damping=damping,
        residual=residual,
        moments=moments,
        memory_limit=memory_limit,
        seed=seed,
        progress=progress,
    )
