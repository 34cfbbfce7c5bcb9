"""`tensor` and `bias`: members, state-dict keys, sharing, ties and schemes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from tncompile.language import resolved
from tncompile.language.checking.leg_rules import no_such_member
from tncompile.language.diagnostics.collector import Failed, counted, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.evaluating.arithmetic import is_number, wrong_type
from tncompile.language.evaluating.compiled import CompiledExpression, Frame, compile_expression
from tncompile.language.evaluating.scope import Scope
from tncompile.language.resolved import ResolvedAxis, ResolvedParameter, member_name
from tncompile.language.resolving.legs import compile_legs
from tncompile.language.resolving.resolution import Key, Resolution, widest_span
from tncompile.language.syntax import tree

Kind = TypeVar("Kind", bound=tree.Node)


def attribute(attributes: Sequence[tree.Attribute], kind: type[Kind]) -> Kind | None:
    return next((attribute for attribute in attributes if isinstance(attribute, kind)), None)


@dataclass(frozen=True, slots=True)
class _Init:
    """A compiled `init SCHEME(argument)`, or the default."""

    scheme: resolved.SchemeName
    argument: CompiledExpression | None = None

    def of(self, frame: Frame) -> resolved.ResolvedInit:
        """How a member starts; raises `Failed`."""
        if self.argument is None:
            return resolved.ResolvedInit(self.scheme)
        value, span = self.argument.run(frame), self.argument.node.span
        if not is_number(value):
            raise wrong_type(span, value, "a number")
        if value < 0 and self.scheme != "constant":
            message = "the argument of a scheme cannot be negative"
            note = "`normal` takes a standard deviation, `uniform` the bound of its range"
            label, hint = f"this is {value}", "give the magnitude"
            raise failure(Code.WRONG_ARGUMENT, message, span, label, note, hint)
        return resolved.ResolvedInit(self.scheme, float(value))


def _compile_init(
    attributes: Sequence[tree.Attribute],
    default: resolved.SchemeName,
    scope: Scope,
    variables: frozenset[str] = frozenset(),
) -> _Init:
    written = attribute(attributes, tree.Scheme)
    if written is None:
        return _Init(default)
    scheme = cast(resolved.SchemeName, written.name.text)
    if not written.arguments:
        return _Init(scheme)
    return _Init(scheme, compile_expression(written.arguments[0].value, scope, variables))


@dataclass(slots=True)
class _Family:
    """A `tensor` statement: its attributes compiled, its members so far.

    `members` are the parameter behind each, and whether it is conjugated; a member that failed has
    no parameter. `first` are the first members with each parameter, `mismatched` the parameters
    that members cannot share: they are reported.
    """

    statement: tree.TensorStatement
    init: _Init
    frozen: bool
    complex: bool
    share: tree.Share | None
    tie: tree.Tie | None
    tie_subscripts: tuple[CompiledExpression, ...]
    members: dict[Key, tuple[ResolvedParameter | None, bool]] = field(default_factory=dict)
    first: dict[str, Key] = field(default_factory=dict)
    mismatched: set[str] = field(default_factory=set)


class TensorResolver:
    """Resolves the tensors and biases of one network, in order."""

    def __init__(self, state: Resolution) -> None:
        self._state = state
        self._families: dict[str, _Family | None] = {}  # None where it failed
        self.parameters: dict[str, ResolvedParameter] = {}
        self.tensors: list[resolved.ResolvedTensor] = []
        self.biases: list[resolved.ResolvedBias] = []

    def tensor(self, statement: tree.TensorStatement) -> None:
        """Unroll one `tensor` statement."""
        self._families[statement.name.text] = None
        try:
            self._families[statement.name.text] = self._unroll(statement)
        except Failed as failed:
            self._state.report(failed)

    def _unroll(self, statement: tree.TensorStatement) -> _Family:
        state = self._state
        subscripts, attributes = statement.subscripts, statement.attributes
        condition, tie = attribute(attributes, tree.If), attribute(attributes, tree.Tie)
        span = widest_span(subscripts, statement.name.span)
        variables = frozenset(subscript.name.text for subscript in subscripts)
        init = _compile_init(attributes, "auto", state.scope, variables)
        written = tie.subscripts if tie is not None else ()
        tied = tuple(compile_expression(node, state.scope, variables) for node in written)
        frozen = attribute(attributes, tree.Frozen) is not None
        share = attribute(attributes, tree.Share)
        is_complex = attribute(attributes, tree.Complex) is not None
        family = _Family(statement, init, frozen, is_complex, share, tie, tied)
        test = None if condition is None else condition.condition
        members = state.members("tensor", subscripts, test, span)
        if not members.keys:
            return family
        name = statement.name.text
        legs = compile_legs(name, statement.legs, span, state, variables, trainable=True)
        legs.foresee(len(members.keys))
        formulas = tied if init.argument is None else (init.argument, *tied)
        steps = 1 + legs.steps + sum(formula.steps for formula in formulas)
        state.scope.budget.charge(len(members.keys) * steps, span)
        alone = bool(subscripts) and len(members.keys) == 1
        for key, frame in members.frames():
            full = member_name(name, key)
            family.members[key] = (None, False)
            axes = legs.axes(frame, full)
            shape = None if axes is None else _shape(axes)
            if axes is None or shape is None:
                continue
            try:
                use = self._use(family, full, key, frame, axes, shape)
            except Failed as failed:
                state.report(failed)
                continue
            if use is not None:
                family.members[key] = parameter, conjugate = use
                self.tensors.append(
                    resolved.ResolvedTensor(
                        full, name, key, parameter.key, axes, statement, conjugate, alone
                    )
                )
        legs.warn()
        return family

    def _use(
        self,
        family: _Family,
        full: str,
        key: Key,
        frame: Frame,
        axes: tuple[ResolvedAxis, ...],
        shape: tuple[int, ...],
    ) -> tuple[ResolvedParameter, bool] | None:
        """The parameter of one member and whether it is conjugated; None where that failed."""
        statement, tie, share = family.statement, family.tie, family.share
        if tie is not None:
            target_key = tuple([formula.integer(frame) for formula in family.tie_subscripts])
            return self._tied(tie, target_key if tie.subscripts else key, full, shape)
        own = key
        if share is not None:
            shared = {name.text for name in share.names}
            names = [subscript.name.text for subscript in statement.subscripts]
            own = tuple([k for name, k in zip(names, key, strict=True) if name not in shared])
        stored = ".".join([statement.name.text, *map(str, own)])
        parameter = self.parameters.get(stored)
        if parameter is None:
            init = family.init.of(frame)
            parameter = ResolvedParameter(
                stored,
                statement.name.text,
                own,
                axes,
                shape,
                init,
                family.frozen,
                family.complex,
                statement,
            )
            self.parameters[stored] = parameter
            family.first[stored] = key
        elif parameter.shape != shape and share is not None:
            if stored in family.mismatched:
                return None
            family.mismatched.add(stored)
            first = family.first[stored]
            differing = {name for name, a, b in zip(names, key, first, strict=True) if a != b}
            place = next((name for name in share.names if name.text in differing), share.names[0])
            message = f"`{full}` cannot share its parameter: the shapes differ"
            note = f"all members that share `{stored}` are one parameter, of one shape"
            hint = "give the legs equal sizes, or declare the members that differ as another tensor"
            other = Label(statement.name.span, f"the first one has {list(parameter.shape)}")
            label = f"`{full}` has the shape {list(shape)}"
            raise failure(Code.SHAPES_DIFFER, message, place.span, label, note, hint, other)
        return parameter, False

    def _tied(
        self, tie: tree.Tie, key: Key, name: str, shape: tuple[int, ...]
    ) -> tuple[ResolvedParameter, bool] | None:
        """The parameter of another tensor; None where that one failed."""
        other = self._families[tie.name.text]
        if other is None:
            return None
        target = member_name(tie.name.text, key)
        if key not in other.members:
            note = f"`{tie.name.text}` has {counted(len(other.members), 'member')} here"
            hint = "tie to a tensor that exists"
            if other.members:
                existing = member_name(tie.name.text, next(iter(other.members)))
                hint = f"tie to a member that exists: `tie {existing}`"
            message, label = f"`{target}` does not exist", "there is no such tensor"
            family, span = other.statement.name, tie.name.span
            raise Failed(no_such_member(family, span, label, message, note, hint))
        parameter, conjugate = other.members[key]
        if parameter is None:
            return None
        if parameter.shape != shape:
            message = f"`{name}` cannot be tied to `{target}`: the shapes differ"
            label = f"`{name}` has the shape {list(shape)}"
            note = "tied tensors are one parameter, axis by axis in the order of their legs"
            hint = "write the legs in the order that matches, with equal sizes"
            there = f"`{target}` has the shape {list(parameter.shape)}"
            declared = Label(other.statement.name.span, there)
            raise failure(Code.SHAPES_DIFFER, message, tie.name.span, label, note, hint, declared)
        return parameter, conjugate is not tie.conjugate

    def bias(self, statement: tree.BiasStatement) -> None:
        """Resolve one `bias` statement."""
        state, name = self._state, statement.name.text
        try:
            init = _compile_init(statement.attributes, "linear", state.scope)
            condition = attribute(statement.attributes, tree.If)
            if condition is not None:
                exists = compile_expression(condition.condition, state.scope)
                if not exists.truth({}):
                    return
            legs = compile_legs(name, statement.legs, statement.name.span, state, trainable=True)
            axes = legs.axes({}, name)
            legs.warn()
            shape = None if axes is None else _shape(axes)
            if axes is None or shape is None:
                return
            start = init.of({})
        except Failed as failed:
            state.report(failed)
            return
        self.parameters[name] = ResolvedParameter(
            name, name, (), axes, shape, start, False, False, statement
        )
        self.biases.append(resolved.ResolvedBias(name, name, axes, statement))


def _shape(axes: tuple[ResolvedAxis, ...]) -> tuple[int, ...] | None:
    """The sizes of the axes; None where one of them failed."""
    shape = tuple(axis.size for axis in axes if axis.size is not None)
    return shape if len(shape) == len(axes) else None
