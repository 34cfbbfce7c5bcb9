"""How fast emitted modules are, beside other libraries and beside plain PyTorch by hand.

`python -m benchmarks --help` says how to run them. A file under `workloads/` is a workload: a
network, its sizes, and everybody who can compute its map. `measuring.py` checks that they all
compute the same one, then takes the time in shuffled rounds.
"""

import os

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's own messages, before torch loads
