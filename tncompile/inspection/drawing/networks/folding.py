"""Long families, trees, hierarchies and grids made short: what stands for many tensors."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from tncompile.inspection.drawing import signs
from tncompile.inspection.drawing.layout.subject import (
    GAP,
    Cell,
    End,
    Group,
    Leg,
    Node,
    Sign,
    Strip,
    Subject,
)
from tncompile.inspection.drawing.networks.families import (
    Bonds,
    chains_of,
    families_of,
    grid_of,
    level_of,
)
from tncompile.inspection.drawing.text import Span


@dataclass(frozen=True)
class Folds:
    """What is drawn whole: members of a family, of the lowest level of a tree or hierarchy, levels,
    rows and columns of a grid. `ends` of longer runs are kept: of one, and of each of two in a row.
    """

    run: int
    level: int
    levels: int
    side: int
    ends: tuple[int, int]


GENTLE = Folds(9, 8, 6, 7, (3, 2))
HARDEST = Folds(5, 4, 5, 5, (2, 1))


def folded(subject: Subject, folds: Folds = GENTLE) -> Subject:
    """A smaller subject, in which nodes that are left out are `more` nodes and subtrees."""
    grid = grid_of(subject)
    if grid is not None:
        return _fold_grid(_Folding(subject), grid, folds)
    families = families_of(subject)
    bonds = Bonds(subject)
    chains = chains_of(subject, bonds, families)
    chained = {key for chain in chains for key in chain.members}
    folding = _Folding(subject)
    if 2 * len(chained) < len(subject.nodes) and _is_forest(subject, bonds):
        _fold_trees(folding, bonds, folds)
    if not folding.into:
        _fold_levels(folding, bonds, families, folds)
        _fold_runs(folding, chains, families, chained, folds)
    return folding.subject()


class _Folding:
    """Which node stands for which, and the subject that follows."""

    def __init__(self, subject: Subject) -> None:
        self.old = subject
        self.into: dict[str, str] = {}  # a node that is left out to the one that stands for it
        self.made: dict[str, Node] = {}
        self.cells: dict[tuple[str, int], int] = {}  # of strips: old numbers to new ones

    def fold(
        self, keys: Iterable[str], family: str, place: tuple[int, ...], sign: Sign = "more"
    ) -> None:
        """One node for several: its place among its family is that of the first one."""
        keys = list(keys)
        if len(keys) < 2:
            return
        key = f"{sign} {keys[0]}"
        count = sum(self.old.nodes[each].count for each in keys)
        text = f"{count:,}"
        label = (Span(text, signs.SMALL),) if sign == "subtree" else (Span(GAP, 18),)
        title = f"{text} tensors: {keys[0]} to {keys[-1]}"
        self.made[key] = Node(
            key, sign, family, place, label, (), title, count=count, small=label,
            members=tuple(keys),
        )  # fmt: skip
        self.into |= dict.fromkeys(keys, key)

    def subject(self) -> Subject:
        """The old subject with all that was folded."""
        old = self.old
        if not self.into:
            return old
        nodes: dict[str, Node] = {}
        for key, node in old.nodes.items():
            stands = self.into.get(key, key)
            nodes.setdefault(stands, self.made.get(stands, node))
        legs = self._legs()
        inputs = tuple(self._strip(strip, legs) for strip in old.inputs)
        output = self._strip(old.output, legs)
        legs = self._renumbered(legs)
        kept = {
            key: replace(node, legs=tuple(leg for leg in node.legs if leg in legs))
            for key, node in nodes.items()
        }
        return replace(old, nodes=kept, inputs=inputs, output=output, legs=legs, folded=True)

    def _legs(self) -> dict[str, Leg]:
        """Legs with an end at a node that is left; one alone of those to the same node folded."""
        found: dict[str, Leg] = {}
        seen: set[tuple[str, ...]] = set()
        for leg in self.old.legs.values():
            ends = tuple(
                dict.fromkeys(
                    replace(end, key=self.into[end.key]) if end.key in self.into else end
                    for end in leg.ends
                )
            )
            folds = [end.key for end in ends if end.key in self.made]
            nodes = [end.key for end in ends if end.cell is None]
            if folds and (len(folds) == len(nodes) or len(ends) == 1):
                continue
            if folds:
                pair = tuple(sorted(end.key for end in ends))
                if pair in seen:
                    continue
                seen.add(pair)
            found[leg.name] = replace(leg, ends=ends)
        return found

    def _strip(self, strip: Strip, legs: dict[str, Leg]) -> Strip:
        """A strip whose cells without legs are one; sets the numbers in `cells`."""
        cells: list[Cell] = []
        for place, cell in enumerate(strip.cells):
            kept = tuple(self._gaps(cell.legs, legs))
            gone = bool(cell.legs) and kept == (GAP,)
            if gone and cells and cells[-1].kind == "more":
                continue
            self.cells[strip.key, place] = len(cells)
            single = cell.kind == "slice" or len(strip.cells) > 5
            if gone and single:
                cells.append(Cell("more", (Span(GAP, 13),)))
            else:
                cells.append(replace(cell, legs=kept))
        return replace(strip, cells=tuple(cells))

    @staticmethod
    def _gaps(names: Sequence[str], legs: dict[str, Leg]) -> Iterable[str]:
        """Legs of a cell, with one gap for those left out at a place."""
        for is_left, run in groupby(names, key=lambda name: name in legs):
            if is_left:
                yield from run
            else:
                yield GAP

    def _renumbered(self, legs: dict[str, Leg]) -> dict[str, Leg]:
        def renumbered(end: End) -> End:
            if end.cell is None:
                return end
            return replace(end, cell=self.cells[end.key, end.cell])

        return {
            name: replace(leg, ends=tuple(renumbered(end) for end in leg.ends))
            for name, leg in legs.items()
        }


# ── runs ──────────────────────────────────────────────────────────────────────────────────────────


def _fold_runs(
    folding: _Folding,
    chains: Sequence[Group],
    families: dict[str, list[Node]],
    chained: set[str],
    folds: Folds,
) -> None:
    """Chains, and families of one subscript, that are long."""
    nodes = folding.old.nodes
    for chain in chains:
        runs = [list(run) for _, run in groupby(chain.members, key=lambda key: nodes[key].family)]
        long = sum(len(run) > folds.run for run in runs)
        for place, run in enumerate(runs):
            if len(run) <= folds.run:
                continue
            first, last = folds.ends if long == 1 else (2, 1) if place == 0 else (1, 2)
            middle = sorted(run[first:-last], key=lambda key: nodes[key].subscripts)
            folding.fold(middle, nodes[run[0]].family, nodes[middle[0]].subscripts)
    for members in families.values():
        rest = [n for n in members if n.key not in chained and n.key not in folding.into]
        if len(rest) > folds.run and all(len(node.subscripts) == 1 for node in rest):
            first, last = folds.ends
            inner = rest[first:-last]
            folding.fold([n.key for n in inner], rest[0].family, inner[0].subscripts)


# ── hierarchies ───────────────────────────────────────────────────────────────────────────────────


def _fold_levels(
    folding: _Folding, bonds: Bonds, families: dict[str, list[Node]], folds: Folds
) -> None:
    """Families of more subscripts: their levels, and the middle ones of many."""
    levels: dict[str, dict[int, list[Node]]] = {}
    for name, members in families.items():
        if len(members[0].subscripts) < 2:
            continue
        at = level_of(members, bonds, folding.old)
        found: defaultdict[int, list[Node]] = defaultdict(list)
        for node in members:
            found[node.subscripts[at]].append(node)
        levels[name] = dict(sorted(found.items()))
    values = sorted({value for by_level in levels.values() for value in by_level})
    inner = set(values[2:-2]) if len(values) > folds.levels else set()
    between = [
        node.key
        for by_level in levels.values()
        for value, members in by_level.items()
        if value in inner
        for node in members
    ]
    folding.fold(between, f"levels {values[2]} to {values[-3]}" if inner else "", ())
    longest = max((len(m) for by in levels.values() for m in by.values()), default=0)
    if longest <= folds.level:
        return
    for by_level in levels.values():
        for value, level in by_level.items():
            if value not in inner and len(level) > 5:
                middle = [node.key for node in level[2:-2]]
                folding.fold(middle, level[0].family, level[2].subscripts)


# ── trees ─────────────────────────────────────────────────────────────────────────────────────────


def _is_forest(subject: Subject, bonds: Bonds) -> bool:
    """Whether nodes and the bonds between them have no cycle, and no hyperedge joins nodes."""
    for leg in subject.legs.values():
        if sum(end.key in subject.nodes for end in leg.ends) > 2:
            return False
    seen: set[str] = set()
    for start in subject.nodes:
        if start in seen:
            continue
        nodes, edges, queue = 0, 0, [start]
        seen.add(start)
        while queue:
            key = queue.pop()
            nodes += 1
            edges += len(bonds.of[key])
            for near in bonds.of[key]:
                if near not in seen:
                    seen.add(near)
                    queue.append(near)
        if edges != 2 * (nodes - 1):
            return False
    return True


def _fold_trees(folding: _Folding, bonds: Bonds, folds: Folds) -> None:
    """Keep two leaves at each end of a strip, and all between them and the root."""
    subject = folding.old
    kept: set[str] = set()
    long = False
    for strip in subject.strips:
        leaves = list(_touching(subject, strip))
        long = long or len(leaves) > folds.level
        kept.update(leaves[:2] + leaves[-2:] if len(leaves) > folds.level else leaves)
    if not long:
        return
    parent = _parents(subject, bonds)
    for key in list(kept):
        while parent[key] is not None:
            key = parent[key] or ""
            kept.add(key)
    under: defaultdict[str, list[str]] = defaultdict(list)
    for key in subject.nodes:
        if key not in kept:
            top = key
            while (above := parent[top]) is not None and above not in kept:
                top = above
            under[top].append(key)
    for top, keys in under.items():
        node = subject.nodes[top]
        folding.fold(
            [top, *(key for key in keys if key != top)], node.family, node.subscripts, "subtree"
        )


def _touching(subject: Subject, strip: Strip) -> Iterable[str]:
    """The nodes with a leg at a strip, in its order."""
    found: dict[str, None] = {}
    for cell in strip.cells:
        for name in cell.legs:
            for end in subject.legs[name].ends:
                if end.key in subject.nodes:
                    found[end.key] = None
    return found


def _parents(subject: Subject, bonds: Bonds) -> dict[str, str | None]:
    """The node above each: towards the center, which is left when leaves are taken off."""
    degree = {key: len(near) for key, near in bonds.of.items()}
    parent: dict[str, str | None] = dict.fromkeys(subject.nodes)
    queue = deque(key for key, count in degree.items() if count <= 1)
    gone: set[str] = set()
    while queue:
        key = queue.popleft()
        gone.add(key)
        for near in bonds.of[key]:
            if near not in gone:
                parent[key] = near
                degree[near] -= 1
                if degree[near] == 1:
                    queue.append(near)
    return parent


# ── grids ─────────────────────────────────────────────────────────────────────────────────────────


def _fold_grid(folding: _Folding, layers: Sequence[Sequence[Node]], folds: Folds) -> Subject:
    """The middle rows and columns of a large grid, in each of its layers."""
    rows = sorted({node.subscripts[0] for node in layers[0]})
    columns = sorted({node.subscripts[1] for node in layers[0]})
    first, last = folds.ends
    inner = [
        set(values[first:-last]) if len(values) > folds.side else set[int]()
        for values in (rows, columns)
    ]
    areas: defaultdict[tuple[str, int, int], list[Node]] = defaultdict(list)
    for node in (node for layer in layers for node in layer):
        row, column = node.subscripts
        if row in inner[0] or column in inner[1]:
            row = rows[first] if row in inner[0] else row
            column = columns[first] if column in inner[1] else column
            areas[node.family, row, column].append(node)
    for (family, row, column), nodes in areas.items():
        folding.fold([node.key for node in nodes], family, (row, column))
    return folding.subject()
