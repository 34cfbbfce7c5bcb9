"""The module that stands for a layer, with what the layer has beside its weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tncompile.architecture import Architecture

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tncompile.tensorizing.replacing.copying import Standing
    from tncompile.tensorizing.rewriting.replacements import Replacement


@dataclass(frozen=True, eq=False)
class Placed:
    """A replacement that was made: the module and the architecture of it."""

    replacement: Replacement
    architecture: Architecture
    module: nn.Module

    def standing(self) -> Standing:
        """The module in the place of its layer."""
        from tncompile.tensorizing.replacing.copying import Standing

        has_inputs = bool(self.architecture.network.inputs)
        return Standing(self.replacement.layer, self.module, has_inputs)


def unfitted(each: Replacement, state: dict[str, torch.Tensor] | None = None) -> nn.Module:
    """The module that stands for a layer, with some parameters or those it starts with."""
    layer, weight = each.layer, each.layer.weight
    module = each.architecture.module(
        dtype=weight.dtype, device=weight.device, seed=0, search="fast"
    )
    if state is not None:
        module.load_state_dict(state)
    module.train(layer.module is None or layer.module.training)
    return finished(Placed(each, each.architecture, module), module)


def finished(placed: Placed, network: nn.Module) -> nn.Module:
    """A network with what the layer has beside its weight."""
    from torch import nn

    from tncompile.tensorizing.replacing.dense_views import PaddedEmbedding

    layer = placed.replacement.layer
    biases = {bias.parameter for bias in placed.architecture.network.biases}
    for key, parameter in network.named_parameters():
        own = getattr(layer.module, "bias", None) if key in biases else None
        parameter.requires_grad_((layer.weight if own is None else own).requires_grad)
    if isinstance(layer.module, nn.Embedding) and layer.module.padding_idx is not None:
        place = layer.module.padding_idx
        return PaddedEmbedding(network, place, layer.weight[place]).train(network.training)
    return network
