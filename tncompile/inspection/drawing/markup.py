"""What every picture is written with: coordinates, text that XML can hold, the element around."""

from __future__ import annotations

import re
from hashlib import sha256
from html import escape

from tncompile.inspection.drawing.scene import Box
from tncompile.inspection.drawing.text import Line, Span

NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold, not even escaped."""


def escaped(text: str) -> str:
    """A text between tags or in an attribute; � for characters that XML cannot hold.

    >>> escaped('<b title="x">'), escaped("a\\0b")
    ('&lt;b title=&quot;x&quot;&gt;', 'a�b')
    """
    return escape(NO_XML.sub("\ufffd", text))


def px(value: float) -> str:
    """A coordinate with one decimal.

    >>> px(3.04), px(-0.04)
    ('3', '0')
    """
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def own_prefix(*parts: object) -> str:
    """What the ids and selectors of a picture begin with: a digest of what it shows.

    Pages and notebooks share one space of names.
    """
    return f"tn{sha256(chr(0).join(map(str, parts)).encode(errors='replace')).hexdigest()[:8]}"


def opened(
    own: str, view: tuple[int, int, int, int], title: str, description: str, rules: str
) -> str:
    """The root element as far as its background, for a view of left, top, width, height."""
    left, top, width, height = view
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" id="{own}" '
        f'viewBox="{left} {top} {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-labelledby="{own}t {own}d" style="max-width:100%;height:auto">'
        f'<title id="{own}t">{escaped(title)}</title>'
        f'<desc id="{own}d">{escaped(description)}</desc>'
        f"<style>{rules}</style>"
        f'<rect class="bg" x="{left}" y="{top}" width="{width}" height="{height}"/>'
    )


def written_line(x: float, y: float, line: Line, anchor: str, name: str) -> str:
    """A line of text by its anchor and baseline, in the classes `name`."""
    parts, lowered = [], 0.0
    size = line[0].size
    for span in line:
        parts.append(_span(span, size, span.lowered - lowered))
        lowered = span.lowered
    own = f' class="{name}"' if name else ""
    at = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text{own} x="{px(x)}" y="{px(y)}" font-size="{size:g}"{at}>{"".join(parts)}</text>'


def _span(span: Span, size: float, down: float) -> str:
    names = {"dim": "t", "italic": "k", "dim italic": "t k", "bold": "w"}.get(span.style, "")
    attributes = f' class="{names}"' if names else ""
    attributes += f' font-size="{span.size:g}"' if span.size != size else ""
    attributes += f' dy="{px(down)}"' if down else ""
    text = escaped(span.text)
    return f"<tspan{attributes}>{text}</tspan>" if attributes else text


def rectangle(box: Box, name: str, radius: float) -> str:
    """A rectangle with round corners."""
    return (
        f'<rect class="{name}" x="{px(box.left)}" y="{px(box.top)}" '
        f'width="{px(box.width)}" height="{px(box.height)}" rx="{radius:g}"/>'
    )
