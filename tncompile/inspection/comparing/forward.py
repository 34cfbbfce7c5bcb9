"""What two models do in `forward`: steps that one alone has, and what their steps take.

Names of values and the order of independent steps are no difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from tncompile.inspection.comparing.changes import Change, whole_text
from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.model import ResolvedModel
from tncompile.language.typing.operations import (
    Apply,
    CallPart,
    Contract,
    Entries,
    Legs,
    Literal,
    Operation,
    Option,
    Read,
    Scan,
    Select,
    SizeValue,
    Stored,
)
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Shape, Value

MOST_MATCHED = 2_000
"""Steps above which common ones, as `add`, are no hold when steps are matched."""


@dataclass(frozen=True)
class ForwardDifference:
    """What differs, and the steps of each model that it is about; True: the other one has a twin
    in its place."""

    changes: tuple[Change, ...] = ()
    first: Mapping[Operation, bool] = field(default_factory=dict)
    second: Mapping[Operation, bool] = field(default_factory=dict)


def forward_difference(first: ResolvedModel, second: ResolvedModel) -> ForwardDifference:
    """How two models differ in what they compute of their inputs, parts and tensors."""
    numbers = _Numbers()
    if numbers.of_outputs(first) == numbers.of_outputs(second):
        return ForwardDifference()
    return _Matching(_steps(first), _steps(second), first, second).difference()


@dataclass
class _Matching:
    """The steps of two models, in the order written."""

    one: Sequence[Operation]
    other: Sequence[Operation]
    first: ResolvedModel
    second: ResolvedModel

    def difference(self) -> ForwardDifference:
        """Steps that were put in, taken out or replaced, then those that take other values."""
        one, other = ([step_text(step) for step in steps] for steps in (self.one, self.other))
        matcher = SequenceMatcher(None, one, other, autojunk=len(one) > MOST_MATCHED)
        changes: list[Change] = []
        marks: tuple[dict[Operation, bool], dict[Operation, bool]] = {}, {}
        twins: dict[Operation, Operation] = {}
        for tag, start, stop, begin, end in matcher.get_opcodes():
            left, right = range(start, stop), range(begin, end)
            if tag == "equal":
                twins.update(zip(self.one[start:stop], self.other[begin:end], strict=True))
                continue
            paired = len(left) == len(right)
            marks[0].update((self.one[at], paired) for at in left)
            marks[1].update((self.other[at], paired) for at in right)
            if paired:
                pairs = zip(left, right, strict=True)
                changes += [Change("step", f"{a + 1}", "", one[a], other[b]) for a, b in pairs]
                continue
            gone = [at for at in left if not self._is_told(self.one[at], self.second)]
            come = [at for at in right if not self._is_told(self.other[at], self.first)]
            changes += [Change("step", f"{at + 1}", "", one[at], None) for at in gone]
            changes += [Change("step", f"{at + 1}", "", None, other[at]) for at in come]
        replaced = {*marks[0], *marks[1]}
        names = self._names()
        for number, step in enumerate(self.one, 1):
            twin = twins.get(step)
            if twin is None or self._alike(step.operands, twin.operands, twins, replaced):
                continue
            before, after = (_taken(each.operands, names) for each in (step, twin))
            changes.append(Change("step", f"{number} {step_text(step)}", "takes", before, after))
            marks[0][step] = marks[1][twin] = True
        if not self._alike(self.first.output, self.second.output, twins, replaced):
            before, after = (_taken(each.output, names) for each in (self.first, self.second))
            changes.append(Change("output", "", "is", before, after))
        return ForwardDifference(tuple(changes), *marks)

    @staticmethod
    def _is_told(step: Operation, other: ResolvedModel) -> bool:
        """Whether a step calls a part that the other model lacks, which is said of the part."""
        part = step.part if isinstance(step, CallPart | Scan) else None
        return part is not None and part.name not in {each.name for each in other.parts}

    def _alike(
        self,
        one: Sequence[Value],
        other: Sequence[Value],
        twins: Mapping[Operation, Operation],
        replaced: set[Operation],
    ) -> bool:
        """Whether values come from twins, or from what has been listed already."""
        one, other = ([v for v in values if not _is_plain(v)] for values in (one, other))
        if len(one) != len(other):
            return False
        return all(self._same(a, b, twins, replaced) for a, b in zip(one, other, strict=True))

    @staticmethod
    def _same(
        one: Value,
        other: Value,
        twins: Mapping[Operation, Operation],
        replaced: set[Operation],
    ) -> bool:
        a, b = one.operation, other.operation
        if isinstance(a, Read | Stored) and isinstance(b, Read | Stored):
            return step_text(a) == step_text(b)
        if a in replaced or b in replaced:
            return True
        return twins.get(a) is b and one.position == other.position

    def _names(self) -> dict[Operation, str]:
        """What messages call each step."""
        return {
            step: f"{step_text(step)} (step {number})"
            for steps in (self.one, self.other)
            for number, step in enumerate(steps, 1)
        }


def _taken(values: Sequence[Value], names: Mapping[Operation, str]) -> str:
    words = []
    for value in values:
        operation = value.operation
        if isinstance(operation, Read | Stored):
            words.append(step_text(operation))
        elif not _is_plain(value):
            at = "" if value.position is None else f", result {value.position + 1}"
            words.append(f"{names.get(operation, 'a step')}{at}")
    return " and ".join(words) or "nothing"


def _steps(model: ResolvedModel) -> list[Operation]:
    """What the outputs need, in order, without numbers and without reading inputs and tensors."""
    needed: set[Operation] = set()
    stack = [value.operation for value in model.output]
    while stack:
        operation = stack.pop()
        if operation not in needed:
            needed.add(operation)
            stack += [value.operation for value in operation.operands]
    plain = Read | Stored | Literal | SizeValue
    return [each for each in model.operations if each in needed and not isinstance(each, plain)]


def _is_plain(value: Value) -> bool:
    """Whether it is a number or a size, which stands in the text of its step."""
    return isinstance(value.operation, Literal | SizeValue)


class _Numbers:
    """A number for each value, equal for values that are computed alike of the same names."""

    def __init__(self) -> None:
        self.known: dict[tuple[object, ...], int] = {}
        self.found: dict[Operation, int] = {}

    def of_outputs(self, model: ResolvedModel) -> tuple[tuple[int, int | None], ...]:
        """Of what a model gives."""
        for operation in model.operations:
            self._number(operation)
        return tuple((self._number(value.operation), value.position) for value in model.output)

    def _number(self, operation: Operation) -> int:
        """Operands come before what takes them, so that this goes one deep."""
        if operation not in self.found:
            operands = tuple((self._number(v.operation), v.position) for v in operation.operands)
            key = step_text(operation), operands
            self.found[operation] = self.known.setdefault(key, len(self.known))
        return self.found[operation]


def step_text(operation: Operation) -> str:
    """All that an operation is, apart from the values that it takes."""
    match operation:
        case Read(source=source):
            return f"input {source.name}"
        case Stored(tensor=tensor):
            return f"tensor {tensor.path}"
        case Literal(number=number):
            return whole_text(number)
        case SizeValue(size=size):
            return f"{size}"
        case Apply(function=function, options=options):
            given = [f"{name} = {_option(option)}" for name, option in options.items()]
            return _call(function, [*_plain_operands(operation), *given])
        case Select(slots=slots):
            words = [_slot(slot) for slot in slots]
            return f"[{', '.join(words)}]"
        case Contract(legs=legs, output=output, sizes=sizes):
            factors = " ".join(map(_legs, legs))
            known = ", ".join(f"{name} = {size}" for name, size in sizes.items())
            return f"network {{ {factors} -> {_legs(output)}, {known} }}"
        case Scan(part=part, step=step):
            axes = f"axis {operation.axis}, {operation.sequences} sequences"
            order = " backwards" if operation.reverse else ""
            taken = [_entry(value, operation) for value in step.operands]
            inner = f"{_part_call(step)} of {', '.join(taken)}"
            outputs = f"{operation.outputs} outputs"
            return f"scan {part.name}{order} over {axes}, {outputs}, {inner}"
        case CallPart():
            return _part_call(operation)
        case _:  # an Entry of a scan
            return type(operation).__name__


def _part_call(operation: CallPart) -> str:
    callee = operation.part.callee
    blocks = ResolvedNetwork | ResolvedModel
    count = len(callee.inputs if isinstance(callee, blocks) else operation.inputs)
    names = list(operation.inputs) if count > 1 else []  # one is meant whatever it is called
    sizes = [f"{name} = {size}" for name, size in operation.bindings.items()]
    return _call(operation.part.name, [*names, *sizes, *_plain_operands(operation)])


def _call(name: str, arguments: Sequence[str]) -> str:
    return f"{name}({', '.join(arguments)})" if arguments else name


def _plain_operands(operation: Operation) -> Iterator[str]:
    """Numbers and sizes among operands, with their place where others are there as well."""
    for value in operation.operands:
        if _is_plain(value):
            yield step_text(value.operation)
        elif any(_is_plain(each) for each in operation.operands):
            yield "·"


def _entry(value: Value, scan: Scan) -> str:
    """Which operand of a scan a step takes."""
    entry = value.operation
    taken = [each.operation for each in entry.operands] or [entry]
    places = [k for k, each in enumerate(scan.operands) if each.operation in taken]
    return f"{places}"


def _slot(slot: Entries | Size) -> str:
    if isinstance(slot, Size):
        return f"{slot}"
    return "*" if slot.start is None else f"{slot.start}..{slot.stop}"


def _legs(legs: Legs) -> str:
    axes = [" ".join(axis) if len(axis) == 1 else f"({' '.join(axis)})" for axis in legs.axes]
    return f"({', '.join(['...'] * legs.dots + axes)})"


def _option(option: Option) -> str:
    match option:
        case None:
            return "none"
        case Size() | Shape():
            return f"{option}"
        case tuple() if any(isinstance(each, Size) for each in option):
            return f"[{', '.join(map(str, option))}]"
        case _:
            return whole_text(option)  # type: ignore[arg-type]
