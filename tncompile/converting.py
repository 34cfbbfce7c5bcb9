"""Layers of torch as networks of the library or of one's own, and networks as layers of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tncompile.architecture import Architecture
from tncompile.blocks import Block
from tncompile.choosing import Choice, choose
from tncompile.filling import Filled

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tncompile.planning.paths.optimizers import Progress
    from tncompile.tensorizing.fitting.result import Fit
    from tncompile.tensorizing.moments import Metric
    from tncompile.typed import TensorNetworkModule


def from_linear(
    linear: nn.Linear,
    block: str | Block | Architecture,
    /,
    *,
    sites: int | None = None,
    budget: float | None = None,
    tolerance: float | None = None,
    metric: Metric | None = None,
    inputs: torch.Tensor | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    **arguments: object,
) -> TensorNetworkModule:
    """A network in place of a linear layer, as near to it as it comes; the bias is kept.

    `block` is one of `std/linear.tn` by name, one of a spec, or an architecture. `arguments` are
    those of the block; what is not given follows from the layer: `ins` and `outs` are split in
    `sites` factors (3), padded where a width has no good ones. How large it is say ranks among the
    arguments, or a `budget`, the part of the weight's parameters that may be used (the largest rank
    that fits), or a `tolerance`, the relative error (the smallest ranks that reach it). `metric`,
    `inputs` and `seed` are those of `Architecture.fit`. The module has the dtype, the device and
    the mode of the layer. Raises what `fit` raises, `CompileError` for wrong arguments, ValueError
    where no rank fits, KeyError for a block that there is not.

    >>> import torch
    >>> layer = torch.nn.Linear(32, 64)
    >>> tncompile.from_linear(layer, "MPO", ranks=4).out_features
    64
    >>> small = tncompile.from_linear(layer, "LowRank", budget=0.3)
    >>> small.A.shape, small.B.shape
    (torch.Size([32, 6]), torch.Size([6, 64]))
    """
    from torch import nn

    _require(linear, (nn.Linear,), "a linear layer")
    choice = Choice(budget, tolerance, metric, inputs, seed, progress)
    return convert(linear, block, arguments, choice, sites).module


def from_conv(
    conv: nn.Conv1d | nn.Conv2d | nn.Conv3d,
    block: str | Block | Architecture,
    /,
    *,
    sites: int | None = None,
    budget: float | None = None,
    tolerance: float | None = None,
    metric: Metric | None = None,
    inputs: torch.Tensor | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    **arguments: object,
) -> TensorNetworkModule:
    """A network in place of a convolution: as `from_linear`, with blocks of `std/convolution.tn`.

    Kernel, stride, padding, dilation and the treatment of borders are those of the layer. Raises
    ValueError for a padding that is not equal on both sides, and for groups where the block has
    none.

    >>> import torch
    >>> conv = torch.nn.Conv2d(8, 16, 3, padding=1)
    >>> tncompile.from_conv(conv, "Tucker2Conv", in_rank=4, out_rank=4)(torch.ones(8, 5, 5)).shape
    torch.Size([16, 5, 5])
    """
    from torch import nn

    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d)
    _require(conv, (*kinds, nn.ConvTranspose3d), "a convolution")
    choice = Choice(budget, tolerance, metric, inputs, seed, progress)
    return convert(conv, block, arguments, choice, sites).module


def from_embedding(
    embedding: nn.Embedding,
    block: str | Block | Architecture = "TTEmbedding",
    /,
    *,
    sites: int | None = None,
    budget: float | None = None,
    tolerance: float | None = None,
    metric: Metric | None = None,
    inputs: torch.Tensor | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    **arguments: object,
) -> TensorNetworkModule:
    """A network in place of a table: as `from_linear`, with blocks of `std/embedding.tn`.

    The `inputs` of a `metric` may be the frequencies of the ids. A `padding_idx` is not kept: its
    row is fitted as others are. Raises ValueError for tables with `max_norm`, which change when
    they are read.

    >>> import torch
    >>> table = tncompile.from_embedding(torch.nn.Embedding(1000, 16), ranks=8)
    >>> table(torch.tensor([3, 999])).shape
    torch.Size([2, 16])
    """
    from torch import nn

    _require(embedding, (nn.Embedding,), "an embedding")
    choice = Choice(budget, tolerance, metric, inputs, seed, progress)
    return convert(embedding, block, arguments, choice, sites).module


def from_bilinear(
    bilinear: nn.Bilinear,
    block: str | Block | Architecture = "BilinearTN",
    /,
    *,
    budget: float | None = None,
    tolerance: float | None = None,
    metric: Metric | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    **arguments: object,
) -> TensorNetworkModule:
    """A network in place of a bilinear layer: as `from_linear`, by default `BilinearTN`.

    The weight is (out, in1, in2), and so are what `Architecture.fit` takes for such a network; the
    `inputs` of a `metric` are those of both inputs, (in1 · in2, in1 · in2).

    >>> import torch
    >>> layer = tncompile.from_bilinear(torch.nn.Bilinear(6, 5, 4), rank=3)
    >>> layer(torch.ones(2, 6), torch.ones(2, 5)).shape
    torch.Size([2, 4])
    """
    from torch import nn

    _require(bilinear, (nn.Bilinear,), "a bilinear layer")
    choice = Choice(budget, tolerance, metric, None, seed, progress)
    return convert(bilinear, block, arguments, choice, None).module


def to_dense(module: nn.Module) -> nn.Module:
    """The layer of torch that a module stands for, with the weight that it has.

    It is an nn.Linear, nn.Bilinear, nn.Embedding, nn.Conv or nn.ConvTranspose of the same dtype and
    device. Raises ValueError for a module that stands for none.

    >>> import torch
    >>> layer = tncompile.to_dense(arch.module(search="fast"))
    >>> layer
    Linear(in_features=32, out_features=32, bias=True)
    """
    from torch import nn

    names, cls = _layer(module)
    weight: torch.Tensor = module.weight.detach()  # type: ignore[operator]
    bias = getattr(module, "bias", None)
    settings = {name: getattr(module, name) for name in names}
    if cls is not nn.Embedding:
        settings["bias"] = bias is not None
    layer: nn.Module = cls(**settings, dtype=weight.dtype, device="meta")
    layer.weight = nn.Parameter(weight.clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone())
    layer.train(module.training)
    return layer.requires_grad_(any(p.requires_grad for p in module.parameters()))


class Converted(NamedTuple):
    """A network in place of a layer: the module, what it was made of, and how near it is."""

    module: TensorNetworkModule
    architecture: Architecture
    fit: Fit


def convert(
    layer: nn.Module,
    block: str | Block | Architecture,
    arguments: Mapping[str, object],
    choice: Choice,
    sites: int | None = None,
    call: Sequence[int] | None = None,
) -> Converted:
    """What `from_linear`, `from_conv` and `from_embedding` do, with all that is known of it.

    With a `call` the module is planned for that many rows, and for images of these lengths.
    """
    from tncompile.tensorizing.calibrating.calling import unchanged_weights

    with unchanged_weights(layer):
        filled = _filled(layer, block, arguments, sites)
        weight: torch.Tensor = layer.weight  # type: ignore[assignment]
    bias: torch.Tensor | None = getattr(layer, "bias", None)
    architecture, fit = choose(filled.architecture, filled.block, filled.arguments, weight, choice)
    module = _module(layer, weight, bias, architecture, fit, choice, call)
    return Converted(module, architecture, fit)


def completed(
    layer: nn.Module, block: Block, arguments: Mapping[str, object]
) -> Mapping[str, object]:
    """The arguments of a block for a layer: those given, and those that the layer decides.

    Raises ValueError where the block has nothing that the layer needs.
    """
    return _filled(layer, block, arguments, None).arguments


def _filled(
    layer: nn.Module,
    block: str | Block | Architecture,
    arguments: Mapping[str, object],
    sites: int | None,
) -> Filled:
    from torch import nn

    match layer:
        case nn.Linear():
            filled = Filled(block, "std/linear.tn", arguments, sites)
            filled.features("ins", "in_features", "inputs", layer.in_features)
            filled.features("outs", "out_features", "outputs", layer.out_features)
            filled.set(
                in_features=layer.in_features,
                out_features=layer.out_features,
                with_bias=layer.bias is not None,
            )
        case nn.Bilinear():
            filled = Filled(block, "std/linear.tn", arguments, sites)
            filled.set(
                left_features=layer.in1_features,
                right_features=layer.in2_features,
                out_features=layer.out_features,
                with_bias=layer.bias is not None,
            )
        case nn.Embedding():
            if layer.max_norm is not None:
                raise ValueError("a table with `max_norm` changes when it is read: no network does")
            filled = Filled(block, "std/embedding.tn", arguments, sites)
            filled.features("rows", "words", "words", layer.num_embeddings)
            filled.features("columns", "features", "features", layer.embedding_dim)
            if "rows" not in filled.parameters:
                filled.set(words=layer.num_embeddings, features=layer.embedding_dim)
        case _:
            conv: nn.Conv2d = layer  # type: ignore[assignment]
            filled = Filled(block, "std/convolution.tn", arguments, sites)
            _fill_convolution(filled, conv)
    return filled


def _fill_convolution(filled: Filled, conv: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> None:
    filled.features("ins", "in_channels", "inputs", conv.in_channels)
    filled.features("outs", "out_channels", "outputs", conv.out_channels)
    if filled.block is None:
        return
    if conv.transposed:
        raise ValueError("the blocks of convolutions are not transposed: give an architecture")
    if conv.groups > 1 and "groups" not in filled.parameters:
        raise ValueError(f"{filled.name} has no groups, the layer has {conv.groups}")
    filled.set(
        in_channels=conv.in_channels,
        out_channels=conv.out_channels,
        kernel_size=list(conv.kernel_size),
        stride=list(conv.stride),
        padding=_padding(conv),
        dilation=list(conv.dilation),
        groups=conv.groups,
        with_bias=conv.bias is not None,
        **{mode: conv.padding_mode == mode for mode in ("circular", "reflect", "replicate")},
    )


_CONVOLUTION = ("in_channels", "out_channels", "kernel_size", "stride", "padding")


def _layer(module: nn.Module) -> tuple[tuple[str, ...], Any]:
    """The names of the settings of a layer, and its class."""
    from torch import nn

    def has(*names: str) -> bool:
        return all(hasattr(module, name) for name in names)

    if isinstance(module, nn.Module) and has("weight"):
        if has("in_features", "out_features"):
            return ("in_features", "out_features"), nn.Linear
        if has("in1_features", "in2_features", "out_features"):
            return ("in1_features", "in2_features", "out_features"), nn.Bilinear
        if has("num_embeddings", "embedding_dim"):
            return ("num_embeddings", "embedding_dim"), nn.Embedding
        if has(*_CONVOLUTION):
            transposed = has("output_padding")
            names = (*_CONVOLUTION, "dilation", "groups", "padding_mode")
            axes = len(list(module.kernel_size))  # type: ignore[arg-type]
            cls = getattr(nn, f"Conv{'Transpose' if transposed else ''}{axes}d")
            return (*names, "output_padding") if transposed else names, cls
    raise ValueError(f"{type(module).__name__} stands for no layer of torch with a weight")


def _require(layer: nn.Module, kinds: tuple[type, ...], what: str) -> None:
    from torch.nn.parameter import UninitializedParameter

    if not isinstance(layer, kinds):
        names = " or ".join(f"nn.{kind.__name__}" for kind in kinds[:3])
        raise TypeError(f"{type(layer).__name__} is not {what} ({names})")
    # Not `layer.weight`: to read one under a parametrization can change what that knows.
    if any(isinstance(each, UninitializedParameter) for each in layer.parameters(recurse=False)):
        raise ValueError(f"{type(layer).__name__} has no weight yet: call it once")


def _padding(conv: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> list[int]:
    """How much is padded on either side of each axis."""
    if not isinstance(conv.padding, str):
        return list(conv.padding)
    if conv.padding == "valid":
        return [0] * len(conv.kernel_size)
    reach = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
    if any(each % 2 for each in reach):
        raise ValueError("padding='same' of an even kernel is not equal on both sides")
    return [each // 2 for each in reach]


def _module(
    layer: nn.Module,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    architecture: Architecture,
    fit: Fit,
    choice: Choice,
    call: Sequence[int] | None,
) -> TensorNetworkModule:
    """The network that was chosen and fitted, as a module with the bias of the layer."""
    from tncompile.planning.request import options_of_call

    state = fit.state_dict
    biases = architecture._map.biases
    if bias is not None:
        if len(biases) != 1 or state[biases[0].parameter].numel() < bias.numel():
            raise ValueError(f"{architecture._map.target} has no bias, the layer has one")
        stored = state[biases[0].parameter]
        if bias.is_complex() and not stored.is_complex():
            name = architecture._map.target
            raise ValueError(f"the bias of the layer is complex, that of {name} is real")
        stored.view(-1)[: bias.numel()] = bias.detach()
    module = architecture.module(
        dtype=weight.dtype.to_real(),
        device=weight.device,
        seed=choice.seed,
        search="fast",
        **options_of_call(architecture._map, call),
    )
    module.load_state_dict(state)
    module.train(layer.training)
    if not weight.requires_grad:
        module.requires_grad_(False)
    return module
