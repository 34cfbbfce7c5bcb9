"""One golden a program and stage: what each stage of the pipeline makes of `programs/good`.

`pytest tests/test_goldens.py --update-golden` writes them; their diff is there to be read.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

import tncompile
from tests.seeds import another_seed
from tncompile.architecture import STAGES

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / "programs" / "good"
PROGRAMS = tuple(sorted(path.stem for path in FOLDER.glob("*.tn")))
CASES = tuple((program, stage) for program in PROGRAMS for stage in STAGES)


def golden_path(program: str, stage: str) -> Path:
    """Where the text of a stage is stored."""
    return FOLDER / f"{program}.{stage}.{'py' if stage == 'torch' else 'txt'}"


@cache
def architecture(program: str) -> tncompile.Architecture:
    """The last block of a program with its defaults."""
    spec = tncompile.load(FOLDER / f"{program}.tn")
    return spec.instantiate(list(spec.blocks)[-1])


@pytest.mark.parametrize(("program", "stage"), CASES, ids=map(".".join, CASES))
def test_stage(program: str, stage: str, golden: Callable[[Path, str], None]) -> None:
    held = architecture(program)
    assert held.warnings == ()
    golden(golden_path(program, stage), held.describe(stage))


def test_no_golden_is_orphaned() -> None:
    due = {golden_path(*case) for case in CASES} | {FOLDER / f"{name}.tn" for name in PROGRAMS}
    assert {path for path in FOLDER.iterdir() if path.is_file()} == due


@pytest.mark.parametrize("command", ["check", "format --check"])
def test_emitted_files_pass_ruff(command: str) -> None:
    files = [str(golden_path(program, "torch")) for program in PROGRAMS]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *command.split(), *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


PRINT_ALL = """
from tests.test_goldens import CASES, architecture, golden_path
for program, stage in CASES:
    text = architecture(program).describe(stage)
    if text != golden_path(program, stage).read_text(encoding="utf-8"):
        print(program, stage)
"""


def test_another_hash_seed_gives_the_same_bytes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRINT_ALL],
        cwd=ROOT,
        env=another_seed(),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
