"""The same in another process: what depends on the hashes of strings shows there."""

from __future__ import annotations

import os


def another_seed() -> dict[str, str]:
    """The environment of this process, but for the seed of its hashes."""
    held = os.environ.get("PYTHONHASHSEED", "random")
    return {**os.environ, "PYTHONHASHSEED": "17" if held != "17" else "18"}
