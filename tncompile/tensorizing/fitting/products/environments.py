"""Products of tensors with named legs, contracted along a cached path.

The paths are those of `planning/paths/`: few multiply-adds, found by counts and never by a clock.
Legs of a product are names; what the output does not name is summed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch

Legs = tuple[str, ...]
Term = tuple[torch.Tensor, Legs]
"""A tensor and the name of each of its axes."""


class _Step(NamedTuple):
    """One call of `torch.einsum` in numbers: two operands (or one) and what they make."""

    operands: tuple[int, ...]
    legs: tuple[tuple[int, ...], ...]
    result: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """The product of tensors with known legs, in pairs."""

    steps: tuple[_Step, ...]
    multiply_adds: int

    def __call__(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """The result."""
        values: list[torch.Tensor | None] = [*tensors]
        for step in self.steps:
            arguments: list[object] = []
            for place, legs in zip(step.operands, step.legs, strict=True):
                arguments += [values[place], legs]
                values[place] = None  # what is read is not needed again
            values.append(torch.einsum(*arguments, step.result))
        result = values[-1]
        assert result is not None
        return result


def planned(terms: Sequence[Legs], output: Legs, sizes: Mapping[str, int]) -> Plan:
    """How tensors with these legs are contracted."""
    return Plan(*_steps(*_numbered(terms, output, sizes)))


def contract(terms: Sequence[Term], output: Legs, sizes: Mapping[str, int]) -> torch.Tensor:
    """The product of `terms` with the axes of `output`."""
    plan = planned([legs for _, legs in terms], output, sizes)
    return plan([tensor for tensor, _ in terms])


def multiply_adds(terms: Sequence[Legs], output: Legs, sizes: Mapping[str, int]) -> int:
    """What `contract` multiplies and adds."""
    return planned(terms, output, sizes).multiply_adds


def pairs(terms: Sequence[Legs], output: Legs, sizes: Mapping[str, int]) -> tuple[Pair, ...]:
    """The contractions in order: results are numbered on from the terms."""
    return tuple(_path(*_numbered(terms, output, sizes)))


Pair = tuple[int, int]
Numbered = tuple[tuple[tuple[int, ...], ...], tuple[int, ...], tuple[int, ...]]


def _numbered(terms: Sequence[Legs], output: Legs, sizes: Mapping[str, int]) -> Numbered:
    """The problem with indices numbered by first appearance, so that equal ones are one."""
    names = dict.fromkeys(leg for legs in terms for leg in legs)
    number = {leg: k for k, leg in enumerate(names)}
    inside = tuple(tuple(number[leg] for leg in legs) for legs in terms)
    return inside, tuple(number[leg] for leg in output), tuple(sizes[leg] for leg in names)


@lru_cache(maxsize=4096)
def _steps(
    terms: tuple[tuple[int, ...], ...], output: tuple[int, ...], sizes: tuple[int, ...]
) -> tuple[tuple[_Step, ...], int]:
    """The calls in order, and their multiply-adds; every call numbers its legs for itself."""
    steps: list[_Step] = []
    cost = 0
    legs = list(terms)
    remaining = Counter(leg for each in legs for leg in each)
    remaining.update(output)
    order = _path(terms, output, sizes)
    for left, right in order:
        remaining.subtract((*legs[left], *legs[right]))
        union = tuple(dict.fromkeys((*legs[left], *legs[right])))
        last = len(legs) == 2 * len(terms) - 2
        kept = output if last else tuple(leg for leg in union if remaining[leg] > 0)
        remaining.update(kept)
        steps.append(_step((left, right), (legs[left], legs[right]), kept))
        cost += math.prod(sizes[leg] for leg in union)
        legs.append(kept)
    if not order:
        steps.append(_step((0,), (legs[0],), output))
        cost = math.prod(sizes[leg] for leg in legs[0])
    return tuple(steps), cost


def _step(
    operands: tuple[int, ...], legs: tuple[tuple[int, ...], ...], result: tuple[int, ...]
) -> _Step:
    number = {leg: k for k, leg in enumerate(dict.fromkeys(leg for each in legs for leg in each))}
    numbered = tuple(tuple(number[leg] for leg in each) for each in legs)
    return _Step(operands, numbered, tuple(number[leg] for leg in result))


def _path(
    terms: tuple[tuple[int, ...], ...], output: tuple[int, ...], sizes: tuple[int, ...]
) -> Iterable[Pair]:
    if len(terms) == 1:
        return ()
    from tncompile.planning.paths.optimizers import quick_path
    from tncompile.planning.paths.problem import Problem

    return quick_path(Problem(terms, output, sizes), GREEDY_TRIALS)


GREEDY_TRIALS = 8
"""Random greedy paths of products that are too large to be searched exhaustively."""
