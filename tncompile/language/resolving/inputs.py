"""`input` and `output`: axes as `forward` sees them, and the slices of `p in` axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tncompile.language.diagnostics.collector import Failed, counted, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.evaluating.compiled import Frame
from tncompile.language.resolved import (
    ResolvedAxis,
    ResolvedInput,
    ResolvedOutput,
    ResolvedSlice,
    member_name,
)
from tncompile.language.resolving.declarations import compile_condition
from tncompile.language.resolving.legs import Legs, compile_legs
from tncompile.language.resolving.resolution import Resolution
from tncompile.language.resolving.tensors import widest_span
from tncompile.language.resolving.unrolling import (
    Key,
    Range,
    compile_ranges,
    evaluate_range,
    frames,
    too_many,
    unroll,
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


@dataclass(frozen=True, slots=True)
class _Plan:
    """An input statement, compiled: its legs, the `p in` axes apart, and where those stand."""

    statement: tree.InputStatement
    slices: tuple[Range, ...]
    slots: tuple[int, ...]  # for each `p in` axis, how many other legs are written before it
    legs: Legs
    state: Resolution


def _unroll(statement: tree.InputStatement, state: Resolution) -> list[ResolvedInput]:
    scope, name = state.scope, statement.name.text
    family_variables = tuple(subscript.name.text for subscript in statement.subscripts)
    condition = compile_condition(statement.condition, scope, frozenset(family_variables))
    if condition is not None and not condition.steps and not condition.truth({}):
        return []
    ranges = compile_ranges(statement.subscripts, scope)
    keys: Sequence[Key] = unroll(ranges, scope, state.limits.left("input")).keys
    if condition is not None:
        scope.budget.charge(len(keys) * condition.steps, statement.name.span)
        keys = [key for key, frame in frames(ranges, keys) if condition.truth(frame)]
    state.limits.declare("input", len(keys))
    if not keys:
        return []
    _check_onehot(statement.legs, state)
    slice_legs = [leg for leg in statement.legs if isinstance(leg, tree.SlicesLeg)]
    subscripts = tuple(leg.subscript for leg in slice_legs)
    slices = compile_ranges(subscripts, scope, family_variables)
    variables = frozenset((*family_variables, *(bounds.name for bounds in slices)))
    others = [leg for leg in statement.legs if not isinstance(leg, tree.SlicesLeg)]
    span = widest_span((*statement.subscripts, *subscripts), statement.name.span)
    legs = compile_legs(name, others, span, state, variables)
    plan = _Plan(statement, slices, _slots(statement.legs), legs, state)
    inputs: list[ResolvedInput] = []
    for key, frame in frames(ranges, keys):
        resolved = _member(plan, key, dict(frame))
        if resolved is not None:
            inputs.append(resolved)
    legs.warn()
    return inputs


def _slots(legs: tuple[tree.Leg, ...]) -> tuple[int, ...]:
    """For each `p in` axis, the number of legs before it that are none."""
    slots: list[int] = []
    others = 0
    for leg in legs:
        if isinstance(leg, tree.SlicesLeg):
            slots.append(others)
        else:
            others += 1
    return tuple(slots)


def _member(plan: _Plan, key: Key, frame: Frame) -> ResolvedInput | None:
    """One argument of `forward`: its slices, and its axes as those of the first one."""
    state = plan.state
    name = member_name(plan.statement.name.text, key)
    positions, lengths = _positions(plan, frame)
    state.scope.budget.charge(len(positions) * plan.legs.steps, plan.legs.span)
    slices: list[ResolvedSlice] = []
    first: list[tuple[ResolvedAxis, ...]] = []
    for position, numbers in positions:
        frame.update(zip((bounds.name for bounds in plan.slices), numbers, strict=True))
        grouped = plan.legs.grouped(frame, name)
        if grouped is None:
            return None
        axes = tuple(axis for group in grouped for axis in group)
        if not slices:
            first = grouped
        elif _extents(axes) != _extents(slices[0].axes):
            state.problems.add(_slices_differ(plan, position, axes, slices[0].axes).diagnostic)
            return None
        slices.append(ResolvedSlice(position, axes))
    outer = _outer_axes(plan, first, lengths)
    return ResolvedInput(name, plan.statement.name.text, key, outer, tuple(slices), plan.statement)


def _extents(axes: tuple[ResolvedAxis, ...]) -> list[tuple[int | None, int | None]]:
    return [(axis.size, axis.width) for axis in axes]


def _positions(plan: _Plan, frame: Frame) -> tuple[list[tuple[Key, Key]], tuple[int, ...]]:
    """Each slice as its position along the axes and the values of their variables; the lengths.

    Raises `Failed` where a range has no value, is empty, differs from slice to slice (TN303), or
    makes too many slices.
    """
    state = plan.state
    slices: list[tuple[Key, Key]] = [((), ())]
    lengths: list[int] = []
    names: list[str] = []
    left = state.limits.left("slice")
    for bounds in plan.slices:
        state.scope.budget.charge(
            len(slices) * (bounds.start.steps + bounds.stop.steps + 1), bounds.span
        )
        longer: list[tuple[Key, Key]] = []
        for position, numbers in slices:
            values = evaluate_range(bounds, {**frame, **dict(zip(names, numbers, strict=True))})
            if len(values) > left - len(longer):
                raise too_many(bounds, state.scope, len(values))
            if not values:
                raise _no_slices(bounds, state)
            if longer and len(values) != lengths[-1]:
                raise _numbers_differ(bounds, lengths[-1], len(values))
            if not longer:
                lengths.append(len(values))
            longer.extend(((*position, k), (*numbers, number)) for k, number in enumerate(values))
        names.append(bounds.name)
        slices = longer
    if plan.slices:
        state.limits.declare("slice", len(slices))
    return slices, tuple(lengths)


def _outer_axes(
    plan: _Plan, first: list[tuple[ResolvedAxis, ...]], lengths: tuple[int, ...]
) -> tuple[ResolvedAxis, ...]:
    """The axes of the first slice with the `p in` axes where they are written."""
    slice_legs = [leg for leg in plan.statement.legs if isinstance(leg, tree.SlicesLeg)]
    axes: list[ResolvedAxis] = []
    for place in range(len(first) + 1):
        for leg, slot, length in zip(slice_legs, plan.slots, lengths, strict=True):
            if slot == place:
                axes.append(ResolvedAxis("slices", (), length, leg.span))
        axes.extend(first[place] if place < len(first) else ())
    return tuple(axes)


def _slice_leg(plan: _Plan, position: Key) -> tree.SlicesLeg:
    """The `p in` axis along which the slice at `position` is not the first."""
    slice_legs = [leg for leg in plan.statement.legs if isinstance(leg, tree.SlicesLeg)]
    return next(leg for leg, k in zip(slice_legs, position, strict=True) if k)


def _slices_differ(
    plan: _Plan, position: Key, axes: tuple[ResolvedAxis, ...], first: tuple[ResolvedAxis, ...]
) -> Failed:
    leg = _slice_leg(plan, position)
    here, there = (
        [axis.width or axis.size for axis in shape if axis.size] for shape in (axes, first)
    )
    number = ", ".join(map(str, position))
    differing = next(
        (axis.span for axis, other in zip(axes, first, strict=False) if axis.size != other.size),
        plan.statement.name.span,
    )
    return failure(
        Code.SHAPES_DIFFER,
        f"the slices of `{plan.statement.name.text}` differ in shape",
        leg.span,
        f"slice {number} has the shape {here}",
        secondary=(Label(differing, f"the first slice has {there}"),),
        notes=("the slices are stacked along one axis of one tensor, so they have one shape",),
        hint="give the indices equal sizes, or declare an input family: "
        "`input x[k in 0..n](..., f[k])`",
    )


def _numbers_differ(bounds: Range, before: int, now: int) -> Failed:
    return failure(
        Code.LENGTH_MISMATCH,
        f"this axis would have {counted(before, 'slice')} here and {now} there",
        bounds.subscript.span,
        f"its length depends on the axis before it: {before}, then {now}",
        secondary=(Label(bounds.span, f"{now} here"),),
        notes=("the axes of a tensor form a box: each has one length",),
        hint="use a range that is the same for all slices",
    )


def _no_slices(bounds: Range, state: Resolution) -> Failed:
    return failure(
        Code.BAD_SIZE,
        "an axis of an input needs at least one slice",
        bounds.span,
        "this range is empty",
        secondary=state.scope.origin(bounds.subscript.stop, bounds.subscript.start),
        notes=("an axis of length zero holds nothing",),
        hint="make the range longer, or leave the input out with `if`",
    )


def _check_onehot(legs: tuple[tree.Leg, ...], state: Resolution) -> None:
    """TN305 for a leg that stands beside a `onehot`."""
    onehot = [leg for leg in legs if isinstance(leg, tree.GroupLeg) and leg.onehot]
    for leg in legs if onehot else ():
        allowed = leg is onehot[0] or isinstance(leg, tree.DotsLeg | tree.SlicesLeg)
        if isinstance(leg, tree.IndexLeg):
            allowed = state.families[leg.name.text].kind == "batch"
        if not allowed:
            state.report(_beside_onehot(leg, onehot[0]))


def _beside_onehot(leg: tree.Leg, onehot: tree.GroupLeg) -> Failed:
    return failure(
        Code.WRONG_TYPE,
        "no other leg can stand beside a `onehot`",
        leg.span,
        "this leg would hold numbers",
        secondary=(Label(onehot.span, "this one holds ids"),),
        notes=(
            "an input of ids holds one integer where other inputs hold a vector: "
            "only `...`, batch axes and `p in` axes go with it",
        ),
        hint="put the leg in the `onehot`, or on an input of its own",
    )
