"""`docs/modules.md`: a row a block of the standard library, a column a manner; tests fill it."""

from __future__ import annotations

import fcntl
import textwrap
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from tests.manners import MANNERS, Manner
from tests.modules import LIBRARY

INTRODUCTION = """\
# What emitted modules do

Every block of the standard library gives an `nn.Module` that behaves as a layer of `torch.nn` does.
The tests (`tests/manners/`) try each property on each block and fill these tables:
`pytest tests/test_module.py --update-golden` writes what they found, every other run compares. What
is tried of each block is a small instance:

"""

EMPTY = "not tried"


@dataclass
class Table:
    """The cells by block and manner."""

    path: Path
    cells: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Table:
        """The cells of a file, as it stands."""
        table = cls(path)
        titles: list[str] = []
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            if not line.startswith("| "):
                continue
            first, *rest = (cell.strip() for cell in line.strip("|").split("|"))
            if first == "block":
                titles = rest
            elif not first.startswith("--"):
                table.cells |= {
                    (first, title): cell for title, cell in zip(titles, rest, strict=True)
                }
        return table

    @classmethod
    def write(cls, path: Path, block: str, title: str, finding: str) -> None:
        """Writes a cell; several processes may do so at once."""
        with path.open("a", encoding="utf-8") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            table = cls.read(path)
            table.cells[block, title] = finding
            path.write_text(table.render(), encoding="utf-8", newline="\n")

    def render(self) -> str:
        """The whole file."""
        instances = "".join(f"- `{subject.target}`\n" for subject in LIBRARY)
        chapters = (
            self._chapter(chapter, list(manners))
            for chapter, manners in groupby(MANNERS, key=lambda manner: manner.chapter)
        )
        return INTRODUCTION + instances + "".join(chapters)

    def _chapter(self, chapter: str, manners: list[Manner]) -> str:
        legend = "\n".join(
            textwrap.fill(f"- **{manner.title}**: {manner.meaning}", 100, subsequent_indent="  ")
            for manner in manners
        )
        rows = [["block", *(manner.title for manner in manners)]]
        for subject in LIBRARY:
            cells = (self.cells.get((str(subject), manner.title), EMPTY) for manner in manners)
            rows.append([str(subject), *cells])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        rows.insert(1, ["-" * width for width in widths])
        lines = (
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            + " |\n"
            for row in rows
        )  # fmt: skip
        return f"\n## {chapter}\n\n{legend}\n\n{''.join(lines)}"
