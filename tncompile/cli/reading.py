"""What comes in: the FILE and the TARGET of a command line, and the lock beside the file."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tncompile.cli.writing import UsageError, reason, refused, report, say
from tncompile.files import lock_path
from tncompile.model import Model
from tncompile.spec import Spec, own_file, read_file

if TYPE_CHECKING:
    import torch

    from tncompile import Architecture
    from tncompile.language.linked import LinkedProgram
    from tncompile.language.syntax.source import SourceFile
    from tncompile.planning.paths.optimizers import Progress
    from tncompile.planning.request import PlanOptions

STANDARD_INPUT = "-"


def read_source(name: str) -> SourceFile:
    """The text of a FILE. Raises `UsageError` where it cannot be read, `CompileError` (TN103)
    where it is not UTF-8."""
    from tncompile.language.linking.importing import decode

    with refused(f"cannot read {name}: ", OSError):
        if name == STANDARD_INPUT:
            return decode(sys.stdin.buffer.read(), "<stdin>")
        return read_file(name)


def link_file(name: str, root: Path | None) -> LinkedProgram:
    """A FILE with its imports followed; standard input imports only `std/` without a root."""
    from tncompile.language.linking import link
    from tncompile.language.linking.importing import locate

    folder = root if name == STANDARD_INPUT else locate(name).parent
    return link(read_source(name), folder=folder, root=root)


def load_spec(name: str, root: Path | None) -> Spec:
    """The `Spec` of a FILE."""
    return Spec(link_file(name, root), None if name == STANDARD_INPUT else own_file(name))


def instantiate(
    spec: Spec,
    name: str,
    target: str | None,
    *,
    lock: bool = False,
    channels_last: bool = False,
) -> Architecture:
    """The TARGET of a FILE; without one, the only block that the file declares.

    Its plans come from the lock beside the file where there is one; with `lock` they are kept in
    it. Raises `UsageError` where there can be none, and for `channels_last` without images.
    """
    report(spec.warnings)
    architecture = spec.instantiate(target or "")
    report(architecture.warnings)
    if channels_last and isinstance(architecture, Model):
        raise UsageError("--channels-last is for one network; a model says where its images go")
    if channels_last and not isinstance(architecture, Model):
        try:
            architecture = architecture.channels_last()
        except ValueError as problem:
            raise UsageError(f"--channels-last: {problem}") from None
    beside = own_lock(name)  # as it was written, for messages
    if lock and beside is None:
        raise UsageError(f"--lock needs a file of your own, and {name} is none")
    if beside is None or not (lock or beside.exists()):
        return architecture
    return architecture.locked(beside, keep=lock)


def own_lock(name: str) -> Path | None:
    """Where the lock of a FILE is; None for standard input and the library."""
    return None if name == STANDARD_INPUT or own_file(name) is None else lock_path(name)


def same_file(first: str, second: str) -> bool:
    """Whether two arguments name one file that is there; standard input is none."""
    paths = first, second
    there = STANDARD_INPUT not in paths and all(map(os.path.exists, paths))
    return there and os.path.samefile(first, second)


def check_sizes(architecture: Architecture, sizes: Mapping[str, int]) -> None:
    """`UsageError` where `--size` names what is neither a `batch` axis nor a window.

    Of a model, it names its run-time sizes.
    """
    if not sizes:
        return
    if isinstance(architecture, Model):
        from tncompile.models.sizes import given_sizes

        with refused("--size: ", ValueError):
            given_sizes(architecture._model, sizes)
        return

    from tncompile.network.model import DOTS

    network = architecture.network
    axes = [name for name in network.size_names if name != DOTS]
    if unknown := [name for name in sizes if name not in axes]:
        known = f"declares {', '.join(axes)}" if axes else "declares none"
        what = "`batch` axis" + " and no window" * bool(network.windows)
        raise UsageError(f"--size names no {what} {unknown[0]!r}; the block {known}")
    try:
        network.with_window_sizes(network.default_sizes(1, 1) | dict(sizes))
    except ValueError as problem:
        raise UsageError(f"--size: {problem}") from None


def check_complete(model: Model, sizes: Mapping[str, int]) -> None:
    """`UsageError` where a size is neither given nor usual, or where `require` refuses them."""
    from tncompile.models.sizes import cost_sizes, missing_sizes

    if missing := missing_sizes(model._model, sizes):
        listed = " ".join(f"--size {name}=64" for name in missing)
        what = "the size" if len(missing) == 1 else "the sizes"
        names = ", ".join(f"`{name}`" for name in missing)
        verb = "has" if len(missing) == 1 else "have"
        raise UsageError(
            f"{what} {names} of {model._resolved.target} {verb} no usual value; give one: {listed}"
        )
    try:
        cost_sizes(model._model, sizes)
    except ValueError as error:
        usual = [name for name in model.sizes if name not in sizes]
        hint = f"; give another {usual[0]}, like --size {usual[0]}=64" if usual else ""
        raise UsageError(f"--size: {error}{hint}") from error


@contextmanager
def lock_problems() -> Iterator[None]:
    """`UsageError` where a lock file is corrupt or cannot be read or written."""
    from tncompile.planning.lock import LockError

    try:
        with refused("", LockError):
            yield
    except OSError as error:
        named = f" {error.filename}" if isinstance(error.filename, str) else ""
        raise UsageError(f"cannot use the lock file{named}: {reason(error)}") from error


def plan_noted(architecture: Architecture, progress: Progress | None, options: PlanOptions) -> None:
    """Plan an architecture, or the networks of a model.

    What was noticed about the lock file goes to standard error. Raises `UsageError` where it is
    corrupt or cannot be written.
    """
    from tncompile.machine.registry import find_profile

    with lock_problems():
        if isinstance(architecture, Model):
            plans = list(architecture.plan(progress=progress, **options).plans.values())
        else:
            plans = [architecture.plan(progress=progress, **options)]
    stored = " and kept" if architecture.keeps_lock else " (--lock keeps it)"
    for note in dict.fromkeys(note for plan in plans for note in plan.notes):
        say(f"note: {note}; a new one was searched{stored}")
    if any(plan.tuned is not None for plan in plans):
        machine = options.get("machine", "builtin")
        idle = ["--search"] if options.get("search", "normal") != "normal" else []
        if machine != "builtin" and any(
            find_profile(machine).name != plan.machine for plan in plans
        ):
            idle.append("--machine")
        if idle:
            change = "change" if len(idle) > 1 else "changes"
            what = f"{' and '.join(idle)} {change} nothing"
            say(f"note: {what}: the lock file has a plan that was measured")


def weights(path: str) -> dict[str, torch.Tensor]:
    """The state dict of a file of safetensors."""
    from tncompile.tensorizing.storing import read_tensors

    with refused(f"cannot read {path}: ", OSError), refused("", ValueError):
        return dict(read_tensors(path)[0])


def compiled(arguments: Namespace) -> Architecture:
    """The block of a command that plans; the sizes given with it are its own."""
    architecture = instantiate(
        load_spec(arguments.file, arguments.root),
        arguments.file,
        arguments.target,
        lock=arguments.lock,
        channels_last=arguments.channels_last,
    )
    check_sizes(architecture, dict(arguments.size))
    return architecture
