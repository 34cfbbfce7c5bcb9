"""Two drawings beside each other, what differs outlined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar

from tncompile.inspection.comparing.changes import Change
from tncompile.inspection.comparing.forward import forward_difference
from tncompile.inspection.comparing.models import Network
from tncompile.inspection.drawing import signs
from tncompile.inspection.drawing.models.draw import model_scene
from tncompile.inspection.drawing.models.steps import steps_of
from tncompile.inspection.drawing.networks.draw import LEAST_TYPE, network_scene
from tncompile.inspection.drawing.scene import Box, Figure, Mark, Scene, StripBox, Wire
from tncompile.inspection.drawing.text import Line, Span, width_of
from tncompile.language.typing.model import Resolved, ResolvedModel
from tncompile.language.typing.operations import CallPart, Operation, Scan, Stored

if TYPE_CHECKING:
    from tncompile.inspection.comparing.difference import Difference

Side = Literal["first", "second"]
Marked = TypeVar("Marked", Figure, StripBox, Wire)

GAP = 18.0
"""Between the two frames."""

NARROWEST_FRAME = 230.0
CAPTION = 13.0

MEANINGS: Mapping[Mark, str] = {
    "changed": "solid outline: differs",
    "first": "dashed outline: in A alone",
    "second": "dashed outline: in B alone",
}
NOTHING = "nothing is outlined: the structure is the same"
ALL = "a network and a model: nothing is outlined"


@dataclass(frozen=True)
class Pictured:
    """What is drawn: two blocks, and what has the networks of each."""

    first: Resolved
    second: Resolved
    networks: tuple[Network, Network]

    @property
    def alike(self) -> bool:
        """Whether both are networks, or both models."""
        return isinstance(self.first, ResolvedModel) == isinstance(self.second, ResolvedModel)


@dataclass(frozen=True)
class Caption:
    """What stands above a drawing: its letter, the call, and a shorter one with what differs."""

    name: str
    target: str
    short: str

    def line(self, room: float) -> Line:
        """As much of it as there is room for."""
        start = Span(f"{self.name}  ", CAPTION, "bold")
        text = Span(self.target, CAPTION)
        if width_of((start, text)) > room:
            text = Span(self.short, CAPTION)
        while width_of((start, text)) > room and len(text.text) > 1:
            text = Span(f"{text.text[:-2]}…", CAPTION)
        return start, text


def _captions(difference: Difference) -> tuple[Caption, Caption]:
    """Those of A and B; short ones have the arguments that differ alone."""
    found = []
    for name, target, side in (("A", difference.first, 0), ("B", difference.second, 1)):
        given = [(each.name, (each.before, each.after)[side]) for each in difference.arguments]
        words = ", ".join(f"{key} = {value}" for key, value in given if value is not None)
        start = target.partition("(")[0]
        found.append(Caption(name, target, f"{start}(…, {words})" if words else target))
    return found[0], found[1]


@dataclass(frozen=True)
class Outlined:
    """What is outlined of one thing, and what its tooltip says of it."""

    mark: Mark
    words: tuple[str, ...] = ()


PLAIN = Outlined("")


def difference_scene(difference: Difference, pictured: Pictured, page: int) -> Scene:
    """The scene of both, side by side where type can be read then on a page of so many px."""
    title = f"Difference of {difference.first} and {difference.second}"
    captions = _captions(difference)
    made: Scene | None = None
    alike = pictured.alike
    for width, beside in ((page, True), (page // 2, True), (page, False)):
        scenes = _scenes(difference, pictured, width)
        made = _joined(title, scenes, captions, beside, alike)
        least = min(scene.smallest_type() for scene in scenes)
        across = made.extent().width + 2 * signs.MARGIN[0]
        if least * min(1.0, page / across) >= LEAST_TYPE:
            break
    assert made is not None
    return made


def _scenes(difference: Difference, pictured: Pictured, width: int) -> tuple[Scene, Scene]:
    """Both drawings with their outlines."""
    one, other = pictured.first, pictured.second
    changes = difference.changes
    first, second = (
        _scene(block, network, width)
        for block, network in zip((one, other), pictured.networks, strict=True)
    )
    if not pictured.alike:
        return first, second
    if isinstance(one, ResolvedModel) and isinstance(other, ResolvedModel):
        steps = forward_difference(one, other)
        return (
            _marked(
                first, {**_strips(changes, "first"), **_blocks(one, changes, steps.first, "first")}
            ),
            _marked(
                second,
                {**_strips(changes, "second"), **_blocks(other, changes, steps.second, "second")},
            ),
        )
    marks = ({**_strips(changes, side), **_nodes(changes, side)} for side in ("first", "second"))
    legs = (_legs(changes, side) for side in ("first", "second"))
    one_scene, other_scene = map(_marked, (first, second), marks, legs)
    return one_scene, other_scene


def _scene(block: Resolved, network: Network, width: int) -> Scene:
    if isinstance(block, ResolvedModel):
        return model_scene(block, network)
    return network_scene(network(block), width=width)


# ── what is outlined ────────────────────────────────────────────────────────────────────────────


def _outlines(changes: Iterable[Change], kinds: tuple[str, ...], side: Side) -> dict[str, Outlined]:
    """The things of some kinds that differ, by name; those that one side has alone on that side."""
    found: dict[str, Outlined] = {}
    for change in changes:
        if change.kind not in kinds:
            continue
        if change.status == "changed":
            known = found.get(change.name, Outlined("changed")).words
            aspect = "" if change.aspect == "is" else f"{change.aspect} "
            words = f"{aspect}{change.before} → {change.after}"
            found[change.name] = Outlined("changed", (*known, words))
        elif change.status == ("removed" if side == "first" else "added"):
            found[change.name] = Outlined(side, (f"in {'A' if side == 'first' else 'B'} alone",))
    return found


def _strips(changes: tuple[Change, ...], side: Side) -> dict[str, Outlined]:
    """Inputs and the output, by the keys that strips have; "output" where it has no name."""
    inputs = _outlines(changes, ("input",), side)
    output = _outlines(changes, ("output",), side)
    found = {f"input {name.partition('@')[0]}": outlined for name, outlined in inputs.items()}
    if output:
        found["output"] = next(iter(output.values()))
    return found


SIZED = ("shape",)
"""Aspects of a tensor that follow from those of its indices, which are outlined themselves."""


def _nodes(changes: tuple[Change, ...], side: Side) -> dict[str, Outlined]:
    """Tensors, windows and biases by the keys of figures; `folded` ones are asked by member."""
    own = [change for change in changes if change.aspect not in SIZED]
    tensors = _outlines(own, ("tensor",), side)
    sized = {
        f"folded {name}": found for name, found in _outlines(changes, ("tensor",), side).items()
    }
    windows = {
        f"window {name}": found for name, found in _outlines(changes, ("window",), side).items()
    }
    biases = {f"bias {name}": found for name, found in _outlines(changes, ("bias",), side).items()}
    return {**tensors, **sized, **windows, **biases}


def _legs(changes: tuple[Change, ...], side: Side) -> dict[str, Outlined]:
    return _outlines(changes, ("index", "bond", "hyper", "batch"), side)


def _blocks(
    model: ResolvedModel,
    changes: tuple[Change, ...],
    steps: Mapping[Operation, bool],
    side: Side,
) -> dict[str, Outlined]:
    """Blocks of a model by the keys of figures: what is inside, and what takes other values."""
    parts = _outlines(changes, ("part",), side)
    tensors = _outlines(changes, ("tensor",), side)
    found: dict[str, Outlined] = {}
    for number, step in enumerate(steps_of(model)):
        outlined: list[Outlined] = []
        for operation in step.operations:
            if isinstance(operation, CallPart | Scan) and operation.part.name in parts:
                outlined.append(parts[operation.part.name])
            if isinstance(operation, Stored) and operation.tensor.path in tensors:
                outlined.append(tensors[operation.tensor.path])
            if operation in steps:
                outlined.append(Outlined("changed" if steps[operation] else side))
        if outlined:
            words = tuple(dict.fromkeys(text for each in outlined for text in each.words))
            kinds = {each.mark for each in outlined}
            mark = outlined[0].mark if len(kinds) == 1 else "changed"
            found[f"{number} {step.name}"] = Outlined(mark, words)
    return found


def _marked(
    scene: Scene, marks: Mapping[str, Outlined], legs: Mapping[str, Outlined] | None = None
) -> Scene:
    """A scene with outlines, and what differs in tooltips."""
    legs = legs or {}
    figures = [
        _outlined(
            figure, _of_members(figure, marks) if figure.members else marks.get(figure.key, PLAIN)
        )
        for figure in scene.figures
    ]
    strips = [
        _outlined(strip, marks.get("output" if strip.role == "output" else strip.key, PLAIN))
        for strip in scene.strips
    ]
    wires = [_outlined(wire, legs.get(wire.leg, PLAIN)) for wire in scene.wires]
    return replace(scene, figures=figures, strips=strips, wires=wires)


def _of_members(figure: Figure, marks: Mapping[str, Outlined]) -> Outlined:
    """The outline of a figure that stands for several tensors."""
    keys = (f"folded {key}" if f"folded {key}" in marks else key for key in figure.members)
    inside = [marks[key] for key in keys if key in marks]
    if not inside:
        return PLAIN
    kinds = {each.mark for each in inside}
    whole = len(inside) == len(figure.members) and len(kinds) == 1
    return Outlined(kinds.pop() if whole else "changed", (f"{len(inside):,} of them differ",))


def _outlined(each: Marked, outlined: Outlined) -> Marked:
    title = "; ".join([each.title, *outlined.words])
    return replace(each, mark=outlined.mark, title=title)


# ── both together ───────────────────────────────────────────────────────────────────────────────


def _joined(
    title: str,
    scenes: tuple[Scene, Scene],
    captions: tuple[Caption, Caption],
    beside: bool,
    alike: bool,
) -> Scene:
    """Two frames, beside each other or one above the other, and one legend for both."""
    sizes = [(scene.extent().width, scene.extent().height) for scene in scenes]
    widths = [max(NARROWEST_FRAME, width + 2 * signs.FRAME) for width, _ in sizes]
    heights = [height + 2 * signs.FRAME + signs.FRAME_TITLE for _, height in sizes]
    if beside:
        heights = [max(heights)] * 2
        places = [(0.0, 0.0), (widths[0] + GAP, 0.0)]
    else:
        widths = [max(widths)] * 2
        places = [(0.0, 0.0), (0.0, heights[0] + GAP)]
    words = _description(scenes)
    whole = Scene(title, words)
    for scene, caption, width, height, (x, y) in zip(
        scenes, captions, widths, heights, places, strict=True
    ):
        box = Box(x + width / 2, y + height / 2, width, height)
        label = caption.line(width - 2 * signs.FRAME)
        text = f"{caption.name}: {caption.target}"
        whole.figures.append(Figure(caption.name, "frame", box, label, text, inner=scene))
    legend = [entry for scene in scenes for entry in scene.legend]
    marks = set(whole.marks())
    legend += [(mark, words) for mark, words in MEANINGS.items() if mark in marks]
    if not marks:
        legend.append(("", NOTHING if alike else ALL))
    whole.legend += dict.fromkeys(legend)
    return whole


def _description(scenes: tuple[Scene, Scene]) -> str:
    counts = [len(scene.marks()) for scene in scenes]
    if not any(counts):
        return "Two drawings beside each other; nothing is outlined."
    return f"Two drawings; outlined, for they differ: {counts[0]} signs in A, {counts[1]} in B."
