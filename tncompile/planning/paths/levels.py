"""Contraction by levels: as many equal pairs at once as there are, to run as one batched product.

Lowering batches contractions of equal height and equal shapes. A long chain, ring, tree or ladder
is therefore contracted level by level: first every input into the tensor it feeds, then neighbors
in pairs, (0, 1), (2, 3), …, an odd one set aside until the end; a leaf into what carries it. Each
level halves a family: n members take about log2(n) products (rake and compress, Miller and Reif
1985).
"""

from __future__ import annotations

from itertools import pairwise

from tncompile.planning.paths.problem import Pair, PathBuilder

Inputs = dict[int, list[int]]
"""The inputs that wait at each parameter: terms whose only neighbor it is."""

LARGEST_ENTRY = 2**20  # elements of a level's result, run-time axes left out, that are too many


def attach(builder: PathBuilder) -> Inputs:
    """The inputs whose only neighbor is one parameter (the slices of a chain, say), in order."""
    problem = builder.problem
    carriers = _carriers(builder)
    attached: Inputs = {}
    for term in sorted(problem.inputs):
        legs = [leg for leg in builder.legs[term] if leg not in problem.runtime]
        near = {other for leg in legs for other in carriers[leg]} - {term}
        if len(near) == 1 and not near & problem.inputs:
            (parameter,) = near
            if builder.joins(parameter, term):
                attached.setdefault(parameter, []).append(term)
    return attached


def absorb(builder: PathBuilder, attached: Inputs) -> None:
    """Contract every waiting input into its parameter, one level for each input of a parameter."""
    while attached:
        absorbed: Inputs = {}
        for term, (first, *rest) in attached.items():
            absorbed[builder.join(first, term)] = rest
        attached = {term: rest for term, rest in absorbed.items() if rest}


def merge_parameters(builder: PathBuilder, attached: Inputs, rounds: int) -> Inputs:
    """Pair neighboring parameters before any input arrives, and the inputs that wait at them.

    The products of parameters cost nothing a sample; what they save is a product a sample.
    """
    for _ in range(rounds):
        waiting = frozenset(term for inputs in attached.values() for term in inputs)
        matching = best_matching(builder, 2, waiting)
        if not matching:
            return attached
        matching += _loose_ends(builder, waiting, matching)
        merged = [
            (builder.join(left, right), attached.pop(left, []) + attached.pop(right, []))
            for left, right in matching
        ]
        for result, inputs in merged:
            if len(inputs) == 2:
                inputs = [builder.join(inputs[0], inputs[1])]
            if inputs:
                attached[result] = inputs
    return attached


def _loose_ends(builder: PathBuilder, hidden: frozenset[int], matching: list[Pair]) -> list[Pair]:
    """Pairs of a term with one neighbor and that neighbor, neither of which is matched.

    They are the first two sites of a chain, say: merged now, they save two products a sample.
    """
    matched = {term for pair in matching for term in pair}
    pairs: list[Pair] = []
    for term, near in _neighbors(builder, hidden).items():
        left, right = sorted((term, next(iter(near))))
        loose = len(near) == 1 and not matched & {left, right}
        if loose and _fixed_size(builder, left, right) <= LARGEST_ENTRY:
            pairs.append((left, right))
            matched.update((left, right))
    return pairs


def best_matching(
    builder: PathBuilder, least: int, hidden: frozenset[int] = frozenset()
) -> list[Pair]:
    """The largest set of disjoint equal pairs of neighbors that leaves the network no denser.

    Terms in `hidden` are as if not there. Ties go to the smaller results, then to the first pair.
    """
    neighbors = _neighbors(builder, hidden)
    classes: dict[tuple[object, ...], list[Pair]] = {}
    for left, near in neighbors.items():
        for right in near:
            if left < right and builder.joins(left, right):
                classes.setdefault(_signature(builder, left, right), []).append((left, right))
    best: list[Pair] = []
    best_size = 0
    for pairs in classes.values():
        matching = _disjoint(pairs, neighbors)
        size = _fixed_size(builder, *matching[0])
        better = (len(matching), -size) > (len(best), -best_size) and len(matching) >= least
        if better and size <= LARGEST_ENTRY and _simplifies(neighbors, matching):
            best, best_size = matching, size
    return best


