"""Contraction by levels: as many equal pairs at once as there are, to run as one batched product.

Lowering batches contractions of equal height and equal shapes. A long chain, ring, tree or ladder
is therefore contracted level by level: first every input into the tensor it feeds, then neighbors
in pairs, (0, 1), (2, 3), …, an odd one set aside until the end; a leaf into what carries it. Each
level halves a family, so that a family of n members takes about log2(n) products. (Parallel tree
contraction by rake and compress, Miller and Reif 1985.)
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

from tncompile.planning.paths.problem import PathBuilder

Signature = tuple[object, ...]

LARGEST_ENTRY = 2**20
"""Elements, run-time axes not counted, beyond which a level's result is not worth having."""


@dataclass(slots=True)
class Attached:
    """The inputs that wait at each parameter: terms whose only neighbor it is."""

    inputs: dict[int, list[int]] = field(default_factory=dict)

    def waiting(self) -> set[int]:
        """All inputs that wait."""
        return {term for terms in self.inputs.values() for term in terms}


def attach(builder: PathBuilder) -> Attached:
    """The inputs whose only neighbor is one parameter (the slices of a chain, say), in order."""
    problem = builder.problem
    carriers = _carriers(builder, frozenset())
    attached = Attached()
    for term in sorted(problem.inputs):
        near = {
            other
            for leg in builder.legs[term]
            if leg not in problem.runtime
            for other in carriers[leg]
            if other != term
        }
        if len(near) == 1 and not near & problem.inputs:
            attached.inputs.setdefault(near.pop(), []).append(term)
    return attached


def absorb(builder: PathBuilder, attached: Attached) -> None:
    """Contract every waiting input into its parameter, one level for each input of a parameter."""
    waiting = {term: list(terms) for term, terms in attached.inputs.items()}
    while waiting:
        following: dict[int, list[int]] = {}
        for term, terms in waiting.items():
            result = builder.join(terms[0], term)
            if terms[1:]:
                following[result] = terms[1:]
        waiting = following


def merge_parameters(builder: PathBuilder, attached: Attached, rounds: int) -> Attached:
    """Pair neighboring parameters before any input arrives, and the inputs that wait at them.

    The products of parameters cost nothing a sample; what they save is a product a sample.
    """
    for _ in range(rounds):
        waiting = attached.waiting()
        matching = best_matching(builder, frozenset(waiting), least=2)
        if not matching:
            return attached
        matching += loose_ends(builder, frozenset(waiting), matching)
        paired = {term for pair in matching for term in pair}
        following = Attached({k: v for k, v in attached.inputs.items() if k not in paired})
        merged: list[tuple[int, list[int]]] = []
        for left, right in matching:
            inputs = attached.inputs.get(left, []) + attached.inputs.get(right, [])
            merged.append((builder.join(left, right), inputs))
        for result, inputs in merged:
            if len(inputs) == 2:
                inputs = [builder.join(inputs[0], inputs[1])]
            if inputs:
                following.inputs[result] = inputs
        attached = following
    return attached


