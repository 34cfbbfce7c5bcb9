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
from tncompile.language.typing import pipes
from tncompile.language.typing.contractions import contract
from tncompile.language.typing.functions import FUNCTIONS, apply_operator
from tncompile.language.typing.items import select
from tncompile.language.typing.model import Key, Part
from tncompile.language.typing.names import CONSTANTS, Entity, Family
from tncompile.language.typing.sizes import Size, SizeTooLarge
from tncompile.language.typing.state import Typed, Typing
from tncompile.language.typing.values import Number, Numbers, Shape, Term, Tuple, Value, term_text

_SIZE_OPERATORS = ("+", "-", "*", "//", "%")


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the expressions of one model.

    `variables` are the subscripts of the member at hand and of the `repeat`s around.
    """

    typing: Typing
    names: dict[str, Entity]
    variables: Mapping[str, int] = field(default_factory=dict)
    places: Mapping[str, Span] = field(default_factory=dict)  # where arguments come from

    def within(self, typing: Typing | None = None, **variables: int) -> Reader:
        """The same reader with more variables, in a turn of a `repeat`."""
        return replace(
            self, typing=typing or self.typing, variables={**self.variables, **variables}
        )

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
        raise _wrong_number(node.span, number, "an int")

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
        raise _wrong_number(node.span, number, "a bool")

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
            if not isinstance(term, int | float | Size):
                raise _wrong_number(span, term, "a number")
        numbers = [term for term, _ in terms]
        if any(isinstance(number, Size) for number in numbers):
            return Tuple(tuple(n for n in numbers if isinstance(n, int | float | Size)))
        if all(type(number) is int for number in numbers):
            return tuple(n for n in numbers if type(n) is int)
        return Numbers(tuple(n for n in numbers if isinstance(n, int | float)))

    def _tuple(self, items: Sequence[tree.Expression]) -> Term:
        dots = bool(items) and isinstance(items[0], tree.Dots)
        terms = [(self.term(item), item.span) for item in items[dots:]]
        for term, span in terms:
            if isinstance(term, Tuple | Shape):
                message, label = "a tuple in a tuple", "this is a tuple, too"
                note = "tuples of models are flat"
                hint = "take it apart first: `let (a, b) = …`"
                raise failure(Code.KINDS, message, span, label, note, hint)
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
            raise _wrong_number(node.span, number, "an int")
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
        return arithmetic.negate(node, _plain(node.operand, term))

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
            return self.truth(node.right) if isinstance(right, Size) else _bool(node.right, right)
        right = self.term(node.right)
        values = isinstance(left, Value | Tuple) or isinstance(right, Value | Tuple)
        if not values and not isinstance(left, Size) and not isinstance(right, Size):
            return self._number(node, left, right)
        if not values:
            combined = self._sizes(node, left, right)
            if combined is not None:
                return combined
        operands = (Typed(left, node.left.span), Typed(right, node.right.span))
        return apply_operator(self.typing, symbol, operands, node.span, node.operator_span)

    def _number(self, node: tree.Binary, left: Term, right: Term) -> Term:
        if node.operator in ("==", "!=") and isinstance(left, str) and isinstance(right, str):
            return (left == right) is (node.operator == "==")
        first, second = _plain(node.left, left), _plain(node.right, right)
        if math.inf in (first, second) or -math.inf in (first, second):
            return _infinite(node, first, second)
        result = arithmetic.combine(node, first, second)
        if isinstance(result, tuple):
            self.typing.budget.charge(len(result), node.span)
        return result

    def _sizes(self, node: tree.Binary, left: Term, right: Term) -> Term | None:
        """Arithmetic of sizes; None where the result is a scalar value."""
        symbol = node.operator
        if symbol in arithmetic.COMPARISONS or symbol in ("and", "or"):
            size = left if isinstance(left, Size) else right
            assert isinstance(size, Size)
            message = "a run-time size cannot decide what a model computes"
            note = "what a model computes is fixed when it is instantiated"
            hint = "compare sizes in `require` alone"
            raise failure(
                Code.RUNTIME_SIZE,
                message,
                node.span,
                "known at run time",
                note,
                hint,
                self.typing.declared(size),
            )
        sides = [side if isinstance(side, Size) else side for side in (left, right)]
        if symbol not in _SIZE_OPERATORS or any(
            not isinstance(side, Size) and type(side) is not int for side in sides
        ):
            return None
        first, second = (
            side if isinstance(side, Size) else Size.number(side)
            for side in sides
            if isinstance(side, int | Size)
        )
        try:
            match symbol:
                case "+":
                    return _simplest(first + second)
                case "-":
                    return _simplest(first - second)
                case "*":
                    return _simplest(first * second)
            divisor = second.value
            if divisor is None:
                message = f"`{second}` is known at run time; sizes are divided by numbers"
                note = "what a size is divided by decides shapes, so it is known from the start"
                hint = "divide by a number, or make it a parameter of the model"
                there = self.typing.declared(second)
                span, label = node.right.span, "a run-time size"
                raise failure(Code.RUNTIME_SIZE, message, span, label, note, hint, there)
            if divisor < 1:
                if divisor == 0:
                    raise arithmetic.divides_by_zero(node.right.span)
                return None
            return _simplest(first // divisor if symbol == "//" else first % divisor)
        except SizeTooLarge:
            message, note = "this size grows without end", "sizes are polynomials of a few terms"
            hint = "make the expression smaller"
            label = "too many terms, or too large a number"
            raise failure(Code.TOO_MANY, message, node.span, label, note, hint) from None

    def _item(self, node: tree.Item, term: Term) -> Term:
        place = node.value.span
        if isinstance(term, Value):
            return select(self.typing, Typed(term, place), node, self.typed)
        items: Sequence[object]
        if isinstance(term, Tuple):
            items, what = term.items, "value"
        elif isinstance(term, tuple):
            items, what = term, "item"
        elif isinstance(term, Numbers):
            items, what = term.items, "item"
        else:
            raise _wrong_number(place, term, "a list, a tuple or a value")
        if len(node.subscripts) != 1 or not isinstance(node.subscripts[0], tree.Expression):
            message = f"one position is needed here: this is {term_text(term)}"
            note, hint = "lists and tuples have one position", "write one number: `[0]`"
            label = "the positions do not fit"
            raise failure(Code.NO_SUCH_MEMBER, message, node.span, label, note, hint)
        position = self.integer(node.subscripts[0])
        if 0 <= position < len(items):
            found = items[position]
            assert isinstance(found, bool | int | float | Size | Value | str)
            return found
        message = f"item {position} is outside: there are {counted(len(items), what)}"
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
        if isinstance(entity, Family):
            return next((m for m in entity.members.values() if m is not None), None)
        return entity

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


def no_part(member: Term | Part, place: tree.Name | Span) -> Term:
    """The member, which is no part; TN201 where it is one."""
    if not isinstance(member, Part):
        return member
    span = place.span if isinstance(place, tree.Name) else place
    message = f"`{member.name}` is a part, not a value"
    note = "parts are called, and handed on as arguments of parts"
    hint = f"call it: `{member.name}(…)`"
    there = Label(member.declared, "declared here")
    raise failure(Code.UNKNOWN_NAME, message, span, "a part", note, hint, there)


def _plain(node: tree.Expression, term: Term) -> int | float | bool | tuple[int, ...]:
    if isinstance(term, bool | int | float):
        return term
    if isinstance(term, tuple):
        return term
    raise _wrong_number(node.span, term, "a number")


def _bool(node: tree.Expression, term: Term) -> bool:
    if isinstance(term, bool):
        return term
    raise _wrong_number(node.span, term, "a bool")


def _simplest(size: Size) -> Size | int:
    return size if size.value is None else size.value


def _infinite(node: tree.Binary, left: object, right: object) -> Term:
    """`inf` is a number for comparisons alone."""
    if node.operator in arithmetic.COMPARISONS and all(
        isinstance(side, int | float) and not isinstance(side, bool) for side in (left, right)
    ):
        return arithmetic.combine(node, left, right)  # type: ignore[arg-type]
    raise arithmetic.too_large(node.span, "value")


def _no_subscript(node: tree.Node) -> int:
    message, label = "one member is needed here", "this stands for several"
    note = "`h[*]` is for the arguments of functions"
    hint = "name one member: `h[0]`"
    raise failure(Code.NO_SUCH_MEMBER, message, node.span, label, note, hint)


def _wrong_number(span: Span, term: Term, wanted: str) -> Failed:
    text = term_text(term)
    message = f"{wanted} is needed here, not {text}"
    note = "numbers are int, float, bool, strings and lists; none turns into another silently"
    return failure(Code.WRONG_TYPE, message, span, f"this is {text}", note, f"write {wanted} here")
