"""What comes in: the FILE and the TARGET of a command line, and the values of its options."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tncompile.cli.writing import UsageError, reason, report, say
from tncompile.files import lock_path

if TYPE_CHECKING:
    from tncompile import Architecture, Spec
    from tncompile.language.linked import LinkedProgram
    from tncompile.language.syntax.source import SourceFile
    from tncompile.planning import ContractionPlan
    from tncompile.planning.paths.optimizers import Progress
    from tncompile.planning.request import PlanOptions

STANDARD_INPUT = "-"


def read_source(name: str) -> SourceFile:
    """The text of a FILE. Raises `UsageError` where it cannot be read, `CompileError` (TN103)
    where it is not UTF-8."""
    from tncompile.language.linking.importing import decode, locate

    try:
        data = sys.stdin.buffer.read() if name == STANDARD_INPUT else locate(name).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {name}: {reason(error)}{_meant(name)}") from error
    return decode(data, "<stdin>" if name == STANDARD_INPUT else name)


def link_file(name: str, root: str | None) -> LinkedProgram:
    """A FILE with its imports followed; standard input imports only `std/` without a root."""
    from tncompile.language.linking import link
    from tncompile.language.linking.importing import locate

    folder = None if name == STANDARD_INPUT else locate(name).parent
    limit = folder if root is None else _folder(root)
    return link(read_source(name), folder=folder or limit, root=limit)


def load_spec(name: str, root: str | None) -> Spec:
    """The `Spec` of a FILE."""
    import tncompile

    limit = None if root is None else _folder(root)
    if name == STANDARD_INPUT:
        return tncompile.loads(read_source(name).text, root=limit, name="<stdin>")
    try:
        return tncompile.load(name, root=limit)
    except OSError as error:
        raise UsageError(f"cannot read {name}: {reason(error)}") from error


def _meant(name: str) -> str:
    """The file of the library that a FILE was probably meant to be, if there is no such file."""
    from tncompile.language.linking.importing import closest_file

    close = None if name == STANDARD_INPUT or os.path.exists(name) else closest_file(name)
    return f"; did you mean {close}?" if close else ""


def _folder(root: str) -> Path:
    """The folder of `--root`."""
    path = Path(root)
    if not path.is_dir():
        raise UsageError(f"--root takes a folder, and {root} is none")
    return path


def instantiate(
    name: str, target: str | None, root: str | None, *, lock: bool = False
) -> Architecture:
    """The TARGET of a FILE; without one, the only block that the file declares.

    Its plans come from the lock beside the file where there is one; with `lock` they are kept in
    it. Raises `UsageError` where there can be none.
    """
    return instantiate_of(load_spec(name, root), name, target, lock=lock)


def instantiate_of(
    spec: Spec, name: str, target: str | None, *, lock: bool = False
) -> Architecture:
    """The TARGET of a FILE that is loaded already."""
    report(spec.warnings)
    architecture = spec.instantiate(target or "")
    report(architecture.warnings)
    beside = own_lock(name)  # as it was written, for messages
    if beside is None:
        if lock:
            raise UsageError(f"--lock needs a file of your own, and {name} is none")
        return architecture
    return architecture.locked(beside, keep=lock) if lock or beside.exists() else architecture


def own_lock(name: str) -> Path | None:
    """Where the lock of a FILE is; None for standard input and the library."""
    from tncompile.language.linking.importing import is_own

    return lock_path(name) if name != STANDARD_INPUT and is_own(name) else None


def same_file(one: str, other: str) -> bool:
    """Whether two arguments name one file that is there; standard input is none."""
    if STANDARD_INPUT in (one, other):
        return False
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def check_sizes(architecture: Architecture, sizes: Mapping[str, int]) -> None:
    """`UsageError` where `--size` names what is no `batch` axis."""
    axes = [index.name for index in architecture.network.indices if index.kind == "batch"]
    if unknown := [name for name in sizes if name not in axes]:
        known = f"declares {', '.join(axes)}" if axes else "declares none"
        raise UsageError(f"--size names no `batch` axis {unknown[0]!r}; the block {known}")


def checked_machine(name: str, *, measures: bool = False) -> str:
    """The profile of `--machine`, once it is known to be there, and its device what `measures`."""
    from tncompile.machine.registry import find_profile

    try:
        profile = find_profile(name)
        if measures and profile.overlaps:  # to ask takes torch
            from tncompile.machine.host import require_device

            require_device(profile.device)
    except ValueError as error:
        raise UsageError(f"--machine: {error}") from error
    return name


LONGEST = 24 * 3600
"""The most seconds that a command measures."""


def batch_sizes(text: str | None) -> tuple[int, ...] | None:
    """The numbers of `--batch`, in order, each once; None where it is not given.

    >>> batch_sizes("4096, 1,64,1")
    (1, 64, 4096)
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise UsageError(f"--batch takes positive integers separated by commas, not {text!r}")
    if max(map(len, parts)) > 18:
        raise UsageError("--batch takes numbers of up to 18 digits")
    sizes = sorted({int(part) for part in parts})
    if sizes[0] < 1:
        raise UsageError(f"--batch takes positive integers separated by commas, not {text!r}")
    return tuple(sizes)


