"""`scan` as a loop over an axis: `for x_t in x.unbind(-2): h = self.cell(x_t, h)`.

What the cell computes from the sequences alone is computed before, for all steps at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.model import ResolvedModel
from tncompile.language.typing.operations import Scan
from tncompile.language.typing.values import Shape, Value
from tncompile.models.emission.expressions import Text
from tncompile.models.emission.methods.body import (
    Block,
    Body,
    Line,
    gives_tuple,
    is_foreign,
    pattern,
)
from tncompile.models.emission.methods.calls import arguments, arity, claim
from tncompile.models.emission.stepping.operations import StepScan
from tncompile.models.emission.stepping.texts import kept as kept_state
from tncompile.models.graph.hoisting import (
    AHEAD,
    STEP,
    Split,
    crossing_name,
    extra_axes,
    is_plain,
)


def write_scan(body: Body, scan: Scan) -> None:
    """The statements of a `scan`."""
    results = {value.position: value for value in body.results.get(scan, ())}
    if not results:
        return
    count = scan.sequences
    inputs = _input_names(scan)
    for value in scan.operands[:count]:
        if value in body.pending:
            body.assign(value)
    outputs = scan.outputs or 1
    state_names: list[str] = []
    for k, value in enumerate(scan.operands[count:]):
        last = results.get(outputs + k)
        label = body.labels.get(last) if last is not None else None
        name = label or body.names.fresh(inputs[count + k])
        state_names.append(name)
        if value in body.pending and value not in body.precise:
            body.assign(value, name)
        else:
            body.flush()
            body.lines.append(Line(f"{name} = {body.met(value)}"))
    body.flush()
    split = body.scope.splits.get(id(scan.part.callee))
    steps = None if split is None else _in_two(body, scan, split, state_names)
    steps = steps or _whole(body, scan, state_names)
    given = state_names
    if scan.outputs:
        given = [body.names.fresh("y") for _ in range(scan.outputs)] + state_names
    left = given[0] if arity(scan.step) == 1 and not gives_tuple(scan.step) else None
    lines = [Line(f"{left or pattern(scan.step, given)} = {steps.call}")]
    if is_foreign(scan.step):
        lines += _claims(body, scan, given, results)
    lists: dict[int, str] = {}
    for k in range(outputs):
        if k in results:
            lists[k] = body.names.fresh("steps")
            lines.append(Line(f"{lists[k]}.append({given[k]})"))
    loop: list[Line | Block] = [Line(f"{name} = []") for name in lists.values()]
    loop.append(Block(steps.head(scan), tuple(lines)))
    loop += [_stack(body, scan, results[k], name) for k, name in lists.items()]
    one = steps.whole(state_names, body) if is_plain(scan.part) else ""
    if isinstance(scan, StepScan) or not one:
        body.lines += loop
    else:
        body.scope.use("_one_loop")
        body.scope.use("_scan")
        made = ["_"] * outputs + state_names
        moved: list[Line | Block] = []
        for k in lists:
            made[k] = name = str(body.known[results[k]])
            if place := _place(scan) - len(results[k].shape.sizes):
                moved.append(Line(f"{name} = {name}.movedim(0, {place})"))
        reverse = ", reverse=True" * scan.reverse
        whole = Line(f"{', '.join(made)} = _scan({one}{reverse})")
        body.lines += [Block("if _one_loop():", (whole, *moved)), Block("else:", tuple(loop))]
    if isinstance(scan, StepScan):
        body.lines += [Line(line) for line in kept_state(scan, state_names, body.scope)]
    for k, name in enumerate(state_names):
        if outputs + k in results:
            body.known[results[outputs + k]] = Text(name)


def _claims(
    body: Body, scan: Scan, given: Sequence[str], results: Mapping[int | None, Value]
) -> list[Line]:
    """What came back from elsewhere is compared at every step."""
    expected: list[Value] = []
    place = _place(scan)
    for k in range(scan.outputs):
        if k in results:
            sizes = results[k].shape.sizes
            shape = Shape((*sizes[:place], *sizes[place + 1 :]), results[k].shape.dots)
            expected.append(replace(results[k], shape=shape, operation=scan.step))
    states = [replace(value, operation=scan.step) for value in scan.operands[scan.sequences :]]
    names = [name for k, name in enumerate(given[: scan.outputs]) if k in results]
    names += given[scan.outputs :]
    return [
        Line(claim(value, name, body.scope))
        for value, name in zip([*expected, *states], names, strict=True)
    ]


def _input_names(scan: Scan) -> list[str]:
    """What the cell calls its inputs, in the order of the operands."""
    callee = scan.part.callee
    if isinstance(callee, ResolvedModel | ResolvedNetwork) and scan.step.inputs:
        return list(scan.step.inputs)
    count = scan.sequences
    states = len(scan.operands) - count
    return ["x"] * count + ["h"] * states


@dataclass(frozen=True)
class _Steps:
    """The call of a step, and its arguments that differ from step to step: names and entries."""

    call: str
    entries: tuple[tuple[str, Text, int], ...]

    def head(self, scan: Scan) -> str:
        """The head of the loop."""
        names = [name for name, _, _ in self.entries]
        over = [str(text.method("unbind", dim)) for _, text, dim in self.entries]
        over = [f"reversed({text})" for text in over] if scan.reverse else over
        if len(over) == 1:
            return f"for {names[0]} in {over[0]}:"
        return f"for {', '.join(names)} in zip({', '.join(over)}, strict=True):"

    def whole(self, states: Sequence[str], body: Body) -> str:
        """The arguments of `_scan`; empty where the step takes anything else last."""
        step, _, given = self.call.removesuffix(")").partition("(")
        names = ", ".join([*(name for name, _, _ in self.entries), *states])
        if given != names:
            if not given.endswith(f", {names}"):
                return ""
            body.scope.use("partial")
            step = f"partial({step}, {given.removesuffix(f', {names}')})"
        xs = ", ".join(str(text.method("movedim", dim, 0)) for _, text, dim in self.entries)
        return f"{step}, [{xs}], [{', '.join(states)}]"


def _entry(body: Body, scan: Scan, name: str, value: Value) -> tuple[str, Text, int]:
    """The name of an entry of a sequence, the sequence, and where it has its steps."""
    dim = _place(scan) - len(value.shape.sizes)
    return body.names.fresh(f"{name}_t"), body.met(value), dim


def _place(scan: Scan) -> int:
    """How many axes behind `...` are left of the steps."""
    return len(scan.operands[0].shape.sizes) + scan.axis


def _whole(body: Body, scan: Scan, states: Sequence[str]) -> _Steps:
    """Each step is a call of the cell."""
    step, sequences = scan.step, scan.operands[: scan.sequences]
    pairs = zip(_input_names(scan), sequences, strict=False)
    entries = [_entry(body, scan, name, value) for name, value in pairs]
    names = [*(name for name, _, _ in entries), *states]
    places = {value: Text(name) for value, name in zip(step.operands, names, strict=True)}
    call = body.expression(step, [places[value] for value in arguments(step)])
    return _Steps(str(call), tuple(entries))


def _in_two(body: Body, scan: Scan, split: Split, states: Sequence[str]) -> _Steps | None:
    """What the cell computes ahead, and steps that call the rest; None where nothing is left."""
    callee, place = scan.part.callee, _place(scan)
    assert isinstance(callee, ResolvedModel)
    inputs = dict(zip(scan.step.inputs, scan.operands, strict=True))
    sequences = scan.step.inputs[: scan.sequences]
    if not any(x.shape.dots for x in split.crossing) and not {*sequences} & {*split.late}:
        return None
    cell = body.access.part(scan.part)
    if not cell.removeprefix("self.").isidentifier():  # its type is lost in a list
        name = body.names.fresh("cell")
        body.lines.append(Line(f"{name}: Any = {cell}"))
        cell = name
    extra = extra_axes(scan)
    first = scan.operands[0].shape
    lead = first.sizes[: place + 1 + extra]
    made: list[str] = []
    entries: list[tuple[str, Text, int]] = []
    given: list[str] = []
    remarks: list[str] = []
    for value in split.crossing:
        name = body.names.fresh(crossing_name(callee, value))
        made.append(name)
        sizes = value.shape.sizes
        if value.shape.dots:
            dim = -len(sizes) - extra - 1
            entries.append((body.names.fresh(f"{name}_t"), Text(name), dim))
            remarks.append(str(Shape((*lead, *sizes), first.dots)))
        else:
            remarks.append(str(value.shape))
        given.append(entries[-1][0] if value.shape.dots else name)
    early = ", ".join(str(body.met(inputs[name])) for name in split.early)
    remark = ", ".join(remarks)
    if len(remarks) > 1 and len(set(remarks)) == 1:
        remark = f"each {remarks[0]}"
    body.lines.append(Line(f"{', '.join(made)} = {cell}.{AHEAD}({early})", remark))
    state_names = dict(zip(scan.step.inputs[scan.sequences :], states, strict=True))
    for name in split.late:
        if name not in state_names:
            entries.append(_entry(body, scan, name, inputs[name]))
        given.append(state_names.get(name) or entries[-1][0])
    return _Steps(f"{cell}.{STEP}({', '.join(given)})", tuple(entries))


def _stack(body: Body, scan: Scan, value: Value, steps: str) -> Line:
    """The entries of an output as one value, in the order of the axis."""
    name = body.name(value)
    body.known[value] = Text(name)
    dim = _place(scan) - len(value.shape.sizes)
    order = "[::-1]" if scan.reverse else ""
    return Line(f"{name} = torch.stack({steps}{order}, dim={dim})", value.text)
