"""A network and its contraction: two pictures, a table and code that a slider goes through."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import tncompile.planning.wording as wording
from tncompile.inspection.drawing import signs
from tncompile.inspection.drawing.contractions.draw import contraction_scene, rung_keys
from tncompile.inspection.drawing.contractions.reading import Rung, leaf_names, rungs_of
from tncompile.inspection.drawing.networks.draw import network_scene
from tncompile.inspection.drawing.scene import Scene
from tncompile.inspection.drawing.svg import svg_of
from tncompile.inspection.drawing.theme import Theme
from tncompile.inspection.report.markup import EMPTY, Html, data, element, joined, text
from tncompile.inspection.report.source import Method, code, contracting_method
from tncompile.planning.report.cost import Cost
from tncompile.planning.report.cost_table import step_cells, step_head
from tncompile.simulation.modes import MODES

if TYPE_CHECKING:
    from tncompile.architecture import Architecture

SMALLEST = 0.85
"""How far drawings shrink before they scroll: their type stays legible."""

ALL_ROWS = 60
"""Up to so many steps the table has all; of more those of the largest shares."""


def contraction_part(
    architecture: Architecture, cost: Cost, theme: Theme, more: Html = EMPTY
) -> Html:
    """The drawing of a network beside the tree of its contraction, with controls for the steps.

    `more` are figures that follow the steps, too.
    """
    network, variant = architecture.network, cost.chosen[cost.mode]
    drawn = network_scene(network)
    rungs = rungs_of(network, variant)
    method = _method(architecture, cost) if rungs else None
    label = "The network: arrow keys go from sign to sign, the line below tells of each"
    network_figure = element(
        "figure",
        scrolled(drawn, theme, "picture", label),
        element(
            "p",
            text("Hover, tap, or go through the drawing with the arrow keys."),
            class_="info",
            aria_live="polite",
        ),
    )
    if not rungs:
        return element("div", network_figure, more)
    tree_figure = element(
        "figure",
        scrolled(
            contraction_scene(network, variant, drawn),
            theme,
            "tree",
            "The order of contraction, the first step below",
        ),
        element("figcaption", text(f"{_order(cost)}. The first step is the lowest.")),
    )
    words = f"{len(rungs):,} step{'s' if len(rungs) != 1 else ''}: move the slider, or press Play."
    shown = list(range(len(rungs)))
    if len(rungs) > ALL_ROWS:
        shown = wording.largest_rows([rung.step.share for rung in rungs])
    bars: defaultdict[int | None, list[int]] = defaultdict(list)
    for place, each in enumerate(cost.live_bytes.steps):
        bars[each.contraction].append(place)
    shown_as = rung_keys(rungs)
    return element(
        "div",
        element("div", network_figure, tree_figure, class_="two"),
        element(
            "div",
            _controls(len(rungs)),
            element("p", text(words), class_="say", aria_live="polite"),
            class_="steps",
        ),
        element("div", *_beside(more, method), class_="two"),
        _table(rungs, shown, cost),
        data(
            {
                "steps": [
                    _step(rung, shown_as[rung.number], method, bars[rung.number]) for rung in rungs
                ],
                "leaves": leaf_names(network, variant),
                "folded": {f.key: f.members for f in drawn.figures if f.members},
            }
        ),
        class_="contraction",
    )


def scrolled(scene: Scene, theme: Theme, kind: str, label: str, number: int = 0) -> Html:
    """A drawing in a box of its own: a little smaller where there is no room, then it scrolls."""
    least = SMALLEST * (scene.extent().width + 2 * signs.MARGIN[0])
    return element(
        "div",
        Html(svg_of(scene, theme, number=number)),
        class_=f"scroll {kind}",
        tabindex="0",
        role="group",
        aria_label=label,
        style=f"--wide:{least:.0f}px",
    )


def _beside(more: Html, method: Method | None) -> list[Html]:
    """What follows the steps beside the pictures."""
    parts = [more] if more else []
    if method is not None:
        lines = code(method.written, label="The code of each step", long=True)
        words = "The lines of the step that is shown light up."
        parts.append(element("figure", lines, element("figcaption", text(words))))
    return parts


def _order(cost: Cost) -> str:
    plan = wording.plan_text(cost.found_by, cost.chosen[cost.mode].schedule)
    return f"The order of contraction: {plan}, {wording.MODE_TEXT[cost.mode]}"


def _controls(count: int) -> Html:
    return element(
        "div",
        element("button", text("◀"), class_="back", aria_label="The step before"),
        Html(
            f'<input type="range" min="0" max="{count}" value="0" aria-label="Step" '
            'aria-valuetext="the whole network">'
        ),
        element("button", text("▶"), class_="forth", aria_label="The next step"),
        element("button", text("Play"), class_="play"),
        class_="controls",
    )


def _method(architecture: Architecture, cost: Cost) -> Method | None:
    """The code of the contraction that is shown, alone: as the module has it for this batch."""
    variant = cost.chosen[cost.mode]
    whole = replace(variant, schedule=variant.schedule.at_once)
    modes = tuple(replace(variant, mode=mode, up_to=None) for mode in MODES)
    alone = replace(cost.plan, variants=modes, whole=whole, repeats=(), alternatives=())
    return contracting_method(architecture.source(plan=alone))


def _step(rung: Rung, drawn_as: str, method: Method | None, memory: list[int]) -> dict[str, object]:
    """What the script of the page has to know of a step; `memory` are its bars."""
    step = rung.step
    kept = ", ".join(rung.step.indices) or "a scalar"
    ended = ", ".join(rung.contracted[:6]) + (" …" if len(rung.contracted) > 6 else "")
    times = f"{step.count} × " if step.count > 1 else ""
    over = f"sums over {ended}" if rung.contracted else "sums over nothing"
    figures = (
        f"{wording.count_text(step.multiply_adds)} multiply-adds, "
        f"{wording.bytes_text(step.bytes)}, {wording.percent_text(step.share)} of the time"
    )
    words = f"{step.result} = {times}{step.contraction} {over}, keeps {kept}: {figures}."
    lines = None if method is None else method.lines.get(rung.contraction + 1)
    return {
        "result": step.result,
        "rung": drawn_as,
        "row": str(rung.number),
        "left": _runs(rung.left.leaves),
        "right": _runs(rung.right.leaves),
        "ends": list(rung.contracted),
        "words": words,
        "memory": memory,
        "lines": lines,
    }


def _runs(bits: int) -> list[tuple[int, int]]:
    """The positions of bits that are set, as runs of first and last ones.

    >>> _runs(0b1011)
    [(0, 1), (3, 3)]
    """
    found: list[tuple[int, int]] = []
    at = 0
    while bits:
        zeros = (bits & -bits).bit_length() - 1
        bits >>= zeros
        ones = (~bits & (bits + 1)).bit_length() - 1
        bits >>= ones
        found.append((at + zeros, at + zeros + ones - 1))
        at += zeros + ones
    return found


def _table(rungs: tuple[Rung, ...], shown: list[int], cost: Cost) -> Html:
    rows = []
    for number in shown:
        cells = [
            element("td", text(each), class_="text" if place < 3 else False)
            for place, each in enumerate(step_cells(rungs[number].step))
        ]
        rows.append(element("tr", *cells, data_row=str(number)))
    heads = [
        element("th", text(each), class_="text" if place < 3 else False, scope="col")
        for place, each in enumerate(step_head(cost.mode))
    ]
    note = EMPTY
    if len(shown) < len(rungs):
        words = f"The {len(shown)} steps of the largest shares; {len(rungs) - len(shown):,} more."
        note = element("p", text(words), class_="caption")
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *rows))
    box = element("div", table, class_="scroll", tabindex="0", role="group", aria_label="Steps")
    return joined([note, box])
