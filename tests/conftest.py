"""Fixtures for all tests: goldens, one thread a process, plans that are searched once."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["TNCOMPILE_VERIFY"] = "1"  # read where programs are imported
os.environ["PYTHONDONTWRITEBYTECODE"] = ""  # tests start processes: each file is compiled once

import pytest
import torch
from hypothesis import HealthCheck, settings

from tests.support.plans import shared
from tncompile import compiler

ROOT = Path(__file__).parents[1]

sys.dont_write_bytecode = False
torch.set_num_threads(1)
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-golden` writes what a test got into its golden file."""
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files")


def pytest_configure(config: pytest.Config) -> None:
    """Goldens change on a developer's machine, under a developer's eyes."""
    if config.getoption("--update-golden") and os.environ.get("CI"):
        raise pytest.UsageError("--update-golden is refused where CI is set")


def pytest_collection_finish() -> None:
    """What is imported and collected stays: looking for garbage in it takes a tenth of a run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """`golden(path, text)` asserts that a file holds the text; --update-golden writes it."""
    update = bool(request.config.getoption("--update-golden"))

    def compare(path: Path, text: str) -> None:
        if update:
            path.write_text(text, encoding="utf-8", newline="\n")
        assert path.exists(), f"{path.name} is missing: run pytest --update-golden and read it"
        assert text == path.read_text(encoding="utf-8"), f"{path.name} differs: --update-golden"

    return compare


@pytest.fixture(scope="session", autouse=True)
def _plans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the compiler plans is searched once a run, not once a file and worker."""
    own = tmp_path_factory.getbasetemp()
    run = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder = run / "plans"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        if (guards := sys.modules.get("torch._dynamo.guards")) is not None:
            # Torch times the guards of all that it compiles, caches of the processor emptied first.
            patch.setattr(guards, "profile_guard_manager", lambda *_: 0.0, raising=False)
        patch.setattr(compiler, "_remembered_plan", shared(compiler.plan_for, folder))
        patch.setattr(compiler, "plan", shared(compiler.plan, folder))  # of norms and weights
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the repository."""
    return ROOT
