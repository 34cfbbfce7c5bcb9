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
    is_smooth,
    takes_steps,
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
    split = _split(body, scan)
    if split is None:
        names, lines = _loop(body, scan, _whole(body, scan, state_names), state_names, results)
        body.lines += lines
    else:
        cell = _cell(body, scan)
        outside, body.lines = body.lines, []
        steps = _in_two(body, scan, split, cell, state_names)
        names, lines = _loop(body, scan, steps, state_names, results)
        parts = [*body.lines, *lines]
        body.lines = outside
        whole = _call(body, scan, "_called", _whole(body, scan, state_names), names)
        body.scope.use("_hooked")
        body.scope.use("_called")
        body.lines += [Block(f"if _hooked({cell}):", tuple(whole)), Block("else:", tuple(parts))]
    if isinstance(scan, StepScan):
        body.lines += [Line(line) for line in kept_state(scan, state_names, body.scope)]
    for k, name in enumerate(state_names):
        if outputs + k in results:
            body.known[results[outputs + k]] = Text(name)


def _loop(
    body: Body,
    scan: Scan,
    steps: _Steps,
    states: Sequence[str],
    results: Mapping[int | None, Value],
) -> tuple[list[str], list[Line | Block]]:
    """What the results are called, `_` those that are not used, and the statements of all steps."""
    given = [*states]
    if scan.outputs:
        given = [body.names.fresh("y") for _ in range(scan.outputs)] + given
    left = given[0] if arity(scan.step) == 1 and not gives_tuple(scan.step) else None
    lines = [Line(f"{left or pattern(scan.step, given)} = {steps.call}")]
    if is_foreign(scan.step):
        lines += _claims(body, scan, given, results)
    outputs = scan.outputs or 1
    lists: dict[int, str] = {}
    for k in range(outputs):
        if k in results:
            lists[k] = body.names.fresh("steps")
            lines.append(Line(f"{lists[k]}.append({given[k]})"))
    loop: list[Line | Block] = [Line(f"{name} = []") for name in lists.values()]
    loop.append(Block(steps.head(scan), tuple(lines)))
    loop += [_stack(body, scan, results[k], name) for k, name in lists.items()]
    names = [str(body.known[results[k]]) if k in results else "_" for k in range(outputs)]
    names += states
    if isinstance(scan, StepScan) or not is_plain(scan.part):
        return names, loop
    options = ", alone=True" * (not takes_steps(scan))
    whole = _call(body, scan, "_scan", steps, names, options)
    if not whole:
        return names, loop
    body.scope.use("_one_loop")
    body.scope.use("_scan")
    head = f"if _one_loop({'' if is_smooth(scan.part) else 'learned=False'}):"
    return names, [Block(head, tuple(whole)), Block("else:", tuple(loop))]


def _call(
    body: Body, scan: Scan, function: str, steps: _Steps, names: Sequence[str], options: str = ""
) -> list[Line | Block]:
    """The call of a function that runs all steps; none where it cannot."""
    outputs = scan.outputs or 1
    given = steps.whole(names[outputs:], body)
    if not given:
        return []
    options = ", reverse=True" * scan.reverse + options
    lines: list[Line | Block] = [Line(f"{', '.join(names)} = {function}({given}{options})")]
    for value in body.results.get(scan, ()):
        place = _place(scan) - len(value.shape.sizes)
        if value.position is not None and value.position < outputs and place:
            name = names[value.position]
            lines.append(Line(f"{name} = {name}.movedim(0, {place})"))
    return lines


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


def _split(body: Body, scan: Scan) -> Split | None:
    """How the cell is called in two parts; None where nothing would be left of its steps."""
    split = body.scope.splits.get(id(scan.part.callee))
    late = {*scan.step.inputs[: scan.sequences]} & {*(split.late if split else ())}
    return split if split and (late or any(x.shape.dots for x in split.crossing)) else None


def _cell(body: Body, scan: Scan) -> str:
    """The cell, under a name where its type is lost in a list."""
    cell = body.access.part(scan.part)
    if cell.removeprefix("self.").isidentifier():
        return cell
    name = body.names.fresh("cell")
    body.lines.append(Line(f"{name}: Any = {cell}"))
    return name


def _in_two(body: Body, scan: Scan, split: Split, cell: str, states: Sequence[str]) -> _Steps:
    """What the cell computes ahead, and steps that call the rest."""
    callee, place = scan.part.callee, _place(scan)
    assert isinstance(callee, ResolvedModel)
    inputs = dict(zip(scan.step.inputs, scan.operands, strict=True))
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
