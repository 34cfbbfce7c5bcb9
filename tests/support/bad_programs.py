"""Programs with a mistake, and what their first lines say of it."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance import ACCEPTANCE

OWN = Path(__file__).parents[1] / "programs" / "bad"


PROGRAMS = [*sorted(ACCEPTANCE.glob("bad/*.tn")), *sorted(OWN.glob("*.tn"))]


def header(text: str) -> dict[str, str]:
    """The `# key: value` lines at the top of a program."""
    lines: dict[str, str] = {}
    for line in text.splitlines():
        if not line.startswith("# "):
            break
        key, _, value = line[2:].partition(": ")
        lines[key] = value
    return lines
