"""The pipeline from a resolved network on: network, plan, tensor program, PyTorch source.

Before it come `language.linking.link` (text to blocks) and `language.resolving.resolve` (a block
and its arguments), which commands call without the rest. One function a stage, each pure: equal
arguments give equal results, to the byte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tncompile.emission import GeneratedModule, emit
from tncompile.emission.initialization import initialize
from tncompile.language.diagnostics import InternalError
from tncompile.language.resolved import ResolvedNetwork
from tncompile.lowering import TensorProgram, lower
from tncompile.network.building import build
from tncompile.network.model import TensorNetwork
from tncompile.network.verifying import verify_network
from tncompile.planning import BUILTIN, ContractionPlan, plan
from tncompile.planning.lock import Request, read_lock, write_lock

Progress = Callable[[int, int], None]

MAXIMAL_NORM_FLOPS = 40_000_000_000
"""Contracting a network with itself, to start it exactly, may take this many operations …"""

MAXIMAL_NORM_BYTES = 2**30
"""… and this much memory."""

NORM_OPERANDS = 32
"""Networks of more operands are contracted with themselves in logarithms."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a compilation may be asked for beside the network.

    batch     the products of the leading axes `...` to plan for
    sizes     run-time sizes of `batch` axes: pairs of name and size
    minimize  `time` (predicted), `flops` or `memory`
    search    `fast`, `normal` or `thorough`
    """

    batch: tuple[int, ...] = (64,)
    sizes: tuple[tuple[str, int], ...] = ()
    minimize: str = "time"
    search: str = "normal"
    memory_limit: int | None = None


def build_network(resolved: ResolvedNetwork) -> TensorNetwork:
    """The resolved network as the model that everything after it works on."""
    network = build(resolved)
    if wrong := next(verify_network(network), None):
        raise InternalError(f"{network.target}: {wrong}")
    return network


def plan_network(
    network: TensorNetwork, options: Options, progress: Progress | None = None
) -> ContractionPlan:
    """Contraction trees searched, lowered and compared; one variant a batch size that needs it."""
    return plan(
        network,
        batch=options.batch,
        sizes=dict(options.sizes),
        minimize=options.minimize,
        search=options.search,
        memory_limit=options.memory_limit,
        progress=progress,
    )


def plan_from_lock(
    network: TensorNetwork, options: Options, path: Path, keep: bool, progress: Progress | None
) -> tuple[ContractionPlan, tuple[str, ...]]:
    """The plan that a lock file stores, else a new one, and why a stored one was not used.

    With `keep` a new plan is stored. Raises ValueError where the file is corrupt.
    """
    lock = read_lock(path)
    request = Request(
        network.target,
        options.batch,
        dict(options.sizes),
        options.minimize,
        True,
        options.search,
        options.memory_limit,
        BUILTIN.name,
    )
    stored = lock.get(request)
    problems = tuple(lock.verify(request, network))
    if stored is not None and not problems:
        return stored, ()
    planned = plan_network(network, options, progress)
    if keep:
        write_lock(lock.with_plan(request, network, planned), path)
    return planned, problems if stored is not None else ()


def lower_network(network: TensorNetwork, planned: ContractionPlan) -> TensorProgram:
    """The tensor program of the plan's main variant."""
    main = planned.main
    return lower(network, main.tree, sizes=main.sizes)


def norm_program(network: TensorNetwork) -> TensorProgram | None:
    """A scalar network lowered in logarithms; None where that would take too long."""
    planned = plan(network, batch=1, minimize="flops", search="fast", training=False)
    main = planned.main
    if main.cost.flops > MAXIMAL_NORM_FLOPS or main.cost.peak_bytes > MAXIMAL_NORM_BYTES:
        return None
    return lower(network, main.tree, logarithm=len(main.tree.operands) > NORM_OPERANDS)


def generate_module(
    network: TensorNetwork, planned: ContractionPlan, program: TensorProgram, *, stacked: bool
) -> GeneratedModule:
    """The PyTorch source: parameters, how they start, and the program as `forward`."""
    return emit(network, planned, program, initialize(network, norm_program), stacked=stacked)
