"""A model to its scene: inputs below, blocks above what they take, shapes on the lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod

from tncompile.inspection.drawing import signs
from tncompile.inspection.drawing.layout.layers import layered
from tncompile.inspection.drawing.layout.subject import (
    Cell,
    End,
    Group,
    Leg,
    Node,
    Rows,
    Sign,
    Strip,
    Subject,
)
from tncompile.inspection.drawing.models.steps import Step, StepKind, steps_of
from tncompile.inspection.drawing.networks.draw import network_scene
from tncompile.inspection.drawing.scene import Page, Scene
from tncompile.inspection.drawing.text import Line, Span
from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.model import Layer, ModelInput, Part, ResolvedModel
from tncompile.language.typing.operations import Operation, Read, Stored
from tncompile.language.typing.values import Value
from tncompile.models.printer import callee_text
from tncompile.network.model import TensorNetwork

SIGNS: dict[StepKind, Sign] = {
    "network": "tensor",
    "model": "model",
    "layer": "layer",
    "function": "function",
    "stored": "stored",
}

LONGEST = 34
"""Characters of what a block is, and of a shape, above which they are cut."""

Network = Callable[[ResolvedNetwork], TensorNetwork]
"""What builds the network of a part."""


def model_scene(
    model: ResolvedModel,
    network: Network,
    depth: int = 0,
    links: Mapping[str, str] | None = None,
    *,
    unfolded: bool = False,
) -> Scene:
    """The drawing of a model; parts are unfolded to their networks and models `depth` times.

    `links` are places of a page by the calls of parts, which their blocks lead to.
    """

    def inner(part: Part) -> Scene | None:
        callee = part.callee
        if depth < 1 or not isinstance(callee, ResolvedNetwork | ResolvedModel):
            return None
        return callee_scene(callee, network, depth - 1)

    subject, rows = _Reading(model, inner, links or {}, unfolded).subject()
    scene = Scene(f"Model {model.target}", _description(model, subject))
    groups = [Group((key,)) for key in subject.nodes]
    made = layered(subject, scene, signs.LOOSE, groups, rows, forced=True)
    assert made is not None
    return made


def callee_scene(
    callee: ResolvedNetwork | ResolvedModel,
    network: Network,
    depth: int = 0,
    links: Mapping[str, str] | None = None,
) -> Scene:
    """The drawing of what a part is an instance of."""
    if isinstance(callee, ResolvedModel):
        return model_scene(callee, network, depth, links)
    return network_scene(network(callee))


def model_page(model: ResolvedModel, network: Network) -> Page:
    """The drawing of a model with links from its blocks to what they stand for, at any depth."""
    inner = _inner_callees(model)
    links = {target: f"part-{number}" for number, target in enumerate(inner, 1)}
    parts = (
        (links[target], target, callee_scene(callee, network, 0, links))
        for target, callee in inner.items()
    )
    return Page(model_scene(model, network, 0, links), tuple(parts))


def _inner_callees(model: ResolvedModel) -> dict[str, ResolvedNetwork | ResolvedModel]:
    """The networks and models that blocks stand for, by their calls, outermost first."""
    found: dict[str, ResolvedNetwork | ResolvedModel] = {}
    waiting = [model]
    while waiting:
        for step in steps_of(waiting.pop(0)):
            callee = None if step.part is None else step.part.callee
            if isinstance(callee, ResolvedNetwork | ResolvedModel) and callee.target not in found:
                found[callee.target] = callee
                if isinstance(callee, ResolvedModel):
                    waiting.append(callee)
    return found


def _description(model: ResolvedModel, subject: Subject) -> str:
    names = ", ".join(f"{source.name} {source.shape}" for source in model.inputs) or "none"
    blocks = len(subject.nodes)
    return f"{blocks} block{'s' if blocks != 1 else ''}. Inputs, below: {names}."


@dataclass
class _Reading:
    """One pass over the blocks of a model."""

    model: ResolvedModel
    inner: Callable[[Part], Scene | None]
    links: Mapping[str, str]
    unfolded: bool

    def subject(self) -> tuple[Subject, Rows]:
        """What is drawn, and the row of each block."""
        model = self.model
        steps = {f"{number} {step.name}": step for number, step in self._numbered()}
        source: dict[Operation, str] = {
            operation: key for key, step in steps.items() for operation in step.operations
        }
        legs: dict[str, Leg] = {}
        labeled: set[Value] = set()
        inputs: dict[str, list[str]] = {each.name: [] for each in model.inputs}

        def lead(value: Value, end: End) -> None:
            """A line from what gives a value."""
            operation = value.operation
            name = f"{len(legs)}"
            if isinstance(operation, Read):
                inputs[operation.source.name].append(name)
                start = End(f"input {operation.source.name}", 0)
            elif operation in source:
                start = End(source[operation])
            else:
                return
            label = () if value in labeled else (Span(_shape(value), signs.LABEL, "dim"),)
            labeled.add(value)
            ends = [_told(each.key) for each in (start, end)]
            title = f"{value.text}, from {ends[0]} to {ends[1]}"
            legs[name] = Leg(name, None, (start, end), title, label, label)

        for key, step in steps.items():
            for value in step.operands:
                lead(value, End(key))
        output_legs: list[tuple[str, ...]] = []
        for place, value in enumerate(model.output):
            before = len(legs)
            lead(value, End("output", place))
            output_legs.append(tuple(list(legs)[before:]))
        nodes = {key: self._node(key, step) for key, step in steps.items()}
        strips = tuple(
            Strip(
                f"input {each.name}",
                "input",
                signs.name(each.family, each.subscripts, small=True),
                (
                    Cell(
                        "legs",
                        (Span(_shape(each), signs.LABEL),),
                        tuple(inputs[each.name]),
                        alike=True,
                    ),
                ),
                f"{each.name} {each.shape} {each.kind}",
            )
            for each in model.inputs
        )
        cells = tuple(
            Cell("legs", (Span(_shape(value), signs.LABEL),), own)
            for value, own in zip(model.output, output_legs, strict=True)
        )
        output = Strip("output", "output", (Span(model.name, 13, "italic"),), cells, model.target)
        subject = Subject(model.name, model.target, nodes, strips, output, legs, {})
        return subject, self._rows(steps, source)

    def _numbered(self) -> Iterable[tuple[int, Step]]:
        return enumerate(steps_of(self.model, unfolded=self.unfolded))

    @staticmethod
    def _rows(steps: Mapping[str, Step], source: Mapping[Operation, str]) -> Rows:
        """Each block a row above the highest one that it takes from; tensors below their user."""
        depth: dict[str, int] = {}
        for key, step in steps.items():
            below = [depth[source[v.operation]] for v in step.operands if v.operation in source]
            depth[key] = 1 + max(below, default=0)
        for key, step in steps.items():
            if not step.operands:
                users = [
                    depth[other]
                    for other, each in steps.items()
                    if any(source.get(v.operation) == key for v in each.operands)
                ]
                depth[key] = max(1, min(users, default=1) - 1)
        top = 2 * (max(depth.values(), default=0) + 1)
        return Rows({key: 2 * row for key, row in depth.items()}, top)

    def _node(self, key: str, step: Step) -> Node:
        label: Line = (Span(step.name, signs.NAME if step.part else 13, "italic"),)
        times = f" × {step.count}" if step.count > 1 else ""
        if times:
            label = (*label, Span(times, 13, "bold"))
        note, title = self._words(step)
        node = Node(key, SIGNS[step.kind], step.name, (), label, (), title, small=label, note=note)
        scene = self.inner(step.part) if step.part is not None else None
        if scene is not None:
            return replace(node, sign="frame", inner=scene)
        link = "" if step.part is None else self.links.get(callee_text(step.part), "")
        return replace(node, link=link)

    @staticmethod
    def _words(step: Step) -> tuple[Line, str]:
        """The second line of a block, and its tooltip."""
        if step.part is None:
            first = step.operations[0]
            if isinstance(first, Stored):
                shape = " × ".join(f"{size:,}" for size in first.tensor.shape)
                stored = f"{prod(first.tensor.shape):,} numbers"
                return (
                    Span(shape, signs.SMALL, "dim"),
                ), f"tensor {first.tensor.path}: {shape}, {stored}"
            line: Line = (Span(_cut(step.words), signs.SMALL, "dim"),) if step.words else ()
            return line, step.words or step.name
        callee = step.part.callee
        text = callee_text(step.part)
        if isinstance(callee, Layer):
            values = [str(value) for value in callee.arguments.values()]
            numbers = [value for value in values if value.isdigit()][:2]
            words = " ".join([callee.name, " → ".join(f"{int(n):,}" for n in numbers)])
        elif isinstance(callee, ResolvedNetwork | ResolvedModel):
            words = callee.name
        else:
            words = callee.path.rpartition(".")[2]
        times = f", {step.count} times" if step.count > 1 else ""
        return (Span(_cut(words.strip()), signs.SMALL, "dim"),), f"{step.name}{times}: {text}"


def _told(key: str) -> str:
    """The name of a block or an input, without what tells equal ones apart: `embed`."""
    kind, _, name = key.partition(" ")
    return name if name and (kind == "input" or kind.isdecimal()) else key


def _shape(value: Value | ModelInput) -> str:
    """The shape of a value on its line, and its kind where it is not float: `…, t int`."""
    kind = "" if value.kind == "float" else f" {value.kind}"
    axes = ["…"] * value.shape.dots + [_size(str(size)) for size in value.shape.sizes]
    return _cut(", ".join(axes) + kind if axes else f"scalar{kind}")


def _size(text: str) -> str:
    return f"{int(text):,}" if text.isdigit() else text


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
