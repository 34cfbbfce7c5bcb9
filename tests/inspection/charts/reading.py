"""What a chart says, read from its SVG."""

from __future__ import annotations

from xml.etree import ElementTree

from tncompile.inspection.charts.chart import Chart
from tncompile.inspection.charts.show import chart_svg

SVG = "{http://www.w3.org/2000/svg}"


def root_of(chart: Chart, width: int = 600) -> ElementTree.Element:
    return ElementTree.fromstring(chart_svg(chart, width=width))


def groups(root: ElementTree.Element, data: str) -> dict[str, ElementTree.Element]:
    """The groups with a name for scripts, by it."""
    return {g.get(f"data-{data}", ""): g for g in root.iter(f"{SVG}g") if g.get(f"data-{data}")}


def title(element: ElementTree.Element) -> str:
    return element.findtext(f"{SVG}title") or ""


def titles(element: ElementTree.Element) -> list[str]:
    """All tooltips within an element, in its order."""
    return [each.text or "" for each in element.iter(f"{SVG}title")]


def written(element: ElementTree.Element) -> list[str]:
    """All lines of text."""
    return ["".join(each.itertext()) for each in element.iter(f"{SVG}text")]


def description(root: ElementTree.Element) -> str:
    return root.findtext(f"{SVG}desc") or ""
