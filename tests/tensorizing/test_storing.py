"""Files of tensors: the same bytes for the same tensors, errors of the system as such."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from tncompile.tensorizing import storing

SCRIPT = """
import sys, torch
from tncompile.tensorizing.storing import write_tensors
texts = {f"text {k}": "x" for k in range(6)} | {"é\\n\\"": "ü"}
write_tensors(sys.argv[1], {"a": torch.arange(6.0), "b": torch.zeros(2, 3)}, texts)
"""


def test_the_same_file_in_every_process(tmp_path: Path) -> None:
    for name in ("one", "other"):
        subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path / name)], check=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    tensors, texts = storing.read_tensors(tmp_path / "one")
    assert torch.equal(tensors["a"], torch.arange(6.0))
    assert texts['é\n"'] == "ü"


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Error while serializing: No space left on device (os error 28)", OSError),
        ("Error: Permission denied (os error 13)", PermissionError),
        ("Error while serializing: something else", OSError),
    ],
)
def test_errors_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, kind: type[OSError]
) -> None:
    def broken(*_: object) -> None:
        raise SafetensorError(words)

    monkeypatch.setattr(storing, "save_file", broken)
    with pytest.raises(kind):
        storing.write_tensors(tmp_path / "file", {"a": torch.zeros(2)}, {})
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_named_as_it_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "file"
    with pytest.raises(FileNotFoundError) as caught:
        storing.write_tensors(path, {"a": torch.zeros(2)}, {})
    assert caught.value.filename == str(path)
