"""A model with quantized weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from tncompile.tensorizing.calibrating.model_moments import Moments, require_of
from tncompile.tensorizing.replacing.tensorized import Tensorized

if TYPE_CHECKING:
    from torch import nn

    from tncompile.network.packing import Weights

Progress = Callable[[int, int], None]


def quantize(
    model: nn.Module | Tensorized,
    weights: Weights,
    *,
    layers: str | Iterable[str] | None = None,
    group: int | None = None,
    moments: Moments | None = None,
    progress: Progress | None = None,
) -> Tensorized:
    """A copy of a model whose layers hold integers and scales in place of floating weights.

    `model` is any nn.Module, or what `tensorize` returned: then the factors of its networks are
    quantized, too. nn.Linear, nn.Conv1d to 3d, nn.Embedding and the Conv1D of transformers become
    networks of one tensor, whose source dequantizes; those with fewer than 256 entries stay.
    Names, shared modules, ties, biases, dtype, device and mode are kept; the integers are buffers,
    which are not trained. `"int8"` has a scale for each slice along one axis, `"int4"` for each 64
    neighbors; `group` is another number of them. `layers` are patterns of names, in which `*` is
    any text. With `moments`, from `calibrate`, scales of four bits weigh the errors of dense
    weights by the diagonals of their metric. `progress` is called with layers done and to do.
    The report has bytes and the error of each weight; `save` and `load_model` are as after
    `tensorize`. Raises ValueError for other `weights` or `group`, patterns that match nothing,
    weights that are not finite, and moments of another model.

    >>> eight = tncompile.quantize(torch.nn.Sequential(torch.nn.Linear(32, 64)), "int8")
    >>> eight.model[0].weight_int8.dtype, eight.report.bytes_before, eight.report.bytes_after
    (torch.int8, 8448, 2432)
    """
    from torch import nn

    from tncompile.network.packing import quantization
    from tncompile.tensorizing.quantizing.model import quantized

    wanted = quantization(weights, group)
    if wanted is None:
        raise ValueError('say which weights: "int8" or "int4"')
    if isinstance(model, Tensorized):
        done = model
    elif isinstance(model, nn.Module):
        done = _untouched(model)
    else:
        raise TypeError(f"model is an nn.Module or a Tensorized, not {type(model).__name__}")
    if moments is not None:
        require_of(moments, done._skeleton)
    patterns = [layers] if isinstance(layers, str) else None if layers is None else list(layers)
    return quantized(done, wanted, patterns, moments, progress)


def _untouched(model: nn.Module) -> Tensorized:
    """A model in which nothing was replaced."""
    from tncompile.tensorizing.replacing.copying import skeleton
    from tncompile.tensorizing.replacing.report import Report

    parameters = list(model.parameters())
    count = sum(p.numel() for p in parameters)
    size = sum(p.numel() * p.element_size() for p in parameters)
    report = Report((), (), count, count, size, size)
    return replace(Tensorized(model, report, (), skeleton(model)))
