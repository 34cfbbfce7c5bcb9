"""One model while it is typed: its operations so far, and what is known about its sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from tncompile.language.diagnostics.collector import Failed, Problems, failure, problem
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.evaluating.scope import Budget
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span
from tncompile.language.typing.model import Check, Comparison, RunTimeSize
from tncompile.language.typing.operations import (
    Apply,
    Literal,
    Operation,
    Option,
    SizeValue,
    Turn,
)
from tncompile.language.typing.sizes import Facts, Size, SizeTooLarge
from tncompile.language.typing.values import (
    KIND_NAMED,
    MOST_AXES,
    Kind,
    Number,
    Numbers,
    Shape,
    Strings,
    Term,
    Tuple,
    Value,
    term_text,
)

MOST_OPERATIONS = 100_000

STEPS_OF_OPERATION = 30
"""What an operation takes of the budget, beside the nodes of its expression."""


@dataclass(frozen=True, slots=True)
class Typed:
    """An argument of a call: what it is, where it is written, and the name it is given by."""

    term: Term
    span: Span
    name: tree.Name | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function or a part: `name` is where its name stands, `span` all of it.

    The first `piped` of the `arguments` came through a pipe: what is wrong with them is reported at
    the stage, which is what `place` says.
    """

    text: str
    name: Span
    span: Span
    arguments: tuple[Typed, ...]
    piped: int = 0

    @property
    def spread(self) -> str | None:
        """A hint where a pipe brought several values, of which some are too many."""
        if self.piped < 2:
            return None
        return f"a tuple of {self.piped} is piped in: take one, `(…)[0]`, or `let (a, …) = …`"

    def place(self, argument: Typed) -> Span:
        """Where a mistake in this argument is reported."""
        piped = any(argument is each for each in self.arguments[: self.piped])
        return self.name if piped else argument.span


@dataclass(frozen=True, slots=True)
class Misfit:
    """Where two sizes meet, for the diagnostic if they differ (TN601) or may differ (TN608)."""

    message: str
    span: Span
    label: str
    secondary: tuple[Label, ...] = ()
    note: str = "axes that meet have equal sizes"
    hint: str | None = None

    def failure(self, hint: str | None = None) -> Failed:
        """TN601, with another hint where there is one."""
        return failure(
            Code.MODEL_SHAPES,
            self.message,
            self.span,
            self.label,
            self.note,
            hint or self.hint,
            self.secondary,
        )


