"""Schedules to lower a tree with that are worth a trace: matmul layouts, chunks of the batch."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import replace
from itertools import product

from tncompile.lowering.lower import loop_index, lower
from tncompile.lowering.schedule import STRAIGHT, Layout, Schedule
from tncompile.lowering.stacking.grouping import LONG, units
from tncompile.machine.profile import MachineProfile
from tncompile.network.contraction import ContractionTree
from tncompile.network.model import TensorNetwork
from tncompile.planning.layouts.assignment import LayoutSearch
from tncompile.planning.layouts.bounds import least_seconds
from tncompile.planning.layouts.copies import Copies
from tncompile.planning.layouts.estimates import WIDTH, LayoutCostModel
from tncompile.planning.layouts.memory import Lengths
from tncompile.planning.layouts.structure import Convolutions
from tncompile.simulation.modes import Mode
from tncompile.simulation.trace import trace

CHUNK_BYTES = 2 * 2**20
"""Bytes of the largest intermediate of a chunk: it stays in the cache, and the allocator keeps it.

Temporaries of 33 MB cost 7.3 ms where those of 31 MB cost 0.6; chunks of 2 MB were the best."""

LONGER = 2048  # contractions up to which batching equal steps is tried; longer trees mostly do

CAUTIONS = (1.0, 3.0)
"""Factors on the price of copies: as predicted, and so high that few are made.

