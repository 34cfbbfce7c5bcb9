"""`scan(cell, xs, state, dim)`: a part along an axis, one entry after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from tncompile.language.diagnostics.collector import counted, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.diagnostics.errors import InternalError
from tncompile.language.syntax.source import Span
from tncompile.language.typing.functions.declaring.arguments import flag
from tncompile.language.typing.functions.declaring.axes import dim_of
from tncompile.language.typing.functions.declaring.binding import Bound, match
from tncompile.language.typing.functions.table import SCAN
from tncompile.language.typing.model import Part
from tncompile.language.typing.operations import CallPart, Entry, Operation, Scan
from tncompile.language.typing.state import Call, Misfit, Typed, Typing
from tncompile.language.typing.values import Shape, Term, Tuple, Value, flattened


def apply_scan(
    typing: Typing, call: Call, cell: Part, call_part: Callable[[Typing, Part, Call], Term]
) -> Tuple:
    """The tuple (outputs…, last state…); raises `Failed`.

    The `call` has the arguments after the cell. `call_part` types the call of the cell in a step.
    """
    arguments = _arguments(typing, call, cell)
    xs = _values(typing, arguments["xs"])
    state = _values(typing, arguments["state"])
    place = call.place(arguments["xs"])
    dim = dim_of(arguments["dim"], xs[0], typing)
    reverse = "reverse" in arguments and flag(typing, arguments["reverse"])
    step = _Step(typing, call, cell, xs[0], len(xs[0].shape.sizes) + dim)
    entries = [step.entry(x, place) for x in xs]
    entries += [step.member(value) for value in state]
    there = call.place(arguments["state"])
    spans = [place] * len(xs) + [there] * len(state)
    # Its operations are those of a step: they do not enter the model's own.
    inner = replace(typing, operations=[])
    given = tuple(Typed(entry, span) for entry, span in zip(entries, spans, strict=True))
    results = _results(call_part(inner, cell, Call(f"`{cell.name}`", call.name, call.span, given)))
    step.check_state(results, state, there)
    count = len(results) - len(state)
    outputs = results[:count] or results[:1]
    stacked = [(output.kind, step.stacked(output)) for output in outputs]
    last = [(value.kind, value.shape) for value in state]
    operation = Scan(
        (*xs, *state),
        part=cell,
        sequences=len(xs),
        axis=dim,
        reverse=reverse,
        outputs=count,
        step=_call_of(inner.operations, cell),
        span=call.span,
        turns=typing.turns,
    )
    typing.add(operation)
    return Tuple(
        tuple(
            Value(kind, shape, operation, k, span=call.span)
            for k, (kind, shape) in enumerate(stacked + last)
        )
    )


def _arguments(typing: Typing, call: Call, cell: Part) -> Mapping[str, Typed]:
    """The arguments by their names; the cell is the first of them."""
    for argument in call.arguments[2:]:
        if argument.name is None and isinstance(argument.term, Value | Tuple):
            message, label = "`scan` takes one state, or a tuple", "a state more"
            note = "it is called as `scan(cell, xs, state, dim, reverse)`"
            hint = f"put the states in a tuple: `scan({cell.name}, xs, (a, b), dim = …)`"
            span = call.place(argument)
            raise failure(Code.WRONG_ARGUMENT, message, span, label, note, hint)
    written = (Typed(cell.name, call.name), *call.arguments)
    bound = Bound(
        typing, SCAN, replace(call, arguments=written, piped=call.piped and call.piped + 1)
    )
    match(bound)
    return bound.given


def _values(typing: Typing, argument: Typed) -> list[Value]:
    items = tuple(flattened(argument.term))
    if not items:
        message, note = "`scan` needs a value here", "a cell runs over values, with a state"
        hint = "give a value, or several: `(x, y)`"
        label = "an empty tuple"
        raise failure(Code.NUMBER_OF_VALUES, message, argument.span, label, note, hint)
    return [typing.as_value(Typed(item, argument.span)) for item in items]


def _results(term: Term) -> list[Value]:
    return [item for item in flattened(term) if isinstance(item, Value)]


def _call_of(operations: Sequence[Operation], cell: Part) -> CallPart:
    for operation in reversed(operations):
        if isinstance(operation, CallPart) and operation.part is cell:
            return operation
    raise InternalError("the call of a cell left no operation")


@dataclass(frozen=True, slots=True)
class _Step:
    """A step of the scan: `place` is how many axes the first sequence has left of its steps."""

    typing: Typing
    call: Call
    cell: Part
    first: Value
    place: int

    @property
    def lead(self) -> Shape:
        return Shape(self.first.shape.sizes[: self.place], self.first.shape.dots)

    def entry(self, x: Value, span: Span) -> Value:
        """A sequence without the axis; TN601 where it begins otherwise than the first one."""
        self._begins(
            x,
            Shape(self.first.shape.sizes[: self.place + 1], self.first.shape.dots),
            span,
            "a sequence",
            "all sequences begin with the axes left of `dim`, then that axis",
            Label(self.first.span, f"the first sequence is {self.first.shape}"),
        )
        axis = self.place - len(x.shape.sizes)
        return self._stand_in(x, x.shape.replaced(axis))

    def member(self, value: Value) -> Value:
        """A member of the state, as the step takes it."""
        return self._stand_in(value, value.shape)

    def _stand_in(self, value: Value, shape: Shape) -> Value:
        operation = Entry((value,), span=value.span, turns=self.typing.turns)
        return Value(value.kind, shape, operation, span=value.span)

    def check_state(self, results: Sequence[Value], state: Sequence[Value], span: Span) -> None:
        """TN610, TN603, TN601: the last results of the cell are the state, like the first one."""
        declared = Label(self.cell.declared, f"`{self.cell.name}` is declared here")
        if len(results) < len(state):
            has = counted(len(state), "member")
            message = f"`{self.cell.name}` gives {counted(len(results), 'value')}; "
            message += f"the state has {has}"
            note = "the last values that a cell gives are its new state"
            hint = "let the cell give a value for each member of the state"
            raise failure(Code.NUMBER_OF_VALUES, message, span, has, note, hint, declared)
        note = "a state keeps its kinds and shapes from step to step"
        for k, (old, new) in enumerate(zip(state, results[-len(state) :], strict=True)):
            which = "the state" if len(state) == 1 else f"member {k} of the state"
            message = f"{which} is {old.text}; `{self.cell.name}` gives {new.text}"
            label = f"this is {old.text}"
            labels = (declared,)
            if old.kind != new.kind:
                hint = f"begin with a {new.kind} state, or convert what the cell gives"
                raise failure(Code.KINDS, message, span, label, note, hint, labels)
            hint = "begin with the shape that a step gives: `zeros((…))`, or `expand`"
            misfit = Misfit(message, span, label, labels, note, hint)
            self._same(old.shape, new.shape, misfit)

    def stacked(self, output: Value) -> Shape:
        """An output of the cell with the steps behind `lead`; TN601 where it begins otherwise."""
        steps = self.first.shape.sizes[self.place]
        note = "outputs begin with the axes left of `dim`, and are stacked behind them"
        lead = self.lead
        what = f"an output of `{self.cell.name}`"
        declared = Label(self.cell.declared, f"`{self.cell.name}` is declared here")
        self._begins(output, lead, self.call.name, what, note, declared)
        sizes = output.shape.sizes
        return Shape((*sizes[: self.place], steps, *sizes[self.place :]), lead.dots)

    def _begins(
        self, value: Value, lead: Shape, span: Span, what: str, note: str, there: Label
    ) -> None:
        count = len(lead.sizes)
        message = f"{what} is {value.shape}; it begins with {lead}"
        hint = "bring the axes into this order: `network { (…) -> (…) }`"
        misfit = Misfit(message, span, f"this is {value.shape}", (there,), note, hint)
        self._same(Shape(value.shape.sizes[:count], value.shape.dots), lead, misfit)

    def _same(self, left: Shape, right: Shape, misfit: Misfit) -> None:
        if left.dots != right.dots or len(left.sizes) != len(right.sizes):
            raise misfit.failure()
        for one, other in zip(left.sizes, right.sizes, strict=True):
            self.typing.same(one, other, misfit)
