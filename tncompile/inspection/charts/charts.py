"""TEMPORARY STUB"""

from dataclasses import dataclass
from typing import Any


@dataclass
class _Any:
    def __init__(self, *a: Any, **k: Any) -> None:
        self.title = str(a[0] if a else k.get("title", ""))


class Dot(_Any): ...


class Line(_Any): ...


class Lines(_Any): ...


class Scatter(_Any): ...


class Stack(_Any): ...


class Stacks(_Any): ...


class Spectrum(_Any): ...


class Tile(_Any): ...


class TreeMap(_Any): ...


def chart_svg(chart: Any, theme: str = "auto", number: int = 0) -> str:
    return '<svg width="300" height="60"><text y="20">chart</text></svg>'
