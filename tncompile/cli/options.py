"""Options of several commands, and the values that their texts stand for."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from tncompile.cli.command import Option, option
from tncompile.cli.writing import UsageError, refused

LONGEST = 24 * 3600
"""The most seconds that a command measures."""

BYTES = re.compile(
    r"([0-9]{1,15}(?:\.[0-9]{1,6})?(?:e[0-9]{1,2})?) ?([kmgt]?)(?:i?b)?", re.IGNORECASE
)
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def batch_sizes(text: str) -> tuple[int, ...]:
    """The numbers of `--batch`, in order, each once.

    >>> batch_sizes("4096, 1,64,1")
    (1, 64, 4096)
    """
    parts = [part.strip() for part in text.split(",")]
    if all(part.isascii() and part.isdecimal() for part in parts):
        if max(map(len, parts)) > 18:
            raise UsageError("--batch takes numbers of up to 18 digits")
        sizes = sorted({int(part) for part in parts})
        if sizes[0] > 0:
            return tuple(sizes)
    raise UsageError(f"--batch takes positive integers separated by commas, not {text!r}")


def positive(name: str, text: str) -> int:
    """A positive integer given to the option of a name."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 18 and int(text) > 0):
        raise UsageError(f"{name} takes a positive integer, not {text!r}")
    return int(text)


def named_size(text: str) -> tuple[str, int]:
    """The name and the number of `--size NAME=N`.

    >>> named_size("h = 32")
    ('h', 32)
    """
    name, equals, number = (part.strip() for part in text.partition("="))
    if not name or not equals:
        raise UsageError(f"--size takes NAME=N, not {text!r}")
    return name, positive(f"--size {name}=N", number)


def memory_limit(text: str) -> int:
    """The bytes of `--memory-limit`.

    >>> memory_limit("2G"), memory_limit("1.5 MiB"), memory_limit("64k"), memory_limit("1e9")
    (2147483648, 1572864, 65536, 1000000000)
    """
    matched = BYTES.fullmatch(text.strip())
    limit = int(float(matched[1]) * UNITS[matched[2].upper()]) if matched else 0
    if limit < 1:
        raise UsageError(f"--memory-limit takes bytes, like 500M or 2G, not {text!r}")
    return limit


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= LONGEST:
        raise UsageError(f"--seconds takes a positive number up to {LONGEST:,}, not {text!r}")
    return seconds


def _threads(text: str) -> int:
    count = positive("--threads", text)
    if count > 1024:
        raise UsageError(f"--threads takes up to 1,024 threads, not {text}")
    return count


def _machine(name: str, *, measures: bool = False) -> str:
    """A machine profile, once it is known to be there, and its device what `measures`."""
    from tncompile.machine.registry import find_profile

    with refused("--machine: ", ValueError):
        profile = find_profile(name)
        if measures and profile.overlaps:  # to ask takes torch
            from tncompile.machine.host import require_device

            require_device(profile.device)
    return name


def _root(folder: str) -> Path:
    path = Path(folder)
    if not path.is_dir():
        raise UsageError(f"--root takes a folder, and {folder} is none")
    return path


_FILE = "a .tn file; `-` is standard input, std/NAME.tn the library that ships with tncompile"
FILE, FILES = option("FILE", _FILE), option("FILE", _FILE, dest="files", nargs="+")
TARGET = option(
    "TARGET",
    "a call like 'MPO(ins = [4, 8], outs = [8, 4])', or the name of a block that needs no "
    "arguments; may be left out where the file has one block",
    nargs="?",
)
BATCH = option(
    "--batch B",
    "the product of the leading batch axes (their usual size, else 64)",
    partial(positive, "--batch"),
)
SIZE = option(
    "--size NAME=N",
    "the size of an axis declared with `batch`, or of the input along a `window` (h=56, or h.0=56 "
    "in a family); may be given several times",
    named_size,
    action="append",
    default=[],
)
SEARCH = option(
    "--search",
    "how hard to look for an order of contraction (normal)",
    choices=("fast", "normal", "thorough"),
    default="normal",
)
_MACHINE = (
    "what predicts times: `builtin`, `cuda` (a data sheet's figures), `measured` and "
    "`measured-cuda` (what `calibrate` found on this machine), or a file that `calibrate` wrote "
    "(builtin)"
)
MACHINE = option("--machine PROFILE", _MACHINE, _machine, default="builtin")
MACHINE_HERE = option(
    "--machine PROFILE", _MACHINE, partial(_machine, measures=True), default="builtin"
)
MEMORY_LIMIT = option(
    "--memory-limit BYTES",
    "the most that a training step may hold at once, like 500M or 2G",
    memory_limit,
)
THREADS = option(
    "--threads N", "the threads that torch runs on (as many as it takes itself)", _threads
)
LOCK = option(
    "--lock",
    "keep the plan in FILE's lock (mpo.tnlock beside mpo.tn); one that is there is used with or "
    "without this",
)
CHANNELS_LAST = option(
    "--channels-last",
    "plan for images that come and go channels-last, as in models in torch.channels_last",
)
ROOT = option("--root FOLDER", "the folder that imports may not leave (the file's own)", _root)

PLANNING = (SEARCH, MACHINE, MEMORY_LIMIT, LOCK, CHANNELS_LAST, ROOT)
"""Options of commands that plan."""


def seconds(default: str) -> Option:
    """`--seconds`."""
    words = f"about how long to measure in all ({default})"
    return option("--seconds S", words, _seconds, default=default)
