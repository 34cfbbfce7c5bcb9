"""Files that appear whole or not at all, and the JSON in them."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST = 30.0
"""Seconds that a process waits for others to finish with a file, which takes them milliseconds."""


def replace_file(target: Path, text: str) -> None:
    """Write beside `target`, then move onto it, with the permissions it has or would have.

    Lines end as they do in `text`. Raises `OSError`, and leaves nothing behind then.
    """
    with replaced(target) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def replaced(target: Path) -> Iterator[Path]:
    """A file beside `target` for the body to write, which then takes its place.

    It has the permissions that `target` has or would have. Nothing is left behind by a body that
    fails.
    """
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~umask()
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(descriptor)
    try:
        yield Path(name)
        os.chmod(name, mode)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def json_value(text: str | bytes) -> object:
    """What a JSON text holds. Raises ValueError where it holds nothing, or lists past all bounds.

    >>> json_value('{"version": 4}')
    {'version': 4}
    """
    try:
        value: object = json.loads(text)
    except RecursionError:
        raise ValueError("values lie in each other too deep") from None
    return value


@contextmanager
def alone_with(target: Path) -> Iterator[None]:
    """Keep other processes that ask for the same out, to read a file and write it again.

    A file beside `target` marks that it is taken, on shared disks, too; one that a dead process of
    this machine left is cleared away. Raises `OSError` where the folder takes no file, and
    TimeoutError where another process does not come to an end.
    """
    from filelock import SoftFileLock, Timeout

    os.stat(target.parent)  # else it would be made
    mark = target.with_name(f".{target.name}.lock")
    lock = SoftFileLock(mark)
    try:
        lock.acquire(timeout=LONGEST, poll_interval=0.01)
    except Timeout as error:
        words = f"another process has held {mark} for long; remove it if none is running"
        raise TimeoutError(errno.ETIMEDOUT, words, str(target)) from error
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error
    try:
        yield
    finally:
        lock.release()


def umask() -> int:
    """The mask for new files; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def lock_path(source: str | os.PathLike[str]) -> Path:
    """Where the lock of a file is: `mpo.tn` has `mpo.tnlock` beside it.

    >>> lock_path("models/mpo.tn").name
    'mpo.tnlock'
    """
    return Path(source).with_suffix(".tnlock")
