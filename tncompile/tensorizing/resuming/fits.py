"""Finished fits in a folder, one file of safetensors each, found by all that decides on them."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from tncompile.files import json_value
from tncompile.tensorizing.storing import read_tensors, write_tensors

VERSION = "1"

OWN = re.compile(r"[0-9a-f]{64}\.safetensors|\.[0-9a-f]{64}\.safetensors\..*|README")
"""Files of ours; the second are those of a run that was killed while it wrote."""

README = (
    "Fits of `tncompile.tensorize`, which goes on with them where it was interrupted.\n"
    "This folder may be deleted at any time.\n"
)

Part = str | int | float | None | torch.Tensor


@dataclass(frozen=True)
class Stored:
    """A fit: what `load_state_dict` takes, the ranks that were chosen, and its errors."""

    state: Mapping[str, torch.Tensor]
    ranks: Mapping[str, object]
    error: float
    metric_error: float | None


@dataclass(frozen=True)
class Fits:
    """A folder of fits."""

    folder: Path

    @staticmethod
    def at(folder: str | os.PathLike[str]) -> Fits:
        """Those in a folder, which is made where there is none.

        Raises ValueError for a folder with other files, and `OSError` where it cannot be made.
        """
        return Fits(own_folder(folder, OWN, "fits", README))

    def read(self, key: str) -> Stored | None:
        """The fit of a key; None where there is none. One that is damaged is said and removed."""
        path = self.folder / f"{key}.safetensors"
        if not path.exists():
            return None
        try:
            tensors, metadata = read_tensors(path)
            return _checked(key, tensors, metadata)
        except (ValueError, OSError) as error:
            self.drop(key, str(error))
            return None

    def drop(self, key: str, why: str) -> None:
        """Remove a file that is of no use, and say so."""
        path = self.folder / f"{key}.safetensors"
        words = f"{path} is damaged, its layer is fitted anew: {why}"
        warnings.warn(words, stacklevel=2)
        path.unlink(missing_ok=True)

    def write(self, key: str, fit: Stored) -> None:
        """Keep a fit. Raises `OSError` where it cannot be written."""
        tensors = {name: each.detach().cpu().clone() for name, each in fit.state.items()}
        said = {"ranks": fit.ranks, "error": fit.error, "metric_error": fit.metric_error}
        metadata = {"key": key, "digest": key_of(*_parts(tensors)), "fit": json.dumps(said)}
        write_tensors(self.folder / f"{key}.safetensors", tensors, metadata)


def own_folder(
    folder: str | os.PathLike[str], own: re.Pattern[str], what: str, readme: str
) -> Path:
    """A folder for files of ours alone, made where there is none, with a README.

    Raises ValueError for a folder with files of other names, and `OSError` where it cannot be made.
    """
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise ValueError(f"{folder} is no folder: {what} are kept in one of their own")
    path.mkdir(parents=True, exist_ok=True)
    for each in sorted(path.iterdir()):
        if not own.fullmatch(each.name):
            raise ValueError(f"{folder} holds {each.name!r}: {what} are kept in a folder alone")
    (path / "README").write_text(readme, encoding="utf-8")
    return path


def _checked(key: str, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> Stored:
    """What a file holds. Raises ValueError where that is not what was written for the key."""
    if metadata.get("key") != key:
        raise ValueError("it is of another layer")
    if metadata.get("digest") != key_of(*_parts(tensors)):
        raise ValueError("its tensors are not those that were written")
    said = json_value(metadata.get("fit", ""))
    ranks = said.get("ranks") if isinstance(said, dict) else None
    if not isinstance(said, dict) or not isinstance(ranks, dict):
        raise ValueError("it says nothing of the fit")
    errors = [said.get("error"), said.get("metric_error")]
    if not isinstance(errors[0], float) or not isinstance(errors[1], float | None):
        raise ValueError("its errors are no numbers")
    for value in ranks.values():
        numbers = value if isinstance(value, list) else [value]
        if not all(type(each) is int and each > 0 for each in numbers):
            raise ValueError("its ranks are no numbers")
    return Stored(tensors, ranks, errors[0], errors[1])


def _parts(tensors: Mapping[str, torch.Tensor]) -> Iterable[Part]:
    for name in sorted(tensors):
        yield name
        yield tensors[name]


def key_of(*parts: Part) -> str:
    """A name that follows from texts, numbers and tensors.

    >>> key_of("a", 1) == key_of("a", 1), key_of("a", 1) == key_of("a1")
    (True, False)
    """
    found = hashlib.sha256(VERSION.encode())
    for part in parts:
        if isinstance(part, torch.Tensor):
            plain = part.detach().cpu().contiguous().reshape(-1)
            found.update(f"tensor {part.dtype} {tuple(part.shape)}:".encode())
            found.update(plain.view(torch.uint8).numpy().data)
        else:
            text = repr(part).encode("utf-8", "backslashreplace")
            found.update(f"{type(part).__name__} {len(text)}:".encode())
            found.update(text)
    return found.hexdigest()


def numbers_of(fit: Stored) -> int:
    """How many numbers a fit holds."""
    return sum(math.prod(each.shape) for each in fit.state.values())