The time of a copy depends on what is in the cache by then and on strides; products vary less."""

ROUNDS = 3  # how often a program is traced for gradients to make contiguous
WORTHWHILE = 4  # chunks that the batch must have for a loop to be proposed


class Scheduler:
    """Proposes schedules for the trees of one network; each layout search is done once."""

    def __init__(self, network: TensorNetwork, profile: MachineProfile) -> None:
        self._network, self._profile = network, profile
        self._found: dict[tuple[Hashable, ...], tuple[tuple[Layout | None, ...], float]] = {}
        self._lengths: dict[tuple[tuple[str, int], ...], Lengths] = {}
        self._copies: dict[tuple[Hashable, ...], Copies] = {}
        self._convolutions = Convolutions(network)
        self._least: dict[tuple[Hashable, ...], float] = {}
        self._proposed: dict[tuple[Hashable, ...], dict[Schedule, float]] = {}

    def proposals(
        self, tree: ContractionTree, sizes: Mapping[str, int], mode: Mode
    ) -> dict[Schedule, float]:
        """Schedules at these run-time sizes and their estimated seconds, by ascending time.

        For long trees the lowering chooses the layouts, and only whether all equal steps are
        batched is proposed.
        """
        key = tree, tuple(sizes.items()), mode
        if key not in self._proposed:
            self._proposed[key] = self._propose(tree, sizes, mode)
        return self._proposed[key]

    def arranged(self, tree: ContractionTree, sizes: Mapping[str, int], mode: Mode) -> Schedule:
        """The whole batch at once in the layouts that are estimated to be the cheapest."""
        return Schedule(layouts=self._cheapest(tree, sizes, mode, 1.0, True, 1.0)[0])

    def least_seconds(self, tree: ContractionTree, sizes: Mapping[str, int], mode: Mode) -> float:
        """What no schedule that contracts all of the batch at once falls below, as predicted."""
        key = tree, tuple(sizes.items()), mode
        if key not in self._least:
            costs = LayoutCostModel(self._profile, mode)
            least = least_seconds(self._network, tree, self._lengths_at(sizes), costs)
            self._least[key] = least
        return self._least[key]

    def _cheapest(
        self,
        tree: ContractionTree,
        sizes: Mapping[str, int],
        mode: Mode,
        caution: float,
        broadcasting: bool,
        chunks: float,
    ) -> tuple[tuple[Layout | None, ...], float]:
        """The layouts of all contractions, and their estimated seconds."""
        key = tree, tuple(sizes.items()), mode, caution, broadcasting, chunks
        if key not in self._found:
            copies = self._copies_at(sizes, mode, caution, chunks)
            search = LayoutSearch(self._network, tree, copies, broadcasting)
            self._found[key] = search.cheapest()
        return self._found[key]

    def _copies_at(
        self, sizes: Mapping[str, int], mode: Mode, caution: float, chunks: float
    ) -> Copies:
        key = tuple(sizes.items()), mode, caution, chunks
        if key not in self._copies:
            costs = LayoutCostModel(self._profile, mode, caution)
            self._copies[key] = Copies(self._lengths_at(sizes), costs, chunks)
        return self._copies[key]

    def _lengths_at(self, sizes: Mapping[str, int]) -> Lengths:
        key = tuple(sizes.items())
        if key not in self._lengths:
            self._lengths[key] = Lengths(self._network, sizes, self._convolutions)
        return self._lengths[key]

    def _propose(
        self, tree: ContractionTree, sizes: Mapping[str, int], mode: Mode
    ) -> dict[Schedule, float]:
        network, profile = self._network, self._profile
        if not tree.steps or len(tree.steps) > LONG:
            options = [STRAIGHT]
            if LONG < len(tree.steps) <= LONGER and _batched_count(network, tree) is not None:
                options.append(Schedule(batch_equal_steps=True))
            return dict.fromkeys(options, math.inf)
        seconds: dict[Schedule, float] = {}
        for rows, chunks, chunk_sizes in _chunkings(network, tree, sizes):
            for caution, broadcasting in product(CAUTIONS, (False, True)):
                here = tree, chunk_sizes, mode, caution, broadcasting, chunks
                layouts, price = self._cheapest(*here)
                seconds.setdefault(Schedule(rows, layouts), price * chunks)
        if (fewer := _batched_count(network, tree)) is not None:
            call = profile.call + 2 * profile.view_call  # saved by every contraction that joins
            best = min(price for schedule, price in seconds.items() if not schedule.chunk_rows)
            seconds[Schedule(batch_equal_steps=True)] = best - call * (len(tree.steps) - fewer)
        if mode == "training":
            seconds = {
                self._with_contiguous_grads(tree, sizes, schedule): price
                for schedule, price in seconds.items()
            }
        return dict(sorted(seconds.items(), key=lambda item: item[1]))

    def _with_contiguous_grads(
        self, tree: ContractionTree, sizes: Mapping[str, int], schedule: Schedule
    ) -> Schedule:
        """The schedule with every gradient made contiguous that a product would have to copy."""
        network, contractions = self._network, tuple[int, ...]()
        for _ in range(ROUNDS):  # a contiguous gradient may change the layout of another one
            program = lower(
                network, tree, replace(schedule, contiguous_grads=contractions), sizes=sizes
            )
            traced = trace(network, program, sizes, self._profile, training=True)
            more = tuple(sorted({*contractions, *traced.noncontiguous_gradients}))
            if more == contractions:
                break
            contractions = more
        return replace(schedule, contiguous_grads=contractions)


def _batched_count(network: TensorNetwork, tree: ContractionTree) -> int | None:
    """The number of products with equal contractions batched; None where all differ."""
    count = len(units(network, tree, batch_equal_steps=True))
    return count if count < len(tree.steps) else None


def _chunkings(
    network: TensorNetwork, tree: ContractionTree, sizes: Mapping[str, int]
) -> list[tuple[int, float, Mapping[str, int]]]:
    """The rows of a chunk, the number of chunks, the sizes of one; 0 rows are all at once."""
    options: list[tuple[int, float, Mapping[str, int]]] = [(0, 1.0, sizes)]
    index = loop_index(network)
    if index is None:
        return options
    size = {each.name: each.size or sizes[each.name] for each in network.indices}
    largest = max(
        (math.prod(size[leg] for leg in step.legs) for step in tree.steps if index in step.legs),
        default=0,
    )
    row_bytes = WIDTH * largest / sizes[index]
    rows = 2 ** math.floor(math.log2(max(1.0, CHUNK_BYTES / max(row_bytes, 1.0))))
    if rows * WORTHWHILE <= sizes[index]:
        options.append((rows, sizes[index] / rows, {**sizes, index: rows}))
    return options
