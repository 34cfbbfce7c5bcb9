"""A network to its scene."""

from __future__ import annotations

from tncompile.inspection.drawing.networks.families import grid_of
from tncompile.inspection.drawing.networks.folding import folded
from tncompile.inspection.drawing.networks.grid import grid_places
from tncompile.inspection.drawing.networks.layers import layered
from tncompile.inspection.drawing.networks.placed import placed
from tncompile.inspection.drawing.networks.stress import stress_places
from tncompile.inspection.drawing.networks.subject import Subject, subject_of
from tncompile.inspection.drawing.scene import Scene
from tncompile.network.model import TensorNetwork

MOST_NAMED = 60
"""Nodes of a graph without rows above which legs have no names."""


def network_scene(network: TensorNetwork, *, unfolded: bool = False) -> Scene:
    """The drawing of a network; long families, trees and grids are folded unless `unfolded`."""
    subject = shown(network, unfolded=unfolded)
    scene = Scene(f"Tensor network {network.target}", _description(subject))
    grid = grid_of(subject)
    if grid is not None:
        return placed(subject, grid_places(subject, grid), scene, goes_round=True)
    made = layered(subject, scene)
    if made is not None:
        return made
    named = len(subject.nodes) <= MOST_NAMED
    return placed(subject, stress_places(subject), scene, goes_round=False, named=named)


def shown(network: TensorNetwork, *, unfolded: bool = False) -> Subject:
    """What the drawing of a network shows."""
    subject = subject_of(network)
    return subject if unfolded else folded(subject)


def _description(subject: Subject) -> str:
    tensors = f"{subject.tensors:,} tensor{'s' if subject.tensors != 1 else ''}"
    inputs = ", ".join(strip.title for strip in subject.inputs) or "none"
    return f"{tensors}. Inputs, below: {inputs}. Output, above: {subject.output.title}."
