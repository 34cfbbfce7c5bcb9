"""The gestures: networks beside layers of a model, new ones or those of a folder."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from tncompile.tensorizing.adapting.adapted import Adapted

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tncompile.architecture import Architecture
    from tncompile.blocks import Block


def adapt(
    model: nn.Module,
    block: str | Block | Architecture | Callable[[nn.Module], Architecture] = "LowRank",
    /,
    *,
    target_modules: str | Sequence[str] = "all-linear",
    exclude_modules: str | Sequence[str] | None = None,
    layers_to_transform: int | Sequence[int] | None = None,
    layers_pattern: str | Sequence[str] | None = None,
    modules_to_save: Sequence[str] = (),
    rank_pattern: Mapping[str, int | Sequence[int]] | None = None,
    alpha: float | None = None,
    alpha_pattern: Mapping[str, float] | None = None,
    dropout: float = 0.0,
    dtype: torch.dtype | None = None,
    seed: int | None = 0,
    name: str = "default",
    **arguments: object,
) -> Adapted:
    """Networks beside layers of a model, in place: base(x) + scale · network(x), base frozen.

    `block` is one of `std/linear.tn`, `std/embedding.tn`, `std/convolution.tn` or
    `std/adapters.tn` by name, one of a spec, an architecture, or a function from a layer to an
    architecture. `"LowRank"` and `"MPO"` are known for every kind of layer. `arguments` are those
    of the block; ranks that they leave open are 8. Layers are linear ones (also Conv1D of
    transformers, and any module with `in_features` and `out_features`, as quantized ones have
    them), convolutions and embeddings.

    The model stays the object that it was, its layers too: they keep their weights under their
    keys, and `LAYER.adapter.NAME` has the tensors of the adapter. At the start nothing is added:
    one tensor is zeros, all others are drawn, so gradients reach the network (LoRA's start, Hu et
    al., 2021, arXiv:2106.09685, for any network). It is the one declared so, else one with legs of
    the output alone, the last of these. Where every tensor stands at several places, a frozen copy
    of the start is taken off instead. What is left without that tensor maps inputs of unit
    variance to a mean square of 1/3, as nn.Linear does.

    Which layers:
        target_modules       names, or their ends behind a dot; a text is a regular expression for
                             the whole name; "all-linear" is all linear layers but the head
        exclude_modules      the same, for those that are left out
        layers_to_transform  numbers of blocks: those of the first number in a name, or of the one
                             behind `layers_pattern`
        modules_to_save      modules that are trained whole, in a copy

    What they get:
        rank_pattern    ranks by regular expression for the end of a name; the first that matches
        alpha           scale is alpha / rank for low rank, alpha elsewhere; 1 where it is left out
        alpha_pattern   the same by pattern
        dropout         of inputs while training; of ids there is none
        dtype           of the adapters: that of the layer, float32 beside narrower ones
        seed            None draws from torch's generator
        name            a model may have several adapters; the new one is added and trained, others
                        are switched off

    Raises ValueError where nothing matches, where a network does not fit a layer, for a block that
    is a model, and for layers whose weight others read (`out_proj` of nn.MultiheadAttention);
    `CompileError` for wrong arguments of the block, KeyError for a block that there is not. Nothing
    is changed then.

    >>> import torch
    >>> base = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.GELU(), torch.nn.Linear(32, 4))
    >>> x, before = torch.ones(2, 16), base(torch.ones(2, 16))
    >>> tuned = tncompile.adapt(base, "MPO", target_modules=["0"], ins=[4, 4], outs=[4, 8], ranks=3)
    >>> torch.equal(base(x), before), [k for k, p in base.named_parameters() if p.requires_grad]
    (True, ['0.adapter.default.G.0', '0.adapter.default.G.1'])
    """
    from torch import nn

    from tncompile.tensorizing.adapting.networks import Beside, Networks, beside, scale_of
    from tncompile.tensorizing.adapting.records import place
    from tncompile.tensorizing.adapting.targets import Choice, by_pattern, saved_modules, targets
    from tncompile.tensorizing.rewriting.rewrite import shown

    if not isinstance(model, nn.Module):
        raise TypeError(f"model is an nn.Module, not {type(model).__name__}")
    _require_name(model, name)
    _require_number("dropout", dropout)
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is a part of the inputs, at least 0 and below 1, not {dropout}")
    if dtype is not None and not getattr(dtype, "is_floating_point", False):
        raise TypeError(f"dtype is one of real numbers, not {dtype}")
    saved = saved_modules(model, modules_to_save)
    choice = Choice(
        target_modules, exclude_modules, layers_to_transform, layers_pattern, modules_to_save
    )
    found = targets(model, choice)
    ranks = by_pattern("rank_pattern", rank_pattern, found)
    alphas = by_pattern("alpha_pattern", alpha_pattern, found)
    networks = Networks(block, arguments)
    made: list[Beside] = []
    for target in found:
        wanted = alphas.get(target.name, alpha)
        if wanted is not None:
            _require_number("alpha", wanted)
        try:
            network = networks.of(target, ranks.get(target.name))
            scale = scale_of(network[0], wanted)  # type: ignore[arg-type]
            made.append(beside(network, target, scale, float(dropout), dtype, seed))
        except ValueError as error:
            raise ValueError(f"{shown(target.name)}: {error}") from None
    standing = [(each.target.module, each.module, each.setting) for each in made]
    place(model, name, standing, saved)
    adapted = Adapted(model, name)
    adapted.select()
    return adapted


def load_adapter(
    model: nn.Module, folder: str | os.PathLike[str], *, name: str = "default"
) -> Adapted:
    """Put an adapter that `Adapted.save` wrote beside the layers of a model, in place.

    It is called `name` there, and trained as it is after `adapt`. No pickle, and nothing in the
    folder is executed: networks are compiled from `adapter.tn`, all tensors come from
    `adapter.safetensors`. Raises ValueError for a folder that is damaged or does not fit the model,
    `CompileError` for mistakes in its networks, `OSError` where it cannot be read; the model is not
    changed then.

    >>> import torch
    >>> one = torch.nn.Sequential(torch.nn.Linear(6, 4))
    >>> tncompile.adapt(one, rank=2).save("one")
    >>> two = torch.nn.Sequential(torch.nn.Linear(6, 4))
    >>> tncompile.load_adapter(two, "one").trainable.parameters
    20
    """
    from torch import nn

    from tncompile.tensorizing.adapting.folders import read_adapter
    from tncompile.tensorizing.adapting.records import place

    if not isinstance(model, nn.Module):
        raise TypeError(f"model is an nn.Module, not {type(model).__name__}")
    _require_name(model, name)
    read = read_adapter(model, folder)
    standing = [(each.target.module, each.module, each.setting) for each in read.networks]
    place(model, name, standing, read.saved)
    adapted = Adapted(model, name)
    adapted.load_state_dict(read.tensors)
    adapted.select()
    return adapted


def _require_name(model: nn.Module, name: str) -> None:
    """ValueError unless an adapter may be called so, and the model has none of that name."""
    from torch import nn

    from tncompile.tensorizing.adapting.hosts import is_adapted

    if not isinstance(name, str):
        raise TypeError(f"name is a str, not {type(name).__name__}")
    if not name.isidentifier() or hasattr(nn.ModuleDict(), name):
        raise ValueError(f"an adapter is called by a word, as variables are, not {name!r}")
    for module in model.modules():
        if is_adapted(module) and name in module._adapters:  # type: ignore[operator]
            raise ValueError(f"the model has an adapter {name!r}: unload it, or give another name")


def _require_number(what: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{what} is a number, not {value!r}")