def _carriers(builder: PathBuilder, hidden: frozenset[int] = frozenset()) -> dict[int, list[int]]:
    """The living terms that carry each index of known size, the oldest first."""
    carriers: dict[int, list[int]] = {}
    for term in builder.alive:
        if term not in hidden:
            for leg in builder.legs[term]:
                if leg not in builder.problem.runtime:
                    carriers.setdefault(leg, []).append(term)
    return carriers


def _neighbors(builder: PathBuilder, hidden: frozenset[int]) -> dict[int, dict[int, None]]:
    """The terms that share an index with each term; along a hyperedge only consecutive ones."""
    neighbors: dict[int, dict[int, None]] = {}
    for terms in _carriers(builder, hidden).values():
        for left, right in pairwise(terms):
            neighbors.setdefault(left, {})[right] = None
            neighbors.setdefault(right, {})[left] = None
    return {term: neighbors[term] for term in builder.alive if term in neighbors}


def _signature(builder: PathBuilder, left: int, right: int) -> tuple[object, ...]:
    """What makes two pairs run as one batched product: heights, sizes and how the legs meet."""
    sizes, runtime = builder.problem.sizes, builder.problem.runtime
    ours, theirs = builder.legs[left], builder.legs[right]
    result = set(builder.result_legs(left, right))
    place = {leg: k for k, leg in enumerate(theirs)}
    return (
        builder.height[left],
        builder.height[right],
        tuple(
            (sizes[leg], leg if leg in runtime else -1, place.get(leg, -1), leg in result)
            for leg in ours
        ),
        tuple((sizes[leg], leg in runtime, leg in result) for leg in theirs),
    )


def _disjoint(pairs: list[Pair], neighbors: dict[int, dict[int, None]]) -> list[Pair]:
    """A maximal matching, in order: (0, 1), (2, 3), … of a run.

    Of a run with an odd number of terms the last one is left over, or the first where that is next
    to the end of a chain: so what is left over comes to lie with other terms that are no pairs.
    """
    matching: list[Pair] = []
    matched: set[int] = set()
    for run in _runs(sorted(pairs)):
        terms = {term for pair in run for term in pair}
        backward = (
            len(terms) % 2
            and len(terms) == len(run) + 1
            and _beside_an_end(run[0][0], terms, neighbors)
            and not _beside_an_end(run[-1][1], terms, neighbors)
        )
        for left, right in reversed(run) if backward else run:
            if left not in matched and right not in matched:
                matched.update((left, right))
                matching.append((left, right))
    return sorted(matching)


def _runs(pairs: list[Pair]) -> list[list[Pair]]:
    """Pairs that hang together, in the order given."""
    runs: list[list[Pair]] = []
    run_of: dict[int, list[Pair]] = {}
    for left, right in pairs:
        run = run_of.get(left, run_of.get(right))
        if run is None:
            run = []
            runs.append(run)
        run.append((left, right))
        run_of[left] = run_of[right] = run
    return runs


def _beside_an_end(term: int, run: set[int], neighbors: dict[int, dict[int, None]]) -> bool:
    """Whether a neighbor outside the run has no other neighbor."""
    return any(len(neighbors[other]) == 1 for other in neighbors[term] if other not in run)


def _fixed_size(builder: PathBuilder, left: int, right: int) -> int:
    """Elements of the product, run-time axes not counted."""
    legs = set(builder.result_legs(left, right)) - builder.problem.runtime
    return builder.problem.count(legs)


def _simplifies(neighbors: dict[int, dict[int, None]], matching: list[Pair]) -> bool:
    """Whether merged terms have two neighbors at most, or mostly fewer than their parts had.

    Chains and rings stay chains and rings, trees lose leaves, ladders become chains (but for their
    ends, which do not match); in a square lattice merged bonds would only grow, so that it is left
    to the search.
    """
    merged = {term: pair[0] for pair in matching for term in pair}
    fewer = 0
    for left, right in matching:
        around = {merged.get(term, term) for term in (*neighbors[left], *neighbors[right])}
        degree, before = len(around - {left}), max(len(neighbors[left]), len(neighbors[right]))
        if degree > max(2, before):
            return False
        fewer += degree <= 2 or degree < before
    return 2 * fewer > len(matching)
