"""What an architecture costs as one of its numbers varies: a parameter, or a run-time size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, SupportsIndex

import tncompile.planning.wording as wording
from tncompile.inspection.charts.show import chart_drawing
from tncompile.inspection.drawing.drawing import Drawing
from tncompile.inspection.drawing.theme import Theme
from tncompile.inspection.varying.picture import variation_chart
from tncompile.inspection.varying.table import variation_table
from tncompile.language.diagnostics.excerpt import Line
from tncompile.language.diagnostics.spelling import closest
from tncompile.models.costs.report import ModelCost
from tncompile.network.model import DOTS
from tncompile.notebook import Tabled
from tncompile.planning.report.cost import Cost
from tncompile.planning.request import whole
from tncompile.simulation.dense_layer import Kind

if TYPE_CHECKING:
    from tncompile.architecture import Architecture

Value = int | float | bool | tuple[int, ...]

BATCH = "batch"


@dataclass(frozen=True, repr=False)
class Variation(Tabled):
    """The costs at some values of a number; it prints as a table, `to_dict()` has all figures.

    name    a parameter of the block, `batch`, or a run-time size
    values  its values, in the order that they were asked for
    costs   the cost at each
    planned the size that the plan is for, where it is a size that varies
    """

    target: str
    name: str
    values: tuple[Value, ...]
    costs: tuple[Cost | ModelCost, ...]
    planned: int | None = None

    @property
    def parameters(self) -> tuple[int, ...]:
        """The stored numbers at each value."""
        return tuple(parameter_count(cost) for cost in self.costs)

    @property
    def seconds(self) -> tuple[float, ...]:
        """The predicted time at each value, in the mode that was asked for."""
        return tuple(cost.seconds for cost in self.costs)

    @property
    def against_dense(self) -> tuple[float | None, ...]:
        """The time over that of the layer of torch that is alike, where there is one."""
        return tuple(against_dense(cost) for cost in self.costs)

    @property
    def dense_layer(self) -> Kind | None:
        """That layer."""
        kinds = {cost.dense_layer for cost in self.costs if isinstance(cost, Cost)}
        return kinds.pop() if len(kinds) == 1 else None

    def to_dict(self) -> dict[str, object]:
        """All numbers, ready for JSON."""
        return {
            "target": self.target,
            "name": self.name,
            "values": [list(each) if isinstance(each, tuple) else each for each in self.values],
            "costs": [cost.to_dict() for cost in self.costs],
        }

    def table(self, width: int = wording.WIDTH) -> str:
        """A row a value: parameters, FLOPs, time, memory, the time against the dense layer."""
        return variation_table(self, max(wording.WIDTH, width))

    def draw(self, *, theme: Theme = "auto", width: int = 600) -> Drawing:
        """A picture: the time at each value, over that of the dense layer where there is one.

        Raises ValueError for another theme, and widths below 240 or above 10,000 px.
        """
        return chart_drawing(variation_chart(self), theme, width=width)

    @property
    def title(self) -> str:
        """`MPO(…): a forward pass as batch varies, planned for batch = 64`."""
        mode = wording.MODE_TEXT[self.costs[0].mode]
        if self.planned is not None:
            at = f", planned for {self.name} = {self.planned:,}"
        else:
            sizes = self.costs[0].sizes.items()
            named = [f"{'batch' if name == DOTS else name} = {size:,}" for name, size in sizes]
            at = f", {', '.join(named)}" if named else ""
        return f"{self.target.partition('(')[0]}: {mode} as {self.name} varies{at}"

    def _repr_html_(self) -> str:
        picture = self.draw()._repr_svg_() if len(self.values) > 1 else ""
        return super()._repr_html_() + picture


def parameter_count(cost: Cost | ModelCost) -> int:
    """The stored numbers of what a cost is of."""
    return cost.inference.parameters if isinstance(cost, Cost) else cost.parameters


def against_dense(cost: Cost | ModelCost) -> float | None:
    """The time over that of the layer of torch that a network is like; None without one."""
    dense = cost.figures.dense_seconds if isinstance(cost, Cost) else None
    return cost.seconds / dense if dense else None


def _plain(value: object) -> Value:
    """A value as Python's own: numpy's numbers, lists and ranges, too."""
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):  # numpy's
        return bool(value)
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return tuple(whole("an item", each) for each in value)
    if isinstance(value, SupportsIndex):
        return value.__index__()
    if isinstance(value, Real):
        return float(value)
    raise TypeError(f"a value is a number or a list of ints, not {value!r}")


def varied(
    architecture: Architecture,
    name: str,
    given: Iterable[Value | list[int]],
    options: Mapping[str, Any],
) -> Variation:
    """What an architecture costs at each value of a number; `options` are those of `cost`.

    Raises ValueError for a name that is no number of it, and where there are no values.
    """
    if not isinstance(name, str):
        raise TypeError(f"what varies is a name, not {name!r}")
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise TypeError(f"{name} varies over a list of values, not {given!r}")
    values = tuple(dict.fromkeys(map(_plain, given)))
    if not values:
        raise ValueError(f"{name} varies over at least one value")
    if name in architecture.arguments:
        costs = tuple(
            architecture._with_arguments({name: value}, defaults=True).cost(**options)
            for value in values
        )
        return Variation(architecture._resolved.target, name, values, costs)
    sizes = architecture._size_names
    if name not in sizes:
        known = [*architecture.arguments, *sizes]
        near = closest(name, known)
        there = f"did you mean {near!r}?" if near else f"there are {', '.join(known) or 'none'}"
        shown = Line(name, cut=False).shown
        raise ValueError(f"there is no parameter or run-time size {shown!r}; {there}")
    lengths = [whole(f"the size of `{name}`", value) for value in values]
    if options.get("batch") is not None:
        options = {**options, "batch": whole("a batch size", options["batch"])}
    if not isinstance(options.get("sizes"), Mapping | None):
        raise TypeError(f"sizes are a mapping of names to ints, not {options['sizes']!r}")
    fixed = dict(options.get("sizes") or {})
    asked = options.get("batch") if name == BATCH else fixed.get(name)
    planned = sorted(lengths)[len(lengths) // 2] if asked is None else asked
    if name == BATCH:
        figures = architecture.cost(**{**options, "batch": planned})
        costs = tuple(figures.at(size) for size in lengths)
    else:
        figures = architecture.cost(**{**options, "sizes": {**fixed, name: planned}})
        costs = tuple(figures.at(sizes={name: size}) for size in lengths)
    return Variation(architecture._resolved.target, name, tuple(lengths), costs, planned)
