"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def replace_file(target: Path, text: str) -> None:
    """Write beside `target`, then move onto it, with the permissions it has or would have.

    Lines end as they do in `text`. Raises `OSError`, and leaves nothing behind then.
    """
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
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