def loose_ends(
    builder: PathBuilder, hidden: frozenset[int], matching: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Pairs of a term with one neighbor and that neighbor, neither of which is matched.

    They are the first two sites of a chain, say: merged now, they save two products a sample.
    """
    matched = {term for pair in matching for term in pair}
    neighbors = _neighbors(builder, _carriers(builder, hidden))
    position = {term: k for k, term in enumerate(builder.alive)}
    pairs: list[tuple[int, int]] = []
    for term, near in neighbors.items():
        other = next(iter(near))
        if len(near) == 1 and not matched & {term, other}:
            left, right = sorted((term, other), key=position.__getitem__)
            if _fixed_size(builder, left, right) <= LARGEST_ENTRY:
                pairs.append((left, right))
                matched.update((left, right))
    return pairs


def pair_levels(builder: PathBuilder, least: int) -> None:
    """Contract level by level while some level has at least `least` equal pairs."""
    while matching := best_matching(builder, frozenset(), least):
        for left, right in matching:
            builder.join(left, right)


def best_matching(
    builder: PathBuilder, hidden: frozenset[int], least: int
) -> list[tuple[int, int]]:
    """The largest set of disjoint equal pairs of neighbors that leaves the network no denser.

    Terms in `hidden` are as if not there. Ties go to the smaller results, then to the first pair.
    """
    carriers = _carriers(builder, hidden)
    neighbors = _neighbors(builder, carriers)
    classes: dict[Signature, list[tuple[int, int]]] = {}
    position = {term: k for k, term in enumerate(builder.alive)}
    for left, near in neighbors.items():
        for right in near:
            if position[left] < position[right]:
                key = _signature(builder, left, right)
                classes.setdefault(key, []).append((left, right))
    best: list[tuple[int, int]] = []
    best_size = 0
    for pairs in classes.values():
        matching = _disjoint(pairs, position, neighbors)
        size = _fixed_size(builder, *matching[0])
        better = len(matching) > len(best) or (len(matching) == len(best) and size < best_size)
        if (
            len(matching) >= least
            and better
            and size <= LARGEST_ENTRY
            and _simplifies(neighbors, matching)
        ):
            best, best_size = matching, size
    return best


def _carriers(builder: PathBuilder, hidden: frozenset[int]) -> dict[int, list[int]]:
    """The living terms that carry each index of known size, the oldest first."""
    carriers: dict[int, list[int]] = {}
    for term in builder.alive:
        if term not in hidden:
            for leg in builder.legs[term]:
                if leg not in builder.problem.runtime:
                    carriers.setdefault(leg, []).append(term)
    return carriers


def _neighbors(builder: PathBuilder, carriers: dict[int, list[int]]) -> dict[int, dict[int, None]]:
    """The terms that share an index with each term; along a hyperedge only consecutive ones."""
    neighbors: dict[int, dict[int, None]] = {}
    for terms in carriers.values():
        for left, right in pairwise(terms):
            neighbors.setdefault(left, {})[right] = None
            neighbors.setdefault(right, {})[left] = None
    return {term: neighbors[term] for term in builder.alive if term in neighbors}


def _signature(builder: PathBuilder, left: int, right: int) -> Signature:
    """What makes two pairs run as one batched product: heights, sizes and how the legs meet."""
    problem = builder.problem
    ours, theirs = builder.legs[left], builder.legs[right]
    result = set(builder.result_legs(left, right))
    place = {leg: k for k, leg in enumerate(theirs)}

    def describe(leg: int) -> tuple[int, int, int, bool]:
        return (
            problem.sizes[leg],
            leg if leg in problem.runtime else -1,
            place.get(leg, -1),
            leg in result,
        )

    return (
        builder.height[left],
        builder.height[right],
        tuple(describe(leg) for leg in ours),
        tuple((problem.sizes[leg], leg in problem.runtime, leg in result) for leg in theirs),
    )


def _disjoint(
    pairs: list[tuple[int, int]],
    position: dict[int, int],
    neighbors: dict[int, dict[int, None]],
) -> list[tuple[int, int]]:
    """A maximal matching, in order: (0, 1), (2, 3), … of a run.

    Of a run with an odd number of terms the last one is left over, or the first where that is next
    to the end of a chain: so what is left over comes to lie with other terms that are no pairs.
    """
    matching: list[tuple[int, int]] = []
    matched: set[int] = set()

    def place(pair: tuple[int, int]) -> tuple[int, int]:
        return position[pair[0]], position[pair[1]]

    for run in _runs(sorted(pairs, key=place)):
        terms = {term for pair in run for term in pair}
        first, last = run[0][0], run[-1][1]
        backward = (
            len(terms) % 2
            and len(terms) == len(run) + 1
            and _beside_an_end(first, terms, neighbors)
            and not _beside_an_end(last, terms, neighbors)
        )
        for left, right in reversed(run) if backward else run:
            if left not in matched and right not in matched:
                matched.update((left, right))
                matching.append((left, right))
    return sorted(matching, key=place)


def _runs(pairs: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Pairs that hang together, in the order given."""
    runs: list[list[tuple[int, int]]] = []
    run_of: dict[int, list[tuple[int, int]]] = {}
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
    problem = builder.problem
    return problem.count(
        leg for leg in builder.result_legs(left, right) if leg not in problem.runtime
    )


def _simplifies(neighbors: dict[int, dict[int, None]], matching: list[tuple[int, int]]) -> bool:
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


def longest_family(builder: PathBuilder) -> int:
    """How many terms have equal sizes in equal order: the largest family as it has to be run."""
    problem = builder.problem
    families = Counter(
        (term in problem.inputs, tuple(problem.sizes[leg] for leg in legs))
        for term, legs in enumerate(problem.terms)
        if len(legs) > 0
    )
    return max(families.values(), default=0)
