"""Ways to lower a tree that are worth a closer look: forms of its products, parts of the batch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

from tncompile.lowering.lower import loop_index, lower
from tncompile.lowering.schedule import STRAIGHT, Schedule
from tncompile.lowering.stacking.grouping import LONG, units
from tncompile.machine.profile import MachineProfile
from tncompile.network.contraction import ContractionTree
from tncompile.network.model import TensorNetwork
from tncompile.planning.layouts.assignment import arrange
from tncompile.planning.layouts.estimates import LayoutCostModel
from tncompile.simulation.trace import trace

PART_BYTES = 2 * 2**20
"""What one part of the batch may make at once: it stays in the cache, and the allocator keeps it.
(Temporaries of 33 MB cost 7.3 ms where those of 31 MB cost 0.6; parts of 2 MB were the best.)"""

LONGER = 2048
"""Contractions up to which it is asked; of longer trees, nearly all run together in any case."""

CAUTIONS = (1.0, 3.0)
"""How high copies are priced: as predicted, and so high that few are made. What a copy takes
depends on what is in the cache by then, and on strides; products are more regular."""

ROUNDS = 3
"""How often it is looked for gradients to settle."""

WORTHWHILE = 4
"""Parts the batch must have at least before a loop is considered."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A way to lower a tree, and the rough price of it in seconds."""

    schedule: Schedule
    seconds: float


def proposals(
    network: TensorNetwork,
    tree: ContractionTree,
    sizes: Mapping[str, int],
    profile: MachineProfile,
    mode: str,
    *,
    width: int = 4,
) -> tuple[Proposal, ...]:
    """Distinct ways to lower `tree` at these run-time sizes in a mode, the cheapest first.

    `mode` is `training`, `inference` or `folded`; `width` the bytes of a number. The forms of long
    trees are chosen as they are lowered; whether all equal steps run together is asked there, too.
    """
    if not tree.steps or len(tree.steps) > LONG:
        ways = [STRAIGHT]
        if LONG < len(tree.steps) <= LONGER and _grouped(network, tree) is not None:
            ways.append(Schedule(grouped=True))
        return tuple(Proposal(way, math.inf) for way in ways)
    prices = [LayoutCostModel(profile, mode, width, caution) for caution in CAUTIONS]
    found: dict[Schedule, float] = {}
    for rows, turns, held in _parts(network, tree, sizes, width):
        for priced, repeating in product(prices, (False, True)):
            made = arrange(network, tree, held, priced, repeating=repeating, turns=turns)
            found.setdefault(Schedule(rows, made.forms), made.seconds * turns)
    if (fewer := _grouped(network, tree)) is not None:
        call = profile.call + 2 * profile.view_call  # saved by every contraction that joins another
        best = min(seconds for one, seconds in found.items() if not one.rows)
        found[Schedule(grouped=True)] = best - call * (len(tree.steps) - fewer)
    if mode == "training":
        found = {
            _settled(network, tree, one, sizes, profile, width): seconds
            for one, seconds in found.items()
        }
    ordered = sorted(found.items(), key=lambda item: item[1])
    return tuple(Proposal(schedule, seconds) for schedule, seconds in ordered)


def schedules(
    network: TensorNetwork,
    tree: ContractionTree,
    sizes: Mapping[str, int],
    profile: MachineProfile,
    mode: str,
) -> tuple[Schedule, ...]:
    """The strategies of `proposals`, the cheapest first."""
    return tuple(one.schedule for one in proposals(network, tree, sizes, profile, mode))


def _settled(
    network: TensorNetwork,
    tree: ContractionTree,
    schedule: Schedule,
    sizes: Mapping[str, int],
    profile: MachineProfile,
    width: int,
) -> Schedule:
    """The strategy with those gradients settled that products could not take as they arrive.

    One that is settled may let another arrive otherwise, so that it takes a few rounds.
    """
    settled: tuple[int, ...] = ()
    for _ in range(ROUNDS):
        program = lower(network, tree, replace(schedule, settled=settled), sizes=sizes)
        traced = trace(network, program, sizes, profile, training=True, width=width)
        found = tuple(sorted({*settled, *traced.noncontiguous_gradients}))
        if found == settled:
            break
        settled = found
    return replace(schedule, settled=settled)


def _grouped(network: TensorNetwork, tree: ContractionTree) -> int | None:
    """How many products there are when equal contractions run together; None where all differ."""
    together = len(units(network, tree, grouped=True))
    return together if together < len(tree.steps) else None


def _parts(
    network: TensorNetwork, tree: ContractionTree, sizes: Mapping[str, int], width: int
) -> list[tuple[int, float, Mapping[str, int]]]:
    """Rows at a time, how many turns that makes, and the sizes of one turn; 0 is all at once."""
    found: list[tuple[int, float, Mapping[str, int]]] = [(0, 1.0, sizes)]
    index = loop_index(network)
    if index is None:
        return found
    size = {one.name: one.size or sizes[one.name] for one in network.indices}
    largest = max(
        (math.prod(size[leg] for leg in step.legs) for step in tree.steps if index in step.legs),
        default=0,
    )
    row = width * largest / sizes[index]
    rows = 2 ** math.floor(math.log2(max(1.0, PART_BYTES / max(row, 1.0))))
    if rows * WORTHWHILE <= sizes[index]:
        found.append((rows, sizes[index] / rows, {**sizes, index: rows}))
    return found
