"""This machine: its processor, its threads, its CUDA device."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

from tncompile.machine.profile import CPU, CUDA


def synchronize() -> None:
    """Wait until the CUDA device has finished, if torch uses one."""
    cuda: Any = torch.cuda  # this function of it has no types
    if cuda.is_initialized():
        cuda.synchronize()


def require_device(device: str) -> None:
    """Raise ValueError where torch cannot run on the device of a machine profile."""
    if device == CUDA and not torch.cuda.is_available():
        raise ValueError("torch sees no CUDA device on this machine")


def machine_text(device: str = CPU) -> str:
    """What times are measured on: processor and threads, or the accelerator; version of torch."""
    version = torch.__version__.split("+")[0]
    if device != CPU:
        return f"{torch.cuda.get_device_name(device)}, torch {version}"
    threads = torch.get_num_threads()
    return f"{_processor()}, {threads} thread{'s' * (threads > 1)}, torch {version}"


def _processor() -> str:
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                return " ".join(line.split(":", 1)[1].split())
    return platform.processor() or platform.machine()


def cores() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_total() -> int:
    """The number of threads that torch runs on now."""
    return torch.get_num_threads()


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Run the body on `count` threads; None leaves their number as it is."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
