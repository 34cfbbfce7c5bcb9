"""What a plan is asked for: batch sizes, run-time sizes, what is minimized, limits, the machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, SupportsIndex, TypedDict, get_args

from tncompile.language.diagnostics.excerpt import Line
from tncompile.language.diagnostics.spelling import one_of
from tncompile.machine.profile import MachineProfile
from tncompile.machine.registry import find_profile
from tncompile.network.model import DOTS, TensorNetwork
from tncompile.simulation.modes import MODES, Mode

Minimize = Literal["time", "flops", "memory"]
Search = Literal["fast", "normal", "thorough"]

MINIMIZED: tuple[Minimize, ...] = get_args(Minimize)
SEARCHES: tuple[Search, ...] = get_args(Search)

DEFAULT_BATCH = 64

DEFAULT_WINDOW = 32  # the length of the input along a window where nothing is said

DEFAULT_LENGTH = 64  # what other named run-time axes are planned for where nothing is said


class SearchOptions(TypedDict, total=False):
    """How a plan is searched, as keywords; see `plan_request`."""

    sizes: Mapping[str, int] | None
    search: Search
    memory_limit: int | None
    machine: str


class CallOptions(TypedDict):
    """The sizes of a call of a layer, as keywords of `plan` and `cost`."""

    batch: int
    sizes: Mapping[str, int] | None


class PlanOptions(SearchOptions, total=False):
    """What a plan is asked for, as keywords; see `plan_request`."""

    batch: int | Sequence[int]
    minimize: Minimize


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What a plan of one network is asked for, checked."""

    asked: tuple[int, ...]  # products of the leading axes, as the user gave them, ascending
    named: tuple[tuple[str, int], ...]  # run-time sizes as the user gave them, by ascending name
    batches: tuple[int, ...]  # sizes of the leading run-time index to plan for, ascending
    sizes: tuple[tuple[str, int], ...]  # of every run-time index at the middle of `asked`
    minimize: Minimize
    search: Search
    memory_limit: int | None  # bytes that a training step may take at its peak
    profile: MachineProfile  # predicts times; its device is where modules run
    training: bool  # whether training steps are planned, too

    @property
    def middle(self) -> int:
        """The batch size that counts where one has to be chosen: the middle one by value."""
        return self.batches[len(self.batches) // 2]

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes that are planned for, the most important first."""
        return MODES if self.training else MODES[1:]


def plan_request(
    network: TensorNetwork,
    *,
    batch: int | Sequence[int] | None = None,
    sizes: Mapping[str, int] | None = None,
    minimize: Minimize = "time",
    search: Search = "normal",
    memory_limit: int | None = None,
    machine: str | MachineProfile = "builtin",
    training: bool = True,
) -> PlanRequest:
    """The request that a user's arguments make of a network.

    `batch` are sizes of `...` (or of the first `batch` axis), one or several in any order; without
    it that axis has its usual size, or 64. `sizes` are those of other run-time axes by name. Raises
    TypeError or ValueError for what is no size, no such choice, or no machine profile.
    """
    memory_limit = check_choices(
        minimize=minimize, search=search, memory_limit=memory_limit, machine=machine
    )
    if not isinstance(sizes, Mapping | None):
        raise TypeError(f"sizes are a mapping of names to ints, not {sizes!r}")
    by_name = sorted((sizes or {}).items())
    named = {name: whole(f"the size of `{name}`", size) for name, size in by_name}
    asked = _batch_sizes(usual_batch(network, named) if batch is None else batch)
    at_batches = [runtime_sizes(network, size, named) for size in asked]
    at_middle = at_batches[len(asked) // 2]
    leading = network.leading
    batches = {asked[len(asked) // 2]} if leading is None else {at[leading] for at in at_batches}
    return PlanRequest(
        asked,
        tuple(named.items()),
        tuple(sorted(batches)),
        tuple(at_middle.items()),
        minimize,
        search,
        memory_limit,
        find_profile(machine),
        training,
    )


def check_choices(
    *,
    minimize: Minimize = "time",
    search: Search = "normal",
    memory_limit: int | None = None,
    machine: str | MachineProfile = "builtin",
) -> int | None:
    """Check what is asked of a plan whatever it plans; the memory limit as a number of bytes.

    Raises TypeError or ValueError for what is no such choice.
    """
    if not isinstance(machine, str | MachineProfile):
        raise TypeError(f"machine is a str, not {type(machine).__name__}")
    one_of("minimize", minimize, MINIMIZED)
    one_of("search", search, SEARCHES)
    if memory_limit is None:
        return None
    memory_limit = whole("the memory limit", memory_limit)
    if memory_limit < 1:
        raise ValueError(f"the memory limit is a positive number of bytes, not {memory_limit}")
    return memory_limit


def options_of_call(network: TensorNetwork, call: Sequence[int] | None) -> CallOptions:
    """What a plan is asked for a call of a layer: rows, then lengths along the windows.

    The lengths are those of the input, in the order of its axes; without them they are the usual
    ones, and without a call all sizes are. Raises ValueError for another number of lengths than
    there are windows.
    """
    if call is None:
        return {"batch": usual_batch(network, {}), "sizes": None}
    rows, *lengths = call
    legs = [leg for axis in network.inputs[0].axes for leg in axis.indices]
    names = [network.window[leg].size_name for leg in legs if leg in network.window]
    if not lengths:
        return {"batch": rows, "sizes": None}
    if len(lengths) != len(names):
        count = len(names)
        raise ValueError(f"{network.target} has {count} windows, and {len(lengths)} lengths")
    return {"batch": rows, "sizes": dict(zip(names, lengths, strict=True))}


def runtime_sizes(network: TensorNetwork, batch: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """The planned run-time sizes by name: what `sizes` names, `batch` for the leading one.

    Others have their usual size. The name of a window is `h`, or `h.0` in a family. Raises
    ValueError for a name that is none of the network, a size below 1 or too short for a window, and
    TypeError for a size that is no integer.
    """
    names = network.size_names
    for name, size in {"batch": batch, **sizes}.items():
        if name != "batch" and name not in names:
            known = ", ".join(f"`{known}`" for known in names) or "none"
            unknown = Line(name, cut=False).shown
            raise ValueError(f"`{unknown}` is no run-time size of this network (it has {known})")
        if whole("a batch size" if name == "batch" else f"the size of `{name}`", size) < 1:
            raise ValueError(f"the planned size of `{name}` must be positive, it is {size}")
    leading = _leading(network, sizes)
    chosen = network.default_sizes(DEFAULT_LENGTH, DEFAULT_WINDOW)
    chosen |= {index.name: index.usual for index in network.indices if index.usual is not None}
    chosen |= sizes
    if leading is not None:
        chosen[leading] = batch
    network.with_window_sizes(chosen)  # refuses what is too short
    return chosen


def usual_batch(network: TensorNetwork, sizes: Mapping[str, int]) -> int:
    """What the leading run-time axis, beside others of these sizes, is planned for unless asked."""
    leading = _leading(network, sizes)
    usual = None if leading is None else network.index[leading].usual
    return usual or DEFAULT_BATCH


def _leading(network: TensorNetwork, sizes: Mapping[str, int]) -> str | None:
    """The axis that `batch` is the size of: `...`, else the first one that `sizes` leaves open."""
    free = [name for name in network.size_names if name not in sizes and name in network.index]
    return DOTS if DOTS in free else next(iter(free), None)


def whole(what: str, size: object) -> int:
    """An integer, or a TypeError that says what it is of; numpy's integers will do."""
    if isinstance(size, bool) or not isinstance(size, SupportsIndex):
        raise TypeError(f"{what} is an int, not {size!r}")
    return size.__index__()


def _batch_sizes(batch: object) -> tuple[int, ...]:
    """One batch size or several (lists, ranges, arrays), ascending, each once."""
    sizes: tuple[object, ...] = (batch,)
    if isinstance(batch, Iterable) and not isinstance(batch, str | bytes | Mapping):
        with suppress(TypeError):  # an array without axes
            sizes = tuple(batch)
    if not sizes:
        raise ValueError("a plan needs at least one batch size")
    ascending = sorted({whole("a batch size", size) for size in sizes})
    if ascending[0] < 1:
        raise ValueError(f"a batch size must be positive, it is {ascending[0]}")
    return tuple(ascending)
