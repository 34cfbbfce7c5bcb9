"""Which tensors of a network are stored as integers, and how: a rule on shapes alone.

Weights are integers times scales. What is stored so, under which keys and in which shapes, follows
from the network and the option, so that state dicts are known from the file.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, SupportsIndex, get_args

from tncompile.network.model import Init, Parameter, TensorNetwork

Weights = Literal["int8", "int4"]
WEIGHTS: tuple[Weights, ...] = get_args(Weights)

SMALLEST = 256
"""Tensors of fewer entries stay as they are; so do those of one axis, biases and complex ones."""

SHORTEST = 64
"""Entries that one scale is for at least, where an axis is that short."""

GROUP = 64
"""Entries that share a scale in four bits, unless another number is asked for."""

SMALLEST_GROUP, LARGEST_GROUP = 8, 4096


class Codes(Parameter):
    """A stored tensor of integers: codes of eight bits, or two of four in a byte; ids of 64."""

    dtype: Literal["int8", "uint8", "int64"]


@dataclass(frozen=True, slots=True)
class Quantization:
    """What is asked for: the bits, and how many neighbors share a scale.

    Without a `group`, eight bits have a scale for each slice along one axis.
    """

    weights: Weights
    group: int | None = None

    @property
    def bits(self) -> int:
        """Eight or four."""
        return 8 if self.weights == "int8" else 4


@dataclass(frozen=True, slots=True)
class Packing:
    """How one parameter is stored: integers `codes` and a floating `scale`, which are multiplied.

    Without a `group` the codes have the shape of the parameter, and the scale has it, too, but for
    all axes except one, which are of length 1. In groups the parameter is seen as `rows` of
    `columns`, filled up with zeros to whole groups: (rows, groups, entries) codes, or half as many
    bytes, whose low halves are the first entries of the group; and (rows, groups, 1) scales.
    """

    parameter: Parameter
    codes: Codes
    scale: Parameter
    bits: int
    group: int | None
    rows: int
    columns: int

    @property
    def groups(self) -> int:
        """Scales in a row."""
        return 1 if self.group is None else -(-self.columns // self.group)

    @property
    def by_rows(self) -> bool:
        """Whether codes and scales of an entry of the first axis are entries of the first axis."""
        return self.group is None or self.rows == self.parameter.shape[0]

    def stored_bytes(self, width: int = 4) -> int:
        """What codes and scales take, at so many bytes a floating number."""
        return math.prod(self.codes.shape) + width * math.prod(self.scale.shape)


def quantization(weights: str | None, group: int | None = None) -> Quantization | None:
    """The option as a value; None where nothing is quantized.

    Raises ValueError for another kind of weights, or a group that there is not.
    """
    if weights is None:
        if group is not None:
            raise ValueError('a `group` shares a scale of weights: say which, weights="int4"')
        return None
    kind = next((each for each in WEIGHTS if each == weights), None)
    if kind is None:
        raise ValueError(f"weights are one of {', '.join(WEIGHTS)}, not {weights!r}")
    if group is None:
        return Quantization(kind, GROUP if kind == "int4" else None)
    if isinstance(group, bool) or not isinstance(group, SupportsIndex):
        raise TypeError(f"a group is an int, not {type(group).__name__}")
    size = int(group)
    if not SMALLEST_GROUP <= size <= LARGEST_GROUP or size % 2:
        words = f"an even number from {SMALLEST_GROUP} to {LARGEST_GROUP:,}"
        raise ValueError(f"a group is {words}, not {size}")
    return Quantization(kind, size)


def packings(network: TensorNetwork, wanted: Quantization | None) -> dict[str, Packing]:
    """How each tensor that is quantized is stored, by its key."""
    return packings_of(network.parameters, {bias.parameter for bias in network.biases}, wanted)


def packings_of(
    parameters: Iterable[Parameter], kept: Collection[str], wanted: Quantization | None
) -> dict[str, Packing]:
    """How those of some parameters are stored that are large, and not to be `kept`."""
    if wanted is None:
        return {}
    parameters = list(parameters)
    chosen = [
        parameter
        for parameter in parameters
        if parameter.key not in kept and is_large(parameter.shape, parameter.complex)
    ]
    taken = {parameter.family for parameter in parameters}
    names: dict[str, tuple[str, str]] = {}
    for family in dict.fromkeys(parameter.family for parameter in chosen):
        names[family] = _free(f"{family}_{wanted.weights}", taken), _free(f"{family}_scale", taken)
    return {
        parameter.key: _packed(parameter, wanted, *names[parameter.family]) for parameter in chosen
    }


def stored(parameters: Iterable[Parameter], packed: Mapping[str, Packing]) -> tuple[Parameter, ...]:
    """What a module holds for these parameters: scales and codes in place of those packed.

    Of a family come the members that stay, then all scales, then all codes.
    """
    found: list[Parameter] = []
    for _, group in groupby(parameters, lambda parameter: parameter.family):
        members = list(group)
        packings = [packed[member.key] for member in members if member.key in packed]
        found += [member for member in members if member.key not in packed]
        found += [packing.scale for packing in packings]
        found += [packing.codes for packing in packings]
    return tuple(found)


def is_large(shape: tuple[int, ...], complex_: bool) -> bool:
    """Whether a tensor of this shape is quantized, unless it is a bias."""
    axes = sum(length > 1 for length in shape)
    return not complex_ and axes > 1 and math.prod(shape) >= SMALLEST


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _packed(parameter: Parameter, wanted: Quantization, codes: str, scale: str) -> Packing:
    shape, axes = parameter.shape, parameter.axes
    rows, columns = shape[0], math.prod(shape[1:])
    if wanted.group is None:
        kept = _sliced_axis(shape)
        code_shape, code_axes = shape, axes
        scale_shape = tuple(n if k == kept else 1 for k, n in enumerate(shape))
        scale_axes = tuple(axis if k == kept else () for k, axis in enumerate(axes))
        group = None
    else:
        if columns < wanted.group // 2:
            rows, columns = 1, rows * columns
        group = _group(columns, wanted.group)
        groups, entries = -(-columns // group), group * wanted.bits // 8
        code_shape, scale_shape = (rows, groups, entries), (rows, groups, 1)
        first = axes[0] if rows == shape[0] else ()
        code_axes = first, ("|groups",), ("|packed",)
        scale_axes = first, ("|groups",), ()
    dtype: Literal["int8", "uint8"] = "int8" if wanted.bits == 8 else "uint8"

    def member(family: str) -> dict[str, object]:
        return {
            "key": ".".join((family, *map(str, parameter.subscripts))),
            "family": family,
            "subscripts": parameter.subscripts,
            "init": Init(scheme="zeros"),
            "frozen": True,
            "written": parameter.written,
        }

    return Packing(
        parameter,
        Codes.model_validate(
            member(codes) | {"axes": code_axes, "shape": code_shape, "dtype": dtype}
        ),
        Parameter.model_validate(member(scale) | {"axes": scale_axes, "shape": scale_shape}),
        wanted.bits,
        group,
        rows,
        columns,
    )


def _sliced_axis(shape: tuple[int, ...]) -> int:
    """The longest axis whose slices have enough entries, else the shortest one."""
    size = math.prod(shape)
    large = [k for k, length in enumerate(shape) if length > 1 and size // length >= SHORTEST]
    if large:
        return max(large, key=lambda k: (shape[k], -k))
    return min((k for k, length in enumerate(shape) if length > 1), key=lambda k: (shape[k], k))


def _group(columns: int, wanted: int) -> int:
    """Entries of a group: an even number, so that groups are about equal and none has more."""
    groups = -(-columns // wanted)
    size = -(-columns // groups)
    return size + size % 2
