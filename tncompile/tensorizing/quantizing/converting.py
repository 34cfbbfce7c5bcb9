"""State dicts of architectures, for their modules with quantized weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tncompile.architecture import Architecture
from tncompile.language.typing.model import ResolvedModel

if TYPE_CHECKING:
    from torch import Tensor

    from tncompile.network.packing import Weights


def quantized_state(
    architecture: Architecture,
    state: Mapping[str, Tensor],
    weights: Weights,
    *,
    group: int | None = None,
) -> dict[str, Tensor]:
    """The state of `architecture.module(weights=…)` from that of `architecture.module()`.

    Eight bits are rounded to multiples of the largest magnitude of a slice divided by 127, so that
    no entry is further away than half of its scale; four bits take the scale of a group that leaves
    the least squared error. Scales have the dtype of their tensor.
    Raises ValueError for other `weights` or `group`, for entries that are missing or not of the
    architecture, of another shape, not finite or on the device `meta`; TypeError for what is no
    tensor of floats.

    >>> weights = arch.module(seed=0, search="fast").state_dict()
    >>> eight = arch.module(weights="int8", search="fast")
    >>> eight.load_state_dict(tncompile.quantized_state(arch, weights, "int8"))
    <All keys matched successfully>
    """
    from tncompile.compiler import build_network
    from tncompile.models.graph.stored import networks_by_path
    from tncompile.network.packing import quantization
    from tncompile.tensorizing.quantizing.state import network_state, packed_state

    wanted = quantization(weights, group)
    if wanted is None:
        raise ValueError('say which weights: "int8" or "int4"')
    if not isinstance(architecture, Architecture):
        raise TypeError(f"an architecture is wanted, not {type(architecture).__name__}")
    resolved = architecture._resolved
    own = architecture._packed(wanted)
    if own or not isinstance(resolved, ResolvedModel):
        target, parameters = architecture._map.target, architecture._stored
        return packed_state(target, parameters, own, state, {})
    result = dict(state)
    for path, network in networks_by_path(resolved):
        prefix = f"{path}."
        inside = {key: result.pop(key) for key in list(result) if key.startswith(prefix)}
        inner = {key.removeprefix(prefix): tensor for key, tensor in inside.items()}
        made = network_state(build_network(network), inner, wanted)
        result |= {prefix + key: tensor for key, tensor in made.items()}
    return result
