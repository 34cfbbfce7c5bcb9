"""What a rewrite may replace: weights of a model, by the names of those who hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from tncompile.language.resolved import Value


@dataclass(frozen=True, eq=False)
class Layer:
    """A module with a weight, or a raw parameter (`kind` is `parameter`, `module` None).

    `names` are all names that it has in the model, a shared one has several. `holders` are those
    who hold its weight besides, as (name of a module, attribute): a tied head holds that of an
    embedding. A raw parameter has holders alone.
    """

    kind: str
    names: tuple[str, ...]
    weight: torch.Tensor = field(repr=False)
    values: Mapping[str, Value] = field(repr=False)
    module: nn.Module | None = field(default=None, repr=False)
    holders: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The first of its names; empty for the whole model."""
        return self.names[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """That of its weight as the layer has it."""
        return tuple(self.weight.shape)

    def dense(self) -> nn.Module:
        """The layer as one of `torch.nn`, with the same tensors."""
        assert self.module is not None
        if self.kind != "conv1d":
            return self.module
        into, out = self.shape
        linear = nn.Linear(into, out, bias=False, device="meta")
        transposed = self.weight.detach().mT
        linear.weight = nn.Parameter(transposed, requires_grad=self.weight.requires_grad)
        linear.bias = self.module.bias  # type: ignore[assignment]
        return linear.train(self.module.training)


def layers_of(model: nn.Module) -> list[list[Layer]]:
    """What may be replaced, by weight: those of a list have one weight, and only one is replaced.

    Modules come before the raw parameter, in the order of the model.
    """
    modules: dict[int, tuple[nn.Module, list[str]]] = {}
    holders: dict[int, tuple[nn.Parameter, list[tuple[str, str]]]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        modules.setdefault(id(module), (module, []))[1].append(name)
        for key, parameter in module._parameters.items():
            if parameter is not None and not is_lazy(parameter):
                holders.setdefault(id(parameter), (parameter, []))[1].append((name, key))
    groups: dict[int, list[Layer]] = {}
    for module, names in modules.values():
        kind = kind_of(module)
        if kind is None:
            continue
        weight: torch.Tensor = module.weight  # type: ignore[assignment]
        own = module._parameters.get("weight") is weight
        others = holders[id(weight)][1] if own else []
        elsewhere = tuple(each for each in others if each[0] not in names)
        layer = Layer(kind, tuple(names), weight, _values(kind, module), module, elsewhere)
        groups.setdefault(id(weight) if own else id(module), []).append(layer)
    for key, (parameter, places) in holders.items():
        written = tuple(f"{name}.{attribute}" if name else attribute for name, attribute in places)
        values: Mapping[str, Value] = {"shape": tuple(parameter.shape)}
        raw = Layer("parameter", written, parameter, values, None, tuple(places))
        groups.setdefault(key, []).append(raw)
    return list(groups.values())


def kind_of(module: nn.Module) -> str | None:
    """The kind of line that may replace a module; None where none may.

    transformers' `Conv1D` is known by its name and by what it holds: it is not imported.
    """
    match module:
        case nn.Linear():
            kind = "linear"
        case nn.Embedding():
            kind = "embedding"
        case nn.Conv1d() | nn.Conv2d() | nn.Conv3d():
            kind = "conv"
        case _ if any(each.__name__ == "Conv1D" for each in type(module).__mro__):
            kind = "conv1d"
        case _:
            return None
    weight = getattr(module, "weight", None)
    if not isinstance(weight, torch.Tensor) or is_lazy(weight):
        return None
    if kind == "conv1d" and (weight.dim() != 2 or getattr(module, "nf", None) != weight.shape[1]):
        return None
    return kind


def _values(kind: str, module: nn.Module) -> Mapping[str, Value]:
    """What is known of a module, by the names that a call may use."""
    return dict(_known(kind, module))


def _known(kind: str, module: nn.Module) -> Iterator[tuple[str, Value]]:
    weight: torch.Tensor = module.weight  # type: ignore[assignment]
    yield "shape", tuple(weight.shape)
    match module:
        case nn.Embedding():
            yield "num_embeddings", module.num_embeddings
            yield "embedding_dim", module.embedding_dim
        case nn.Conv1d() | nn.Conv2d() | nn.Conv3d():
            yield "in_channels", module.in_channels
            yield "out_channels", module.out_channels
            yield "kernel_size", tuple(module.kernel_size)
        case _:
            out, into = weight.shape if kind == "linear" else reversed(weight.shape)
            yield "in_features", into
            yield "out_features", out
