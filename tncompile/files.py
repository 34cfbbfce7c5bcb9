"""Files and folders that appear whole or not at all, and the JSON in them."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
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
    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:200]}.")
    except OSError as error:  # which names a file that nobody asked for
        raise type(error)(error.errno, error.strerror, str(target)) from None
    os.close(descriptor)
    try:
        yield Path(name)
        os.chmod(name, mode)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def require_new(folder: str | os.PathLike[str]) -> Path:
    """The path of a folder that is not there yet, or empty. Raises ValueError for another one."""
    target = Path(folder).absolute()
    if target.is_symlink() or target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise ValueError(f"{folder} is there already: name a new folder")
    return target


@contextmanager
def new_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """A folder beside its place for the body to write, which is then renamed.

    Nothing is left behind by a body that fails. Raises ValueError where a folder is there that is
    not empty, and `OSError` where none can be made.
    """
    target = require_new(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:200]}."))
    try:
        yield temporary
        temporary.chmod(0o777 & ~umask())
        os.replace(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def bounded_text(path: Path, most: int) -> str:
    """The text of a file from elsewhere, `most` bytes at the most.

    Raises ValueError for a longer one and for what is no UTF-8, `OSError` where it cannot be read.
    """
    with path.open("rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{path.name} is longer than {most:,} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is no text in UTF-8") from None


def json_text(value: object) -> str:
    """A value as a JSON text of several lines, in ASCII. Raises ValueError for NaN and infinity.

    >>> print(json_text({"version": 4}), end="")
    {
      "version": 4
    }
    """
    return json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def without_infinity(value: object) -> object:
    """A value of JSON in which NaN and infinity, which it does not have, are None.

    >>> without_infinity({"error": [0.5, float("nan")]})
    {'error': [0.5, None]}
    """
    match value:
        case dict():
            return {key: without_infinity(each) for key, each in value.items()}
        case list() | tuple():
            return [without_infinity(each) for each in value]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value


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


LARGEST_TEXT = 2**24
"""Bytes of a text in a folder of ours that are read."""


def folder_config(path: Path, version: int, what: str) -> dict[str, object]:
    """What a folder of ours says of itself, in JSON.

    Raises ValueError for a file that is longer than 16 MiB, no JSON, or that of something else than
    `what` of this version, and `OSError` where it cannot be read.
    """
    text = bounded_text(path, LARGEST_TEXT)
    try:
        config = json_value(text)
    except ValueError as error:
        raise ValueError(f"{path.name} is no JSON: {error}") from None
    if not isinstance(config, dict) or config.get("version") != version:
        raise ValueError(f"{path.name} is not that of {what} of version {version}")
    return config


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
