"""The best trees of small networks with windows, by dynamic programming over subsets of terms.

Path finders know no windows: an index that ends where another begins, a contraction that waits for
all carriers of a kernel, lengths that shrink with the stride. Here each contraction has its price,
so the best tree is found for sure, outer products (of the kernels of two axes, say) included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import or_
from typing import Literal

from tncompile.network.contraction import MOST_WINDOWS
from tncompile.planning.paths.problem import Pair, Path, Problem

Objective = Literal["flops", "size", "write", "combo"]

COMBO_FACTOR = 64  # multiply-adds that an element written counts as
EVERY_SUBSET = 8  # of so many terms all subsets are tried, of more only those that hang together
LARGEST = 2100  # subsets that are searched in about a third of a second …
MOST_TERMS = 40  # … of so many terms at most: chains
REMEMBERED = 512  # paths of problems that are cached: several candidates end in the same one
SEQUENCES = 6  # ways to convolve kept of each subset of terms, the cheapest, beside …
CLOSE = 4.0  # … the cheapest for each order of windows; none that takes so many times the best

Mask = int  # a set of terms, or of legs, or of windows
Sequence = tuple[tuple[Mask, Mask], ...]
"""The convolutions of a tree, the first one first: their windows, and the terms in the kernel."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How a subset of terms is contracted: its multiply-adds, its last step, what is in it."""

    multiply_adds: int
    sides: tuple[Mask, Mask]
    sequences: tuple[Sequence, Sequence]


class _Masks:
    """Legs as bits. Those of the images of `count` windows come first, then kernels, results."""

    def __init__(self, problem: Problem) -> None:
        windows = problem.windows
        count = len(windows)
        ordered = [window.image for window in windows]
        ordered += [window.kernel for window in windows]
        ordered += [window.result for window in windows]
        ordered += sorted({k for legs in problem.terms for k in legs} - set(ordered))
        place = {leg: k for k, leg in enumerate(ordered)}
        self.count, self.windows = count, (1 << count) - 1
        self.transposed = sum(1 << k for k, window in enumerate(windows) if window.transposed)
        self.terms = [sum(1 << place[leg] for leg in legs) for legs in problem.terms]
        self._sizes = [problem.sizes[leg] for leg in ordered]
        self._counted: dict[Mask, int] = {}
        output = set(problem.output)
        self._carriers = [
            sum(1 << term for term, legs in enumerate(problem.terms) if leg in legs)
            for leg in ordered
        ]
        self._open = [leg in output for leg in ordered]

    def elements(self, legs: Mask) -> int:
        """The number of elements of a tensor with these legs."""
        if legs not in self._counted:
            chosen = (size for k, size in enumerate(self._sizes) if legs >> k & 1)
            self._counted[legs] = math.prod(chosen)
        return self._counted[legs]

    def result(self, subset: Mask) -> Mask | None:
        """The legs of the product of some terms; None where it waits for carriers of a kernel."""
        if not subset & (subset - 1):
            return self.terms[subset.bit_length() - 1]
        count = self.count
        legs = 0
        for k in range(count):
            image, carriers = self._carriers[k], self._carriers[count + k]
            held = subset & carriers
            if not subset & image:
                legs |= bool(held) << count + k
            elif not held:
                legs |= 1 << k
            elif held == carriers:
                legs |= 1 << 2 * count + k
            else:
                return None
        for k in range(3 * count, len(self._sizes)):
            held = subset & self._carriers[k]
            if held and (self._open[k] or held != self._carriers[k]):
                legs |= 1 << k
        return legs

    def convolved(self, left: Mask, right: Mask) -> Mask | None:
        """The windows of a contraction; None where it is no single convolution."""
        first = left & right >> self.count & self.windows
        second = right & left >> self.count & self.windows
        if not (first or second):
            return 0
        both = first | second
        mixed = both & self.transposed not in (0, both)
        return None if (first and second) or mixed or both.bit_count() > MOST_WINDOWS else both

    def price(self, left: Mask, right: Mask, windows: Mask) -> int:
        """The multiply-adds of a contraction of two tensors with these legs."""
        shortened = windows & ~self.transposed
        return self.elements((left | right) & ~shortened | shortened << 2 * self.count)

    def neighbors(self) -> list[Mask]:
        """The terms that share an index with each term, or a window, or the image of two kernels.

        The product of such kernels may be worth its price: it saves a pass over the image.
        """
        near = [0] * len(self.terms)
        groups = list(self._carriers[self.count :])
        for image in dict.fromkeys(self._carriers[: self.count]):
            tied = (k for k in range(self.count) if self._carriers[k] == image)
            groups.append(reduce(or_, (self._carriers[self.count + k] for k in tied), image))
        for group in groups:
            for term in _members(group):
                near[term] |= group
        # Loose pieces hang together by their first terms.
        reached, before = 0, None
        for term in range(len(near)):
            if reached >> term & 1:
                continue
            if before is not None:
                near[term] |= 1 << before
                near[before] |= 1 << term
            before, waiting = term, [term]
            while waiting:
                here = waiting.pop()
                reached |= 1 << here
                waiting += _members(near[here] & ~reached)
        return near


