"""What emitted modules can do as layers of `torch.nn` do: each is a check of a module."""

from __future__ import annotations

# In the order of the chapters, which importing them decides.
from tests.support.capabilities import layers  # isort: skip
from tests.support.capabilities import transforms  # isort: skip
from tests.support.capabilities import folding  # isort: skip
from tests.support.capabilities import sizes  # isort: skip
from tests.support.capabilities.registry import CAPABILITIES, SIZED, Capability, close

__all__ = [
    "CAPABILITIES",
    "SIZED",
    "Capability",
    "close",
    "folding",
    "layers",
    "sizes",
    "transforms",
]
