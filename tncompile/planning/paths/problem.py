"""A contraction problem in numbers, and the builder of its contraction paths."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tncompile.network.contraction import Operand
from tncompile.network.model import TensorNetwork

Pair = tuple[int, int]
Path = tuple[Pair, ...]
Legs = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """What to contract: the legs of each term, the legs of the output, the size of each index.

    Indices are numbered by first appearance, so that names change nothing. `runtime` are those
    whose sizes are only planned; `inputs` are the terms that are arguments of `forward`,
    `looked_up` the parameters that depend on inputs since ids select their rows.
    """

    terms: tuple[Legs, ...]
    output: Legs
    sizes: tuple[int, ...]
    runtime: frozenset[int] = frozenset()
    inputs: frozenset[int] = frozenset()
    looked_up: frozenset[int] = frozenset()

    def count(self, legs: Iterable[int]) -> int:
        """The number of elements of a tensor with these legs."""
        return math.prod(self.sizes[leg] for leg in legs)


def contraction_problem(
    network: TensorNetwork, operands: tuple[Operand, ...], runtime: Mapping[str, int]
) -> Problem:
    """The problem that these operands of the network pose at these run-time sizes."""
    names = dict.fromkeys(leg for operand in operands for leg in operand.legs)
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
        self.legs: list[Legs] = list(problem.terms)
        self.height: list[int] = [0] * len(problem.terms)
        self.alive: dict[int, None] = dict.fromkeys(range(len(problem.terms)))
        self.pairs: list[Pair] = []
        self.multiply_adds = 0
        self.ends = Counter(leg for legs in problem.terms for leg in legs)
        self.ends.update(set(problem.output))

    def named(self, name: str, level: int = 0) -> NamedPath:
        """The path so far."""
        return NamedPath(level, name, self.multiply_adds, tuple(self.pairs))

    def size(self, term: int) -> int:
        """The number of elements of a term."""
        return self.problem.count(self.legs[term])

    def union(self, left: int, right: int) -> Legs:
        """All legs of two terms, in order of appearance."""
        return tuple(dict.fromkeys(self.legs[left] + self.legs[right]))

    def result_legs(self, left: int, right: int) -> Legs:
        """The legs of the product of two living terms."""
        ours, theirs = set(self.legs[left]), set(self.legs[right])
        return tuple(
            leg
            for leg in self.union(left, right)
            if self.ends[leg] > (leg in ours) + (leg in theirs)
        )

    def price(self, left: int, right: int) -> int:
        """The multiply-adds of joining two living terms."""
        return self.problem.count(self.union(left, right))

    def join(self, left: int, right: int) -> int:
        """Contract two living terms; the number of the result."""
        self.multiply_adds += self.price(left, right)
        legs = self.result_legs(left, right)
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
        """The problem of joining some living terms among themselves."""
        inside = Counter(leg for term in terms for leg in self.legs[term])
        output = tuple(leg for leg, count in inside.items() if self.ends[leg] > count)
        legs = tuple(self.legs[term] for term in terms)
        return Problem(legs, output, self.problem.sizes, self.problem.runtime)

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
