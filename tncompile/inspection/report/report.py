"""A report as users hold it: a page of HTML, in a file or in a notebook."""

from __future__ import annotations

import os
from dataclasses import dataclass
from html import escape
from pathlib import Path

from tncompile.files import replace_file

SUFFIX = ".html"


@dataclass(frozen=True)
class Report:
    """A page about an architecture: `html`, `save(path)`; notebooks show it by itself."""

    title: str
    html: str

    def __repr__(self) -> str:
        return f"Report({self.title})"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page; the file appears whole or not at all.

        Raises ValueError for a name that does not end in `.html`, OSError where it cannot be
        written.
        """
        if Path(path).suffix.lower() != SUFFIX:
            raise ValueError(f"a report is a page of HTML: {path} does not end in {SUFFIX}")
        replace_file(Path(path), self.html)

    def _repr_html_(self) -> str:
        """In a frame of its own, whose policy and ids are no matter of the notebook."""
        style = "width:100%;height:80vh;border:0"
        title, page = escape(self.title), escape(self.html)
        return f'<iframe title="{title}" srcdoc="{page}" style="{style}"></iframe>'
