"""Charts as data: what they show, checked when it is given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tncompile.inspection.charts.numbers import Axis, amount, finite, total_of, words
from tncompile.language.diagnostics.spelling import one_of

AMOUNT = Axis()


@dataclass(frozen=True)
class Series:
    """A line: its name, and points (x, y) in their order; a y of None leaves a gap."""

    name: str
    points: Sequence[tuple[float, float | None]]

    def __post_init__(self) -> None:
        words(self.name, "the name of a series")
        for x, y in self.points:
            finite(x, f"an x of {self.name}")
            if y is not None:
                finite(y, f"a y of {self.name}")


@dataclass(frozen=True)
class Level:
    """A horizontal line to compare with; `band` is how far around it is shaded, as a share."""

    y: float
    name: str
    band: float = 0.0

    def __post_init__(self) -> None:
        words(self.name, "the name of a level")
        finite(self.y, f"the level {self.name}")
        if not 0 <= amount(self.band, f"the band of {self.name}") < 1:
            raise ValueError(f"the band of {self.name} is a share below 1, not {self.band}")


@dataclass(frozen=True)
class Threshold:
    """A vertical line with a label: where something changes."""

    x: float
    name: str

    def __post_init__(self) -> None:
        words(self.name, "the name of a threshold")
        finite(self.x, f"the threshold {self.name}")


@dataclass(frozen=True)
class Highlight:
    """A point with a ring and a label."""

    x: float
    y: float
    name: str

    def __post_init__(self) -> None:
        words(self.name, "the name of a highlighted point")
        finite(self.x, f"the x of {self.name}")
        finite(self.y, f"the y of {self.name}")


@dataclass(frozen=True)
class Lines:
    """Lines over an axis, with their names at their ends.

    >>> Lines("Time against batch", [Series("this plan", [(1, 2e-5), (2, 3e-5), (4, 5e-5)])])
    Lines(title='Time against batch', series=[Series(name='this plan', ...
    """

    title: str
    series: Sequence[Series]
    x: Axis = AMOUNT
    y: Axis = AMOUNT
    level: Level | None = None
    thresholds: Sequence[Threshold] = ()
    highlight: Highlight | None = None
    note: str = ""  # goes on in the description

    def __post_init__(self) -> None:
        words(self.title, "the title")
        if self.level is not None and self.y.log and self.level.y <= 0:
            raise ValueError(f"the level {self.level.name} is {self.level.y}, on a log axis")


@dataclass(frozen=True)
class Step:
    """A bar of a stack: its name, and an amount for each layer, from below."""

    name: str
    amounts: Sequence[float]
    total: float = field(init=False)

    def __post_init__(self) -> None:
        words(self.name, "the name of a step")
        for each in self.amounts:
            amount(each, f"an amount at {self.name}")
        object.__setattr__(self, "total", total_of(self.amounts, f"the sum at {self.name}"))


@dataclass(frozen=True)
class Stacks:
    """Layers on each other, a bar a step; the highest one has a label.

    `phases` are names of two parts, the second of which begins at step `divider`.

    >>> Stacks("Memory", ("input", "weights"), [Step("t1", (64, 32)), Step("t2", (64, 96))]).peak
    1
    """

    title: str
    layers: Sequence[str]
    steps: Sequence[Step]
    y: Axis = AMOUNT
    divider: int | None = None
    phases: tuple[str, str] = ("forward", "backward")
    note: str = ""

    def __post_init__(self) -> None:
        words(self.title, "the title")
        for each in (*self.layers, *self.phases):
            words(each, "the name of a layer or phase")
        for step in self.steps:
            if len(step.amounts) != len(self.layers):
                raise ValueError(
                    f"{step.name} has {len(step.amounts)} amounts for {len(self.layers)} layers"
                )
        if self.divider is not None and not 0 < self.divider < len(self.steps):
            raise ValueError(f"the divider is within the {len(self.steps)} steps")
        if self.y.log:
            raise ValueError("stacks have no log axis: lengths would say nothing")

    @property
    def peak(self) -> int:
        """Which bar is the highest; the first of several."""
        totals = [step.total for step in self.steps]
        return totals.index(max(totals))


@dataclass(frozen=True)
class Dot:
    """A point of a scatter; `size` is its area."""

    name: str
    x: float
    y: float
    size: float = 1.0

    def __post_init__(self) -> None:
        words(self.name, "the name of a point")
        finite(self.x, f"the x of {self.name}")
        finite(self.y, f"the y of {self.name}")
        amount(self.size, f"the size of {self.name}")


LOG = Axis(log=True)


@dataclass(frozen=True)
class Scatter:
    """Points with names, of which less is better on both axes; `chosen` is one of them, by number.

    >>> Scatter("Plans", [Dot("search", 1e6, 2e-3), Dot("sweep", 2e6, 1e-3)], chosen=1).chosen
    1
    """

    title: str
    dots: Sequence[Dot]
    x: Axis = LOG
    y: Axis = LOG
    size: Axis = AMOUNT
    chosen: int | None = None
    note: str = ""

    def __post_init__(self) -> None:
        words(self.title, "the title")
        if self.chosen is not None and not 0 <= self.chosen < len(self.dots):
            raise ValueError(f"there is no point {self.chosen} of {len(self.dots)}")


def front_of(dots: Iterable[Dot]) -> list[Dot]:
    """The points that no other beats on one axis without being worse on the other, by x.

    >>> dots = [Dot("first", 1, 4), Dot("second", 2, 2), Dot("third", 3, 3)]
    >>> [dot.name for dot in front_of(dots)]
    ['first', 'second']
    """
    found: list[Dot] = []
    for dot in sorted(dots, key=lambda each: (each.x, each.y)):
        if not found or dot.y < found[-1].y:
            found.append(dot)
    return found


@dataclass(frozen=True)
class Part:
    """A part of a whole: its own weight, and parts of its own; `kind` is a word for its color.

    >>> Part("attention", 8, [Part("q", 64), Part("k", 64)]).total
    136.0
    """

    name: str
    weight: float = 0.0
    parts: Sequence[Part] = ()
    kind: str = ""
    total: float = field(init=False)

    def __post_init__(self) -> None:
        words(self.name, "the name of a part")
        words(self.kind, f"the kind of {self.name}")
        weights = [amount(self.weight, f"the weight of {self.name}")]
        weights += [part.total for part in self.parts]
        object.__setattr__(self, "total", total_of(weights, f"the weight of {self.name}"))


@dataclass(frozen=True)
class TreeMap:
    """Rectangles as large as weights, parts in the frames of their wholes.

    `colors` are those of the parts in the first row, or of kinds.

    >>> TreeMap("Parameters", [Part("embedding", 512), Part("head", 64)]).total
    576.0
    """

    title: str
    parts: Sequence[Part]
    measure: Axis = AMOUNT
    colors: Literal["part", "kind"] = "part"
    depth: int = 3
    note: str = ""
    total: float = field(init=False)

    def __post_init__(self) -> None:
        words(self.title, "the title")
        one_of("colors", self.colors, ("part", "kind"))
        if not 1 <= self.depth <= 3:
            raise ValueError(f"depth is from 1 to 3, not {self.depth}")
        weights = (part.total for part in self.parts)
        object.__setattr__(self, "total", total_of(weights, "the whole weight"))


@dataclass(frozen=True)
class Bars:
    """Rows: a name, a bar, a number.

    >>> Bars("Shares of the time", [("t1", 0.44), ("t2", 0.5)]).rows[0]
    ('t1', 0.44)
    """

    title: str
    rows: Sequence[tuple[str, float]]
    measure: Axis = AMOUNT
    note: str = ""

    def __post_init__(self) -> None:
        words(self.title, "the title")
        for name, value in self.rows:
            amount(value, f"the bar of {words(name, 'the name of a bar')}")


@dataclass(frozen=True)
class Spectrum:
    """Singular values against their number, those of `fresh` weights beside them; `rank` is a cut.

    >>> Spectrum("Bond b[0]", [2.0, 1.0, 0.1], rank=2).rank
    2
    """

    title: str
    values: Sequence[float]
    fresh: Sequence[float] = ()
    rank: int | None = None
    names: tuple[str, str] = ("trained", "fresh weights")
    note: str = ""

    def __post_init__(self) -> None:
        words(self.title, "the title")
        for value in (*self.values, *self.fresh):
            amount(value, "a singular value")
        for name in self.names:
            words(name, "the name of a series")
        if self.rank is not None and not 0 <= self.rank <= len(self.values):
            raise ValueError(f"rank is from 0 to {len(self.values):,}, not {self.rank}")


Chart = Lines | Stacks | Scatter | TreeMap | Bars | Spectrum
