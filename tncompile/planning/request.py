"""What a plan is asked for: batch sizes, lengths, modes, limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import SupportsIndex

from tncompile.language.diagnostics.excerpt import Line
from tncompile.network.model import DOTS, TensorNetwork
from tncompile.simulation.modes import MODES, Mode


def runtime_sizes(network: TensorNetwork, batch: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """The planned size of every run-time index: what `sizes` names, `batch` for the others.

    Raises ValueError for a name that is no run-time index of the network, or a size below 1, and
    TypeError for a size that is no integer.
    """
    names = [index.name for index in network.indices if index.size is None]
    for name, size in {"batch": batch, **sizes}.items():
        if name != "batch" and name not in names:
            known = ", ".join(f"`{known}`" for known in names) or "none"
            given = Line(name, cut=False).shown
            raise ValueError(f"`{given}` is no run-time size of this network (it has {known})")
        if whole("a batch size" if name == "batch" else f"the size of `{name}`", size) < 1:
            raise ValueError(f"the planned size of `{name}` must be positive, it is {size}")
    free = [name for name in names if name not in sizes]
    leading = DOTS if DOTS in free else next(iter(free), None)
    return {name: sizes.get(name, batch if name == leading else DEFAULT_LENGTH) for name in names}


def leading_size(runtime: Mapping[str, int]) -> str | None:
    """The run-time size that decides between variants: `...`, else the first; None without any."""
    return DOTS if DOTS in runtime else next(iter(runtime), None)


def whole(what: str, size: object) -> int:
    """An integer, or a TypeError that says what it is of; numpy's integers will do."""
    if isinstance(size, bool) or not isinstance(size, SupportsIndex):
        raise TypeError(f"{what} is an int, not {size!r}")
    return size.__index__()


def batch_sizes(batch: object) -> tuple[int, ...]:
    """One batch size or several, ascending, each once: of several the middle one counts most.

    Lists, ranges, tuples and arrays will do. TypeError for what is no integer, ValueError for one
    below 1 and for none at all.
    """
    wanted: tuple[object, ...] = (batch,)
    if isinstance(batch, Iterable) and not isinstance(batch, str | bytes | Mapping):
        with suppress(TypeError):  # an array without axes
            wanted = tuple(batch)
    if not wanted:
        raise ValueError("a plan needs at least one batch size")
    found = sorted({whole("a batch size", size) for size in wanted})
    if found[0] < 1:
        raise ValueError(f"a batch size must be positive, it is {found[0]}")
    return tuple(found)


DEFAULT_LENGTH = 64
"""What a named run-time axis beside the batch is planned for where nothing is said."""


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What a plan is wanted for; `middle` is the batch size that counts before all others."""

    minimize: str
    training: bool
    search: str
    memory_limit: int | None
    wanted: tuple[int, ...]
    middle: int

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes that are planned for, the most important first."""
        return MODES if self.training else MODES[1:]


def batch_goals(
    network: TensorNetwork, batch: object, sizes: Mapping[str, int]
) -> tuple[tuple[int, ...], int]:
    """The wanted sizes of the leading run-time index, ascending, and the middle one of them.

    Raises TypeError or ValueError where a size is none.
    """
    given = batch_sizes(batch)
    runtimes = [runtime_sizes(network, size, sizes) for size in given]
    leading = leading_size(runtimes[0])
    if leading is not None:
        given = tuple(sorted({runtime[leading] for runtime in runtimes}))
    middle = given[len(given) // 2]
    return given if leading is not None else (middle,), middle
