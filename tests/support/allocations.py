"""What torch really allocates on a CPU, from the profiler's memory events: the most ever alive."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile


def peak_allocated(action: Callable[[], object]) -> int:
    """Bytes alive at most while `action` runs, beyond what was there before.

    What it returns stays alive until the end.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        kept = action()
    del kept
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    sizes: dict[int, int] = {}  # by address; what was there before is freed uncounted
    live = peak = 0
    memory = [event for event in events if event.get("name") == "[memory]"]
    for event in sorted(memory, key=lambda event: event["ts"]):
        size, address = event["args"]["Bytes"], event["args"]["Addr"]
        if size > 0:
            sizes[address] = size
        live += size if size > 0 else -sizes.pop(address, 0)
        peak = max(peak, live)
    return peak


def held_bytes(tensors: object) -> int:
    """The bytes of some tensors that were there before."""
    assert isinstance(tensors, list)
    return sum(t.numel() * t.element_size() for t in tensors if isinstance(t, torch.Tensor))
