"""Adapters in folders, which hold data alone: safetensors, the text of networks, JSON."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tncompile.files import LARGEST_TEXT, bounded_text, folder_config, json_text, new_folder
from tncompile.tensorizing.rewriting.rewrite import shown
from tncompile.tensorizing.storing import read_tensors, require_same, write_tensors

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tncompile.tensorizing.adapting.adapted import Adapted
    from tncompile.tensorizing.adapting.networks import Beside
    from tncompile.tensorizing.adapting.targets import Target

CONFIG, SOURCE, WEIGHTS = "adapter.json", "adapter.tn", "adapter.safetensors"

VERSION = 1
"""Of the layout of folders."""


def write_adapter(adapted: Adapted, folder: str | os.PathLike[str]) -> None:
    """What `Adapted.save` does."""
    source, layers = _written(adapted)
    config = {
        "version": VERSION,
        "layers": layers,
        "modules_to_save": list(adapted._record.modules.get(adapted.name, ())),
    }
    state = {key: tensor.to("cpu").clone() for key, tensor in adapted.state_dict().items()}

    with new_folder(folder) as path:
        (path / SOURCE).write_text(source, encoding="utf-8", newline="\n")
        (path / CONFIG).write_text(json_text(config), encoding="utf-8", newline="\n")
        write_tensors(path / WEIGHTS, state, {"format": "pt"})
        read, _ = read_tensors(path / WEIGHTS)
        require_same(read, state)


def _written(adapted: Adapted) -> tuple[str, dict[str, object]]:
    """The text of the networks, and what is known of each layer."""
    from tncompile.language.formatting import format_program
    from tncompile.language.parsing import parse
    from tncompile.language.syntax.source import SourceFile

    blocks: dict[str, str] = {}
    instances: dict[tuple[str, str], str] = {}
    texts = ["# Written by tncompile: the networks of an adapter.\n"]
    layers: dict[str, object] = {}
    for layer, module in adapted._layers:
        setting = module._adapters[adapted.name]
        name, _, arguments = setting.call.partition("(")
        if setting.definition not in blocks:
            blocks[setting.definition] = own = _free(name, {*blocks.values(), *instances.values()})
            before, after = setting.at, setting.at + len(name)
            texts.append(setting.definition[:before] + own + setting.definition[after:])
        key = setting.definition, arguments
        if key not in instances:
            taken = {*blocks.values(), *instances.values()}
            instances[key] = _free(f"Adapter_{len(instances) + 1}", taken)
            texts.append(f"network {instances[key]} = {blocks[setting.definition]}({arguments}")
        layers[layer] = {
            "network": instances[key],
            "scale": setting.scale,
            "dropout": setting.dropout,
        }
    return format_program(parse(SourceFile(SOURCE, "\n\n".join(texts) + "\n"))), layers


def _free(name: str, taken: set[str]) -> str:
    """A name that no other block has."""
    found, count = name, 1
    while found in taken:
        count += 1
        found = f"{name}_{count}"
    return found


class Read(NamedTuple):
    """What a folder holds for a model: networks beside layers, modules trained whole, tensors."""

    networks: list[Beside]
    saved: dict[str, nn.Module]
    tensors: dict[str, torch.Tensor]


def read_adapter(model: nn.Module, folder: str | os.PathLike[str]) -> Read:
    """What `load_adapter` puts beside the layers of a model, all of it checked."""
    from tncompile.tensorizing.adapting.targets import saved_modules

    path = Path(folder)
    layers, names = _config(path)
    try:
        tensors, _ = read_tensors(path / WEIGHTS)
    except FileNotFoundError:
        raise ValueError(f"{folder} has no {WEIGHTS}") from None
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(f"{shown(key)} in {WEIGHTS} is not finite")
    made = _networks(model, path, layers, tensors)
    saved = {} if not names else saved_modules(model, names)
    if [*saved] != [*names]:
        raise ValueError(f"modules_to_save in {CONFIG} are no modules of the model")
    wanted = {
        f"{first}.{key}" if first else key: tuple(tensor.shape)
        for first, module in saved.items()
        for key, tensor in module.state_dict(keep_vars=True).items()
    }
    for each in made:
        prefix = f"{each.target.name}." if each.target.name else ""
        wanted |= {prefix + key: tuple(t.shape) for key, t in each.module.state_dict().items()}
    _require_shapes({key: tuple(t.shape) for key, t in tensors.items()}, wanted)
    return Read(made, saved, tensors)


def _config(folder: Path) -> tuple[dict[str, dict[str, object]], list[str]]:
    """What stands in the JSON, checked for its form."""
    config = folder_config(folder / CONFIG, VERSION, "an adapter")
    layers, names = config.get("layers"), config.get("modules_to_save")
    if not isinstance(layers, dict) or not layers or not isinstance(names, list):
        raise ValueError(f"{CONFIG} names no layers")
    if not all(isinstance(each, str) for each in names):
        raise ValueError(f"modules_to_save in {CONFIG} are no names")
    for layer, known in layers.items():
        if not isinstance(known, dict) or not isinstance(known.get("network"), str):
            raise ValueError(f"{CONFIG} names no network for {shown(layer)}")
        scale, dropout = (_finite(known.get(each)) for each in ("scale", "dropout"))
        if scale is None or dropout is None or not 0 <= dropout < 1:
            raise ValueError(f"{CONFIG} has no scale and no dropout for {shown(layer)}")
    return layers, names


def _finite(value: object) -> float | None:
    """A number of JSON; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _networks(
    model: nn.Module,
    folder: Path,
    layers: Mapping[str, Mapping[str, object]],
    tensors: Mapping[str, torch.Tensor],
) -> list[Beside]:
    """The networks, beside layers of the model that they fit; no larger than what is stored."""
    from tncompile.spec import loads
    from tncompile.tensorizing.adapting.networks import Networks, beside

    spec = loads(bounded_text(folder / SOURCE, LARGEST_TEXT), name=SOURCE)
    found = _targets(model, layers)
    most = sum(tensor.numel() for tensor in tensors.values())
    networks: dict[str, Networks] = {}
    made: list[Beside] = []
    for target in found:
        known = layers[target.name]
        name = str(known["network"])
        if name not in spec:
            raise ValueError(f"{SOURCE} has no network {name!r}")
        try:
            if name not in networks:
                architecture = spec[name].instantiate()
                if architecture.network.parameter_count > most:
                    raise ValueError(f"the network is larger than all of {WEIGHTS}")
                networks[name] = Networks(architecture, {})
            prefix = f"{target.name}." if target.name else ""
            dtype = next((t.dtype for key, t in tensors.items() if key.startswith(prefix)), None)
            if dtype is not None and not dtype.is_floating_point:
                raise ValueError(f"its tensors in {WEIGHTS} are {dtype}")
            scale, dropout = float(str(known["scale"])), float(str(known["dropout"]))
            made.append(beside(networks[name].of(target, None), target, scale, dropout, dtype, 0))
        except ValueError as error:
            raise ValueError(f"{shown(target.name)}: {error}") from None
    return made


def _targets(model: nn.Module, layers: Iterable[str]) -> list[Target]:
    """The layers of these names."""
    import re

    from tncompile.tensorizing.adapting.targets import Choice, targets

    names = list(layers)
    found = targets(model, Choice("|".join(map(re.escape, names))))
    known = {target.name for target in found}
    for name in names:
        if name not in known:
            raise ValueError(f"the model has no layer {shown(name)!r}")
    return found


def _require_shapes(
    found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]
) -> None:
    for key, shape in wanted.items():
        if key not in found:
            raise ValueError(f"{WEIGHTS} lacks {shown(key)}")
        if found[key] != shape:
            raise ValueError(f"{shown(key)} in {WEIGHTS} is {list(found[key])}, not {list(shape)}")
    for key in found:
        if key not in wanted:
            raise ValueError(f"{shown(key)} in {WEIGHTS} belongs to nothing")
