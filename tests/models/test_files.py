"""The files of models: as linters and type checkers want them."""

from __future__ import annotations

import re
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


def test_files_have_what_they_call(files: Path) -> None:
    """Each method of a helper class is called by something else in the file."""
    for path in sorted(files.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        _, begun, rest = text.partition("class _Past:\n")
        past = rest.split("\n\n\n")[0]
        methods = set(re.findall(r"    def ([a-z]\w+)\(", past))
        assert bool(methods) is bool(begun)
        for name in methods:
            others = text.replace(f"def {name}(", "")
            assert f".{name}(" in others, (path.name, name)
        assert set(re.findall(r"\bpast\.(\w+)\(", text)) <= methods
