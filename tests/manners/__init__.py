"""What every emitted module must do, one function a manner; `docs/modules.md` is their table."""

from __future__ import annotations

from tests.manners import layers, transforms
from tests.manners.registry import MANNERS, Manner, close

__all__ = ["MANNERS", "Manner", "close", "layers", "transforms"]
