"""`tensor` and `bias`: members, state-dict keys, sharing, ties and schemes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tncompile.language.diagnostics.collector import Failed, counted, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.evaluating.compiled import Frame
from tncompile.language.resolved import (
    ResolvedAxis,
    ResolvedBias,
    ResolvedParameter,
    ResolvedTensor,
    member_name,
)
from tncompile.language.resolving.attributes import Attributes, compile_attributes
from tncompile.language.resolving.declarations import no_such_member
from tncompile.language.resolving.legs import compile_legs
from tncompile.language.resolving.resolution import Resolution, TensorFamily
from tncompile.language.resolving.unrolling import (
    Key,
    compile_ranges,
    frames,
    range_span,
    unroll,
)
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span


def widest_span(subscripts: Sequence[tree.Subscript], name: Span) -> Span:
    """Where too many members or legs are reported: the last range, the name where there is none."""
    return range_span(subscripts[-1]) if subscripts else name


@dataclass(slots=True)
class _Member:
    """A tensor of a family before its parameter is known."""

    name: str
    statement: tree.TensorStatement
    attributes: Attributes
    key: Key
    frame: Frame
    axes: tuple[ResolvedAxis, ...]


class TensorResolver:
    """Resolves the tensors and biases of one network, in order."""

    def __init__(self, state: Resolution) -> None:
        self._state = state
        self.parameters: dict[str, ResolvedParameter] = {}
        self._first: dict[str, Key] = {}
        self._mismatched: set[str] = set()
        self.tensors: list[ResolvedTensor] = []
        self.biases: list[ResolvedBias] = []

    def tensor(self, statement: tree.TensorStatement) -> None:
        """Unroll one `tensor` statement."""
        family = TensorFamily(statement)
        self._state.tensors[statement.name.text] = family
        try:
            self._unroll(family)
        except Failed as failed:
            family.poisoned = True
            self._state.report(failed)

    def _unroll(self, family: TensorFamily) -> None:
        state, statement = self._state, family.statement
        variables = frozenset(subscript.name.text for subscript in statement.subscripts)
        span = widest_span(statement.subscripts, statement.name.span)
        attributes = compile_attributes(statement.attributes, state.scope, variables)
        if attributes.absent:
            return
        ranges = compile_ranges(statement.subscripts, state.scope)
        keys = unroll(ranges, state.scope, state.limits.left("tensor")).keys
        if attributes.condition is not None:
            state.scope.budget.charge(len(keys) * attributes.steps, span)
            keys = [key for key, frame in frames(ranges, keys) if attributes.exists(frame)]
        state.limits.declare("tensor", len(keys))
        if not keys:
            return
        family_name = statement.name.text
        legs = compile_legs(family_name, statement.legs, span, state, variables, trainable=True)
        legs.foresee(len(keys))
        state.scope.budget.charge(len(keys) * (legs.steps + attributes.steps), span)
        alone = bool(ranges) and len(keys) == 1
        for key, frame in frames(ranges, keys):
            name = member_name(family_name, key)
            axes = legs.axes(frame, name)
            use = None
            if axes is not None:
                use = self._use(_Member(name, statement, attributes, key, frame, axes))
            family.members[key] = use or (None, False)
            if use is not None and axes is not None:
                parameter, conjugate = use
                self.tensors.append(
                    ResolvedTensor(
                        name, family_name, key, parameter.key, axes, statement, conjugate, alone
                    )
                )
        legs.warn()

    def _use(self, member: _Member) -> tuple[ResolvedParameter, bool] | None:
        """The parameter of one member and whether it is conjugated; None where that failed."""
        shape = _shape(member.axes)
        if shape is None:
            return None
        try:
            if (tie := member.attributes.tie) is not None:
                return self._tied(member, tie, shape)
            return self._stored(member, shape), False
        except Failed as failed:
            self._state.report(failed)
            return None

    def _stored(self, member: _Member, shape: tuple[int, ...]) -> ResolvedParameter:
        """The member's own parameter, or the one it shares."""
        statement, share = member.statement, member.attributes.share
        own = _own_subscripts(member.key, statement, share)
        name = ".".join([statement.name.text, *map(str, own)])
        parameter = self.parameters.get(name)
        if parameter is None:
            init, frozen = member.attributes.init(member.frame, "auto"), member.attributes.frozen
            parameter = ResolvedParameter(
                name, statement.name.text, own, member.axes, shape, init, frozen, statement
            )
            self.parameters[name] = parameter
            self._first[name] = member.key
        elif parameter.shape != shape and share is not None:
            if name in self._mismatched:
                raise Failed(None)
            self._mismatched.add(name)
            shared = _differing(member.key, self._first[name], statement, share)
            raise failure(
                Code.SHAPES_DIFFER,
                f"`{member.name}` cannot share its parameter: the shapes differ",
                shared.span,
                f"`{member.name}` has the shape {list(shape)}",
                secondary=(
                    Label(statement.name.span, f"the first one has {list(parameter.shape)}"),
                ),
                notes=(f"all members that share `{name}` are one parameter, of one shape",),
                hint="give the legs equal sizes, or declare the members that differ as another "
                "tensor",
            )
        return parameter

    def _tied(
        self, member: _Member, tie: tree.Tie, shape: tuple[int, ...]
    ) -> tuple[ResolvedParameter, bool] | None:
        """The parameter of another tensor; None where that one failed."""
        other = self._state.tensors[tie.name.text]
        if other.poisoned:
            return None
        subscripts = member.attributes.tie_subscripts
        key = tuple([formula.integer(member.frame) for formula in subscripts])
        key = key if tie.subscripts else member.key
        if key not in other.members:
            raise _no_such_tensor(tie, key, other)
        parameter, conjugate = other.members[key]
        if parameter is None:
            return None
        if parameter.shape != shape:
            name, declared = member_name(tie.name.text, key), other.statement.name.span
            raise failure(
                Code.SHAPES_DIFFER,
                f"`{member.name}` cannot be tied to `{name}`: the shapes differ",
                tie.name.span,
                f"`{member.name}` has the shape {list(shape)}",
                secondary=(Label(declared, f"`{name}` has the shape {list(parameter.shape)}"),),
                notes=("tied tensors are one parameter, axis by axis in the order of their legs",),
                hint="write the legs in the order that matches, with equal sizes",
            )
        return parameter, conjugate is not tie.conjugate

    def bias(self, statement: tree.BiasStatement) -> None:
        """Resolve one `bias` statement."""
        state, name = self._state, statement.name.text
        try:
            attributes = compile_attributes(statement.attributes, state.scope, frozenset())
            if not attributes.exists({}):
                return
            legs = compile_legs(name, statement.legs, statement.name.span, state, trainable=True)
            axes = legs.axes({}, name)
            legs.warn()
            shape = None if axes is None else _shape(axes)
            if axes is None or shape is None:
                return
            init = attributes.init({}, "linear")
        except Failed as failed:
            state.report(failed)
            return
        self.parameters[name] = ResolvedParameter(
            name, name, (), axes, shape, init, False, statement
        )
        self.biases.append(ResolvedBias(name, name, axes, statement))


