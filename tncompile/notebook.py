"""Tables of text as a notebook shows them."""

from __future__ import annotations

from html import escape

STYLE = "white-space: pre; overflow-x: auto; font-family: monospace; line-height: 1.25"
"""As wide as it is, whatever the notebook does with `<pre>`."""


def as_html(text: str) -> str:
    """A table of text as HTML, with nothing in it that a browser could take for markup.

    >>> as_html("a < b").partition(">")[2]
    'a &lt; b</pre>'
    """
    return f'<pre style="{STYLE}">{escape(text)}</pre>'
