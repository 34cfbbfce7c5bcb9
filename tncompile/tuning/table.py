"""Measurements as text: what ran, how long it took, how steady that was, and what was chosen."""

from __future__ import annotations

from collections.abc import Sequence

from tncompile.planning.evaluation import ScheduledTree
from tncompile.planning.wording import percent_text, plan_text, seconds_text
from tncompile.simulation.modes import Mode
from tncompile.tuning.autotuner import Trial, Tuning

TITLES: dict[Mode, str] = {
    "training": "training step",
    "inference": "forward pass",
    "folded": "folded forward pass",
}

SPREAD = "spread: how far the quartiles of the readings lie apart, as a share of their median"


def tuning_table(tuning: Tuning) -> str:
    """What was measured, a block for each mode and batch size, the chosen one marked."""
    head = [tuning.plan.target, f"measured on {tuning.plan.tuned}", SPREAD]
    if tuning.busy:
        head.append(f"the machine was busy: {tuning.busy}")
    return "\n\n".join(["\n".join(head), *(_block(tuning, trial) for trial in tuning.trials)])


def _block(tuning: Tuning, trial: Trial) -> str:
    at = f", batch {trial.batch:,}" if tuning.plan.sizes else ""
    title = f"{TITLES[trial.mode]}{at}"
    names = _names([one.way for one in trial.tried])
    width = max(len(title), *map(len, names))
    chosen = tuning.chosen(trial)
    lines = [f"{title:<{width}}  {'predicted':>10}  {'measured':>10}  {'spread':>6}"]
    for name, one in zip(names, trial.tried, strict=True):
        mark = "  chosen" if one is chosen else ""
        lines.append(
            f"{name:<{width}}  {seconds_text(one.predicted):>10}"
            f"  {seconds_text(one.timing.seconds):>10}  {percent_text(one.timing.spread):>6}{mark}"
        )
    return "\n".join(lines)


def _names(ways: Sequence[ScheduledTree]) -> list[str]:
    """What ways are called in a table: those that read alike are told apart by numbers."""
    texts = [plan_text(way.names, way.schedule) for way in ways]
    named = []
    for k, (text, way) in enumerate(zip(texts, ways, strict=True)):
        alike = [other for other, held in zip(ways, texts, strict=True) if held == text]
        if len(alike) > 1:
            what = "layouts" if all(other.tree == way.tree for other in alike) else "order"
            text += f", {what} {texts[: k + 1].count(texts[k])}"
        named.append(text)
    return named