def _members(subset: Mask) -> Iterator[int]:
    """The numbers of the bits that are set, ascending."""
    while subset:
        low = subset & -subset
        yield low.bit_length() - 1
        subset ^= low


class _Subsets:
    """The subsets of terms that a tree may contract first, smaller ones first, and their legs."""

    def __init__(self, problem: Problem) -> None:
        self.masks = _Masks(problem)
        count = len(problem.terms)
        every = range(1, 1 << count) if count <= EVERY_SUBSET else _connected(self.masks)
        self.legs: dict[Mask, Mask] = {}
        for subset in sorted((*every, (1 << count) - 1), key=lambda s: (s.bit_count(), s)):
            if (legs := self.masks.result(subset)) is not None:
                self.legs[subset] = legs
        self._ordered = list(self.legs)
        # Every subset of two terms or more, with its last steps: sides, windows, multiply-adds.
        self.steps = tuple(
            (subset, self._steps(subset)) for subset in self._ordered if subset & (subset - 1)
        )

    def _steps(self, subset: Mask) -> list[tuple[Mask, Mask, Mask, int]]:
        masks, legs = self.masks, self.legs
        steps = []
        for side in self._sides(subset):
            other = subset ^ side
            if side in legs and other in legs:
                left, right = legs[side], legs[other]
                windows = masks.convolved(left, right)
                if windows is not None:
                    steps.append((side, other, windows, masks.price(left, right, windows)))
        return steps

    def _sides(self, subset: Mask) -> Iterator[Mask]:
        """The sides that hold the first term of a subset."""
        low = subset & -subset
        rest = subset ^ low
        if 1 << rest.bit_count() > len(self._ordered):
            yield from (side for side in self._ordered if side & low and not side & ~subset)
            return
        side = rest
        while side:
            side = side - 1 & rest
            yield side | low


def _connected(masks: _Masks, most: int | None = None) -> list[Mask]:
    """The subsets of terms that hang together; a few more than `most` where there are more."""
    near = masks.neighbors()
    seen = dict.fromkeys(1 << term for term in range(len(near)))
    queue = list(seen)
    for subset in queue:  # grows while it is read
        around = reduce(or_, (near[term] for term in _members(subset))) & ~subset
        for term in _members(around):
            larger = subset | 1 << term
            if larger not in seen:
                seen[larger] = None
                queue.append(larger)
        if most is not None and len(queue) > most:
            break
    return queue


@lru_cache(maxsize=8)
def _subsets(problem: Problem) -> _Subsets:
    return _Subsets(problem)


@lru_cache(maxsize=REMEMBERED)
def best_path(problem: Problem, objective: Objective) -> Path | None:
    """The best path by an objective; None where no order contracts the windows.

    Objectives are multiply-adds, the elements of the largest result, those of all results, and
    multiply-adds with `COMBO_FACTOR` for each element written. The fewest multiply-adds count among
    equals.
    """
    subsets = _subsets(problem)
    masks = subsets.masks
    # Of each subset: what counts, and its multiply-adds.
    best: dict[Mask, tuple[int, int]] = dict.fromkeys(
        (1 << t for t in range(len(problem.terms))), (0, 0)
    )
    sides: dict[Mask, tuple[Mask, Mask]] = {}
    for subset, steps in subsets.steps:
        written = masks.elements(subsets.legs[subset])
        least: tuple[int, int] | None = None
        for left, right, _, price in steps:
            if left not in best or right not in best:
                continue
            (first, flops), (second, more) = best[left], best[right]
            flops += more + price
            match objective:
                case "flops":
                    value = flops
                case "size":
                    value = max(first, second, written)
                case "write":
                    value = first + second + written
                case "combo":
                    value = first + second + price + COMBO_FACTOR * written
            if least is None or (value, flops) < least:
                least = value, flops
                sides[subset] = left, right
        if least is not None:
            best[subset] = least
    whole = (1 << len(problem.terms)) - 1
    return _path(len(problem.terms), sides.__getitem__) if whole in best else None


