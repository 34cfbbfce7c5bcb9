"""Our own contraction trees beside those of the search, each made in time linear in the network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from tncompile.network.contraction import ContractionTree, Operand, build_tree
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
from tncompile.planning.paths.problem import Pair, PathBuilder, Priced, Problem
from tncompile.planning.paths.reordering import inputs_first
from tncompile.planning.paths.sweeps import TOO_LARGE, in_order, join_in_order, parts, sweeps
from tncompile.simulation.dense_layer import DENSE_LIMIT

STRAIGHT = 64
"""A family of more equal members is contracted by levels: else its code is a line a member."""

SHORTEST = 4
"""A family of this many members or fewer is not worth contracting by levels."""


TOO_COSTLY = 64
"""A tree with this many times the multiply-adds of the best is not worth lowering."""

FEW = 2
"""How many candidates of a network beyond the search are lowered, which takes seconds each."""

MATERIALIZE = "materialize dense"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A contraction tree, the ways that found it, and its multiply-adds at the planned sizes.

    `level` is that of the easiest effort that finds it.
    """

    names: tuple[str, ...]
    tree: ContractionTree
    multiply_adds: int
    level: int = 0


@dataclass(frozen=True, slots=True)
class Named:
    """A path, what found it, and the level of the easiest effort that does."""

    level: int
    name: str
    priced: Priced


def candidates(
    network: TensorNetwork,
    given: tuple[Operand, ...],
    problem: Problem,
    effort: Effort,
    progress: Progress | None = None,
) -> tuple[Candidate, ...]:
    """Distinct contraction trees worth lowering, at least one; the dense weight wherever it fits.

    A tree that several of our ways find has all their names, the first found first. All that an
    easier effort finds is here, too: what is worth lowering is measured by what it knows.
    """
    known: dict[Pair, int] = {}
    names: dict[int, list[str]] = {}
    chosen: dict[int, Named] = {}
    for one in _turned(problem, _paths(problem, effort, progress)):
        shape = _shape(len(problem.terms), one.priced[1], known)
        names.setdefault(shape, []).append(one.name)
        if shape not in chosen or one.level < chosen[shape].level:
            chosen[shape] = one
    limits = [
        _limit(problem, [one.priced[0] for one in chosen.values() if one.level <= level])
        for level in range(effort.level + 1)
    ]
    return tuple(
        Candidate(
            tuple(dict.fromkeys(names[shape])),
            build_tree(network, given, one.priced[1]),
            one.priced[0],
            one.level,
        )
        for shape, one in chosen.items()
        if one.priced[0] <= limits[one.level] or MATERIALIZE in names[shape]
    )


def _limit(problem: Problem, prices: list[int]) -> int:
    """The most multiply-adds of a tree that is worth lowering beside others of these prices."""
    if not prices:
        return 0
    return sorted(prices)[:FEW][-1] if len(problem.terms) > LARGEST else TOO_COSTLY * min(prices)


def _paths(problem: Problem, effort: Effort, progress: Progress | None) -> Iterator[Named]:
    """All paths by name, the promising ones first."""
    if len(problem.terms) < 2:
        yield Named(0, "nothing to contract", (0, ()))
        return
    family = longest_family(PathBuilder(problem))
    swept = dict(islice(sweeps(problem), 1 if len(problem.terms) > LARGEST else None))
    if family > SHORTEST:
        batched = dict(_by_levels(problem))
        for name, priced in batched.items():
            yield Named(0, name, priced)
        # Straight-line code has a line a member: for long families it must be out of reach to win.
        limit = TOO_COSTLY * min((price for price, _ in swept.values()), default=TOO_LARGE)
        within = any(price <= limit for price, _ in batched.values())
        # Levels pay for many samples at once; a state or a norm is often cheaper from end to end.
        if family > STRAIGHT and within and (problem.inputs or len(problem.terms) > LONGEST):
            return
    whole = tuple(range(len(problem.terms)))
    for found in search(problem, effort, progress):
        done = PathBuilder(problem)
        done.follow(whole, found.path)
        yield Named(found.level, f"search ({found.name})", done.priced)
    for name, priced in (*swept.items(), *_halves(problem)):
        yield Named(0, name, priced)
    if (dense := _materialize(problem)) is not None:
        yield Named(0, MATERIALIZE, dense)
    if not swept and len(problem.terms) > LARGEST:
        yield Named(0, "in order", in_order(problem))


