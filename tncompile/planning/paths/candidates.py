"""All contraction trees worth lowering: those of the search, and constructions in linear time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from tncompile.network.contraction import ContractionTree, Operand, build_tree
from tncompile.network.features import DENSE_LIMIT
from tncompile.network.model import TensorNetwork
from tncompile.planning.paths.intervals import LONGEST
from tncompile.planning.paths.levels import (
    absorb,
    attach,
    longest_family,
    merge_parameters,
    pair_levels,
)
from tncompile.planning.paths.optimizers import LARGEST, Effort, Progress, quick_path, search
from tncompile.planning.paths.problem import CostedPath, Pair, PathBuilder, Problem
from tncompile.planning.paths.reordering import inputs_first
from tncompile.planning.paths.sweeps import TOO_LARGE, in_order, join_in_order, parts, sweeps

STRAIGHT = 64
"""Larger families of equal members are contracted by levels: else the code has a line a member."""

SHORTEST = 4
"""A family of this many members or fewer is not worth builder by levels."""


TOO_COSTLY = 64
"""A tree with this many times the multiply-adds of the best is not worth lowering."""

FEW = 2
"""How many candidates of a network beyond the search are lowered, which takes seconds each."""

MATERIALIZE = "materialize dense"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A contraction tree, the names of what found it, and its multiply-adds at the planned sizes.

    `level` is that of the easiest effort that finds it.
    """

    names: tuple[str, ...]
    tree: ContractionTree
    multiply_adds: int
    level: int = 0


