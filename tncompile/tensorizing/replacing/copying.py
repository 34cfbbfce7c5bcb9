"""A copy of a model in which modules stand in the place of layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tncompile.tensorizing.originals.companions import settle_ties
from tncompile.tensorizing.replacing.dense_views import View, expose
from tncompile.tensorizing.rewriting.layers import Layer


@dataclass(frozen=True, eq=False)
class Standing:
    """A module that stands for a layer."""

    layer: Layer
    module: nn.Module
    has_inputs: bool


def copied(
    model: nn.Module, standing: Iterable[Standing], kept: Mapping[int, torch.Tensor]
) -> nn.Module:
    """A copy of the model with these modules in it; the model itself is untouched.

    `kept` are tensors by the identity of the one that they replace. Layers and weights that are
    replaced are never copied. Raises ValueError for what cannot be copied.
    """
    standing = list(standing)
    memo: dict[int, Any] = dict(kept)
    for each in standing:
        memo[id(each.layer.weight)] = nn.Parameter(torch.empty(0))
        for module in (each.layer.module, *each.layer.twins):
            if module is not None:
                memo[id(module)] = each.module
    try:
        copy = deepcopy(model, memo)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(f"the model cannot be copied: {error}") from error
    for each in standing:
        expose_readers(copy, each)
    if standing:
        settle_ties(copy)
    return copy


def expose_readers(model: nn.Module, each: Standing) -> None:
    """Let those who hold the weight of a layer read it off the module that stands for it."""
    view = View.of(each.layer, has_inputs=each.has_inputs)
    holds = each.layer.module is None
    for name, attribute in each.layer.holders:
        holds = not _expose(model, name, attribute, each, view, holds) and holds


def _expose(
    copy: nn.Module, name: str, attribute: str, each: Standing, view: View, holds: bool
) -> bool:
    """Whether there was something to do."""
    written = f"{name}.{attribute}" if name else attribute
    try:
        owner = copy.get_submodule(name)
    except AttributeError:
        raise ValueError(f"`{written}` is inside of a layer that is replaced, too") from None
    if attribute not in owner._parameters:
        return False  # a module under several names
    with torch.no_grad():
        try:
            shape = tuple(view.read(each.module).shape)
        except (RuntimeError, AttributeError, TypeError) as error:
            raise ValueError(f"`{written}` cannot read its weight off a network: {error}") from None
    assert shape == each.layer.shape
    try:
        expose(owner, attribute, each.module, view, holds=holds)
    except ValueError as error:
        raise ValueError(f"`{written}`: {error}") from None
    return True


def skeleton(model: nn.Module) -> nn.Module:
    """A copy of a model whose tensors are on the device `meta`: its shape without its size.

    Buffers, too: parametrizations compute weights of both.
    """
    empty: dict[int, torch.Tensor] = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=p.requires_grad)
        for p in model.parameters()
    }
    empty |= {id(b): torch.empty_like(b, device="meta") for b in model.buffers()}
    return copied(model, (), empty)
