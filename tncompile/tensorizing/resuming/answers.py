"""Answers that were found in a run, kept in a folder by what decides on them: values of JSON."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tncompile.files import bounded_text, json_text, json_value, replace_file
from tncompile.tensorizing.resuming.fits import key_of, own_folder

OWN = re.compile(r"[0-9a-f]{64}\.json|\.[0-9a-f]{64}\.json\..*|README")
"""Files of ours; the second are those of a run that was killed while it wrote."""

README = (
    "What `tncompile.allocate` found of layers, which goes on with it where it was interrupted.\n"
    "This folder may be deleted at any time.\n"
)

Answer = TypeVar("Answer")

LARGEST = 2**26
"""Bytes of an answer that are read."""


@dataclass(frozen=True)
class Answers:
    """A folder of answers."""

    folder: Path

    @staticmethod
    def at(folder: str | os.PathLike[str]) -> Answers:
        """Those in a folder, which is made where there is none.

        Raises ValueError for a folder with other files, and `OSError` where it cannot be made.
        """
        return Answers(own_folder(folder, OWN, "answers", README))

    def read(self, key: str, read: Callable[[object], Answer]) -> Answer | None:
        """The answer of a key as `read` takes it; None where there is none.

        One that is damaged, which `read` says by a ValueError, is warned of and removed.
        """
        path = self.folder / f"{key}.json"
        if not path.exists():
            return None
        try:
            said = json_value(bounded_text(path, LARGEST))
            if not isinstance(said, dict) or said.get("key") != key:
                raise ValueError("it is of another layer")
            if said.get("digest") != _digest(said.get("answer")):
                raise ValueError("it is not what was written")
            return read(said.get("answer"))
        except (ValueError, OSError) as error:
            warnings.warn(f"{path} is damaged, its layer is looked at anew: {error}", stacklevel=2)
            path.unlink(missing_ok=True)
            return None

    def write(self, key: str, answer: object) -> None:
        """Keep an answer. Raises `OSError` where it cannot be written."""
        text = json_text({"key": key, "digest": _digest(answer), "answer": answer})
        replace_file(self.folder / f"{key}.json", text)


def _digest(answer: object) -> str:
    return key_of(json.dumps(answer, sort_keys=True))
