"""Where a step begins: what it computes with the first entries, and reads from the state later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tncompile.language.typing.operations import Operation
from tncompile.language.typing.values import Value
from tncompile.models.emission.expressions import Text
from tncompile.models.emission.loops.repeats import write_operations
from tncompile.models.emission.methods.body import Block, Body, Line
from tncompile.models.emission.stepping.texts import PAST, past_of


def write_first(body: Body, kept: Sequence[Value], output: Sequence[Value]) -> Sequence[Operation]:
    """Compute these values where there is no state, else read them; what is left is returned."""
    names = {value: body.name(value) for value in kept}
    inner = body.inner({}, body.access)
    operations = _behind(body, kept)
    inner.uses = Counter([*_reads(body, operations), *kept])
    wanted: dict[Operation, dict[int | None, str]] = {}
    for value, name in names.items():
        wanted.setdefault(value.operation, {})[value.position] = name
    inner.wanted = wanted
    inner.labels = {value: name for value, name in body.labels.items() if value not in names}
    write_operations(inner, operations)
    later: list[Line | Block] = []
    for value, name in names.items():
        past = past_of([value], body.scope)
        made = inner.within([value], lambda texts: texts[0])
        inner.lines.append(Line(f"{name} = {past.method('hold', made)}", value.text))
        later.append(Line(f"{name} = {past.method('held')}"))
        body.known[value] = Text(name)
    body.lines += [Block(f"if {PAST}.first:", tuple(inner.lines)), Block("else:", tuple(later))]
    operations = _behind(body, output)
    body.uses = Counter([*_reads(body, operations), *output])
    return operations


def _behind(body: Body, values: Sequence[Value]) -> list[Operation]:
    """The operations that these values come from, in order, as far as they are not known."""
    found: list[Operation] = []
    due = {value.operation for value in values if value not in body.known}
    for operation in reversed(body.operations):
        if operation in due:
            found.append(operation)
            reads = _reads(body, [operation])
            due |= {value.operation for value in reads if value not in body.known}
    return found[::-1]


def _reads(body: Body, operations: Sequence[Operation]) -> Iterator[Value]:
    """What these operations read, each time that they do."""
    for operation in operations:
        yield from body.shared.instead.get(operation, operation).operands
