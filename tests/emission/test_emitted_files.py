"""How emitted files read: laid out, linted and typed as files that somebody wrote."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.emission.test_emission import generated
from tests.emission.test_window_modes import SUBJECTS
from tests.support import windows
from tests.support.branching import BRANCHING
from tests.support.emitted import mypy, ruff, write_rules
from tests.support.modules import ALL
from tests.support.strategies import network, random_sketch


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many emitted files in one folder: of one program and of several, with windows, random."""
    folder = tmp_path_factory.mktemp("emitted")
    texts = {str(subject): subject.architecture.source() for subject in ALL}
    texts |= {f"branching_{subject}": subject.generated.source for subject in BRANCHING}
    for name, (made, order) in SUBJECTS.items():
        program = made.programs()[order]
        texts[f"windows_{name}"] = windows.generated(made.network, program).source
    for seed in range(60):
        net = network(random_sketch(seed), log=seed % 2 == 0 and not random_sketch(seed).bias)
        texts[f"random{seed}"] = generated(net, seed).source
    for name, text in texts.items():
        path = folder / f"{name.lower().replace('-', '_')}.py"
        path.write_text(text, encoding="utf-8")
    write_rules(folder)
    return folder


def test_they_are_formatted_and_clean(files: Path) -> None:
    assert not ruff(files, "format", "--diff")
    assert not ruff(files, "check", "--output-format=concise")


def test_they_type_check(files: Path) -> None:
    """Ten of the random ones are enough."""
    chosen = [path for path in sorted(files.glob("*.py")) if not re.search(r"\d\d", path.name)]
    assert not mypy(files, chosen)


STANDARD_LIBRARY = {"collections.abc", "operator", "typing"}


def test_they_import_torch_and_the_standard_library_only(files: Path) -> None:
    for path in files.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert {alias.name for alias in node.names} <= {"math", "torch"}
            elif isinstance(node, ast.ImportFrom):
                assert node.module == "torch" or node.module in STANDARD_LIBRARY
        assert ".numel()" not in path.read_text(encoding="utf-8").split("def forward")[1]


def test_nobody_contracts_three_at_once(files: Path) -> None:
    for path in files.glob("*.py"):
        assert "einsum" not in path.read_text(encoding="utf-8")
