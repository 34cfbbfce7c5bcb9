"""What a training is bounded by, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Settings:
    """What a training is bounded by, and how it steps."""

    steps: int | None
    minutes: float | None
    rate: float
    patience: int | None
    dropout: bool
    memory_limit: int
    seed: int

    @staticmethod
    def checked(**given: Any) -> Settings:
        """The settings. Raises ValueError or TypeError for those that are none."""
        made = Settings(**given)
        for name in ("steps", "patience"):
            count = getattr(made, name)
            if count is not None and (isinstance(count, bool) or not isinstance(count, int)):
                raise TypeError(f"{name} is a whole number, not {type(count).__name__}")
            if count is not None and count < 1:
                raise ValueError(f"{name} is 1 or more, not {count}")
        for name in ("minutes", "rate"):
            value = getattr(made, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{name} is a number, not {type(value).__name__}")
            if not 0 < value < math.inf:
                raise ValueError(f"{name} is above 0, not {value}")
        if isinstance(made.seed, bool) or not isinstance(made.seed, int):
            raise TypeError(f"a seed is an int, not {made.seed!r}")
        limit = made.memory_limit
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
            raise ValueError(f"memory_limit is a number of bytes, not {limit!r}")
        return made
