"""Emitted files, linted and run in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from tncompile.emission import GeneratedModule

ROOT = Path(__file__).parents[2]


def run_alone(made: GeneratedModule) -> type[nn.Module]:
    """The class, from nothing but the text."""
    namespace: dict[str, type[nn.Module]] = {}
    exec(compile(made.source, "emitted.py", "exec"), namespace)
    return namespace[made.class_name]


def ruff(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, "--no-cache", str(folder)],
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr if done.returncode else ""


def write_rules(folder: Path) -> None:
    """The rules that emitted files keep, for `ruff`; names are those of the declarations."""
    (folder / "ruff.toml").write_text(
        'line-length = 100\ntarget-version = "py311"\n[lint]\n'
        'select = ["E", "F", "I", "B", "UP", "C4", "SIM", "RUF", "N", "W"]\n'
        'ignore = ["E741", "N803", "N806", "N812", "N815", "RUF001", "RUF002", "RUF003"]\n',
        encoding="utf-8",
    )


def mypy(folder: Path, files: Sequence[Path] | None = None) -> str:
    """What a strict check of these files says, or of all in the folder."""
    chosen = sorted(folder.glob("*.py")) if files is None else files
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={ROOT / '.mypy_cache'}",
         *map(str, chosen)],
        capture_output=True,
        text=True,
        cwd=folder,
    )  # fmt: skip
    return done.stdout + done.stderr if done.returncode else ""


def evaluated(lines: list[str], x: Tensor) -> Tensor:
    """What the lines compute."""
    namespace = {"torch": torch, "nn": nn}
    exec("def f(x):\n" + "\n".join(f"    {line}" for line in lines), namespace)
    value = namespace["f"](x)
    assert isinstance(value, Tensor)
    return value
