"""Legs: from the names in parentheses to the axes of each member of a tensor family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tncompile.language.checking.leg_rules import repeated_leg
from tncompile.language.diagnostics.collector import Failed, failure, problem
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.diagnostics.errors import InternalError
from tncompile.language.evaluating.arithmetic import wrong_type
from tncompile.language.evaluating.compiled import CompiledExpression, Frame, compile_expression
from tncompile.language.parsing.lexer import one_line
from tncompile.language.resolved import DOTS, AxisKind, ResolvedAxis, member_name
from tncompile.language.resolving.declarations import LARGEST_SIZE, no_such_member
from tncompile.language.resolving.resolution import IndexFamily, Resolution
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span

Names = tuple[str, ...]


@dataclass(slots=True)
class _Indices:
    """A compiled `i`, `b[k - 1]?` or `v[l, *]`: the indices that it names for one member.

    After a failure it gives nothing: its mistake is reported once.
    """

    leg: tree.IndexLeg
    family: IndexFamily
    subscripts: tuple[CompiledExpression, ...]
    star: bool
    single: CompiledExpression | None = None
    asked: bool = False
    present: bool = False
    failed: bool = False

    @property
    def steps(self) -> int:
        """What one member costs."""
        return sum(formula.steps for formula in self.subscripts)

    def names(self, frame: Frame) -> Names:
        """The indices, none where an optional leg finds none; raises `Failed`."""
        if self.failed:
            return ()
        try:
            names = self._names(frame)
        except Failed:
            self.failed = True
            raise
        self.asked = True
        self.present = self.present or bool(names)
        return names

    def _names(self, frame: Frame) -> Names:
        if self.single is not None:  # the ordinary leg of a long chain
            value = self.single.run(frame)
            name = self.family.members.get((value,)) if type(value) is int else None
            if name is not None:
                return (name,)
        key = tuple([formula.integer(frame) for formula in self.subscripts])
        if self.star and self.family.absent:
            members = None
        elif self.star:
            below = self.family.prefixes.get(key) if key else self.family.members.values()
            members = None if below is None else tuple(below)
        else:
            name = self.family.members.get(key)
            members = None if name is None else (name,)
        if members is not None:
            return members
        if self.leg.optional:
            return ()
        raise self._missing(key)

    def _missing(self, key: tuple[int, ...]) -> Failed:
        family = self.family
        wanted = member_name(family.name.text, key)
        if self.star:
            wanted = f"{wanted[:-1]}, *]" if key else f"{wanted}[*]"
        if family.absent:
            message, note = (
                f"there is no `{wanted}`",
                "its `if` is false, so that it does not exist",
            )
        else:
            message = f"`{wanted}` is no member of `{family.name.text}`"
            note = f"`{family.name.text}` has {_extent(family)}"
        return no_such_member(
            family.name,
            Label(self.leg.span, "there is no such member"),
            message,
            note,
            _repaired(one_line(self.leg.span), family, star=self.star),
        )


def _repaired(text: str, family: IndexFamily, *, star: bool) -> str:
    """What to write for a leg of a member that there is not."""
    if not family.members and not family.absent:
        return "make its range longer: `2..3` holds 2 alone, for the end is left out"
    if star and not family.absent:
        return "use a subscript that the family has"
    return f"write `{text}?` if the leg is to be left out where the member is missing"


def _extent(family: IndexFamily) -> str:
    keys = list(family.members)
    if not keys:
        return "no members here"
    first, last = family.members[keys[0]], family.members[keys[-1]]
    return f"the one member `{first}`" if len(keys) == 1 else f"the members `{first}` to `{last}`"


@dataclass(slots=True)
class CompiledLeg:
    """A leg that gives axes: a `*` outside a group gives several, a `?` may give none."""

    leg: tree.Leg
    axes: Callable[[Frame], list[ResolvedAxis]]
    parts: tuple[_Indices, ...] = ()
    width_steps: int = 0

    @property
    def steps(self) -> int:
        """What one member costs."""
        return 1 + self.width_steps + sum(part.steps for part in self.parts)


def compile_leg(leg: tree.Leg, state: Resolution, variables: frozenset[str]) -> CompiledLeg:
    """The leg as a function of the subscripts; raises `Failed`."""
    match leg:
        case tree.DotsLeg():
            axis = ResolvedAxis("dots", (DOTS,), None, leg.span, (leg.span,))
            return CompiledLeg(leg, lambda frame: [axis])
        case tree.IndexLeg():
            return _compile_index(leg, state, variables)
        case tree.GroupLeg():
            return _compile_group(leg, state, variables)
        case _:
            raise InternalError(f"{type(leg).__name__} passed the check of names")


def _indices(leg: tree.IndexLeg, state: Resolution, variables: frozenset[str]) -> _Indices:
    family = state.families[leg.name.text]
    if family.poisoned:
        raise Failed(None)
    written = [s for s in leg.subscripts if not isinstance(s, tree.Star)]
    formulas = tuple(compile_expression(node, state.scope, variables) for node in written)
    star = len(written) < len(leg.subscripts)
    single = formulas[0] if len(formulas) == 1 and not star else None
    return _Indices(leg, family, formulas, star, single)


def _compile_index(leg: tree.IndexLeg, state: Resolution, variables: frozenset[str]) -> CompiledLeg:
    part = _indices(leg, state, variables)
    spans = (leg.span,)

    def axes(frame: Frame) -> list[ResolvedAxis]:
        return [
            ResolvedAxis("legs", (name,), state.sizes[name], leg.span, spans)
            for name in part.names(frame)
        ]

    return CompiledLeg(leg, axes, (part,))


def _compile_group(leg: tree.GroupLeg, state: Resolution, variables: frozenset[str]) -> CompiledLeg:
    parts = tuple(_indices(inner, state, variables) for inner in leg.legs)
    for part in parts:
        if part.family.kind == "batch":
            raise _batch_in_group(part)
    width = compile_expression(leg.width, state.scope, variables) if leg.width else None
    kind: AxisKind = "onehot" if leg.onehot else "legs"

    def axes(frame: Frame) -> list[ResolvedAxis]:
        names: list[str] = []
        spans: list[Span] = []
        for part in parts:
            part_names = part.names(frame)
            names.extend(part_names)
            spans.extend((part.leg.span,) * len(part_names))
        size = state.product(names)
        if size is not None and size > LARGEST_SIZE:
            raise _too_large_axis(leg)
        cut = None if width is None else _width(width, frame, size, state)
        if any(part.failed for part in parts):
            raise Failed(None)
        return [ResolvedAxis(kind, tuple(names), size, leg.span, tuple(spans), cut)]

    return CompiledLeg(leg, axes, parts, width.steps if width else 0)


def _width(
    width: CompiledExpression, frame: Frame, size: int | None, state: Resolution
) -> int | None:
    """What `as` leaves of an axis; None where it leaves all of it."""
    value = width.run(frame)
    if isinstance(value, bool | tuple):
        raise wrong_type(width.node.span, value, "an int", hint="a width is one int")
    if isinstance(value, float) or value < 1 or (size is not None and value > size):
        raise _bad_width(width.node, value, size, state)
    return None if value == size else value


def _bad_width(
    node: tree.Expression, value: int | float, size: int | None, state: Resolution
) -> Failed:
    if isinstance(value, float) or value < 1:
        message, label = "a width has to be a positive integer", f"this is {value}"
    else:
        message = f"the width {value} is more than the axis has"
        label = f"the axis has {size} entries"
    return failure(
        Code.BAD_SIZE,
        message,
        node.span,
        label,
        notes=(
            "`as` keeps the first entries of a flattened axis, so it cannot make it longer",
            *state.scope.known(node),
        ),
        hint="make the indices of the axis larger, or the width smaller",
    )


def _too_large_axis(leg: tree.GroupLeg) -> Failed:
    return failure(
        Code.TOO_MANY,
        "this axis has more than 2**40 entries",
        leg.span,
        "too large",
        notes=("sizes reach 2**40, those of flattened axes too",),
        hint="leave the legs apart (without the parentheses), or make them smaller",
    )


def _batch_in_group(part: _Indices) -> Failed:
    return failure(
        Code.WRONG_TYPE,
        f"the batch axis `{part.leg.name.text}` cannot be part of a flattened axis",
        part.leg.span,
        "sized at run time",
        secondary=(Label(part.family.name.span, "declared here"),),
        notes=("a flattened axis has to have one size, known when the network is compiled",),
        hint="write it as an axis of its own",
    )


@dataclass(slots=True)
class Legs:
    """The compiled legs of one statement, and whether one of them failed."""

    owner: str
    span: Span
    compiled: list[CompiledLeg]
    state: Resolution
    failed: bool = False
    _dead: set[int] = field(default_factory=set)

    @property
    def steps(self) -> int:
        """What one member costs."""
        return sum(leg.steps for leg in self.compiled)

    def foresee(self, members: int) -> None:
        """TN501 before anything is unrolled, where `*` legs alone are too many; raises `Failed`."""
        starred = sum(
            len(part.family.members)
            for leg in self.compiled
            for part in leg.parts
            if part.star and not part.subscripts
        )
        self.state.limits.foresee(members * starred, self.span)

    def axes(self, frame: Frame, name: str) -> tuple[ResolvedAxis, ...] | None:
        """The axes of one member, None where a leg failed (now or for a member before)."""
        groups = self.grouped(frame, name)
        return None if groups is None else tuple([axis for group in groups for axis in group])

    def grouped(self, frame: Frame, name: str) -> list[tuple[ResolvedAxis, ...]] | None:
        """The axes of one member, leg by leg."""
        groups: list[tuple[ResolvedAxis, ...]] = []
        for k, leg in enumerate(self.compiled):
            if k in self._dead:
                continue
            try:
                groups.append(tuple(leg.axes(frame)))
            except Failed as failed:
                self._dead.add(k)
                self.failed = True
                self.state.report(failed)
        self._check(groups, name)
        return None if self.failed else groups

    def _check(self, groups: list[tuple[ResolvedAxis, ...]], name: str) -> None:
        """TN203 where an index is on the tensor twice; TN501 past the limit."""
        names = [index for group in groups for axis in group for index in axis.indices]
        if len(set(names)) < len(names):
            self.failed = True
            self.state.problems.add(_repeated(groups, name))
        try:
            self.state.limits.attach(len(names), self.span)
        except Failed as failed:
            self.state.report(failed)

    def warn(self) -> None:
        """TN209 for optional legs that no member found, after all members are done."""
        for leg in self.compiled:
            for part in leg.parts:
                if part.leg.optional and part.asked and not part.present and part.family.members:
                    self.state.problems.add(_never_exists(part, self.owner))


def compile_legs(
    owner: str,
    legs: Sequence[tree.Leg],
    span: Span,
    state: Resolution,
    variables: frozenset[str] = frozenset(),
    *,
    trainable: bool = False,
) -> Legs:
    """The legs of a statement; `span` is where too many of them are reported.

    `trainable` tensors, biases included, cannot carry axes that are sized at run time (TN405).
    """
    compiled = Legs(owner, span, [], state)
    for leg in legs:
        try:
            if trainable and _sized_at_run_time(leg, state):
                raise _carries_batch(leg, owner)
            compiled.compiled.append(compile_leg(leg, state, variables))
        except Failed as failed:
            compiled.failed = True
            state.report(failed)
    return compiled


def _sized_at_run_time(leg: tree.Leg, state: Resolution) -> bool:
    if isinstance(leg, tree.IndexLeg):
        return state.families[leg.name.text].kind == "batch"
    return isinstance(leg, tree.DotsLeg)


def _carries_batch(leg: tree.Leg, owner: str) -> Failed:
    text = one_line(leg.span)
    return failure(
        Code.BATCH_MISSING,
        f"the tensor `{owner}` cannot carry the batch axis `{text}`",
        leg.span,
        "sized at run time",
        notes=("a parameter has a fixed shape; batch axes are on inputs and the output only",),
        hint=f"remove `{text}` here",
    )


def _repeated(groups: list[tuple[ResolvedAxis, ...]], owner: str) -> Diagnostic | None:
    """TN203 for the first index that is there twice."""
    first: dict[str, Span] = {}
    for axis in (axis for group in groups for axis in group):
        for name, span in zip(axis.indices, axis.spans, strict=True):
            if name in first:
                return repeated_leg(name, owner, span, first[name])
            first[name] = span
    return None


def _never_exists(part: _Indices, owner: str) -> Diagnostic:
    leg, family = part.leg, part.family
    return problem(
        Code.OPTIONAL_NEVER_EXISTS,
        f"no member of `{owner}` finds the leg `{one_line(leg.span)}`",
        leg.span,
        "never there",
        secondary=(Label(family.name.span, f"`{family.name.text}` is declared here"),),
        notes=(f"`{family.name.text}` has {_extent(family)}",),
        hint="correct the subscript, or remove the leg",
    )
