"""Emitted files, linted and run in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from tncompile.emission import GeneratedModule


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


def evaluated(lines: list[str], x: Tensor) -> Tensor:
    """What the lines compute."""
    namespace = {"torch": torch, "nn": nn}
    exec("def f(x):\n" + "\n".join(f"    {line}" for line in lines), namespace)
    value = namespace["f"](x)
    assert isinstance(value, Tensor)
    return value
