"""Ranges and families: `k in 0..n` as the members it declares, within the limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tncompile.language.diagnostics.collector import Failed, failure
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.evaluating.compiled import CompiledExpression, Frame, compile_expression
from tncompile.language.evaluating.scope import Scope
from tncompile.language.syntax.source import Span
from tncompile.language.syntax.tree import Subscript

MOST_MEMBERS = 100_000
MOST_LEGS = 1_000_000

Key = tuple[int, ...]
"""The subscripts of one member."""


class Limits:
    """How many members of each kind, and how many legs, there are so far."""

    def __init__(self) -> None:
        self._members: dict[str, int] = {}
        self._legs = 0

    def left(self, kind: str) -> int:
        """How many more of `kind` may be declared."""
        return MOST_MEMBERS - self._members.get(kind, 0)

    def declare(self, kind: str, count: int) -> None:
        """Count `count` more of `kind`; the caller has checked that they fit."""
        self._members[kind] = self._members.get(kind, 0) + count

    def attach(self, legs: int, span: Span) -> None:
        """Count the legs of one more tensor; `span` is the range that makes so many."""
        self.foresee(legs, span)
        self._legs += legs

    def foresee(self, legs: int, span: Span) -> None:
        """TN501 at `span` where `legs` more are too many; raises `Failed`."""
        if self._legs + legs > MOST_LEGS:
            raise failure(
                Code.TOO_MANY,
                f"the network has more than {MOST_LEGS} legs",
                span,
                "the limit is passed here",
                notes=(f"at most {MOST_LEGS} legs are allowed after families unroll",),
                hint="make the families smaller, or give their tensors fewer legs",
            )


@dataclass(frozen=True, slots=True)
class Range:
    """A compiled `k in start..stop`."""

    subscript: Subscript
    start: CompiledExpression
    stop: CompiledExpression

    @property
    def name(self) -> str:
        """The variable."""
        return self.subscript.name.text

    @property
    def span(self) -> Span:
        """`start..stop`, without the variable."""
        return range_span(self.subscript)


def range_span(subscript: Subscript) -> Span:
    """The place of `start..stop` in `k in start..stop`."""
    return subscript.start.span.to(subscript.stop.span)


@dataclass(frozen=True, slots=True)
class FamilyKeys:
    """The members that ranges declare, in order; `prefixes` are the beginnings of their subscripts.

    A prefix without members is in `prefixes` too: its inner range is empty.
    """

    keys: Sequence[Key]
    prefixes: Sequence[Key] = ()


def compile_ranges(
    subscripts: tuple[Subscript, ...], scope: Scope, variables: tuple[str, ...] = ()
) -> tuple[Range, ...]:
    """The ranges, each seeing the variables before it; raises `Failed`."""
    known = set(variables)
    ranges: list[Range] = []
    for subscript in subscripts:
        start = compile_expression(subscript.start, scope, known)
        stop = compile_expression(subscript.stop, scope, known)
        ranges.append(Range(subscript, start, stop))
        known.add(subscript.name.text)
    return tuple(ranges)


def unroll(ranges: tuple[Range, ...], scope: Scope, left: int) -> FamilyKeys:
    """All members, at most `left` of them at every level of nesting.

    Raises `Failed` where a range has no value or is too long.
    """
    keys: Sequence[Key] = ((),)
    prefixes: list[Key] = []
    names: tuple[str, ...] = ()
    for level, bounds in enumerate(ranges):
        cost = 1 + bounds.start.steps + bounds.stop.steps
        scope.budget.charge(len(keys) * (cost + level), bounds.span)
        fixed = evaluate_range(bounds, {}) if cost == 1 and keys else None
        longer: list[Key] = []
        for key in keys:
            numbers = fixed
            if numbers is None:
                numbers = evaluate_range(bounds, dict(zip(names, key, strict=True)))
            if len(numbers) > left - len(longer):
                raise too_many(bounds, scope, len(numbers))
            longer.extend([(*key, number) for number in numbers])
        keys = longer
        names = (*names, bounds.name)
        if level < len(ranges) - 1:
            prefixes.extend(longer)
    return FamilyKeys(keys, prefixes)


def evaluate_range(bounds: Range, frame: Frame) -> range:
    """The numbers of one range; empty where it ends before it starts."""
    start, stop = bounds.start.integer(frame), bounds.stop.integer(frame)
    # The length of a Python range has to fit a machine word.
    return range(start, max(start, min(stop, start + 2**60)))


def frames(ranges: tuple[Range, ...], keys: Sequence[Key]) -> Iterator[tuple[Key, Frame]]:
    """Each member with the values of its subscripts, in one frame that is overwritten."""
    names = tuple(bounds.name for bounds in ranges)
    frame: Frame = {}
    for key in keys:
        frame.update(zip(names, key, strict=True))
        yield key, frame


def too_many(bounds: Range, scope: Scope, length: int) -> Failed:
    """TN501 at a range."""
    return failure(
        Code.TOO_MANY,
        f"more than {MOST_MEMBERS} tensors or indices",
        bounds.span,
        f"this range has {length} members",
        secondary=scope.origin(bounds.subscript.stop, bounds.subscript.start),
        notes=(f"a network has at most {MOST_MEMBERS} tensors, and as many indices",),
        hint="make the family smaller",
    )
