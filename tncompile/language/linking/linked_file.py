"""What is known about one file while it is linked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tncompile.language.linked import LinkedBlock
from tncompile.language.syntax.source import Span
from tncompile.language.syntax.tree import Block, Instance, Rewrite


@dataclass(slots=True)
class File:
    """The blocks so far, in order, with the place in this file that brings each in.

    `own` are all blocks that the file declares itself, those still to come, too. Names in `lost`
    failed to be imported or declared; with `open`, any unknown name may have.
    """

    blocks: dict[str, LinkedBlock] = field(default_factory=dict)
    places: dict[str, Span] = field(default_factory=dict)
    own: Mapping[str, Block | Instance | Rewrite] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    open: bool = False

    def may_be_lost(self, name: str) -> bool:
        """Whether a failed import may be the reason that `name` is unknown."""
        return name in self.lost or (self.open and name not in self.blocks)
