"""The text of a loop over parts of a batch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tncompile.emission.writer import call, indented, statement
from tncompile.lowering.program import Loop


@dataclass
class LoopText:
    """A loop under way: `for x1 in torch.split(x, 16):`, its turns appended to a list of parts.

    `size` is the run-time length of one part, `before` are the lines ahead of the loop, `dead` the
    values that die with it.
    """

    loop: Loop
    parts: str
    size: str
    before: list[str]
    splits: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    lengths: list[str] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)

    @property
    def index(self) -> str:
        """The index that the parts are of."""
        return self.loop.index

    def cut(self, source: str, target: str, axis: int, comment: str) -> None:
        """One more input that is cut along with the others."""
        along = f", dim={axis}" if axis else ""
        self.splits.append(f"torch.split({source}, {self.loop.rows}{along})")
        self.targets.append(target)
        self.comments.append(comment)
        self.lengths.append(f"{target}.shape[{axis}]")

    def lines(self, kept: str, body: list[str], *, indent: int) -> list[str]:
        """The lines before and of the loop; `kept` is what a turn makes."""
        inner = [*body, f"{self.parts}.append({kept})"]
        if any(re.search(rf"\b{self.size}\b", line.split("  # ")[0]) for line in inner):
            inner.insert(0, f"{self.size} = {self.lengths[0]}")
        return [*self.before, f"{self.parts} = []", *self._head(indent), *indented(inner)]

    def _head(self, indent: int) -> list[str]:
        """The `for` statement, with the axes of what it cuts."""
        targets = ", ".join(self.targets)
        if len(self.targets) == 1:
            text = f"for {targets} in {self.splits[0]}:"
            return statement(text, self.comments[0], indent=indent)
        return call(f"for {targets} in zip(", [*self.splits, "strict=True"], "):", indent=indent)
