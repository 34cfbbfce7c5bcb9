"""The colors of drawings, light and dark, as the rules of a style sheet.

Plain hex values: notebooks, papers and converters know no variables of CSS. Fills of shared
parameters are told apart with protanopia, deuteranopia and tritanopia (by OKLab distances of what
Machado, Oliveira and Fernandes simulate, 2009); text has a contrast of 5 : 1 on each of them. The
colors of series are told apart likewise, and labels in them have a contrast of 4.5 : 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Theme = Literal["auto", "light", "dark"]

FONT = "'Source Sans 3','Helvetica Neue',Helvetica,Arial,'Liberation Sans',sans-serif"


@dataclass(frozen=True)
class Palette:
    """The colors of one theme."""

    ground: str
    ink: str
    dim: str
    leg: str
    batch: str
    tensor: tuple[str, str]  # fill, stroke
    input: tuple[str, str]
    output: tuple[str, str]
    frozen: tuple[str, str]
    shared: tuple[str, ...]
    operands: tuple[str, str, str]  # the first, the second, the legs that are contracted
    series: tuple[str, ...]  # lines and markers of charts
    on_fill: str  # text of charts on shared fills


LIGHT = Palette(
    "#ffffff",
    "#1b2430",
    "#5b6675",
    "#4a5668",
    "#8a94a3",
    ("#e8eff7", "#33506f"),
    ("#fdf3dc", "#9a6a00"),
    ("#e3f3ea", "#1f7a4d"),
    ("#eceef1", "#6b7280"),
    ("#fec2b7", "#a4b2fd", "#f7eb8b", "#f29baf", "#dcc662", "#c3cff6"),
    ("#0067a8", "#c24e00", "#b3006b"),
    ("#0067a8", "#c24e00", "#9933ff", "#881100", "#553366", "#3300cc"),
    "#1b2430",
)

DARK = Palette(
    "#12161c",
    "#e8edf3",
    "#a3aebc",
    "#9fb0c4",
    "#76828f",
    ("#1f2d3d", "#8fb3d9"),
    ("#33290f", "#e0b24f"),
    ("#12301f", "#63c596"),
    ("#262b33", "#9aa3af"),
    ("#765d07", "#5155a4", "#0f7260", "#2a3679", "#4d410b", "#15525f"),
    ("#6cb8f0", "#ffa45c", "#ff7ac0"),
    ("#6cb8f0", "#ffa45c", "#dd5599", "#998800", "#55eeee", "#7777ff"),
    "#ffffff",
)


Rules = list[tuple[str, str]]
"""Selectors and declarations."""


def plain_rules(colors: Palette) -> Rules:
    """Those of networks and models."""
    tensor, given, output, frozen = colors.tensor, colors.input, colors.output, colors.frozen
    pairs = [("n", tensor), ("i", given), ("o", output), ("f", frozen)]
    boxes = [(f".{name}", f"fill:{a};stroke:{b};stroke-width:1.5") for name, (a, b) in pairs]
    shared = [
        (f".s{place}", f"fill:{fill};stroke:{tensor[1]};stroke-width:1.5")
        for place, fill in enumerate(colors.shared)
    ]
    return [
        (".bg", f"fill:{colors.ground}"),
        ("text", f"font-family:{FONT};fill:{colors.ink}"),
        (".e", f"fill:none;stroke:{colors.leg};stroke-linecap:round"),
        (".h", f"fill:none;stroke:{colors.ground}"),
        (".b", f"fill:none;stroke:{colors.batch};stroke-width:1.6;stroke-dasharray:6 4"),
        (".bd", f"fill:{colors.batch}"),
        *boxes,
        *shared,
        (".m", f"fill:{colors.ground};stroke:{tensor[1]};stroke-width:1.5"),
        (".ib", f"stroke:{given[1]};stroke-width:4.5;stroke-linecap:round"),
        (".ob", f"stroke:{output[1]};stroke-width:4.5;stroke-linecap:round"),
        (".iq", f"fill:{given[1]}"),
        (".oq", f"fill:{output[1]}"),
        (".iv", f"stroke:{given[1]};stroke-width:.7;opacity:.7"),
        (".ov", f"stroke:{output[1]};stroke-width:.7;opacity:.7"),
        (".d", f"fill:{colors.leg}"),
        (".x", f"stroke:{frozen[1]};stroke-width:1.2;opacity:.55"),
        (".t", f"fill:{colors.dim}"),
        (".p", f"fill:{colors.ground}"),
        (
            ".l",
            f"stroke:{colors.ground};stroke-width:2.6px;paint-order:stroke;stroke-linejoin:round",
        ),
        (".k", "font-style:italic"),
        (".w", "font-weight:600"),
    ]


def _marks(colors: Palette) -> list[tuple[str, str]]:
    """Outlines of what differs between two pictures: heavy, and dashed where one has it alone."""
    first, second, both = colors.operands
    kinds = ((both, "none", "changed"), (first, "7 3", "first"), (second, "7 3", "second"))
    outline = "stroke:{};stroke-width:3.6;stroke-dasharray:{}"
    return [
        *((f".c-{name}", outline.format(color, dashes)) for color, dashes, name in kinds),
        *(
            (f".w-{name}", f"fill:none;stroke:{color};stroke-dasharray:{dashes}")
            for color, dashes, name in kinds
        ),
    ]


def marked_rules(colors: Palette) -> Rules:
    """The rules of drawings in which outlines say what differs."""
    return [*plain_rules(colors), *_marks(colors)]


def style(scope: str, theme: Theme, rules: Callable[[Palette], Rules] = plain_rules) -> str:
    """The rules of a theme for what is under a selector; `auto` follows the reader's system."""

    def sheet(colors: Palette) -> str:
        return "".join(f"{scope} {name}{{{rule}}}" for name, rule in rules(colors))

    if theme == "dark":
        return sheet(DARK)
    if theme == "light":
        return sheet(LIGHT)
    return f"{sheet(LIGHT)}@media (prefers-color-scheme:dark){{{sheet(DARK)}}}"
