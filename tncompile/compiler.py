"""The pipeline from a resolved network on: network, plan, tensor program, PyTorch source.

Before it come `language.linking.link` (text to blocks) and `language.resolving.resolve` (a block
and its arguments), which commands call without the rest. One function a stage, each pure: equal
arguments give equal results, to the byte.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tncompile.emission import GeneratedModule, emit
from tncompile.emission.sharding.split import Sharded, split_leg
from tncompile.initialization.draws import initialize
from tncompile.language.diagnostics.errors import InternalError
from tncompile.language.resolved import ResolvedNetwork
from tncompile.lowering import TensorProgram, lower
from tncompile.lowering.schedule import Schedule
from tncompile.machine.profile import MachineProfile
from tncompile.machine.registry import find_profile
from tncompile.network.building import build
from tncompile.network.contraction import ContractionTree
from tncompile.network.model import TensorNetwork
from tncompile.network.verifying import verify_network
from tncompile.planning import ContractionPlan, Variant, plan
from tncompile.planning.lock import Request, keep_plan, read_lock
from tncompile.planning.request import PlanRequest, batch_goals, runtime_sizes
from tncompile.planning.search_space import build_search_space
from tncompile.planning.selection import select
from tncompile.program.variants import Branch, Branches
from tncompile.simulation.modes import MODES, Mode

if TYPE_CHECKING:
    from torch import nn

    from tncompile.tuning.autotuner import Tuning

Progress = Callable[[int, int], None]

MAXIMAL_NORM_FLOPS = 40_000_000_000
"""Contracting a network with itself, to start it exactly, may take this many operations …"""

MAXIMAL_NORM_BYTES = 2**30
"""… and this much memory."""

NORM_OPERANDS = 32
"""Networks of more operands are contracted with themselves in logarithms, …"""

NORM_MAGNITUDE = 60.0
"""… and those whose indices have so many values together (a logarithm): float32 ends at 88."""

PLANS_KEPT = 32
"""A model of many equal layers is planned once; so many networks and requests are remembered."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a compilation may be asked for beside the network.

    batch     the products of the leading axes `...` to plan for
    sizes     run-time sizes of `batch` axes: pairs of name and size
    minimize  `time` (predicted), `flops` or `memory`
    search    `fast`, `normal` or `thorough`
    memory_limit  bytes that a training step may take at its peak
    machine   the profile that predicts times: `builtin`, `cuda`, `measured`, `measured-cuda`, or a
              file
    """

    batch: tuple[int, ...] = (64,)
    sizes: tuple[tuple[str, int], ...] = ()
    minimize: str = "time"
    search: str = "normal"
    memory_limit: int | None = None
    machine: str = "builtin"


def build_network(resolved: ResolvedNetwork) -> TensorNetwork:
    """The resolved network as the model that everything after it works on."""
    network = build(resolved)
    if wrong := next(verify_network(network), None):
        raise InternalError(f"{network.target}: {wrong}")
    return network


def plan_network(
    network: TensorNetwork, options: Options, progress: Progress | None = None
) -> ContractionPlan:
    """Contraction trees searched, lowered and compared; variants by mode and batch size.

    What was planned lately is remembered, unless `progress` wants to hear of a search. Raises
    ValueError where there is no such machine profile.
    """
    profile = find_profile(options.machine)
    if progress is None:
        return _remembered(network, options, profile)
    return _searched(network, options, profile, progress)


@lru_cache(PLANS_KEPT)
def _remembered(
    network: TensorNetwork, options: Options, profile: MachineProfile
) -> ContractionPlan:
    return _searched(network, options, profile, None)


def _searched(
    network: TensorNetwork, options: Options, profile: MachineProfile, progress: Progress | None
) -> ContractionPlan:
    return plan(
        network,
        batch=options.batch,
        sizes=dict(options.sizes),
        minimize=options.minimize,
        search=options.search,
        memory_limit=options.memory_limit,
        profile=profile,
        progress=progress,
    )


def plan_from_lock(
    network: TensorNetwork, options: Options, path: Path, keep: bool, progress: Progress | None
) -> tuple[ContractionPlan, tuple[str, ...]]:
    """The plan that a lock file stores, else a new one, and why a stored one was not used.

    With `keep` a new plan is stored. Raises ValueError where the file is corrupt.
    """
    lock = read_lock(path)
    request = lock_request(network, options)
    stored, problems = lock.find(request, network)
    if stored is not None:
        return stored, ()
    planned = plan_network(network, options, progress)
    if keep:
        keep_plan(path, request, network, planned)
    return planned, problems or tuple(lock.unused(request))


def unheeded(options: Options, planned: ContractionPlan) -> tuple[str, ...]:
    """Options given for nothing: those of a search, where a measured plan is followed."""
    if planned.tuned is None:
        return ()
    usual = Options()
    given = {
        "search": options.search != usual.search,
        "machine": options.machine != usual.machine
        and find_profile(options.machine).name != planned.machine,
    }
    return tuple(name for name, differs in given.items() if differs)


def lock_request(network: TensorNetwork, options: Options) -> Request:
    """What a lock file knows the plan of a network under."""
    profile = find_profile(options.machine)
    return Request(
        network.target,
        options.batch,
        dict(options.sizes),
        options.minimize,
        True,
        options.search,
        options.memory_limit,
        profile.name,
        device=profile.device,
    )


def keep_tuned(
    network: TensorNetwork, options: Options, planned: ContractionPlan, path: Path
) -> None:
    """Store a measured plan in a lock file, which is followed from then on at every batch size."""
    request = lock_request(network, options).measured()
    keep_plan(path, request, network, planned)


def tune_network(
    network: TensorNetwork,
    options: Options,
    *,
    training: bool,
    seconds: float,
    progress: Progress | None = None,
) -> Tuning:
    """A plan by measurement on this machine: inference and folded, with `training` that too.

    It runs on the device of the machine profile. Raises `NoPlanError` and ValueError as planning
    does, and ValueError where there is no such device.
    """
    from tncompile.emission.loading import instantiate
    from tncompile.machine.host import require_device
    from tncompile.tuning.autotuner import tune

    profile = find_profile(options.machine)
    require_device(profile.device)

    sizes = dict(options.sizes)
    wanted, middle = batch_goals(network, options.batch, sizes)
    goal = PlanRequest("time", True, options.search, options.memory_limit, wanted, middle)
    runtime = runtime_sizes(network, options.batch[len(options.batch) // 2], sizes)
    found = build_search_space(network, goal, runtime, profile)
    start, planned = initialize(network, norm_program), select(found)

    def build(program: TensorProgram) -> nn.Module:
        generated = emit(network, planned, Branches.single(program), start)
        return instantiate(generated, device=profile.device, seed=0)

    modes: tuple[Mode, ...] = MODES if training else MODES[1:]
    return tune(found, build, modes, seconds, progress)


def lower_network(network: TensorNetwork, planned: ContractionPlan) -> Branches:
    """The tensor programs of a plan, by mode and batch size; equal ones are one object."""
    programs: dict[tuple[ContractionTree, Schedule], TensorProgram] = {}

    def program(variant: Variant) -> TensorProgram:
        key = variant.tree, variant.schedule
        if key not in programs:
            programs[key] = lower(network, *key, sizes=planned.sizes)
        return programs[key]

    def branches(mode: Mode) -> tuple[Branch, ...]:
        return tuple(Branch(program(one), one.up_to, one.reason) for one in planned.of(mode))

    return Branches(
        program(planned.whole), branches("training"), branches("inference"), branches("folded")
    )


@lru_cache(PLANS_KEPT)
def norm_program(network: TensorNetwork) -> TensorProgram | None:
    """A scalar network lowered in logarithms; None where that would take too long."""
    planned = plan(network, batch=1, minimize="flops", search="fast", training=False)
    main = planned.main
    if main.cost.flops > MAXIMAL_NORM_FLOPS or main.cost.peak_bytes > MAXIMAL_NORM_BYTES:
        return None
    magnitude = sum(math.log(index.size or 1) for index in network.indices)
    large = len(main.tree.operands) > NORM_OPERANDS or magnitude > NORM_MAGNITUDE
    return lower(network, main.tree, logarithm=large)


@lru_cache(PLANS_KEPT)
def weight_program(network: TensorNetwork) -> TensorProgram:
    """A network without inputs, lowered for the fewest multiply-adds."""
    planned = plan(network, batch=1, minimize="flops", search="fast", training=False)
    return lower(network, planned.main.tree)


def generate_module(
    network: TensorNetwork,
    planned: ContractionPlan,
    branches: Branches,
    *,
    shard: str | None = None,
) -> GeneratedModule:
    """The PyTorch source: parameters, how they start, and the programs as `forward`.

    With `shard` a leg is known at run time only, and a style that splits it stands beside the class
    (`branches` are then those of `single_variant`). Raises `ShardingError` where that cannot be.
    """
    norm = initialize(network, norm_program)
    sharded = None if shard is None else lower_sharded(network, planned, shard)
    return emit(network, planned, branches, norm, sharded=sharded, weigh=weight_program)


def single_variant(planned: ContractionPlan) -> ContractionPlan:
    """The same plan with what runs at any size as its only variant."""
    whole = replace(planned.whole, up_to=None)
    return replace(planned, variants=tuple(replace(whole, mode=mode) for mode in MODES))


def lower_sharded(network: TensorNetwork, planned: ContractionPlan, leg: str) -> Sharded:
    """What runs at any size of the plan, lowered for any size of a leg."""
    sharding = split_leg(network, leg)
    whole = planned.whole
    sizes = {**planned.sizes, leg: sharding.size}
    schedule = whole.schedule.at_once
    return Sharded(sharding, lower(sharding.opened, whole.tree, schedule, sizes=sizes))
