"""The statements of a method: values in the order written, inlined where they are read once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tncompile.emission.text.identifiers import Names
from tncompile.emission.text.writer import INDENT, TAB, WIDTH, comment_lines, indented, statement
from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.layers.table import LAYERS
from tncompile.language.typing.model import Extern, Layer, Part
from tncompile.language.typing.operations import (
    Apply,
    CallPart,
    Literal,
    Operation,
    Read,
    Scan,
    SizeValue,
    Stored,
)
from tncompile.language.typing.values import Value
from tncompile.models.emission.access import Access
from tncompile.models.emission.expressions import Text, write
from tncompile.models.emission.layout import fitted
from tncompile.models.emission.methods.calls import arguments, arity, call_text, claim
from tncompile.models.emission.methods.scope import Scope
from tncompile.models.emission.stepping.operations import Past, StepCall
from tncompile.models.emission.stepping.texts import past_text, step_call
from tncompile.models.graph.numbers import is_number
from tncompile.models.graph.sharing import Shared


@dataclass(frozen=True, slots=True)
class Line:
    """A statement and what is remarked about it."""

    code: str
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A loop: its head and what is repeated."""

    head: str
    lines: tuple[Line | Block, ...]


def codes(lines: Iterable[Line | Block]) -> list[Line | Block]:
    """The lines without remarks."""
    return [
        Line(line.code) if isinstance(line, Line) else Block(line.head, tuple(codes(line.lines)))
        for line in lines
    ]


def render(lines: Iterable[Line | Block], indent: int = INDENT) -> list[str]:
    """The lines as text; `indent` is theirs."""
    texts: list[str] = []
    for line in lines:
        if isinstance(line, Block):
            texts += [*fitted(line.head, indent=indent)]
            texts += indented(render(line.lines, indent + len(TAB)))
        elif indent + len(line.code) <= WIDTH:
            texts += statement(line.code, line.remark, indent=indent)
        else:
            texts += comment_lines(line.remark, indent=indent)
            texts += fitted(line.code, indent=indent)
    return texts


