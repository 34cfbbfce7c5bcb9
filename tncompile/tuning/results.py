"""What tuning measured and chose, as values, as JSON and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from tncompile.notebook import as_html
from tncompile.planning.evaluation import ScheduledTree
from tncompile.planning.plan import ContractionPlan
from tncompile.planning.wording import percent_text, seconds_text
from tncompile.simulation.modes import Mode
from tncompile.tuning.timing import Timing, disturbance

TITLES: dict[Mode, str] = {
    "training": "training step",
    "inference": "forward pass",
    "folded": "folded forward pass",
}

SPREAD = "spread: how far the quartiles of the readings lie apart, as a share of their median"


@dataclass(frozen=True, slots=True, repr=False)
class Tried:
    """A scheduled tree that was measured, and the seconds that were predicted."""

    option: ScheduledTree
    predicted: float
    timing: Timing

    def __repr__(self) -> str:
        spread = percent_text(self.timing.spread / 2)
        return f"Tried({self.option}: {seconds_text(self.timing.seconds)} ± {spread})"


@dataclass(frozen=True, slots=True)
class Trial:
    """What was measured in one mode at one batch size, in the order of the predictions."""

    mode: Mode
    batch: int
    tried: tuple[Tried, ...]

    @property
    def fastest(self) -> Tried:
        """What took the least time."""
        return min(self.tried, key=lambda tried: tried.timing.seconds)

    @property
    def doubtful(self) -> str | None:
        """Why the times say little, where something else ran on the machine."""
        share = fmean(tried.timing.share for tried in self.tried)
        return disturbance(share, self.fastest.timing.spread)


@dataclass(frozen=True, slots=True, repr=False)
class Tuning:
    """A plan that was measured, and the measurements; it prints as a table.

    `busy` says why the times decide nothing, where something else ran on the machine.
    """

    plan: ContractionPlan
    trials: tuple[Trial, ...]
    busy: str | None = None

    def chosen(self, trial: Trial) -> Tried:
        """What the plan runs of what was measured in one trial."""
        variant = self.plan.variant(trial.batch, trial.mode)
        return next(
            tried
            for tried in trial.tried
            if tried.option.tree == variant.tree and tried.option.schedule == variant.schedule
        )

    def to_dict(self) -> dict[str, object]:
        """All figures, ready for JSON; times are in seconds."""
        return {
            "target": self.plan.target,
            "tuned": self.plan.tuned,
            "busy": self.busy,
            "trials": [
                {
                    "mode": trial.mode,
                    "batch": trial.batch,
                    "tried": [
                        {
                            "way": str(tried.option),
                            "predicted": tried.predicted,
                            "measured": tried.timing.seconds,
                            "quartiles": [tried.timing.low, tried.timing.high],
                            "spread": tried.timing.spread,
                            "readings": tried.timing.readings,
                            "share": tried.timing.share,
                            "chosen": tried is self.chosen(trial),
                        }
                        for tried in trial.tried
                    ],
                }
                for trial in self.trials
            ],
        }

    def __repr__(self) -> str:
        head = [self.plan.target, f"measured on {self.plan.tuned}", SPREAD]
        if self.busy:
            head.append(f"the machine was busy: {self.busy}")
        return "\n\n".join(["\n".join(head), *map(self._table, self.trials)])

    def _repr_html_(self) -> str:
        return as_html(repr(self))

    def _table(self, trial: Trial) -> str:
        """A line for everything that was measured in a trial, the chosen one marked."""
        title = TITLES[trial.mode] + (f", batch {trial.batch:,}" if self.plan.sizes else "")
        names = _distinct_names([tried.option for tried in trial.tried])
        width = max(len(title), *map(len, names))
        chosen = self.chosen(trial)
        lines = [f"{title:<{width}}  {'predicted':>10}  {'measured':>10}  {'spread':>6}"]
        for name, tried in zip(names, trial.tried, strict=True):
            times = seconds_text(tried.predicted), seconds_text(tried.timing.seconds)
            spread, mark = percent_text(tried.timing.spread), "  chosen" * (tried is chosen)
            lines.append(f"{name:<{width}}  {times[0]:>10}  {times[1]:>10}  {spread:>6}{mark}")
        return "\n".join(lines)


def _distinct_names(options: Sequence[ScheduledTree]) -> list[str]:
    """A name for each scheduled tree; equal names are told apart by numbers."""
    names = [str(option) for option in options]
    distinct = []
    for k, (name, option) in enumerate(zip(names, options, strict=True)):
        alike = [other.tree for other, same in zip(options, names, strict=True) if same == name]
        if len(alike) > 1:
            what = "layouts" if all(tree == option.tree for tree in alike) else "order"
            name += f", {what} {names[: k + 1].count(names[k])}"
        distinct.append(name)
    return distinct
