"""Our own contraction trees beside those of the search, each made in time linear in the network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from tncompile.network.contraction import ContractionTree, Operand, build_tree
from tncompile.network.model import TensorNetwork
from tncompile.planning.levels import (
    absorb,
    attach,
    longest_family,
    merge_parameters,
    pair_levels,
)
from tncompile.planning.problem import Contracting, Pair, Priced, Problem
from tncompile.planning.reordering import inputs_first
from tncompile.planning.search import LARGEST, Effort, Progress, quick_path, search
from tncompile.planning.sweeps import TOO_LARGE, in_order, join_in_order, parts, sweeps

STRAIGHT = 64
"""A family of more equal members is contracted by levels: else its code is a line a member."""

SHORTEST = 4
"""A family of this many members or fewer is not worth contracting by levels."""

DENSE_LIMIT = 2**31
"""Elements of a dense weight that is still worth considering."""

HOPELESS = 64
"""A tree with this many times the multiply-adds of the best is not worth lowering."""

FEW = 2
"""How many candidates of a network beyond the search are lowered, which takes seconds each."""

MATERIALIZE = "materialize dense"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A contraction tree, the ways that found it, and its multiply-adds at the planned sizes."""

    names: tuple[str, ...]
    tree: ContractionTree
    multiply_adds: int


def candidates(
    network: TensorNetwork,
    given: tuple[Operand, ...],
    problem: Problem,
    effort: Effort,
    progress: Progress | None = None,
) -> tuple[Candidate, ...]:
    """Distinct contraction trees worth lowering, at least one; the dense weight wherever it fits.

    A tree that several of our ways find has all their names, the first found first.
    """
    known: dict[Pair, int] = {}
    names: dict[int, list[str]] = {}
    chosen: dict[int, Priced] = {}
    for name, priced in _turned(problem, _paths(problem, effort, progress)):
        shape = _shape(len(problem.terms), priced[1], known)
        names.setdefault(shape, []).append(name)
        chosen.setdefault(shape, priced)
    prices = sorted(price for price, _ in chosen.values())
    limit = prices[:FEW][-1] if len(problem.terms) > LARGEST else HOPELESS * prices[0]
    return tuple(
        Candidate(tuple(names[shape]), build_tree(network, given, pairs), price)
        for shape, (price, pairs) in chosen.items()
        if price <= limit or MATERIALIZE in names[shape]
    )


def _paths(
    problem: Problem, effort: Effort, progress: Progress | None
) -> Iterator[tuple[str, Priced]]:
    """All paths by name, the promising ones first."""
    if len(problem.terms) < 2:
        yield "nothing to contract", (0, ())
        return
    family = longest_family(Contracting(problem))
    swept = dict(islice(sweeps(problem), 1 if len(problem.terms) > LARGEST else None))
    if family > SHORTEST:
        batched = dict(_by_levels(problem, effort))
        yield from batched.items()
        # Straight-line code has a line a member: for long families it must be out of reach to win.
        limit = HOPELESS * min((price for price, _ in swept.values()), default=TOO_LARGE)
        if family > STRAIGHT and any(price <= limit for price, _ in batched.values()):
            return
    whole = tuple(range(len(problem.terms)))
    for name, pairs in search(problem, effort, progress).items():
        done = Contracting(problem)
        done.follow(whole, pairs)
        yield f"search ({name})", done.priced
    yield from swept.items()
    yield from _halves(problem)
    if (dense := _materialize(problem, effort)) is not None:
        yield MATERIALIZE, dense
    if not swept and len(problem.terms) > LARGEST:
        yield "in order", in_order(problem)


def _turned(problem: Problem, paths: Iterable[tuple[str, Priced]]) -> Iterator[tuple[str, Priced]]:
    """Every path, and beside it the one that multiplies inputs with each other first."""
    for name, priced in paths:
        yield name, priced
        if (other := inputs_first(problem, priced[1])) is not None:
            yield f"{name}, inputs first", other


def _shape(count: int, pairs: Iterable[Pair], known: dict[Pair, int]) -> int:
    """A number for the tree regardless of the order of its steps; equal trees get equal numbers."""
    shapes = [-term - 1 for term in range(count)]
    for left, right in pairs:
        low, high = sorted((shapes[left], shapes[right]))
        shapes.append(known.setdefault((low, high), len(known)))
    return shapes[-1] if shapes else 0


# ── families ────────────────────────────────────────────────────────────────────────────────────


def _by_levels(problem: Problem, effort: Effort) -> Iterator[tuple[str, Priced]]:
    large = len(problem.terms) > LARGEST
    for merged in (0, 1, 2):
        for least in (4,) if large else (4, 24, 64, 128):
            contracting = Contracting(problem)
            attached = attach(contracting)
            if merged:
                attached = merge_parameters(contracting, attached, merged)
            absorb(contracting, attached)
            pair_levels(contracting, least)
            if not contracting.pairs or not _finish(contracting, effort):
                continue
            note = f", parameters merged {merged}×" if merged else ""
            name = f"levels down to {least}{note}"
            yield name, contracting.priced


def _finish(contracting: Contracting, effort: Effort) -> bool:
    """Contract what the levels left over, by search or, where it is much, in order."""
    rest = tuple(contracting.alive)
    if len(rest) <= LARGEST:
        contracting.follow(rest, quick_path(contracting.part(rest), effort))
        return True
    return join_in_order(contracting, rest) is not None


# ── parameters first ────────────────────────────────────────────────────────────────────────────


def _halves(problem: Problem) -> Iterator[tuple[str, Priced]]:
    """Merge the first tensors and the last ones, then contract the input with either half first.

    Two wide products instead of many narrow ones, once the batch pays for the merging.
    """
    starts, units = parts(Contracting(problem))
    if len(starts) != 1 or not 3 <= len(units) <= STRAIGHT or problem.looked_up:
        return
    splits = range(1, len(units)) if len(units) <= 8 else (len(units) // 2,)
    for split in splits:
        for turned in (False, True):
            contracting = Contracting(problem)
            inputs = attach(contracting).inputs
            left = join_in_order(contracting, tuple(units[:split]), inputs)
            right = join_in_order(contracting, tuple(units[split:]), inputs)
            if left is None or right is None:
                continue
            first, second = (right, left) if turned else (left, right)
            contracting.join(contracting.join(starts[0], first), second)
            side = "second" if turned else "first"
            name = f"halves at {split}, {side} half first"
            yield name, contracting.priced


def _materialize(problem: Problem, effort: Effort) -> Priced | None:
    """Contract all parameters to the dense weight, then the inputs with it, in order."""
    contracting = Contracting(problem)
    inputs = [term for term in contracting.alive if term in problem.inputs]
    units = tuple(term for term in contracting.alive if term not in problem.inputs)
    if not inputs or len(units) < 2 or problem.looked_up or len(units) > LARGEST:
        return None
    part = contracting.part(units)
    if problem.count(part.output) > DENSE_LIMIT:
        return None
    weight = contracting.follow(units, quick_path(part, effort))
    for term in inputs:
        weight = contracting.join(term, weight)
        if contracting.size(weight) > TOO_LARGE:
            return None
    return contracting.priced
