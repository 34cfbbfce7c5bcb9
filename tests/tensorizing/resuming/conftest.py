"""What a killed run left, for tests that go on from it."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(kept: Path, tmp_path: Path) -> Path:
    """A copy of what `kept` of the test's own file holds."""
    for path in kept.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path
