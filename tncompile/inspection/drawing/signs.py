"""The sizes of signs in px: one place for what nodes, strips, lines and labels measure."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

from tncompile.inspection.drawing.text import Line, Span

NODE_HEIGHT, NODE_RADIUS = 32.0, 9.0
MORE_HEIGHT, NOTED_HEIGHT = 14.0, 44.0
FRAME, FRAME_TITLE = 12.0, 22.0
"""Room round what a frame holds, and for its title."""

STRIP_HEIGHT, STRIP_RADIUS = 28.0, 4.0
LEG_GAP, CORNER = 11.0, 9.0
"""Between two legs on a side of a node, and from a leg to the corner."""

MARGIN = (14.0, 12.0)
LANE = 13.0
"""From one arc below a row to the next."""

SUBSCRIPT_DROP = 3.5
LABEL, LABEL_SUBSCRIPT, LABEL_DROP = 11.5, 10.0, 2.5
NAME, NAME_SUBSCRIPT = 15.0, 11.5
SMALL = 10.5


@dataclass(frozen=True)
class Density:
    """How close things stand, by how many there are in the widest row."""

    least_node: float
    node_margin: float
    node_gap: float
    bond_gap: float
    bond_pitch: float
    leg_gap: float
    cell: float
    cell_legs: float
    names: bool  # whether legs have their names
    row: float


LOOSE = Density(40, 20, 30, 44, 92, 20, 30, 20, True, 78)
TIGHT = Density(40, 20, 22, 27, 64, 20, 30, 20, True, 78)
DENSE = Density(34, 12, 10, 20, 54, 12, 26, 8, False, 68)


def line_width(size: int | None) -> float:
    """The width of the line of an index, which grows with the logarithm of its size."""
    if size is None:
        return 1.5
    return 2.0 if size == 1 else min(7.0, 1.1 + 0.55 * log2(size))


def dot_radius(width: float) -> float:
    """The radius of the dot where lines of a width meet."""
    return max(4.5, width / 2 + 2.6)


def subscript(subscripts: tuple[int, ...]) -> str:
    """Subscripts as they stand under a name."""
    return ",".join(map(str, subscripts))


def name(family: str, subscripts: tuple[int, ...], *, small: bool = False) -> Line:
    """The name of a tensor, its subscripts lowered."""
    size, below = (13.0, 10.5) if small else (NAME, NAME_SUBSCRIPT)
    spans = [Span(family, size, "italic")]
    if subscripts:
        spans.append(Span(subscript(subscripts), below, lowered=SUBSCRIPT_DROP))
    return tuple(spans)


def leg_label(
    family: str, subscripts: tuple[int, ...], size: int | None, *, named: bool = True
) -> Line:
    """The label of an index: its name, its size; the size alone where it is dense."""
    text = "" if size is None else f"{size:,}"
    if not named and text:
        return (Span(text, LABEL),)
    spans = [Span(family, LABEL, "dim italic")]
    if subscripts:
        spans.append(Span(subscript(subscripts), LABEL_SUBSCRIPT, "dim", lowered=LABEL_DROP))
    if text:
        spans.append(Span(f" {text}", LABEL))
    return tuple(spans)
