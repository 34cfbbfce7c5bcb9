"""HTML that is known to be safe: everything that comes from a user goes through `text`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import NewType

Html = NewType("Html", str)
"""Markup; a `str` becomes one by `text` alone, so that a type checker sees what was forgotten."""

EMPTY = Html("")


def text(words: str) -> Html:
    """Words with nothing in them that a browser could take for markup.

    >>> text('<b title="x">')
    '&lt;b title=&quot;x&quot;&gt;'
    """
    return Html(escape(words, quote=True))


def element(name: str, /, *children: Html, **attributes: str | bool) -> Html:
    """An element; attributes are escaped, `class_` is `class`, `aria_label` is `aria-label`.

    >>> element("p", text("a < b"), class_="say", hidden=True)
    '<p class="say" hidden>a &lt; b</p>'
    """
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{text(value)}"')
        for key, value in attributes.items()
        if value is not False
    )
    return Html(f"<{name}{written}>{joined(children)}</{name}>")


def joined(parts: Iterable[Html]) -> Html:
    """Parts in a row."""
    return Html("".join(parts))


def data(value: object) -> Html:
    """A value for the script of the page, as JSON that cannot end its element.

    >>> data("</script>")
    '<script type="application/json">"\\\\u003c/script>"</script>'
    """
    written = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Html(
        f'<script type="application/json">{written.replace("<", chr(92) + "u003c")}</script>'
    )


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int = 1, caption: str = ""
) -> Html:
    """A table that scrolls in its own box; the first `texts` columns are text, others numbers."""

    def row(cells: Sequence[str], name: str) -> Html:
        made = [
            element(name, text(cell), class_="text" if place < texts else "number")
            for place, cell in enumerate(cells)
        ]
        return element("tr", *made)

    body = element("tbody", *(row(cells, "td") for cells in rows))
    whole = element("table", element("thead", row(head, "th")), body)
    box = element(
        "div", whole, class_="scroll", tabindex="0", role="group", aria_label=caption or head[0]
    )
    return joined([element("p", text(caption), class_="caption"), box]) if caption else box
