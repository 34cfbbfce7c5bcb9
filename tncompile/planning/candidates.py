"""Our own contraction trees beside those of the search, each made in time linear in the network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tncompile.network.contraction import ContractionTree, Operand, build_tree
from tncompile.network.model import TensorNetwork
from tncompile.planning.levels import (
    absorb,
    attach,
    longest_family,
    merge_parameters,
    pair_levels,
)
from tncompile.planning.problem import Contracting, Pair, Problem
from tncompile.planning.search import LARGEST, Effort, Progress, quick_path, search

STRAIGHT = 64
"""A family of more equal members is contracted by levels: else its code is a line a member."""

SHORTEST = 4
"""A family of this many members or fewer is not worth contracting by levels."""

TOO_LARGE = 2**62
"""Elements of an intermediate at which a candidate is given up while it is being made."""

DENSE_LIMIT = 2**31
"""Elements of a dense weight that is still worth considering."""

HOPELESS = 64
"""A tree with this many times the multiply-adds of the best is not worth lowering."""

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
    for name, priced in _paths(problem, effort, progress):
        shape = _shape(len(problem.terms), priced[1], known)
        names.setdefault(shape, []).append(name)
        chosen.setdefault(shape, priced)
    least = min(price for price, _ in chosen.values())
    return tuple(
        Candidate(tuple(names[shape]), build_tree(network, given, pairs), price)
        for shape, (price, pairs) in chosen.items()
        if price <= HOPELESS * least or MATERIALIZE in names[shape]
    )


Priced = tuple[int, tuple[Pair, ...]]


def _paths(
    problem: Problem, effort: Effort, progress: Progress | None
) -> Iterator[tuple[str, Priced]]:
    """All paths by name, the promising ones first."""
    if len(problem.terms) < 2:
        yield "nothing to contract", (0, ())
        return
    family = longest_family(Contracting(problem))
    swept = dict(_sweeps(problem))
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
        yield f"search ({name})", (done.multiply_adds, tuple(done.pairs))
    yield from swept.items()
    yield from _halves(problem)
    if (dense := _materialize(problem, effort)) is not None:
        yield MATERIALIZE, dense
    if not swept and len(problem.terms) > LARGEST:
        yield "in order", _in_order(problem)


def _shape(count: int, pairs: Iterable[Pair], known: dict[Pair, int]) -> int:
    """A number for the tree regardless of the order of its steps; equal trees get equal numbers."""
    shapes = [-term - 1 for term in range(count)]
    for left, right in pairs:
        low, high = sorted((shapes[left], shapes[right]))
        shapes.append(known.setdefault((low, high), len(known)))
    return shapes[-1] if shapes else 0


# ── families ────────────────────────────────────────────────────────────────────────────────────


def _by_levels(problem: Problem, effort: Effort) -> Iterator[tuple[str, Priced]]:
    for merged in (0, 1, 2):
        for least in (4, 24):
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
            yield name, (contracting.multiply_adds, tuple(contracting.pairs))


def _finish(contracting: Contracting, effort: Effort) -> bool:
    """Contract what the levels left over, by search or, where it is much, in order."""
    rest = tuple(contracting.alive)
    if len(rest) <= LARGEST:
        contracting.follow(rest, quick_path(contracting.part(rest), effort))
        return True
    return _join_in_order(contracting, rest) is not None


# ── sweeps ──────────────────────────────────────────────────────────────────────────────────────


def _sweeps(problem: Problem) -> Iterator[tuple[str, Priced]]:
    """Every sweep that does not explode, by name."""
    for name, order in (("forward", 1), ("backward", -1)):
        if (swept := _sweep(problem, order)) is not None:
            yield f"sweep {name}", swept
    if (swept := _sweep_from_both_ends(problem)) is not None:
        yield "sweep from both ends", swept


def _sweep(problem: Problem, order: int) -> Priced | None:
    """Tensor after tensor in declaration order (or against it), inputs as they are met."""
    contracting = Contracting(problem)
    inputs = attach(contracting).inputs
    starts, units = _starts_and_units(contracting)
    everything = [*starts, *units[::order]]
    if _join_in_order(contracting, tuple(everything), inputs) is None:
        return None
    return contracting.multiply_adds, tuple(contracting.pairs)


def _sweep_from_both_ends(problem: Problem) -> Priced | None:
    """Two sweeps that meet in the middle; around an input that many tensors share, in turns."""
    contracting = Contracting(problem)
    inputs = attach(contracting).inputs
    starts, units = _starts_and_units(contracting)
    if len(units) < 3:
        return None
    middle = (len(units) + 1) // 2
    left, right = units[:middle], units[middle:][::-1]
    if starts:
        turns = [unit for pair in zip(left, right, strict=False) for unit in pair]
        order = (*starts, *turns, *left[len(right) :])
        if _join_in_order(contracting, order, inputs) is None:
            return None
    else:
        first = _join_in_order(contracting, tuple(left), inputs)
        second = None if first is None else _join_in_order(contracting, tuple(right), inputs)
        if first is None or second is None:
            return None
        contracting.join(first, second)
    return contracting.multiply_adds, tuple(contracting.pairs)


def _starts_and_units(contracting: Contracting) -> tuple[list[int], list[int]]:
    """The inputs that several tensors share, and all that is no input, in declaration order."""
    waiting = attach(contracting).waiting()
    problem = contracting.problem
    starts = [term for term in contracting.alive if term in problem.inputs and term not in waiting]
    units = [term for term in contracting.alive if term not in problem.inputs]
    return starts, units


def _join_in_order(
    contracting: Contracting, order: tuple[int, ...], inputs: dict[int, list[int]] | None = None
) -> int | None:
    """Join terms one after the other; None where an intermediate becomes absurdly large."""
    result: int | None = None
    for term in order:
        waiting = list((inputs or {}).get(term, ()))
        if result is None:
            result = term
        elif waiting and _absorb_first(contracting, result, term, waiting[0]):
            while waiting:
                term = contracting.join(waiting.pop(0), term)
            result = contracting.join(result, term)
        else:
            result = contracting.join(result, term)
        for given in waiting:
            left, right = (given, result) if result == term else (result, given)
            result = contracting.join(left, right)
        if contracting.size(result) > TOO_LARGE:
            return None
    return result


def _absorb_first(contracting: Contracting, result: int, term: int, given: int) -> bool:
    """Whether (result · (input · tensor)) is cheaper than ((result · tensor) · input)."""
    count = contracting.problem.count
    absorbed = contracting.kept(given, term)
    first = contracting.price(given, term)
    first += count(dict.fromkeys((*contracting.legs[result], *absorbed)))
    joined = contracting.kept(result, term)
    second = contracting.price(result, term)
    second += count(dict.fromkeys((*joined, *contracting.legs[given])))
    return first < second


def _in_order(problem: Problem) -> Priced:
    """Term after term without any thought: what always exists."""
    contracting = Contracting(problem)
    terms = list(contracting.alive)
    result = terms[0]
    for term in terms[1:]:
        result = contracting.join(result, term)
    return contracting.multiply_adds, tuple(contracting.pairs)


# ── parameters first ────────────────────────────────────────────────────────────────────────────


def _halves(problem: Problem) -> Iterator[tuple[str, Priced]]:
    """Merge the first tensors and the last ones, then contract the input with either half first.

    Two wide products instead of many narrow ones, once the batch pays for the merging.
    """
    starts, units = _starts_and_units(Contracting(problem))
    if len(starts) != 1 or not 3 <= len(units) <= STRAIGHT or problem.looked_up:
        return
    splits = range(1, len(units)) if len(units) <= 8 else (len(units) // 2,)
    for split in splits:
        for turned in (False, True):
            contracting = Contracting(problem)
            inputs = attach(contracting).inputs
            left = _join_in_order(contracting, tuple(units[:split]), inputs)
            right = _join_in_order(contracting, tuple(units[split:]), inputs)
            if left is None or right is None:
                continue
            first, second = (right, left) if turned else (left, right)
            contracting.join(contracting.join(starts[0], first), second)
            side = "second" if turned else "first"
            name = f"halves at {split}, {side} half first"
            yield name, (contracting.multiply_adds, tuple(contracting.pairs))


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
    return contracting.multiply_adds, tuple(contracting.pairs)