def positive(option: str, text: str) -> int:
    """A positive integer given to an option."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 18 and int(text) > 0):
        raise UsageError(f"{option} takes a positive integer, not {text!r}")
    return int(text)


def named_sizes(texts: Sequence[str]) -> dict[str, int]:
    """The sizes of `--size NAME=N`, by name.

    >>> named_sizes(["n=64", "h = 32"])
    {'n': 64, 'h': 32}
    """
    sizes: dict[str, int] = {}
    for text in texts:
        name, equals, number = (part.strip() for part in text.partition("="))
        if not name or not equals:
            raise UsageError(f"--size takes NAME=N, not {text!r}")
        sizes[name] = positive(f"--size {name}=N", number)
    return sizes


def positive_seconds(text: str) -> float:
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


BYTES = re.compile(
    r"([0-9]{1,15}(?:\.[0-9]{1,6})?(?:e[0-9]{1,2})?) ?([kmgt]?)(?:i?b)?", re.IGNORECASE
)
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def memory_limit(text: str | None) -> int | None:
    """The bytes of `--memory-limit`; None where it is not given.

    >>> memory_limit("2G"), memory_limit("1.5 MiB"), memory_limit("64k"), memory_limit("1e9")
    (2147483648, 1572864, 65536, 1000000000)
    """
    if text is None:
        return None
    matched = BYTES.fullmatch(text.strip())
    limit = int(float(matched[1]) * UNITS[matched[2].upper()]) if matched else 0
    if limit < 1:
        raise UsageError(f"--memory-limit takes bytes, like 500M or 2G, not {text!r}")
    return limit


@contextmanager
def lock_problems() -> Iterator[None]:
    """`UsageError` where a lock file is corrupt or cannot be read or written."""
    from tncompile.planning.lock import LockError

    try:
        yield
    except LockError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        named = f" {error.filename}" if isinstance(error.filename, str) else ""
        raise UsageError(f"cannot use the lock file{named}: {reason(error)}") from error


def plan_noted(
    architecture: Architecture, progress: Progress | None, options: PlanOptions
) -> ContractionPlan:
    """The plan of an architecture; what was noticed about the lock file goes to standard error.

    Raises `UsageError` where the lock file is corrupt or cannot be written.
    """
    with lock_problems():
        plan = architecture.plan(progress=progress, **options)
    stored = " and kept" if architecture.keeps_lock else " (--lock keeps it)"
    for note in plan.notes:
        say(f"note: {note}; a new one was searched{stored}")
    if plan.tuned is not None and (idle := _without_effect(plan, options)):
        change = "change" if len(idle) > 1 else "changes"
        what = f"{' and '.join(idle)} {change} nothing"
        say(f"note: {what}: the lock file has a plan that was measured")
    return plan


def _without_effect(plan: ContractionPlan, options: PlanOptions) -> list[str]:
    """The options of a search that a measured plan makes nothing of."""
    from tncompile.machine.registry import find_profile

    machine = options.get("machine", "builtin")
    idle = ["--search"] if options.get("search", "normal") != "normal" else []
    if machine != "builtin" and find_profile(machine).name != plan.machine:
        idle.append("--machine")
    return idle
