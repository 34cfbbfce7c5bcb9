"""What a step takes from held inputs alone: computed with the first entries, and kept.

Held inputs lack the causal size, so they are the same at all steps, and so is all that comes of
them. Views of what is kept are made at every step: a copy of them would be another tensor to keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tncompile.language.typing.causality.following import CausalSize
from tncompile.language.typing.model import ModelInput
from tncompile.language.typing.operations import Operation, Read
from tncompile.language.typing.repeats import computes
from tncompile.language.typing.values import Value
from tncompile.models.emission.stepping.operations import Past, StepCall, StepScan
from tncompile.models.graph.constants import needed


@dataclass(frozen=True, slots=True)
class Held:
    """What comes of held inputs alone.

    kept    the values that are computed with the first entries
    inputs  the held inputs that all steps read
    shared  the results that may be views of either
    """

    kept: tuple[Value, ...]
    inputs: tuple[ModelInput, ...]
    shared: frozenset[Value]


def find_held(operations: Sequence[Operation], output: Sequence[Value], size: CausalSize) -> Held:
    """What a step with these operations keeps of held inputs."""
    results: dict[Operation, dict[Value, None]] = {}
    for value in (*(x for each in operations for x in each.operands), *output):
        results.setdefault(value.operation, {})[value] = None
    fixed: set[Value] = set()  # the same at all steps
    held: set[Value] = set()  # those of them that an input is behind
    made: dict[Value, None] = {}
    for operation in operations:
        values = results.get(operation, {})
        moves = isinstance(operation, Past | StepCall | StepScan)
        moves |= any(size.within(each) for value in values for each in value.shape.sizes)
        if moves or not fixed.issuperset(operation.operands):
            continue
        fixed |= values.keys()
        if isinstance(operation, Read) or not held.isdisjoint(operation.operands):
            held |= values.keys()
            made |= values if computes(operation) else {}
    later = needed(output, made)
    read = {*output, *(value for each in later for value in each.operands)}
    kept = tuple(value for value in made if value in read)
    inputs = tuple(
        each.source
        for each in operations
        if isinstance(each, Read) and each in later and not fixed.isdisjoint(results[each])
    )

    def shares(value: Value) -> bool:
        operation = value.operation
        if value in made or (isinstance(operation, Read) and value in fixed):
            return True
        if computes(operation) or isinstance(operation, Past):
            return False
        return any(map(shares, operation.operands))

    return Held(kept, inputs, frozenset(filter(shares, output)))
