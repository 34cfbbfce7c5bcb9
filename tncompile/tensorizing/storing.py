"""Tensors in a file of safetensors: it appears whole or not at all, and is read without trust."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from tncompile.files import replaced


def write_tensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, torch.Tensor],
    metadata: Mapping[str, str],
) -> None:
    """Put tensors and texts into a file: the same bytes for the same of both.

    Raises `OSError`, and leaves nothing behind then.
    """
    whole = {name: each.contiguous() for name, each in tensors.items()}
    with replaced(Path(path)) as temporary:
        try:
            save_file(whole, temporary, dict(metadata))
        except SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise OSError(str(error)) from None
            raise OSError(int(number[1]), os.strerror(int(number[1])), os.fspath(path)) from None
        _sort_metadata(temporary)


def _sort_metadata(path: Path) -> None:
    """Bring the texts of a file into order, which safetensors writes in that of a hash table."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        if "__metadata__" in header:
            header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
            text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
            if len(text) <= length:  # else it was escaped in another way: it stays as it is
                file.seek(8)
                file.write(text.ljust(length))


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors of a file, on the CPU, and its texts.

    Raises ValueError for a file of something else, and `OSError` where it cannot be read.
    """
    with open(path, "rb"):  # else a folder is called a missing device
        pass
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{os.fspath(path)} is no whole file of safetensors: {error}") from None


def require_same(read: Mapping[str, torch.Tensor], written: Mapping[str, torch.Tensor]) -> None:
    """RuntimeError unless what is read again is what was written, to the bit."""
    for key, tensor in written.items():
        other = read.get(key)
        if other is None or other.dtype != tensor.dtype or not _same_bits(other, tensor):
            raise RuntimeError(f"{key!r} is not what it was when it is read again")
    if len(read) != len(written):
        raise RuntimeError("what is read again has more tensors than there were")


def _same_bits(first: torch.Tensor, second: torch.Tensor) -> bool:
    if first.shape != second.shape:
        return False
    pair = (
        t.detach().to("cpu").contiguous().reshape(-1).view(torch.uint8) for t in (first, second)
    )
    return torch.equal(*pair)
