"""Where the sites of a grid stand, in one layer or several, and tensors that are not part of it."""

from __future__ import annotations

from collections.abc import Sequence

from tncompile.inspection.drawing.layout.placed import ACROSS, DOWN
from tncompile.inspection.drawing.layout.subject import Node, Subject
from tncompile.inspection.drawing.scene import Point

ASIDE = 0.72
"""How far a layer is from the one before it, to the right and up, in steps of a single grid."""


def grid_places(subject: Subject, layers: Sequence[Sequence[Node]]) -> dict[str, Point]:
    """Sites by their subscripts, rows downward; all other nodes right of the last column.

    Each layer stands to the upper right of the one before it.
    """
    pitch = grid_pitch(layers)
    rows = sorted({node.subscripts[0] for node in layers[0]})
    columns = sorted({node.subscripts[1] for node in layers[0]})
    found = {
        node.key: (
            ACROSS * (pitch * columns.index(node.subscripts[1]) + ASIDE * number),
            DOWN * (pitch * rows.index(node.subscripts[0]) - ASIDE * number),
        )
        for number, layer in enumerate(layers)
        for node in layer
    }
    right = pitch * (len(columns) - 1) + ASIDE * (len(layers) - 1) + 1.5
    rest = [key for key in subject.nodes if key not in found]
    for number, key in enumerate(rest):
        column, row = divmod(number, len(rows))
        found[key] = (ACROSS * (right + column), DOWN * (pitch * row + 0.5))
    return found


def grid_pitch(layers: Sequence[Sequence[Node]]) -> float:
    """From one site to the next of its layer, in steps of a single grid: room for all layers."""
    return 1.0 if len(layers) == 1 else ASIDE * (len(layers) + 0.8)
