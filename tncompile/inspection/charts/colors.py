"""How charts are painted: dashes and markers of series, and the rules of a style sheet."""

from __future__ import annotations

from tncompile.inspection.charts.plot import SHAPES, Shape
from tncompile.inspection.drawing.theme import FONT, Palette, Rules

DASHES = ("", "7 4", "2 3", "10 3 2 3", "14 4")
COLORS, FILLS = 6, 6


def series_style(number: int) -> tuple[int, str, Shape, str]:
    """The color, the dash, the marker and the class of the marker of a series.

    Thirty differ in dash and color, the first six in the marker, too.

    >>> series_style(0), series_style(7)
    ((0, '', 'circle', 'd0'), (1, '2 3', 'square', 'h1'))
    """
    color = number % COLORS
    name = "dh"[number // COLORS % 2]
    return color, DASHES[number % len(DASHES)], SHAPES[number % len(SHAPES)], f"{name}{color}"


def rules(colors: Palette) -> Rules:
    """Selectors and declarations; those that a chart has no use for are left out of it."""
    edge = colors.tensor[1]
    found = [
        (".bg", f"fill:{colors.ground}"),
        ("text", f"font-family:{FONT};fill:{colors.ink}"),
        (".t", f"fill:{colors.dim}"),
        (".on", f"fill:{colors.on_fill}"),
        (".w", "font-weight:600"),
        (
            ".l",
            f"stroke:{colors.ground};stroke-width:3px;paint-order:stroke;stroke-linejoin:round",
        ),
        (".g", f"fill:none;stroke:{colors.dim};stroke-width:.6;opacity:.35"),
        (".to", f"fill:none;stroke:{colors.dim};stroke-width:.8;opacity:.8"),
        (".ax", f"fill:none;stroke:{colors.dim}"),
        (".r", f"fill:none;stroke:{colors.ink};stroke-width:1.2"),
        (".bn", f"fill:{colors.dim};opacity:.16"),
        (".v", f"fill:none;stroke:{colors.dim};stroke-width:1.2;stroke-dasharray:4 3"),
        (".q", f"fill:none;stroke:{colors.ink};stroke-width:2"),
        (".e", f"fill:none;stroke:{edge};stroke-width:.8"),
        (".hit", "fill:transparent"),
        (".fr", f"fill:{colors.ground};stroke:{edge};stroke-width:1"),
        (".mo", f"fill:{colors.frozen[0]};stroke:{edge};stroke-width:.7"),
        (".mb", f"fill:{colors.frozen[0]}"),
    ]
    for place, color in enumerate(colors.series):
        found += [
            (f".c{place}", f"fill:none;stroke:{color};stroke-width:1.8;stroke-linejoin:round"),
            (f".d{place}", f"fill:{color};stroke:{colors.ground};stroke-width:1"),
            (f".h{place}", f"fill:{colors.ground};stroke:{color};stroke-width:1.6"),
            (f".x{place}", f"fill:{color}"),
        ]
    for place, fill in enumerate(colors.shared):
        found.append((f".a{place}", f"fill:{fill};stroke:{edge};stroke-width:.7"))
        found.append((f".b{place}", f"fill:{fill}"))
    return found
