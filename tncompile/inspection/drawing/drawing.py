"""A drawing as users hold it: SVG, a page of HTML, a PNG, in a notebook."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, Protocol, get_args

from tncompile.files import replaced
from tncompile.inspection.drawing.markup import escaped
from tncompile.inspection.drawing.scene import Page
from tncompile.inspection.drawing.svg import svg_of
from tncompile.inspection.drawing.theme import DARK, FONT, LIGHT, Theme
from tncompile.language.diagnostics.spelling import one_of

THEMES: tuple[Theme, ...] = get_args(Theme)
FORMATS = (".svg", ".png", ".html")
NARROWEST, WIDEST = 240, 10_000
"""The widths of a page, in px, that a drawing can be asked for."""

PNG_ZOOM = 2.0
"""Pixels of a PNG for each px of the drawing: sharp on dense screens, and in print."""

STYLE = (
    f"body{{font-family:{FONT}}}"
    + "summary{padding:.5em 0;cursor:pointer;overflow-wrap:anywhere}details svg{display:block}"
)
SCRIPT = (
    "const open=()=>{const place=document.getElementById(location.hash.slice(1));"
    "if(place instanceof HTMLDetailsElement){place.open=true;place.scrollIntoView()}};"
    "addEventListener('hashchange',open);open()"
)
"""Opens what a link leads to."""

MOST_DEEP = 4
"""How often parts of parts are unfolded at most."""

_shown = count(1)


class Titled(Protocol):
    """What stands where, with a title: the scene of a network or a model, or a chart."""

    @property
    def title(self) -> str: ...


class Writer(Protocol):
    """Writes scenes of a kind as SVG; `number` tells apart copies on one page."""

    def __call__(self, scene: Any, theme: Theme, *, number: int = 0) -> str: ...


def require_page(theme: str, width: int) -> None:
    """ValueError for another theme, and for a page that is narrower or wider; TypeError."""
    one_of("the theme", theme, THEMES)
    require_width(width)


def require_width(width: int) -> None:
    """ValueError for a page that is narrower or wider than one can ask for; TypeError."""
    if isinstance(width, bool) or not isinstance(width, int):
        raise TypeError(f"width is a number of px, not {width!r}")
    if not NARROWEST <= width <= WIDEST:
        raise ValueError(f"width is from {NARROWEST} to {WIDEST:,} px, not {width:,}")


@dataclass(frozen=True)
class Drawing:
    """A picture: `svg`, `html()`, `png()`, `save(path)`; notebooks show it by itself.

    >>> picture = arch.draw()
    >>> picture.svg.startswith("<svg"), picture
    (True, Drawing(Tensor network MPO(ins = [4, 8], outs = [8, 4], ranks = [4])))
    """

    scene: Titled
    theme: Theme = "auto"
    page: Callable[[], Page] | None = None  # for `html()` alone, so made when it is asked for
    write: Writer = field(default_factory=lambda: svg_of)  # no method, as a default would be

    def __repr__(self) -> str:
        return f"Drawing({self.scene.title})"

    @cached_property
    def svg(self) -> str:
        """The text of an SVG: the same for the same network, theme and options, on any machine.

        >>> arch.draw().svg.count("<title>bond b[0]: size 4, joins G[0] and G[1]</title>")
        1
        """
        return self.write(self.scene, self.theme)

    def html(self) -> str:
        """A page with the picture, which loads nothing.

        Blocks of a model are links to their own pictures below: a click, or Enter, unfolds them.

        >>> arch.draw().html().splitlines()[0]
        '<!doctype html>'
        """
        page = None if self.page is None else self.page()
        inner = page.inner if page else ()
        light, dark = (f"body{{background:{p.ground};color:{p.ink}}}" for p in (LIGHT, DARK))
        colors = dark if self.theme == "dark" else light
        if self.theme == "auto":
            colors += f"@media (prefers-color-scheme:dark){{{dark}}}"
        policy = "default-src 'none'; style-src 'unsafe-inline'"
        if inner:
            digest = b64encode(sha256(SCRIPT.encode()).digest()).decode()
            policy += f"; script-src 'sha256-{digest}'"
        sections = "".join(
            f'<details id="{place}"><summary>{escaped(title)}</summary>'
            f"{self.write(scene, self.theme, number=number)}</details>"
            for number, (place, title, scene) in enumerate(inner, 1)
        )
        script = f"<script>{SCRIPT}</script>" if inner else ""
        picture = self.write(page.linked if page else self.scene, self.theme)
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{escaped(self.scene.title)}</title><style>{colors}{STYLE}</style></head>"
            f"<body>{picture}{sections}{script}</body></html>\n"
        )

    def png(self, *, zoom: float = PNG_ZOOM) -> bytes:
        """The picture as a PNG, in light colors unless the theme is dark.

        A px of the picture becomes `zoom` pixels. Raises ImportError where resvg-py, which renders
        it, is not installed, and ValueError for a zoom that is not from 0.01 to 32.

        >>> arch.draw().png()[1:4]
        b'PNG'
        """
        if not 0.01 <= zoom <= 32:
            raise ValueError(f"zoom is from 0.01 to 32, not {zoom}")
        try:
            from resvg_py import svg_to_bytes
        except ImportError:
            words = "resvg-py makes PNGs and is not here: pip install 'tncompile[png]'"
            raise ImportError(words) from None
        fixed: Theme = "dark" if self.theme == "dark" else "light"
        return bytes(svg_to_bytes(svg_string=self.write(self.scene, fixed), zoom=zoom))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `.svg`, `.png` or `.html`, by the name; the file appears whole or not at all.

        Raises ValueError for another name, ImportError as `png` does, OSError where it cannot be
        written.

        >>> arch.draw().save("mpo.svg")
        """
        with replaced(Path(path)) as target:
            target.write_bytes(self.encoded(Path(path).suffix))

    def encoded(self, suffix: str) -> bytes:
        """The bytes of a file of a name that ends in `.svg`, `.png` or `.html`.

        >>> arch.draw().encoded(".svg")[:4]
        b'<svg'
        """
        one_of("the end of the name", suffix.lower(), FORMATS)
        if suffix.lower() == ".png":
            return self.png()
        return (self.html() if suffix.lower() == ".html" else self.svg + "\n").encode()

    def _repr_svg_(self) -> str:
        """With ids of its own each time: a page that hides a cell would hide its twins, too."""
        return self.write(self.scene, self.theme, number=next(_shown))
