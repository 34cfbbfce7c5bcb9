"""Drawings of networks as text, read back: which tensors each line joins.

A name of the network is a node, `<h>` the window h; a name of an index lies in its line, at an end
of it, or to the right of it (`│ r`). `●` joins lines, `┼` crosses them. Lines that bear the same
name are one index; a line without a name is told by what it joins.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import networkx

from tncompile.network.model import TensorNetwork

UP, DOWN, LEFT, RIGHT = (-1, 0), (1, 0), (0, -1), (0, 1)
STEPS = {
    "│": (UP, DOWN),
    "─": (LEFT, RIGHT),
    "┌": (RIGHT, DOWN),
    "┐": (LEFT, DOWN),
    "└": (UP, RIGHT),
    "┘": (UP, LEFT),
    "┼": (UP, DOWN, LEFT, RIGHT),
    "●": (UP, DOWN, LEFT, RIGHT),
}
"""Where a line goes on from a character."""

NAME = re.compile(r"<?[^\W\d]\w*(?:\[\d+(?:,\d+)*\])?(?:\.(?:in|out))?>?")
BIAS = re.compile(r" {3}\+ (\w+)$")

Cell = tuple[int, int]


@dataclass(frozen=True)
class Name:
    """A name and where it stands."""

    text: str
    row: int
    column: int


@dataclass
class Line:
    """A line: the names of indices on it, and how it enters each; the nodes at its ends.

    One that ends nowhere is `loose`: it goes on where its name is again.
    """

    indices: list[tuple[Name, Cell | None]] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)
    loose: bool = False


def picture(doc: str | None) -> list[str]:
    """The lines of the drawing in a docstring, without indentation; [] where it has none."""
    found = [text for text in (doc or "").split("\n\n") if text.startswith("    ")]
    assert len(found) <= 1
    return [line.removeprefix("    ") for text in found for line in text.rstrip().split("\n")]


def compact(name: str) -> str:
    """`v[0, 1]` as it stands in a drawing."""
    return name.replace(" ", "")


class Drawn:
    """What a drawing says of a network: `tensors`, `lines`, and `bias` where it has one."""

    def __init__(self, rows: list[str], nodes: set[str]) -> None:
        bias = BIAS.search(rows[0])
        self.bias = bias[1] if bias else None
        self._rows = [BIAS.sub("", rows[0]), *rows[1:]]
        names = [
            Name(match[0], row, match.start())
            for row, text in enumerate(self._rows)
            for match in NAME.finditer(text)
        ]
        self._names = {
            (name.row, name.column + k): name for name in names for k in range(len(name.text))
        }
        self._nodes = nodes
        self.tensors = Counter(name.text for name in names if name.text in nodes)
        self.lines = self._joined(names)

    def _at(self, cell: Cell) -> str:
        row, column = cell
        inside = 0 <= row < len(self._rows) and 0 <= column < len(self._rows[row])
        return self._rows[row][column] if inside else " "

    def _strands(self, cell: Cell) -> Iterator[tuple[tuple[Cell, bool], tuple[Cell, ...]]]:
        """The lines through a cell: `┼` is two, one of them upright."""
        steps = STEPS[self._at(cell)]
        if self._at(cell) == "┼":
            yield (cell, True), (UP, DOWN)
            yield (cell, False), (LEFT, RIGHT)
        else:
            yield (cell, False), steps

    def _joined(self, names: list[Name]) -> list[Line]:
        graph: networkx.Graph[object] = networkx.Graph()
        ends: list[tuple[tuple[Cell, bool], Name, Cell]] = []
        loose: list[tuple[Cell, bool]] = []
        for row, text in enumerate(self._rows):
            for column, character in enumerate(text):
                cell = row, column
                if cell in self._names or character == " ":
                    continue
                assert character in STEPS, f"{character!r} at {cell}"
                for strand, steps in self._strands(cell):
                    graph.add_node(strand)
                    for step in steps:
                        there = row + step[0], column + step[1]
                        if there in self._names:
                            ends.append((strand, self._names[there], step))
                        elif other := self._meets(there, step):
                            graph.add_edge(strand, other)
                        elif character == "─" and self._at(there) == " ":
                            loose.append(strand)
                        else:
                            assert character == "●", f"{character!r} at {cell} meets nothing"
        lines: dict[object, Line] = {}
        for strand, name, _ in ends:
            if name.text not in self._nodes:
                graph.add_edge(strand, name)
        entered = {name for _, name, _ in ends}
        for name in names:
            beside = name.row, name.column - 2
            if name not in entered and name.text not in self._nodes:
                assert self._at(beside) == "│", f"{name.text} is on no line"
                graph.add_edge((beside, False), name)
        for part in networkx.connected_components(graph):
            line = Line()
            for node in part:
                lines[node] = line
                if isinstance(node, Name) and node not in entered:
                    line.indices.append((node, None))
        for strand, name, step in ends:
            if name.text in self._nodes:
                lines[strand].nodes.append(name.text)
            else:
                lines[strand].indices.append((name, step))
        for strand in loose:
            lines[strand].loose = True
        return list({id(line): line for line in lines.values()}.values())

    def _meets(self, there: Cell, step: Cell) -> tuple[Cell, bool] | None:
        """The line at a cell that goes on to where it is entered from."""
        if self._at(there) not in STEPS:
            return None
        back = -step[0], -step[1]
        return next((strand for strand, steps in self._strands(there) if back in steps), None)


def check_picture(rows: list[str], network: TensorNetwork) -> None:
    """Raise AssertionError unless the drawing has all of the network, and nothing else."""
    windows = {f"<{window.name}>" for window in network.windows}
    parameters = [tensor for tensor in network.tensors if tensor.role == "parameter"]
    tensors = {compact(tensor.name) for tensor in parameters}
    drawn = Drawn(rows, tensors | windows)
    assert drawn.tensors == Counter(tensors | windows)
    biases = [network.parameter[bias.parameter].family for bias in network.biases]
    assert [drawn.bias] * (drawn.bias is not None) == biases

    wanted: dict[str, set[str]] = {
        compact(index.name): set()
        for index in network.indices
        if index.kind not in ("batch", "dots")
    }
    for tensor in parameters:
        for leg in tensor.legs:
            wanted[compact(leg)].add(compact(tensor.name))
    for window in network.windows:
        for leg in (window.input_leg, window.output_leg, window.kernel_leg):
            wanted[leg].add(f"<{window.name}>")

    named = Counter(label for line in drawn.lines for label in {n.text for n, _ in line.indices})
    found: dict[str, set[str]] = {}
    unnamed: list[frozenset[str]] = []
    for line in drawn.lines:
        assert len(line.nodes) == len(set(line.nodes)), f"a line returns to {line.nodes}"
        labels = {name.text for name, _ in line.indices}
        assert len(labels) <= 1, f"one line is {labels}"
        again = labels and all(named[label] > 1 for label in labels)
        assert again or not line.loose, f"{labels} is loose"
        if not labels:
            unnamed.append(frozenset(line.nodes))
        for label in labels:
            found[label] = found.get(label, set()) | set(line.nodes)
    assert found.keys() <= wanted.keys(), found.keys() - wanted.keys()
    for label, nodes in found.items():
        assert nodes == wanted[label], f"{label} joins {nodes}"
    rest = Counter(frozenset(wanted[name]) for name in wanted.keys() - found.keys())
    assert Counter(unnamed) == rest, f"lines without a name: {unnamed}"

    inputs = {compact(leg) for t in network.tensors if t.role == "input" for leg in t.legs}
    outputs = {compact(leg) for leg in network.output.legs}
    for label in found:
        steps = [s for line in drawn.lines for name, s in line.indices if name.text == label]
        assert (UP in steps) <= (label in outputs) or len(steps) > 1, f"{label} is above"
        assert (DOWN in steps) <= (label in inputs) or len(steps) > 1, f"{label} is below"
        if label in inputs & outputs:
            assert {UP, DOWN} <= set(steps), f"{label} is an input and an output"
