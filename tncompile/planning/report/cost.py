"""What a module costs at a batch size, beside its alternatives: the numbers and their table."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace

from tncompile.network.model import DOTS
from tncompile.notebook import as_html
from tncompile.planning.wording import (
    MODE_TEXT,
    WIDTH,
    bytes_text,
    columns_text,
    count_text,
    digits_text,
    largest_rows,
    name_text,
    percent_text,
    ratio_text,
    seconds_text,
    shortened,
)
from tncompile.simulation.costs import CostStep, Figures, ModeCost
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


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the module runs in one mode at the size that is asked for, and what it costs."""

    found_by: tuple[str, ...]
    schedule: str  # how the tree is run, in words: `chunks of 16`; empty: the batch at once
    cost: ModeCost

    def to_dict(self) -> dict[str, object]:
        """The choice as JSON stores it."""
        return {
            "found_by": list(self.found_by),
            "strategy": self.schedule,
            "steps": [step.to_dict() for step in self.cost.steps],
        }


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
    chosen: Mapping[Mode, Chosen]
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
            "chosen": {mode: chosen.to_dict() for mode, chosen in self.chosen.items()},
            "compared": compared,
            "crossed": crossed,
            "reasons": dict(self.reasons),
            "dense_layer": self.dense_layer,
        }

    def table(self, *, training: bool | None = None, width: int = WIDTH) -> str:
        """The contraction step by step, totals and alternatives, as text of `width` columns.

        The contraction, its shares and the alternatives are those of the mode that was asked for,
        or, with `training` given, of a training step or a forward pass. The width is 100 at least.
        """
        mode = self.mode if training is None else "training" if training else "inference"
        cost = self.of(mode)
        parts = [
            _title(cost),
            _contraction(cost, max(WIDTH, width)),
            _totals(cost),
            _compression(cost),
            _alternatives(cost),
            "\n".join((*_crossings(cost), *_reasons(cost))),
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
    schedule = cost.chosen[cost.mode].schedule
    plan = f"plan: {name_text(cost.found_by)}{', ' if schedule else ''}{schedule}"
    at = textwrap.fill(f"{MODE_TEXT[cost.mode]} {_sizes(cost.sizes)}".rstrip(), WIDTH)
    return f"{shortened(cost.name)}\n{at}\n{plan}\npredicted for {cost.machine}"


def _sizes(sizes: Mapping[str, int]) -> str:
    """The planned run-time sizes.

    >>> _sizes({"...": 64, "n": 8})
    'at a batch of 64 (the product of the leading axes `...`), n = 8'
    """
    parts = [
        f"a batch of {size:,} (the product of the leading axes `...`)"
        if name == DOTS
        else f"{name} = {size:,}"
        for name, size in sizes.items()
    ]
    return f"at {', '.join(parts)}" if parts else ""


def _contraction(cost: Cost, width: int) -> str:
    """One row a contraction: names, the indices of the result, work, size, share of the time."""
    if not cost.steps:
        return "Nothing is contracted."
    shown = largest_rows([step.share for step in cost.steps])
    rows = [
        (
            step.result,
            f"{step.count} × {step.contraction}" if step.count > 1 else step.contraction,
            " ".join(step.indices) or "scalar",
            count_text(step.multiply_adds),
            bytes_text(step.bytes),
            percent_text(step.share),
        )
        for step in (cost.steps[k] for k in shown)
    ]
    hidden = [step for k, step in enumerate(cost.steps) if k not in shown]
    if hidden:
        multiply_adds = count_text(sum(step.multiply_adds for step in hidden))
        share = percent_text(sum(step.share for step in hidden))
        rows.append(("…", f"{len(hidden):,} more", "", multiply_adds, "", share))
    rest = max(0.0, 1.0 - sum(step.share for step in cost.steps))
    if rest >= 0.005:
        rows.append(("", "preparing inputs, weights and output", "", "", "", percent_text(rest)))
    head = ("step", "contraction", "keeps", "multiply-adds", "size", f"{cost.mode} time")
    return columns_text(head, rows, width, 3)


TOTALS = {
    "multiply-adds": "multiply_adds",
    "FLOPs": "flops",
    "predicted time": "seconds",
    "peak memory": "peak_bytes",
    "bytes moved": "moved_bytes",
    "bytes copied": "copied_bytes",
    "largest intermediate": "largest_intermediate",
    "FLOPs per byte": "intensity",
}


def _totals(cost: Cost) -> str:
    head = f"{'total':<24}{'inference':>16}{'folded':>16}{'training step':>18}"
    lines = [head, "─" * len(head)]
    for label, name in TOTALS.items():
        cells = [_figure(name, of) for of in (cost.inference, cost.folded, cost.training)]
        lines.append(f"{label:<24}{cells[0]:>16}{cells[1]:>16}{cells[2]:>18}")
    return "\n".join(lines)


def _figure(name: str, figures: Figures) -> str:
    value = figures.to_dict()[name]
    if value is None:
        return "—"
    if name == "seconds":
        return seconds_text(float(value))
    if name.endswith("bytes"):
        return bytes_text(int(value))
    return digits_text(value) if name == "intensity" else count_text(int(value))


def _compression(cost: Cost) -> str:
    """The network beside the dense map that it stands for."""
    figures = cost.inference
    dense = figures.dense_parameters
    numbers = "more than 1e308" if dense is None else count_text(dense)
    lines = [
        f"{'parameters':<24}{figures.parameters:>16,}",
        f"{'of the dense map':<24}{numbers:>16}",
    ]
    if figures.compression is not None:
        lines.append(f"{'compression':<24}{ratio_text(figures.compression):>16}")
    if cost.dense_layer == "nn.Embedding" and dense is not None:
        lines.append(
            f"The dense map is a table of {numbers} numbers, {bytes_text(4 * dense)}:"
            " looked up, no products."
        )
    return "\n".join(lines)


def _alternatives(cost: Cost) -> str:
    """The plan beside its alternatives and beside the dense layer."""
    plan = cost.figures
    head = ("FLOPs", "time", "peak", "against the plan")
    rows = [(MODE_TEXT[cost.mode], head)]
    for name, figures in {"this plan": plan, **cost.alternatives}.items():
        against = "the same" if figures == plan else _times(figures.seconds, plan.seconds)
        cells = _cells(figures.flops, figures.seconds, figures.peak_bytes)
        rows.append((name, (*cells, "" if name == "this plan" else against)))
    if plan.dense_seconds is not None:
        cells = _cells(plan.dense_flops, plan.dense_seconds, plan.dense_peak_bytes)
        against = _times(plan.dense_seconds, plan.seconds)
        rows.append((f"dense layer, like {cost.dense_layer}", (*cells, against)))
    lines = [
        f"{name:<32}{flops:>12}{seconds:>12}{peak:>12}{against:>20}".rstrip()
        for name, (flops, seconds, peak, against) in rows
    ]
    lines.insert(1, "─" * len(lines[0]))
    return "\n".join(lines) if len(rows) > 2 else ""


def _cells(flops: int | None, seconds: float | None, peak: int | None) -> tuple[str, str, str]:
    return (
        "—" if flops is None else count_text(flops),
        "—" if seconds is None else seconds_text(seconds),
        "—" if peak is None else bytes_text(peak),
    )


def _times(seconds: float | None, plan: float | None) -> str:
    if seconds is None or not plan:
        return "—"
    slower = seconds / plan
    return f"{digits_text(slower)} × the time" if slower < 1000 else f"{slower:.0e} × the time"


def _crossings(cost: Cost) -> list[str]:
    """Where an alternative is faster; the names of equal crossings together."""
    lines = []
    for crossing, names in _together(cost.crossings.items()).items():
        subject = _listed(["a dense layer" if name == "dense layer" else name for name in names])
        verb = "is" if len(names) == 1 else "are"
        lines.append(f"{subject[:1].upper()}{subject[1:]} {verb} faster {crossing}.")
    return lines


def _reasons(cost: Cost) -> list[str]:
    return [
        textwrap.fill(f"Not compared: {_listed(names)}; {reason}.", WIDTH)
        for reason, names in _together(cost.reasons.items()).items()
    ]


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
