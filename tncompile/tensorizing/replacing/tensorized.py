"""A model with layers replaced by networks that are fitted to them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tncompile.choosing import Choice, open_ranks
from tncompile.converting import convert
from tncompile.language.diagnostics.errors import CompileError
from tncompile.model import Model
from tncompile.tensorizing.calibrating.model_moments import Moments, require_of
from tncompile.tensorizing.calibrating.sharing import shared_metric
from tncompile.tensorizing.fitting.result import Fit
from tncompile.tensorizing.replacing.placing import Placed, finished, unfitted
from tncompile.tensorizing.replacing.report import Report, Row
from tncompile.tensorizing.rewriting.rewrite import shown

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tncompile.spec import Spec
    from tncompile.tensorizing.resuming.fits import Fits, Part, Stored
    from tncompile.tensorizing.rewriting.replacements import Replacement
    from tncompile.tensorizing.rewriting.rewrite import Rewrite

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False, repr=False)
class Tensorized:
    """What `tensorize` returns: `model`, the changed copy, and `report`, what became of each layer.

    >>> print(done.model[0].extra_repr())
    in_features=8, out_features=8, bias=True, x(..., i) -> y(..., o), 72 parameters
    """

    model: nn.Module
    report: Report
    _placed: tuple[Placed, ...]
    _skeleton: nn.Module

    def __repr__(self) -> str:
        count = len(self.report.rows)
        layers = f"{count:,} layer{'' if count == 1 else 's'} replaced"
        size = f"{self.report.after:,} of {self.report.before:,} parameters"
        return f"Tensorized({type(self.model).__name__}, {layers}, {size})"

    def save(self, folder: str | os.PathLike[str], *, model: str | None = None) -> None:
        """Write a folder that `load_model` reads: weights, networks, emitted Python, the report.

        It holds `model.safetensors`, `model.tn` (the networks, and a rewrite with the names of the
        layers), `networks/*.py`, `report.txt`, `report.json` and `tncompile.json`, which names the
        `model`, a `"module:callable"` that makes the original one, for those who read it. Of a
        model of transformers also `config.json`, by which transformers loads the folder after
        `import tncompile.transformers`, and what was in the folder that the model came from: files
        of the tokenizer, licenses. It appears whole or not at all, after it was read again and
        every tensor was compared. Raises ValueError where it is there already and not empty, and
        for state that is no tensor; `OSError` where it cannot be written.

        >>> from pathlib import Path
        >>> done.save("saved")
        >>> sorted(path.name for path in Path("saved").iterdir())[:3]
        ['model.safetensors', 'model.tn', 'networks']
        """
        from tncompile.tensorizing.replacing.folders import write_folder

        write_folder(self, folder, model)


def tensorize(
    model: nn.Module,
    rewrite: Rewrite | Spec | str | os.PathLike[str],
    *,
    moments: Moments | None = None,
    seed: int = 0,
    tolerance: float | None = None,
    planned_for: Mapping[str, Sequence[int]] | None = None,
    memory_limit: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Tensorized:
    """A copy of a model whose layers are replaced by networks, fitted to their weights.

    `rewrite` says which: a `Rewrite`, or the path of a `.tn` file with one. Bias, stride, padding,
    dilation, groups, `padding_idx`, dtype, device, mode and `requires_grad` are those of the layer;
    so are ties: who holds the weight of a replaced layer, as a head does that of an embedding,
    reads it off the network. `moments`, from `calibrate`, give the layers that they know a metric.
    With a `tolerance`, ranks that a line leaves out are the smallest that reach that relative
    error; otherwise they are those of the block. Networks are planned for the calls that `moments`
    have seen, the median of each layer; `planned_for` says otherwise, by patterns of names: numbers
    of rows or images, then lengths of images, `{"conv*": (16, 224, 224)}`. Where neither says
    anything those are 64 and 32 × 32. A plan decides on time, never on what is computed. `progress`
    is called with layers done and to do.
    `checkpoint` is a folder in which each layer is kept once it is fitted: a run that was killed
    goes on from there, and ends with the same model to the bit. A fit counts only for the same
    weight, network, metric, tolerance and seed; a damaged file is warned of, and fitted anew.
    The model is not changed.
    Raises `CompileError` for a wrong rewrite (TN701: a pattern matches nothing, TN702: a network
    does not fit a weight), ValueError for a weight that cannot be fitted, for moments of another
    model, for a `checkpoint` of something else, and where more than `memory_limit` bytes are needed
    beside the model: it says how many; `OSError` where a checkpoint cannot be written.

    >>> tncompile.tensorize(net, small, memory_limit=2**20).model(torch.ones(2, 8)).shape
    torch.Size([2, 8])
    """
    from torch import nn

    from tncompile.planning.wording import bytes_text
    from tncompile.tensorizing.calibrating.calling import unchanged_weights
    from tncompile.tensorizing.replacing.calls import with_calls
    from tncompile.tensorizing.replacing.copying import copied, skeleton
    from tncompile.tensorizing.replacing.memory import memory_needed
    from tncompile.tensorizing.resuming.fits import Fits
    from tncompile.tensorizing.rewriting.replacements import replacements
    from tncompile.tensorizing.rewriting.rewrite import read_rewrite

    if not isinstance(model, nn.Module):
        raise TypeError(f"model is an nn.Module, not {type(model).__name__}")
    if tolerance is not None and not 0 < tolerance < 1:
        raise ValueError(f"tolerance is a relative error between 0 and 1, not {tolerance}")
    if moments is not None:
        require_of(moments, model)
    with unchanged_weights(model):
        found, kept = replacements(read_rewrite(rewrite), model)
        found = with_calls(found, moments, planned_for)
    if memory_limit is not None and (needed := memory_needed(model, found, moments)) > memory_limit:
        limit = bytes_text(memory_limit)
        raise ValueError(f"about {bytes_text(needed)} are needed, the limit is {limit}")
    fits = None if checkpoint is None else Fits.at(checkpoint)
    placed: list[Placed] = []
    rows: list[Row] = []
    for place, each in enumerate(found):
        if progress is not None:
            progress(place, len(found))
        with unchanged_weights(model):
            made, error, metric_error = _fitted(each, moments, seed, tolerance, fits)
            rows.append(_row(made, error, metric_error))
        placed.append(made)
    copy = copied(model, [each.standing() for each in placed], {})
    if progress is not None:
        progress(len(found), len(found))
    report = _report(model, copy, rows, [layer.name for layer in kept])
    return Tensorized(copy, report, tuple(placed), skeleton(model))


_Found = tuple[Placed, float, float | None]


def _fitted(
    each: Replacement,
    moments: Moments | None,
    seed: int,
    tolerance: float | None,
    fits: Fits | None,
) -> _Found:
    """The network of a layer, as near to it as it comes, and its errors; those of `fits` first."""
    from tncompile.tensorizing.resuming.fits import Stored

    layer = each.layer
    metric = None
    if layer.module is not None:
        metric = shared_metric(moments, layer.weight_names, layer.kind)
    choice = Choice(None, tolerance if each.open_ranks else None, metric, None, seed, None)
    if fits is None:
        made, _, fit = _made(each, choice)
        return made, fit.error, fit.metric_error
    key = _key(each, choice)
    stored = fits.read(key)
    if stored is not None:
        try:
            return _restored(each, stored), stored.error, stored.metric_error
        except (CompileError, ValueError, TypeError, RuntimeError) as error:
            fits.drop(key, str(error).partition("\n")[0])
    made, network, fit = _made(each, choice)
    names = (*open_ranks(each.block, each.arguments), "counts") if each.open_ranks else ()
    found = made.architecture.arguments
    ranks = {name: found[name] for name in names if name in found and name not in each.arguments}
    fits.write(key, Stored(network.state_dict(), ranks, fit.error, fit.metric_error))
    return made, fit.error, fit.metric_error


def _made(each: Replacement, choice: Choice) -> tuple[Placed, nn.Module, Fit]:
    """What stands for a layer, the network in it, and the fit."""
    layer = each.layer
    try:
        if layer.module is None:
            fit = each.architecture.fit(layer.weight, seed=choice.seed)
            network = unfitted(each, fit.state_dict)
            return Placed(each, each.architecture, network), network, fit
        is_open = each.open_ranks and choice.tolerance is not None
        block = each.block if is_open else each.architecture
        arguments = each.arguments if is_open else {}
        made = convert(layer.dense(), block, arguments, choice, call=each.call)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{shown(layer.name)}: {error}") from None
    placed = Placed(each, made.architecture, made.module)
    return replace(placed, module=finished(placed, made.module)), made.module, made.fit


def _key(each: Replacement, choice: Choice) -> str:
    """All that decides on a fit."""
    from tncompile.tensorizing.resuming.fits import key_of

    layer, metric = each.layer, choice.metric
    shown_as: Any = "model" if isinstance(each.architecture, Model) else "network"
    said: list[Part] = [layer.name, layer.kind, layer.weight, getattr(layer.module, "bias", None)]
    said += [each.definition.span.text, each.architecture.describe(shown_as), choice.seed]
    said += [choice.tolerance]
    if metric is not None:
        said += [metric.inputs, metric.outputs, metric.damping, *metric.axes]
    return key_of(*said)


def _restored(each: Replacement, stored: Stored) -> Placed:
    """What stands for a layer, from a fit. Raises what loading it raises where it does not fit."""
    from tncompile.tensorizing.resuming.fits import numbers_of

    architecture = each.architecture
    if stored.ranks:
        architecture = each.block.instantiate(**each.arguments, **stored.ranks)
    if sum(math.prod(p.shape) for p in architecture._stored) > numbers_of(stored):
        raise ValueError(f"{architecture._map.target} is larger than what is stored")
    chosen = replace(each, architecture=architecture)
    return Placed(each, architecture, unfitted(chosen, dict(stored.state)))


def _row(placed: Placed, error: float, metric_error: float | None) -> Row:
    layer = placed.replacement.layer
    before = [layer.weight]
    bias = getattr(layer.module, "bias", None)
    if bias is not None:
        before.append(bias)
    after = list(placed.module.parameters())
    readers = () if layer.module is None else layer.holders
    flops, dense_flops = _flops(placed)
    return Row(
        names=layer.names,
        kind=layer.kind,
        network=placed.architecture._map.target,
        before=_numbers(before),
        after=_numbers(after),
        bytes_before=_bytes(before),
        bytes_after=_bytes(after),
        flops=flops,
        dense_flops=dense_flops if layer.module is not None else None,
        error=error,
        metric_error=metric_error,
        readers=tuple(name for name, _ in readers),
        call=placed.replacement.call,
    )


def _flops(placed: Placed) -> tuple[int | None, int | None]:
    """Of a module at the call that it is planned for, and of the layer that it stands for."""
    from tncompile.network.features import features

    architecture, options = placed.architecture, placed.options
    if isinstance(architecture, Model):
        layer = features(architecture._map)
        dense = None if layer is None else 2 * options["batch"] * math.prod(layer.shape)
        return architecture.cost(search="fast", **options).flops, dense
    figures = architecture.cost(search="fast", **options).inference
    return figures.flops, figures.dense_flops


def _report(model: nn.Module, copy: nn.Module, rows: list[Row], kept: list[str]) -> Report:
    before, after = list(model.parameters()), list(copy.parameters())
    sizes = _numbers(before), _numbers(after), _bytes(before), _bytes(after)
    return Report(tuple(rows), tuple(kept), *sizes)


def _numbers(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors)


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
