"""A layer that adds adapters to what it computes: the same module, its class derived from its own.

So its weight and bias keep their keys, its hooks and all that refer to it stay, and what asks for
an nn.Linear finds one. Tensors of an adapter are under `adapter.NAME`.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, cast

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class Setting:
    """What is known of an adapter beside its tensors; texts, so that models are copied and pickled.

    `definition` is the text of the block, `at` where its name stands in it, `call` the call that
    made the network.
    """

    definition: str
    at: int
    call: str
    scale: float
    dropout: float
    taken_off: bool


class Active(NamedTuple):
    """An adapter that is added."""

    name: str
    scale: float
    dropout: float


class FromStart(nn.Module):
    """What a network became less what it was: its tensors stand at several places each."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.start = deepcopy(network).requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The difference of the two, zeros at the start."""
        changed: torch.Tensor = self.network(x) - self.start(x)
        return changed

    @property
    def weight(self) -> torch.Tensor:
        """The dense map."""
        return cast(torch.Tensor, self.network.weight) - cast(torch.Tensor, self.start.weight)


class AdaptedLayer(nn.Module):
    """What a layer does, and adapters beside it."""

    adapter: nn.ModuleDict
    _adapters: dict[str, Setting]
    _active: tuple[Active, ...]
    _merged: tuple[str, ...] = ()
    _unmerged: nn.Parameter | None = None
    _own_forward: Callable[..., torch.Tensor] | None = None

    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """base(x) + scale · network(dropout(x)) for each adapter, in the dtype of base(x)."""
        own = self._own_forward
        result: torch.Tensor = (
            super().forward(*args, **kwargs) if own is None else own(*args, **kwargs)
        )
        if self._active:
            x = args[0] if args else next(iter(kwargs.values()))
            for each in self._active:
                result = self._added(result, x, each)
        return result

    def _added(self, result: torch.Tensor, x: torch.Tensor, each: Active) -> torch.Tensor:
        network = self.adapter[each.name]
        if not torch.is_autocast_enabled(x.device.type):
            x = x.to(next(network.parameters()).dtype)
        if each.dropout and self.training:
            x = functional.dropout(x, each.dropout)
        return torch.add(result, network(x), alpha=each.scale).to(result.dtype)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A class made here is not found by its name: what is stored is an empty base."""
        base = type(self).__bases__[1]
        return _adapt, (cast(Any, base).__new__(base),), object.__reduce_ex__(self, 2)[2]


class AdaptedTable(AdaptedLayer):
    """The same of an embedding: the row of padding stays as it is."""

    padding_idx: int | None

    def _added(self, result: torch.Tensor, x: torch.Tensor, each: Active) -> torch.Tensor:
        change = self.adapter[each.name](x)
        if self.padding_idx is not None:
            change = change.masked_fill((x == self.padding_idx).unsqueeze(-1), 0)
        scale = getattr(self, "embed_scale", None)  # transformers: a class that scales its rows
        if scale is not None:
            change = change * scale
        return torch.add(result, change, alpha=each.scale).to(result.dtype)


@cache
def _derived(base: Any) -> type[nn.Module]:
    """The class of an adapted layer, under the name of its own: some are known by it."""
    mixin = AdaptedTable if issubclass(base, nn.Embedding) else AdaptedLayer
    space = {"__module__": __name__, "__qualname__": base.__qualname__, "__doc__": base.__doc__}
    return cast(type[nn.Module], type(base.__name__, (mixin, base), space))


def _adapt(module: nn.Module) -> nn.Module:
    kind: Any = type(module)
    module.__class__ = _derived(kind)
    return module


def attach(module: nn.Module, name: str, network: nn.Module, setting: Setting) -> None:
    """Put an adapter beside a layer, switched off."""
    if not isinstance(module, AdaptedLayer):
        own = vars(module).pop("forward", None)  # of a tool that places layers on devices
        _adapt(module)
        assert isinstance(module, AdaptedLayer)
        module.adapter = nn.ModuleDict()
        module._adapters, module._active = {}, ()
        if own is not None:
            module._own_forward = own
    module.adapter[name] = network.train(module.training)
    module._adapters[name] = setting


def detach(module: nn.Module, name: str) -> None:
    """Take an adapter away; the last one leaves the layer as it was."""
    assert isinstance(module, AdaptedLayer)
    del module.adapter[name], module._adapters[name]
    switch(module, name, on=False)
    if module._adapters:
        return
    del module.adapter
    own = vars(module).pop("_own_forward", None)
    for each in ("_adapters", "_active", "_merged", "_unmerged"):
        vars(module).pop(each, None)
    module.__class__ = type(module).__bases__[1]
    if own is not None:
        vars(module)["forward"] = own


def switch(module: AdaptedLayer, name: str, *, on: bool) -> None:
    """Add an adapter to what its layer computes, or no more; a merged one is there already."""
    names = [each.name for each in module._active if each.name != name]
    wanted = [*names, name] if on else names
    module._active = tuple(
        Active(each, module._adapters[each].scale, module._adapters[each].dropout)
        for each in module._adapters
        if each in wanted
    )


def is_on(module: AdaptedLayer, name: str) -> bool:
    """Whether an adapter is added while its layer computes."""
    return any(each.name == name for each in module._active)
