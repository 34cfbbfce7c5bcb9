"""All contraction trees worth lowering: those of the search, and constructions in linear time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import reduce
from itertools import islice

from tncompile.network.contraction import ContractionTree, Operand, build_tree
from tncompile.network.features import DENSE_LIMIT
from tncompile.network.model import TensorNetwork
from tncompile.planning.paths import convolving, levels
from tncompile.planning.paths.intervals import LONGEST
from tncompile.planning.paths.optimizers import LARGEST, Effort, Progress, quick_path, search
from tncompile.planning.paths.problem import (
    NamedPath,
    NoOrderError,
    Pair,
    PathBuilder,
    Problem,
)
from tncompile.planning.paths.reordering import inputs_first
from tncompile.planning.paths.sweeps import TOO_LARGE, join_in_order, parts, sweeps
from tncompile.planning.paths.windows import carriers_merged, remainder, replayed

STRAIGHT = 64  # larger families are contracted by levels: else the code has a line a member
SHORTEST = 4  # a family of this many members or fewer is not worth building by levels
TOO_COSTLY = 64  # a tree with this many times the multiply-adds of the best is not worth lowering
FEW = 2  # how many candidates of a network beyond the search are lowered, which takes seconds each

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


def candidates(
    network: TensorNetwork,
    operands: tuple[Operand, ...],
    problem: Problem,
    effort: Effort,
    progress: Progress | None = None,
) -> tuple[Candidate, ...]:
    """Distinct contraction trees worth lowering, at least one; the dense weight wherever it fits.

    A tree that is found several times has all its names, in the order they were found. All that an
    easier effort finds is here, too: what is worth lowering is measured by what it knows. Raises
    `NoOrderError` where no order contracts the windows of the network.
    """
    known: dict[Pair, int] = {}
    names: dict[int, list[str]] = {}
    chosen: dict[int, NamedPath] = {}
    for path in _paths(problem, effort, progress):
        for named in filter(None, (path, inputs_first(problem, path))):
            shape = _shape(len(problem.terms), named.pairs, known)
            names.setdefault(shape, []).append(named.name)
            if shape not in chosen or named.level < chosen[shape].level:
                chosen[shape] = named
    if not chosen:
        raise NoOrderError
    limits: list[int] = []  # the most multiply-adds of a tree that is worth lowering, by level
    for level in range(effort.level + 1):
        prices = sorted(each.multiply_adds for each in chosen.values() if each.level <= level)
        searched = len(problem.terms) <= LARGEST
        limits.append(TOO_COSTLY * prices[0] if searched else prices[:FEW][-1])
    trees = {
        shape: build_tree(network, operands, path.pairs)
        for shape, path in chosen.items()
        if path.multiply_adds <= limits[path.level] or MATERIALIZE in names[shape]
    }
    return tuple(
        Candidate(
            tuple(dict.fromkeys((*convolving.described(network, tree), *names[shape]))),
            tree,
            chosen[shape].multiply_adds,
            chosen[shape].level,
        )
        for shape, tree in trees.items()
    )


def _paths(problem: Problem, effort: Effort, progress: Progress | None) -> Iterator[NamedPath]:
    """All paths by name, the promising ones first."""
    count = len(problem.terms)
    if count < 2:
        yield NamedPath(0, "nothing to contract", 0, ())
        return
    begun = carriers_merged(problem, quick_path)
    if begun.pairs:  # whatever knows no windows goes on from there
        yield from _searched(problem, effort, progress)
        left_over, alive = remainder(begun)
        for path in _paths(left_over, effort, None):
            builder = replayed(problem, begun.pairs)
            builder.follow(alive, path.pairs)
            yield builder.named(path.name, path.level)
        return
    shapes = Counter(  # of the terms, with their sizes in order: how many are alike
        (term in problem.inputs, tuple(problem.sizes[leg] for leg in legs))
        for term, legs in enumerate(problem.terms)
        if legs
    )
    family = max(shapes.values(), default=0)
    swept = list(islice(sweeps(problem), 1 if count > LARGEST else None))
    if family > SHORTEST:
        batched = list(_by_levels(problem))
        yield from batched
        # Straight-line code has a line a member: for long families it must be out of reach to win.
        limit = TOO_COSTLY * min((path.multiply_adds for path in swept), default=TOO_LARGE)
        within = any(path.multiply_adds <= limit for path in batched)
        # Levels pay for many samples at once; a state or a norm is often cheaper from end to end.
        if family > STRAIGHT and within and (problem.inputs or count > LONGEST):
            return
    yield from _searched(problem, effort, progress)
    yield from convolving.paths(problem)
    yield from (*swept, *_splits(problem), *_materialize(problem))
    if not swept and count > LARGEST and not problem.windows:
        builder = PathBuilder(problem)
        reduce(builder.join, range(count))
        yield builder.named("in order")


def _searched(problem: Problem, effort: Effort, progress: Progress | None) -> Iterator[NamedPath]:
    for path in search(problem, effort, progress):
        yield replace(path, name=f"search ({path.name})")


def _shape(count: int, pairs: Iterable[Pair], known: dict[Pair, int]) -> int:
    """A number for the tree regardless of the order of its steps; equal trees get equal numbers."""
    shapes = [-term - 1 for term in range(count)]
    for left, right in pairs:
        low, high = sorted((shapes[left], shapes[right]))
        shapes.append(known.setdefault((low, high), len(known)))
    return shapes[-1] if shapes else 0


def _by_levels(problem: Problem) -> Iterator[NamedPath]:
    """Families contracted by levels, what these leave over by search, or in order if too large."""
    large = len(problem.terms) > LARGEST
    for merged in (0, 1, 2):
        for least in (4,) if large else (4, 24, 64, 128):
            with suppress(NoOrderError):  # images whose kernels are merged to ones too large
                builder = _leveled(problem, merged, least)
                if builder is not None:
                    note = f", parameters merged {merged}×" if merged else ""
                    yield builder.named(f"levels of {least}+ pairs{note}")


def _leveled(problem: Problem, merged: int, least: int) -> PathBuilder | None:
    """A path with levels of so many pairs or more, after so many rounds among parameters."""
    builder = PathBuilder(problem)
    attached = levels.merge_parameters(builder, levels.attach(builder), merged)
    levels.absorb(builder, attached)
    while matching := levels.best_matching(builder, least):
        for left, right in matching:
            builder.join(left, right)
    if not builder.pairs:
        return None
    rest = tuple(builder.alive)
    if len(rest) <= LARGEST:
        builder.follow(rest, quick_path(builder.part(rest)))
    elif join_in_order(builder, rest) is None:
        return None
    return builder


def _splits(problem: Problem) -> Iterator[NamedPath]:
    """Merge the first tensors and the last ones, then contract the input with either half first.

    Two wide products instead of many narrow ones, once the batch pays for the merging.
    """
    inputs, starts, units = parts(PathBuilder(problem))
    if len(starts) != 1 or not 3 <= len(units) <= STRAIGHT or problem.looked_up:
        return
    for split in range(1, len(units)) if len(units) <= 8 else (len(units) // 2,):
        for side in ("first", "second"):
            builder = PathBuilder(problem)
            left = join_in_order(builder, units[:split], inputs)
            right = join_in_order(builder, units[split:], inputs)
            if left is None or right is None:
                continue
            near, far = (left, right) if side == "first" else (right, left)
            if join_in_order(builder, (starts[0], near, far)) is not None:
                yield builder.named(f"split after core {split}, {side} half first")


def _materialize(problem: Problem) -> Iterator[NamedPath]:
    """Contract all parameters to the dense weight, then the inputs with it, in order."""
    builder = PathBuilder(problem)
    inputs = sorted(problem.inputs)
    units = tuple(term for term in builder.alive if term not in problem.inputs)
    if not inputs or len(units) < 2 or problem.looked_up or len(units) > LARGEST:
        return
    part = builder.part(units)
    if problem.count(part.output) > DENSE_LIMIT:
        return
    weight = builder.follow(units, quick_path(part))
    for term in inputs:
        if not builder.joins(term, weight):
            return
        weight = builder.join(term, weight)
        if builder.size(weight) > TOO_LARGE:
            return
    yield builder.named(MATERIALIZE)
