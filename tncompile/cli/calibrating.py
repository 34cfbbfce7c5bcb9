"""`tncompile calibrate`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from time import perf_counter, thread_time

from tncompile.cli.command import FINE, Command
from tncompile.cli.waiting import waiting
from tncompile.cli.writing import UsageError, reason, say, show


def _configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="where the profile goes (machine.json or machine-cuda.json in the user's cache folder "
        "for tncompile, where `--machine measured` or `measured-cuda` finds it)",
    )
    parser.add_argument(
        "--cuda",
        action="store_true",
        help="measure the CUDA device instead, for `--machine measured-cuda`",
    )


def _run(arguments: Namespace) -> int:
    """Measure, store the profile, and print what it says in short."""
    from tncompile.machine.profile import CPU, CUDA, profile_text, write_profile
    from tncompile.machine.registry import measured_path

    device, output = CUDA if arguments.cuda else CPU, arguments.output
    target = measured_path(device) if output is None else Path(output)
    if output != "-":
        _require_writable(target, own=output is not None)

    from tncompile.machine import calibration  # loads torch
    from tncompile.machine.host import require_device
    from tncompile.tuning.timing import disturbance

    try:
        require_device(device)
    except ValueError as error:
        raise UsageError(f"--cuda: {error}") from error
    start, before = perf_counter(), thread_time()
    with waiting("measuring this machine") as progress:
        profile = calibration.calibrate(progress, device)
    share = (thread_time() - before) / (perf_counter() - start)
    if device == CPU and (why := disturbance(share)) is not None:
        say(f"note: the machine was busy ({why}): calibrate again when nothing else runs")
    if output == "-":
        show(profile_text(profile))
        return FINE
    try:
        write_profile(profile, target)
    except OSError as error:
        raise UsageError(f"cannot write {target}: {reason(error)}") from error
    show(calibration.summary(profile))
    say(f"wrote {target}")
    return FINE


CALIBRATE = Command(
    "calibrate",
    "Measure this machine, for `--machine measured`.",
    "Times products, copies and calls of torch for less than a minute, in which nothing else\n"
    "should run. Plans are then chosen for this machine where `--machine measured` asks for it,\n"
    "and for the built-in profile otherwise: equal inputs give equal source everywhere.",
    ("tncompile calibrate", "tncompile calibrate -o server.json"),
    _configure,
    _run,
)


def _require_writable(target: Path, *, own: bool) -> None:
    """See, before the time is spent, that the profile can be stored; make our own folder."""
    try:
        if not own:
            target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make {target.parent}: {reason(error)}") from error
    if target.is_dir():
        raise UsageError(f"cannot write {target}: it is a directory")
    if not target.parent.is_dir():
        raise UsageError(f"cannot write {target}: there is no folder {target.parent}")
