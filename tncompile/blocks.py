"""What a file offers: its blocks by name, and how they read in a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tncompile.language.diagnostics.spelling import closest
from tncompile.language.docs import summary
from tncompile.notebook import as_html

if TYPE_CHECKING:
    from tncompile.architecture import Architecture
    from tncompile.language.linked import ParameterSummary


@dataclass(frozen=True, slots=True, repr=False)
class Block:
    """A block that a file offers: `network` or `model`, its parameters and docstring.

    >>> spec["MPO"].kind
    'network'
    """

    name: str
    kind: str
    parameters: tuple[ParameterSummary, ...]
    doc: str | None
    _make: Callable[..., Architecture] = field(compare=False)

    def instantiate(self, /, **arguments: object) -> Architecture:
        """The block with its arguments, as `Spec.instantiate` makes it, and raises what that does.

        >>> spec["MPO"].instantiate(ins=[4, 8], outs=[8, 4], ranks=2)
        Architecture(MPO(ins = [4, 8], outs = [8, 4], ranks = [2]))
        """
        return self._make(self.name, **arguments)

    def __repr__(self) -> str:
        """Its declaration, a parameter a line, and its docstring."""
        width = max((len(each.name) for each in self.parameters), default=0)
        lines = [f"{self.kind} {self.name}"]
        for each in self.parameters:
            default = "" if each.default is None else f" = {each.default}"
            lines.append(f"  {each.name:<{width}}  {each.type}{default}")
        doc = ["", *self.doc.strip().splitlines()] if self.doc else []
        return "\n".join(lines + doc)

    def _repr_html_(self) -> str:
        return as_html(repr(self))


class Blocks(Mapping[str, Block]):
    """The blocks of a file by name, in its order; a name that is not there is a KeyError."""

    def __init__(self, blocks: Mapping[str, Block]) -> None:
        self._blocks = dict(blocks)

    def __getitem__(self, name: str) -> Block:
        if name in self._blocks:
            return self._blocks[name]
        near = closest(name, self._blocks) if isinstance(name, str) else None
        known = f"there are {', '.join(self._blocks)}" if self._blocks else "the file has none"
        raise KeyError(f"no block {name!r}; {f'did you mean {near!r}?' if near else known}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._blocks)

    def __len__(self) -> int:
        return len(self._blocks)

    def __repr__(self) -> str:
        """A line a block: its name, what it takes, and the first line of its docstring."""
        if not self._blocks:
            return "no blocks"
        rows = [("block", "takes", "")]
        for block in self._blocks.values():
            takes = ", ".join(
                each.name + ("" if each.default is None else "=") for each in block.parameters
            )
            rows.append((_cut(block.name, NAMED), _cut(takes, TAKEN), summary(block.doc)))
        name_width, takes_width = (max(len(row[column]) for row in rows) for column in (0, 1))
        lines = []
        for name, takes, said in rows:
            start = f"{name:<{name_width}}  {takes:<{takes_width}}  "
            lines.append((start + _cut(said, WIDTH - len(start))).rstrip())
        lines.insert(1, "─" * max(map(len, lines)))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return as_html(repr(self))


WIDTH = 100
NAMED, TAKEN = 30, 36
"""Characters of the name and of the parameters of a block that a table shows."""


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
