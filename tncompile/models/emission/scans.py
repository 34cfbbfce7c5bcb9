"""`scan` as a loop over an axis: `for x_t in x.unbind(-2): h = self.cell(x_t, h)`."""

from __future__ import annotations

from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.model import ResolvedModel
from tncompile.language.typing.operations import Scan
from tncompile.language.typing.values import Value
from tncompile.models.emission.body import Block, Body, Line
from tncompile.models.emission.calls import arguments
from tncompile.models.emission.expressions import Text
from tncompile.models.emission.stepping.operations import StepScan
from tncompile.models.emission.stepping.texts import kept


def write_scan(body: Body, scan: Scan) -> None:
    """The statements of a `scan`."""
    results = {value.position: value for value in body.results.get(scan, ())}
    if not results:
        return
    step, count = scan.step, scan.sequences
    sequences, states = scan.operands[:count], scan.operands[count:]
    inputs = _input_names(scan)
    for value in sequences:
        if value in body.pending:
            body.assign(value)
    outputs = scan.outputs or 1
    state_names: list[str] = []
    for k, value in enumerate(states):
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
    entries = [body.names.fresh(f"{name}_t") for name in inputs[:count]]
    names = [*entries, *state_names]
    places = {value: Text(name) for value, name in zip(step.operands, names, strict=True)}
    call = body.expression(step, [places[value] for value in arguments(step)])
    given = state_names
    if scan.outputs:
        given = [body.names.fresh("y") for _ in range(scan.outputs)] + state_names
    lines = [Line(f"{', '.join(given)} = {call}")]
    stacks: list[Line] = []
    for k in range(outputs):
        if k not in results:
            continue
        steps = body.names.fresh("steps")
        body.lines.append(Line(f"{steps} = []"))
        lines.append(Line(f"{steps}.append({given[k]})"))
        stacks.append(_stack(body, scan, results[k], steps))
    body.lines.append(Block(_head(body, scan, sequences, entries), tuple(lines)))
    body.lines += stacks
    if isinstance(scan, StepScan):
        body.lines += [Line(line) for line in kept(scan, state_names, body.scope)]
    for k, name in enumerate(state_names):
        if outputs + k in results:
            body.known[results[outputs + k]] = Text(name)


def _input_names(scan: Scan) -> list[str]:
    """What the cell calls its inputs, in the order of the operands."""
    callee = scan.part.callee
    if isinstance(callee, ResolvedModel | ResolvedNetwork) and scan.step.inputs:
        return list(scan.step.inputs)
    count = scan.sequences
    states = len(scan.operands) - count
    return ["x"] * count + ["h"] * states


def _head(body: Body, scan: Scan, sequences: tuple[Value, ...], entries: list[str]) -> str:
    place = len(sequences[0].shape.sizes) + scan.axis
    over: list[str] = []
    for value in sequences:
        dim = place - len(value.shape.sizes)
        text = str(body.met(value).method("unbind", dim))
        over.append(f"reversed({text})" if scan.reverse else text)
    if len(over) == 1:
        return f"for {entries[0]} in {over[0]}:"
    return f"for {', '.join(entries)} in zip({', '.join(over)}, strict=True):"


def _stack(body: Body, scan: Scan, value: Value, steps: str) -> Line:
    """The entries of an output as one value, in the order of the axis."""
    place = len(scan.operands[0].shape.sizes) + scan.axis
    name = body.name(value)
    body.known[value] = Text(name)
    dim = place - len(value.shape.sizes)
    order = "[::-1]" if scan.reverse else ""
    return Line(f"{name} = torch.stack({steps}{order}, dim={dim})", value.text)
