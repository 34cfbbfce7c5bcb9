"""The text of tensor programs: one line a step."""

from __future__ import annotations

from tncompile.program.operation import Operation, attributes, results, sources
from tncompile.program.program import Extent, TensorProgram, Value
from tncompile.program.variants import Branch, Branches


def describe_program(program: TensorProgram) -> str:
    """Result, shape, operation and operands of each step, then what is returned.

    The batch axes `...` are one axis of length `B`.
    """
    lines: list[str] = []
    loop = program.loop
    for number, step in enumerate(program.steps):
        if loop is not None and number == loop.start:
            recomputed = ", recomputed in backward" if loop.recompute else ""
            index = _extent(Extent(1, (loop.index,)))
            lines.append(f"for every {loop.rows} of {index}{recomputed}:")
        if loop is not None and number == loop.stop:
            lines.append("after the loop:")
        operation = step.operation
        targets = ", ".join(_declared(program.values[name]) for name in results(operation))
        operands = ", ".join((*sources(operation), *_attributes(operation)))
        note = f"  # {step.note}" if step.note else ""
        lines.append(f"{targets} = {type(operation).__name__}({operands}){note}")
        if step.drops:
            lines.append(f"drop {', '.join(step.drops)}")
    lines.append(f"return {', '.join(program.returns)}")
    return "\n".join(lines) + "\n"


def describe_branches(branches: Branches) -> str:
    """Every program once, under the modes and sizes that it is for."""
    sections = {id(branches.whole): (branches.whole, ["whole"])}
    for mode in ("training", "inference", "folded"):
        branch: Branch
        for branch in getattr(branches, mode):
            _, titles = sections.setdefault(id(branch.program), (branch.program, []))
            titles.append(mode if branch.up_to is None else f"{mode} up to {branch.up_to:,}")
    return "\n".join(
        f"{', '.join(titles)}:\n{describe_program(program)}"
        for program, titles in sections.values()
    )


def _declared(value: Value) -> str:
    axes = (
        f"{' '.join(axis) or '1'}: {_extent(length)}"
        for axis, length in zip(value.axes, value.shape, strict=True)
    )
    return f"{value.name}({', '.join(axes)})"


def _extent(length: Extent) -> str:
    names = ["B" if name == "..." else name for name in length.names]
    return "·".join([*names, *([str(length.factor)] if length.factor != 1 or not names else [])])


def _attributes(operation: Operation) -> list[str]:
    """What an operation needs besides its operands; long lists by their ends."""
    texts: list[str] = []
    for name, value in attributes(operation):
        if isinstance(value, tuple) and len(value) > 8:
            value = f"{value[0]} … {value[-1]}, {len(value)} in all"
        if value is not False:
            texts.append(f"{name}={value}")
    return texts
