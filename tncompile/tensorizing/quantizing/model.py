"""The layers of a model, quantized in a copy of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from torch import nn

from tncompile.network.packing import Quantization
from tncompile.tensorizing.calibrating.model_moments import Moments
from tncompile.tensorizing.calibrating.patterns import matching
from tncompile.tensorizing.calibrating.sharing import shared_metric
from tncompile.tensorizing.moments import damped
from tncompile.tensorizing.quantizing.dense import dense_layers, dense_replacements, dense_state
from tncompile.tensorizing.quantizing.state import packed_state
from tncompile.tensorizing.replacing.copying import copied
from tncompile.tensorizing.replacing.dense_views import PaddedEmbedding, View
from tncompile.tensorizing.replacing.placing import Placed, unfitted
from tncompile.tensorizing.replacing.report import Row
from tncompile.tensorizing.replacing.tensorized import Tensorized
from tncompile.tensorizing.rewriting.layers import Layer
from tncompile.tensorizing.rewriting.rewrite import shown

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class _Subject:
    """A layer that is quantized: what stands for it now, and the row of it in the report."""

    placed: Placed
    module: nn.Module
    row: Row | None


def quantized(
    done: Tensorized,
    wanted: Quantization,
    patterns: list[str] | None,
    moments: Moments | None,
    progress: Progress | None,
) -> Tensorized:
    """What `tncompile.quantize` returns."""
    known = {row.names: row for row in done.report.rows}
    fits = _chosen(done, patterns)
    standing: list[_Subject] = []
    kept: list[Placed] = []
    for placed in done._placed:
        layer = placed.replacement.layer
        if fits(layer) and placed.quantization is None:
            module = done.model.get_submodule(layer.name)
            standing.append(_Subject(placed, module, known[layer.names]))
        else:
            kept.append(placed)
    dense = [layer for layer in dense_layers(done.model) if fits(layer)]
    for each in dense_replacements(done.model, dense):
        own = each.layer.module
        assert own is not None
        standing.append(_Subject(Placed(each, each.architecture, own), own, None))
    made: list[Placed] = []
    for place, subject in enumerate(standing):
        if progress is not None:
            progress(place, len(standing))
        made.append(_quantized(subject, wanted, moments))
    memo = {id(s.module): p.module for s, p in zip(standing, made, strict=True) if s.row}
    dense_made = [p for s, p in zip(standing, made, strict=True) if s.row is None]
    model = copied(done.model, [each.standing() for each in dense_made], memo)  # type: ignore[arg-type]
    if progress is not None:
        progress(len(standing), len(standing))
    new = {row.names: row for row in map(_row, standing, made)}
    all_placed = _ordered(done, kept, made)
    rows = [new.pop(row.names, row) for row in done.report.rows]
    size = _stored_bytes([model], all_placed)
    no_more = {name for row in new.values() for name in row.names}
    still = tuple(name for name in done.report.kept if name not in no_more)
    report = replace(done.report, rows=(*rows, *new.values()), kept=still, bytes_after=size)
    return replace(done, model=model, report=report, _placed=all_placed)


def _chosen(done: Tensorized, patterns: list[str] | None) -> Callable[[Layer], bool]:
    """Whether a layer is to be quantized. Raises ValueError for a pattern without a layer."""
    if patterns is None:
        return lambda layer: True
    layers = [each.replacement.layer for each in done._placed] + dense_layers(done.model)
    names = [name for layer in layers for name in layer.names]
    none = "no layer is called {pattern}: those that are large enough are {names}"
    chosen = set(matching(patterns, names, none=none))
    return lambda layer: not chosen.isdisjoint(layer.names)


def _quantized(subject: _Subject, wanted: Quantization, moments: Moments | None) -> Placed:
    placed, layer = subject.placed, subject.placed.replacement.layer
    importances: dict[str, torch.Tensor] = {}
    if subject.row is None:
        state = dense_state(layer)
        metric = _importance(layer, moments)
        importances = {} if metric is None else {"weight": metric}
    else:
        inner = subject.module
        table = inner.table if isinstance(inner, PaddedEmbedding) else inner
        state = table.state_dict()
    try:
        made = placed.architecture
        packed = made._packed(wanted)
        found = packed_state(made._map.target, made._stored, packed, state, importances)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{shown(layer.name)}: {error}") from None
    network = unfitted(placed.replacement, found, wanted, placed.architecture)
    network.train(subject.module.training)
    return replace(placed, module=network, quantization=wanted)


def _importance(layer: Layer, moments: Moments | None) -> torch.Tensor | None:
    """What the squared error of each entry of a dense weight counts."""
    metric = shared_metric(moments, layer.weight_names, layer.kind)
    if metric is None:
        return None
    sides: list[torch.Tensor] = []
    for moment in (metric.outputs, metric.inputs):
        if moment is None:
            sides.append(torch.ones(1))
            continue
        diagonal = moment if moment.dim() == 1 else moment.diagonal()
        sides.append(damped(diagonal.real.float().cpu(), metric.damping))
    rows, columns = sides
    if layer.kind == "embedding":
        rows, columns = columns, rows
    dense = layer.dense().weight
    assert isinstance(dense, torch.Tensor)
    flat = (rows.unsqueeze(1) * columns).expand(dense.shape[0], math.prod(dense.shape[1:]))
    return (flat / flat.mean().clamp(min=1e-30)).reshape(dense.shape).to(dense.device)


# ── the report ────────────────────────────────────────────────────────────────────────────────────


def _row(subject: _Subject, made: Placed) -> Row:
    layer = subject.placed.replacement.layer
    assert made.quantization is not None
    network = f"{made.quantization.weights} {made.architecture._map.target}"
    error = _error(layer, made)
    size = _stored_bytes([made.module], [made])
    if subject.row is not None:
        return replace(
            subject.row, network=network, bytes_after=size, error=error, metric_error=None
        )
    before = [layer.weight]
    bias = getattr(layer.module, "bias", None)
    before += [] if bias is None else [bias]
    count = sum(tensor.numel() for tensor in before)
    return Row(
        names=layer.names,
        kind=layer.kind,
        network=network,
        before=count,
        after=count,
        bytes_before=sum(tensor.numel() * tensor.element_size() for tensor in before),
        bytes_after=size,
        flops=None,
        dense_flops=None,
        error=error,
        metric_error=None,
        readers=tuple(name for name, _ in layer.holders),
    )


def _error(layer: Layer, made: Placed) -> float:
    """‖W − W'‖ / ‖W‖, with W the weight of the layer that was there first."""
    has_inputs = bool(made.architecture._map.inputs)
    with torch.no_grad():
        found = View.of(layer, has_inputs=has_inputs).read(made.module).double()
        due = layer.weight.detach().to(found.device).double()
        size = float(due.norm())
        return float((found - due).norm()) / size if size else 0.0


def _stored_bytes(modules: Iterable[nn.Module], placed: Iterable[Placed]) -> int:
    """Parameters, and the integers and scales of what is quantized, each once."""
    tensors = {id(p): p.detach() for module in modules for p in module.parameters()}
    for each in placed:
        packed = each.architecture._packed(each.quantization).values()
        keys = {key for packing in packed for key in (packing.codes.key, packing.scale.key)}
        for key, tensor in each.module.state_dict(keep_vars=True).items():
            if key.removeprefix("table.") in keys:
                tensors[id(tensor)] = tensor
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def _ordered(done: Tensorized, kept: list[Placed], made: list[Placed]) -> tuple[Placed, ...]:
    """What stands in the model: what was there before in its order, then the dense layers."""
    by_name = {each.replacement.layer.names: each for each in (*kept, *made)}
    first = [each.replacement.layer.names for each in done._placed]
    return tuple(by_name.pop(names) for names in first) + tuple(by_name.values())