@lru_cache(maxsize=REMEMBERED)
def convolution_paths(problem: Problem) -> tuple[Path, ...]:
    """The cheapest path for each order of windows, and for some of what is merged into kernels.

    Which windows are convolved along at once, which one after the other and what is contracted
    before a convolution decides how fast a tree is, beside its multiply-adds. The cheapest first.
    """
    subsets = _subsets(problem)
    images = subsets.masks.windows
    ways: dict[Mask, dict[Sequence, _Way]] = {}
    for term in range(len(problem.terms)):
        ways[1 << term] = {(): _Way(0, (0, 0), ((), ()))}
    for subset, steps in subsets.steps:
        found: dict[Sequence, _Way] = {}
        for left, right, windows, price in steps:
            swapped = bool(windows & ~subsets.legs[left] & images)
            image, kernel = (right, left) if swapped else (left, right)
            last = ((windows, kernel),) if windows else ()
            for first, one in ways.get(image, {}).items():
                for second, other in ways.get(kernel, {}).items():
                    sequence = first + second + last
                    multiply_adds = one.multiply_adds + other.multiply_adds + price
                    held = found.get(sequence)
                    if held is None or multiply_adds < held.multiply_adds:
                        found[sequence] = _Way(multiply_adds, (image, kernel), (first, second))
        if found:
            ways[subset] = _fewer(found)
    whole = (1 << len(problem.terms)) - 1
    final = ways.get(whole, {})
    least = min((way.multiply_adds for way in final.values()), default=0)
    paths: list[Path] = []
    for sequence, way in final.items():
        if way.multiply_adds <= CLOSE * least:
            chosen = {whole: sequence}

            def sides(subset: Mask, chosen: dict[Mask, Sequence] = chosen) -> tuple[Mask, Mask]:
                way = ways[subset][chosen[subset]]
                chosen.update(zip(way.sides, way.sequences, strict=True))
                return way.sides

            paths.append(_path(len(problem.terms), sides))
    return tuple(paths)


def _fewer(found: dict[Sequence, _Way]) -> dict[Sequence, _Way]:
    """The cheapest for each order of windows, and some more; the cheapest first."""
    orders: set[tuple[Mask, ...]] = set()
    kept: dict[Sequence, _Way] = {}
    further = SEQUENCES
    for sequence, way in sorted(found.items(), key=lambda item: (item[1].multiply_adds, item[0])):
        order = tuple(windows for windows, _ in sequence)
        if order in orders:
            further -= 1
            if further < 0:
                continue
        orders.add(order)
        kept[sequence] = way
    return kept


def _path(count: int, sides: Callable[[Mask], tuple[Mask, Mask]]) -> Path:
    """The path of a tree, given the two sides of each subset; those with fewer terms first."""
    pairs: list[Pair] = []

    def contract(subset: Mask) -> int:
        """Adds the pairs of a subset; the number of its result."""
        if not subset & (subset - 1):
            return subset.bit_length() - 1
        first, second = sides(subset)
        left, right = contract(first), contract(second)
        pairs.append((min(left, right), max(left, right)))
        return count + len(pairs) - 1

    contract((1 << count) - 1)
    return tuple(pairs)


def is_small(problem: Problem) -> bool:
    """Whether the search takes little time: of eleven terms, and of more that form a chain."""
    most = LARGEST.bit_length() - 1
    count = len(problem.terms)
    if count <= most or count > MOST_TERMS:
        return count <= most
    return len(_connected(_Masks(problem), LARGEST)) <= LARGEST
