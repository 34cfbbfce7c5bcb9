"""Two architectures to their difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

from tncompile.inspection.comparing import models, networks
from tncompile.inspection.comparing.changes import Change, Record, argument_changes, changes_of
from tncompile.inspection.comparing.difference import Difference
from tncompile.inspection.comparing.figures import (
    compared_plans,
    cost_figures,
    dense_figures,
    stored_figures,
)
from tncompile.inspection.comparing.models import Comparing, Network
from tncompile.inspection.comparing.picture import Pictured
from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.model import ResolvedModel
from tncompile.models.sizes import missing_sizes
from tncompile.network.model import DOTS, TensorNetwork

if TYPE_CHECKING:
    from tncompile.architecture import Architecture
    from tncompile.model import Model
    from tncompile.models.costs.report import ModelCost
    from tncompile.planning import Cost
    from tncompile.planning.paths.optimizers import Progress
    from tncompile.planning.request import SearchOptions


def compared(
    first: Architecture,
    second: Architecture,
    batch: int | None,
    training: bool,
    progress: Progress | None,
    options: SearchOptions,
) -> Difference:
    """How two architectures differ. Raises ValueError for a size that neither has, and what
    `cost` does."""
    both = first, second
    if not isinstance(options.get("sizes"), Mapping | None):
        raise TypeError(f"sizes are a mapping of names to ints, not {options['sizes']!r}")
    given = [_known_sizes(each, options.get("sizes") or {}) for each in both]
    for name in options.get("sizes") or {}:
        if not any(name in sizes for sizes in given):
            one, other = (each._resolved.target for each in both)
            raise ValueError(f"`{name}` is a run-time size of neither {one} nor {other}")
    uncosted = _uncosted(first, given[0]) or _uncosted(second, given[1])
    costs: list[Cost | ModelCost] = []
    if not uncosted:
        for each, sizes in zip(both, given, strict=True):
            own: SearchOptions = {**options, "sizes": sizes}
            costs.append(each.cost(batch, training=training, progress=progress, **own))
    blocks = first._resolved, second._resolved
    interfaces = _interface(first), _interface(second)
    comparing = Comparing((_networks(first), _networks(second)))
    labels = _labels(first, second)
    changes = tuple(_changes(first, second, comparing))
    return Difference(
        *labels,
        interfaces,
        tuple(_arguments(first, second)),
        changes,
        (
            *stored_figures(*blocks),
            *(dense_figures(*costs) if costs else ()),
            *(cost_figures(*costs) if costs else ()),
        ),
        tuple(compared_plans(*costs)) if costs else (),
        (dict(costs[0].sizes), dict(costs[1].sizes)) if costs else ({}, {}),
        costs[0].machine if costs else "",
        uncosted,
        "training" if training else "inference",
        _pictured=Pictured(*blocks, comparing.networks),
    )


def _changes(first: Architecture, second: Architecture, comparing: Comparing) -> list[Change]:
    one, other = first._resolved, second._resolved
    if isinstance(one, ResolvedModel) == isinstance(other, ResolvedModel):
        return list(comparing.blocks(one, other))
    inputs = [
        {name: Record("input", shape, {"shape": shape}) for name, shape in _inputs(each).items()}
        for each in (first, second)
    ]
    outputs = [
        {"": Record("output", each, {"shape": each})} for each in map(_output, (first, second))
    ]
    kinds = (Record("block", "", {"kind": _kind(each)}) for each in (first, second))
    return [
        *changes_of(*inputs),
        *changes_of(*outputs),
        *changes_of(*({"": kind} for kind in kinds)),
    ]


def _arguments(first: Architecture, second: Architecture) -> Iterator[Change]:
    """Arguments that differ; of blocks of different names, those that both have."""
    same = first._resolved.name == second._resolved.name
    for change in argument_changes(first.arguments, second.arguments):
        if same or change.status == "changed":
            yield change


def _is_model(architecture: Architecture) -> bool:
    return isinstance(architecture._resolved, ResolvedModel)


def _kind(architecture: Architecture) -> str:
    return "a model" if _is_model(architecture) else "a network"


def _inputs(architecture: Architecture) -> dict[str, str]:
    block = architecture._resolved
    if isinstance(block, ResolvedModel):
        return models.input_shapes(block)
    return networks.input_shapes(architecture.network)


def _output(architecture: Architecture) -> str:
    block = architecture._resolved
    if isinstance(block, ResolvedModel):
        return models.output_shape(block)
    return networks.axes_text(architecture.network.output.axes)


def _interface(architecture: Architecture) -> str:
    """What it takes and gives: `x (..., 32) → (..., 32)`."""
    taken = ", ".join(f"{name} {shape}" for name, shape in _inputs(architecture).items())
    return f"{taken or 'nothing'} → {_output(architecture)}"


def _networks(architecture: Architecture) -> Network:
    """What has the network of a block of an architecture, as that builds it."""
    known: dict[int, TensorNetwork] = {}

    def network(block: ResolvedNetwork) -> TensorNetwork:
        if not known:
            inner = [architecture]
            if _is_model(architecture):
                inner = list(cast("Model", architecture).networks.values())
            known.update({id(each._resolved): each.network for each in inner})
        return known[id(block)]

    return network


def _known_sizes(architecture: Architecture, sizes: Mapping[str, int]) -> dict[str, int]:
    """Those of the sizes that an architecture has."""
    if _is_model(architecture):
        names = set(cast("Model", architecture).sizes)
    else:
        names = {*architecture.network.size_names} - {DOTS}
    return {name: size for name, size in sizes.items() if name in names}


def _uncosted(architecture: Architecture, sizes: Mapping[str, int]) -> str:
    """Why an architecture has no cost: sizes that are neither given nor usual."""
    block = architecture._resolved
    missing = missing_sizes(block, sizes) if isinstance(block, ResolvedModel) else []
    if not missing:
        return ""
    listed = " and ".join(f"`{name}`" for name in missing)
    return f"{listed} of {block.target} {'has' if len(missing) == 1 else 'have'} no usual size"


def _labels(first: Architecture, second: Architecture) -> tuple[str, str]:
    """The calls of both, with the files where those alone tell them apart."""
    targets = [each._resolved.target for each in (first, second)]
    files = [each._linked.source.name for each in (first, second)]
    if targets[0] == targets[1] and files[0] != files[1]:
        targets = [f"{file}: {target}" for file, target in zip(files, targets, strict=True)]
    one, other = (
        "".join(each if each.isprintable() else "�" for each in target) for target in targets
    )
    return one, other
