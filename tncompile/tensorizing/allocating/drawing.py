"""An allocation as a picture: for each layer how much of it is kept, and its part of the error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from tncompile.tensorizing.allocating.allocation import Choice

WIDE, NAMED, LABELED, ROW, TOP = 760, 200, 190, 22, 46
"""Pixels: all, the column of names, that of what a layer becomes, a row, what is above the rows."""

LONGEST, LONGEST_CALL = 30, 32
"""Characters of a name, of which the end is shown, and of what a layer becomes."""

GRAY, BLUE, RED, INK = "#e3e6ea", "#3b76b0", "#c0504d", "#222222"


def drawn(layers: Sequence[Choice], title: str) -> str:
    """A picture in SVG, a row a layer.

    The bar is the layer: its length is the root of its parameters, the dark part that of what is
    kept of them. The line below is its part of the squared error that is predicted.
    """
    most = max(each.dense for each in layers) or 1
    lost = sum(each.error for each in layers) or 1.0
    room = WIDE - NAMED - LABELED - 20
    height = TOP + ROW * len(layers) + 8
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDE}" height="{height}"'
        f' viewBox="0 0 {WIDE} {height}" font-family="sans-serif" font-size="11" fill="{INK}">',
        f'<rect width="{WIDE}" height="{height}" fill="white"/>',
        f'<text x="8" y="16" font-size="12">{escape(title)}</text>',
        *_legend(),
    ]
    for number, each in enumerate(layers):
        y = TOP + ROW * number
        whole = room * (each.dense / most) ** 0.5
        kept = whole * each.parameters / (each.dense or 1)
        name = each.name or "(the model)"
        name = name if len(name) <= LONGEST else "…" + name[1 - LONGEST :]
        part = 100 * each.parameters / (each.dense or 1)
        said = f"{part:.0f} % {each.block or 'kept'} {each.rank if each.block else ''}".strip()
        said = said if len(said) <= LONGEST_CALL else said[: LONGEST_CALL - 1] + "…"
        lines += [
            f'<text x="{NAMED - 8}" y="{y + 12}" text-anchor="end">{_plain(name)}</text>',
            f'<rect x="{NAMED}" y="{y + 2}" width="{whole:.1f}" height="12" fill="{GRAY}"/>',
            f'<rect x="{NAMED}" y="{y + 2}" width="{kept:.1f}" height="12" fill="{BLUE}"/>',
            f'<rect x="{NAMED}" y="{y + 15}" width="{room * each.error / lost:.1f}" height="3"'
            f' fill="{RED}"/>',
            f'<text x="{WIDE - LABELED - 12}" y="{y + 12}">{_plain(said)}</text>',
        ]
    return "\n".join([*lines, "</svg>\n"])


def _legend() -> list[str]:
    """What the colors are."""
    found, x = [], NAMED
    for color, what in ((BLUE, "parameters kept"), (GRAY, "saved"), (RED, "part of the error")):
        found.append(f'<rect x="{x}" y="28" width="10" height="10" fill="{color}"/>')
        found.append(f'<text x="{x + 14}" y="37">{what}</text>')
        x += 24 + 7 * len(what)
    return found


def _plain(text: str) -> str:
    """A name as text of XML, without what no reader of XML takes."""
    return escape("".join(each if each.isprintable() else "�" for each in text))
