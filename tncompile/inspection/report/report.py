"""A report as users hold it: a page of HTML, in a file or in a notebook."""

from __future__ import annotations

import os
from dataclasses import dataclass
from html import escape
from pathlib import Path

from tncompile.files import replaced

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
        with replaced(Path(path)) as target:
            target.write_text(self.html, encoding="utf-8")

    def _repr_html_(self) -> str:
        """In a frame of its own, whose policy and ids are no matter of the notebook."""
        style = "width:100%;height:80vh;border:0"
        return f'<iframe srcdoc="{escape(self.html)}" style="{style}"></iframe>'
