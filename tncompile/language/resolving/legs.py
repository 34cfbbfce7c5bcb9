"""Legs: from the names in parentheses to the axes of each member of a tensor family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tncompile.language.checking.leg_rules import no_such_member, repeated_leg
from tncompile.language.diagnostics.collector import Failed, failure, problem
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.diagnostics.errors import InternalError
from tncompile.language.evaluating.arithmetic import wrong_type
from tncompile.language.evaluating.compiled import CompiledExpression, Frame, compile_expression
from tncompile.language.parsing.lexer import one_line
from tncompile.language.resolved import DOTS, LARGEST_SIZE, AxisKind, ResolvedAxis, member_name
from tncompile.language.resolving.resolution import IndexFamily, Key, Resolution
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span


@dataclass(slots=True)
class _Indices:
    """A compiled `i`, `b[k - 1]?` or `v[l, *]`: the indices that it names for one member.

    `steps` is what one member costs. After a failure it gives nothing: its mistake is reported
    once.
    """

    leg: tree.IndexLeg
    family: IndexFamily
    subscripts: tuple[CompiledExpression, ...]
    star: bool
    single: CompiledExpression | None
    steps: int
    asked: bool = False
    present: bool = False
    failed: bool = False

    def names(self, frame: Frame) -> tuple[str, ...]:
        """The indices, none where an optional leg finds none; raises `Failed`."""
        if self.failed:
            return ()
        try:
            names = self._names(frame)
            if self.leg.face is not None:
                names = tuple([f"{name}.{self.leg.face.text}" for name in names])
        except Failed:
            self.failed = True
            raise
        self.asked = True
        self.present = self.present or bool(names)
        return names

    def _names(self, frame: Frame) -> tuple[str, ...]:
        if self.single is not None:  # the ordinary leg of a long chain
            value = self.single.run(frame)
            name = self.family.members.get((value,)) if type(value) is int else None
            if name is not None:
                return (name,)
        key = tuple([formula.integer(frame) for formula in self.subscripts])
        if self.star and not self.family.absent:
            below = self.family.prefixes.get(key) if key else self.family.members.values()
            if below is not None:
                return tuple(below)
        elif not self.star and (name := self.family.members.get(key)) is not None:
            return (name,)
        if self.leg.optional:
            return ()
        raise self._missing(key)

    def _missing(self, key: Key) -> Failed:
        family, span = self.family, self.leg.span
        wanted = member_name(family.name.text, key)
        if self.star:
            wanted = f"{wanted[:-1]}, *]" if key else f"{wanted}[*]"
        message = f"`{wanted}` is no member of `{family.name.text}`"
        note = f"`{family.name.text}` has {_extent(family)}"
        hint = f"write `{one_line(span)}?` if the leg is to be left out where the member is missing"
        if family.absent:
            message = f"there is no `{wanted}`"
            note = "its `if` is false, so that it does not exist"
        elif not family.members:
            hint = "make its range longer: `2..3` holds 2 alone, for the end is left out"
        elif self.star:
            hint = "use a subscript that the family has"
        label = "there is no such member"
        return Failed(no_such_member(family.name, span, label, message, note, hint))


def _extent(family: IndexFamily) -> str:
    names = list(family.members.values())
    if not names:
        return "no members here"
    if len(names) == 1:
        return f"the one member `{names[0]}`"
    return f"the members `{names[0]}` to `{names[-1]}`"


@dataclass(slots=True)
class _CompiledLeg:
    """A leg that gives axes: a `*` outside a group gives several, a `?` may give none.

    `steps` is what one member costs.
    """

    axes: Callable[[Frame], list[ResolvedAxis]]
    parts: tuple[_Indices, ...] = ()
    steps: int = 1


def _compile_leg(leg: tree.Leg, state: Resolution, variables: frozenset[str]) -> _CompiledLeg:
    """The leg as a function of the subscripts; raises `Failed`."""
    match leg:
        case tree.Dots():
            axis = ResolvedAxis("dots", (DOTS,), None, leg.span, (leg.span,))
            return _CompiledLeg(lambda frame: [axis])
        case tree.Subscript():
            return _CompiledLeg(lambda frame: [])  # its axis is that of all slices together
        case tree.IndexLeg():
            part, spans = _indices(leg, state, variables), (leg.span,)

            def axes(frame: Frame) -> list[ResolvedAxis]:
                return [
                    ResolvedAxis("legs", (name,), state.sizes[name], leg.span, spans)
                    for name in part.names(frame)
                ]

            return _CompiledLeg(axes, (part,), 1 + part.steps)
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
    steps = sum(formula.steps for formula in formulas)
    return _Indices(leg, family, formulas, star, single, steps)


def _compile_group(
    leg: tree.GroupLeg, state: Resolution, variables: frozenset[str]
) -> _CompiledLeg:
    parts = tuple(_indices(inner, state, variables) for inner in leg.legs)
    for part in parts:
        if part.family.kind == "batch":
            name = part.family.name
            message = f"the batch axis `{name.text}` cannot be part of a flattened axis"
            note = "a flattened axis has to have one size, known when the network is compiled"
            hint, declared = "write it as an axis of its own", Label(name.span, "declared here")
            span, label = part.leg.span, "sized at run time"
            raise failure(Code.WRONG_TYPE, message, span, label, note, hint, declared)
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
            message = "this axis has more than 2**40 entries"
            note = "sizes reach 2**40, those of flattened axes too"
            hint = "leave the legs apart (without the parentheses), or make them smaller"
            raise failure(Code.TOO_MANY, message, leg.span, "too large", note, hint)
        cut = None if width is None else _width(width, frame, size, state)
        if any(part.failed for part in parts):
            raise Failed(None)
        return [ResolvedAxis(kind, tuple(names), size, leg.span, tuple(spans), cut)]

    steps = 1 + sum(part.steps for part in parts) + (width.steps if width else 0)
    return _CompiledLeg(axes, parts, steps)


def _width(
    width: CompiledExpression, frame: Frame, size: int | None, state: Resolution
) -> int | None:
    """What `as` leaves of an axis; None where it leaves all of it."""
    value, node = width.run(frame), width.node
    if isinstance(value, bool | tuple):
        raise wrong_type(node.span, value, "an int", hint="a width is one int")
    if isinstance(value, float) or value < 1:
        message, label = "a width has to be a positive integer", f"this is {value}"
    elif size is not None and value > size:
        message = f"the width {value} is more than the axis has"
        label = f"the axis has {size} entries"
    else:
        return None if value == size else value
    note = "`as` keeps the first entries of a flattened axis, so it cannot make it longer"
    notes = (note, *state.scope.known(node))
    hint = "make the indices of the axis larger, or the width smaller"
    raise failure(Code.BAD_SIZE, message, node.span, label, notes, hint)


@dataclass(slots=True)
class Legs:
    """The compiled legs of one statement, and whether one of them failed."""

    owner: str
    span: Span
    state: Resolution
    compiled: list[_CompiledLeg] = field(default_factory=list)
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
        self.state.foresee(members * starred, self.span)

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
            first: dict[str, Span] = {}
            spans = [span for group in groups for axis in group for span in axis.spans]
            for index, span in zip(names, spans, strict=True):
                if index in first:
                    self.state.problems.add(repeated_leg(index, name, span, first[index]))
                    break
                first[index] = span
        try:
            self.state.foresee(len(names), self.span)
            self.state.counts["leg"] += len(names)
        except Failed as failed:
            self.state.report(failed)

    def warn(self) -> None:
        """TN209 for optional legs that no member found, after all members are done."""
        for part in (part for leg in self.compiled for part in leg.parts):
            leg, family = part.leg, part.family
            if leg.optional and part.asked and not part.present and family.members:
                message = f"no member of `{self.owner}` finds the leg `{one_line(leg.span)}`"
                note = f"`{family.name.text}` has {_extent(family)}"
                hint = "correct the subscript, or remove the leg"
                declared = Label(family.name.span, f"`{family.name.text}` is declared here")
                code, label = Code.OPTIONAL_NEVER_EXISTS, "never there"
                self.state.problems.add(
                    problem(code, message, leg.span, label, note, hint, declared)
                )


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
    compiled = Legs(owner, span, state)
    for leg in legs:
        batch = isinstance(leg, tree.Dots) or (
            isinstance(leg, tree.IndexLeg) and state.families[leg.name.text].kind == "batch"
        )
        try:
            if trainable and batch:
                text = one_line(leg.span)
                message = f"the tensor `{owner}` cannot carry the batch axis `{text}`"
                note = "a parameter has a fixed shape; batch axes are on inputs and the output only"
                label, hint = "sized at run time", f"remove `{text}` here"
                raise failure(Code.BATCH_MISSING, message, leg.span, label, note, hint)
            compiled.compiled.append(_compile_leg(leg, state, variables))
        except Failed as failed:
            compiled.failed = True
            state.report(failed)
    return compiled
