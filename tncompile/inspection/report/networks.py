"""The report of a network: the drawing and its contraction, costs, bonds, source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tncompile.planning.wording as wording
from tncompile.inspection.drawing.theme import Theme
from tncompile.inspection.report.bonds import bonds_part
from tncompile.inspection.report.contraction import contraction_part
from tncompile.inspection.report.costs import costs_part, memory_figure
from tncompile.inspection.report.markup import Html
from tncompile.inspection.report.page import Section, head, time_at
from tncompile.inspection.report.source import sources
from tncompile.planning.report.candidates import CandidatePlan, fastest_of_each
from tncompile.planning.report.cost import Cost

if TYPE_CHECKING:
    import torch

    from tncompile.architecture import Architecture
    from tncompile.planning.plan import ContractionPlan


@dataclass(frozen=True)
class Shown:
    """What a report of a network shows.

    `weights` are those that bonds are looked into, `fresh` those of a start; `given` says whether
    they are two.
    """

    cost: Cost
    candidates: tuple[CandidatePlan, ...]
    weights: Mapping[str, torch.Tensor]
    fresh: Mapping[str, torch.Tensor]
    given: bool


def network_sections(
    architecture: Architecture, shown: Shown, theme: Theme
) -> tuple[Html, list[Section]]:
    """The top of the page, and its sections."""
    network, cost = architecture.network, shown.cost
    top = head(network.name, network.target, architecture._resolved.doc, _figures(cost))
    memory = memory_figure(cost, theme)
    sections = [
        Section(
            "network",
            "Network and contraction",
            contraction_part(architecture, cost, theme, memory),
        ),
        Section("costs", "Costs", costs_part(cost, shown.candidates, theme)),
    ]
    bonds = bonds_part(
        network,
        cost,
        shown.weights,
        shown.fresh,
        theme,
        given=shown.given,
        orders=fastest_of_each(shown.candidates),
    )
    if bonds:
        sections.append(Section("bonds", "Bonds", bonds))
    sections.append(Section("source", "Source", source_part(architecture, cost.plan)))
    return top, sections


def _figures(cost: Cost) -> list[tuple[str, str]]:
    """The numbers that tell most."""
    figures = cost.figures
    rows = [("stored numbers", f"{figures.parameters:,}")]
    if figures.compression is not None:
        rows.append(("smaller than dense", wording.ratio_text(figures.compression)))
    rows.append((time_at(cost.sizes), wording.seconds_text(cost.seconds)))
    rows.append(("FLOPs", wording.count_text(cost.flops)))
    rows.append(("peak memory", wording.bytes_text(cost.peak_bytes)))
    return rows


def source_part(architecture: Architecture, plan: ContractionPlan) -> Html:
    """The text of the block beside the file that its plan becomes."""
    families: defaultdict[int, dict[str, None]] = defaultdict(dict)
    for parameter in architecture.network.parameters:
        if parameter.line is not None:
            families[parameter.line][parameter.family] = None
    return sources(architecture._resolved.block.span, architecture.source(plan=plan), families)
