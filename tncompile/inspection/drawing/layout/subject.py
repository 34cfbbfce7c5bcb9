"""What a drawing shows, before anything has a place: nodes, strips of cells, legs with their ends.

Networks and models are read into it, folding makes a smaller one of it, layouts place it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tncompile.inspection.drawing import signs
from tncompile.inspection.drawing.scene import Scene
from tncompile.inspection.drawing.text import Line

Sign = Literal[
    "tensor", "window", "more", "subtree", "model", "layer", "function", "stored", "frame"
]
CellKind = Literal["legs", "onehot", "slice", "batch", "more"]


@dataclass(frozen=True)
class Node:
    """A tensor, a window, or what is folded; `shade` numbers the parameters that occur twice."""

    key: str
    sign: Sign
    family: str
    subscripts: tuple[int, ...]
    label: Line
    legs: tuple[str, ...]
    title: str
    shade: int | None = None
    frozen: bool = False
    count: int = 1  # of tensors it stands for
    small: Line = ()  # the same label where there is little room
    note: Line = ()  # a second line
    inner: Scene | None = None  # what a frame holds
    link: str = ""  # a place of the page that it leads to
    members: tuple[str, ...] = ()  # nodes that are folded into it

    @property
    def height(self) -> float:
        """Of its box, in px."""
        if self.inner is not None:
            return self.inner.extent().height + 2 * signs.FRAME + signs.FRAME_TITLE
        if self.sign == "more":
            return signs.MORE_HEIGHT
        return signs.NOTED_HEIGHT if self.note else signs.NODE_HEIGHT


@dataclass(frozen=True)
class End:
    """Where a leg ends: a node, or a cell of a strip."""

    key: str
    cell: int | None = None


@dataclass(frozen=True)
class Leg:
    """An index: a line between two ends, or a dot with a line to each of more (or to one)."""

    name: str
    size: int | None
    ends: tuple[End, ...]
    title: str
    label: Line = ()
    short: Line = ()  # the same where there is little room

    def labeled(self, *, named: bool) -> Line:
        """Its label, or the short one."""
        return self.label if named else self.short

    @property
    def is_line(self) -> bool:
        """Whether it is drawn without a dot: two ends, not both of them at inputs."""
        at_inputs = all(end.key.startswith("input ") for end in self.ends)
        return len(self.ends) == 2 and not at_inputs

    @property
    def width(self) -> float:
        """Of its line, in px."""
        return signs.line_width(self.size)


@dataclass(frozen=True)
class Cell:
    """A part of a strip: an axis, or a slice; `padded` is the share of it that is padding."""

    kind: CellKind
    text: Line
    legs: tuple[str, ...] = ()
    grouped: bool = False
    padded: float = 0.0
    onehot: bool = False  # of a slice: ids run over its legs
    alike: bool = False  # whether all legs are one value, so that their order says nothing


@dataclass(frozen=True)
class Strip:
    """An input or the output, a cell an axis."""

    key: str
    role: Literal["input", "output"]
    name: Line
    cells: tuple[Cell, ...]
    title: str


@dataclass(frozen=True)
class Added:
    """A bias: its node, and along which legs it runs where that is not all of the output's."""

    node: Node
    along: str = ""


@dataclass(frozen=True)
class Subject:
    """All that a drawing shows. `batches` are the names of axes that run past the network."""

    name: str
    target: str
    nodes: dict[str, Node]
    inputs: tuple[Strip, ...]
    output: Strip
    legs: dict[str, Leg]
    batches: dict[str, tuple[str, ...]]  # a batch index, and the strips that have it
    biases: tuple[Added, ...] = ()
    tensors: int = 0  # of the network, folded ones included
    folded: bool = False

    @property
    def strips(self) -> tuple[Strip, ...]:
        """Inputs, then the output."""
        return (*self.inputs, self.output)


GAP = "⋯"
"""The legs that were left out at one place of a strip."""


@dataclass(frozen=True)
class Group:
    """Nodes of one row, in order; `chain` where neighbors are joined, `ring` where the ends are."""

    members: tuple[str, ...]
    chain: bool = False
    ring: bool = False


@dataclass(frozen=True)
class Rows:
    """Rows in half steps: strips of inputs are 0, nodes have even numbers, `top` is the output.

    A dot, `dot NAME` in `of`, stands in an odd row, between two others.
    """

    of: dict[str, int]
    top: int
