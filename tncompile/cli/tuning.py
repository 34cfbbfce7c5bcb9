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
    add_planning,
    add_root,
    add_seconds,
    add_target,
    add_threads,
)
from tncompile.cli.reading import (
    batch_sizes,
    checked_machine,
    instantiate,
    lock_problems,
    memory_limit,
    own_lock,
    positive_seconds,
    same_file,
    thread_count,
)
from tncompile.cli.waiting import waiting
from tncompile.cli.writing import UsageError, reason, say, show


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
    add_seconds(parser, "60")
    add_planning(parser)
    add_root(parser)


def _run(arguments: Namespace) -> int:
    sizes = batch_sizes(arguments.batch) or ()
    machine, limit = (
        checked_machine(arguments.machine, measures=True),
        memory_limit(arguments.memory_limit),
    )
    seconds, count = positive_seconds(arguments.seconds), thread_count(arguments.threads)
    lock = _lock(arguments.lock, arguments.file)
    architecture = instantiate(arguments.file, arguments.target, arguments.root).locked(lock)

    from tncompile.machine.host import threads

    with threads(count), waiting("measuring") as progress, lock_problems():
        tuning = architecture.tune(
            sizes,
            training=arguments.training,
            search=arguments.search,
            memory_limit=limit,
            machine=machine,
            seconds=seconds,
            anyway=arguments.anyway,
            progress=progress,
        )
    if arguments.json:
        show(json.dumps(tuning.to_dict(), indent=2))
    else:
        show(repr(tuning))
    if tuning.busy and not arguments.anyway:
        say(
            f"note: nothing is kept: the machine was busy ({tuning.busy}); run this again when"
            " nothing else runs, or on fewer --threads; --anyway keeps what came out"
        )
    elif arguments.json:
        say(f"kept in {lock}")
    else:
        show(f"\nkept in {lock}")
    return FINE


def _lock(path_text: str | None, name: str) -> Path:
    """The lock file to write, once it is known that it can be read and written."""
    from tncompile.planning.lock import LockError, read_lock

    path = own_lock(name) if path_text is None else Path(path_text)
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
