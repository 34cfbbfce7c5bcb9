"""Which modules are layers with a weight, and what their weight is applied to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from tncompile.tensorizing.calibrating.patterns import matching

if TYPE_CHECKING:
    from torch import nn

Kind = Literal["linear", "conv1d", "conv", "embedding"]
"""`conv1d` is the layer that transformers calls Conv1D: linear, its weight is (in, out)."""

KINDS: tuple[Kind, ...] = get_args(Kind)

WIDEST = 16384
"""The most outputs whose gradients have a whole moment, 2 GiB in float64; of more, heads of
language models, the diagonal is kept."""

LARGEST = 4096
"""The most inputs of a convolution, channels × kernel, whose moment is of all of them."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer whose weight is `outputs` × `inputs`.

    The inputs of a convolution are those of a group, channels × kernel; those of an embedding are
    its ids. Where a convolution has too many for a moment of all, `axes` are the sizes of channels
    and kernel, which have moments of their own.
    """

    kind: Kind
    inputs: int
    outputs: int
    groups: int = 1
    axes: tuple[int, ...] = ()

    @property
    def gradients(self) -> tuple[int, ...]:
        """The shape of the second moment of gradients at the outputs: a matrix or its diagonal."""
        return (self.outputs,) if self.outputs > WIDEST else (self.outputs, self.outputs)


def dense_class(module: nn.Module) -> type[nn.Module]:
    """The class of a module; of one whose weight is read off a network that which it had before."""
    found: type[nn.Module] = getattr(type(module), "_dense_base", type(module))
    return found


def layer_of(module: nn.Module) -> Layer | None:
    """What kind of layer a module is; None for one without a real weight of a known kind.

    Classes of their own that compute something else, an embedding with a scale for one, are none.
    """
    import torch
    from torch import nn

    weight = getattr(module, "weight", None)
    if not isinstance(weight, torch.Tensor) or not weight.is_floating_point():
        return None
    if isinstance(weight, nn.UninitializedParameter):
        return None
    for cls in (nn.Linear, nn.Embedding, nn.Conv1d, nn.Conv2d, nn.Conv3d):
        if isinstance(module, cls) and dense_class(module).forward is not cls.forward:
            return None
    if isinstance(module, nn.Linear):
        return Layer("linear", module.in_features, module.out_features)
    if isinstance(module, nn.Embedding):
        return Layer("embedding", module.num_embeddings, module.embedding_dim)
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        inputs = weight.numel() // module.out_channels
        large = inputs > LARGEST and module.groups == 1
        axes = tuple(weight.shape[1:]) if large else ()
        return Layer("conv", inputs, module.out_channels, module.groups, axes)
    if type(module).__name__ == "Conv1D" and weight.dim() == 2:
        inputs, outputs = weight.shape
        return Layer("conv1d", inputs, outputs) if getattr(module, "nf", None) == outputs else None
    return None


def layers_of(
    model: nn.Module, patterns: Iterable[str] | None = None
) -> dict[str, tuple[nn.Module, Layer]]:
    """The layers of a model by their first name, in its order; those that match a pattern.

    A pattern is a name in which `*` stands for anything. Raises ValueError for one that no layer
    matches.
    """
    from tncompile.tensorizing.calibrating.calling import unchanged_weights

    with unchanged_weights(model):
        named = [(name, module, layer_of(module)) for name, module in model.named_modules()]
    found = {name: (module, layer) for name, module, layer in named if layer is not None}
    names = list(found) if patterns is None else matching(patterns, list(found))
    return {name: found[name] for name in names}


def aliases_of(model: nn.Module) -> dict[str, str]:
    """Further names of shared modules, and the first name of each."""
    first: dict[int, str] = {}
    found: dict[str, str] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        known = first.setdefault(id(module), name)
        if known != name:
            found[name] = known
    return found
