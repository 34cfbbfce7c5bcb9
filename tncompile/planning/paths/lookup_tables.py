"""Parameters merged to tables whose rows ids select: fewer look-ups, and less work a sample.

Ids are looked up at the leaves (`network.contraction.operands`), so that every sample multiplies
its rows of every tensor. Neighboring tensors can be multiplied first, for all ids at once, as soon
as the batch is not small beside the rows of such a table; in the folded module tables are free.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import combinations

from tncompile.network.contraction import Lookup, Operand, build_tree, looked_up, opened
from tncompile.network.model import TensorNetwork
from tncompile.planning.paths.candidates import MATERIALIZE, Candidate, candidates
from tncompile.planning.paths.optimizers import Effort, quick_path
from tncompile.planning.paths.problem import (
    NoOrderError,
    Pair,
    Problem,
    contraction_problem,
    price_path,
)

LARGEST_TABLE = 2**27  # elements of a table worth considering: half a gigabyte of float32
EVERYTHING = 6  # up to this many parameters are grouped in every possible way
LONGEST = 1000  # so many are grouped by merging the neighbors with the smallest table, repeatedly
CHEAPEST = 3  # the groupings searched: the cheapest with the tables counted, and without
ORDERS = 2  # how many trees of each grouping become candidates
NAMED = 6  # the most tensors that the name of a candidate lists
GATHERED = 8  # multiply-adds that selecting one number of a table counts as in comparisons

Block = tuple[int, ...]  # numbers of operands, ascending
Grouping = tuple[Block, ...]  # the blocks of more than one operand


@dataclass(frozen=True, slots=True)
class _Table:
    """Merged operands: their path and its multiply-adds; `row` stands for the rows ids select."""

    block: Block
    pairs: tuple[Pair, ...]
    multiply_adds: int
    row: Operand


class TableSearch:
    """Groupings of parameters into blocks of neighbors whose tables are small enough."""

    def __init__(
        self, network: TensorNetwork, operands: tuple[Operand, ...], runtime: Mapping[str, int]
    ) -> None:
        self._network, self._operands, self._runtime = network, operands, runtime
        self._size = {index.name: index.size or runtime[index.name] for index in network.indices}
        self._open = {
            k: opened(network, operand)
            for k, operand in enumerate(operands)
            if network.tensors[operand.tensor].role != "input" and not operand.indicator
        }
        self._fixed = tuple(self._open)
        self._ends = Counter(leg for operand in operands for leg in set(operand.legs))
        self._ends.update(set(network.output.legs))
        # A table keeps the kernel legs of windows: it is convolved with later.
        self._ends.update(window.kernel_leg for window in network.windows)
        carriers: dict[str, set[int]] = {}
        for k, operand in self._open.items():
            for leg in operand.legs:
                carriers.setdefault(leg, set()).add(k)
        self._near = {
            k: {other for leg in operand.legs for other in carriers[leg]}
            for k, operand in self._open.items()
        }
        self._tables: dict[Block, _Table] = {}

    def candidates(self, effort: Effort) -> Iterator[Candidate]:
        """Trees that merge some parameters before ids select rows, those of easier efforts, too.

        Their multiply-adds are those of inference at these run-time sizes, tables included.
        """
        fixed = self._fixed
        if not any(self._operands[k].lookups for k in fixed) or len(fixed) > LONGEST:
            return
        groupings = self._partitions(fixed) if len(fixed) <= EVERYTHING else self._levels()
        known = [grouping for grouping in groupings if grouping]
        everything = [grouping for grouping in known if grouping == (fixed,)]
        priced = []
        for place, grouping in enumerate(known):
            with suppress(NoOrderError):  # too many kernels in one table
                priced.append((*self._prices(grouping), place))
        with_tables = sorted(priced, key=lambda prices: prices[1])[:CHEAPEST]
        cheapest = (known[place] for _, _, place in with_tables + sorted(priced)[:CHEAPEST])
        for grouping in dict.fromkeys([*cheapest, *everything]):
            problem, reduced = self._reduced(grouping)
            try:
                orders = candidates(self._network, reduced, problem, effort)
            except NoOrderError:
                continue
            for level in range(effort.level + 1):
                easy = [order for order in orders if order.level <= level]
                for order in sorted(easy, key=lambda order: order.multiply_adds)[:ORDERS]:
                    yield replace(self._expanded(grouping, order), level=level)

    # ── groupings ──────────────────────────────────────────────────────────────────────────────

    def _levels(self) -> Iterator[Grouping]:
        """The smallest table that neighbors make, again and again; stops before tables grow.

        So all pairs of a family come together, then all fours.
        """
        owner: dict[int, Block] = {k: (k,) for k in self._fixed}
        waiting: list[tuple[int, Block, Block]] = []

        def offer(block: Block) -> None:
            near = {owner[other] for k in block for other in self._near[k]} - {block}
            for other in near:
                left, right = sorted((block, other))
                if self._allowed((*left, *right)):
                    heapq.heappush(waiting, (self._elements((*left, *right)), left, right))

        def grouping() -> Grouping:
            return tuple(sorted({block for block in owner.values() if len(block) > 1}))

        for k in self._fixed:
            offer((k,))
        largest = 0
        while waiting:
            size, left, right = heapq.heappop(waiting)
            if owner[left[0]] != left or owner[right[0]] != right:
                continue  # merged with something smaller since
            if size > largest:
                yield grouping()
            largest = max(size, largest)
            block = tuple(sorted((*left, *right)))
            owner.update(dict.fromkeys(block, block))
            offer(block)
        yield grouping()

    def _partitions(self, terms: Block) -> Iterator[Grouping]:
        """Every way to part terms into blocks that are allowed."""
        if not terms:
            yield ()
            return
        first, rest = terms[0], terms[1:]
        for count in range(len(rest) + 1):
            for others in combinations(rest, count):
                if not others or self._allowed((first, *others)):
                    left = tuple(term for term in rest if term not in others)
                    block = ((first, *others),) if others else ()
                    yield from ((*block, *more) for more in self._partitions(left))

    def _allowed(self, block: Block) -> bool:
        """Whether some of these are looked up, all hang together, and their table is not huge."""
        if not any(self._operands[k].lookups for k in block):
            return False
        reached, waiting = [block[0]], set(block[1:])
        for k in reached:  # grows while it is read
            near = [other for other in sorted(waiting) if other in self._near[k]]
            reached += near
            waiting.difference_update(near)
        return not waiting and self._elements(block) <= LARGEST_TABLE

    def _legs(self, block: Block) -> tuple[str, ...]:
        """The legs of a table: its digits, and all that something else needs."""
        inside = Counter(leg for k in block for leg in set(self._operands[k].legs))
        digits = {lookup.index for k in block for lookup in self._operands[k].lookups}
        legs = dict.fromkeys(leg for k in block for leg in self._open[k].legs)
        return tuple(leg for leg in legs if leg in digits or self._ends[leg] > inside[leg])

    def _elements(self, block: Block) -> int:
        return math.prod(self._size[leg] for leg in self._legs(block))

    # ── prices ─────────────────────────────────────────────────────────────────────────────────

    def _prices(self, grouping: Grouping) -> tuple[int, int]:
        """Multiply-adds of what is left to do for the samples, without those of tables and with."""
        problem, _ = self._reduced(grouping)
        outer, _, _ = price_path(problem, quick_path(problem, trials=1))
        outer += GATHERED * sum(problem.count(problem.terms[k]) for k in problem.looked_up)
        return outer, outer + sum(self._table(block).multiply_adds for block in grouping)

    def _table(self, block: Block) -> _Table:
        """The path of fewest multiply-adds that merges a block."""
        if block not in self._tables:
            legs = self._legs(block)
            members = tuple(self._open[k] for k in block)
            problem = contraction_problem(self._network, members, self._runtime)
            all_legs = list(dict.fromkeys(leg for operand in members for leg in operand.legs))
            problem = replace(problem, output=tuple(map(all_legs.index, legs)))
            pairs = quick_path(problem)
            multiply_adds, _, _ = price_path(problem, pairs)
            lookups = dict.fromkeys(lookup for k in block for lookup in self._operands[k].lookups)
            row_legs = looked_up(self._network, legs, tuple(lookups))
            row = Operand(members[0].tensor, row_legs, tuple(lookups))
            self._tables[block] = _Table(block, pairs, multiply_adds, row)
        return self._tables[block]

    def _reduced(self, grouping: Grouping) -> tuple[Problem, tuple[Operand, ...]]:
        """What is left to contract: a row of each table, then what is not merged."""
        merged = {k for block in grouping for k in block}
        others = (operand for k, operand in enumerate(self._operands) if k not in merged)
        reduced = (*(self._table(block).row for block in grouping), *others)
        return contraction_problem(self._network, reduced, self._runtime), reduced

    # ── trees ──────────────────────────────────────────────────────────────────────────────────

    def _expanded(self, grouping: Grouping, outer: Candidate) -> Candidate:
        """The tree with every table as a subtree."""
        tables = [self._table(block) for block in grouping]
        merged = {k for table in tables for k in table.block}
        operands = tuple(
            self._open[k] if k in merged else operand for k, operand in enumerate(self._operands)
        )
        pairs: list[Pair] = []
        late: dict[int, tuple[Lookup, ...]] = {}
        numbers: list[int] = []
        for table in tables:
            inner = list(table.block)
            for left, right in table.pairs:
                inner.append(len(operands) + len(pairs))
                pairs.append((inner[left], inner[right]))
            late[inner[-1]] = table.row.lookups
            numbers.append(inner[-1])
        numbers += [k for k in range(len(operands)) if k not in merged]
        for step in outer.tree.steps:
            numbers.append(len(operands) + len(pairs))
            pairs.append((numbers[step.left], numbers[step.right]))
        return Candidate(
            tuple(dict.fromkeys(self._named(tables, name) for name in outer.names)),
            build_tree(self._network, operands, tuple(pairs), late),
            outer.multiply_adds + sum(table.multiply_adds for table in tables),
        )

    def _named(self, tables: list[_Table], name: str) -> str:
        """`G[0] G[1] merged, sweep forward`; all parameters in one table are the dense weight."""
        blocks = [table.block for table in tables]
        if blocks == [self._fixed]:
            return MATERIALIZE
        merged = "; ".join(
            " ".join(self._network.tensors[self._operands[k].tensor].name for k in block)
            for block in blocks
        )
        count = sum(map(len, blocks))
        if count > NAMED:
            merged = f"{len(tables)} tables of up to {max(map(len, blocks))} tensors"
        # With at most two terms left there is only one order.
        alone = len(self._operands) - count + len(blocks) <= 2
        plain = alone or name.startswith("search")
        return f"{merged} merged" if plain else f"{merged} merged, {name}"
