"""Labels that do not lie on each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import cos, pi, sin
from typing import Literal

from tncompile.inspection.charts.plot import Words, text
from tncompile.inspection.drawing.scene import Box


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places at least `gap` apart and within bounds, with the least squares of what they move.

    Those of neighbors that are too near are pooled until none are (isotonic regression). `high`
    gives way where there is no room.

    >>> spread([10, 11, 50], 14, 0, 100)
    [3.5, 17.5, 50]
    """
    order = sorted(range(len(wanted)), key=lambda k: (wanted[k], k))
    pools: list[tuple[float, int]] = []  # sums and counts
    for place, k in enumerate(order):
        total, count = wanted[k] - place * gap, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            before, many = pools.pop()
            total, count = total + before, count + many
        pools.append((total, count))
    levels = [total / count if count > 1 else total for total, count in pools for _ in range(count)]
    most = max(low, high - (len(wanted) - 1) * gap)
    found = [0.0] * len(wanted)
    for place, (k, level) in enumerate(zip(order, levels, strict=True)):
        found[k] = min(max(level, low), most) + place * gap
    return found


class Taken:
    """Boxes that no further label may touch, within the view."""

    def __init__(self, view: Box) -> None:
        self.view = view
        self.boxes: list[Box] = []

    def free(self, box: Box, aside: float = 2.0) -> bool:
        """Whether a box is in the view, and so far from all others."""
        view = self.view
        inside = (
            view.left <= box.left
            and box.right <= view.right
            and view.top <= box.top
            and box.bottom <= view.bottom
        )
        wider = Box(box.x, box.y, box.width + 2 * aside, box.height + 2 * aside)
        return inside and not any(wider.overlaps(other) for other in self.boxes)

    def first(self, candidates: Iterable[Words]) -> Words | None:
        """The first label that is free; it is taken from then on."""
        for each in candidates:
            if self.free(each.label.box):
                self.boxes.append(each.label.box)
                return each
        return None


def around_point(
    x: float, y: float, shown: str, away: float, *, bold: bool = False, far: bool = True
) -> Iterator[Words]:
    """Labels around a point, the nearest first; some `far` from it, too."""
    if not shown:
        return
    for more in (0, 12, 26, 42) if far else (0,):
        for turn in (1, 7, 3, 5, 0, 4, 2, 6):
            dx = (away + more) * cos(turn * pi / 4)
            dy = -(away + more) * sin(turn * pi / 4)
            anchor: Literal["start", "middle", "end"] = "start" if turn in (0, 1, 7) else "end"
            anchor = "middle" if turn in (2, 6) else anchor
            yield text(x + dx, y + dy + 4, shown, anchor, "l", bold=bold)
