"""`tncompile tune`."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tncompile.cli.command import (
    FINE,
    Command,
    add_file,
    add_machine,
    add_memory_limit,
    add_root,
    add_search,
    add_target,
)
from tncompile.cli.compiling import batch_sizes
from tncompile.cli.costing import positive
from tncompile.cli.reading import (
    checked_machine,
    instantiate,
    memory_limit,
    own_lock,
    plan_noted,
    same_file,
)
from tncompile.cli.waiting import waiting
from tncompile.cli.writing import UsageError, reason, show

if TYPE_CHECKING:
    from tncompile.planning.assessing import Way
    from tncompile.planning.tuning import Trial, Tuning

LONGEST = 24 * 3600
"""Seconds that anybody may want to spend."""


def _configure(parser: ArgumentParser) -> None:
    add_file(parser)
    add_target(parser)
    parser.add_argument(
        "--batch",
        metavar="1,64,1024",
        default="64",
        help="the batch sizes to measure, separated by commas (64)",
    )
    parser.add_argument(
        "--training", action="store_true", help="measure training steps, too: forward and backward"
    )
    parser.add_argument(
        "--lock",
        metavar="LOCK",
        help="the lock file that keeps the winners (mpo.tnlock beside mpo.tn)",
    )
    add_threads(parser)
    parser.add_argument(
        "--seconds", metavar="S", default="60", help="about how long to measure in all (60)"
    )
    add_search(parser)
    add_machine(parser)
    add_memory_limit(parser)
    add_root(parser)


def add_threads(parser: ArgumentParser) -> None:
    """`--threads`."""
    parser.add_argument(
        "--threads", metavar="N", help="the threads that torch runs on (as many as it takes itself)"
    )


def _run(given: Namespace) -> int:
    sizes = batch_sizes(given.batch) or ()
    machine, limit = checked_machine(given.machine, measures=True), memory_limit(given.memory_limit)
    seconds, count = budget(given.seconds), thread_count(given.threads)
    lock = _lock(given.lock, given.file)
    architecture = instantiate(given.file, given.target, given.root).locked(lock)

    from tncompile.planning.measuring import threads

    with threads(count), waiting("measuring") as architecture.progress:
        tuning = plan_noted(
            architecture,
            lambda: architecture.tune(
                sizes,
                training=given.training,
                search=given.search,
                memory_limit=limit,
                machine=machine,
                seconds=seconds,
            ),
        )
    show(f"{_table(tuning)}\n\nkept in {lock}")
    return FINE


def budget(text: str) -> float:
    """The seconds of `--seconds`."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= LONGEST:
        raise UsageError(f"--seconds takes a positive number up to {LONGEST:,}, not {text!r}")
    return seconds


def thread_count(text: str | None) -> int | None:
    """The threads of `--threads`; None where it is not given."""
    if text is None:
        return None
    count = positive("--threads", text)
    if count > 1024:
        raise UsageError(f"--threads takes up to 1,024 threads, not {text}")
    return count


def _lock(given: str | None, name: str) -> Path:
    """The lock file to write, once it is known that it can be read and written."""
    from tncompile.planning.lock import LockError, read_lock

    path = own_lock(name) if given is None else Path(given)
    if path is None:
        raise UsageError(f"{name} is no file of your own; --lock LOCK says where to keep the plan")
    if same_file(str(path), name):
        raise UsageError(f"--lock {path} is the file that is tuned; name another one")
    try:
        read_lock(path)
    except LockError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(f"cannot read the lock file {path}: {reason(error)}") from error
    folder = path.resolve().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"cannot keep the lock file {path}: its folder cannot be written")
    return path


# ── the table ───────────────────────────────────────────────────────────────────────────────────

TITLES = {"training": "training step", "inference": "forward pass", "folded": "folded forward pass"}


def _table(tuning: Tuning) -> str:
    """What was measured, a block for each mode and batch size, the chosen one marked."""
    head = f"{tuning.plan.target}\nmeasured on {tuning.plan.tuned}"
    return "\n\n".join([head, *(_block(tuning, trial) for trial in tuning.trials)])


def _block(tuning: Tuning, trial: Trial) -> str:
    from tncompile.planning.wording import seconds_text, way_text

    chosen = tuning.plan.variant(trial.batch, trial.mode)
    at = f", batch {trial.batch:,}" if tuning.plan.sizes else ""
    title = f"{TITLES[trial.mode]}{at}"
    names = _names([one.way for one in trial.tried])
    other = way_text(chosen.found_by, chosen.strategy)
    width = max(len(title), len(other), *map(len, names))
    lines = [f"{title:<{width}}  {'predicted':>10}  {'measured':>10}"]
    measured = False
    for name, one in zip(names, trial.tried, strict=True):
        ours = one.way.tree == chosen.tree and one.way.strategy == chosen.strategy
        measured = measured or ours
        lines.append(
            f"{name:<{width}}  {seconds_text(one.predicted):>10}"
            f"  {seconds_text(one.timing.seconds):>10}{'  chosen' if ours else ''}"
        )
    if not measured:  # what a neighboring size runs is about as fast, so that both share it
        lines.append(f"{other:<{width}}  {'':>10}  {'':>10}  chosen, as at a neighboring size")
    return "\n".join(lines)


def _names(ways: Sequence[Way]) -> list[str]:
    """What ways are called in a table: those that read alike are told apart by numbers."""
    from tncompile.planning.wording import way_text

    texts = [way_text(way.names, way.strategy) for way in ways]
    named = []
    for k, (text, way) in enumerate(zip(texts, ways, strict=True)):
        alike = [other for other, held in zip(ways, texts, strict=True) if held == text]
        if len(alike) > 1:
            what = "layouts" if all(other.tree == way.tree for other in alike) else "order"
            text += f", {what} {texts[: k + 1].count(texts[k])}"
        named.append(text)
    return named


TUNE = Command(
    "tune",
    "Measure the most promising plans of a block on this machine, and keep the winners.",
    "Each runs as the module that it becomes, in rounds of shuffled order, on the device of the\n"
    "machine profile. The lock file that keeps the winners is what `compile` and `cost` follow\n"
    "from then on.",
    (
        "tncompile tune mpo.tn 'MPO(ins = [4, 8], outs = [8, 4], ranks = 8)' --batch 1,64 "
        "--seconds 5",
    ),
    _configure,
    _run,
)
