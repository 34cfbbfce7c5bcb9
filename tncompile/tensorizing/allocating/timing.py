"""What layers take by the cost model, in microseconds, as they are and as what they can become.

A layer counts for its usual call, the median of those that moments have seen: rows, and lengths of
images. Times are those of a forward pass on the built-in profile of the device that the weight is
on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tncompile.architecture import Architecture
from tncompile.converting import completed
from tncompile.machine.registry import builtin_for
from tncompile.model import Model
from tncompile.planning.request import options_of_call
from tncompile.spec import load
from tncompile.tensorizing.allocating.options import Option, hull
from tncompile.tensorizing.allocating.subjects import Subject, as_layer
from tncompile.tensorizing.calibrating.calls import usual_call
from tncompile.tensorizing.calibrating.model_moments import Moments

MICRO = 1e6

MOST = 32
"""Of how many sizes of a block the time is predicted for a layer: each of them is planned."""

SMALLEST: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "conv": ("Tucker2Conv", {"in_rank": 1, "out_rank": 1}),
    "linear": ("LowRank", {"rank": 1}),
}
"""A network for a layer of each kind: what it says of the layer itself is what is asked."""


class Clock:
    """Predicted times of the layers of a model; equal questions are answered once."""

    def __init__(self, moments: Moments) -> None:
        self._moments = moments
        self._known: dict[tuple[object, ...], tuple[float, float]] = {}

    def priced(self, subject: Subject) -> Subject:
        """The same, its cost the time that it takes as it is; none where it stays in any case."""
        if subject.fixed or subject.kind == "embedding":
            return replace(subject, unit=0.0)
        block, arguments = SMALLEST["conv" if subject.kind == "conv" else "linear"]
        _, dense = self._predicted(subject, block, arguments)
        return replace(subject, unit=dense / subject.weight.numel())

    def timed(self, subject: Subject, options: Sequence[Option]) -> list[Option]:
        """The options that are faster than the layer as it is, their costs their times.

        Of very many sizes of a block some are taken, at equal steps.
        """
        whole, *others = options
        found: list[Option] = []
        for block in dict.fromkeys(each.block for each in others):
            own = [each for each in others if each.block == block]
            likely = sorted(hull(own), key=lambda each: each.parameters)
            step = max(1.0, (len(likely) - 1) / (MOST - 1))
            places = sorted({round(k * step) for k in range(min(MOST, len(likely)))})
            found += [self.retimed(subject, likely[place]) for place in places]
        return [whole, *(each for each in found if each.cost < whole.cost)]

    def retimed(self, subject: Subject, option: Option) -> Option:
        """An option, its cost its time."""
        if option.block is None or subject.kind == "embedding":
            return option
        seconds, _ = self._predicted(subject, option.block, option.arguments)
        return replace(option, cost=seconds)

    def _predicted(
        self, subject: Subject, block: str, arguments: Mapping[str, object]
    ) -> tuple[float, float]:
        """Of a block, and of the layer that it stands for, which models do not say."""
        assert subject.sums is not None  # one that nothing is known of stays as it is
        call = usual_call(self._moments, subject.sums, subject.module)
        layer = as_layer(subject)
        library = load("std/convolution.tn" if subject.kind == "conv" else "std/linear.tn")
        filled = completed(layer, library.blocks[block], arguments)
        key = (block, repr(sorted(filled.items())), call, subject.weight.device)
        if key not in self._known:
            made: Architecture = library.blocks[block].instantiate(**filled)
            machine = builtin_for(subject.weight.device.type)
            options = options_of_call(made._map, call)
            cost = made.cost(**options, search="fast", machine=machine)
            seconds = cost.inference.seconds
            dense = math.nan if isinstance(made, Model) else cost.inference.dense_seconds
            assert seconds is not None
            assert dense is not None
            self._known[key] = MICRO * seconds, MICRO * dense
        return self._known[key]


def clock_of(moments: Moments | None) -> Clock:
    """Raises ValueError without moments."""
    if moments is None:
        raise ValueError("a budget of time takes moments: they know how many rows a layer is given")
    return Clock(moments)
