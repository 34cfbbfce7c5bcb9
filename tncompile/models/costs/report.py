"""What a model costs: a tree of its parts, and the tables that show it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import tncompile.planning.wording as wording
from tncompile.models.costs.networks import DenseLayer
from tncompile.network.model import DOTS
from tncompile.notebook import Tabled

Kind = Literal["model", "network", "layer", "extern"]


@dataclass(frozen=True, slots=True)
class PartFigures:
    """Totals of a forward pass, or of a training step.

    multiply_adds  products formed in contractions
    flops          two a multiply-add, 5 n log2 n a Fourier transform
    moved_bytes    read and written by all operations together
    seconds        predicted on the machine profile
    peak_bytes     the most alive at once: of the whole model with inputs, parameters and gradients,
                   of a part what one call adds to what was there before
    """

    multiply_adds: int
    flops: int
    moved_bytes: int
    seconds: float
    peak_bytes: int


@dataclass(frozen=True, repr=False)
class PartCost:
    """What a part costs, all of its calls together; parameters count once.

    saved_bytes  what autograd holds from the forward to the backward pass
    share        of the predicted time of the mode that was asked for
    contraction  the product that takes the longest in a forward pass, and where it is
    dense        the layer of torch that a network is like, for all calls
    counted      false for an `extern`, of which nothing is known
    """

    name: str
    callee: str
    kind: Kind
    calls: int
    parameters: int
    inference: PartFigures
    training: PartFigures
    saved_bytes: int
    share: float
    contraction: str | None = None
    dense: DenseLayer | None = None
    parts: tuple[PartCost, ...] = ()

    @property
    def counted(self) -> bool:
        """Whether its cost is known."""
        return self.kind != "extern"

    def __getitem__(self, name: str) -> PartCost:
        """The part of a name. Raises KeyError where there is none."""
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(name)

    def __repr__(self) -> str:
        return f"PartCost({self.name}: {self.callee})"

    def to_dict(self) -> dict[str, object]:
        """All numbers of the part and its parts, ready for JSON."""
        return {**asdict(replace(self, parts=())), "parts": [part.to_dict() for part in self.parts]}


@dataclass(frozen=True, repr=False)
class ModelCost(Tabled):
    """What a model costs at some run-time sizes; it prints as a tree, `to_dict()` has numbers.

    `root` is the model itself. `uncounted` are the classes and functions of Python in it.
    """

    name: str
    sizes: Mapping[str, int]
    machine: str
    mode: Literal["inference", "training"]
    root: PartCost
    uncounted: tuple[str, ...]
    _again: Callable[[int | None, Mapping[str, int], bool], ModelCost] = field(
        repr=False, compare=False
    )

    @property
    def inference(self) -> PartFigures:
        """The figures of a forward pass."""
        return self.root.inference

    @property
    def training(self) -> PartFigures:
        """The figures of a training step."""
        return self.root.training

    @property
    def figures(self) -> PartFigures:
        """The figures of the mode that was asked for."""
        return self.training if self.mode == "training" else self.inference

    @property
    def parts(self) -> tuple[PartCost, ...]:
        """The parts of the model, in the order of their first call."""
        return self.root.parts

    @property
    def parameters(self) -> int:
        """The stored numbers, each once."""
        return self.root.parameters

    @property
    def flops(self) -> int:
        """The operations of one run in that mode."""
        return self.figures.flops

    @property
    def seconds(self) -> float:
        """The predicted time of one run in that mode."""
        return self.figures.seconds

    @property
    def peak_bytes(self) -> int:
        """The most bytes alive at once in that mode."""
        return self.figures.peak_bytes

    @property
    def saved_bytes(self) -> int:
        """What autograd holds from the forward to the backward pass."""
        return self.root.saved_bytes

    def at(self, batch: int | None = None, *, sizes: Mapping[str, int] | None = None) -> ModelCost:
        """The same plans at other sizes, in milliseconds; those that are not given stay."""
        rows = self.sizes.get(DOTS) if batch is None else batch
        others = {name: size for name, size in self.sizes.items() if name != DOTS}
        return self._again(rows, others | dict(sizes or {}), self.mode == "training")

    def to_dict(self) -> dict[str, object]:
        """All numbers, ready for JSON."""
        return {
            "name": self.name,
            "sizes": dict(self.sizes),
            "machine": self.machine,
            "mode": self.mode,
            "uncounted": list(self.uncounted),
            "root": self.root.to_dict(),
        }

    def table(self, *, width: int = wording.WIDTH) -> str:
        """The tree of parts, the totals, and the networks beside the layers that they are like."""
        width = max(wording.WIDTH, width)
        parts = [_title(self), _tree(self, width), _totals(self), _dense(self, width), _rest(self)]
        return "\n\n".join(part for part in parts if part) + "\n"


# ── parts of the table ──────────────────────────────────────────────────────────────────────────


def _title(cost: ModelCost) -> str:
    sizes = ", ".join(
        f"a batch of {size:,} (the product of `...`)" if name == DOTS else f"{name} = {size:,}"
        for name, size in cost.sizes.items()
    )
    run = f"{wording.MODE_TEXT[cost.mode]}{f' at {sizes}' if sizes else ''}"
    lines = [wording.shortened(cost.name), textwrap.fill(run, wording.WIDTH)]
    return "\n".join([*lines, f"predicted for {cost.machine}"])


MOST_ROWS = 60


COLUMNS = ("part", "is", "parameters", "FLOPs", "time", "peak", "saved", "share")


def part_rows(cost: ModelCost) -> list[tuple[str, ...]]:
    """A row of `COLUMNS` for each part, those that are alike together, two spaces a level."""
    rows = [_row(cost, cost.root, 0, cost.name.partition("(")[0], 1)]
    return rows + list(_below(cost, cost.root, 1))


def _tree(cost: ModelCost, width: int) -> str:
    rows = part_rows(cost)
    hidden = len(rows) - MOST_ROWS
    if hidden > 0:
        rows = [*rows[:MOST_ROWS], ("…", f"{hidden:,} more", *[""] * 6)]
    return wording.columns_text(COLUMNS, rows, width, 2)


def _below(cost: ModelCost, part: PartCost, depth: int) -> Iterator[tuple[str, ...]]:
    own = [(label, parts) for label, parts in _alike(part.parts)]
    for label, parts in own:
        yield _row(cost, parts[0], depth, label, len(parts))
        yield from _below(cost, parts[0], depth + 1)


def _alike(parts: tuple[PartCost, ...]) -> Iterator[tuple[str, list[PartCost]]]:
    """Neighbors that differ in their name alone: `block[0] … block[11]`."""
    group: list[PartCost] = []
    for part in (*parts, None):
        if group and (part is None or not _equal(group[0], part)):
            first, last = group[0].name, group[-1].name
            yield first if len(group) == 1 else f"{first} … {last}", group
            group = []
        if part is not None:
            group.append(part)


def _equal(one: PartCost, two: PartCost) -> bool:
    family = one.name.partition("[")[0]
    return two.name.startswith(f"{family}[") and replace(two, name=one.name) == one


def _row(cost: ModelCost, part: PartCost, depth: int, label: str, count: int) -> tuple[str, ...]:
    """Figures of all `count` parts together, but the peak."""
    figures = part.training if cost.mode == "training" else part.inference
    times = f"{count} × " if count > 1 else ""
    calls = f", {part.calls} calls" if part.calls > 1 else ""
    name = f"{'  ' * depth}{label}"
    if not part.counted:
        return name, f"{times}{part.callee}", "not counted", "", "", "", "", ""
    return (
        name,
        f"{times}{part.callee if depth else 'model'}{calls}",
        wording.count_text(count * part.parameters),
        wording.count_text(count * figures.flops),
        wording.seconds_text(count * figures.seconds),
        wording.bytes_text(figures.peak_bytes),
        wording.bytes_text(count * part.saved_bytes),
        wording.percent_text(count * part.share),
    )


TOTALS: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "multiply-adds": ("multiply_adds", wording.count_text),
    "FLOPs": ("flops", wording.count_text),
    "predicted time": ("seconds", wording.seconds_text),
    "peak memory": ("peak_bytes", wording.bytes_text),
    "bytes moved": ("moved_bytes", wording.bytes_text),
}


def _totals(cost: ModelCost) -> str:
    rows = [
        (label, text(getattr(cost.inference, name)), text(getattr(cost.training, name)))
        for label, (name, text) in TOTALS.items()
    ]
    rows.append(("saved activations", "", wording.bytes_text(cost.saved_bytes)))
    rows.append(("parameters", f"{cost.parameters:,}", ""))
    text = wording.columns_text(("total", "inference", "training step"), rows, wording.WIDTH, 1)
    if cost.root.contraction:
        text += f"\n\nThe most expensive contraction: {cost.root.contraction}."
    return text


def _dense(cost: ModelCost, width: int) -> str:
    """A row for each network, beside the layer that it is like."""
    rows = []
    for path, part, count in _networks(cost.root, "", 1):
        own = part.training if cost.mode == "training" else part.inference
        cells = (part.contraction or "", f"{part.parameters:,}", wording.seconds_text(own.seconds))
        if part.dense is None:
            rows.append((f"{count} × {path}" if count > 1 else path, *cells, "none", "", ""))
            continue
        seconds = part.dense.seconds
        rows.append(
            (
                f"{count} × {path}" if count > 1 else path,
                *cells,
                part.dense.kind,
                wording.count_text(part.dense.parameters),
                "—" if seconds is None else wording.seconds_text(seconds),
            )
        )
    head = ("network", "contraction", "parameters", "time", "dense", "parameters", "time")
    return wording.columns_text(head, rows[:MOST_ROWS], width, 2) if rows else ""


def _networks(part: PartCost, path: str, count: int) -> Iterator[tuple[str, PartCost, int]]:
    for _, parts in _alike(part.parts):
        name = f"{path}{parts[0].name}"
        if parts[0].kind == "network":
            yield name, parts[0], count * len(parts)
        yield from _networks(parts[0], f"{name}.", count * len(parts))


def _rest(cost: ModelCost) -> str:
    if not cost.uncounted:
        return ""
    names = ", ".join(f"`{name}`" for name in cost.uncounted)
    return textwrap.fill(f"Not counted: {names}, which Python has.", wording.WIDTH)