def _shape(axes: tuple[ResolvedAxis, ...]) -> tuple[int, ...] | None:
    """The sizes of the axes; None where one of them failed."""
    shape = tuple(axis.size for axis in axes if axis.size is not None)
    return shape if len(shape) == len(axes) else None


def _own_subscripts(key: Key, statement: tree.TensorStatement, share: tree.Share | None) -> Key:
    """The subscripts in the state-dict key: those that are not shared."""
    if share is None:
        return key
    shared = {name.text for name in share.names}
    return tuple(
        number
        for subscript, number in zip(statement.subscripts, key, strict=True)
        if subscript.name.text not in shared
    )


def _differing(
    key: Key, first: Key, statement: tree.TensorStatement, share: tree.Share
) -> tree.Name:
    """The first of the shared subscripts in which a member is not the first one."""
    names = [subscript.name.text for subscript in statement.subscripts]
    differing = {name for name, a, b in zip(names, key, first, strict=True) if a != b}
    return next((name for name in share.names if name.text in differing), share.names[0])


def _no_such_tensor(tie: tree.Tie, wanted: Key, other: TensorFamily) -> Failed:
    name = member_name(tie.name.text, wanted)
    return no_such_member(
        other.statement.name,
        Label(tie.name.span, "there is no such tensor"),
        f"`{name}` does not exist",
        f"`{tie.name.text}` has {counted(len(other.members), 'member')} here",
        f"tie to a member that exists: `tie {member_name(tie.name.text, first)}`"
        if (first := next(iter(other.members), None)) is not None
        else "tie to a tensor that exists",
    )
