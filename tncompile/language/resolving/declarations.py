"""`let`, `require`, and the declarations of indices: sizes and families."""

from __future__ import annotations

from typing import cast

from tncompile.language.diagnostics.collector import Failed, failure, problem
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.evaluating.arithmetic import COMPARISONS, int_hint, kind_of, wrong_type
from tncompile.language.evaluating.compiled import CompiledExpression, compile_expression, evaluate
from tncompile.language.evaluating.scope import Scope
from tncompile.language.parsing.lexer import one_line
from tncompile.language.resolved import IndexKind, ResolvedIndex, Value, member_name, value_text
from tncompile.language.resolving.resolution import IndexFamily, Resolution
from tncompile.language.resolving.unrolling import compile_ranges, frames, unroll
from tncompile.language.syntax import tree
from tncompile.language.syntax.walk import walk

LARGEST_SIZE = 2**40
_MOST_COMPARISONS = 8


def resolve_let(statement: tree.Let, state: Resolution) -> None:
    """Give the name its value; it stays poisoned where the expression fails."""
    name = statement.names[0]
    try:
        state.scope.values[name.text] = evaluate(statement.value, state.scope)
    except Failed as failed:
        state.report(failed)
    state.scope.declared[name.text] = state.scope.places[name.text] = name.span
    state.scope.sources[name.text] = statement.value


def resolve_require(statement: tree.Require, state: Resolution) -> None:
    """TN302 where the condition does not hold."""
    condition = statement.condition
    try:
        holds = compile_expression(condition, state.scope).truth({})
    except Failed as failed:
        state.report(failed)
        return
    if not holds:
        state.problems.add(_requirement_failed(statement, state.scope))


def _requirement_failed(statement: tree.Require, scope: Scope) -> Diagnostic:
    condition = statement.condition
    reason = "a requirement does not hold" if statement.reason is None else statement.reason.value
    comparisons = [
        node
        for node in walk(condition)
        if isinstance(node, tree.Binary) and node.operator in COMPARISONS
    ]
    sides = [_both_sides(node, scope) for node in comparisons[:_MOST_COMPARISONS]]
    return problem(
        Code.REQUIREMENT_FAILED,
        f"requirement failed: {reason}",
        condition.span,
        "this is false",
        secondary=scope.origin(condition),
        notes=(*filter(None, sides), *scope.known(condition)),
        hint="change the arguments so that it holds",
    )


def _both_sides(node: tree.Binary, scope: Scope) -> str | None:
    """`` `d % 2 == 0` is `1 == 0` ``; None where a side has no value."""
    try:
        left, right = evaluate(node.left, scope), evaluate(node.right, scope)
    except Failed:
        return None
    text = one_line(node.span)
    sides = f"{value_text(left, most=8)} {node.operator} {value_text(right, most=8)}"
    return None if text == sides else f"`{text}` is `{sides}`"


def resolve_batch(statement: tree.BatchStatement, state: Resolution) -> None:
    """Declare axes that are sized at run time."""
    for name in statement.names:
        state.families[name.text] = IndexFamily(name, "batch", members={(): name.text})
        state.indices.append(ResolvedIndex(name.text, "batch", None, name.text, declared=name.span))
        state.sizes[name.text] = None


def resolve_index(declaration: tree.IndexDeclaration, kind: str, state: Resolution) -> None:
    """Unroll one declaration of an `index`, `bond` or `hyper` statement."""
    family = IndexFamily(declaration.name, cast(IndexKind, kind), declaration)
    state.families[declaration.name.text] = family
    try:
        _declare_members(declaration, family, state)
    except Failed as failed:
        family.poisoned = True
        state.report(failed)


