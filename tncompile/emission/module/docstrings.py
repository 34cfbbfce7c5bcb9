"""The texts of an emitted file: its header and the docstring of its class."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

from tncompile.emission.module.dispatch import Dispatch
from tncompile.emission.text.identifiers import batch_name
from tncompile.emission.text.members import ParameterAccess
from tncompile.emission.text.writer import (
    WIDTH,
    comment_lines,
    compact,
    doc_line,
    docstring,
    filled,
    filled_docs,
)
from tncompile.lowering.stacking.grouping import made_by, units
from tncompile.network.contraction import Contraction, ContractionTree, multiply_adds
from tncompile.network.model import DOTS, Parameter, TensorNetwork
from tncompile.planning.plan import ContractionPlan
from tncompile.planning.wording import SHOWN, largest_rows
from tncompile.program.program import TensorProgram


def write_header(network: TensorNetwork, plan: ContractionPlan) -> list[str]:
    """Who made the file, from what, for what."""
    lines = comment_lines(f"Made by tncompile from {network.target}.")
    run = "a training step" if plan.training else "inference"
    planned = f"Planned for the least {plan.minimize} of {run} with {_planned_for(plan)}"
    return lines + comment_lines(f"{planned}, {plan.decided_by}.")


def write_docstring(
    network: TensorNetwork, plan: ContractionPlan, chosen: Dispatch, members: ParameterAccess
) -> list[str]:
    """What the class computes, from which parameters, and how: without indentation.

    Where methods differ in the order of contraction, each one says its own.
    """
    room = WIDTH - 4
    lines = [*_doc(network, room), "", *filled(_equation(network), room, hanging="    ")]
    if network.parameters:
        lines += ["", "Parameters, by key in the state dict:", *_parameters(network, members, room)]
    programs = [method.program for method in chosen.methods]
    if chosen.branching:
        lines += ["", *filled(_choice(chosen), room), "", *filled(BATCH_INVARIANT, room)]
        lines += ["", *filled(_legend(network, programs, "in its docstring"), room)]
    elif plan.main.tree.steps:
        lines += ["", *_contraction(network, plan, chosen.methods[0].origin, room)]
        lines += ["", *filled(_legend(network, programs, "above"), room)]
    return docstring(lines)


BATCH_INVARIANT = (
    "With `batch_invariant`, `_contract` runs at every size: the same operations in the same order."
)


def _choice(chosen: Dispatch) -> str:
    """Who decides what runs."""
    names = [f"`{method.name}`" for method in chosen.methods]
    by = [f"the batch size `{chosen.size}`"] * (len(chosen.training + chosen.inference) > 2)
    if chosen.training != chosen.inference:
        by.append("whether gradients are enabled")
    listed = f"{', '.join(names[:-1])} or {names[-1]}"
    depending = f", depending on {' and on '.join(by)}" if by else ""
    return f"`forward` runs {listed}{depending}; `torch.compile` and exports run `{chosen.whole}`."


def _legend(network: TensorNetwork, programs: list[TensorProgram], where: str) -> str:
    """How to read the comments of what runs."""
    values = (value for program in programs for value in program.values.values())
    names = {name for value in values for axis in value.axes for name in axis}
    held = "`forward`" if len(programs) == 1 else "methods"
    parts = [f"Comments in {held} give the axes of each result"]
    if DOTS in names:
        parts.append(f"`{batch_name(network)}` is the product of all leading axes")
    if any(program.loop is not None for program in programs):
        parts.append("`n` is as much of it as one iteration of a loop takes")
    parts.append("names without a comma between them are one axis")
    families = Counter(index.family for index in network.indices)
    if many := next((family for family, count in families.items() if count > 2), None):
        parts.append(f"ranges are half open (`{many}[0..3]` is {many}[0] to {many}[2])")
    if any(name.startswith("#") for name in names):
        parts.append("`#0` runs over equal products that are batched")
    text = f"{parts[0]}: {', '.join(parts[1:])}"
    return f"{text}. `[1]` is the contraction {where} that a product belongs to."


def _doc(network: TensorNetwork, room: int) -> list[str]:
    """The documentation of the spec."""
    text = network.doc or f"The tensor network {network.name}."
    lines: list[str] = []
    for line in text.strip().replace("\r\n", "\n").expandtabs().split("\n"):
        fits = len(doc_line(line)) <= room - (3 if not lines else 0)
        lines += [line.rstrip()] if fits else filled_docs(line, room - 3)
    return lines or [network.name]


def _planned_for(plan: ContractionPlan) -> str:
    sizes = ", ".join(
        f"{size}" if name == "..." else f"{name} = {size}" for name, size in plan.main.sizes.items()
    )
    return f"a batch of {sizes}" if sizes else "no batch axes"


# ── the equation ───────────────────────────────────────────────────────────────────────────────


def _equation(network: TensorNetwork) -> str:
    """The output as a sum of products, in the words of the spec."""
    output = set(network.output.legs)
    carried = dict.fromkeys(leg for tensor in network.tensors for leg in tensor.legs)
    summed = _and(compact(leg for leg in carried if leg not in output))
    factors = dict.fromkeys(
        tensor.source if tensor.role == "input" else _factor(tensor.name, tensor.conjugate)
        for tensor in network.tensors
    )
    product = " ".join(compact(factors)) or "1"
    text = f"{network.output.written} = "
    text += f"the sum over {summed} of {product}" if summed else product
    for bias in network.biases:
        text += f" + {network.parameter[bias.parameter].family}"
    if network.output.log:
        text += ", as its sign and the logarithm of its magnitude"
    ties = dict.fromkeys(
        f"{tensor.name} is {_name(network.parameter[tensor.source])}"
        for tensor in network.tensors
        if tensor.role == "parameter"
        and tensor.name.split("[")[0] != _family(network, tensor.source)
    )
    if ties:
        few = list(ties) if len(ties) <= 6 else [*list(ties)[:5], "…"]
        text += f"; {', '.join(few)}"
    return text + "."


def _factor(name: str, conjugate: bool) -> str:
    return f"conj({name})" if conjugate else name


def _family(network: TensorNetwork, key: str) -> str:
    return network.parameter[key].family


def _name(parameter: Parameter) -> str:
    """The parameter as the spec writes it."""
    if not parameter.subscripts:
        return parameter.family
    return f"{parameter.family}[{', '.join(map(str, parameter.subscripts))}]"


def _and(names: list[str]) -> str:
    return ", ".join(names)


# ── parameters ─────────────────────────────────────────────────────────────────────────────────


def _parameters(network: TensorNetwork, members: ParameterAccess, room: int) -> list[str]:
    """Key, shape and legs, members of a family with one shape on one line."""
    uses = Counter(tensor.source for tensor in network.tensors)
    rows: list[tuple[str, str, str]] = []
    for (_, _, _, frozen), group in groupby(
        members.parameters, lambda p: (p.family, p.subscripts[:-1], p.shape, p.frozen)
    ):
        held = list(group)
        first, last = held[0], held[-1]
        key = first.key if len(held) == 1 else f"{first.key} … {last.key}"
        shape = first.shape
        legs = ", ".join(" ".join(axis) for axis in first.axes)
        if len(held) > 1:
            legs += " …"
        elif uses[first.key] > 1:
            legs += f" (used {uses[first.key]} times)"
        rows.append((key, "x".join(map(str, shape)) or "scalar", legs + " (frozen)" * frozen))
    cut = len(rows) - SHOWN
    shown = rows if cut <= 0 else rows[:SHOWN]
    widths = [max(len(row[k]) for row in shown) for k in (0, 1)]
    lines = [
        f"    {key:<{widths[0]}}  {shape:<{widths[1]}}  {legs}"[:room] for key, shape, legs in shown
    ]
    return lines + ([f"    … and {cut} more"] if cut > 0 else [])


# ── the contraction ────────────────────────────────────────────────────────────────────────────


def _contraction(
    network: TensorNetwork, plan: ContractionPlan, program: TensorProgram, room: int
) -> list[str]:
    """Every contraction with its multiply-adds, or the largest ones.

    One whose value `program` has already takes none.
    """
    tree = plan.main.tree
    made = made_by(units(network, tree, grouped=plan.main.schedule.grouped), program)
    sizes = {index.name: index.size or plan.main.sizes[index.name] for index in network.indices}
    legs: list[tuple[str, ...]] = [operand.legs for operand in tree.operands]
    legs += [step.legs for step in tree.steps]
    costs = [
        multiply_adds(sizes, legs[step.left], legs[step.right]) if step.result in made else 0
        for step in tree.steps
    ]
    total = f"{sum(costs):,} multiply-adds"
    chosen = largest_rows(costs)
    count = f"{len(costs)} step{'s' * (len(costs) > 1)}"
    head = f"Contracted in {count}, {total} for {_planned_for(plan)}"
    head += ":" if len(chosen) == len(costs) else ", the largest:"
    rows = [_row(network, tree, tree.steps[k], k) for k in chosen]
    left = min(max(len(row[0]) for row in rows), room // 2)
    lines = filled(head, room)
    for (text, kept), k in zip(rows, chosen, strict=True):
        line = f"    {text:<{left}}  {costs[k]:>{len(f'{max(costs):,}')},}  -> {kept}"
        lines.append(line if len(line) <= room else f"{line[: room - 1]}…")
    return lines


def _row(
    network: TensorNetwork, tree: ContractionTree, step: Contraction, number: int
) -> tuple[str, str]:
    """`[2]  [1] G[1]` and the legs that the result keeps."""
    names = []
    for side in (step.left, step.right):
        if side < len(tree.operands):
            tensor = network.tensors[tree.operands[side].tensor]
            names.append(_factor(tensor.name, tensor.conjugate))
        else:
            names.append(f"[{side - len(tree.operands) + 1}]")
    kept = ", ".join(compact(step.legs)) or "a number"
    picked = ", looked up" if step.lookups else ""
    return f"[{number + 1}] {names[0]} · {names[1]}", kept + picked