@dataclass
class Body:
    """What is written of a method so far.

    known    the values that have a name, or are nothing else
    pending  values in the order of their evaluation that the statement that reads them will hold
    free     those of them that may be computed at any time: no dropout, no statistics behind them
    precise  the constants that have more digits than the module's dtype
    uses     how often each value is read
    shared   the operations that are written, some in the place of others
    labels   the names that the program gives to values
    unrolled  the `repeat`s whose turns are known to differ, by depth and number
    wanted   what the results of an operation are called, by position: variables of a loop
    typed    the arguments, sizes and attributes whose types checkers know
    """

    scope: Scope
    access: Access
    names: Names
    uses: Counter[Value]
    labels: Mapping[Value, str]
    results: Mapping[Operation, tuple[Value, ...]]
    shared: Shared
    precise: Collection[Value] = ()
    known: dict[Value, Text] = field(default_factory=dict)
    pending: dict[Value, Text] = field(default_factory=dict)
    free: set[Value] = field(default_factory=set)
    unrolled: set[tuple[int, int]] = field(default_factory=set)
    lines: list[Line | Block] = field(default_factory=list)
    wanted: Mapping[Operation, Mapping[int | None, str]] = field(default_factory=dict)
    typed: Collection[str] = ()
    indent: int = INDENT

    def inner(self, known: Mapping[Value, Text], access: Access) -> Body:
        """The body of a loop, with other names for some values and parts."""
        return replace(
            self,
            access=access,
            names=self.names.copy(),
            known={**self.known, **known},
            pending={},
            lines=[],
            wanted={},
            indent=self.indent + len(TAB),
        )

    @property
    def operations(self) -> Sequence[Operation]:
        """All operations, in order."""
        return self.shared.operations

    # ── operations ────────────────────────────────────────────────────────────────────────────

    def run(self, operation: Operation) -> None:
        """Write an operation, or keep it for the statement that reads it."""
        results = self.results.get(operation, ())
        if not results:
            return
        match operation:
            case Read(source=source):
                self.known[results[0]] = Text(self.scope.inputs[source.name])
            case Stored(tensor=tensor):
                self.known[results[0]] = Text(self.access.tensor(tensor))
            case Literal() | SizeValue() if is_number(results[0]):
                self.known[results[0]] = write(operation, [], self.scope)
            case _:
                self._compute(operation, results)

    def _compute(self, operation: Operation, results: tuple[Value, ...]) -> None:
        made = self.shared.instead.get(operation, operation)
        operands = arguments(made)
        free = is_free(operation) and all(
            value in self.free or value not in self.pending for value in operands
        )
        text = self.within(
            operands,
            lambda texts: self.expression(made, texts, results),
            constant=results[0].constant and not isinstance(operation, CallPart),
        )
        if len(results) == 1 and (arity(operation) == 1 or operation not in self.wanted):
            (value,) = results
            if value.position is not None and (arity(operation) > 1 or gives_tuple(operation)):
                text = text.item(str(value.position))
            if is_foreign(operation):
                text = Text(claim(value, text.code, self.scope))
            self.pending[value] = text
            self.free |= {value} if free else set()
            if value in self.labels or self.uses[value] != 1 or is_foreign(operation):
                self.assign(value)
            return
        if not free:
            self.flush()
        by_place = {value.position or 0: value for value in results}
        names = ["_"] * arity(operation)
        for position, wanted in self.wanted.get(operation, {}).items():
            names[position or 0] = wanted
        for place, value in sorted(by_place.items()):
            names[place] = self.name(value)
            self.known[value] = Text(names[place])
        self.lines.append(Line(f"{pattern(operation, names)} = {text}", shapes(results)))
        if is_foreign(operation):
            self.lines += [Line(claim(each, self.known[each].code, self.scope)) for each in results]

    def expression(
        self, operation: Operation, texts: Sequence[Text], results: Sequence[Value] = ()
    ) -> Text:
        """The operation on operands that are written."""
        if isinstance(operation, StepCall):
            return step_call(operation, texts, self.access, self.scope)
        if isinstance(operation, CallPart):
            return call_text(operation, texts, self.access, self.scope)
        if isinstance(operation, Past):
            return past_text(operation, texts, self.scope)
        exact = any(value in self.precise for value in results)
        return write(operation, texts, self.scope.precise() if exact else self.scope)

    # ── values ────────────────────────────────────────────────────────────────────────────────

    def within(
        self,
        operands: Sequence[Value],
        make: Callable[[Sequence[Text]], Text],
        *,
        constant: bool = False,
    ) -> Text:
        """The text of something that reads these operands; pending ones are written inside.

        Constants take the dtype of the module where they meet something that is none.
        What would be evaluated in another order, or makes the line too long, gets a name first.
        """
        while True:
            waiting = [value for value in operands if value in self.pending]
            ordered = [value for value in waiting if value not in self.free]
            order = [value for value in self.pending if value not in self.free]
            suffix = order[len(order) - len(ordered) :]
            if ordered != suffix:
                pairs = zip(ordered, suffix, strict=True)
                self.assign(next(value for value, last in pairs if value is not last))
                continue
            text = make([self.text(value) if constant else self.met(value) for value in operands])
            if not waiting or self.indent + len(text.code) + len("return ") + 8 <= WIDTH:
                break
            self.assign(max(waiting, key=lambda value: len(self.pending[value].code)))
        for value in waiting:
            del self.pending[value]
        return text

    def met(self, value: Value) -> Text:
        """The expression of a value in the dtype of the module."""
        text = self.text(value)
        return text.method("to", self.scope.dtype) if value in self.precise else text

    def text(self, value: Value) -> Text:
        """The expression of a value."""
        return self.known[value] if value in self.known else self.pending[value]

    def flush(self) -> None:
        """Give names to all values that wait and may not wait any longer."""
        for value in list(self.pending):
            if value in self.pending and value not in self.free:
                self.assign(value)

    def assign(self, value: Value, name: str | None = None) -> None:
        """Give a name to a value that waits, and to those that have to be computed before it."""
        if value not in self.free:
            for before in list(self.pending):
                if before is value:
                    break
                if before not in self.free:
                    self.assign(before)
        text = self.pending.pop(value)
        name = name or self.name(value)
        self.known[value] = Text(name)
        self.lines.append(Line(f"{name} = {text}", value.text))

    def name(self, value: Value) -> str:
        """A new name for a value: that of the program if it has one."""
        if wanted := self.wanted.get(value.operation, {}).get(value.position):
            return wanted
        if value in self.labels:
            return self.labels[value]
        match value.operation:
            case CallPart(part=part) if not part.outer:
                return self.names.fresh(part.family)
            case _:
                return self.names.fresh("y")


def is_free(operation: Operation) -> bool:
    """Whether it makes no difference when an operation is executed."""
    match operation:
        case StepCall():
            return False
        case CallPart(part=Part(callee=Layer(name=name))):
            return not LAYERS[name].training
        case CallPart(part=Part(callee=callee)):
            return isinstance(callee, ResolvedNetwork)
        case Apply(function="attention", options=options):
            return not options.get("dropout")
        case Past():
            return False
        case _:
            return not isinstance(operation, Scan)


def is_foreign(operation: Operation) -> bool:
    """Whether it calls what no compiler has seen."""
    return isinstance(operation, CallPart) and isinstance(operation.part.callee, Extern)


def gives_tuple(operation: Operation) -> bool:
    """Whether the expression of an operation with one result is a tuple nevertheless."""
    return isinstance(operation, Apply)


def pattern(operation: Operation, names: Sequence[str]) -> str:
    """What stands left of the `=`: `y, (h, c)` of an LSTM."""
    match operation:
        case CallPart(part=Part(callee=Layer(name="LSTM"))):
            return f"{names[0]}, ({names[1]}, {names[2]})"
    return f"{names[0]}," if len(names) == 1 else ", ".join(names)


def shapes(results: Sequence[Value]) -> str:
    """The shapes of several values."""
    texts = [value.text for value in results]
    return f"each {texts[0]}" if len(set(texts)) == 1 and len(texts) > 1 else ", ".join(texts)