def _turned(problem: Problem, paths: Iterable[Named]) -> Iterator[Named]:
    """Every path, and beside it the one that multiplies inputs with each other first."""
    for one in paths:
        yield one
        if (other := inputs_first(problem, one.priced[1])) is not None:
            yield Named(one.level, f"{one.name}, inputs first", other)


def _shape(count: int, pairs: Iterable[Pair], known: dict[Pair, int]) -> int:
    """A number for the tree regardless of the order of its steps; equal trees get equal numbers."""
    shapes = [-term - 1 for term in range(count)]
    for left, right in pairs:
        low, high = sorted((shapes[left], shapes[right]))
        shapes.append(known.setdefault((low, high), len(known)))
    return shapes[-1] if shapes else 0


# ── families ────────────────────────────────────────────────────────────────────────────────────


def _by_levels(problem: Problem) -> Iterator[tuple[str, Priced]]:
    large = len(problem.terms) > LARGEST
    for merged in (0, 1, 2):
        for least in (4,) if large else (4, 24, 64, 128):
            contracting = PathBuilder(problem)
            attached = attach(contracting)
            if merged:
                attached = merge_parameters(contracting, attached, merged)
            absorb(contracting, attached)
            pair_levels(contracting, least)
            if not contracting.pairs:
                continue
            note = f", parameters merged {merged}×" if merged else ""
            if _finish(contracting):
                yield f"levels of at least {least} pairs{note}", contracting.priced


def _finish(contracting: PathBuilder) -> bool:
    """Contract what the levels left over, by search or, where it is much, in order."""
    rest = tuple(contracting.alive)
    if len(rest) <= LARGEST:
        contracting.follow(rest, quick_path(contracting.part(rest)))
        return True
    return join_in_order(contracting, rest) is not None


# ── parameters first ────────────────────────────────────────────────────────────────────────────


def _halves(problem: Problem) -> Iterator[tuple[str, Priced]]:
    """Merge the first tensors and the last ones, then contract the input with either half first.

    Two wide products instead of many narrow ones, once the batch pays for the merging.
    """
    starts, units = parts(PathBuilder(problem))
    if len(starts) != 1 or not 3 <= len(units) <= STRAIGHT or problem.looked_up:
        return
    splits = range(1, len(units)) if len(units) <= 8 else (len(units) // 2,)
    for split in splits:
        for turned in (False, True):
            contracting = PathBuilder(problem)
            inputs = attach(contracting).inputs
            left = join_in_order(contracting, tuple(units[:split]), inputs)
            right = join_in_order(contracting, tuple(units[split:]), inputs)
            if left is None or right is None:
                continue
            first, second = (right, left) if turned else (left, right)
            contracting.join(contracting.join(starts[0], first), second)
            side = "second" if turned else "first"
            name = f"split after core {split}, {side} half first"
            yield name, contracting.priced


def _materialize(problem: Problem) -> Priced | None:
    """Contract all parameters to the dense weight, then the inputs with it, in order."""
    contracting = PathBuilder(problem)
    inputs = [term for term in contracting.alive if term in problem.inputs]
    units = tuple(term for term in contracting.alive if term not in problem.inputs)
    if not inputs or len(units) < 2 or problem.looked_up or len(units) > LARGEST:
        return None
    part = contracting.part(units)
    if problem.count(part.output) > DENSE_LIMIT:
        return None
    weight = contracting.follow(units, quick_path(part))
    for term in inputs:
        weight = contracting.join(term, weight)
        if contracting.size(weight) > TOO_LARGE:
            return None
    return contracting.priced
