"""What is declared of a layer: its arguments, what it stores, takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, cast

from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Kind, Number, Shape, Value

ArgumentType = Literal["int", "float", "bool", "word", "each", "ints", "padding"]
"""`each` is an int, or a list of one int per axis of a window; `ints` a list of any length.

`padding` is `each` or a word.
"""

MOST_LAYERS = 10_000
"""The most that `num_layers` can be: each of them has tensors of its own."""

ANY = "..."
"""Any number of leading axes."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of torch's; its place among the others is torch's, too.

    least, most  the bounds of a number, or of every number of a list
    words        the strings that it can be
    only         the one value that it may have here, for the reason `why`; None: it is not given
    """

    name: str
    type: ArgumentType
    default: Number | None = None
    needed: bool = False
    least: float | None = None
    most: float | None = None
    words: tuple[str, ...] = ()
    only: Number | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """All arguments of a layer, the defaults included; None where torch's default is None."""

    values: Mapping[str, Number | None]
    axes: int = 0

    def number(self, name: str, default: int = 0) -> int:
        """An int; `default` where there is none."""
        value = self.values[name]
        return default if value is None else cast(int, value)

    def flag(self, name: str) -> bool:
        """A bool."""
        return bool(self.values[name])

    def ints(self, name: str) -> tuple[int, ...]:
        """A list of ints; an int is a list of one."""
        value = cast("int | tuple[int, ...]", self.values[name])
        return value if isinstance(value, tuple) else (value,)

    def each(self, name: str, default: str = "") -> tuple[int, ...]:
        """An int for each axis of the window; those of `default` where there are none."""
        written = self.ints(name if self.values[name] is not None else default)
        return written if len(written) == self.axes else written * self.axes


class Complaint(NamedTuple):
    """What is wrong with an argument beside the others."""

    argument: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Input:
    """What a layer takes: its axes are `...` (only in front), names and numbers."""

    name: str
    axes: tuple[str | int, ...]
    kind: Kind = "float"

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.axes))})"


@dataclass(frozen=True, slots=True)
class LayerCall:
    """The operands of a call, and what the names of the axes of the inputs are bound to."""

    operands: tuple[Value, ...]
    leading: Shape
    sizes: Mapping[str, Size]

    def shape(self, *axes: str | int | Size) -> Shape:
        """The shape with these axes; `...` stands for the leading ones."""
        return Shape(tuple(self._sizes(axes)), self.leading.dots and ANY in axes)

    def _sizes(self, axes: tuple[str | int | Size, ...]) -> Iterator[Size]:
        for axis in axes:
            match axis:
                case "...":
                    yield from self.leading.sizes
                case str():
                    yield self.sizes[axis]
                case int():
                    yield Size.number(axis)
                case _:
                    yield axis


Shapes = Mapping[str, tuple[int, ...]]


def _nothing(settings: Settings) -> Shapes:
    return {}


def _anything(settings: Settings, ranks: tuple[int, ...]) -> tuple[Input, ...]:
    return (Input("input", (ANY,)),)


def _same(settings: Settings, bound: LayerCall) -> tuple[Shape, ...]:
    return (bound.operands[0].shape,)


def _fitting(settings: Settings) -> Complaint | None:
    return None


def _no_least(settings: Settings) -> Mapping[str, int]:
    return {}


def _none_lacking(settings: Settings, rank: int) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Entry:
    """A layer.

    takes     its inputs, for operands with so many axes behind `...`
    gives     the shapes of its results
    counts    how many operands there can be; never more than `takes` has
    wrong     which argument does not fit the others
    least     the least sizes of axes, by their names in `takes`
    lacking   which axis an operand with so many axes lacks
    axes      how many axes its windows have
    linear    whether it takes complex values, too; its result is of the kind of its operand
    training  whether it is another function in training
    behind    how many axes it has behind one batch axis of torch's; 0: torch takes any number
    first     whether all axes after the first, which is for a batch, are behind it
    """

    arguments: tuple[Argument, ...]
    takes: Callable[[Settings, tuple[int, ...]], tuple[Input, ...]] = _anything
    gives: Callable[[Settings, LayerCall], tuple[Shape, ...]] = _same
    counts: tuple[int, ...] = (1,)
    parameters: Callable[[Settings], Shapes] = _nothing
    buffers: Callable[[Settings], Shapes] = _nothing
    wrong: Callable[[Settings], Complaint | None] = _fitting
    least: Callable[[Settings], Mapping[str, int]] = _no_least
    lacking: Callable[[Settings, int], str | None] = _none_lacking
    axes: int = 0
    linear: bool = False
    training: bool = False
    behind: int = 0
    first: bool = False
    names: Mapping[str, Argument] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = {argument.name: argument for argument in self.arguments}
        object.__setattr__(self, "names", names)

    def settings(self, arguments: Mapping[str, Number]) -> Settings:
        """All arguments, with torch's defaults for those that are not given."""
        defaults = {argument.name: argument.default for argument in self.arguments}
        return Settings({**defaults, **arguments}, self.axes)


# ── arguments that several layers have ─────────────────────────────────────────────────────────


def size(name: str, default: int | None = None, *, needed: bool = True) -> Argument:
    """A number of at least 1."""
    return Argument(name, "int", default, needed and default is None, least=1)


def flag(name: str, default: bool, only: bool | None = None, why: str = "") -> Argument:
    """A bool."""
    return Argument(name, "bool", default, only=only, why=why)


def epsilon(default: float | None = 1e-5) -> Argument:
    """What is added to a variance."""
    return Argument("eps", "float", default, least=0)


def probability(name: str, default: float) -> Argument:
    """A number from 0 to 1."""
    return Argument(name, "float", default, least=0, most=1)


AXES: Mapping[int, tuple[str, ...]] = {1: ("l",), 2: ("h", "w"), 3: ("d", "h", "w")}
"""What the axes of windows are called in messages."""


def spatial(
    axes: int, channels: str | None = None
) -> Callable[[Settings, tuple[int, ...]], tuple[Input, ...]]:
    """One input, with channels before the axes of windows; `channels` says how many."""

    def takes(settings: Settings, ranks: tuple[int, ...]) -> tuple[Input, ...]:
        count = "c" if channels is None else settings.number(channels)
        return (Input("input", (ANY, count, *AXES[axes])),)

    return takes


BIAS = flag("bias", True)
IN_PLACE = flag("inplace", False, False, "values of a model never change")
