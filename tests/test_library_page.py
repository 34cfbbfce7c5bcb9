"""`docs/library.md` is what the library says of itself, and its links lead somewhere."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tncompile.language.linking.importing import files_of

ROOT = Path(__file__).parents[1]
SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "generate_library.py"))
PAGE: str = SCRIPT["page"]()


def test_the_page_is_what_the_library_says(golden: Callable[[Path, str], None]) -> None:
    golden(SCRIPT["PAGE"], PAGE)


def test_every_block_has_an_entry() -> None:
    for name in files_of("std"):
        text = (ROOT / "tncompile" / name).read_text(encoding="utf-8")
        section = PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        declared = re.findall(r"^(?:network|model) (\w+)", text, re.MULTILINE)
        assert re.findall(r"^### (\w+)$", section, re.MULTILINE) == declared


def test_links_within_the_page_lead_to_headings() -> None:
    headings = re.findall(r"^##+ (.+)$", PAGE, re.MULTILINE)
    anchors = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    assert len(anchors) == len(set(anchors))
    links = re.findall(r"\]\(#([^)]+)\)", PAGE)
    assert sorted(links) == sorted(anchors)


@pytest.mark.parametrize("name", SCRIPT["TARGETS"])
def test_a_network_has_its_picture(name: str) -> None:
    (path,) = re.findall(rf"^!\[{name}\]\((.+)\)$", PAGE, re.MULTILINE)
    assert (ROOT / "docs" / path).exists()
