"""What was probably meant."""

from __future__ import annotations

import pytest

from tests.support.limits import processor_seconds
from tncompile.language.diagnostics.spelling import closest


@pytest.mark.parametrize(
    ("name", "candidates", "meant"),
    [
        ("tensr", ["index", "tensor"], "tensor"),
        ("widht", ["width", "depth"], "width"),
        ("oo", ["i", "o"], "o"),
        ("ab", ["ba"], "ba"),
        ("mpo", ["MPQ", "MPO"], "MPO"),
        ("MPO", ["mp", "mpo"], "mpo"),
        ("rank", ["ranks", "bank"], "ranks"),
        ("x", ["y", "z"], None),
        ("embedding", ["head", "tail"], None),
        ("same", ["same"], None),
        ("", ["a"], None),
        ("a", [], None),
    ],
)
def test_closest(name: str, candidates: list[str], meant: str | None) -> None:
    assert closest(name, candidates) == meant


def test_many_long_names_are_no_trouble() -> None:
    with processor_seconds(5):
        assert closest("a" * 500, ["b" * 500] * 10_000) is None
