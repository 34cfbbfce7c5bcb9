"""What is measured on this machine: `tncompile tune`, `tncompile explain-slow`, `calibrate`."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter, thread_time
from typing import TYPE_CHECKING

import tncompile.cli.options as opt
import tncompile.cli.reading as reading
from tncompile.cli.command import command, option
from tncompile.cli.writing import UsageError, refused, say, show, waiting
from tncompile.model import Model

if TYPE_CHECKING:
    from tncompile.planning.request import PlanOptions
    from tncompile.simulation.modes import Mode
    from tncompile.tuning.results import Tuning


@command(
    "tune",
    "Measure the most promising plans of a block on this machine, and keep the winners.",
    "Each runs as the module that it becomes, in rounds of shuffled order, on the device of the\n"
    "machine profile. The lock file that keeps the winners is what `compile`, `cost` and, in\n"
    "Python, `tncompile.load` follow from then on. Where something else ran on the machine, that\n"
    "is said and nothing is kept.",
    [
        "tncompile tune mpo.tn 'MPO(ins = [4, 8], outs = [8, 4], ranks = 8)' --batch 1,64 "
        "--seconds 5",
    ],
    [
        opt.FILE,
        opt.TARGET,
        option(
            "--batch 1,64,1024",
            "the batch sizes to measure, separated by commas (the usual size, else 64)",
            opt.batch_sizes,
        ),
        opt.SIZE,
        option("--training", "measure training steps, too: forward and backward"),
        option("--lock LOCK", "the lock file that keeps the winners (mpo.tnlock beside mpo.tn)"),
        opt.THREADS,
        option("--anyway", "keep the winners although something else ran on the machine"),
        option("--json", "print all figures as JSON, for tools"),
        opt.seconds("60"),
        opt.SEARCH,
        opt.MACHINE_HERE,
        opt.MEMORY_LIMIT,
        opt.CHANNELS_LAST,
        opt.ROOT,
    ],
)
def tune(arguments: Namespace) -> None:
    """Measure plans, and keep the winners in a lock file."""
    lock = _lock(arguments.lock, arguments.file)
    spec = reading.load_spec(arguments.file, arguments.root)
    architecture = reading.instantiate(
        spec, arguments.file, arguments.target, channels_last=arguments.channels_last
    ).locked(lock)
    reading.check_sizes(architecture, dict(arguments.size))

    from tncompile.machine.host import threads

    with threads(arguments.threads), waiting("measuring") as progress, reading.lock_problems():
        tuning: Tuning | Mapping[str, Tuning] = architecture.tune(
            batch=arguments.batch,
            sizes=dict(arguments.size),
            training=arguments.training,
            search=arguments.search,
            memory_limit=arguments.memory_limit,
            machine=arguments.machine,
            seconds=arguments.seconds,
            anyway=arguments.anyway,
            progress=progress,
        )
    if isinstance(tuning, Mapping):  # of a model: by network
        named = dict(tuning)
        if not named:
            say(f"note: {architecture} has no networks: there is nothing to measure")
            return
        stored = {name: each.to_dict() for name, each in named.items()}
        text = json.dumps(stored, indent=2)
    else:
        named = {"": tuning}
        text = json.dumps(tuning.to_dict(), indent=2)
    show(text if arguments.json else "\n\n".join(map(repr, named.values())))
    busy = next((each.busy for each in named.values() if each.busy), None)
    if busy and not arguments.anyway:
        say(
            f"note: nothing is kept: the machine was busy ({busy}); run this again when"
            " nothing else runs, or on fewer --threads; --anyway keeps what came out"
        )
    elif arguments.json:
        say(f"kept in {lock}")
    else:
        show(f"\nkept in {lock}")


def _lock(path_text: str | None, name: str) -> Path:
    """The lock file to write, once it is known that it can be read and written."""
    from tncompile.planning.lock import LockError, read_lock

    path = reading.own_lock(name) if path_text is None else Path(path_text)
    if path is None:
        raise UsageError(f"{name} is no file of your own; --lock LOCK says where to keep the plan")
    if reading.same_file(str(path), name):
        raise UsageError(f"--lock {path} is the file that is tuned; name another one")
    with refused("", LockError), refused(f"cannot read the lock file {path}: ", OSError):
        read_lock(path)
    folder = path.resolve().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"cannot keep the lock file {path}: its folder cannot be written")
    return path


@command(
    "explain-slow",
    "Measure where the time of a block goes, step by step, and what would change it.",
    "Everything is measured on this machine, but for other arguments of the block: what these\n"
    "would change is predicted.",
    ["tncompile explain-slow std/linear.tn 'MPO(ins = [4, 8], outs = [8, 4])' --seconds 1"],
    [
        opt.FILE,
        opt.TARGET,
        opt.BATCH,
        opt.SIZE,
        option("--training", "a training step: forward and backward"),
        opt.THREADS,
        opt.seconds("10"),
        opt.MACHINE_HERE,
        opt.ROOT,
    ],
)
def explain_slow(arguments: Namespace) -> None:
    """Show where the time of a block goes."""
    options: PlanOptions = {
        "batch": arguments.batch,
        "sizes": dict(arguments.size),
        "machine": arguments.machine,
    }
    spec = reading.load_spec(arguments.file, arguments.root)
    architecture = reading.instantiate(spec, arguments.file, arguments.target)
    if isinstance(architecture, Model):
        raise UsageError(
            f"explain-slow is for networks, and {architecture} is a model: `tncompile cost` has "
            "the predicted time of each of its parts"
        )
    reading.check_sizes(architecture, dict(arguments.size))
    with waiting("searching for a contraction order") as progress:
        reading.plan_noted(architecture, progress, options)

    from tncompile.cli.slow_report import Case, slow_report  # loads torch
    from tncompile.machine.host import threads

    mode: Mode = "training" if arguments.training else "inference"
    case = Case(spec, architecture, options, mode, arguments.seconds)
    with threads(arguments.threads), waiting("measuring") as progress:
        text = slow_report(case, progress or (lambda done, total: None))
    show(text)


@command(
    "calibrate",
    "Measure this machine, for `--machine measured`.",
    "Times products, copies and calls of torch for less than a minute, in which nothing else\n"
    "should run. Plans are then chosen for this machine where `--machine measured` asks for it,\n"
    "and for the built-in profile otherwise: equal inputs give equal source everywhere.",
    ["tncompile calibrate", "tncompile calibrate -o server.json"],
    [
        option(
            "-o --output FILE",
            "where the profile goes (machine.json or machine-cuda.json in the user's cache "
            "folder for tncompile, where `--machine measured` or `measured-cuda` finds it)",
        ),
        option("--cuda", "measure the CUDA device instead, for `--machine measured-cuda`"),
    ],
)
def calibrate(arguments: Namespace) -> None:
    """Measure, store the profile, and print what it says in short."""
    from tncompile.machine.profile import CPU, CUDA, profile_text, write_profile
    from tncompile.machine.registry import measured_path

    device, output = CUDA if arguments.cuda else CPU, arguments.output
    target = measured_path(device) if output is None else Path(output)
    if output is None:  # our own folder
        with refused(f"cannot make {target.parent}: ", OSError):
            target.parent.mkdir(parents=True, exist_ok=True)
    if output != "-":  # seen before the time is spent
        if target.is_dir():
            raise UsageError(f"cannot write {target}: it is a directory")
        if not target.parent.is_dir():
            raise UsageError(f"cannot write {target}: there is no folder {target.parent}")

    from tncompile.machine import calibration  # loads torch
    from tncompile.machine.host import require_device
    from tncompile.tuning.timing import disturbance

    with refused("--cuda: ", ValueError):
        require_device(device)
    start, before = perf_counter(), thread_time()
    with waiting("measuring this machine") as progress:
        profile = calibration.calibrate(progress, device)
    share = (thread_time() - before) / (perf_counter() - start)
    if device == CPU and (why := disturbance(share)) is not None:
        say(f"note: the machine was busy ({why}): calibrate again when nothing else runs")
    if output == "-":
        show(profile_text(profile))
        return
    with refused(f"cannot write {target}: ", OSError):
        write_profile(profile, target)
    show(calibration.summary(profile))
    say(f"wrote {target}")
