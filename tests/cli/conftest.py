"""A folder of small files, and a command as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = ("check", "compile", "cost", "fmt", "explain", "blocks", "show", "bonds", "diff")

MAP = """network Map(d: int = 4, o: int = 3) {
  index i = d, j = o
  input x(..., i)
  tensor W(i, j)
  output y(..., j)
}
"""

WRONG = MAP.replace("tensor W(i, j)", "tensor W(i, k)")

TWO = MAP + MAP.replace("Map", "Other")

WARNED = MAP.replace("o: int = 3", "o: int = 3, spare: int = 1")

UNCOMPILED = """model M(p: part) {
  input x(..., 4)
  output p(x)
}

rewrite R {
  linear "*" -> keep
}

"""

with_full_device = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="Linux has a device that is always full"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with a few files."""
    for name, text in (("map", MAP), ("wrong", WRONG), ("two", TWO), ("warned", WARNED)):
        (tmp_path / f"{name}.tn").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def process(arguments: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    """A command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tncompile.cli", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
    )
