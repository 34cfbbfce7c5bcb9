"""What a drawing of a model has a block for: operations, and runs of equal ones made one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.model import Part, PlainTensor, ResolvedModel
from tncompile.language.typing.operations import (
    Apply,
    CallPart,
    Contract,
    Operation,
    Read,
    Scan,
    Select,
    SizeValue,
    Stored,
)
from tncompile.language.typing.operations import Literal as Constant
from tncompile.language.typing.values import Value
from tncompile.models.printer import callee_text

StepKind = Literal["network", "model", "layer", "function", "stored"]

SYMBOLS = {"add": "+", "sub": "−", "mul": "×", "div": "÷", "matmul": "@", "pow": "^", "neg": "−"}
"""Operators as they are written."""


@dataclass(frozen=True)
class Step:
    """A block of a drawing: its operations, what it takes and gives, and the part that it is of."""

    name: str
    kind: StepKind
    operations: tuple[Operation, ...]
    operands: tuple[Value, ...]
    part: Part | None = None
    count: int = 1
    words: str = ""  # what a folded one has


def steps_of(model: ResolvedModel, *, unfolded: bool = False) -> list[Step]:
    """All blocks in order; chains of equal parts, and turns of a `repeat`, are one."""
    live = _live(model)
    users: defaultdict[Operation, list[Operation]] = defaultdict(list)
    for operation in live:
        for value in operation.operands:
            users[value.operation].append(operation)
    given = {value.operation for value in model.output}
    found: list[Step] = []
    done: set[Operation] = set()
    for operation in live:
        if operation in done:
            continue
        run = [operation]
        if not unfolded:
            run = _loop(operation, live) or _chain(operation, users, given)
        done.update(run)
        found.append(_step(run))
    return found


def _live(model: ResolvedModel) -> list[Operation]:
    """What the outputs need, in order, without constants and without reading an input."""
    needed: set[Operation] = set()
    stack = [value.operation for value in model.output]
    while stack:
        operation = stack.pop()
        if operation in needed:
            continue
        needed.add(operation)
        stack += [value.operation for value in operation.operands if not value.constant]
    skipped = Read | Constant | SizeValue
    return [each for each in model.operations if each in needed and not isinstance(each, skipped)]


def _alike(one: Operation, other: Operation) -> bool:
    if isinstance(one, CallPart) and isinstance(other, CallPart):
        same = one.part.family == other.part.family
        return same and callee_text(one.part) == callee_text(other.part)
    return type(one) is type(other) and _words(one) == _words(other)


def _chain(
    start: Operation, users: dict[Operation, list[Operation]], given: set[Operation]
) -> list[Operation]:
    """Calls of equal parts of a family, each of which alone takes what the one before gives."""
    run = [start]
    if not isinstance(start, CallPart) or not start.part.subscripts:
        return run
    while len(set(users[run[-1]])) == 1 and run[-1] not in given:
        (after,) = set(users[run[-1]])
        if not _alike(start, after):
            break
        run.append(after)
    return run


def _loop(start: Operation, live: Sequence[Operation]) -> list[Operation]:
    """All turns of a `repeat` of three and more whose operations are alike in every turn."""
    if not start.turns:
        return []
    loop = start.turns[0].loop
    own = [each for each in live if each.turns and each.turns[0].loop == loop]
    by_turn: defaultdict[int, list[Operation]] = defaultdict(list)
    for each in own:
        by_turn[each.turns[0].count].append(each)
    turns = list(by_turn.values())
    first = turns[0]
    if len(turns) < 3 or own[0] is not start or len(first) == 1:
        return []
    alike = (len(turn) == len(first) and all(map(_alike, first, turn)) for turn in turns[1:])
    return own if all(alike) else []


def _step(run: Sequence[Operation]) -> Step:
    inside = set(run)
    operands = tuple(
        dict.fromkeys(
            value
            for operation in run
            for value in operation.operands
            if value.operation not in inside and not _is_plain(value)
        )
    )
    first = run[0]
    if len(run) > 1 and not (isinstance(first, CallPart) and _one_family(run)):
        turns = len({each.turns[0].count for each in run})
        names = [_name(each) for each in run if each.turns[0].count == first.turns[0].count]
        words = ", ".join(dict.fromkeys(names))
        return Step("repeat", "model", tuple(run), operands, None, turns, words)
    part = first.part if isinstance(first, CallPart | Scan) else None
    name = _name(first) if len(run) == 1 or part is None else part.family
    return Step(name, _kind(first), tuple(run), operands, part, len(run))


def _one_family(run: Iterable[Operation]) -> bool:
    families = {each.part.family if isinstance(each, CallPart) else None for each in run}
    return len(families) == 1 and None not in families


def _is_plain(value: Value) -> bool:
    """Whether it is a number or a size, which stands in the name of the block."""
    return value.constant or isinstance(value.operation, Constant | SizeValue)


def _kind(operation: Operation) -> StepKind:
    if isinstance(operation, Stored):
        return "stored"
    if isinstance(operation, CallPart | Scan):
        callee = operation.part.callee
        if isinstance(callee, ResolvedNetwork):
            return "network"
        return "model" if isinstance(callee, ResolvedModel) else "layer"
    return "network" if isinstance(operation, Contract) else "function"


def _name(operation: Operation) -> str:
    match operation:
        case CallPart(part=part):
            return part.name
        case Scan(part=part):
            return f"scan {part.name}"
        case Stored(tensor=PlainTensor() as tensor):
            return tensor.path
        case Contract():
            return "network { … }"
        case Select():
            return "[…]"
        case _:
            return _words(operation)


def _words(operation: Operation) -> str:
    """A function with the numbers that it takes."""
    if not isinstance(operation, Apply):
        return type(operation).__name__
    name = SYMBOLS.get(operation.function, operation.function)
    given = [_number(value) for value in operation.operands]
    if name != operation.function and len(given) == 2 and any(given):
        return f"{given[0] or '·'} {name} {given[1] or '·'}"  # 1 − ·
    return " ".join([name, *filter(None, given)])


def _number(value: Value) -> str:
    """A short number, empty for another value."""
    operation = value.operation
    text = f"{operation.number}" if isinstance(operation, Constant) else ""
    return text if len(text) < 8 else "…"