@dataclass(slots=True)
class Typing:
    """The state of one model: everything that typing adds to.

    `turns` are the `repeat`s that are being unrolled, `counts` the members of each kind so far.
    `place` is what operations count as written
    at where they have no better span.
    """

    problems: Problems
    budget: Budget = field(default_factory=Budget)
    facts: Facts = field(default_factory=Facts)
    sizes: dict[str, RunTimeSize] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)
    checks: dict[Comparison, Check] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    turns: tuple[Turn, ...] = ()
    dots: bool = False  # whether an input has `...`
    indivisible: set[tuple[Size, Size]] = field(default_factory=set)  # said of an axis, once
    sizes_read: set[str] = field(default_factory=set)  # run-time sizes that expressions use

    # ── values ────────────────────────────────────────────────────────────────────────────────

    def add(self, operation: Operation) -> None:
        """Keep an operation; TN501 where there are too many."""
        self.budget.charge(STEPS_OF_OPERATION, operation.span)
        self.operations.append(operation)
        if len(self.operations) > MOST_OPERATIONS:
            message = f"the model has more than {MOST_OPERATIONS} operations"
            note = "repeats and families are unrolled when a model is checked"
            hint = "make the ranges smaller"
            label = "the limit is passed here"
            raise failure(Code.TOO_MANY, message, operation.span, label, note, hint)

    def value(
        self, operation: Operation, kind: Kind, shape: Shape, *, constant: bool = False
    ) -> Value:
        """The only result of an operation, which is kept; TN501 where it has too many axes."""
        if len(shape.sizes) > MOST_AXES:
            message = f"a value of {len(shape.sizes)} axes"
            note, hint = f"tensors of torch have {MOST_AXES} at most", "use fewer axes"
            raise failure(Code.TOO_MANY, message, operation.span, "too many axes", note, hint)
        self.add(operation)
        return Value(kind, shape, operation, constant=constant, span=operation.span)

    def values(self, operation: Operation, types: Sequence[tuple[Kind, Shape]]) -> Tuple:
        """The results of an operation, which is kept, as a tuple."""
        self.add(operation)
        constant = bool(operation.operands) and all(each.constant for each in operation.operands)
        return Tuple(
            tuple(
                Value(kind, shape, operation, k, constant, span=operation.span)
                for k, (kind, shape) in enumerate(types)
            )
        )

    def apply(
        self,
        function: str,
        operands: Sequence[Value],
        kind: Kind,
        shape: Shape,
        span: Span,
        options: Mapping[str, Option] | None = None,
    ) -> Value:
        """What a function gives; a constant where all operands are."""
        operation = Apply(
            tuple(operands),
            function=function,
            options=options or {},
            span=span,
            turns=self.turns,
        )
        constant = all(operand.constant for operand in operands)
        return self.value(operation, kind, shape, constant=constant)

    def as_value(self, argument: Typed) -> Value:
        """The argument as a value: numbers and sizes are scalars, lists have one axis.

        TN305 for a string, TN610 for a tuple.
        """
        term, span = argument.term, argument.span
        match term:
            case Value():
                return term
            case Size():
                operation: Operation = SizeValue(size=term, span=span, turns=self.turns)
                return self.value(operation, "int", Shape(), constant=True)
            case Tuple(items):
                message = f"one value is needed here, not a tuple of {len(items)}"
                note = "only `|>` and the state of `scan` take tuples apart"
                hint = "take it apart first: `let (a, b) = …`"
                raise failure(Code.NUMBER_OF_VALUES, message, span, "a tuple", note, hint)
            case Shape():
                message, note = (
                    f"a value is needed here, not {term_text(term)}",
                    "legs are a shape",
                )
                hint = "legs are arguments of `reshape`, `expand`, `zeros`, `ones` and `full`"
                raise failure(Code.NUMBER_OF_VALUES, message, span, "legs", note, hint)
            case str() | Strings():
                what = "a string" if isinstance(term, str) else "a list of strings"
                message, note = f"a value is needed here, not {what}", "strings name modes alone"
                hint = "use a value or a number"
                raise failure(Code.WRONG_TYPE, message, span, what, note, hint)
            case tuple() | Numbers():
                items = term.items if isinstance(term, Numbers) else term
                for item in items:
                    _of_64_bits(item, span)
                kinds = [_kind_of(item) for item in items] or ["float"]
                kind = max(kinds, key=("bool", "int", "float").index)
                operation = Literal(number=term, span=span, turns=self.turns)
                shape = Shape((Size.number(len(items)),))
                return self.value(operation, KIND_NAMED[kind], shape, constant=True)
            case _:
                _of_64_bits(term, span)
                operation = Literal(number=term, span=span, turns=self.turns)
                kind_name = KIND_NAMED[_kind_of(term)]
                return self.value(operation, kind_name, Shape(), constant=True)

    # ── sizes ─────────────────────────────────────────────────────────────────────────────────

    def same(self, left: Size, right: Size, misfit: Misfit) -> None:
        """Two sizes that have to be equal: TN601 where they differ.

        Where that is not decided it is checked in `forward`, and TN608 warns.
        """
        if left == right:
            return
        decided = self.facts.compare(left, right)
        if decided == "equal":
            return
        if decided == "different":
            hint = misfit.hint
            if hint is None and left.value is None and right.value is None:
                hint = f"use one name, or `require {left} == {right}`"
                if (apart := (left - right).value) is not None:  # whatever the run-time sizes are
                    hint = f"they are always {abs(apart)} apart: `pad` one, or cut the other"
            raise misfit.failure(hint)
        hint = self.facts.deciding(left, right) or f"require {left} == {right}"
        note = "it is checked when `forward` is called: a ValueError where they differ"
        message = f"`{left}` and `{right}` are equal for some sizes only"
        self.problems.add(
            problem(
                Code.UNDECIDED_SIZES,
                message,
                misfit.span,
                misfit.label,
                note,
                f"say what is meant: `{hint}`",
                misfit.secondary,
            )
        )
        self.check(Comparison("==", left, right), misfit.message)

    def at_most(self, left: Size, right: Size, misfit: Misfit) -> None:
        """`left <= right`: TN601 where it is not so; where it is open, `forward` checks it."""
        decided = self.facts.at_most(left, right)
        if decided is None:
            self.check(Comparison("<=", left, right), misfit.message)
        elif not decided:
            raise misfit.failure()

    def check(self, comparison: Comparison, reason: str) -> None:
        """What `forward` checks before it computes anything."""
        self.checks.setdefault(comparison, Check(comparison, reason))

    def declared(self, *sizes: Size) -> tuple[Label, ...]:
        """Where the run-time names of sizes are declared."""
        names = {name for size in sizes for name in size.names if name in self.sizes}
        return tuple(
            Label(self.sizes[name].declared, f"`{name}` is known at run time")
            for name in sorted(names)
        )

    # ── what is wanted of an argument ─────────────────────────────────────────────────────────

    def number(self, argument: Typed, instead: str | None = None) -> Number:
        """A term that is known when the model is instantiated; TN606 for a size, TN607 a value.

        `instead` is the hint where it is a value.
        """
        term, span = argument.term, argument.span
        if isinstance(term, Size):
            message = f"`{term}` is known at run time; a number is needed here"
            note = "sizes of layers, ranges and choices are fixed when the model is instantiated"
            hint = "make it a parameter of the model: `t: int`"
            raise failure(
                Code.RUNTIME_SIZE, message, span, "a run-time size", note, hint, self.declared(term)
            )
        if isinstance(term, Value | Tuple | Shape):
            message = f"a number is needed here, not {term_text(term)}"
            note = "values are known when `forward` runs; numbers when the model is instantiated"
            hint = instead or "use a parameter, or `where(…)` to choose between values"
            raise failure(Code.VALUE_FOR_NUMBER, message, span, "a value", note, hint)
        return term


def _of_64_bits(number: object, span: Span) -> None:
    """TN304 for an integer that no value holds."""
    if isinstance(number, int) and not -(2**63) <= number < 2**63:
        message, label = f"{number} is no value of kind int", "too large"
        note, hint = "values of kind int have 64 bits", f"write a float: `{float(number)}`"
        raise failure(Code.BAD_ARITHMETIC, message, span, label, note, hint)


def _kind_of(number: object) -> str:
    return type(number).__name__


@contextmanager
def limited_sizes(span: Span) -> Iterator[None]:
    """TN501 at `span` where a size in there grows too large."""
    try:
        yield
    except SizeTooLarge:
        message, label = "a size grows too large here", "too many terms, or too large a number"
        note, hint = "sizes are polynomials of a few terms", "make the sizes smaller"
        raise failure(Code.TOO_MANY, message, span, label, note, hint) from None


def inside(typing: Typing, turn: Turn) -> Typing:
    """The same typing with one more `repeat` around it; it adds to the same lists."""
    return replace(typing, turns=(*typing.turns, turn))
