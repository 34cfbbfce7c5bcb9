"""Goldens: the network of each program of `programs/good`, and the source it becomes.

`pytest tests/emission/test_goldens.py --update-golden` writes them; their diff is there to be read.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.golden_programs import CASES, FOLDER, PROGRAMS, architecture, golden_path
from tests.support.modules import ALL
from tests.support.seeds import another_seed
from tncompile.architecture import STAGES, Stage

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("program", "stage"), CASES, ids=map(".".join, CASES))
def test_stage(program: str, stage: str, golden: Callable[[Path, str], None]) -> None:
    held = architecture(program)
    assert held.warnings == ()
    golden(golden_path(program, stage), held.describe(stage))


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_text(stage: Stage) -> None:
    """Of the same network each time: its parameters are named in all of them."""
    text = architecture("mpo").describe(stage)
    assert "G" in text
    assert text.endswith("\n")
    assert all(line == line.rstrip() for line in text.splitlines())


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
import hashlib
from tests.support.golden_programs import CASES, architecture, golden_path
from tests.support.modules import ALL
for program, stage in CASES:
    text = architecture(program).describe(stage)
    if text != golden_path(program, stage).read_text(encoding="utf-8"):
        print(program, stage)
for subject in ALL[::3]:
    source = subject.architecture.source(search="fast")
    print(hashlib.sha256(source.encode()).hexdigest())
"""


def test_another_hash_seed_gives_the_same_bytes() -> None:
    """Goldens of the normal search; of the fast one, sources are those of this process."""
    done = subprocess.run(
        [sys.executable, "-c", PRINT_ALL],
        cwd=ROOT,
        env=another_seed(),
        capture_output=True,
        text=True,
    )
    sources = [subject.architecture.source(search="fast") for subject in ALL[::3]]
    due = [hashlib.sha256(each.encode()).hexdigest() for each in sources]
    assert (done.returncode, done.stdout.splitlines()) == (0, due), done.stderr
