"""Which modules are layers with a weight, and what their weight is applied to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import torch
    from torch import nn

Kind = Literal["linear", "conv1d", "conv", "embedding"]
"""`conv1d` is the layer that transformers calls Conv1D: linear, its weight is (in, out)."""

KINDS: tuple[Kind, ...] = get_args(Kind)

PATCHES = 2**24
"""The most numbers of unfolded images at a time."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer whose weight is `outputs` × `inputs`.

    The inputs of a convolution are those of a group, channels × kernel; those of an embedding are
    its ids.
    """

    kind: Kind
    inputs: int
    outputs: int
    groups: int = 1


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
        if isinstance(module, cls) and type(module).forward is not cls.forward:
            return None
    if isinstance(module, nn.Linear):
        return Layer("linear", module.in_features, module.out_features)
    if isinstance(module, nn.Embedding):
        return Layer("embedding", module.num_embeddings, module.embedding_dim)
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        inputs = weight.numel() // module.out_channels
        return Layer("conv", inputs, module.out_channels, module.groups)
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
    named = ((name, module, layer_of(module)) for name, module in model.named_modules())
    found = {name: (module, layer) for name, module, layer in named if layer is not None}
    if patterns is None:
        return found
    wanted = [patterns] if isinstance(patterns, str) else list(patterns)
    for pattern in wanted:
        if not any(fnmatchcase(name, pattern) for name in found):
            shown = ", ".join(name or "the model itself" for name in list(found)[:8]) or "none"
            raise ValueError(f"no layer is called {pattern}: there are {shown}")
    return {
        name: each
        for name, each in found.items()
        if any(fnmatchcase(name, pattern) for pattern in wanted)
    }


def aliases_of(model: nn.Module) -> dict[str, str]:
    """Further names of shared modules, and the first name of each."""
    first: dict[int, str] = {}
    found: dict[str, str] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        known = first.setdefault(id(module), name)
        if known != name:
            found[name] = known
    return found


def rows_of(
    module: nn.Module, layer: Layer, x: torch.Tensor, gradient: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """What the weight was applied to, and the gradients of what came of it, some at a time.

    x (groups, rows, in) or, of an embedding, (rows,) ids; gradients (groups, rows, out of a group).
    """
    import torch

    if layer.kind != "conv":
        into = x.reshape(-1) if layer.kind == "embedding" else x.reshape(1, -1, layer.inputs)
        yield into, gradient.reshape(1, -1, layer.outputs)
        return
    axes = len(module.kernel_size)  # type: ignore[arg-type]
    if x.dim() == axes + 1:  # no batch
        x, gradient = x.unsqueeze(0), gradient.unsqueeze(0)
    places = gradient[0, 0].numel()
    step = max(1, PATCHES // max(1, layer.inputs * layer.groups * places))
    for some, its in zip(torch.split(x, step), torch.split(gradient, step), strict=True):
        outputs = its.reshape(len(its), layer.groups, -1, places).permute(1, 0, 3, 2)
        yield (
            _patches(module, some).reshape(layer.groups, -1, layer.inputs),
            outputs.reshape(layer.groups, -1, layer.outputs // layer.groups),
        )


def _patches(conv: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """(groups, n, places…, channels of a group, kernel…): the numbers each output is made of."""
    from torch.nn.functional import pad

    assert isinstance(conv.padding_mode, str)
    kernel, stride, dilation = (
        list(getattr(conv, name)) for name in ("kernel_size", "stride", "dilation")
    )
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if isinstance(conv.padding, str):
        same = conv.padding == "same"
        sides = [(r // 2, r - r // 2) if same else (0, 0) for r in reach]
    else:
        sides = [(p, p) for p in conv.padding]  # type: ignore[union-attr]
    mode = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
    x = pad(x, [n for pair in reversed(sides) for n in pair], mode=mode)
    for axis, (length, step, gap) in enumerate(zip(reach, stride, dilation, strict=True)):
        x = x.unfold(2 + axis, length + 1, step)[..., ::gap]
    axes, groups = len(kernel), conv.groups
    assert isinstance(groups, int)
    x = x.reshape(len(x), groups, -1, *x.shape[2:])
    return x.permute(1, 0, *range(3, 3 + axes), 2, *range(3 + axes, 3 + 2 * axes))
