"""This machine: its processor, its threads, its CUDA device."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from tncompile.machine.profile import CPU, CUDA


def settle() -> None:
    """Wait until a CUDA device is done, where there is one at work."""
    cuda: Any = torch.cuda  # this function of it has no types
    if cuda.is_initialized():
        cuda.synchronize()


def require_device(device: str) -> None:
    """ValueError where torch cannot run on the device that a machine profile is about."""
    if device == CUDA and not torch.cuda.is_available():
        raise ValueError("torch sees no CUDA device on this machine")


def machine_text(device: str = CPU) -> str:
    """What times were measured on: processor and threads, or the accelerator, torch; no date."""
    version = torch.__version__.split("+")[0]
    if device != CPU:
        return f"{torch.cuda.get_device_name(device)}, torch {version}"
    threads = torch.get_num_threads()
    return f"{_processor()}, {threads} thread{'s' * (threads > 1)}, torch {version}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return " ".join(line.split(":", 1)[1].split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_total() -> int:
    """The threads that torch runs on now."""
    return torch.get_num_threads()


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Run the body on this many threads; None leaves them as they are."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
