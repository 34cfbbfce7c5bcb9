"""Expressions of a model, node by node: to numbers, sizes, values and tuples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tncompile.language.diagnostics.collector import Failed, counted, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.evaluating import arithmetic
from tncompile.language.evaluating.functions import FUNCTIONS as NUMBER_FUNCTIONS
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span
from tncompile.language.typing.expressions import numbers, pipes
from tncompile.language.typing.expressions.contractions import contract
from tncompile.language.typing.expressions.items import select
from tncompile.language.typing.functions import FUNCTIONS, apply_operator
from tncompile.language.typing.model import Key, Part
from tncompile.language.typing.names import CONSTANTS, Entity, Family, no_part
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Typed, Typing
from tncompile.language.typing.values import (
    Number,
    Numbers,
    Shape,
    Strings,
    Term,
    Tuple,
    Value,
    term_text,
)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the expressions of one model.

    `variables` are the subscripts of the member at hand and of the `repeat`s around.
    """

    typing: Typing
    names: dict[str, Entity]
    variables: Mapping[str, int] = field(default_factory=dict)
    places: Mapping[str, Span] = field(default_factory=dict)  # where arguments come from

    def within(self, variables: Mapping[str, int], typing: Typing | None = None) -> Reader:
        """The same reader with more variables; in a turn of a `repeat` with its typing."""
        known = {**self.variables, **variables}
        return replace(self, typing=typing or self.typing, variables=known)

    # ── what a node gives ─────────────────────────────────────────────────────────────────────

    def typed(self, node: tree.Expression, name: tree.Name | None = None) -> Typed:
        """The term of a node and its place."""
        return Typed(self.term(node), node.span, name)

    def value(self, node: tree.Expression) -> Value:
        """The value of a node; numbers and sizes are scalars."""
        return self.typing.as_value(self.typed(node))

    def number(self, node: tree.Expression) -> Number:
        """What is known at instantiation; TN606 for a size, TN607 for a value."""
        return self.typing.number(self.typed(node))

    def integer(self, node: tree.Expression) -> int:
        """An integer that is known at instantiation."""
        number = self.number(node)
        if type(number) is int:
            return number
        raise numbers.wrong(node.span, number, "an int")

    def truth(self, node: tree.Expression) -> bool:
        """A condition that is known at instantiation; TN607 for a value (hint: `where`)."""
        term = self.term(node)
        if isinstance(term, Value | Tuple):
            message = "a value cannot decide what a model computes"
            note = "both branches of a choice between values are computed; `if` is for numbers"
            hint = "choose entry by entry: `where(condition, a, b)`"
            raise failure(Code.VALUE_FOR_NUMBER, message, node.span, "a value", note, hint)
        number = self.typing.number(Typed(term, node.span))
        if isinstance(number, bool):
            return number
        raise numbers.wrong(node.span, number, "a bool")

    def term(self, node: tree.Expression) -> Term:
        """What a node gives; raises `Failed`."""
        self.typing.budget.charge(1, node.span)
        match node:
            case tree.Number():
                number = node.value
                if isinstance(number, int) and number > arithmetic.LARGEST_VALUE:
                    raise arithmetic.too_large(node.span, "number")
                if math.isinf(number):
                    raise arithmetic.too_large(node.span, "number")
                return number
            case tree.Boolean(truth):
                return truth
            case tree.String(text):
                return text
            case tree.Reference(name):
                return self._reference(name)
            case tree.ListOf(items):
                return self._list(node, items)
            case tree.TupleOf(items):
                return self._tuple(items)
            case tree.Unary():
                return self._unary(node)
            case tree.Conditional():
                return self.term(self.chosen(node))
            case tree.Binary() | tree.Item() | tree.Call() | tree.Pipe():
                return self._chain(node)
            case tree.NetworkExpression():
                return self.contraction(node, None)
            case tree.Repeat():
                return pipes.not_a_value(node)
            case _:
                raise Failed(None)  # `...` outside of legs: the names were checked

    def chosen(self, node: tree.Expression) -> tree.Expression:
        """The branch that is taken of a choice, and of the choices in it."""
        while isinstance(node, tree.Conditional):
            node = node.chosen if self.truth(node.condition) else node.otherwise
        return node

    # ── names and literals ────────────────────────────────────────────────────────────────────

    def entity(self, name: tree.Name) -> Entity | None:
        """What a name stands for; None where it is no name of the block."""
        if name.text in self.variables:
            return self.variables[name.text]
        return self.names.get(name.text)

    def _reference(self, name: tree.Name) -> Term:
        entity = self.entity(name)
        if entity is None:
            if name.text in CONSTANTS:
                return CONSTANTS[name.text]
            raise Failed(None)  # unknown or failed, which is reported
        if isinstance(entity, Family):
            return no_part(entity.member((), name.span), name)
        if isinstance(entity, Size):
            self.typing.sizes_read.add(name.text)
        return entity

    def member(self, node: tree.Item) -> Term | Part | None:
        """The member that an item names; None where it is an item of something else."""
        if not isinstance(node.value, tree.Reference):
            return None
        family = self.entity(node.value.name)
        if not isinstance(family, Family) or (not family.arity and family.what != "part"):
            return None
        return family.member(self.key(node.subscripts), node.span)

    def key(self, subscripts: Sequence[tree.Node]) -> Key:
        """The numbers of subscripts."""
        return tuple(
            self.integer(each) if isinstance(each, tree.Expression) else _no_subscript(each)
            for each in subscripts
        )

    def _list(self, node: tree.Expression, items: Sequence[tree.Expression]) -> Term:
        """A list of numbers; of sizes, it is a tuple of them."""
        terms = [(self.term(item), item.span) for item in items]
        for term, span in terms:
            if isinstance(term, Value | Tuple):
                message = f"a list holds numbers, not {term_text(term)}"
                note = "values are put together by functions"
                hint = "use `stack(a, b, dim = 0)` or `concat(…)`"
                raise failure(Code.VALUE_FOR_NUMBER, message, span, "a value", note, hint)
            if not isinstance(term, int | float | Size | str):
                raise numbers.wrong(span, term, "a number")
        strings = [term for term, _ in terms if isinstance(term, str)]
        if strings and len(strings) == len(terms):
            return Strings(tuple(strings))
        for term, span in terms:
            if isinstance(term, str):
                raise numbers.wrong(span, term, "a number")
        listed = [term for term, _ in terms if isinstance(term, int | float | Size)]
        if any(isinstance(item, Size) for item in listed):
            return Tuple(tuple(listed))
        if all(type(item) is int for item in listed):
            return tuple(item for item in listed if type(item) is int)
        return Numbers(tuple(item for item in listed if not isinstance(item, Size)))

    def _tuple(self, items: Sequence[tree.Expression]) -> Term:
        dots = bool(items) and isinstance(items[0], tree.Dots)
        terms = [(self.term(item), item.span) for item in items[dots:]]
        for term, span in terms:
            if isinstance(term, Tuple | Shape):
                message, label = "a tuple in a tuple", "this is a tuple, too"
                note = "tuples of models are flat"
                hint = "take it apart first: `let (a, b) = …`"
                raise failure(Code.KINDS, message, span, label, note, hint)
        if dots and not self.typing.dots:
            message, label = "no input of the model has `...`", "which axes are these?"
            note = "`...` stands for the leading axes of the inputs"
            hint = "write it first on an input: `input x(..., d)`"
            raise failure(Code.BATCH_MISSING, message, items[0].span, label, note, hint)
        if not dots:
            return Tuple(tuple(term for term, _ in terms if not isinstance(term, Tuple | Shape)))
        return Shape(tuple(self.leg(item) for item in items[1:]), True)

    def leg(self, node: tree.Expression) -> Size:
        """The size of an axis: a number of at least 1, or a run-time size."""
        term = self.term(node)
        if isinstance(term, Size):
            return term
        number = self.typing.number(Typed(term, node.span))
        if type(number) is not int:
            raise numbers.wrong(node.span, number, "an int")
        if number < 0:
            message, note = f"an axis of {number} entries", "every axis is written out"
            hint = "give its size: nothing is solved for"
            raise failure(Code.BAD_SIZE, message, node.span, f"this is {number}", note, hint)
        return Size.number(number)

    # ── operators and items ───────────────────────────────────────────────────────────────────

    def _unary(self, node: tree.Unary) -> Term:
        term = self.term(node.operand)
        if isinstance(term, Size) and node.operator == "-":
            return -term
        if isinstance(term, Value | Tuple | Size):
            operand = Typed(term, node.operand.span)
            return apply_operator(self.typing, node.operator, (operand,), node.span, node.span)
        return arithmetic.negate(node, numbers.plain(node.operand, term))

    def _chain(self, node: tree.Expression) -> Term:
        """Left-grouped operators, items, calls and pipes, in a loop: they may be thousands."""
        links: list[tree.Binary | tree.Item | tree.Call | tree.Pipe] = []
        first: tree.Expression = node
        while True:
            match first:
                case tree.Binary(_, left):
                    links.append(first)
                    first = left
                case tree.Item(value) if not self._names_member(first):
                    links.append(first)
                    first = value
                case tree.Pipe(value):
                    links.append(first)
                    first = value
                case _:
                    break
        term: Term
        if isinstance(first, tree.Item):
            member = self.member(first)
            if member is None:
                raise Failed(None)
            term = no_part(member, first.span)
        elif isinstance(first, tree.Call):
            term = pipes.call(self, first, None)
        else:
            term = self.term(first)
        for link in reversed(links):
            match link:
                case tree.Binary():
                    term = self._binary(link, term)
                case tree.Item():
                    term = self._item(link, term)
                case tree.Pipe():
                    term = pipes.pipe(self, Typed(term, link.value.span), link.stage)
        return term

    def _names_member(self, node: tree.Item) -> bool:
        if not isinstance(node.value, tree.Reference):
            return False
        family = self.entity(node.value.name)
        return isinstance(family, Family) and (bool(family.arity) or family.what == "part")

    def _binary(self, node: tree.Binary, left: Term) -> Term:
        symbol = node.operator
        if symbol in ("and", "or") and isinstance(left, bool):
            if left is (symbol == "or"):
                return left
            right = self.term(node.right)
            if isinstance(right, Value | Tuple):
                return apply_operator(
                    self.typing,
                    symbol,
                    (Typed(left, node.left.span), Typed(right, node.right.span)),
                    node.span,
                    node.operator_span,
                )
            return (
                self.truth(node.right)
                if isinstance(right, Size)
                else numbers.truth(node.right, right)
            )
        right = self.term(node.right)
        values = isinstance(left, Value | Tuple) or isinstance(right, Value | Tuple)
        if not values and not isinstance(left, Size) and not isinstance(right, Size):
            return numbers.combine(self.typing, node, left, right)
        if not values:
            combined = numbers.combine_sizes(self.typing, node, left, right)
            if combined is not None:
                return combined
        numbers.check_chain(node, right)
        operands = (Typed(left, node.left.span), Typed(right, node.right.span))
        return apply_operator(self.typing, symbol, operands, node.span, node.operator_span)

    def _item(self, node: tree.Item, term: Term) -> Term:
        place = node.value.span
        if isinstance(term, Value):
            return select(self.typing, Typed(term, place), node, self.typed)
        items: Sequence[object]
        if isinstance(term, Tuple):
            items, what = term.items, "value"
        elif isinstance(term, tuple):
            items, what = term, "item"
        elif isinstance(term, Numbers | Strings):
            items, what = term.items, "item"
        else:
            raise numbers.wrong(place, term, "a list, a tuple or a value")
        if len(node.subscripts) != 1 or not isinstance(node.subscripts[0], tree.Expression):
            message = f"one position is needed here: this is {term_text(term)}"
            note, hint = "lists and tuples have one position", "write one number: `[0]`"
            label = "the positions do not fit"
            raise failure(Code.NO_SUCH_MEMBER, message, node.span, label, note, hint)
        position = self.integer(node.subscripts[0])
        if 0 <= position < len(items):
            found = items[position]
            assert isinstance(found, bool | int | float | Size | Value | str | tuple | Numbers)
            return found
        message = f"item {position} is outside of {counted(len(items), what)}"
        note = "items are counted from 0 to the length minus one"
        hint = f"the last one is `[{len(items) - 1}]`" if items else "there are none"
        there = Label(place, counted(len(items), what))
        label = f"there is no item {position}"
        raise failure(Code.NO_SUCH_MEMBER, message, node.span, label, note, hint, there)

    # ── calls ─────────────────────────────────────────────────────────────────────────────────

    def contraction(self, node: tree.NetworkExpression, piped: Typed | None) -> Value:
        """`network { … }`."""
        return contract(self.typing, node, self._operand, self._leg_name, piped)

    def _operand(self, operand: tree.Operand) -> Typed:
        name = operand.name
        assert name is not None
        node: tree.Expression = tree.Reference(name, span=name.span)
        if operand.subscripts:
            node = tree.Item(node, operand.subscripts, span=operand.span)
        return Typed(self.typing.as_value(Typed(self.term(node), name.span)), name.span)

    def _leg_name(self, text: str) -> Term | Part | None:
        if text in self.variables:
            return self.variables[text]
        entity = self.names.get(text)
        if isinstance(entity, Size):
            self.typing.sizes_read.add(text)
        if not isinstance(entity, Family):
            return entity
        if entity.failed or None in entity.members.values():
            raise Failed(None)
        if entity.what == "run-time size":  # left out by its `if`: the name is free
            return None
        return next(iter(entity.members.values()), Tuple(()))

    def arguments(self, written: Sequence[tree.Argument]) -> tuple[Typed, ...]:
        """The arguments of a call; `h[*]` are all members of a family."""
        typed: list[Typed] = []
        for argument in written:
            node = argument.value
            if (family := self._starred(node)) is None:
                typed.append(Typed(self.term(node), node.span, argument.name))
                continue
            for member in family.members.values():
                if member is None:
                    raise Failed(None)
                typed.append(Typed(no_part(member, node.span), node.span))
        return tuple(typed)

    def _starred(self, node: tree.Expression) -> Family | None:
        """The family behind `h[*]`; None for anything else."""
        match node:
            case tree.Item(tree.Reference(name), (tree.Star(),)):
                family = self.entity(name)
                if isinstance(family, Family) and family.arity:
                    if family.failed:
                        raise Failed(None)
                    return family
        return None

    def knows_function(self, name: str) -> bool:
        """Whether a name is a function here: none that the block declares."""
        declared = name in self.names or name in self.variables
        return not declared and (name in FUNCTIONS or name in NUMBER_FUNCTIONS)


def _no_subscript(node: tree.Node) -> int:
    message, label = "one member is needed here", "this stands for several"
    note = "`h[*]` is for the arguments of functions"
    hint = "name one member: `h[0]`"
    raise failure(Code.NO_SUCH_MEMBER, message, node.span, label, note, hint)
