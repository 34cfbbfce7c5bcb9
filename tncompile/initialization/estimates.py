"""The mean square of the output from random inputs: where the exact one costs too much."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

from tncompile.network.model import TensorNetwork
from tncompile.network.windows import Window

SAMPLES = 1024  # random inputs for an estimate of the mean square; `CHUNK` of them at a time
CHUNK = 64


@dataclass(frozen=True, slots=True)
class RandomInput:
    """What stands in for an input in an estimate: `forward` gets a tensor of this shape.

    `unit` are the trailing axes of which each vector has norm one (none: unit variance); ids are
    below `classes`.
    """

    name: str
    shape: tuple[int, ...]
    unit: int = 0
    classes: int | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean square from random inputs: `chunks` calls of `forward`; `log` as in the output.

    `inside` are the entries that no border reaches, of as many of the last axes of the output: from
    one number up to another, None for all.
    """

    inputs: tuple[RandomInput, ...]
    chunks: int
    log: bool
    inside: tuple[tuple[int, int] | None, ...] = ()


def estimate_of(network: TensorNetwork) -> Estimate:
    """Random inputs of the shapes that `forward` takes, `CHUNK` at a time along a batch axis."""
    batch = next((i.name for i in network.indices if i.kind in ("dots", "batch")), None)
    lengths: dict[str, int] = {} if batch is None else {batch: CHUNK}
    inside: dict[str, tuple[int, int]] = {}
    for window in network.windows:
        lengths[window.input_leg], *span = clear_of_borders(window)
        inside[window.output_leg] = (span[0], span[1])
    inputs: list[RandomInput] = []
    for source in network.inputs:
        axes = [axis for axis in source.axes if axis.kind != "onehot"]
        shape = tuple(axis.length or lengths.get("".join(axis.indices), 1) for axis in axes)
        kinds = [axis.kind for axis in axes if axis.length is not None]
        features = sum(1 for _ in takewhile(lambda kind: kind == "legs", reversed(kinds)))
        classes = next((a.length for a in source.axes if a.kind == "onehot"), None)
        unit = features if "slices" in kinds and classes is None else 0
        inputs.append(RandomInput(source.name, shape, unit, classes))
    chunks = SAMPLES // CHUNK if inputs else 1
    spans = [inside.get("".join(axis.indices)) for axis in network.output.axes]
    first = next((k for k, span in enumerate(spans) if span), len(spans))
    return Estimate(tuple(inputs), chunks, network.output.log, tuple(spans[first:]))


def clear_of_borders(window: Window) -> tuple[int, int, int]:
    """The length of an input, and the first and last entry of its output that no border reaches.

    The last one is exclusive, as of a slice. A transposed window gives as many entries as its
    stride, one of each kind.

    >>> clear_of_borders(Window(name="h", family="h", size=3, left=1, right=1))
    (3, 1, 2)
    """
    stride, left, right, reach = window.stride, window.left, window.right, window.reach
    if window.transposed:
        first = max(0, reach - left)
        cut = max(0, right - reach - window.extra)
        return 1 - -(first + stride - 1 + left + cut) // stride, first, first + stride
    first = -(-left // stride)
    return max(first * stride - left + reach, left, right) + 1, first, first + 1
