"""What a rewrite may replace: weights of a model, by the names of those who hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from tncompile.language.resolved import Value
from tncompile.tensorizing.calibrating.calling import unchanged_weights
from tncompile.tensorizing.calibrating.layers import layer_of


@dataclass(frozen=True, eq=False)
class Layer:
    """A module with a weight, or a raw parameter (`kind` is `parameter`, `module` None).

    `names` are all names that it has in the model, a shared one has several. `holders` are those
    who hold its weight besides, as (name of a module, attribute): a tied head holds that of an
    embedding. A raw parameter has holders alone. `bias_holders` are the same of its bias. `twins`
    are modules that compute the same with the same weight, under names of it: T5 has its table
    in three of them.
    """

    kind: str
    names: tuple[str, ...]
    weight: torch.Tensor = field(repr=False)
    values: Mapping[str, Value] = field(repr=False)
    module: nn.Module | None = field(default=None, repr=False)
    holders: tuple[tuple[str, str], ...] = ()
    bias_holders: tuple[tuple[str, str], ...] = ()
    twins: tuple[nn.Module, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """The first of its names; empty for the whole model."""
        return self.names[0]

    @property
    def weight_names(self) -> tuple[str, ...]:
        """The names of all modules whose `weight` it is."""
        return (*self.names, *(name for name, attribute in self.holders if attribute == "weight"))

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
    with unchanged_weights(model):
        return _layers_of(model)


def _layers_of(model: nn.Module) -> list[list[Layer]]:
    modules: dict[int, tuple[nn.Module, list[str]]] = {}
    holders: dict[int, tuple[nn.Parameter, list[tuple[str, str]]]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        modules.setdefault(id(module), (module, []))[1].append(name)
        for key, parameter in module._parameters.items():
            if parameter is not None and not is_lazy(parameter):
                holders.setdefault(id(parameter), (parameter, []))[1].append((name, key))
    groups: dict[int, list[Layer]] = {}
    twins = _twins(module for module, _ in modules.values())
    for module, own_names in modules.values():
        known = layer_of(module)
        same = twins.get(_computed(module), [module])
        if known is None or same[0] is not module:
            continue
        names = [*own_names, *(name for twin in same[1:] for name in modules[id(twin)][1])]
        kind = known.kind
        weight: torch.Tensor = module.weight  # type: ignore[assignment]
        own = module._parameters.get("weight") is weight
        others = holders[id(weight)][1] if own else []
        elsewhere = tuple(each for each in others if each[0] not in names)
        sharing = holders.get(id(module._parameters.get("bias")), (None, []))[1]
        biases = tuple(each for each in sharing if each[0] not in names)
        values = dict(_known(kind, module))
        layer = Layer(
            kind, tuple(names), weight, values, module, elsewhere, biases, tuple(same[1:])
        )
        groups.setdefault(id(weight) if own else id(module), []).append(layer)
    for key, (parameter, places) in holders.items():
        written = tuple(f"{name}.{attribute}" if name else attribute for name, attribute in places)
        shape = {"shape": tuple(parameter.shape)}
        raw = Layer("parameter", written, parameter, shape, None, tuple(places))
        groups.setdefault(key, []).append(raw)
    return list(groups.values())


def _twins(modules: Iterable[nn.Module]) -> dict[object, list[nn.Module]]:
    """Modules that compute the same, by what they compute."""
    found: dict[object, list[nn.Module]] = {}
    for module in modules:
        if (key := _computed(module)) is not None:
            found.setdefault(key, []).append(module)
    return found


def _computed(module: nn.Module) -> object:
    """What a table or a map without bias computes; None for other modules."""
    weight = module._parameters.get("weight")
    if type(module) is nn.Embedding and weight is not None:
        rest = (module.padding_idx, module.max_norm, module.norm_type, module.scale_grad_by_freq)
        return (nn.Embedding, id(weight), *rest)
    if type(module) is nn.Linear and weight is not None and module.bias is None:
        return nn.Linear, id(weight)
    return None


def _known(kind: str, module: nn.Module) -> Iterator[tuple[str, Value]]:
    """What is known of a module, by the names that a call may use."""
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
