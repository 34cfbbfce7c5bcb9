"""The texts of an emitted file: its header and the docstring of its class."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

from tncompile.emission.module.contraction_order import size_names, write_order
from tncompile.emission.module.dispatch import Dispatch
from tncompile.emission.module.quantized import described
from tncompile.emission.text import writer
from tncompile.emission.text.identifiers import batch_name, window_lengths
from tncompile.emission.text.members import ParameterAccess
from tncompile.emission.text.writer import WIDTH, compact, filled
from tncompile.network.model import DOTS, TensorNetwork
from tncompile.network.packing import Codes
from tncompile.network.windows import Window
from tncompile.planning.plan import ContractionPlan
from tncompile.planning.wording import SHOWN
from tncompile.program.program import TensorProgram

ROOM = WIDTH - 4
"""Columns of the docstring of a class."""


def write_header(network: TensorNetwork, plan: ContractionPlan) -> list[str]:
    """Who made the file, from what, for what."""
    sizes = ", ".join(
        f"{size}" if name == DOTS else f"{name} = {size}" for name, size in plan.main.sizes.items()
    )
    batch = f"a batch of {sizes}" if sizes else "no batch axes"
    run = "a training step" if plan.training else "inference"
    planned = f"Planned for the least {plan.minimize} of {run} with {batch}, {plan.decided_by}."
    origin = f"Made by tncompile from {network.target}."
    return [*writer.comment_lines(origin), *writer.comment_lines(planned)]


def write_docstring(
    network: TensorNetwork, chosen: Dispatch, members: ParameterAccess
) -> list[str]:
    """What the class computes, from which parameters, and how: without indentation.

    Where methods differ in the order of contraction, each one says its own.
    """
    lines = [*_doc(network), "", *filled(_equation(network), ROOM, hanging="    ")]
    if network.parameters:
        if members.packed:
            lines += ["", *filled(described(tuple(members.packed.values())), ROOM)]
        lines += ["", "Parameters, by key in the state dict:", *_parameters(network, members)]
    programs = [method.program for method in chosen.methods]
    if chosen.branching:
        invariant = "With `batch_invariant`, `_contract` runs at every size"
        texts = (_choice(chosen), f"{invariant}: the same operations in the same order.")
        for text in (*texts, _legend(network, programs, "in its docstring")):
            lines += ["", *filled(text, ROOM)]
    elif order := write_order(chosen.methods[0], size_names(network), ROOM):
        lines += ["", *order, "", *filled(_legend(network, programs, "above"), ROOM)]
    return writer.docstring(lines)


def _choice(chosen: Dispatch) -> str:
    """Who decides what runs."""
    names = [f"`{method.name}`" for method in chosen.methods]
    once = " Ids that are equal are contracted once." if chosen.repeats else ""
    if len(names) == 1:
        return f"`forward` runs {names[0]}.{once}"
    by = [f"the batch size `{chosen.size}`"] * (len(chosen.training + chosen.inference) > 2)
    if chosen.training != chosen.inference:
        by.append("whether gradients are enabled")
    listed = f"{', '.join(names[:-1])} or {names[-1]}"
    depending = f", depending on {' and on '.join(by)}" if by else ""
    compiled = f"`torch.compile` and exports run {names[0]}."
    return f"`forward` runs {listed}{depending}; {compiled}{once}"


def _legend(network: TensorNetwork, programs: list[TensorProgram], where: str) -> str:
    """How to read the comments of what runs."""
    values = (value for program in programs for value in program.values.values())
    names = {name for value in values for axis in value.axes for name in axis}
    where_run = "`forward`" if len(programs) == 1 else "methods"
    parts = [f"Comments in {where_run} give the axes of each result"]
    if DOTS in names:
        parts.append(f"`{batch_name(network)}` is the product of all leading axes")
    if any(program.loop is not None for program in programs):
        parts.append("`n` is as much of it as one iteration of a loop takes")
    if network.windows:
        parts.append(_lengths_text(network.windows[0]))
    parts.append("names without a comma between them are one axis")
    families = Counter(index.family for index in network.indices if index.subscripts)
    if many := next((family for family, count in families.items() if count > 2), None):
        parts.append(f"ranges are half open (`{many}[0..3]` is {many}[0] to {many}[2])")
    if any(name.startswith("#") for name in names):
        parts.append("`#0` runs over equal products that are batched")
    text = f"{parts[0]}: {', '.join(parts[1:])}"
    return f"{text}. `[1]` is the contraction {where} that a product belongs to."


def _lengths_text(window: Window) -> str:
    """What the names of lengths along a window stand for."""
    length, result = window_lengths(window)
    text = f"`{length}` is the length of {window.input_leg}"
    if result == length:
        return f"{text} and of {window.output_leg}"
    return f"{text}, `{result}` that of {window.output_leg}"


def _doc(network: TensorNetwork) -> list[str]:
    """The documentation of the spec."""
    return writer.doc_lines(network.doc or "", ROOM) or writer.doc_lines(
        f"The tensor network {network.name}.", ROOM
    )


def _equation(network: TensorNetwork) -> str:
    """The output as a sum of products, in the words of the spec."""
    output = set(network.output.legs)
    carried = dict.fromkeys(leg for tensor in network.tensors for leg in tensor.legs)
    summed = ", ".join(compact(leg for leg in carried if leg not in output))
    factors: list[str] = []
    ties: list[str] = []
    for tensor in network.tensors:
        factor = tensor.source if tensor.role == "input" else tensor.name
        factors.append(f"conj({factor})" if tensor.conjugate else factor)
        parameter = network.parameter.get(tensor.source) if tensor.role == "parameter" else None
        if parameter is not None and tensor.name.split("[")[0] != parameter.family:
            subscripts = ", ".join(map(str, parameter.subscripts))
            member = f"{parameter.family}[{subscripts}]" if subscripts else parameter.family
            ties.append(f"{tensor.name} is {member}")
    product = " ".join(compact(dict.fromkeys(factors))) or "1"
    text = f"{network.output.written} = "
    text += f"the sum over {summed} of {product}" if summed else product
    for bias in network.biases:
        text += f" + {network.parameter[bias.parameter].family}"
    if network.output.log:
        text += ", as its sign and the logarithm of its magnitude"
    if ties := list(dict.fromkeys(ties)):
        text += f"; {', '.join(ties if len(ties) <= 6 else [*ties[:5], '…'])}"
    return text + "."


def _parameters(network: TensorNetwork, members: ParameterAccess) -> list[str]:
    """Key, shape and legs, members of a family with one shape on one line."""
    uses = Counter(tensor.source for tensor in network.tensors)
    scales = {packing.scale.key for packing in members.packed.values()}
    rows: list[tuple[str, str, str]] = []
    for _, group in groupby(
        members.parameters, lambda p: (p.family, p.subscripts[:-1], p.shape, p.frozen)
    ):
        first, *others = group
        key = f"{first.key} … {others[-1].key}" if others else first.key
        legs = ", ".join(" ".join(axis).lstrip("|") or "1" for axis in first.axes)
        if others:
            legs += " …"
        elif uses[first.key] > 1:
            legs += f" (used {uses[first.key]} times)"
        kind = " (frozen)" * first.frozen
        if isinstance(first, Codes):
            kind = f" ({first.dtype})"
        elif first.key in scales:
            kind = ""
        rows.append((key, shape_text(first.shape), legs + kind))
    lines = table(rows[:SHOWN])
    return lines + [f"    … and {len(rows) - SHOWN} more"] * (len(rows) > SHOWN)


def shape_text(shape: tuple[int, ...]) -> str:
    """`28x16x8`."""
    return "x".join(map(str, shape)) or "scalar"


def table(rows: list[tuple[str, str, str]]) -> list[str]:
    """Key, shape and a text in columns, cut off where a line ends."""
    widths = [max(len(row[k]) for row in rows) for k in (0, 1)]
    lines = (f"    {key:<{widths[0]}}  {shape:<{widths[1]}}  {text}" for key, shape, text in rows)
    return [line[:ROOM].rstrip() for line in lines]
