"""Where a step begins: what it computes with the first entries, and reads from the state later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tncompile.language.typing.operations import Operation
from tncompile.language.typing.values import Value
from tncompile.models.emission.body import Block, Body, Line
from tncompile.models.emission.constants import needed
from tncompile.models.emission.expressions import Text
from tncompile.models.emission.loops import write_operations
from tncompile.models.emission.stepping.texts import PAST, past_of


def write_first(body: Body, operations: Sequence[Operation], kept: Sequence[Value]) -> None:
    """Compute these values where there is no state, else read them."""
    names = {value: body.name(value) for value in kept}
    early = needed(kept, body.known)
    operations = [each for each in operations if each in early]
    inner = body.inner({}, body.access)
    inner.uses = Counter([*(x for each in operations for x in each.operands), *kept])
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
