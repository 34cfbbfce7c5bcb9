"""A contraction problem in numbers, and the builder of its contraction paths."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tncompile.network.contraction import MOST_WINDOWS, Operand
from tncompile.network.model import TensorNetwork

Pair = tuple[int, int]
Path = tuple[Pair, ...]
Legs = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WindowLegs:
    """A window in numbers: its legs on an image, on tensors (the carriers) and on the result.

    The contraction of the image with the last carrier convolves. It takes the product of all
    legs, where `positions` stands for that of the image: that of the result, or the image's own
    where the window is transposed, since each entry of the image then adds to several others.
    """

    image: int
    kernel: int
    result: int
    positions: int

    @property
    def transposed(self) -> bool:
        """Whether the convolution is a transposed one."""
        return self.positions == self.image


@dataclass(frozen=True, slots=True)
class Problem:
    """What to contract: the legs of each term, the legs of the output, the size of each index.

    Indices are numbered by first appearance, so that names change nothing. `runtime` are those
    whose sizes are only planned; `inputs` are the terms that are arguments of `forward`,
    `looked_up` the parameters that depend on inputs since ids select their rows. Both ends of each
    of the `windows` are among the terms.
    """

    terms: tuple[Legs, ...]
    output: Legs
    sizes: tuple[int, ...]
    runtime: frozenset[int] = frozenset()
    inputs: frozenset[int] = frozenset()
    looked_up: frozenset[int] = frozenset()
    windows: tuple[WindowLegs, ...] = ()

    def count(self, legs: Iterable[int]) -> int:
        """The number of elements of a tensor with these legs."""
        return math.prod(self.sizes[leg] for leg in legs)


def contraction_problem(
    network: TensorNetwork, operands: tuple[Operand, ...], runtime: Mapping[str, int]
) -> Problem:
    """The problem that these operands of the network pose at these run-time sizes."""
    names = dict.fromkeys(leg for operand in operands for leg in operand.legs)
    tied = [w for w in network.windows if w.input_leg in names and w.kernel_leg in names]
    names.update(dict.fromkeys(window.output_leg for window in tied))
    number = {leg: k for k, leg in enumerate(names)}
    fixed = {index.name: index.size for index in network.indices}
    roles = [network.tensors[operand.tensor].role for operand in operands]
    return Problem(
        terms=tuple(tuple(number[leg] for leg in operand.legs) for operand in operands),
        output=tuple(number[leg] for leg in network.output.legs if leg in number),
        sizes=tuple(fixed[name] or runtime[name] for name in number),
        runtime=frozenset(k for name, k in number.items() if fixed[name] is None),
        inputs=frozenset(k for k, role in enumerate(roles) if role == "input"),
        looked_up=frozenset(k for k, operand in enumerate(operands) if operand.lookups),
        windows=tuple(
            WindowLegs(
                number[window.input_leg],
                number[window.kernel_leg],
                number[window.output_leg],
                number[window.input_leg if window.transposed else window.output_leg],
            )
            for window in tied
        ),
    )


class NoOrderError(Exception):
    """No order of contraction runs as convolutions of torch."""

    def __init__(self) -> None:
        super().__init__(
            f"no order of contraction runs as convolutions along at most {MOST_WINDOWS} windows"
            " each, all of them transposed or none"
        )


@dataclass(frozen=True, slots=True)
class NamedPath:
    """A path, what found it, and the level of the easiest effort that does."""

    level: int
    name: str
    multiply_adds: int
    pairs: Path


class PathBuilder:
    """Builds a path join by join: the living terms, their legs, and the multiply-adds so far."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.windows = problem.windows
        self.legs: list[Legs] = list(problem.terms)
        self.height: list[int] = [0] * len(problem.terms)
        self.alive: dict[int, None] = dict.fromkeys(range(len(problem.terms)))
        self.pairs: list[Pair] = []
        self.multiply_adds = 0
        self.ends = Counter(leg for legs in problem.terms for leg in legs)
        self.ends.update(set(problem.output))
        for window in self.windows:  # an end of both until the convolution
            self.ends.update((window.image, window.kernel))

    def named(self, name: str, level: int = 0) -> NamedPath:
        """The path so far."""
        return NamedPath(level, name, self.multiply_adds, tuple(self.pairs))

    def size(self, term: int) -> int:
        """The number of elements of a term."""
        return self.problem.count(self.legs[term])

    def union(self, left: int, right: int) -> Legs:
        """All legs of two terms, in order of appearance."""
        return tuple(dict.fromkeys(self.legs[left] + self.legs[right]))

    def convolved(self, left: int, right: int) -> tuple[WindowLegs, ...]:
        """The windows along which the contraction of two terms is a convolution."""
        if not self.windows:
            return ()
        ours, theirs = self.legs[left], self.legs[right]
        return tuple(
            window
            for window in self.windows
            if (window.image in ours and window.kernel in theirs)
            or (window.image in theirs and window.kernel in ours)
        )

    def joins(self, left: int, right: int) -> bool:
        """Whether two living terms can be contracted: not where that is no single convolution."""
        windows = self.convolved(left, right)
        ours = self.legs[left]
        return not windows or (
            len(windows) <= MOST_WINDOWS
            and len({window.image in ours for window in windows}) == 1
            and len({window.transposed for window in windows}) == 1
            and all(self.ends[window.kernel] == 2 for window in windows)  # one carrier is left
        )

    def result_legs(self, left: int, right: int) -> Legs:
        """The legs of the product of two living terms."""
        ours, theirs = set(self.legs[left]), set(self.legs[right])
        kept = tuple(
            leg
            for leg in self.union(left, right)
            if self.ends[leg] > (leg in ours) + (leg in theirs)
        )
        if self.windows and (windows := self.convolved(left, right)):
            results = {window.image: window.result for window in windows}
            kernels = {window.kernel for window in windows}
            kept = tuple(results.get(leg, leg) for leg in kept if leg not in kernels)
        return kept

    def price(self, left: int, right: int) -> int:
        """The multiply-adds of joining two living terms."""
        legs = self.union(left, right)
        if self.windows and (windows := self.convolved(left, right)):
            positions = {window.image: window.positions for window in windows}
            legs = tuple(positions.get(leg, leg) for leg in legs)
        return self.problem.count(legs)

    def join(self, left: int, right: int) -> int:
        """Contract two living terms; the number of the result.

        Raises `NoOrderError` where that is no single convolution.
        """
        self.multiply_adds += self.price(left, right)
        legs = self.result_legs(left, right)
        if self.windows and (windows := self.convolved(left, right)):
            if not self.joins(left, right):
                raise NoOrderError
            for window in windows:
                self.ends.subtract((window.image, window.kernel))
        self.ends.subtract(self.legs[left])
        self.ends.subtract(self.legs[right])
        self.ends.update(legs)
        del self.alive[left], self.alive[right]
        self.alive[len(self.legs)] = None
        self.legs.append(legs)
        self.height.append(1 + max(self.height[left], self.height[right]))
        self.pairs.append((left, right))
        return len(self.legs) - 1

    def part(self, terms: tuple[int, ...]) -> Problem:
        """The problem of joining some living terms among themselves.

        Of a window they have the image, or carriers, or all of both.
        """
        inside = Counter(leg for term in terms for leg in self.legs[term])
        windows = tuple(w for w in self.windows if w.image in inside and w.kernel in inside)
        closed = {window.kernel for window in windows}
        results = {window.image: window.result for window in windows}
        output = tuple(
            results.get(leg, leg)
            for leg, count in inside.items()
            if self.ends[leg] > count and leg not in closed
        )
        legs = tuple(self.legs[term] for term in terms)
        sizes, runtime = self.problem.sizes, self.problem.runtime
        return Problem(legs, output, sizes, runtime, windows=windows)

    def follow(self, terms: tuple[int, ...], path: Iterable[Pair]) -> int:
        """Join living terms along a path found for `part(terms)`; the number of the last result."""
        numbers = list(terms)
        for left, right in path:
            numbers.append(self.join(numbers[left], numbers[right]))
        return numbers[-1]


def price_path(problem: Problem, path: Iterable[Pair]) -> tuple[int, int, int]:
    """Multiply-adds, elements written and the largest result of a whole path."""
    builder = PathBuilder(problem)
    sizes = [builder.size(builder.join(left, right)) for left, right in path]
    return builder.multiply_adds, sum(sizes), max(sizes, default=0)
