"""Modules that two processes train, and what they printed."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

ROOT = Path(__file__).parents[2]

Held = tuple[str, nn.Module, list[Tensor], tuple[str, ...]]
"""A name, a module, its inputs, and the parts that FSDP2 shards by themselves."""


def trained_by_two(batch: int, held: Sequence[Held], folder: Path) -> set[tuple[str, ...]]:
    """Runs `tests.support.distributed` twice; pairs of a capability and a name that it tells."""
    command = [sys.executable, "-m", "tests.support.distributed"]
    meeting, modules = folder / "meeting", folder / "modules"
    modules.write_bytes(pickle.dumps((batch, held)))
    with (folder / "printed").open("w+") as printed, (folder / "errors").open("w+") as errors:
        pair = [
            subprocess.Popen(
                [*command, str(rank), str(meeting), str(modules)],
                cwd=ROOT,
                stdout=printed,
                stderr=errors,
            )
            for rank in (0, 1)
        ]
        try:
            codes = [each.wait(timeout=240) for each in pair]
        finally:
            for each in pair:
                each.kill()
                each.wait()
        errors.seek(0)
        assert codes == [0, 0], errors.read()[-3000:]
        printed.seek(0)
        return {tuple(line.split("\t")) for line in printed.read().splitlines()}
