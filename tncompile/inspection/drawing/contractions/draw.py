"""A contraction to its scene: a tree over the tensors, in line with each rung what it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log2

import tncompile.planning.wording as wording
from tncompile.inspection.drawing import signs
from tncompile.inspection.drawing.contractions.reading import Rung, Side, rungs_of
from tncompile.inspection.drawing.scene import Box, Figure, Label, Scene, Shape, Wire
from tncompile.inspection.drawing.text import Line, Span, width_of
from tncompile.network.model import TensorNetwork
from tncompile.planning.plan import Variant

MOST_RUNGS = 40
"""Steps above which those of small shares are folded."""

ENDS = 6
"""How many of the first and the last steps are never folded."""

PITCH = 40.0
"""From a rung to the next."""

LEAF_GAP = 16.0
BAR, BAR_HEIGHT, BAR_GAP = 140.0, 12.0, 44.0


@dataclass
class _Knot:
    """A rung, or neighboring ones that are folded to one, with what it stands on."""

    rungs: list[Rung]
    leaves: list[Side] = field(default_factory=list)
    below: list[int] = field(default_factory=list)  # other knots
    feet: list[_Foot] = field(default_factory=list)

    @property
    def key(self) -> str:
        """`t3`, the name of its result."""
        return self.rungs[-1].step.result


def contraction_scene(network: TensorNetwork, variant: Variant, drawn: Scene) -> Scene:
    """The tree of a variant; its leaves stand in the order of the drawing of the network.

    In line with each rung are its share of the predicted time, its multiply-adds, the bytes of its
    result. Of more than 40 steps neighboring ones with small shares are one.
    """
    rungs = rungs_of(network, variant)
    count = f"{len(rungs):,} contraction{'s' if len(rungs) != 1 else ''}"
    mode = wording.MODE_TEXT[variant.mode]
    scene = Scene(
        f"Contraction of {network.target}",
        f"{count}, {mode}: the first below. {variant.reason}",
    )
    if rungs:
        _Tree(network, _knots(rungs), _places(network, drawn), scene).draw()
    return scene


def rung_keys(rungs: Sequence[Rung]) -> dict[int, str]:
    """The name of the rung that each step is drawn as: its own, or what it is folded into."""
    return {rung.number: knot.key for knot in _knots(rungs) for rung in knot.rungs}


def _places(network: TensorNetwork, drawn: Scene) -> Mapping[str, float]:
    """How far right tensors stand in the drawing of their network."""
    places = {figure.key: figure.box.x for figure in drawn.figures}
    strips = {strip.key: strip for strip in drawn.strips}
    for tensor in network.tensors:
        strip = strips.get(f"input {tensor.source}")
        if tensor.role == "input" and strip is not None:
            cells = [cell.box.x for cell in strip.cells]
            number = network.slice_number(tensor) if tensor.position else 0
            places[tensor.name] = cells[number] if 0 < number < len(cells) else strip.box.x
    return places


def _knots(rungs: Sequence[Rung]) -> list[_Knot]:
    """A knot a rung; neighbors of small shares are one where there are too many."""
    shown = set(range(len(rungs)))
    if len(rungs) > MOST_RUNGS:
        ends = {*range(ENDS), *range(len(rungs) - ENDS, len(rungs))}
        inner = sorted(shown - ends, key=lambda k: (-rungs[k].step.share, k))
        shown = ends | set(inner[: MOST_RUNGS // 2])
    knots: list[_Knot] = []
    of: dict[int, int] = {}
    for rung in rungs:
        if rung.number in shown or not knots or knots[-1].rungs[-1].number in shown:
            knots.append(_Knot([]))
        knots[-1].rungs.append(rung)
        of[rung.number] = len(knots) - 1
    for place, knot in enumerate(knots):
        sides = [side for rung in knot.rungs for side in (rung.left, rung.right)]
        read = [of[number] for side in sides for number in side.steps]
        knot.below = [number for number in dict.fromkeys(read) if number != place]
        given = [side for side in sides if side.tensors]
        names = tuple(dict.fromkeys(name for side in given for name in side.tensors))
        if len(given) > 2 and len(knot.rungs) > 1:
            knot.leaves = [Side(f"{len(names):,} tensors", names, (), 0)]
        else:
            knot.leaves = given
    return knots


@dataclass(frozen=True)
class _Foot:
    """Where an operand comes from: the top of a leaf, or the middle of a rung."""

    x: float
    y: float
    key: str
    elements: int | None = None


class _Tree:
    def __init__(
        self,
        network: TensorNetwork,
        knots: list[_Knot],
        places: Mapping[str, float],
        scene: Scene,
    ) -> None:
        self.network, self.knots, self.places, self.scene = network, knots, places, scene
        self.tensors = {tensor.name: tensor for tensor in network.tensors}
        self.right = 0.0  # of the last leaf
        self.means: list[float] = []
        for knot in knots:
            below = [self.means[k] for k in knot.below] + [self._mean(s) for s in knot.leaves]
            self.means.append(sum(below) / len(below) if below else 0.0)

    def draw(self) -> None:
        """Leaves from left to right as a walk from the root meets them, then rungs and bars.

        It is a walk by hand: a sweep over 784 cores is as deep.
        """
        last = len(self.knots) - 1
        standing: dict[int, _Foot] = {}
        unread: set[int] = set()
        waiting: list[tuple[int | None, int | Side]] = [(None, last)]
        while waiting:
            owner, child = waiting.pop()
            feet = [] if owner is None else self.knots[owner].feet
            if isinstance(child, Side):
                feet.append(self._leaf(child))
            elif child in standing:
                feet.append(standing[child] if child in unread else self._again(standing[child]))
                unread.discard(child)
            elif child == owner:  # all that it stands on stands
                standing[child] = self._rung(child)
                unread.add(child)
            else:
                waiting += [(owner, child), (child, child)]
                waiting += [(child, each) for each in reversed(self._children(child))]
        root = standing[last]
        self._line(root, root.y - 28, root.key)
        name = (Span(self.network.output.name, 13, "italic"),)
        self.scene.labels.append(Label(root.x, root.y - 34, name, "middle"))
        self._bars()

    def _children(self, number: int) -> list[int | Side]:
        """What a knot stands on, in the order of the drawing of the network."""
        knot = self.knots[number]
        children: list[tuple[float, int | Side]] = [(self.means[k], k) for k in knot.below]
        children += [(self._mean(leaf), leaf) for leaf in knot.leaves]
        return [child for _, child in sorted(children, key=lambda each: each[0])]

    def _mean(self, side: Side) -> float:
        places = [self.places[name] for name in side.tensors if name in self.places]
        return sum(places) / len(places) if places else 0.0

    def _leaf(self, side: Side) -> _Foot:
        """A tensor, or several: an input in its color."""
        members = [self.tensors[name] for name in side.tensors]
        families = {each.source if each.role == "input" else each.family for each in members}
        label: Line = (Span(side.label, 13.0, "italic"),)
        if len(members) == 1:
            family, subscripts = members[0].family or members[0].name, members[0].subscripts
            label = signs.name(family, subscripts, small=True)
        elif len(families) == 1:
            label = (*signs.name(families.pop(), (), small=True), Span(f" × {len(members):,}", 13))
        title = ", ".join(side.tensors[:8]) + (" …" if len(side.tensors) > 8 else "")
        given = all(each.role == "input" for each in members)
        return self._standing(side.label, "input" if given else "tensor", label, title)

    def _again(self, foot: _Foot) -> _Foot:
        """The result of a batched step that several read: for all but one of them a leaf."""
        name = foot.key.removeprefix("step ")
        label: Line = (Span(name, signs.LABEL, "dim"),)
        return self._standing(foot.key, "model", label, f"{name}, other members of it")

    def _standing(self, key: str, shape: Shape, label: Line, title: str) -> _Foot:
        width = max(40.0, width_of(label) + 16)
        left = self.right + LEAF_GAP if self.right else 0.0
        self.right = left + width
        box = Box(left + width / 2, 0.0, width, signs.STRIP_HEIGHT)
        self.scene.figures.append(Figure(key, shape, box, label, title))
        return _Foot(box.x, box.top, key)

    def _y(self, number: int) -> float:
        return -PITCH * (number + 1) - 6

    def _rung(self, number: int) -> _Foot:
        """The line of a step over what it contracts, and its dot."""
        knot, y = self.knots[number], self._y(number)
        key = f"step {knot.key}"  # no tensor has such a name
        left, right = (end(foot.x for foot in knot.feet) for end in (min, max))
        for foot in knot.feet:
            self._line(foot, y, key)
        step = knot.rungs[-1].step
        elements = max(1, step.bytes // 4 // step.count)
        made = _Foot((left + right) / 2, y, key, elements)
        across = Wire((left, y), (((right, y),),), 2.0, "plain", key, (key,))
        self.scene.wires.append(across)
        box = Box(made.x, y, 11, 11)
        self.scene.figures.append(Figure(key, "rung", box, (), _sentence(knot)))
        name = (Span(_name(knot), signs.LABEL, "dim"),)
        self.scene.labels.append(Label(made.x - 9, y - 7, name, "end"))
        return made

    def _line(self, foot: _Foot, y: float, to: str) -> None:
        """From an operand up to the rung of its contraction; wider for larger intermediates."""
        width = 2.0 if foot.elements is None else min(7.0, 1.5 + 0.25 * log2(foot.elements))
        up, joins = (((foot.x, y),),), (foot.key, to)
        self.scene.wires.append(Wire((foot.x, foot.y), up, width, "plain", foot.key, joins))

    def _bars(self) -> None:
        """In line with each rung its share of the time, its multiply-adds and its bytes."""
        left = self.right + BAR_GAP
        shares = [sum(rung.step.share for rung in knot.rungs) for knot in self.knots]
        most = max(shares) or 1.0
        for number, (knot, share) in enumerate(zip(self.knots, shares, strict=True)):
            y, wide = self._y(number), BAR * share / most
            if wide >= 0.5:
                box = Box(left + wide / 2, y, wide, BAR_HEIGHT)
                bar = Figure(f"bar {knot.key}", "bar", box, (), _sentence(knot))
                self.scene.figures.append(bar)
            work = sum(rung.step.multiply_adds for rung in knot.rungs)
            size = max(rung.step.bytes for rung in knot.rungs)
            numbers = f"  {wording.count_text(work)}  {wording.bytes_text(size)}"
            line = (
                Span(wording.percent_text(share), signs.LABEL, "bold"),
                Span(numbers, signs.LABEL, "dim"),
            )
            self.scene.labels.append(Label(left + wide + 7, y + 4, line))
        head = "share of the time, multiply-adds, size"
        top = self._y(len(self.knots)) + 4
        self.scene.labels.append(Label(left, top, (Span(head, signs.LABEL, "dim"),)))


def _name(knot: _Knot) -> str:
    """`t3`, or `t7 … t310` of what is folded."""
    first, last = knot.rungs[0].step.result, knot.rungs[-1].step.result
    return last if first == last else f"{first} … {last}"


def _sentence(knot: _Knot) -> str:
    """What a step does, in words; of folded ones, how many they are."""
    steps = [rung.step for rung in knot.rungs]
    share = wording.percent_text(sum(step.share for step in steps))
    work = wording.count_text(sum(step.multiply_adds for step in steps))
    if len(steps) > 1:
        return f"{_name(knot)}: {len(steps):,} steps, {share} of the time, {work} multiply-adds"
    step = steps[0]
    times = f"{step.count} × " if step.count > 1 else ""
    kept = ", ".join(step.indices) or "a scalar"
    size = wording.bytes_text(step.bytes)
    return (
        f"{step.result} = {times}{step.contraction} keeps {kept}: "
        f"{share} of the time, {work} multiply-adds, {size}"
    )
