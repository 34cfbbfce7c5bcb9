"""How much may be kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Memory:
    """Bytes that may still be kept."""

    left: int

    def take(self, count: int) -> bool:
        """Whether so many are left, which are taken then."""
        if count > self.left:
            return False
        self.left -= count
        return True
