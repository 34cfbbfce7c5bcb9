"""Parameters merged to tables, whose rows ids then pick: fewer look-ups, and less for each sample.

Ids are looked up at the leaves (`network.contraction.operands`), so that every sample multiplies
its rows of every tensor. Neighboring tensors can be multiplied first, for all ids at once, as soon
as the batch is not small beside the rows of such a table; in the folded module tables are free.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations

from tncompile.network.contraction import (
    Lookup,
    Operand,
    build_tree,
    looked_up,
    opened,
)
from tncompile.network.model import TensorNetwork
from tncompile.planning.paths.candidates import MATERIALIZE, Candidate, candidates
from tncompile.planning.paths.optimizers import Effort, ladder, quick_path
from tncompile.planning.paths.problem import Pair, contraction_problem, price_path

LARGEST_TABLE = 2**27
"""Elements of a table that is still worth considering: half a gigabyte of float32."""

EVERYTHING = 6
"""Up to this many parameters are grouped in every way, …"""

LONGEST = 1000
"""… up to this many by merging the neighbors that make the smallest table, again and again."""

KEPT = 3
"""Groupings worth searching, of the cheapest with the tables counted and without, …"""

ORDERS = 2
"""… and how many trees of each."""

NAMED = 6
"""Tensors that are named where their tables are spoken of."""

GATHERED = 8
"""Multiply-adds that picking one number of a table counts as, where groupings are compared."""

Block = tuple[int, ...]  # numbers of operands, ascending
Grouping = tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class _Table:
    """Operands merged: along which path, at what price; `row` stands for what is picked of it."""

    block: Block
    pairs: tuple[Pair, ...]
    multiply_adds: int
    lookups: tuple[Lookup, ...]
    row: Operand


def table_candidates(
    network: TensorNetwork, given: tuple[Operand, ...], runtime: Mapping[str, int], effort: Effort
) -> tuple[Candidate, ...]:
    """Trees with some parameters merged before ids pick rows of them, at these run-time sizes.

    Their multiply-adds are those of inference, tables included. What easier efforts find is here.
    """
    return tuple(_Merging(network, given, runtime, effort).candidates())


class _Merging:
    def __init__(
        self,
        network: TensorNetwork,
        given: tuple[Operand, ...],
        runtime: Mapping[str, int],
        effort: Effort,
    ) -> None:
        self._network, self._given = network, given
        self._runtime, self._effort = runtime, effort
        self._size = {index.name: index.size or runtime[index.name] for index in network.indices}
        self._fixed = tuple(
            k
            for k, operand in enumerate(given)
            if network.tensors[operand.tensor].role != "input" and not operand.indicator
        )
        self._open = {k: opened(network, given[k]) for k in self._fixed}
        self._ends = Counter(leg for operand in given for leg in set(operand.legs))
        self._ends.update(set(network.output.legs))
        carriers: dict[str, set[int]] = {}
        for k, operand in self._open.items():
            for leg in operand.legs:
                carriers.setdefault(leg, set()).add(k)
        self._near = {
            k: set[int]().union(*(carriers[leg] for leg in operand.legs))
            for k, operand in self._open.items()
        }
        self._tables: dict[Block, _Table] = {}

    def candidates(self) -> Iterator[Candidate]:
        known = [grouping for grouping in self._groupings() if any(map(_merges, grouping))]
        everything = [one for one in known if len(one) == 1]
        priced = [(*self._prices(grouping), place) for place, grouping in enumerate(known)]
        cheapest = sorted(priced, key=lambda one: one[1])[:KEPT] + sorted(priced)[:KEPT]
        kept = (known[place] for _, _, place in cheapest)
        for grouping in dict.fromkeys([*kept, *everything]):
            yield from self._trees(grouping)

    # ── groupings ──────────────────────────────────────────────────────────────────────────────

    def _groupings(self) -> Iterator[Grouping]:
        """Ways to merge parameters in blocks of neighbors whose tables are small enough."""
        if not any(self._given[k].lookups for k in self._fixed) or len(self._fixed) > LONGEST:
            return
        if len(self._fixed) <= EVERYTHING:
            yield from self._partitions(self._fixed)
            return
        yield from self._levels()

    def _levels(self) -> Iterator[Grouping]:
        """The smallest table that neighbors make, again and again; stops before tables grow.

        So all pairs of a family come together, then all fours.
        """
        owner: dict[int, Block] = {k: (k,) for k in self._fixed}
        waiting: list[tuple[int, Block, Block]] = []

        def offer(block: Block) -> None:
            near = {owner[other] for k in block for other in self._near[k]} - {block}
            for other in near:
                one, two = sorted((block, other))
                if self._allowed((*one, *two)):
                    heapq.heappush(waiting, (self._elements((*one, *two)), one, two))

        for k in self._fixed:
            offer((k,))
        largest, merged = 0, False
        while waiting:
            size, one, two = heapq.heappop(waiting)
            if owner[one[0]] != one or owner[two[0]] != two:
                continue  # merged with something smaller since
            if merged and size > largest:
                yield tuple(sorted(set(owner.values())))
            largest, merged = max(size, largest), True
            block = tuple(sorted((*one, *two)))
            owner.update(dict.fromkeys(block, block))
            offer(block)
        if merged:
            yield tuple(sorted(set(owner.values())))

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
                    yield from (((first, *others), *more) for more in self._partitions(left))

    def _allowed(self, block: Block) -> bool:
        """Whether some of these are looked up, all hang together, and their table is not huge."""
        if not any(self._given[k].lookups for k in block):
            return False
        reached, waiting = [block[0]], set(block[1:])
        for k in reached:  # grows while it is read
            near = [other for other in sorted(waiting) if other in self._near[k]]
            reached += near
            waiting.difference_update(near)
        return not waiting and self._elements(block) <= LARGEST_TABLE

    def _legs(self, block: Block) -> tuple[str, ...]:
        """The legs of a table: its digits, and all that something else needs."""
        inside = Counter(leg for k in block for leg in set(self._given[k].legs))
        digits = {lookup.index for k in block for lookup in self._given[k].lookups}
        legs = dict.fromkeys(leg for k in block for leg in self._open[k].legs)
        return tuple(leg for leg in legs if leg in digits or self._ends[leg] > inside[leg])

    def _elements(self, block: Block) -> int:
        size = 1
        for leg in self._legs(block):
            size *= self._size[leg]
        return size

    # ── prices ─────────────────────────────────────────────────────────────────────────────────

    def _prices(self, grouping: Grouping) -> tuple[int, int]:
        """Multiply-adds of what is left to do for the samples, without those of tables and with."""
        tables = [self._table(block) for block in grouping if _merges(block)]
        reduced = self._reduced(grouping)
        problem = contraction_problem(self._network, reduced, self._runtime)
        outer, _, _ = price_path(problem, quick_path(problem, trials=1))
        picked = sum(
            problem.count(legs)
            for legs, operand in zip(problem.terms, reduced, strict=True)
            if operand.lookups
        )
        outer += GATHERED * picked
        return outer, outer + sum(table.multiply_adds for table in tables)

    def _table(self, block: Block) -> _Table:
        """The path of fewest multiply-adds that merges a block."""
        if block not in self._tables:
            legs = self._legs(block)
            held = tuple(self._open[k] for k in block)
            problem = contraction_problem(self._network, held, self._runtime)
            number = {
                leg: k for k, leg in enumerate(dict.fromkeys(x for one in held for x in one.legs))
            }
            problem = replace(problem, output=tuple(number[leg] for leg in legs))
            pairs = quick_path(problem)
            multiply_adds, _, _ = price_path(problem, pairs)
            lookups = tuple(dict.fromkeys(one for k in block for one in self._given[k].lookups))
            row = Operand(held[0].tensor, looked_up(self._network, legs, lookups), lookups)
            self._tables[block] = _Table(block, pairs, multiply_adds, lookups, row)
        return self._tables[block]

    def _reduced(self, grouping: Grouping) -> tuple[Operand, ...]:
        """What is left to contract: a row of each table, then what is not merged."""
        blocks = [block for block in grouping if _merges(block)]
        merged = {k for block in blocks for k in block}
        others = (operand for k, operand in enumerate(self._given) if k not in merged)
        return (*(self._table(block).row for block in blocks), *others)

    # ── trees ──────────────────────────────────────────────────────────────────────────────────

    def _trees(self, grouping: Grouping) -> Iterator[Candidate]:
        """The best orders in which the rows of tables are contracted with all else."""
        reduced = self._reduced(grouping)
        problem = contraction_problem(self._network, reduced, self._runtime)
        found = candidates(self._network, reduced, problem, self._effort)
        for effort in ladder(self._effort):
            known = [one for one in found if one.level <= effort.level]
            for one in sorted(known, key=lambda one: one.multiply_adds)[:ORDERS]:
                yield replace(self._expanded(grouping, one), level=effort.level)

    def _expanded(self, grouping: Grouping, found: Candidate) -> Candidate:
        """The tree with every table made in it."""
        tables = [self._table(block) for block in grouping if _merges(block)]
        merged = {k for table in tables for k in table.block}
        given = tuple(
            self._open[k] if k in merged else operand for k, operand in enumerate(self._given)
        )
        pairs: list[Pair] = []
        late: dict[int, tuple[Lookup, ...]] = {}
        numbers: list[int] = []
        for table in tables:
            inner = list(table.block)
            for left, right in table.pairs:
                inner.append(len(given) + len(pairs))
                pairs.append((inner[left], inner[right]))
            late[inner[-1]] = table.lookups
            numbers.append(inner[-1])
        numbers += [k for k in range(len(given)) if k not in merged]
        for step in found.tree.steps:
            numbers.append(len(given) + len(pairs))
            pairs.append((numbers[step.left], numbers[step.right]))
        return Candidate(
            tuple(dict.fromkeys(self._named(tables, name) for name in found.names)),
            build_tree(self._network, given, tuple(pairs), late),
            found.multiply_adds + sum(table.multiply_adds for table in tables),
        )

    def _named(self, tables: list[_Table], name: str) -> str:
        """`G[0] G[1] merged, sweep forward`; all parameters in one table are the dense weight."""
        if len(tables) == 1 and len(tables[0].block) == len(self._fixed):
            return MATERIALIZE
        merged = "; ".join(
            " ".join(self._network.tensors[self._given[k].tensor].name for k in table.block)
            for table in tables
        )
        if sum(len(table.block) for table in tables) > NAMED:
            largest = max(len(table.block) for table in tables)
            merged = f"{len(tables)} tables of up to {largest} tensors"
        plain = name.startswith("search") or self._whole(tables)
        return f"{merged} merged" if plain else f"{merged} merged, {name}"

    def _whole(self, tables: list[_Table]) -> bool:
        """Whether so little is left that there is one order only."""
        return len(self._given) - sum(len(table.block) - 1 for table in tables) <= 2


def _merges(block: Block) -> bool:
    """Whether there is anything to merge."""
    return len(block) > 1
