"""The module that stands for a layer, with what the layer has beside its weight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tncompile.architecture import Architecture
from tncompile.tensorizing.rewriting.rewrite import escaped, shown

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tncompile.network.packing import Quantization
    from tncompile.planning.request import CallOptions
    from tncompile.tensorizing.replacing.copying import Standing
    from tncompile.tensorizing.rewriting.replacements import Replacement


QUANTIZED = "quantized"
"""What a folder calls `weights` and `group` of each layer that is quantized, by its name."""


@dataclass(frozen=True, eq=False)
class Placed:
    """A replacement that was made: the module and the architecture of it, how it is quantized."""

    replacement: Replacement
    architecture: Architecture
    module: nn.Module
    quantization: Quantization | None = None

    @property
    def network(self) -> nn.Module:
        """The module of the architecture, without what keeps the row of padding of a table."""
        from tncompile.tensorizing.replacing.dense_views import PaddedEmbedding

        return self.module.table if isinstance(self.module, PaddedEmbedding) else self.module

    @property
    def file_name(self) -> str:
        """What its Python file is called, without the ending."""
        name = self.replacement.block.name
        return name if self.quantization is None else f"{name}_{self.quantization.weights}"

    @property
    def options(self) -> CallOptions:
        """What its plan is asked for."""
        return self.replacement.planned(self.architecture)

    def source(self) -> str:
        """The Python file of the module."""
        wanted = self.quantization
        if wanted is None:
            return self.architecture.source(search="fast", **self.options)
        weights, group = wanted.weights, wanted.group
        made = self.architecture
        return made.source(weights=weights, group=group, search="fast", **self.options)

    def standing(self) -> Standing:
        """The module in the place of its layer."""
        from tncompile.tensorizing.replacing.copying import Standing

        has_inputs = bool(self.architecture._map.inputs)
        return Standing(self.replacement.layer, self.module, has_inputs)


def unfitted(
    each: Replacement,
    state: dict[str, torch.Tensor] | None = None,
    quantization: Quantization | None = None,
    architecture: Architecture | None = None,
) -> nn.Module:
    """The module that stands for a layer, with some parameters or those it starts with.

    The architecture is that of the replacement unless another is given.
    """
    layer, weight = each.layer, each.layer.weight
    architecture = architecture or each.architecture
    module = architecture.module(
        dtype=weight.dtype,
        device=weight.device,
        seed=0,
        weights=None if quantization is None else quantization.weights,
        group=None if quantization is None else quantization.group,
        search="fast",
        **each.planned(architecture),
    )
    if state is not None:
        module.load_state_dict(state)
    module.train(layer.module is None or layer.module.training)
    return finished(Placed(each, architecture, module), module)


def finished(placed: Placed, network: nn.Module) -> nn.Module:
    """A network with what the layer has beside its weight."""
    from torch import nn

    from tncompile.tensorizing.replacing.dense_views import PaddedEmbedding

    layer = placed.replacement.layer
    biases = {bias.parameter for bias in placed.architecture._map.biases}
    for key, parameter in network.named_parameters():
        own = getattr(layer.module, "bias", None) if key in biases else None
        parameter.requires_grad_((layer.weight if own is None else own).requires_grad)
    if isinstance(layer.module, nn.Embedding) and layer.module.padding_idx is not None:
        place = layer.module.padding_idx
        return PaddedEmbedding(network, place, layer.weight[place]).train(network.training)
    return network


def written_weights(placed: Sequence[Placed]) -> dict[str, object]:
    """`weights` and `group` of what is quantized, by the name of the layer."""
    return {
        each.replacement.layer.name: {
            "weights": each.quantization.weights,
            "group": each.quantization.group,
        }
        for each in placed
        if each.quantization is not None
    }


def read_weights(entry: object, found: Sequence[Replacement]) -> list[Quantization | None]:
    """How each replacement is quantized. Raises ValueError for an entry that fits none of them.

    Layers are known by the patterns of the file, as their names in a model may have a prefix.
    """
    from tncompile.network.packing import quantization

    named = {} if entry is None else entry
    if not isinstance(named, dict):
        raise ValueError(f"`{QUANTIZED}` of a folder is no object")
    patterns = [each.line.rule.pattern.value for each in found]
    asked: dict[str, Quantization] = {}
    for name, own in named.items():
        if not isinstance(own, dict) or set(own) != {"weights", "group"}:
            raise ValueError(f"`{QUANTIZED}` of {shown(name)} has no `weights` and `group`")
        if (pattern := escaped(name)) not in patterns:
            raise ValueError(f"`{QUANTIZED}` names {shown(name)}, which is not replaced")
        try:
            wanted = quantization(own["weights"], own["group"])
        except TypeError as error:
            raise ValueError(f"`{QUANTIZED}` of {shown(name)}: {error}") from None
        if wanted is None:
            raise ValueError(f"`{QUANTIZED}` of {shown(name)} names no weights")
        asked[pattern] = wanted
    return [asked.get(pattern) for pattern in patterns]


def numbers_held(each: Replacement, wanted: Quantization | None) -> int:
    """How many numbers the module that stands for a layer stores."""
    from tncompile.network.packing import stored

    held = stored(each.architecture._stored, each.architecture._packed(wanted))
    return sum(math.prod(parameter.shape) for parameter in held)
