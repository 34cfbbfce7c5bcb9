"""A picture of the results; only this file needs matplotlib."""

from __future__ import annotations

from pathlib import Path

from benchmarks.contenders.installed import package
from benchmarks.contract import Mode
from benchmarks.results import Results
from benchmarks.summary import cases, ratio


def plot(results: Results, path: Path) -> None:
    """How many times faster than the best peer, case by case; the best by hand as a mark.

    Raises `UnavailableError` where matplotlib is not installed.
    """
    matplotlib = package("matplotlib")
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "tncompile"
    pyplot = package("matplotlib.pyplot")
    held = [case for case in cases(results) if case.peer]
    figure, panels = pyplot.subplots(1, 2, figsize=(13, 1.5 + 0.24 * len(held) / 2 + 1))
    for panel, mode in zip(panels, Mode, strict=True):
        chosen = [case for case in held if case.mode is mode][::-1]
        names = [f"{case.workload}, {case.batch:,}" for case in chosen]
        bars = [ratio(case.peer, case.ours) for case in chosen if case.peer]
        panel.barh(
            names,
            [bar.median for bar in bars],
            color=["#4878a8" if bar.median >= 1 else "#c05a4a" for bar in bars],
            xerr=[
                [max(0.0, bar.median - bar.lower) for bar in bars],
                [max(0.0, bar.upper - bar.median) for bar in bars],
            ],
            error_kw={"elinewidth": 0.7, "ecolor": "#555555"},
        )
        marks = [
            (name, ratio(case.peer, case.hand).median)
            for name, case in zip(names, chosen, strict=True)
            if case.hand and case.peer
        ]
        panel.plot([x for _, x in marks], [n for n, _ in marks], "k|", markersize=9)
        panel.axvline(1, color="black", linewidth=0.8)
        panel.set_xscale("log")
        panel.set_title(f"{mode}: times faster than the best peer (|: by hand)", fontsize=10)
        panel.tick_params(labelsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)
