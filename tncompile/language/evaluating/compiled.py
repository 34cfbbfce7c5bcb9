"""Expressions as closures: compiled once a family, called once a member.

What does not depend on a subscript is computed once, when it is first needed. Left-grouped chains
(`a + b + c`, `a[0][1]`) become one loop, so that their length costs no depth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Set
from dataclasses import dataclass

from tncompile.language.diagnostics.collector import Failed, counted, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.diagnostics.errors import InternalError
from tncompile.language.evaluating import arithmetic
from tncompile.language.evaluating.functions import FUNCTIONS
from tncompile.language.evaluating.scope import Scope
from tncompile.language.resolved import Value
from tncompile.language.syntax import tree

Frame = dict[str, int]
"""The subscripts of the member at hand."""

Run = Callable[[Frame], Value]
Step = Callable[[Value, Frame], Value]


@dataclass(frozen=True, slots=True)
class CompiledExpression:
    """A compiled expression; `steps` is what one run costs, 0 where all members have one value."""

    node: tree.Expression
    run: Run
    steps: int

    def integer(self, frame: Frame) -> int:
        """Its value, TN305 for anything but an integer."""
        value = self.run(frame)
        return value if type(value) is int else arithmetic.integer(self.node, value)

    def truth(self, frame: Frame) -> bool:
        """Its value, TN305 for anything but a bool."""
        return arithmetic.truth(self.node, self.run(frame))


_NO_VARIABLES: Set[str] = frozenset()


def compile_expression(
    node: tree.Expression, scope: Scope, variables: Set[str] = _NO_VARIABLES
) -> CompiledExpression:
    """`node` with the values of `scope` filled in; `variables` are the subscripts a frame holds."""
    formula = _Compiler(scope, variables).formula(node)
    return formula if formula.steps else CompiledExpression(node, _once(formula.run), 0)


def evaluate(node: tree.Expression, scope: Scope) -> Value:
    """The value of an expression without subscripts; raises `Failed`."""
    return _Compiler(scope, _NO_VARIABLES).formula(node).run({})


def _once(run: Run) -> Run:
    """`run`, called the first time only."""
    values: list[Value] = []

    def remembered(frame: Frame) -> Value:
        if not values:
            values.append(run(frame))
        return values[0]

    return remembered


@dataclass(frozen=True, slots=True)
class _Compiler:
    scope: Scope
    variables: Set[str]

    def formula(self, node: tree.Expression) -> CompiledExpression:
        match node:
            case tree.Number():
                number = node.value
                if (isinstance(number, int) and number > arithmetic.LARGEST_VALUE) or math.isinf(
                    number
                ):
                    raise arithmetic.too_large(node.span, "number")
                return CompiledExpression(node, lambda frame: number, 0)
            case tree.Boolean(truth_value):
                return CompiledExpression(node, lambda frame: truth_value, 0)
            case tree.Reference():
                name = node.name.text
                if name in self.variables:
                    return CompiledExpression(node, lambda frame: frame[name], 1)
                if name not in self.scope.values:
                    raise Failed(None)
                value = self.scope.values[name]
                return CompiledExpression(node, lambda frame: value, 0)
            case tree.Binary() | tree.Item():
                return self._chain(node)
            case tree.ListOf(items):
                return self._list(node, tuple(map(self.formula, items)))
            case tree.Unary(_, operand):
                inner = self.formula(operand)
                run = inner.run
                return CompiledExpression(
                    node, lambda frame: arithmetic.negate(node, run(frame)), _more(inner)
                )
            case tree.Conditional():
                parts = map(self._inner, (node.condition, node.chosen, node.otherwise))
                condition, chosen, otherwise = parts
                return CompiledExpression(
                    node,
                    lambda frame: (chosen if condition.truth(frame) else otherwise).run(frame),
                    _more(condition, chosen, otherwise),
                )
            case tree.Call():
                return self._call(node)
            case tree.String():
                raise arithmetic.wrong_type(node.span, "string", "a number")
            case _:
                raise InternalError(f"{type(node).__name__} passed the check of names")

    def _chain(self, node: tree.Expression) -> CompiledExpression:
        """A left-grouped run of operators and items, as a loop over its links."""
        links: list[tree.Binary | tree.Item] = []
        first = node
        while isinstance(first, tree.Binary | tree.Item):
            links.append(first)
            first = first.left if isinstance(first, tree.Binary) else first.value
        links.reverse()
        formula = self.formula(first)
        steps: list[Step] = []
        for link in links:
            step, cost = self._link(link)
            if cost and not formula.steps:
                formula = CompiledExpression(link, _once(_linked(formula.run, steps)), 0)
                steps = []
            steps.append(step)
            if cost or formula.steps:
                formula = CompiledExpression(link, formula.run, formula.steps + cost + 1)
        return CompiledExpression(node, _linked(formula.run, steps), formula.steps)

    def _link(self, link: tree.Binary | tree.Item) -> tuple[Step, int]:
        """What one link does to the value on its left, and what that costs where it varies."""
        if isinstance(link, tree.Item):
            place = link.subscripts[0]
            assert isinstance(place, tree.Expression), "slices and `*` are for models"
            subscript = self._inner(place)
            return (lambda value, frame: self._item(link, value, subscript, frame)), subscript.steps
        right = self._inner(link.right)
        run = right.run
        if link.operator in ("and", "or"):
            decisive = link.operator == "or"

            def short_circuit(value: Value, frame: Frame) -> Value:
                """The right side is looked at only where it decides."""
                truth = arithmetic.truth(link.left, value)
                return decisive if truth is decisive else right.truth(frame)

            return short_circuit, right.steps
        charge = self.scope.budget.charge

        def apply(value: Value, frame: Frame) -> Value:
            result = arithmetic.combine(link, value, run(frame))
            if isinstance(result, tuple):
                charge(len(result), link.span)
            return result

        return apply, right.steps

    def _inner(self, node: tree.Expression) -> CompiledExpression:
        """A part of a larger expression, computed once if it can be."""
        formula = self.formula(node)
        trivial = formula.steps or isinstance(node, tree.Number | tree.Boolean | tree.Reference)
        return formula if trivial else CompiledExpression(node, _once(formula.run), 0)

    def _item(
        self, node: tree.Item, value: Value, subscript: CompiledExpression, frame: Frame
    ) -> Value:
        if not isinstance(value, tuple):
            raise arithmetic.wrong_type(
                node.value.span, value, "a list", hint="only lists have items"
            )
        position = subscript.integer(frame)
        if 0 <= position < len(value):
            return value[position]
        name = node.value.name.text if isinstance(node.value, tree.Reference) else ""
        place = self.scope.declared.get(name)
        items = counted(len(value), "item")
        of = f"`{name}`" if name else "the list"
        message = f"item {position} is outside {of}, which has {items}"
        label = f"there is no item {position}"
        note = "items are counted from 0 to the length minus one"
        hint = (
            f"the last item is `{name or '…'}[{len(value) - 1}]`" if value else "the list is empty"
        )
        declared = () if place is None else Label(place, items)
        raise failure(Code.NO_SUCH_MEMBER, message, node.span, label, note, hint, declared)

    def _list(self, node: tree.ListOf, items: tuple[CompiledExpression, ...]) -> CompiledExpression:
        charge = self.scope.budget.charge

        def run(frame: Frame) -> Value:
            charge(len(items), node.span)
            return tuple(item.integer(frame) for item in items)

        return CompiledExpression(node, run, _more(*items))

    def _call(self, node: tree.Call) -> CompiledExpression:
        if not isinstance(node.function, tree.Reference):
            raise InternalError("a call of something that is no name passed the check of names")
        function = FUNCTIONS[node.function.name.text]
        charge = self.scope.budget.charge
        arguments = [self._inner(argument.value) for argument in node.arguments]
        if function.names:
            order = {name: k for k, name in enumerate(function.names)}
            places = [
                k if argument.name is None else order[argument.name.text]
                for k, argument in enumerate(node.arguments)
            ]
            arguments = [arguments[places.index(k)] for k in range(len(places))]

        def run(frame: Frame) -> Value:
            values = tuple((formula.node, formula.run(frame)) for formula in arguments)
            charge(function.cost(values), node.span)
            return function.compute(node, values)

        return CompiledExpression(node, run, _more(*arguments))


def _more(*formulas: CompiledExpression) -> int:
    """The cost of an operation on these: nothing where none of them varies."""
    cost = sum(formula.steps for formula in formulas)
    return cost and cost + len(formulas)


def _linked(first: Run, steps: list[Step]) -> Run:
    """Apply `steps` in turn to what `first` gives."""
    if not steps:
        return first
    if len(steps) == 1:
        only = steps[0]
        return lambda frame: only(first(frame), frame)

    def run(frame: Frame) -> Value:
        value = first(frame)
        for step in steps:
            value = step(value, frame)
        return value

    return run
