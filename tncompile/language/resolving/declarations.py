"""`let`, `require`, and the declarations of indices: sizes and families."""

from __future__ import annotations

from typing import cast

from tncompile.language.diagnostics.collector import Failed, failure, problem
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.evaluating import compiled
from tncompile.language.evaluating.arithmetic import COMPARISONS, int_hint, wrong_type
from tncompile.language.evaluating.compiled import Frame, compile_expression, evaluate
from tncompile.language.evaluating.scope import Scope
from tncompile.language.parsing.lexer import one_line
from tncompile.language.resolved import (
    LARGEST_SIZE,
    IndexKind,
    ResolvedIndex,
    member_name,
    value_text,
)
from tncompile.language.resolving.resolution import IndexFamily, Resolution
from tncompile.language.syntax import tree
from tncompile.language.syntax.walk import walk

_MOST_COMPARISONS = 8


def resolve_let(statement: tree.Let, state: Resolution) -> None:
    """Give the name its value; it stays poisoned where the expression fails."""
    name = statement.name
    try:
        state.scope.values[name.text] = evaluate(statement.value, state.scope)
    except Failed as failed:
        state.report(failed)
    state.scope.declared[name.text] = state.scope.places[name.text] = name.span
    state.scope.sources[name.text] = statement.value


def resolve_require(statement: tree.Require, state: Resolution) -> None:
    """TN302 where the condition does not hold."""
    condition, scope = statement.condition, state.scope
    try:
        if compile_expression(condition, scope).truth({}):
            return
    except Failed as failed:
        state.report(failed)
        return
    reason = "a requirement does not hold" if statement.reason is None else statement.reason.value
    operations = (node for node in walk(condition) if isinstance(node, tree.Binary))
    comparisons = [node for node in operations if node.operator in COMPARISONS]
    sides = [_both_sides(node, scope) for node in comparisons[:_MOST_COMPARISONS]]
    message, label = f"requirement failed: {reason}", "this is false"
    notes = (*filter(None, sides), *scope.known(condition))
    hint, origin = "change the arguments so that it holds", scope.origin(condition)
    state.problems.add(
        problem(Code.REQUIREMENT_FAILED, message, condition.span, label, notes, hint, origin)
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
    """Declare axes that are sized at run time, and the sizes that they usually have."""
    for declaration in statement.declarations:
        name, usual = declaration.name, None
        if declaration.usual is not None:
            try:
                formula = compile_expression(declaration.usual, state.scope)
                what = f"the usual size of `{name.text}`"
                note = "it is what is planned for where nobody says another size"
                hint = f"give it a size of at least 1, or none: `batch {name.text}`"
                usual = positive(formula, what, {}, state.scope, note, hint)
            except Failed as failed:
                state.report(failed)
        state.families[name.text] = IndexFamily(name, "batch", members={(): name.text})
        state.indices.append(
            ResolvedIndex(name.text, "batch", None, name.text, usual=usual, declared=name.span)
        )
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
    """The members with their sizes; a size that fails is reported once, for whichever members."""
    name, subscripts = declaration.name, declaration.subscripts
    members = state.members(family.kind, subscripts, declaration.condition, name.span)
    family.absent = members.absent
    if family.absent:
        return
    family.prefixes.update((prefix, []) for prefix in members.prefixes)
    variables = frozenset(subscript.name.text for subscript in subscripts)
    formula: compiled.CompiledExpression | None = None
    try:
        formula = compile_expression(declaration.size, state.scope, variables)
        state.scope.budget.charge(formula.steps * len(members.keys), name.span)
    except Failed as failed:
        state.report(failed)
    for key, frame in members.frames():
        full = member_name(name.text, key)
        family.members[key] = full
        for depth in range(1, len(key)):
            family.prefixes[key[:depth]].append(full)
        size = None
        try:
            if formula is not None:
                size = positive(formula, f"the size of `{full}`", frame, state.scope)
        except Failed as failed:
            formula = None
            state.report(failed)
        state.sizes[full] = size
        state.indices.append(
            ResolvedIndex(full, family.kind, size, name.text, key, declared=name.span)
        )


def positive(
    formula: compiled.CompiledExpression,
    what: str,
    frame: Frame,
    scope: Scope,
    note: str = "every index needs at least one entry",
    hint: str = "give it a size of at least 1, or leave it out with `if`",
) -> int:
    """A size, or another number of entries, of one member; `what` names it. Raises `Failed`."""
    value, node = formula.run(frame), formula.node
    if type(value) is int and 1 <= value <= LARGEST_SIZE:
        return value
    if isinstance(value, bool | tuple):
        raise wrong_type(node.span, value, "an int", hint=f"{what} is one int")
    origin = scope.origin(node)
    if isinstance(value, int) and value > LARGEST_SIZE:
        message, label = f"{what} is {value}", "larger than 2**40"
        note, hint = "sizes reach 2**40", "make it smaller"
        raise failure(Code.TOO_MANY, message, node.span, label, note, hint, origin)
    at = ", ".join(f"{variable} = {number}" for variable, number in frame.items())
    message = f"{what} is not a positive integer"
    label = f"this is {value_text(value)}" + (f" for {at}" if at else "")
    notes = (note, *scope.known(node))
    if isinstance(value, float):
        hint = int_hint(node, value)
    raise failure(Code.BAD_SIZE, message, node.span, label, notes, hint, origin)
