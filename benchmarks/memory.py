"""What torch really allocates on a CPU, from the memory events of its profiler."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

SHARE = 0.85
"""Of the memory of the machine: who asks for more gets an error, not the whole run an end."""


def keep_to_memory() -> None:
    """Let allocations fail that the machine cannot hold: some contraction orders ask for them.

    The limit is on addresses: as many as are in use now, and as much memory as there is. A long run
    gathers addresses that it no longer uses, so it is set anew for every case. CUDA reserves far
    more than it uses: none is set there.
    """
    if not hasattr(os, "sysconf") or torch.cuda.is_available():
        return
    import resource

    page = os.sysconf("SC_PAGE_SIZE")
    used = Path("/proc/self/statm")
    limit = int(SHARE * os.sysconf("SC_PHYS_PAGES") * page)
    if used.exists():
        limit += int(used.read_text(encoding="ascii").split()[0]) * page
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))


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
