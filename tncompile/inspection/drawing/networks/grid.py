"""Where the sites of a grid stand, and tensors that are not part of it."""

from __future__ import annotations

from collections.abc import Sequence

from tncompile.inspection.drawing.layout.placed import ACROSS, DOWN
from tncompile.inspection.drawing.layout.subject import Node, Subject
from tncompile.inspection.drawing.scene import Point


def grid_places(subject: Subject, grid: Sequence[Node]) -> dict[str, Point]:
    """Sites by their subscripts, rows downward; all other nodes right of the last column."""
    rows = sorted({node.subscripts[0] for node in grid})
    columns = sorted({node.subscripts[1] for node in grid})
    found = {
        node.key: (
            ACROSS * columns.index(node.subscripts[1]),
            DOWN * rows.index(node.subscripts[0]),
        )
        for node in grid
    }
    rest = [key for key in subject.nodes if key not in found]
    for number, key in enumerate(rest):
        column, row = divmod(number, len(rows))
        found[key] = (ACROSS * (len(columns) + 0.5 + column), DOWN * (row + 0.5))
    return found
