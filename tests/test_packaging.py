"""What is shipped: the wheel is whole, runs from anywhere, and gives the same bytes everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import tncompile

ROOT = Path(__file__).parents[1]
TARGET = "MPO(ins = [4, 8], outs = [8, 4], ranks = 8)"
END = "────────"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        check=True,
        capture_output=True,
        text=True,
    )
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's files, and nothing of the repository."""
    folder = tmp_path_factory.mktemp("installed")
    command = "install --quiet --no-deps --no-index --target"
    subprocess.run(
        [sys.executable, "-m", "pip", *command.split(), folder, wheel],
        check=True,
        capture_output=True,
        text=True,
    )
    return folder


def run(installed: Path, cwd: Path, *arguments: str, seed: str = "0") -> str:
    """The standard output of a command run from an installed wheel."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(installed),
        "PYTHONHASHSEED": seed,
        "PYTHONSAFEPATH": "1",
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_carries_everything(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for path in (ROOT / "tncompile").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert str(path.relative_to(ROOT).as_posix()) in names
    assert "tncompile/language/tncompile.lark" in names
    assert any(name.endswith("diagnostics.md") for name in names)
    assert any(name.startswith("tncompile/language/") and name.endswith(".json") for name in names)
    assert any(name.startswith("tncompile/std/") and name.endswith(".tn") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_wheel_carries_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            assert name.startswith("tncompile"), name
            assert "__pycache__" not in name


def test_wheel_runs_from_another_folder(installed: Path, tmp_path: Path) -> None:
    where = run(installed, tmp_path, "-c", "import tncompile; print(tncompile.__file__)")
    assert Path(where.strip()).is_relative_to(installed)
    page = run(installed, tmp_path, "-m", "tncompile.cli", "explain", "TN401")
    assert "TN401" in page
    run(installed, tmp_path, "-m", "tncompile.cli", "check", "std/linear.tn", "--with", TARGET)


def test_source_of_the_wheel_needs_torch_alone(installed: Path, tmp_path: Path) -> None:
    command = ("-m", "tncompile.cli", "compile", "std/linear.tn", TARGET, "-o", "layer.py")
    run(installed, tmp_path, *command)
    script = (
        "import sys, torch\nfrom layer import MPO\n"
        "print(MPO()(torch.randn(3, 32)).shape)\nassert 'tncompile' not in sys.modules"
    )
    assert run(tmp_path, tmp_path, "-c", script) == "torch.Size([3, 32])\n"


def test_source_is_the_same_here_and_in_the_wheel_under_any_hash_seed(
    installed: Path, tmp_path: Path
) -> None:
    script = f"""from tncompile.cli.application import run
for stage in ("torch", "plan", "network"):
    assert run(["compile", "std/linear.tn", {TARGET!r}, "--emit", stage]) == 0
    print({END!r})"""
    first, *others = (
        run(installed, tmp_path, "-c", script, seed=seed) for seed in ("0", "1", "42")
    )
    assert others == [first, first]
    assert "class MPO(" in first
    source = tncompile.loads('import "std/linear.tn" { MPO }').instantiate(TARGET).source()
    assert first.split(f"{END}\n")[0] == source


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert tncompile.__version__ == project["version"]
    assert project["version"] in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_constraints_pin_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    for requirement in (text for group in groups for text in group):
        name = requirement.split(">=")[0].strip().lower().replace("_", "-")
        assert name in pinned, name
