"""The report of a model: its blocks, its parts by what they take, what its networks are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tncompile.planning.wording as wording
from tncompile.inspection.charts.chart import Part, TreeMap
from tncompile.inspection.charts.numbers import Axis
from tncompile.inspection.charts.show import chart_svg
from tncompile.inspection.drawing.scene import Page
from tncompile.inspection.drawing.theme import Theme
from tncompile.inspection.report.contraction import SMALLEST, contraction_part, scrolled
from tncompile.inspection.report.costs import WIDTH, batch_figure, memory_figure
from tncompile.inspection.report.markup import EMPTY, Html, element, joined, table, text
from tncompile.inspection.report.page import Section, head, time_at
from tncompile.models.costs.report import COLUMNS, ModelCost, PartCost, part_rows
from tncompile.planning.report.cost import Cost

if TYPE_CHECKING:
    from tncompile.architecture import Architecture

MOST_ROWS = 120

EM_SPACE = "\u2003"


@dataclass(frozen=True)
class Inner:
    """A network of a model, and its cost for the rows that reach it."""

    architecture: Architecture
    cost: Cost
    bonds: Html = EMPTY


def model_sections(
    name: str,
    target: str,
    doc: str | None,
    drawings: Page,
    cost: ModelCost,
    inner: Mapping[str, Inner],
    source: Html,
    theme: Theme,
) -> tuple[Html, list[Section]]:
    """The top of the page, and its sections; `inner` are its networks by target."""
    blocks = element(
        "figure",
        scrolled(
            drawings.linked,
            theme,
            "picture",
            "The model: arrow keys go from block to block, Enter opens one",
        ),
        element(
            "p",
            text("Arrow keys go from block to block; Enter, or a click, opens what it is made of."),
            class_="info",
            aria_live="polite",
        ),
    )
    sections = [
        Section("model", "Blocks", blocks),
        Section("parts", "Parts and costs", _parts(cost, theme)),
        Section("made-of", "What blocks are made of", _details(drawings, inner, theme)),
        Section("source", "Source", source),
    ]
    return head(name, target, doc, _figures(cost)), sections


def _figures(cost: ModelCost) -> list[tuple[str, str]]:
    return [
        ("stored numbers", f"{cost.parameters:,}"),
        (time_at(cost.sizes), wording.seconds_text(cost.seconds)),
        ("FLOPs", wording.count_text(cost.flops)),
        ("peak memory", wording.bytes_text(cost.peak_bytes)),
    ]


# ── parts ───────────────────────────────────────────────────────────────────────────────────────


def _parts(cost: ModelCost, theme: Theme) -> Html:
    """Tree maps of the parts by parameters, FLOPs and time, and their table."""
    kinds = (("parameters", "numbers stored"), ("FLOPs", "FLOPs"), ("time", "predicted time"))
    maps = [
        element(
            "figure",
            element(
                "div",
                Html(chart_svg(_map(cost, kind, words), theme, width=WIDTH)),
                class_="scroll",
                tabindex="0",
                role="group",
                aria_label=f"Parts by {words}",
                style=f"--wide:{SMALLEST * WIDTH:.0f}px",
            ),
            data_map=kind,
            hidden=place > 0,
        )
        for place, (kind, words) in enumerate(kinds)
    ]
    options = [element("option", text(words), value=kind) for kind, words in kinds]
    rows = [_row(cells) for cells in part_rows(cost)]
    shown = rows[:MOST_ROWS]
    caption = f"A row a part, those that are alike together; {wording.MODE_TEXT[cost.mode]}."
    if len(rows) > len(shown):
        caption += f" The first {len(shown)} of {len(rows):,}."
    uncounted = EMPTY
    if cost.uncounted:
        words = f"Not counted: {', '.join(cost.uncounted)}, which Python has."
        uncounted = element("p", text(words), class_="note")
    return joined(
        [
            element(
                "div",
                element(
                    "div",
                    element(
                        "div",
                        element("label", text("Areas by "), element("select", *options)),
                        class_="controls",
                    ),
                    *maps,
                    class_="parts",
                ),
                batch_figure(cost, theme),
                class_="two",
            ),
            uncounted,
            table(COLUMNS, shown, texts=2, caption=caption),
        ]
    )


AXES = {
    "parameters": Axis("parameters", text=wording.count_text),
    "FLOPs": Axis("FLOPs", text=wording.count_text),
    "time": Axis("predicted time", text=wording.seconds_text, unit="s"),
}


def _map(cost: ModelCost, kind: str, words: str) -> TreeMap:
    title = f"{cost.name.partition('(')[0]} by {words}"
    whole = _part(cost.root, kind, cost)
    own = [Part("its own", whole.weight)] if whole.weight else []
    return TreeMap(title, [*whole.parts, *own], AXES[kind])


def _part(part: PartCost, kind: str, cost: ModelCost) -> Part:
    """A part and its parts; what it takes beyond these is its own weight."""
    inner = [_part(each, kind, cost) for each in part.parts]
    own = max(0.0, _weight(part, kind, cost) - sum(each.total for each in inner))
    return Part(part.name, own, inner, part.kind)


def _weight(part: PartCost, kind: str, cost: ModelCost) -> float:
    figures = part.training if cost.mode == "training" else part.inference
    numbers = {"parameters": part.parameters, "FLOPs": figures.flops, "time": figures.seconds}
    return float(numbers[kind])


def _row(cells: tuple[str, ...]) -> tuple[str, ...]:
    """A row of the table of a cost: spaces in front that HTML keeps, long calls cut."""
    name = cells[0].lstrip(" ")
    indented = EM_SPACE * ((len(cells[0]) - len(name)) // 2) + name
    return (indented, wording.shortened(cells[1], 48), *cells[2:])


# ── what blocks are made of ─────────────────────────────────────────────────────────────────────


def _details(drawings: Page, inner: Mapping[str, Inner], theme: Theme) -> Html:
    """A part of the page for each network and model that blocks stand for."""
    parts = []
    for number, (place, target, scene) in enumerate(drawings.inner, 1):
        if target in inner:
            found = inner[target]
            memory = memory_figure(found.cost, theme)
            contraction = contraction_part(found.architecture, found.cost, theme, memory)
            body = joined([contraction, found.bonds])
        else:
            body = scrolled(scene, theme, "picture", f"The blocks of {target}", number)
        summary = element("summary", text(wording.shortened(target, 160)))
        parts.append(element("details", summary, body, id=place))
    return joined(parts) if parts else element("p", text("Layers of torch alone."))
