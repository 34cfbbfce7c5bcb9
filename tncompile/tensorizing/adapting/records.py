"""What a model remembers while it has adapters: what was trained, what was put aside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import nn

from tncompile.tensorizing.adapting.hosts import is_adapted
from tncompile.tensorizing.adapting.layers import attach
from tncompile.tensorizing.adapting.merging import adapted_layers, following
from tncompile.tensorizing.rewriting.rewrite import shown

KEY = "_adapters_record"
"""The attribute of the model."""


@dataclass
class Saved:
    """A tensor of a module that is trained whole: its own, or the trained one, whichever is out."""

    module: str
    key: str
    aside: torch.Tensor


@dataclass
class Record:
    """By name of a parameter whether it was trained; by adapter the tensors that it saves.

    `on` are adapters whose saved tensors are in place, `settings` attributes that were changed.
    """

    trained: dict[str, bool]
    adapters: list[str] = field(default_factory=list)
    modules: dict[str, tuple[str, ...]] = field(default_factory=dict)
    saved: dict[str, list[Saved]] = field(default_factory=dict)
    on: set[str] = field(default_factory=set)
    settings: list[tuple[str, str, object]] = field(default_factory=list)


def record_of(model: nn.Module) -> Record | None:
    """The record of a model; None where it has no adapters."""
    found = vars(model).get(KEY)
    return found if isinstance(found, Record) else None


def begin(model: nn.Module) -> Record:
    """The record of a model, a new one where it has none. All parameters are frozen."""
    record = record_of(model)
    if record is None:
        record = Record({name: p.requires_grad for name, p in model.named_parameters()})
        vars(model)[KEY] = record
        _close_fast_paths(model, record)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return record


def finish(model: nn.Module, record: Record, name: str) -> None:
    """Forget an adapter; after the last one parameters are trained as they were before."""
    record.adapters.remove(name)
    for each in (record.saved, record.modules):
        each.pop(name, None)
    record.on.discard(name)
    if record.adapters:
        return
    for key, parameter in model.named_parameters():
        parameter.requires_grad_(record.trained.get(key, False))
    for module, attribute, value in record.settings:
        setattr(model.get_submodule(module), attribute, value)
    del vars(model)[KEY]


def add_saved(
    model: nn.Module, record: Record, name: str, modules: Mapping[str, nn.Module]
) -> None:
    """Put copies of the tensors of modules aside, which `swap` brings in.

    Raises ValueError for a module with adapters in it.
    """
    copies: dict[int, torch.Tensor] = {}
    saved: list[Saved] = []
    for first, module in modules.items():
        for inner, each in module.named_modules():
            path = ".".join(filter(None, (first, inner)))
            if is_adapted(each):
                raise ValueError(f"modules_to_save: {shown(path)} has adapters")
            for key, tensor in (*each._parameters.items(), *each._buffers.items()):
                if tensor is not None:
                    copy = copies.setdefault(id(tensor), _copy(tensor))
                    saved.append(Saved(path, key, copy))
    record.saved[name] = saved
    record.modules[name] = tuple(modules)


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    copy = tensor.detach().clone()
    return (
        nn.Parameter(copy, copy.is_floating_point()) if isinstance(tensor, nn.Parameter) else copy
    )


def swap(model: nn.Module, record: Record, name: str, *, on: bool) -> None:
    """Bring the trained tensors of an adapter in, or those of the model.

    Raises ValueError where those of another adapter are in.
    """
    if on == (name in record.on) or name not in record.saved:
        return
    saved = record.saved[name]
    if on:
        others = {(s.module, s.key): each for each in record.on for s in record.saved[each]}
        for each in saved:
            if (each.module, each.key) in others:
                other = others[each.module, each.key]
                raise ValueError(
                    f"{shown(each.module)} is that of the adapter {other!r}: off first"
                )
    for each in saved:
        module = model.get_submodule(each.module)
        table: dict[str, torch.Tensor] = cast(
            dict[str, torch.Tensor],
            module._parameters if each.key in module._parameters else module._buffers,
        )
        current = table[each.key]
        if isinstance(each.aside, nn.Parameter):
            table[each.key] = following(each.aside, current)
        else:
            table[each.key] = each.aside.to(current.device, current.dtype)
        each.aside = current
    (record.on.add if on else record.on.discard)(name)


def trained_tensors(model: nn.Module, record: Record, name: str) -> dict[str, nn.Parameter]:
    """The parameters that an adapter trains, by layer and key; those of saved modules last."""
    found = {
        f"{layer}.{key}" if layer else key: parameter
        for layer, module in adapted_layers(model, name)
        for key, parameter in module.adapter[name].named_parameters()
        if not key.startswith("start.")
    }
    for key, tensor in saved_tensors(model, record, name).items():
        if isinstance(tensor, nn.Parameter):
            found[key] = tensor
    return found


def saved_tensors(model: nn.Module, record: Record, name: str) -> dict[str, torch.Tensor]:
    """The trained tensors of modules that are saved whole, by their key in the model."""
    found: dict[str, torch.Tensor] = {}
    for each in record.saved.get(name, ()):
        tensor: torch.Tensor | None = each.aside
        if name in record.on:
            module = model.get_submodule(each.module)
            tensor = module._parameters.get(each.key, module._buffers.get(each.key))
        assert tensor is not None
        found[".".join(filter(None, (each.module, each.key)))] = tensor
    return found


def place(
    model: nn.Module,
    name: str,
    networks: Iterable[tuple[nn.Module, nn.Module, object]],
    modules: Mapping[str, nn.Module],
) -> None:
    """Give a model a new adapter, switched off: layers with a network and what is known of it."""
    record = begin(model)
    try:
        add_saved(model, record, name, modules)
    except ValueError:
        record.adapters.append(name)
        finish(model, record, name)
        raise
    record.adapters.append(name)
    for layer, network, setting in networks:
        attach(layer, name, network, setting)  # type: ignore[arg-type]


def _close_fast_paths(model: nn.Module, record: Record) -> None:
    """Torch's encoders compute in one call of their own from weights alone, unless told not to."""
    for path, module in model.named_modules():
        if isinstance(module, nn.TransformerEncoderLayer):
            record.settings.append(
                (path, "activation_relu_or_gelu", module.activation_relu_or_gelu)
            )
            module.activation_relu_or_gelu = 0
        elif isinstance(module, nn.TransformerEncoder) and hasattr(module, "use_nested_tensor"):
            record.settings.append((path, "use_nested_tensor", module.use_nested_tensor))
            module.use_nested_tensor = False
