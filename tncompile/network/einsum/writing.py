"""The `.tn` text of operands that are aligned."""

from __future__ import annotations

import re
from collections import Counter

from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.formatting import format_program
from tncompile.language.parsing import parse, parse_target
from tncompile.language.syntax.source import SourceFile
from tncompile.network.einsum.aligning import Aligned, Axis, Copy, Single
from tncompile.network.einsum.reading import DOTS, DotsAxis

_LONGEST_NAME = 60


def write(aligned: Aligned, inputs: int, name: str, title: str) -> str:
    """The canonical text of the network; its docstring has the `title`."""
    names = _Names(aligned)
    ends = Counter(axis for axes in (*aligned.operands, aligned.output) for axis in axes)
    ends.update(axis for copy in aligned.copies for axis in (copy, copy.label))
    # What is summed on one operand alone gets a second end, a vector of ones.
    alone = [axis for axis in aligned.sizes if ends[axis] == 1]
    ends.update(alone)
    outside = {*aligned.output}.union(*aligned.operands[:inputs])
    lines = [f'"""The einsum `{title}`."""', f"network {name}() {{"]
    lines += _dimensions(aligned, names, ends, outside)
    for number, operand in enumerate(aligned.operands):
        if number >= inputs:
            head = f"tensor W{number - inputs}"
        elif inputs == 1 and "x" not in names.used:
            head = "input x"
        else:
            head = f"input {names.fresh(f'x{number}')}"
        lines.append(f"  {head}({names.legs(operand)})")
    lines += _constants(aligned, names, alone)
    result = names.fresh("result" if "y" in names.used else "y")
    lines.append(f"  output {result}({names.legs(aligned.output)})")
    text = "\n".join([*lines, "}"]) + "\n"
    return format_program(parse(SourceFile("<einsum>", text)))


def _dimensions(
    aligned: Aligned, names: _Names, ends: Counter[Axis], outside: set[Axis]
) -> list[str]:
    """The declarations of all indices, by kind."""
    kinds: dict[str, list[str]] = {"batch": [], "index": [], "bond": [], "hyper": []}
    for axis, size in aligned.sizes.items():
        if size is None:
            kinds["batch"].append(names.of[axis])
        else:
            inner = "bond" if ends[axis] == 2 else "hyper"
            kinds["index" if axis in outside else inner].append(f"{names.of[axis]} = {size}")
    if names.singles:
        variable = names.fresh("k")
        kinds["index"] += [f"{single}[{variable} in 0..0] = 1" for single in names.singles]
    return [f"  {kind} {', '.join(items)}" for kind, items in kinds.items() if items]


def _constants(aligned: Aligned, names: _Names, alone: list[Axis]) -> list[str]:
    """Frozen tensors: an identity matrix for each diagonal, ones to sum over."""
    lines: list[str] = []
    identities: dict[Axis, str] = {}
    for copy in aligned.copies:
        stem = names.fresh(f"eye_{names.of[copy]}")
        first = identities.setdefault(copy.label, stem)
        start = "init eye frozen" if first == stem else f"tie {first}"
        index, other = names.of[copy.label], names.of[copy]
        lines.append(f"  tensor {stem}({index}, {other}) {start}  # a diagonal: {other} is {index}")
    for axis in alone:
        index = names.of[axis]
        stem = names.fresh(f"sum_{index}")
        lines.append(f"  tensor {stem}({index}) init ones frozen  # nothing else carries it")
    return lines


class _Names:
    """The name of every axis; axes of size 1 are groups of `singles`, empty families."""

    def __init__(self, aligned: Aligned) -> None:
        self.of: dict[Axis, str] = {}
        self._tries: Counter[str] = Counter()
        # Tensors are W0, W1, …: those are the keys of the state dict.
        self.used = {f"W{number}" for number in range(len(aligned.operands))}
        for axis in aligned.sizes:
            if isinstance(axis, str) and axis not in self.used and is_name(axis):
                self.of[axis] = axis
        self.used.update(self.of.values())
        for axis in aligned.sizes:
            if axis not in self.of and not isinstance(axis, Copy):
                self.of[axis] = self.fresh(_wanted(axis))
        for copy in aligned.copies:
            self.of[copy] = self.fresh(f"{self.of[copy.label]}_{copy.number}")
        every = (axis for axes in (*aligned.operands, aligned.output) for axis in axes)
        most = max((axis.number for axis in every if isinstance(axis, Single)), default=0)
        self.singles = [self.fresh(f"one_{n}" if n > 1 else "one") for n in range(1, most + 1)]
        for number, name in enumerate(self.singles, start=1):
            self.of[Single(number)] = f"({name}[*])"
        self.of[DOTS] = DOTS

    def fresh(self, wanted: str) -> str:
        """The name, with a number behind it where it is taken; it is taken from now on."""
        name = wanted
        while name in self.used:
            self._tries[wanted] += 1
            name = f"{wanted}_{self._tries[wanted] + 1}"
        self.used.add(name)
        return name

    def legs(self, axes: tuple[Axis, ...]) -> str:
        """What stands in the parentheses behind a tensor's name."""
        return ", ".join(self.of[axis] for axis in axes)


def _wanted(axis: Axis) -> str:
    """A name for an index that the language has no such name for."""
    match axis:
        case int():
            return f"i{axis}"
        case DotsAxis():
            return f"d{axis.number}"
        case str() if len(axis) == 1:
            return f"u{ord(axis):x}"
        case _:
            cleaned = re.sub("[^A-Za-z0-9_]", "_", str(axis))[:_LONGEST_NAME]
            return cleaned if is_name(cleaned) else f"leg_{cleaned}"


def is_name(name: str) -> bool:
    """Whether something may be called so: an identifier that is not reserved."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        return False
    if len(name) == 1:
        return True
    try:
        parse_target(name)
    except CompileError:
        return False
    return True
