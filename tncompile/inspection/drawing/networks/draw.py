"""A network to its scene."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tncompile.inspection.drawing import signs
from tncompile.inspection.drawing.layout.layers import density_of, layered
from tncompile.inspection.drawing.layout.placed import FAR, placed
from tncompile.inspection.drawing.layout.subject import Group, Rows, Subject
from tncompile.inspection.drawing.networks.families import grid_of, groups_of
from tncompile.inspection.drawing.networks.folding import GENTLE, HARDEST, folded
from tncompile.inspection.drawing.networks.grid import grid_pitch, grid_places
from tncompile.inspection.drawing.networks.reading import subject_of
from tncompile.inspection.drawing.networks.rows import rows_of
from tncompile.inspection.drawing.networks.stress import stress_places
from tncompile.inspection.drawing.scene import Scene
from tncompile.inspection.drawing.signs import Density
from tncompile.network.model import TensorNetwork

MOST_IRREGULAR = 100
"""Nodes of a picture up to which places without rows are tried where rows are too wide."""

MOST_NAMED = 60
"""Nodes of a graph without rows above which legs have no names."""

LEAST_TYPE = 7.5
"""A picture is made denser, and folded harder, until its type has so many px on its page."""


def network_scene(network: TensorNetwork, *, unfolded: bool = False, width: int = 600) -> Scene:
    """The drawing of a network; long families, trees and grids are folded unless `unfolded`.

    Its type can be read on a page of `width` px.
    """
    return drawn(network, unfolded=unfolded, width=width)[1]


def drawn(
    network: TensorNetwork, *, unfolded: bool = False, width: int = 600
) -> tuple[Subject, Scene]:
    """What the drawing of a network shows, and the drawing."""
    whole = subject_of(network)
    if unfolded:
        return whole, _scene(whole, None)
    gentle, hardest = folded(whole, GENTLE), folded(whole, HARDEST)
    same = len(gentle.nodes) == len(hardest.nodes)
    tried = [
        (subject, density)
        for subject in ([gentle] if same else [gentle, hardest])
        for density in _densities(subject)
    ]
    best: tuple[Subject, Scene] | None = None
    for subject, density in tried:
        best = subject, _scene(subject, density)
        if _is_legible(best[1], width):
            break
    assert best is not None
    good = _is_legible(best[1], width) and not best[1].is_crowded()
    if good or grid_of(gentle) is not None or len(best[0].nodes) > MOST_IRREGULAR:
        return best
    other = _scene(best[0], signs.DENSE, in_rows=False)
    if _is_legible(other, width) and not (other.is_crowded() and _is_legible(best[1], width)):
        return best[0], other
    return best


def _densities(subject: Subject) -> list[Density]:
    """The density of a subject, and all that are denser."""
    all_of_them = [signs.LOOSE, signs.TIGHT, signs.DENSE]
    return all_of_them[all_of_them.index(density_of(subject, *_in_rows(subject))) :]


def _in_rows(subject: Subject) -> tuple[list[Group], Rows]:
    groups = groups_of(subject)
    return groups, rows_of(subject, groups)


def _is_legible(scene: Scene, page: int) -> bool:
    width = scene.extent().width + 2 * signs.MARGIN[0]
    return scene.smallest_type() * min(1.0, page / width) >= LEAST_TYPE


def _scene(subject: Subject, density: Density | None, *, in_rows: bool = True) -> Scene:
    scene = Scene(f"Tensor network {subject.target}", _description(subject))
    groups, rows = _in_rows(subject)
    density = density or density_of(subject, groups, rows)
    words = ""
    if density is signs.DENSE:
        subject, words = abbreviated(subject)
    grid = grid_of(subject)
    if grid is not None:
        places, reach = grid_places(subject, grid), FAR * grid_pitch(grid)
        scene = placed(subject, places, scene, density, reach=reach)
    elif in_rows and (made := layered(subject, scene, density, groups, rows)) is not None:
        scene = made
    else:
        if len(subject.nodes) > MOST_NAMED:
            density = signs.DENSE
        scene = placed(subject, stress_places(subject), scene, density)
    scene.legend += [*_legend(scene), *([("", words)] if words else [])]
    return scene


def _legend(scene: Scene) -> Iterator[tuple[str, str]]:
    """What the signs mean that not everybody knows, of those that occur."""
    shapes = {figure.shape for figure in scene.figures}
    cells = [cell for strip in scene.strips for cell in strip.cells]
    kinds = {wire.kind for wire in scene.wires}
    occurring = {
        "shared": any(figure.shade is not None for figure in scene.figures),
        "frozen": any(figure.frozen for figure in scene.figures),
        "one": "one" in kinds,
        "padded": any(cell.padded for cell in cells),
        "onehot": any(cell.dotted for cell in cells),
        "cut": "cut" in kinds,
        "subtree": "subtree" in shapes,
        "window": "window" in shapes,
        "square": any(cell.square for cell in cells),
    }
    for sign, occurs in occurring.items():
        if occurs:
            yield sign, MEANINGS[sign]


MEANINGS = {
    "shared": "equal color: one parameter",
    "frozen": "frozen",
    "one": "size 1",
    "padded": "padding",
    "onehot": "ids, one-hot",
    "cut": "goes round to the same name",
    "subtree": "folded subtree, its number of tensors",
    "window": "window of a convolution",
    "square": "a leg to the strip in this color",
}


def abbreviated(subject: Subject) -> tuple[Subject, str]:
    """Long names of families by a prefix that no other has, and what they stand for."""
    families = list(dict.fromkeys(n.family for n in subject.nodes.values() if n.sign == "tensor"))
    short: dict[str, str] = {}
    for family in families:
        if len(family) > 4:
            others = [other for other in families if other != family]
            ends = range(1, len(family))
            short[family] = next(
                (
                    family[:end]
                    for end in ends
                    if not any(o.startswith(family[:end]) for o in others)
                ),
                family,
            )
    nodes = dict(subject.nodes)
    for key, node in nodes.items():
        if node.sign == "tensor" and node.family in short:
            first = replace(node.small[0], text=short[node.family])
            nodes[key] = replace(node, small=(first, *node.small[1:]))
    words = ", ".join(f"{given}: {family}" for family, given in short.items() if given != family)
    return replace(subject, nodes=nodes), words


def _description(subject: Subject) -> str:
    tensors = f"{subject.tensors:,} tensor{'s' if subject.tensors != 1 else ''}"
    inputs = ", ".join(strip.title for strip in subject.inputs) or "none"
    return f"{tensors}. Inputs, below: {inputs}. Output, above: {subject.output.title}."
