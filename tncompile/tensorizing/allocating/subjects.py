"""The layers of a model, each with its metric and what it can become."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import nn

from tncompile.tensorizing.allocating.budgets import Unit, least_rank
from tncompile.tensorizing.allocating.kernels import forms, seen_kernel
from tncompile.tensorizing.allocating.options import Option
from tncompile.tensorizing.allocating.spectra import seen_weight, tails
from tncompile.tensorizing.calibrating.layers import Layer, layers_of
from tncompile.tensorizing.calibrating.model_moments import Moments
from tncompile.tensorizing.calibrating.sharing import shared_sums
from tncompile.tensorizing.calibrating.sums import LayerSums
from tncompile.tensorizing.fitting.grouping import mixed_forms
from tncompile.tensorizing.fitting.interpolating import numbers_of
from tncompile.tensorizing.moments import Metric


@dataclass(frozen=True, eq=False)
class Subject:
    """A layer; `unit` is what a parameter of it costs, `scale` what a squared error counts.

    `names` are all that its weight is held under, `sums` what is known of all of them together. One
    that is `fixed` can become nothing else.
    """

    name: str
    module: nn.Module
    layer: Layer
    metric: Metric | None
    scale: float
    unit: float
    fixed: bool
    counts_work: bool = False  # costs are multiply-adds: of convolutions more than parameters
    names: tuple[str, ...] = ()
    sums: LayerSums | None = None

    @property
    def kind(self) -> str:
        """That of the line of a rewrite."""
        return self.layer.kind

    @cached_property
    def weight(self) -> torch.Tensor:
        """(out, in), of a convolution (out, in, kernel…)."""
        weight: torch.Tensor = self.module.weight.detach()  # type: ignore[operator]
        return weight.mT if self.kind in ("embedding", "conv1d") else weight

    @property
    def dense(self) -> Option:
        """The layer as it is."""
        return self._option(self.weight.numel(), 0.0)

    def _option(
        self, parameters: int, error: float, block: str | None = None, **arguments: object
    ) -> Option:
        cost, error = parameters * self.unit, error * self.scale
        return Option(parameters, cost, error, block, arguments)

    def fitted(
        self, block: str, arguments: Mapping[str, object], parameters: int, relative: float
    ) -> Option:
        """A block that was fitted with a relative error."""
        return self._option(parameters, relative**2 * self.whole, block, **arguments)

    @cached_property
    def whole(self) -> float:
        """The squared error of nothing in its place, in the metric."""
        if self.metric is not None and self.metric.axes:
            seen = seen_kernel(self.weight, self.metric)
        else:
            seen = seen_weight(self.weight.flatten(1), self.metric)
        return float(seen.square().sum())

    def options(self, floor: float | None, multiple: int, blocks: Sequence[str]) -> list[Option]:
        """What it can become, itself included: those of the `blocks` that are for its kind."""
        found = [self.dense]
        if self.fixed:
            return found
        if self.weight.dim() > 2:
            options = self._kernels(floor, multiple, blocks)
        else:
            options = self._ranks(floor, multiple, blocks)
        return [*found, *(each for each in options if each.parameters < found[0].parameters)]

    def _ranks(self, floor: float | None, multiple: int, blocks: Sequence[str]) -> Iterator[Option]:
        out, into = self.weight.shape
        full = min(out, into)
        seen = seen_weight(self.weight, self.metric)
        lost = tails(seen)
        if self.kind == "embedding" and "MixedEmbedding" in blocks:
            forms = list(mixed_forms(seen.mT, least_rank(floor, full, multiple), multiple))
            for form in forms:
                sizes = {"counts": list(form.counts), "ranks": list(form.ranks)}
                yield self._option(form.parameters, form.error, "MixedEmbedding", **sizes)
            if forms and "TTEmbedding" not in blocks:
                return
        for rank in range(least_rank(floor, full, multiple), full, multiple):
            parameters = (out + into) * rank
            if self.kind == "embedding":
                shape = {"rows": [into], "columns": [1, out]}
                yield self._option(parameters, lost[rank], "TTEmbedding", **shape, ranks=rank)
                continue
            if "LowRank" in blocks:
                yield self._option(parameters, lost[rank], "LowRank", rank=rank)
            if "Interpolative" in blocks:
                parameters = numbers_of(into, out, rank)
                yield self._option(parameters, lost[rank], "Interpolative", rank=rank)

    def _kernels(
        self, floor: float | None, multiple: int, blocks: Sequence[str]
    ) -> Iterator[Option]:
        """Tucker forms; errors are those of a metric of each axis, in the unit of that of all."""
        out, into = self.weight.shape[:2]
        kernel = seen_kernel(self.weight, self.metric)
        size = float(kernel.square().sum())
        unit = self.whole / size if size else 1.0
        least = (least_rank(floor, out, multiple), least_rank(floor, into, multiple))
        for form in forms(kernel, least, multiple, blocks):
            arguments: dict[str, object] = {"in_rank": form.in_rank, "out_rank": form.out_rank}
            if form.block == "TuckerConv":
                arguments["kernel_ranks"] = list(form.kernel_ranks)
            option = self._option(form.parameters, form.error * unit, form.block, **arguments)
            yield replace(option, cost=form.work * self.unit) if self.counts_work else option


def subjects_of(
    model: nn.Module,
    moments: Moments | None,
    patterns: Sequence[str] | None,
    unit: Unit,
    damping: float,
) -> Iterator[Subject]:
    """The layers that may change, in the order of the model; one of those with the same weight."""
    holders = _holders(model)
    weights: set[int] = set()
    for name, (module, layer) in layers_of(model, patterns).items():
        weight: torch.Tensor = module.weight  # type: ignore[assignment]
        own = module._parameters.get("weight") is weight  # else it is computed anew at each read
        key = id(weight) if own else id(module)
        if key in weights:
            continue
        weights.add(key)
        names = tuple(dict.fromkeys([name, *(holders[key] if own else ())]))
        sums = shared_sums(moments, names, layer.kind)
        metric, scale, rows = None, 1.0, 1.0
        if moments is not None and sums is not None:
            metric = sums.metric(moments.samples, "frequency", damping)
            rows = float(sums.rows.sum()) / moments.samples
            if layer.kind == "embedding":  # columns count alike, as much together as they do
                scale = float(sums.squares) / moments.samples / layer.outputs
            elif sums.silent:
                scale = 0.0
        elif moments is None:
            size = float(weight.detach().double().square().sum())
            scale = 1 / size if size else 1.0
        if layer.kind == "embedding":
            rows = 0.0
        cost = {"bytes": float(weight.element_size()), "flops": rows}.get(unit, 1.0)
        fixed = layer.groups > 1 or (moments is not None and sums is None) or not _plain(module)
        work = unit == "flops"
        yield Subject(name, module, layer, metric, scale, cost, fixed, work, names, sums)


def _holders(model: nn.Module) -> dict[int, list[str]]:
    """The names of all modules that hold a weight, by its identity."""
    found: dict[int, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if (weight := module._parameters.get("weight")) is not None:
            found.setdefault(id(weight), []).append(name)
    return found


def as_layer(subject: Subject) -> nn.Module:
    """The layer as one of torch, with the same weight."""
    if subject.kind != "conv1d":
        return subject.module
    out, into = subject.weight.shape
    bias = getattr(subject.module, "bias", None)
    linear = nn.Linear(into, out, bias=bias is not None, device="meta")
    linear.weight = nn.Parameter(subject.weight)
    if isinstance(bias, torch.Tensor):
        linear.bias = nn.Parameter(bias.detach())
    return linear


def _plain(module: nn.Module) -> bool:
    """Whether a network can stand in for a module: its padding is alike on both sides."""
    if isinstance(module, nn.Embedding):
        return module.max_norm is None
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) and module.padding == "same":
        pairs = zip(module.dilation, module.kernel_size, strict=True)
        return all(gap * (length - 1) % 2 == 0 for gap, length in pairs)
    return True
