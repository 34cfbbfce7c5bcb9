"""The frame of a report: head, style sheet, script, security policy."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from textwrap import dedent

from tncompile.inspection.drawing.theme import DARK, FONT, LIGHT, Palette, Theme
from tncompile.inspection.report.markup import EMPTY, Html, element, joined, text
from tncompile.language.docs import is_verbatim, paragraphs
from tncompile.network.model import DOTS


@dataclass(frozen=True)
class Section:
    """A part of the page that the links at its top lead to."""

    place: str
    title: str
    body: Html


def page(title: str, head: Html, sections: list[Section], theme: Theme) -> str:
    """A whole page: one file, which loads nothing and runs no script but its own."""
    script, style = _resource("script.js"), _variables(theme) + _resource("style.css")
    digest = b64encode(sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    scheme = "light dark" if theme == "auto" else theme
    links = [element("a", text(each.title), href=f"#{each.place}") for each in sections]
    body = [
        element(
            "section",
            element("h2", text(each.title)),
            each.body,
            id=each.place,
        )
        for each in sections
    ]
    footer = element("footer", text("Made by tncompile."))
    nav = element("nav", *links, aria_label="Sections") if len(links) > 1 else EMPTY
    main = element("main", element("header", head, nav), *body, footer)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="color-scheme" content="{scheme}"><title>{text(title)}</title>'
        f"<style>{style}</style></head>"
        f"<body>{joined([main])}<script>{script}</script></body></html>\n"
    )


@cache
def _resource(name: str) -> str:
    return (files("tncompile.inspection.report") / name).read_text(encoding="utf-8")


def _variables(theme: Theme) -> str:
    """The colors of drawings as variables of the page."""

    def sheet(colors: Palette) -> str:
        first, second, contracted = colors.operands
        values = {
            "ground": colors.ground,
            "ink": colors.ink,
            "dim": colors.dim,
            "line": colors.frozen[0],
            "edge": colors.batch,
            "first": first,
            "second": second,
            "contracted": contracted,
            "text": colors.output[1],
            "number": colors.input[1],
        }
        return ":root{" + "".join(f"--{name}:{value};" for name, value in values.items()) + "}"

    font = f"body{{font-family:{FONT}}}"
    if theme != "auto":
        return sheet(DARK if theme == "dark" else LIGHT) + font
    return f"{sheet(LIGHT)}@media(prefers-color-scheme:dark){{{sheet(DARK)}}}{font}"


def _paragraph(lines: list[str]) -> Html:
    """A paragraph of a docstring; drawings stay as they are."""
    if is_verbatim(lines):
        drawing = dedent("\n".join(lines))
        return element("pre", text(drawing), tabindex="0", class_="plain", aria_label="A drawing")
    return element("p", text(" ".join(lines)))


def head(title: str, target: str, doc: str | None, figures: list[tuple[str, str]]) -> Html:
    """The top of a page: what it is about, and its most telling numbers."""
    told = [_paragraph(lines) for lines in paragraphs(doc)]
    numbers = [
        element("div", element("dt", text(name)), element("dd", text(value)))
        for name, value in figures
    ]
    return joined(
        [
            element("h1", text(title)),
            element("p", element("code", text(target))),
            *told,
            element("dl", *numbers, class_="figures"),
        ]
    )


def time_at(sizes: Mapping[str, int]) -> str:
    """What the time of a figure is of.

    >>> time_at({"...": 64, "n": 8}), time_at({})
    ('time, batch 64, n = 8', 'time')
    """
    named = (
        f"batch {size:,}" if name == DOTS else f"{name} = {size:,}" for name, size in sizes.items()
    )
    return ", ".join(["time", *named])
