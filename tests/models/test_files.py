"""The files of models: as linters and type checkers want them."""

from __future__ import annotations

from pathlib import Path

import pytest

import tncompile
from tests.acceptance.models.case import Case
from tests.acceptance.models.cases import CASES
from tests.support.emitted import mypy, ruff, write_rules

MODELS = Path(__file__).parents[1] / "acceptance" / "models"


def of_model(case: Case) -> bool:
    return f"model {case.block}(" in (MODELS / case.file).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The acceptance models, each as a file."""
    folder = tmp_path_factory.mktemp("files")
    for place, case in enumerate(filter(of_model, CASES)):
        made = tncompile.load(MODELS / case.file).instantiate(case.block, **case.arguments)
        text = made.source(search="fast")
        (folder / f"m{place}.py").write_text(text, encoding="utf-8")
    return folder


def test_files_are_as_ruff_leaves_them(files: Path) -> None:
    write_rules(files)
    assert not ruff(files, "format", "--diff")
    assert not ruff(files, "check", "--output-format=concise")


def test_files_are_typed(files: Path) -> None:
    """Calls of modules give `Any`, and some methods of torch have no types."""
    assert not mypy(files)
