"""The pipeline from a resolved network on: network, plan, tensor programs, PyTorch source.

Before it come `language.linking.link` (text to blocks) and `language.resolving.resolve` (a block
and its arguments), which commands call without the rest. One function a stage, each pure: equal
arguments give equal results, to the byte.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tncompile.emission import ClassSource, GeneratedModule, emit, emit_class
from tncompile.emission.sharding.split import Sharded, split_leg
from tncompile.initialization.draws import Initialization, initialize
from tncompile.language.diagnostics.errors import InternalError
from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.model import ResolvedModel
from tncompile.lowering import TensorProgram, lower
from tncompile.lowering.schedule import Schedule
from tncompile.models.contracting import Orders
from tncompile.models.emission.classes import emit_model
from tncompile.models.graph.stored import tied_tensor
from tncompile.network.building import build
from tncompile.network.contraction import ContractionTree
from tncompile.network.editing import edited
from tncompile.network.model import TensorNetwork
from tncompile.network.packing import Quantization
from tncompile.network.verifying import verify_network
from tncompile.planning import ContractionPlan, Variant, plan
from tncompile.planning.lock import keep_plan, read_lock
from tncompile.planning.paths.optimizers import Progress
from tncompile.planning.request import PlanRequest
from tncompile.planning.search_space import build_search_space
from tncompile.planning.selection import plan_for, select
from tncompile.program.variants import Branch, Branches
from tncompile.simulation.modes import MODES, Mode

if TYPE_CHECKING:
    from torch import nn

    from tncompile.tuning.results import Tuning

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


def build_network(resolved: ResolvedNetwork) -> TensorNetwork:
    """The resolved network as the model that everything after it works on."""
    network = build(resolved)
    if wrong := next(verify_network(network), None):
        raise InternalError(f"{network.target}: {wrong}")
    return network


def plan_network(
    network: TensorNetwork, request: PlanRequest, progress: Progress | None = None
) -> ContractionPlan:
    """Contraction trees searched, lowered and compared; variants by mode and batch size.

    What was planned lately is remembered, unless `progress` wants to hear of a search.
    """
    if progress is None:
        return _remembered_plan(network, request)
    return plan_for(network, request, progress)


_remembered_plan = lru_cache(PLANS_KEPT)(plan_for)


def plan_from_lock(
    network: TensorNetwork,
    request: PlanRequest,
    path: Path | None,
    keep: bool,
    progress: Progress | None = None,
) -> ContractionPlan:
    """The plan that a lock file stores, where there is one; else a new one whose `notes` say why.

    With `keep` a new plan is stored. Raises ValueError where the file is corrupt.
    """
    if path is None:
        return plan_network(network, request, progress)
    lock = read_lock(path)
    stored, problems = lock.find(network, request)
    if stored is not None:
        return stored
    planned = plan_network(network, request, progress)
    if keep:
        keep_plan(path, network, request, planned)
    return replace(planned, notes=problems or tuple(lock.unused(network, request)))


def tune_network(
    network: TensorNetwork,
    request: PlanRequest,
    training: bool,
    seconds: float,
    progress: Progress | None = None,
) -> Tuning:
    """A plan by measurement on this machine: inference and folded, with `training` that too.

    It runs on the device of the machine profile. Raises `NoPlanError` as planning does, and
    ValueError where there is no such device.
    """
    from tncompile.emission.loading import instantiate  # imports torch
    from tncompile.machine.host import require_device
    from tncompile.tuning.autotuner import tune

    device = request.profile.device
    require_device(device)
    space = build_search_space(network, request)
    planned = select(space)

    def build(program: TensorProgram) -> nn.Module:
        programs, start = Branches.single(program), initialization(network)
        generated = emit(network, planned, programs, start, weigh=lambda _: None)
        return instantiate(generated, device=device, seed=0)

    modes: tuple[Mode, ...] = MODES if training else MODES[1:]
    return tune(space, build, modes, seconds, progress)


def lower_network(network: TensorNetwork, planned: ContractionPlan) -> Branches:
    """The tensor programs of a plan, by mode and batch size; equal ones are one object."""
    programs: dict[tuple[ContractionTree, Schedule], TensorProgram] = {}

    def program(variant: Variant) -> TensorProgram:
        key = variant.tree, variant.schedule
        if key not in programs:
            programs[key] = lower(network, *key, sizes=planned.sizes)
        return programs[key]

    def branches(mode: Mode) -> tuple[Branch, ...]:
        return tuple(
            Branch(program(variant), variant.up_to, variant.reason) for variant in planned.of(mode)
        )

    modes = branches("training"), branches("inference"), branches("folded")
    return Branches(program(planned.whole), *modes, planned.repeats)


@lru_cache(PLANS_KEPT)
def norm_program(network: TensorNetwork) -> TensorProgram | None:
    """A scalar network lowered in logarithms; None where that would take too long."""
    main = plan(network, batch=1, minimize="flops", search="fast", training=False).main
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


@lru_cache(PLANS_KEPT)
def initialization(network: TensorNetwork) -> Initialization:
    """How the parameters of a network start."""
    return initialize(network, norm_program)


def compile(
    network: TensorNetwork,
    planned: ContractionPlan,
    *,
    shard: str | None = None,
    quantized: Quantization | None = None,
) -> GeneratedModule:
    """The PyTorch source of a plan: parameters, how they start, and the programs as `forward`.

    With `shard` a leg is known at run time only, and a style that splits it over processes stands
    beside the class. Raises `ShardingError` where processes cannot share that leg.
    """
    sharded = None
    if shard is not None:
        whole = replace(planned.whole, up_to=None)  # runs at any size, as the only variant
        planned = replace(planned, variants=tuple(replace(whole, mode=mode) for mode in MODES))
        sharding = split_leg(network, shard)
        sizes = {**planned.sizes, shard: sharding.size}
        program = lower(sharding.opened, whole.tree, whole.schedule.at_once, sizes=sizes)
        sharded = Sharded(sharding, program)
    programs, start = lower_network(network, planned), initialization(network)
    return emit(
        network, planned, programs, start,
        sharded=sharded, weigh=weight_program, quantized=quantized,
    )  # fmt: skip


def compile_model(
    model: ResolvedModel,
    networks: Mapping[int, tuple[TensorNetwork, ContractionPlan]],
    orders: Orders,
    quantized: Quantization | None = None,
) -> GeneratedModule:
    """The PyTorch source of a model: a class for each network and model in it.

    `networks` are the network and the plan of each of its resolved networks, by identity, `orders`
    those in which values are contracted. Raises ValueError where a tensor of a network that is to
    be quantized is tied.
    """
    if quantized is not None and (tied := tied_tensor(model)):
        words = "it has no tensor of its own to be quantized"
        raise ValueError(f"{model.target}: `{tied}` is tied: {words}")

    def make(resolved: ResolvedNetwork, name: str) -> ClassSource:
        network, planned = networks[id(resolved)]
        network = edited(network, name=name)
        programs, start = lower_network(network, planned), initialization(network)
        return emit_class(
            network, planned, programs, start, weigh=weight_program, quantized=quantized
        )

    return emit_model(model, make, orders, quantized)
