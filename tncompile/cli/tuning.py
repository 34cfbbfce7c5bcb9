"""`tncompile tune`."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

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
    lock_problems,
    memory_limit,
    own_lock,
    same_file,
)
from tncompile.cli.waiting import waiting
from tncompile.cli.writing import UsageError, reason, say, show

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
        "--anyway",
        action="store_true",
        help="keep the winners although something else ran on the machine",
    )
    parser.add_argument("--json", action="store_true", help="print all figures as JSON, for tools")
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

    from tncompile.machine.host import threads

    with threads(count), waiting("measuring") as progress, lock_problems():
        tuning = architecture.tune(
            sizes,
            training=given.training,
            search=given.search,
            memory_limit=limit,
            machine=machine,
            seconds=seconds,
            anyway=given.anyway,
            progress=progress,
        )
    if given.json:
        show(json.dumps(tuning.to_dict(), indent=2))
    else:
        show(repr(tuning))
    if tuning.busy and not given.anyway:
        say(
            f"note: nothing is kept: the machine was busy ({tuning.busy}); run this again when"
            " nothing else runs, or on fewer --threads; --anyway keeps what came out"
        )
    elif given.json:
        say(f"kept in {lock}")
    else:
        show(f"\nkept in {lock}")
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


TUNE = Command(
    "tune",
    "Measure the most promising plans of a block on this machine, and keep the winners.",
    "Each runs as the module that it becomes, in rounds of shuffled order, on the device of the\n"
    "machine profile. The lock file that keeps the winners is what `compile`, `cost` and, in\n"
    "Python, `tncompile.load` follow from then on. Where something else ran on the machine, that\n"
    "is said and nothing is kept.",
    (
        "tncompile tune mpo.tn 'MPO(ins = [4, 8], outs = [8, 4], ranks = 8)' --batch 1,64 "
        "--seconds 5",
    ),
    _configure,
    _run,
)
