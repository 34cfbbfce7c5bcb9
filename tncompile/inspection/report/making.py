"""Everything that a report shows, gathered from an architecture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tncompile.inspection.drawing.theme import Theme
from tncompile.inspection.report.bonds import bonds_part
from tncompile.inspection.report.markup import EMPTY, Html, element, joined, text
from tncompile.inspection.report.models import Inner, model_sections
from tncompile.inspection.report.networks import Shown, network_sections
from tncompile.inspection.report.page import page
from tncompile.inspection.report.report import Report
from tncompile.inspection.report.source import sources
from tncompile.machine.registry import find_profile
from tncompile.models.costs.report import ModelCost
from tncompile.models.graph.stored import networks_by_path
from tncompile.network.model import DOTS
from tncompile.planning.report.comparison import cost as cost_of
from tncompile.planning.report.cost import Cost

if TYPE_CHECKING:
    import torch

    from tncompile.architecture import Architecture
    from tncompile.model import Model

    Weights = Mapping[str, torch.Tensor]


def report_of(
    architecture: Architecture,
    cost: Cost | ModelCost,
    options: Mapping[str, Any],
    weights: Weights | None,
    theme: Theme,
) -> Report:
    """The report of a network or a model; `cost` is its cost with these `options` of a search."""
    if isinstance(cost, Cost):
        return _network_report(architecture, cost, options, weights, theme)
    return _model_report(architecture, cost, options, weights, theme)  # type: ignore[arg-type]


def _network_report(
    architecture: Architecture,
    cost: Cost,
    options: Mapping[str, Any],
    weights: Weights | None,
    theme: Theme,
) -> Report:
    candidates = architecture.candidates(training=cost.mode == "training", **options)
    fresh = dict(architecture.module(seed=0, plan=cost.plan).state_dict())
    given = fresh if weights is None else weights
    shown = Shown(cost, candidates, given, fresh, weights is not None)
    top, sections = network_sections(architecture, shown, theme)
    target = architecture.network.target
    return Report(target, page(target, top, sections, theme))


def _model_report(
    model: Model,
    cost: ModelCost,
    options: Mapping[str, Any],
    weights: Weights | None,
    theme: Theme,
) -> Report:
    """Its networks are shown at the rows that reach them."""
    resolved, drawings = model._model, model.draw(theme=theme).page
    assert drawings is not None
    plan = model.plan(**{**options, "batch": cost.sizes.get(DOTS, options["batch"])})
    paths: defaultdict[str, list[str]] = defaultdict(list)
    for path, network in networks_by_path(resolved):
        paths[network.target].append(path)
    profile = find_profile(options.get("machine") or "builtin")
    inner: dict[str, Inner] = {}
    found = False
    for name, architecture in model.networks.items():
        planned = plan.plans[name]
        leading = architecture.network.leading
        sizes = {key: size for key, size in planned.sizes.items() if key != leading}
        own = cost_of(
            architecture.network,
            planned,
            batch=planned.batch,
            sizes=sizes,
            profile=profile,
            mode=cost.mode,
        )
        target = architecture.network.target
        bonds, has = _bonds(architecture, own, paths[target], weights, theme)
        found = found or has
        inner[target] = Inner(architecture, own, bonds)
    if weights is not None and not found:
        words = "they have no tensors of its networks" if inner else "it has no networks with bonds"
        raise ValueError(f"these weights are not those of {resolved.target}: {words}")
    families: defaultdict[int, dict[str, None]] = defaultdict(dict)
    span = resolved.block.span
    declared = [(part.declared, part.family) for part in resolved.parts]
    declared += [(tensor.declared, tensor.family) for tensor in resolved.tensors]
    for place, family in declared:
        if place.source == span.source:
            families[span.source.position(place.start)[0]][family] = None
    source = sources(span, model.source(plan=plan), families)
    named = resolved.name, resolved.target, resolved.doc
    top, sections = model_sections(*named, drawings(), cost, inner, source, theme)
    return Report(resolved.target, page(resolved.target, top, sections, theme))


def _bonds(
    architecture: Architecture,
    cost: Cost,
    paths: list[str],
    weights: Weights | None,
    theme: Theme,
) -> tuple[Html, bool]:
    """The bonds of a network of a model, and whether the weights have its tensors.

    With weights they are those of its first part that has tensors of its own.
    """
    network = architecture.network
    fresh = dict(architecture.module(seed=0, plan=cost.plan).state_dict())
    if weights is None:
        return bonds_part(network, cost, fresh, fresh, theme, given=False), True
    for path in paths:
        start = f"{path}." if path else ""
        own = {key.removeprefix(start): weights[key] for key in weights if key.startswith(start)}
        if not fresh.keys() <= own.keys():
            continue
        own = {key: own[key] for key in fresh}
        part = bonds_part(network, cost, own, fresh, theme, given=True)
        alike = f", one of {len(paths):,} parts that are alike" if len(paths) > 1 else ""
        title = element("h3", text("The bonds of "), element("code", text(path)), text(alike))
        return (joined([title, part]) if part else EMPTY), True
    return EMPTY, False  # its tensors are those of another part
