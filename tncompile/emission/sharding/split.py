"""Tensor parallelism: what becomes of a network when the ranks of a mesh share one of its legs.

Restricted to some entries of one index, a network of products is still the same network, only
smaller. So every rank runs the emitted steps on its entries of the leg: tensors that carry it are
split, all others are whole. Where the output carries the leg, the parts lie side by side in it;
where the leg is summed, the results of the ranks add up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from tncompile.language.diagnostics.spelling import closest
from tncompile.network.editing import resize
from tncompile.network.model import Axis, Parameter, TensorNetwork
from tncompile.network.windows import Window
from tncompile.program.program import TensorProgram


class ShardingError(ValueError):
    """A leg that ranks cannot share; `label` says in a few words why, `hint` what to do."""

    def __init__(self, message: str, label: str, hint: str) -> None:
        super().__init__(message)
        self.label, self.hint = label, hint


@dataclass(frozen=True, slots=True)
class Place:
    """Where a leg is on an input or the output, with the leg's own size in the middle.

    `axis` counts from the last one; of its indices, flattened row major, `before` is the product of
    the sizes in front of the leg and `after` that of those behind it.
    """

    axis: int
    before: int
    size: int
    after: int


@dataclass(frozen=True)
class Sharding:
    """A leg that can be split.

    network   the network as it is, with the leg's whole size
    leg       the name of the index
    opened    the same network, the size of the leg known at run time only
    split     the axis of each parameter that carries the leg, by state-dict key
    inputs    where each input carries it, None where it does not
    output    the same of the output; None where the leg is summed
    inside    where biases carry it that are whole on every rank, by key: inside of an axis, so that
              what a rank adds is no one piece
    """

    network: TensorNetwork
    leg: str
    opened: TensorNetwork
    split: dict[str, int]
    inputs: dict[str, Place | None]
    output: Place | None
    inside: dict[str, Place]

    @property
    def size(self) -> int:
        """Entries of the leg on all ranks together."""
        return self.network.index[self.leg].size or 0

    @cached_property
    def once(self) -> tuple[str, ...]:
        """The biases that must be added on one rank only, by key."""
        biases = self.network.biases if self.output is None else ()
        return tuple(dict.fromkeys(bias.parameter for bias in biases))

    @cached_property
    def whole(self) -> tuple[Parameter, ...]:
        """The parameters that every rank holds whole, and whose gradients the ranks add up."""
        others = {*self.split, *self.once}
        return tuple(
            parameter for parameter in self.network.parameters if parameter.key not in others
        )


@dataclass(frozen=True)
class Sharded:
    """A sharding and the program of its network, for any size of the leg."""

    sharding: Sharding
    program: TensorProgram


def split_leg(network: TensorNetwork, leg: str) -> Sharding:
    """How ranks share a leg of the network: an index of the output or an input, or a bond.

    Raises `ShardingError` where they cannot.
    """
    for window in network.windows:
        if leg in (window.name, window.family):
            raise _of_window(window)
    if leg not in network.index:
        names = [index.name for index in network.indices if index.size is not None]
        members = [index.name for index in network.indices if index.family == leg]
        meant = next(_splittable(network, members), closest(leg, names))
        if meant is not None and next(_problems(network, meant), None) is None:
            hint = f"did you mean `{meant}`?"
        elif some := [*islice(_splittable(network, names), _MOST_NAMED)]:
            hint = f"legs that can be split: {', '.join(some)}"
        else:
            hint = OTHER_LEG
        message = f"{network.target} has no leg `{leg}` to split"
        raise ShardingError(message, "of this network", hint)
    if problem := next(_problems(network, leg), None):
        raise problem
    inside = _inside(network, leg)
    axes = {key: _axis_of(leg, uses) for key, uses in _uses(network) if key not in inside}
    split = {
        parameter.key: axis
        for parameter in network.parameters
        if (axis := axes.get(parameter.key)) is not None
    }
    inputs = {source.name: _place(network, leg, source.axes) for source in network.inputs}
    output = _place(network, leg, network.output.axes)
    return Sharding(network, leg, resize(network, leg, None), split, inputs, output, inside)


# ── what cannot be split ───────────────────────────────────────────────────────────────────────

_MOST_NAMED = 6
_MOST_TRIED = 50

OTHER_LEG = "split another leg"

RESERVED = frozenset(
    {"DTensor", "DeviceMesh", "ParallelStyle", "Partial", "Placement", "Replicate", "Shard"}
)
"""What the emitted file calls by the name that torch gave it."""


def _splittable(network: TensorNetwork, names: Sequence[str]) -> Iterator[str]:
    """The first few of the legs that ranks can share: no other is worth a hint."""
    return (name for name in names[:_MOST_TRIED] if next(_problems(network, name), None) is None)


def _problems(network: TensorNetwork, leg: str) -> Iterator[ShardingError]:
    """Why ranks cannot share a leg, the most telling reason first."""
    size = network.index[leg].size
    if leg in network.window:
        yield _of_window(network.window[leg])
    elif size is None:
        message = f"`{leg}` is known at run time only and on no tensor: it cannot be split"
        hint = "ranks share a batch by DistributedDataParallel or fully_shard"
        yield ShardingError(message, "a batch axis", f"{hint}; split an `index` or a `bond`")
    if size == 1:
        message = f"`{leg}` has size 1: there is nothing to split"
        yield ShardingError(message, "one entry", OTHER_LEG)
    if network.name in RESERVED:
        message = f"the class `{network.name}` would hide torch's, which a split needs"
        label = f"in a network called `{network.name}`"
        yield ShardingError(message, label, "give the network another name")
    if network.output.log:
        output = f"the output of {network.target}"
        message = f"{output} is a sign and a logarithm, which ranks cannot share"
        label = "every rank would rescale by a magnitude of its own"
        yield ShardingError(message, label, "leave `log` out of the output")
    for source in network.inputs:
        uses = [t for t in network.tensors if t.role == "input" and t.source == source.name]
        slices = any(axis.kind == "slices" for axis in source.axes)
        if slices and any(leg in tensor.legs for tensor in uses):
            message = f"`{leg}` is a leg of slices of {source.written}, which cannot be split"
            yield ShardingError(message, "on slices of an input", f"{OTHER_LEG}, like a bond")
        if any(leg in axis.indices and axis.kind == "onehot" for axis in source.axes):
            message = f"ids of {source.written} run over `{leg}`: a lookup cannot be split"
            hint = f"{OTHER_LEG}, like one of the output or a bond"
            yield ShardingError(message, "ids run over it", hint)
        yield from _problems_of_axes(network, leg, source.axes, source.written)
    yield from _problems_of_parameters(network, leg)
    yield from _problems_of_axes(network, leg, network.output.axes, network.output.written)


def _of_window(window: Window) -> ShardingError:
    """Why no leg of a window can be shared."""
    message = f"the legs of window `{window.name}` cannot be split: its sums run over neighbors,"
    message += " which other ranks would hold"
    return ShardingError(message, "a leg of a window", "split a leg of channels, or a bond")


def _problems_of_axes(
    network: TensorNetwork, leg: str, axes: tuple[Axis, ...], written: str
) -> Iterator[ShardingError]:
    """Axes of an input or the output whose parts are not the leg's entries, one after another."""
    for axis in axes:
        if leg not in axis.indices:
            continue
        if axis.width is not None and axis.width != axis.size:
            where = f"on an axis of {written} that `as` cuts off"
            message = f"`{leg}` is {where}: its parts would differ"
            hint = f"{OTHER_LEG}, or choose sizes whose product is the width"
            yield ShardingError(message, "on an axis that is cut off", hint)
        if any(network.index[name].size is None for name in axis.indices):
            message = f"`{leg}` shares an axis of {written} with a leg of run-time size"
            hint = f"{OTHER_LEG}, or give `{leg}` an axis of its own"
            yield ShardingError(message, "flattened with a batch axis", hint)


