"""What every emitted module must do, one function a manner; `docs/modules.md` is their table."""

from __future__ import annotations

# In the order of the chapters, which importing them decides.
from tests.manners import layers  # isort: skip
from tests.manners import transforms  # isort: skip
from tests.manners import folding  # isort: skip
from tests.manners import sizes  # isort: skip
from tests.manners.registry import MANNERS, SIZED, Manner, close

__all__ = ["MANNERS", "SIZED", "Manner", "close", "folding", "layers", "sizes", "transforms"]
