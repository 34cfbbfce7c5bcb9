"""Values made of numbers and sizes: no operands.

Options: `n` and the parts of `size` are sizes; `size` is a shape, whose `...` is the model's.
`start`, `end` and `fill_value` are numbers.
"""

from __future__ import annotations

from tncompile.language.typing.functions.declaring.arguments import count, legs, real, scalar, size
from tncompile.language.typing.functions.declaring.binding import Bound, Function, option
from tncompile.language.typing.functions.declaring.kinds import Kinds
from tncompile.language.typing.values import Kind, Shape

FLOAT = Kinds("float")


def _line(bound: Bound) -> Shape:
    return Shape((bound.size("n"),))


def _square(bound: Bound) -> Shape:
    return Shape((bound.size("n"),) * 2)


def _filled(bound: Bound) -> Shape:
    return bound.shape("size")


def _full(bound: Bound) -> tuple[Kind, Shape]:
    kinds: dict[type, Kind] = {bool: "bool", int: "int", float: "float"}
    return kinds[type(bound.options["fill_value"])], bound.shape("size")


START, END = option("start", real), option("end", real)

FUNCTIONS = (
    Function("arange", (option("n", size),), Kinds("int"), _line),
    Function("linspace", (START, END, option("n", count)), FLOAT, _line),
    Function("zeros", (option("size", legs),), FLOAT, _filled),
    Function("ones", (option("size", legs),), FLOAT, _filled),
    Function("full", (option("size", legs), option("fill_value", scalar)), FLOAT, _full),
    Function("eye", (option("n", size),), FLOAT, _square),
)