@dataclass(frozen=True, slots=True)
class NamedPath:
    """A path, what found it, and the level of the easiest effort that does."""

    level: int
    name: str
    costed_path: CostedPath

    @property
    def multiply_adds(self) -> int:
        """The multiply-adds of the path."""
        return self.costed_path[0]

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The path itself."""
        return self.costed_path[1]


def candidates(
    network: TensorNetwork,
    operands: tuple[Operand, ...],
    problem: Problem,
    effort: Effort,
    progress: Progress | None = None,
) -> tuple[Candidate, ...]:
    """Distinct contraction trees worth lowering, at least one; the dense weight wherever it fits.

    A tree that is found several times has all its names, in the order they were found. All that an
    easier effort finds is here, too: what is worth lowering is measured by what it knows.
    """
    known: dict[Pair, int] = {}
    names: dict[int, list[str]] = {}
    chosen: dict[int, NamedPath] = {}
    for path in _with_inputs_first(problem, _paths(problem, effort, progress)):
        shape = _shape(len(problem.terms), path.pairs, known)
        names.setdefault(shape, []).append(path.name)
        if shape not in chosen or path.level < chosen[shape].level:
            chosen[shape] = path
    limits = [
        _limit(problem, [path.multiply_adds for path in chosen.values() if path.level <= level])
        for level in range(effort.level + 1)
    ]
    return tuple(
        Candidate(
            tuple(dict.fromkeys(names[shape])),
            build_tree(network, operands, path.pairs),
            path.multiply_adds,
            path.level,
        )
        for shape, path in chosen.items()
        if path.multiply_adds <= limits[path.level] or MATERIALIZE in names[shape]
    )


def _limit(problem: Problem, prices: list[int]) -> int:
    """The most multiply-adds of a tree that is worth lowering beside others of these prices."""
    if not prices:
        return 0
    return sorted(prices)[:FEW][-1] if len(problem.terms) > LARGEST else TOO_COSTLY * min(prices)


def _paths(problem: Problem, effort: Effort, progress: Progress | None) -> Iterator[NamedPath]:
    """All paths by name, the promising ones first."""
    if len(problem.terms) < 2:
        yield NamedPath(0, "nothing to contract", (0, ()))
        return
    family = longest_family(PathBuilder(problem))
    swept = dict(islice(sweeps(problem), 1 if len(problem.terms) > LARGEST else None))
    if family > SHORTEST:
        batched = dict(_by_levels(problem))
        for name, costed_path in batched.items():
            yield NamedPath(0, name, costed_path)
        # Straight-line code has a line a member: for long families it must be out of reach to win.
        limit = TOO_COSTLY * min((price for price, _ in swept.values()), default=TOO_LARGE)
        within = any(price <= limit for price, _ in batched.values())
        # Levels pay for many samples at once; a state or a norm is often cheaper from end to end.
        if family > STRAIGHT and within and (problem.inputs or len(problem.terms) > LONGEST):
            return
    whole = tuple(range(len(problem.terms)))
    for path in search(problem, effort, progress):
        builder = PathBuilder(problem)
        builder.follow(whole, path.path)
        yield NamedPath(path.level, f"search ({path.name})", builder.costed_path)
    for name, costed_path in (*swept.items(), *_splits(problem)):
        yield NamedPath(0, name, costed_path)
    if (dense := _materialize(problem)) is not None:
        yield NamedPath(0, MATERIALIZE, dense)
    if not swept and len(problem.terms) > LARGEST:
        yield NamedPath(0, "in order", in_order(problem))


def _with_inputs_first(problem: Problem, paths: Iterable[NamedPath]) -> Iterator[NamedPath]:
    """Every path, and beside it the one that multiplies inputs with each other first."""
    for path in paths:
        yield path
        if (reordered := inputs_first(problem, path.pairs)) is not None:
            yield NamedPath(path.level, f"{path.name}, inputs first", reordered)


def _shape(count: int, pairs: Iterable[Pair], known: dict[Pair, int]) -> int:
    """A number for the tree regardless of the order of its steps; equal trees get equal numbers."""
    shapes = [-term - 1 for term in range(count)]
    for left, right in pairs:
        low, high = sorted((shapes[left], shapes[right]))
        shapes.append(known.setdefault((low, high), len(known)))
    return shapes[-1] if shapes else 0


# ── families ────────────────────────────────────────────────────────────────────────────────────


def _by_levels(problem: Problem) -> Iterator[tuple[str, CostedPath]]:
    large = len(problem.terms) > LARGEST
    for merged in (0, 1, 2):
        for least in (4,) if large else (4, 24, 64, 128):
            builder = PathBuilder(problem)
            attached = attach(builder)
            if merged:
                attached = merge_parameters(builder, attached, merged)
            absorb(builder, attached)
            pair_levels(builder, least)
            if not builder.pairs:
                continue
            note = f", parameters merged {merged}×" if merged else ""
            if _contract_rest(builder):
                yield f"levels of {least}+ pairs{note}", builder.costed_path


def _contract_rest(builder: PathBuilder) -> bool:
    """Contract what the levels left over: by search, or in order where it is too large for that."""
    rest = tuple(builder.alive)
    if len(rest) <= LARGEST:
        builder.follow(rest, quick_path(builder.part(rest)))
        return True
    return join_in_order(builder, rest) is not None


# ── parameters first ────────────────────────────────────────────────────────────────────────────


def _splits(problem: Problem) -> Iterator[tuple[str, CostedPath]]:
    """Merge the first tensors and the last ones, then contract the input with either half first.

    Two wide products instead of many narrow ones, once the batch pays for the merging.
    """
    starts, units = parts(PathBuilder(problem))
    if len(starts) != 1 or not 3 <= len(units) <= STRAIGHT or problem.looked_up:
        return
    splits = range(1, len(units)) if len(units) <= 8 else (len(units) // 2,)
    for split in splits:
        for right_first in (False, True):
            builder = PathBuilder(problem)
            inputs = attach(builder).inputs
            left = join_in_order(builder, tuple(units[:split]), inputs)
            right = join_in_order(builder, tuple(units[split:]), inputs)
            if left is None or right is None:
                continue
            first, second = (right, left) if right_first else (left, right)
            builder.join(builder.join(starts[0], first), second)
            side = "second" if right_first else "first"
            name = f"split after core {split}, {side} half first"
            yield name, builder.costed_path


def _materialize(problem: Problem) -> CostedPath | None:
    """Contract all parameters to the dense weight, then the inputs with it, in order."""
    builder = PathBuilder(problem)
    inputs = [term for term in builder.alive if term in problem.inputs]
    units = tuple(term for term in builder.alive if term not in problem.inputs)
    if not inputs or len(units) < 2 or problem.looked_up or len(units) > LARGEST:
        return None
    part = builder.part(units)
    if problem.count(part.output) > DENSE_LIMIT:
        return None
    weight = builder.follow(units, quick_path(part))
    for term in inputs:
        weight = builder.join(term, weight)
        if builder.size(weight) > TOO_LARGE:
            return None
    return builder.costed_path
