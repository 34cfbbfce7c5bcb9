"""What a module costs at a batch size, beside its alternatives: the numbers and their table."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import tncompile.planning.wording as wording
from tncompile.notebook import as_html
from tncompile.planning.plan import Variant
from tncompile.simulation.costs import CostStep, Figures
from tncompile.simulation.dense_layer import Kind
from tncompile.simulation.modes import Mode


@dataclass(frozen=True, slots=True)
class Crossing:
    """The batch sizes at which an alternative is predicted to be faster than the plan.

    With both, and `faster_from` the smaller, those in between: it is faster at the planned size.
    """

    faster_from: int | None = None  # from this batch size on
    faster_up_to: int | None = None  # up to this one

    def __str__(self) -> str:
        """`from batch 411 on`."""
        first, last = self.faster_from, self.faster_up_to
        if last is None:
            return "at every batch size" if first == 1 else f"from batch {first:,} on"
        if first is None or first == 1:
            return f"up to batch {last:,}"
        if first <= last:
            return f"from batch {first:,} to {last:,}"
        return f"up to batch {last:,} and from batch {first:,} on"


@dataclass(frozen=True, repr=False)
class Cost:
    """What a module costs at some run-time sizes; it prints as a table, `to_dict()` has numbers.

    `chosen` says for every mode what runs, `mode` is the one that was asked for. `compared` are
    other orders of contraction, `crossed` the batch sizes at which they, or the dense layer, are
    faster: both by mode. `reasons` say why an alternative is missing. `dense_layer` is the layer of
    torch that is like the network: `nn.Linear`, `nn.Bilinear`, `nn.Embedding` or none.
    """

    name: str
    sizes: Mapping[str, int]
    machine: str
    mode: Mode
    chosen: Mapping[Mode, Variant]
    compared: Mapping[Mode, Mapping[str, Figures]] = field(default_factory=dict)
    crossed: Mapping[Mode, Mapping[str, Crossing]] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    dense_layer: Kind | None = None

    @property
    def inference(self) -> Figures:
        """The figures of a forward pass."""
        return self.chosen["inference"].cost.figures

    @property
    def training(self) -> Figures:
        """The figures of a training step."""
        return self.chosen["training"].cost.figures

    @property
    def folded(self) -> Figures:
        """The figures of a forward pass of the folded module."""
        return self.chosen["folded"].cost.figures

    @property
    def figures(self) -> Figures:
        """The figures of the mode that was asked for."""
        return self.chosen[self.mode].cost.figures

    @property
    def steps(self) -> tuple[CostStep, ...]:
        """The contraction in that mode."""
        return self.chosen[self.mode].cost.steps

    @property
    def found_by(self) -> tuple[str, ...]:
        """The searches that found the tree that runs in that mode."""
        return self.chosen[self.mode].found_by

    @property
    def alternatives(self) -> Mapping[str, Figures]:
        """The other orders of contraction in that mode."""
        return self.compared.get(self.mode, {})

    @property
    def crossings(self) -> Mapping[str, Crossing]:
        """The batch sizes at which something else is faster in that mode."""
        return self.crossed.get(self.mode, {})

    @property
    def flops(self) -> int:
        """The operations of one run in that mode."""
        return self.chosen[self.mode].cost.flops

    @property
    def peak_bytes(self) -> int:
        """The most bytes alive at once in that mode."""
        return self.chosen[self.mode].cost.peak_bytes

    @property
    def seconds(self) -> float:
        """The predicted time of one run in that mode."""
        return self.chosen[self.mode].cost.seconds

    def of(self, mode: Mode) -> Cost:
        """The same numbers, asked for in another mode."""
        return replace(self, mode=mode)

    def to_dict(self) -> dict[str, object]:
        """All numbers, ready for JSON.

        `steps`, `alternatives` and `crossings` are those of the mode that was asked for; `chosen`,
        `compared` and `crossed` hold every mode.
        """
        compared = {
            mode: {name: figures.to_dict() for name, figures in by_name.items()}
            for mode, by_name in self.compared.items()
        }
        crossed = {
            mode: {name: asdict(crossing) for name, crossing in by_name.items()}
            for mode, by_name in self.crossed.items()
        }
        return {
            "name": self.name,
            "sizes": dict(self.sizes),
            "machine": self.machine,
            "mode": self.mode,
            "found_by": list(self.found_by),
            "inference": self.inference.to_dict(),
            "folded": self.folded.to_dict(),
            "training": self.training.to_dict(),
            "steps": [step.to_dict() for step in self.steps],
            "alternatives": compared.get(self.mode, {}),
            "crossings": crossed.get(self.mode, {}),
            "chosen": {
                mode: {
                    "found_by": list(variant.found_by),
                    "strategy": wording.schedule_text(variant.schedule),
                    "steps": [step.to_dict() for step in variant.cost.steps],
                }
                for mode, variant in self.chosen.items()
            },
            "compared": compared,
            "crossed": crossed,
            "reasons": dict(self.reasons),
            "dense_layer": self.dense_layer,
        }

    def table(self, *, training: bool | None = None, width: int = wording.WIDTH) -> str:
        """The contraction step by step, totals and alternatives, as text of `width` columns.

        The contraction, its shares and the alternatives are those of the mode that was asked for,
        or, with `training` given, of a training step or a forward pass. The width is 100 at least.
        """
        mode = self.mode if training is None else "training" if training else "inference"
        cost = self.of(mode)
        parts = [
            _title(cost),
            _contraction(cost, max(wording.WIDTH, width)),
            _totals(cost),
            _compression(cost),
            _alternatives(cost),
            "\n".join(_remarks(cost)),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return self.table().rstrip("\n")

    def _repr_html_(self) -> str:
        return as_html(repr(self))


# ── parts of the table ──────────────────────────────────────────────────────────────────────────


def _title(cost: Cost) -> str:
    plan = wording.plan_text(cost.found_by, cost.chosen[cost.mode].schedule)
    run = f"{wording.MODE_TEXT[cost.mode]} {wording.sizes_text(cost.sizes)}".rstrip()
    at = textwrap.fill(run, wording.WIDTH)
    return f"{wording.shortened(cost.name)}\n{at}\nplan: {plan}\npredicted for {cost.machine}"


def _contraction(cost: Cost, width: int) -> str:
    """One row a contraction: names, the indices of the result, work, size, share of the time."""
    if not cost.steps:
        return "Nothing is contracted."
    shown = wording.largest_rows([step.share for step in cost.steps])
    rows = [
        (
            step.result,
            f"{step.count} × {step.contraction}" if step.count > 1 else step.contraction,
            " ".join(step.indices) or "scalar",
            wording.count_text(step.multiply_adds),
            wording.bytes_text(step.bytes),
            wording.percent_text(step.share),
        )
        for step in (cost.steps[k] for k in shown)
    ]
    hidden = [step for k, step in enumerate(cost.steps) if k not in shown]
    if hidden:
        multiply_adds = wording.count_text(sum(step.multiply_adds for step in hidden))
        share = wording.percent_text(sum(step.share for step in hidden))
        rows.append(("…", f"{len(hidden):,} more", "", multiply_adds, "", share))
    rest = max(0.0, 1.0 - sum(step.share for step in cost.steps))
    if rest >= 0.005:
        share = wording.percent_text(rest)
        rows.append(("", "preparing inputs, weights and output", "", "", "", share))
    head = ("step", "contraction", "keeps", "multiply-adds", "size", f"{cost.mode} time")
    return wording.columns_text(head, rows, width, 3)


TOTALS: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "multiply-adds": ("multiply_adds", wording.count_text),
    "FLOPs": ("flops", wording.count_text),
    "predicted time": ("seconds", wording.seconds_text),
    "peak memory": ("peak_bytes", wording.bytes_text),
    "bytes moved": ("moved_bytes", wording.bytes_text),
    "bytes copied": ("copied_bytes", wording.bytes_text),
    "largest intermediate": ("largest_intermediate", wording.count_text),
    "FLOPs per byte": ("intensity", wording.digits_text),
}


def _totals(cost: Cost) -> str:
    rows: list[tuple[str, ...]] = [("total", "inference", "folded", "training step")]
    for label, (name, text) in TOTALS.items():
        figures = (cost.inference, cost.folded, cost.training)
        rows.append((label, *(_cell(text, getattr(of, name)) for of in figures)))
    return _headed(rows, 24, 16, 16, 18)


def _cell(text: Callable[[Any], str], value: float | None) -> str:
    return "—" if value is None else text(value)


def _aligned(rows: Iterable[tuple[str, ...]], *widths: int) -> list[str]:
    """Lines of a column of text and columns of numbers."""
    sides = "<" + ">" * (len(widths) - 1)
    lines = []
    for row in rows:
        columns = zip(row, sides, widths, strict=True)
        lines.append("".join(f"{cell:{side}{size}}" for cell, side, size in columns).rstrip())
    return lines


def _headed(rows: Iterable[tuple[str, ...]], *widths: int) -> str:
    """The same as text with a line below the first row."""
    head, *lines = _aligned(rows, *widths)
    return "\n".join([head, "─" * len(head), *lines])


def _compression(cost: Cost) -> str:
    """The network beside the dense map that it stands for."""
    figures = cost.inference
    dense = figures.dense_parameters
    numbers = "more than 1e308" if dense is None else wording.count_text(dense)
    rows = [("parameters", f"{figures.parameters:,}"), ("of the dense map", numbers)]
    if figures.compression is not None:
        rows.append(("compression", wording.ratio_text(figures.compression)))
    lines = _aligned(rows, 24, 16)
    if cost.dense_layer == "nn.Embedding" and dense is not None:
        table = f"a table of {numbers} numbers, {wording.bytes_text(4 * dense)}"
        lines.append(f"The dense map is {table}: looked up, no products.")
    return "\n".join(lines)


def _alternatives(cost: Cost) -> str:
    """The plan beside its alternatives and beside the dense layer."""
    plan = cost.figures
    head = (wording.MODE_TEXT[cost.mode], "FLOPs", "time", "peak", "against the plan")
    rows: list[tuple[str, ...]] = [head]

    def row(name: str, flops: int | None, seconds: float | None, peak: int | None) -> None:
        times = "—"
        if seconds is not None and plan.seconds:
            slower = seconds / plan.seconds
            factor = wording.digits_text(slower) if slower < 1000 else f"{slower:.0e}"
            times = f"{factor} × the time"
        time, size = _cell(wording.seconds_text, seconds), _cell(wording.bytes_text, peak)
        rows.append((name, _cell(wording.count_text, flops), time, size, times))

    for name, figures in {"this plan": plan, **cost.alternatives}.items():
        row(name, figures.flops, figures.seconds, figures.peak_bytes)
        if figures == plan:
            rows[-1] = (*rows[-1][:-1], "the same" if name != "this plan" else "")
    if plan.dense_seconds is not None:
        name = f"dense layer, like {cost.dense_layer}"
        row(name, plan.dense_flops, plan.dense_seconds, plan.dense_peak_bytes)
    return _headed(rows, 32, 12, 12, 12, 20) if len(rows) > 2 else ""


def _remarks(cost: Cost) -> list[str]:
    """Where an alternative is faster, and why others are not compared; equal remarks together."""
    lines: list[str] = []
    for crossing, names in _together(cost.crossings.items()).items():
        subject = _listed(["a dense layer" if name == "dense layer" else name for name in names])
        verb = "is" if len(names) == 1 else "are"
        lines.append(f"{subject[:1].upper()}{subject[1:]} {verb} faster {crossing}.")
    for reason, names in _together(cost.reasons.items()).items():
        remark = f"Not compared: {_listed(names)}; {reason}."
        lines.append(textwrap.fill(remark, wording.WIDTH))
    return lines


def _together(items: Iterable[tuple[str, Hashable]]) -> dict[Hashable, list[str]]:
    """The names of each value."""
    names: dict[Hashable, list[str]] = {}
    for name, value in items:
        names.setdefault(value, []).append(name)
    return names


def _listed(names: list[str]) -> str:
    """Names in a sentence.

    >>> _listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
