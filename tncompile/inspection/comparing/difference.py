"""Two architectures compared, as users hold it: a table, numbers, a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import tncompile.planning.wording as wording
from tncompile.inspection.comparing.changes import Change
from tncompile.inspection.comparing.figures import ComparedFigure, ComparedPlan
from tncompile.inspection.drawing.drawing import Drawing, require_page
from tncompile.inspection.drawing.theme import Theme
from tncompile.notebook import Tabled
from tncompile.simulation.modes import Mode

if TYPE_CHECKING:
    from tncompile.inspection.comparing.picture import Pictured


@dataclass(frozen=True, repr=False)
class Difference(Tabled):
    """How two architectures differ; it prints as a table, `to_dict()` has all of it.

    first, second  what they are called
    interfaces     what each takes and gives: `x (..., 32) → (..., 32)`
    arguments      those of the blocks that differ, defaults included
    changes        of structure, inputs and outputs first; of a part they are inside of it
    figures        what both store and cost
    plans          what both run, by mode
    sizes          the run-time sizes that each is costed at
    machine        what predicted the times
    uncosted       why costs are missing; empty where they are not
    mode           the one whose plans the table shows

    >>> import tncompile
    >>> spec = tncompile.load("std/linear.tn")
    >>> one, other = (spec.instantiate(f"LowRank(8, 6, rank = {n})") for n in (2, 3))
    >>> found = one.diff(other, search="fast")
    >>> found.equal, found.same_interface, found.figures[0].ratio
    (False, True, 1.411764705882353)
    >>> [f"{each.kind} {each.name}: {each.aspect}" for each in found.changes]
    ['bond r: size', 'tensor A: shape', 'tensor B: shape']
    >>> one.diff(one, search="fast")
    No difference: the structure, the parameters and the costs are the same.
    >>> found.draw().svg.startswith("<svg")
    True
    """

    first: str
    second: str
    interfaces: tuple[str, str]
    arguments: tuple[Change, ...]
    changes: tuple[Change, ...]
    figures: tuple[ComparedFigure, ...]
    plans: tuple[ComparedPlan, ...] = ()
    sizes: tuple[Mapping[str, int], Mapping[str, int]] = ({}, {})
    machine: str = ""
    uncosted: str = ""
    mode: Mode = "inference"
    _pictured: Pictured = field(kw_only=True, compare=False)

    @property
    def equal(self) -> bool:
        """Whether structure and figures are the same, whatever blocks are called."""
        return not self.changes and all(each.before == each.after for each in self.figures)

    @property
    def same_interface(self) -> bool:
        """Whether both take and give the same, by name and shape."""
        return self.interfaces[0] == self.interfaces[1]

    def to_dict(self) -> dict[str, object]:
        """All of it, ready for JSON: figures with their ratio, second over first."""
        return {
            "first": self.first,
            "second": self.second,
            "equal": self.equal,
            "interfaces": list(self.interfaces),
            "same_interface": self.same_interface,
            "arguments": [change.to_dict() for change in self.arguments],
            "changes": [change.to_dict() for change in self.changes],
            "figures": [figure.to_dict() for figure in self.figures],
            "plans": [plan.to_dict() for plan in self.plans],
            "sizes": [dict(sizes) for sizes in self.sizes],
            "machine": self.machine,
            "uncosted": self.uncosted,
        }

    def table(self, *, width: int = wording.WIDTH) -> str:
        """The text of `width` columns, 100 at least: structure, then figures with their ratio."""
        from tncompile.inspection.comparing.table import table_of

        return table_of(self, max(wording.WIDTH, width))

    def draw(self, *, theme: Theme = "auto", width: int = 600) -> Drawing:
        """Both beside each other, what differs outlined; on top of each other where they are wide.

        `theme` and `width` are those of `Architecture.draw`, and raise what it does.
        """
        from tncompile.inspection.comparing.picture import difference_scene

        require_page(theme, width)
        return Drawing(difference_scene(self, self._pictured, width), theme)
