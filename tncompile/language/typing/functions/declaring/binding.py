"""Functions: what they take and give; the arguments of a call matched to their parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import tncompile.language.typing.functions.declaring.axes as axes
from tncompile.language.diagnostics.collector import Failed, failure
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.diagnostics.spelling import closest
from tncompile.language.resolving.matching import Slip, matched, missing_texts
from tncompile.language.syntax.source import Span
from tncompile.language.typing.functions.declaring.kinds import Kinds, PlacedValue, wrong_kind
from tncompile.language.typing.operations import Option
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Call, Typed, Typing
from tncompile.language.typing.values import (
    Kind,
    Number,
    Numbers,
    Shape,
    Term,
    Value,
    higher,
    term_text,
)

Types = list[tuple[Kind, Shape]]
"""The kinds and shapes of several results, which are a tuple."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a function.

    role     `value`; `values`, any number of them; `bound`, a number or a value; `option`
    kind     the one kind that a value has to have; None: the kinds of the function say
    read     what an option can be
    needed   whether it has to be given; else it is `default`
    """

    name: str
    role: Literal["value", "values", "bound", "option"]
    kind: Kind | None = None
    read: Callable[[Bound, Typed], Option] | None = None
    default: Number | None = None
    needed: bool = True

    def __str__(self) -> str:
        if self.needed:
            return self.name
        return f"{self.name}?" if self.default is None else f"{self.name} = {_text(self.default)}"


@dataclass(frozen=True, slots=True)
class Function:
    """A function of values.

    `result` gives the shape of the one result, whose kind `kinds` gives; or kind and shape; or
    those of several.
    """

    name: str
    parameters: tuple[Parameter, ...]
    kinds: Kinds
    result: Callable[[Bound], Shape | tuple[Kind, Shape] | Types]

    @property
    def signature(self) -> str:
        """How it is called: `softmax(x, dim)`, `fft(x, n?, dim = -1)`."""
        return f"{self.name}({', '.join(map(str, self.parameters))})"


@dataclass(slots=True)
class Bound:
    """A call with its arguments matched: values are operands, all others options."""

    typing: Typing
    function: Function
    call: Call
    given: dict[str, Typed] = field(default_factory=dict)
    operands: list[PlacedValue] = field(default_factory=list)
    options: dict[str, Option] = field(default_factory=dict)

    @property
    def x(self) -> Value:
        """The first operand."""
        return self.operands[0].value

    @property
    def kinds(self) -> list[Kind]:
        """The kinds of the operands that no parameter fixes."""
        exact = exact_kinds(self.function, len(self.operands))
        pairs = zip(self.operands, exact, strict=True)
        return [operand.value.kind for operand, kind in pairs if kind is None]

    @property
    def kind(self) -> Kind:
        """The kind of the only result."""
        return self.function.kinds.given(self.kinds)

    def place(self, name: str) -> Span:
        """Where a mistake in an argument is reported; the name of the function if it is missing."""
        return self.call.place(self.given[name]) if name in self.given else self.call.name

    def axis(self, name: str = "dim") -> int:
        """An option that is an axis."""
        option = self.options[name]
        assert isinstance(option, int)
        return option

    def axes(self, name: str = "dim") -> tuple[int, ...]:
        """An option that is several axes."""
        option = self.options[name]
        assert isinstance(option, tuple)
        return tuple(each for each in option if isinstance(each, int))

    def size(self, name: str) -> Size:
        """An option that is a size."""
        option = self.options[name]
        assert isinstance(option, Size)
        return option

    def sizes(self, name: str) -> tuple[Size, ...]:
        """An option that is a list of sizes."""
        option = self.options[name]
        assert isinstance(option, tuple)
        return tuple(each for each in option if isinstance(each, Size))

    def shape(self, name: str) -> Shape:
        """An option that is legs."""
        option = self.options[name]
        assert isinstance(option, Shape)
        return option


# ── parameters ─────────────────────────────────────────────────────────────────────────────────


def value(name: str, kind: Kind | None = None) -> Parameter:
    """A value; of one kind alone, if that is given."""
    return Parameter(name, "value", kind)


SEVERAL = Parameter("a, b, …", "values")
"""One value or more, in order."""


def option(
    name: str, read: Callable[[Typing, Typed], Option], default: Number | None = None
) -> Parameter:
    """What is no value; it has to be given unless it has a default."""
    return _option(name, read, default, default is None)


def optional(name: str, read: Callable[[Typing, Typed], Option]) -> Parameter:
    """What is no value and may be missing."""
    return _option(name, read, None, False)


def _option(
    name: str, read: Callable[[Typing, Typed], Option], default: Number | None, needed: bool
) -> Parameter:
    return Parameter(name, "option", None, lambda b, a: read(b.typing, a), default, needed)


def axis(
    name: str = "dim", default: int | None = None, more: int = 0, *, needed: bool = True
) -> Parameter:
    """An axis of the first operand, where `more` are one more than it has.

    It has to be given unless it has a default, or is not `needed`.
    """

    def read(bound: Bound, argument: Typed) -> int:
        return axes.dim_of(argument, bound.x, bound.typing, more=more)

    return Parameter(name, "option", None, read, default, needed and default is None)


def _axes(bound: Bound, argument: Typed) -> tuple[int, ...]:
    return axes.dims_of(argument, bound.x, bound.typing)


X = value("x")
AXES = Parameter("dim", "option", None, _axes)
"""An axis or a list of them."""


def exact_kinds(function: Function, operands: int) -> list[Kind | None]:
    """For each of the operands the kind that its parameter fixes."""
    kinds = [p.kind for p in function.parameters if p.role == "value"]
    return [*kinds, *[None] * operands][:operands]


# ── calls ──────────────────────────────────────────────────────────────────────────────────────


def bind(typing: Typing, function: Function, call: Call) -> Bound:
    """The call with its arguments matched, read and their kinds checked."""
    bound = Bound(typing, function, call)
    several = match(bound)
    for parameter in function.parameters:
        if parameter.role == "values":
            bound.operands += [_operand(bound, argument) for argument in several]
        elif parameter.role == "value" and parameter.name in bound.given:
            operand = _operand(bound, bound.given[parameter.name])
            bound.operands.append(operand)
            if parameter.kind not in (None, operand.value.kind):
                assert parameter.kind is not None
                raise wrong_kind(function.name, operand, (parameter.kind,))
    _read_bounds(bound)
    exact = exact_kinds(function, len(bound.operands))
    checked = [each for each, kind in zip(bound.operands, exact, strict=True) if kind is None]
    function.kinds.check(function.name, checked)
    for parameter in function.parameters:
        if parameter.read is None:
            continue
        argument = bound.given.get(parameter.name)
        if argument is None and parameter.default is not None:
            argument = Typed(parameter.default, call.name)
        option = None if argument is None else parameter.read(bound, argument)
        bound.options[parameter.name] = option
    return bound


def match(bound: Bound) -> list[Typed]:
    """Fill `given`; what a parameter for several values gets is returned. TN208."""
    function, given = bound.function, bound.given
    several: list[Typed] = []
    order = [p for p in function.parameters if p.role != "values"]
    variadic = len(order) < len(function.parameters)
    names = [each.name for each in order]

    def wrong(slip: Slip[Typed]) -> None:
        place, message = bound.call.place(slip.argument), slip.message
        close: str | None = None
        if slip.argument.name is not None:
            place = slip.argument.name.span
        if slip.kind == "repeated":
            message = f"`{slip.name}` of `{function.name}` is given twice"
        if slip.kind == "unknown":
            known = [name for name in names if name not in given]
            habit = slip.name in ("dims", "axis") and "dim" in known
            close = "dim" if habit else closest(slip.name, known)
        several_piped = bound.call.spread if slip.kind == "surplus" else None
        raise _wrong(bound, message, place, slip.label, close, several_piped)

    places = None if variadic else names
    for name, argument in matched(function.name, bound.call.arguments, places, names, wrong):
        if name is None:
            several.append(argument)
        else:
            given[name] = argument
    missing = [p.name for p in order if p.needed and p.name not in given]
    if variadic and not several:
        missing.insert(0, "a")
    if missing:
        message, label = missing_texts(function.name, missing)
        raise _wrong(bound, message, bound.call.name, label)
    return several


def _wrong(
    bound: Bound,
    message: str,
    span: Span,
    label: str,
    close: str | None = None,
    hint: str | None = None,
) -> Failed:
    note = "values come first, then the other arguments, in order or by name"
    meant = f"did you mean `{close}`? " if close else ""
    hint = hint or f"{meant}it is `{bound.function.signature}`"
    return failure(Code.WRONG_ARGUMENT, message, span, label, note, hint)


def _operand(bound: Bound, argument: Typed) -> PlacedValue:
    place = bound.call.place(argument)
    return PlacedValue(bound.typing.as_value(replace(argument, span=place)), place)


def _read_bounds(bound: Bound) -> None:
    """Bounds that are numbers are options; if one of them is a value, all are operands."""
    names = [p.name for p in bound.function.parameters if p.role == "bound"]
    if not names:
        return
    given = {name: bound.given[name] for name in names if name in bound.given}
    if not given:
        message = f"`{bound.function.name}` needs {' or '.join(f'`{name}`' for name in names)}"
        raise _wrong(bound, message, bound.call.name, "missing argument")
    terms = [argument.term for argument in given.values()]
    kind = higher("int", bound.x.kind)
    if all(
        _number_kind(term) and higher(_number_kind(term) or kind, kind) == kind for term in terms
    ):
        for name in names:
            term = given[name].term if name in given else None
            assert term is None or isinstance(term, int | float)
            bound.options[name] = int(term) if isinstance(term, bool) else term
        return
    bound.operands += [_operand(bound, argument) for argument in given.values()]
    bound.options["bounds"] = " ".join(given)


def _number_kind(term: Term) -> Kind | None:
    match term:
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float"
    return None


def _text(number: Number) -> str:
    return term_text(Numbers(number) if isinstance(number, tuple) else number)
