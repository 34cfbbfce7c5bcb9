"""The programs of `programs/good` and where the texts of their stages are stored."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import tncompile
from tncompile.architecture import Stage

FOLDER = Path(__file__).parents[1] / "programs" / "good"
PROGRAMS = tuple(sorted(path.stem for path in FOLDER.glob("*.tn")))
STAGES: tuple[Stage, ...] = ("network", "torch")
"""What a program means, and what becomes of it: the source shows the plan and its operations."""

CASES = tuple((program, stage) for program in PROGRAMS for stage in STAGES)


def golden_path(program: str, stage: str) -> Path:
    """Where the text of a stage is stored."""
    return FOLDER / f"{program}.{stage}.{'py' if stage == 'torch' else 'txt'}"


@cache
def architecture(program: str) -> tncompile.Architecture:
    """The last block of a program with its defaults."""
    spec = tncompile.load(FOLDER / f"{program}.tn")
    return spec.instantiate(list(spec.blocks)[-1])
