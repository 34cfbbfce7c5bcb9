"""Limits of processor time, generous: they find work that grows too fast on any machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def processor_seconds(limit: float) -> Iterator[None]:
    """Fail if the block takes more than `limit` seconds of this process's processor time.

    Choose at least ten times what an idle machine takes.
    """
    started = time.process_time()
    yield
    taken = time.process_time() - started
    assert taken < limit, f"{taken:.1f} s of processor time, expected less than {limit:g}"
