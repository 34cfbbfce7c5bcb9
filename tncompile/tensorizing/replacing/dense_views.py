"""What stands where a dense weight stood: for those who read it, and for rows of padding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
from torch import nn

from tncompile.tensorizing.rewriting.layers import Layer


@dataclass(frozen=True)
class View:
    """How the dense weight is read off a network: its shape, and whether it lies transposed."""

    shape: tuple[int, ...]
    transposed: bool = False
    called: bool = False  # a network without inputs: `forward` gives the tensor

    @staticmethod
    def of(layer: Layer, *, has_inputs: bool) -> View:
        """The weight of a layer, as it is there."""
        return View(layer.shape, layer.kind == "conv1d", not has_inputs)

    def read(self, network: nn.Module) -> torch.Tensor:
        """The weight; its gradient flows to the parameters of the network."""
        weight: torch.Tensor = network() if self.called else network.weight  # type: ignore[assignment]
        return (weight.mT if self.transposed else weight).reshape(self.shape)


class PaddedEmbedding(nn.Module):
    """A table as a network, whose row `padding_idx` is kept as it is and gets no gradient.

    ids (...) of integers to (..., embedding_dim), as nn.Embedding has it.
    """

    padding: torch.Tensor

    def __init__(self, table: nn.Module, padding_idx: int, row: torch.Tensor) -> None:
        super().__init__()
        self.table = table
        self.padding_idx = padding_idx
        self.num_embeddings: int = table.num_embeddings  # type: ignore[assignment]
        self.embedding_dim: int = table.embedding_dim  # type: ignore[assignment]
        self.register_buffer("padding", row.detach().clone())

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """The rows of the ids."""
        rows: torch.Tensor = self.table(ids)
        return torch.where((ids == self.padding_idx).unsqueeze(-1), self.padding, rows)

    @property
    def weight(self) -> torch.Tensor:
        """The dense table, (num_embeddings, embedding_dim)."""
        dense: torch.Tensor = self.table.weight  # type: ignore[assignment]
        places = torch.arange(self.num_embeddings, device=dense.device) == self.padding_idx
        return torch.where(places.unsqueeze(-1), self.padding, dense)

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"padding_idx={self.padding_idx}"


class Networks(nn.Module):
    """What holds the networks that stand for parameters of a module, by the names of these."""


PART = "networks"
"""The part of a module that is a `Networks`. A path of `state_dict` like `experts.networks.up.A`
can be walked by attributes, as torch and transformers do; `experts.up` is a tensor."""


def expose(
    owner: nn.Module, attribute: str, network: nn.Module, view: View, *, holds: bool
) -> None:
    """Let an attribute of a module be the dense weight of a network, computed when it is read.

    Where it `holds` the network, state dicts have `networks.NAME.G.0`; else the network is a part
    of another module, and this one has no parameter of it. A property of the class comes before
    both. Raises ValueError where the name of the part is taken.
    """
    if holds:
        part = owner._modules.get(PART, Networks())
        if not isinstance(part, Networks) or PART in owner._parameters or PART in owner._buffers:
            raise ValueError(f"a {type(owner).__name__} has a `{PART}` of its own")
        owner._modules[PART] = part
        part._modules[attribute] = network
    del owner._parameters[attribute]
    views: Views = {**vars(owner).get("_dense_views", {})}
    views[attribute] = view, None if holds else network
    vars(owner)["_dense_views"] = views
    base = getattr(type(owner), "_dense_base", type(owner))
    once = any(network is None for _, network in views.values())
    owner.__class__ = _reading(base, tuple(sorted(views)), once)


Views = dict[str, tuple[View, nn.Module | None]]
"""By attribute; the network, unless the module holds it."""


_CLASSES: dict[tuple[type[nn.Module], tuple[str, ...], bool], type[nn.Module]] = {}
"""Those that were made: one of each."""


def _reading(
    base: type[nn.Module], attributes: tuple[str, ...], once: bool = False
) -> type[nn.Module]:
    """A class like `base` in which these attributes are read off networks.

    `once`: a network that the module holds is contracted once a forward pass, however often it is
    read there: experts are read one by one.
    """
    if (base, attributes, once) in _CLASSES:
        return _CLASSES[base, attributes, once]

    def reader(attribute: str) -> property:
        def read(self: Any) -> torch.Tensor:
            views: Views = self._dense_views
            view, network = views[attribute]
            if network is not None:
                return view.read(network)
            own: nn.Module = self._modules[PART]._modules[attribute]
            now: dict[object, torch.Tensor] | None = vars(self).get("_dense_now")
            if now is None:
                return view.read(own)
            key = attribute, torch.is_grad_enabled()
            if key not in now:
                now[key] = view.read(own)
            return now[key]

        return property(read)

    def reduce(self: nn.Module, protocol: object) -> tuple[object, ...]:
        return rebuild, (base, attributes, once), dict(vars(self))

    @wraps(base.forward)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = vars(self).get("_dense_now")
        vars(self)["_dense_now"] = {}
        try:
            return base.forward(self, *args, **kwargs)
        finally:
            vars(self)["_dense_now"] = before

    members: dict[str, Any] = {attribute: reader(attribute) for attribute in attributes}
    members |= {"_dense_base": base, "__reduce_ex__": reduce, "__module__": base.__module__}
    if once:
        members["forward"] = forward
    made = _CLASSES[base, attributes, once] = type(base.__name__, (base,), members)
    return made


def rebuild(base: type[nn.Module], attributes: tuple[str, ...], once: bool = False) -> nn.Module:
    """An empty instance, for pickle and copies to fill; the name is part of what pickles hold."""
    cls = _reading(base, attributes, once)
    return cls.__new__(cls)
