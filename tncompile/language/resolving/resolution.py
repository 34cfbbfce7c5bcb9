"""A network while its statements are resolved: what is known, and families within the limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from tncompile.language.diagnostics.collector import Failed, Problems, failure
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.evaluating.arithmetic import LARGEST_VALUE
from tncompile.language.evaluating.compiled import CompiledExpression, Frame, compile_expression
from tncompile.language.evaluating.scope import Scope
from tncompile.language.resolved import IndexKind, ResolvedIndex, ResolvedWindow
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span

MOST_MEMBERS = 100_000
MOST_LEGS = 1_000_000

Key = tuple[int, ...]
"""The subscripts of one member."""


@dataclass(slots=True)
class IndexFamily:
    """The indices of one declaration; a single index has the one member `()`.

    `poisoned` families failed to unroll: which members they have is not known. `absent` says that
    an `if` took away all members.
    """

    name: tree.Name
    kind: IndexKind
    declaration: tree.IndexDeclaration | None = None
    members: dict[Key, str] = field(default_factory=dict)
    prefixes: dict[Key, list[str]] = field(default_factory=dict)
    poisoned: bool = False
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """A compiled `k in start..stop`; `span` is that of `start..stop`."""

    name: str
    start: CompiledExpression
    stop: CompiledExpression
    subscript: tree.Subscript

    @property
    def span(self) -> Span:
        return self.start.node.span.to(self.stop.node.span)


@dataclass(frozen=True, slots=True)
class Members:
    """The members that ranges declare, in order; `prefixes` are the beginnings of their subscripts.

    A prefix without members is in `prefixes` too: its inner range is empty. `absent` says that an
    `if` took away all members.
    """

    ranges: tuple[Range, ...] = ()
    keys: Sequence[Key] = ()
    prefixes: Sequence[Key] = ()
    absent: bool = False

    def frames(self) -> Iterator[tuple[Key, Frame]]:
        """Each member with the values of its subscripts, in one frame that is overwritten."""
        names = tuple(bounds.name for bounds in self.ranges)
        frame: Frame = {}
        for key in self.keys:
            frame.update(zip(names, key, strict=True))
            yield key, frame


@dataclass(frozen=True, slots=True)
class Resolution:
    """The state of one run; `indices` and `sizes` are by the names of the members.

    A size is None where the index is sized at run time, or where its expression failed. `counts`
    says how many members of each kind, and how many legs, there are so far.
    """

    problems: Problems
    scope: Scope
    families: dict[str, IndexFamily] = field(default_factory=dict)
    indices: list[ResolvedIndex] = field(default_factory=list)
    windows: list[ResolvedWindow] = field(default_factory=list)
    sizes: dict[str, int | None] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def report(self, failed: Failed) -> None:
        """Keep the diagnostic; TN501 ends the stage."""
        self.problems.add(failed.diagnostic)
        if failed.diagnostic is not None and failed.diagnostic.code is Code.TOO_MANY:
            self.problems.raise_errors()

    def product(self, names: Sequence[str]) -> int | None:
        """The size of the flattened axis, None where one of the sizes is not known.

        Beyond all limits the product stops: it is an error, whatever it is.
        """
        product = 1
        for name in names:
            size = self.sizes[name]
            if size is None:
                return None
            if product <= LARGEST_VALUE:
                product *= size
        return product

    def foresee(self, legs: int, span: Span) -> None:
        """TN501 at `span` where `legs` more are too many; raises `Failed`."""
        if self.counts["leg"] + legs > MOST_LEGS:
            message = f"the network has more than {MOST_LEGS} legs"
            note = f"at most {MOST_LEGS} legs are allowed after families unroll"
            hint = "make the families smaller, or give their tensors fewer legs"
            raise failure(Code.TOO_MANY, message, span, "the limit is passed here", note, hint)

    def members(
        self,
        kind: str,
        subscripts: tuple[tree.Subscript, ...],
        condition: tree.Expression | None,
        span: Span,
    ) -> Members:
        """The members of a family that its `if` leaves, counted as `kind`; raises `Failed`.

        `span` is where TN501 is reported when the condition takes too many steps.
        """
        scope = self.scope
        formula = None
        if condition is not None:
            variables = frozenset(subscript.name.text for subscript in subscripts)
            formula = compile_expression(condition, scope, variables)
            if not formula.steps and not formula.truth({}):
                return Members(absent=True)
        members = self.unroll(kind, compile_ranges(subscripts, scope))
        if formula is not None:
            scope.budget.charge(len(members.keys) * formula.steps, span)
            keys = [key for key, frame in members.frames() if formula.truth(frame)]
            members = replace(members, keys=keys, absent=not keys and len(members.keys) > 0)
        self.counts[kind] += len(members.keys)
        return members

    def unroll(
        self,
        kind: str,
        ranges: tuple[Range, ...],
        outer: Frame | None = None,
        check: Callable[[Range, range], None] | None = None,
    ) -> Members:
        """All members inside the frame `outer`, as many of `kind` as are left at every level.

        `check` sees the numbers of each range. Raises `Failed` where a range has no value or is too
        long.
        """
        keys: Sequence[Key] = ((),)
        prefixes: list[Key] = []
        names: tuple[str, ...] = ()
        left = MOST_MEMBERS - self.counts[kind]
        for level, bounds in enumerate(ranges):
            cost = 1 + bounds.start.steps + bounds.stop.steps
            self.scope.budget.charge(len(keys) * (cost + level), bounds.span)
            fixed = _numbers(bounds, {}) if cost == 1 and keys else None
            longer: list[Key] = []
            for key in keys:
                numbers = fixed
                if numbers is None:
                    frame = dict(zip(names, key, strict=True))
                    numbers = _numbers(bounds, {**outer, **frame} if outer else frame)
                if len(numbers) > left - len(longer):
                    raise _too_many(bounds, self.scope, len(numbers))
                if check is not None:
                    check(bounds, numbers)
                longer.extend([(*key, number) for number in numbers])
            keys = longer
            names = (*names, bounds.name)
            if level < len(ranges) - 1:
                prefixes.extend(longer)
        return Members(ranges, keys, prefixes)


def compile_ranges(
    subscripts: Sequence[tree.Subscript], scope: Scope, variables: Sequence[str] = ()
) -> tuple[Range, ...]:
    """The ranges, each seeing the variables before it; raises `Failed`."""
    known = set(variables)
    ranges: list[Range] = []
    for subscript in subscripts:
        start = compile_expression(subscript.start, scope, known)
        stop = compile_expression(subscript.stop, scope, known)
        ranges.append(Range(subscript.name.text, start, stop, subscript))
        known.add(subscript.name.text)
    return tuple(ranges)


def widest_span(subscripts: Sequence[tree.Subscript], name: Span) -> Span:
    """Where too many members or legs are reported: the last range, the name where there is none."""
    return subscripts[-1].start.span.to(subscripts[-1].stop.span) if subscripts else name


def _numbers(bounds: Range, frame: Frame) -> range:
    """The numbers of one range; empty where it ends before it starts."""
    start, stop = bounds.start.integer(frame), bounds.stop.integer(frame)
    # The length of a Python range has to fit a machine word.
    return range(start, max(start, min(stop, start + 2**60)))


def _too_many(bounds: Range, scope: Scope, length: int) -> Failed:
    message = f"more than {MOST_MEMBERS} tensors or indices"
    note = f"a network has at most {MOST_MEMBERS} tensors, and as many indices"
    label, hint = f"this range has {length} members", "make the family smaller"
    origin = scope.origin(bounds.stop.node, bounds.start.node)
    return failure(Code.TOO_MANY, message, bounds.span, label, note, hint, origin)
