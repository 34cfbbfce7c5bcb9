"""A network whose sizes know what they are made of, and its run-time sizes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import chain, count
from typing import Any, TypeVar

from pydantic import BaseModel

from tncompile.inspection.symbolic.letters import Letters
from tncompile.inspection.symbolic.sized import Quantity, Sized
from tncompile.network.model import DOTS, Axis, TensorNetwork, axis_size
from tncompile.network.windows import Window

Part = TypeVar("Part", bound=BaseModel)

BATCH = ("B", "batch")
"""Names for the product of the leading axes: the first one that means nothing else."""


def _with(part: Part, **fields: Any) -> Part:
    """A copy with other fields as they are: validation would make plain numbers of sizes."""
    old = {name: getattr(part, name) for name in type(part).model_fields}
    return type(part).model_construct(**old | fields)


def symbolic_network(network: TensorNetwork, sizes: Mapping[str, int]) -> TensorNetwork:
    """The network with these sizes of indices in place of its own, which are the same numbers."""

    def axis(old: Axis) -> Axis:
        if old.kind == "slices" or old.size is None:
            return old
        return _with(old, size=axis_size(sizes.get(leg) for leg in old.indices))

    def shape(axes: tuple[tuple[str, ...], ...]) -> tuple[int | None, ...]:
        return tuple(axis_size(sizes.get(leg) for leg in each) for each in axes)

    return _with(
        network,
        indices=tuple(_with(k, size=sizes.get(k.name, k.size)) for k in network.indices),
        inputs=tuple(_with(k, axes=tuple(map(axis, k.axes))) for k in network.inputs),
        parameters=tuple(_with(k, shape=shape(k.axes)) for k in network.parameters),
        windows=tuple(_with(k, size=sizes.get(k.kernel_leg, k.size)) for k in network.windows),
        output=_with(network.output, axes=tuple(map(axis, network.output.axes))),
    )


def run_time_letters(
    network: TensorNetwork, numbers: Mapping[str, int], letters: Letters, taken: set[str]
) -> dict[str, int]:
    """The run-time sizes by index, each a letter; what comes out along a window is one, too.

    `numbers` are those of batch axes by index and of windows by name.
    """
    whole = network.with_window_sizes(numbers)
    names = chain(BATCH, (f"B{number}" for number in count(2)))
    batch = next(name for name in names if name not in taken)
    found: dict[str, int] = {}
    for index in network.indices:
        if index.kind in ("batch", "dots"):
            name = batch if index.name == DOTS else index.name
            what = "the product of the leading axes `...`" if index.name == DOTS else "a batch axis"
            letter = Quantity(name, whole[index.name], "run-time size", what)
            found[index.name] = Sized.of(letter)
    for window in network.windows:
        name, leg = window.size_name, window.input_leg
        what = f"the input along window `{window.name}`"
        found[leg] = Sized.of(Quantity(name, whole[leg], "run-time size", what))
        follows = (found[leg], *letters.reaches.get(window.name, ()))
        what = f"what comes out along window `{window.name}`"
        compute = partial(_length, window, follows)
        out = Quantity(f"{name}'", whole[window.output_leg], "derived", what, follows, compute)
        found[window.output_leg] = Sized.of(out)
        padded = Quantity(
            f"{name}.padded", whole[window.padded_leg], "derived",
            f"the padded length along window `{window.name}`", follows,
        )  # fmt: skip
        found[window.padded_leg] = Sized.of(padded)
    return found


def _length(window: Window, before: tuple[object, ...], length: int, *others: object) -> int:
    """What comes out of another length; ValueError where the window itself is another one."""
    if others != before[1:]:
        raise ValueError(f"give `{window.size_name}'`, too: its window is another one")
    return window.output_length(length)
