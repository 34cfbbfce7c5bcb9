"""`input` and `output`: axes as `forward` sees them, and the slices of `p in` axes."""

from __future__ import annotations

from itertools import product

from tncompile.language import resolved
from tncompile.language.diagnostics.collector import Failed, counted, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.evaluating.compiled import Frame
from tncompile.language.resolved import ResolvedAxis, ResolvedInput, ResolvedOutput, member_name
from tncompile.language.resolving.legs import Legs, compile_legs
from tncompile.language.resolving.resolution import (
    Key,
    Range,
    Resolution,
    compile_ranges,
    widest_span,
)
from tncompile.language.syntax import tree


def resolve_output(statement: tree.OutputStatement, state: Resolution) -> ResolvedOutput | None:
    """The output; None where its legs failed."""
    name = statement.name.text
    legs = compile_legs(name, statement.legs, statement.name.span, state)
    axes = legs.axes({}, name)
    legs.warn()
    if axes is None:
        return None
    return ResolvedOutput(name, axes, statement.log is not None, statement)


def resolve_input(statement: tree.InputStatement, state: Resolution) -> list[ResolvedInput]:
    """All members of one `input` statement; those that failed are left out."""
    try:
        return _unroll(statement, state)
    except Failed as failed:
        state.report(failed)
        return []


def _unroll(statement: tree.InputStatement, state: Resolution) -> list[ResolvedInput]:
    name, subscripts = statement.name, statement.subscripts
    members = state.members("input", subscripts, statement.condition, name.span)
    if not members.keys:
        return []
    _check_onehot(statement.legs, state)
    slices = tuple(leg for leg in statement.legs if isinstance(leg, tree.Subscript))
    family_variables = [subscript.name.text for subscript in subscripts]
    ranges = compile_ranges(slices, state.scope, family_variables)
    variables = frozenset((*family_variables, *(bounds.name for bounds in ranges)))
    span = widest_span((*subscripts, *slices), name.span)
    legs = compile_legs(name.text, statement.legs, span, state, variables)
    inputs = [_member(statement, ranges, legs, key, dict(frame)) for key, frame in members.frames()]
    legs.warn()
    return [member for member in inputs if member is not None]


def _member(
    statement: tree.InputStatement, ranges: tuple[Range, ...], legs: Legs, key: Key, frame: Frame
) -> ResolvedInput | None:
    """One argument of `forward`: its slices, and its axes as those of the first one.

    Raises `Failed` where a range has no value, is empty, differs from slice to slice (TN303), or
    makes too many slices.
    """
    state, family = legs.state, statement.name.text
    lengths: dict[str, int] = {}

    def check(bounds: Range, numbers: range) -> None:
        if not numbers:
            message, label = "an axis of an input needs at least one slice", "this range is empty"
            note = "an axis of length zero holds nothing"
            hint = "make the range longer, or leave the input out with `if`"
            origin = state.scope.origin(bounds.stop.node, bounds.start.node)
            raise failure(Code.BAD_SIZE, message, bounds.span, label, note, hint, origin)
        before, now = lengths.setdefault(bounds.name, len(numbers)), len(numbers)
        if before != now:
            message = f"this axis would have {counted(before, 'slice')} here and {now} there"
            label = f"its length depends on the axis before it: {before}, then {now}"
            note = "the axes of a tensor form a box: each has one length"
            hint, span = "use a range that is the same for all slices", bounds.subscript.span
            there = Label(bounds.span, f"{now} here")
            raise failure(Code.LENGTH_MISMATCH, message, span, label, note, hint, there)

    slice_members = state.unroll("slice", ranges, frame, check)
    if ranges:
        state.counts["slice"] += len(slice_members.keys)
    state.scope.budget.charge(len(slice_members.keys) * legs.steps, legs.span)
    name = member_name(family, key)
    slices: list[resolved.ResolvedSlice] = []
    outer: list[ResolvedAxis] = []
    positions = product(*map(range, lengths.values()))
    for position, (_, numbers) in zip(positions, slice_members.frames(), strict=True):
        groups = legs.grouped(frame | numbers, name)
        if groups is None:
            return None
        axes = tuple(axis for group in groups for axis in group)
        if not slices:
            remaining = iter(lengths.values())
            for leg, group in zip(statement.legs, groups, strict=True):
                if isinstance(leg, tree.Subscript):
                    group = (ResolvedAxis("slices", (), next(remaining), leg.span),)
                outer.extend(group)
        elif _extents(axes) != _extents(slices[0].axes):
            state.report(_slices_differ(statement, position, axes, slices[0].axes))
            return None
        slices.append(resolved.ResolvedSlice(position, axes))
    return ResolvedInput(name, family, key, tuple(outer), tuple(slices), statement)


def _extents(axes: tuple[ResolvedAxis, ...]) -> list[tuple[int | None, int | None]]:
    return [(axis.size, axis.width) for axis in axes]


def _slices_differ(
    statement: tree.InputStatement,
    position: Key,
    axes: tuple[ResolvedAxis, ...],
    first: tuple[ResolvedAxis, ...],
) -> Failed:
    """TN306 at the `p in` axis along which the slice at `position` is not the first."""
    slice_legs = [leg for leg in statement.legs if isinstance(leg, tree.Subscript)]
    span = next(leg.span for leg, k in zip(slice_legs, position, strict=True) if k)
    here, there = (
        [axis.width or axis.size for axis in shape if axis.size] for shape in (axes, first)
    )
    differing = next(
        (axis.span for axis, other in zip(axes, first, strict=False) if axis.size != other.size),
        statement.name.span,
    )
    message = f"the slices of `{statement.name.text}` differ in shape"
    label = f"slice {', '.join(map(str, position))} has the shape {here}"
    note = "the slices are stacked along one axis of one tensor, so they have one shape"
    family = "`input x[k in 0..n](..., f[k])`"
    hint = f"give the indices equal sizes, or declare an input family: {family}"
    other_slice = Label(differing, f"the first slice has {there}")
    return failure(Code.SHAPES_DIFFER, message, span, label, note, hint, other_slice)


def _check_onehot(legs: tuple[tree.Leg, ...], state: Resolution) -> None:
    """TN305 for a leg that stands beside a `onehot`."""
    onehot = next((leg for leg in legs if isinstance(leg, tree.GroupLeg) and leg.onehot), None)
    if onehot is None:
        return
    for leg in legs:
        allowed = leg is onehot or isinstance(leg, tree.Dots | tree.Subscript)
        if isinstance(leg, tree.IndexLeg):
            allowed = state.families[leg.name.text].kind == "batch"
        if not allowed:
            message = "no other leg can stand beside a `onehot`"
            note = (
                "an input of ids holds one integer where other inputs hold a vector: "
                "only `...`, batch axes and `p in` axes go with it"
            )
            hint = "put the leg in the `onehot`, or on an input of its own"
            label, ids = "this leg would hold numbers", Label(onehot.span, "this one holds ids")
            state.report(failure(Code.WRONG_TYPE, message, leg.span, label, note, hint, ids))