def _problems_of_parameters(network: TensorNetwork, leg: str) -> Iterator[ShardingError]:
    """Uses of parameters that do not agree on where the leg is."""
    places: dict[str, set[int | None]] = {}
    inside = _inside(network, leg)
    for key, axes in _uses(network):
        if key in inside:
            continue
        axis = _axis_of(leg, axes)
        places.setdefault(key, set()).add(axis)
        group = (leg,) if axis is None else axes[axis]
        if any((network.index[name].size or 0) > 1 for name in group[: group.index(leg)]):
            message = f"`{leg}` is not the first leg of the axis ({', '.join(group)}) of `{key}`"
            message += ": its entries are not one piece of the parameter"
            hint = f"split `{group[0]}`, or give `{leg}` an axis of its own"
            yield ShardingError(message, "inside a flattened axis", hint)
    if all(positions == {None} for positions in places.values()):
        message = f"no parameter carries `{leg}`: there is nothing to split"
        yield ShardingError(message, "on no parameter", "split a leg that a `tensor` has")
    for key, positions in places.items():
        if len(positions) > 1:
            several = f"`{key}` is used several times"
            message = f"{several}, and `{leg}` is not on the same axis each time"
            hint = f"{OTHER_LEG}, or do not share the tensor"
            yield ShardingError(message, "on some uses of a shared tensor", hint)


# ── where the leg is ───────────────────────────────────────────────────────────────────────────


def _uses(network: TensorNetwork) -> Iterator[tuple[str, tuple[tuple[str, ...], ...]]]:
    """Every use of a parameter: its key, and the indices of its axes there."""
    yield from ((t.source, t.axes) for t in network.tensors if t.role == "parameter")
    yield from ((bias.parameter, bias.axes) for bias in network.biases)


def _axis_of(leg: str, axes: Iterable[tuple[str, ...]]) -> int | None:
    return next((k for k, axis in enumerate(axes) if leg in axis), None)


def _inside(network: TensorNetwork, leg: str) -> dict[str, Place]:
    """The biases on which other legs share an axis with this one, and stand before it."""
    places = {bias.parameter: _place_in(network, leg, bias.axes) for bias in network.biases}
    return {key: place for key, place in places.items() if place and place.before > 1}


def _place(network: TensorNetwork, leg: str, axes: Sequence[Axis]) -> Place | None:
    """Where the leg is among the axes that a caller sees."""
    return _place_in(network, leg, [axis.indices for axis in axes if axis.kind != "onehot"])


def _place_in(network: TensorNetwork, leg: str, axes: Sequence[tuple[str, ...]]) -> Place | None:
    """Where the leg is among axes of indices."""
    axis = _axis_of(leg, axes)
    if axis is None:
        return None
    sizes = [network.index[name].size or 1 for name in axes[axis]]
    k = axes[axis].index(leg)
    return Place(axis - len(axes), math.prod(sizes[:k]), sizes[k], math.prod(sizes[k + 1 :]))
