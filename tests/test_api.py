"""`docs/api.md`: every public name, with examples that run."""

from __future__ import annotations

import doctest
import re
import runpy
from pathlib import Path

import pytest

import tncompile

DOCS = Path(__file__).parents[1] / "docs"


def test_page_is_what_the_docstrings_say(request: pytest.FixtureRequest) -> None:
    page = runpy.run_path(str(DOCS / "generate_api.py"))["page"]()
    if request.config.getoption("--update-golden"):
        (DOCS / "api.md").write_text(page, encoding="utf-8")
    assert (DOCS / "api.md").read_text("utf-8") == page, "pytest --update-golden rewrites it"


def test_every_name_has_an_example() -> None:
    page = (DOCS / "api.md").read_text("utf-8")
    sections = re.split(r"^##+ `(.*)`$", page, flags=re.MULTILINE)
    entries = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert set(tncompile.__all__) <= set(entries)
    assert not [name for name, text in entries.items() if "```pycon" not in text]


def test_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = re.sub(r"^```.*$", "", (DOCS / "api.md").read_text("utf-8"), flags=re.MULTILINE)
    test = doctest.DocTestParser().get_doctest(text, {}, "api.md", str(DOCS / "api.md"), 0)
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert not said, "".join(said)
