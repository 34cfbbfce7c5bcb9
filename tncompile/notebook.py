"""Tables of text, printed and in a notebook."""

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


class Tabled:
    """What prints as its table, in a notebook, too."""

    def table(self) -> str:
        """The table, as text."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return self.table().rstrip("\n")

    def _repr_html_(self) -> str:
        return as_html(repr(self))