def _declare_members(
    declaration: tree.IndexDeclaration, family: IndexFamily, state: Resolution
) -> None:
    scope, name = state.scope, declaration.name
    variables = frozenset(subscript.name.text for subscript in declaration.subscripts)
    condition = compile_condition(declaration.condition, scope, variables)
    if condition is not None and not condition.steps and not condition.truth({}):
        family.absent = True
        return
    ranges = compile_ranges(declaration.subscripts, scope)
    members = unroll(ranges, scope, state.limits.left(family.kind))
    family.prefixes.update((prefix, []) for prefix in members.prefixes)
    size = _Size(declaration, state, variables)
    cost = size.steps + (condition.steps if condition else 0)
    scope.budget.charge(cost * len(members.keys), name.span)
    for key, frame in frames(ranges, members.keys):
        if condition is not None and not condition.truth(frame):
            continue
        full = member_name(name.text, key)
        family.members[key] = full
        for depth in range(1, len(key)):
            family.prefixes[key[:depth]].append(full)
        state.sizes[full] = number = size.of(full, frame)
        state.indices.append(ResolvedIndex(full, family.kind, number, name.text, key, name.span))
    state.limits.declare(family.kind, len(family.members))
    family.absent = not family.members and len(members.keys) > 0


def compile_condition(
    condition: tree.Expression | None, scope: Scope, variables: frozenset[str]
) -> CompiledExpression | None:
    """The condition after `if`, if there is one; raises `Failed`."""
    return None if condition is None else compile_expression(condition, scope, variables)


class _Size:
    """The size expression of a declaration; reported once, whichever members it fails for."""

    def __init__(
        self, declaration: tree.IndexDeclaration, state: Resolution, variables: frozenset[str]
    ) -> None:
        self._node = declaration.size
        self._state = state
        self._formula: CompiledExpression | None = None
        try:
            self._formula = compile_expression(declaration.size, state.scope, variables)
        except Failed as failed:
            state.report(failed)

    @property
    def steps(self) -> int:
        """What one member costs."""
        return self._formula.steps if self._formula else 0

    def of(self, name: str, frame: dict[str, int]) -> int | None:
        """The size of one member, None where it has none; after a failure nothing is evaluated."""
        if self._formula is None:
            return None
        try:
            value = self._formula.run(frame)
            if type(value) is int and 1 <= value <= LARGEST_SIZE:
                return value
            raise self._bad(name, value, frame)
        except Failed as failed:
            self._formula = None
            self._state.report(failed)
            return None

    def _bad(self, name: str, value: Value, frame: dict[str, int]) -> Failed:
        node, scope = self._node, self._state.scope
        if kind_of(value) in ("bool", "list"):
            return wrong_type(node.span, value, "an int", hint="the size of an index is one int")
        if isinstance(value, int) and value > LARGEST_SIZE:
            return too_large_size(node, f"`{name}`", value, scope)
        at = ", ".join(f"{variable} = {number}" for variable, number in frame.items())
        return failure(
            Code.BAD_SIZE,
            f"the size of `{name}` is not a positive integer",
            node.span,
            f"this is {value_text(value)}" + (f" for {at}" if at else ""),
            secondary=scope.origin(node),
            notes=("every index needs at least one entry", *scope.known(node)),
            hint=int_hint(node, value)
            if isinstance(value, float)
            else "give it a size of at least 1, or leave it out with `if`",
        )


def too_large_size(node: tree.Expression, what: str, size: int, scope: Scope) -> Failed:
    """TN501: a size beyond 2**40."""
    return failure(
        Code.TOO_MANY,
        f"{what} has {size} entries",
        node.span,
        "larger than 2**40",
        secondary=scope.origin(node),
        notes=("sizes reach 2**40",),
        hint="make it smaller",
    )


def no_such_member(name: tree.Name, place: Label, message: str, note: str, hint: str) -> Failed:
    """TN205: `place` is where the member is used, `name` where its family is declared."""
    declared = Label(name.span, f"`{name.text}` is declared here")
    return failure(
        Code.NO_SUCH_MEMBER,
        message,
        place.span,
        place.text,
        secondary=(declared,),
        notes=(note,),
        hint=hint,
    )
