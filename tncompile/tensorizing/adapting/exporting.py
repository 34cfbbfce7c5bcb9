"""Adapters as LoRA, in folders that PEFT loads beside the same model."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from tncompile.files import json_text, new_folder
from tncompile.tensorizing.adapting.hosts import Host, host_of, low_rank
from tncompile.tensorizing.adapting.layers import AdaptedLayer, Setting
from tncompile.tensorizing.adapting.merging import difference
from tncompile.tensorizing.adapting.networks import again
from tncompile.tensorizing.adapting.records import saved_tensors
from tncompile.tensorizing.adapting.targets import modules_of
from tncompile.tensorizing.rewriting.rewrite import shown
from tncompile.tensorizing.storing import read_tensors, require_same, write_tensors

if TYPE_CHECKING:
    from tncompile.tensorizing.adapting.adapted import Adapted

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

PREFIX = "base_model.model."
"""Of the keys in PEFT's files."""

NOISE = 1e-6
"""Singular values below this part of the first are none."""


class Lora(NamedTuple):
    """`up` · `down` · scale is what is added to the weight, (out, in) flattened."""

    down: torch.Tensor  # (rank, in)
    up: torch.Tensor  # (out, rank)
    scale: float


def write_peft(
    adapted: Adapted, folder: str | os.PathLike[str], rank: int | None, base: str | None
) -> None:
    """What `Adapted.to_peft` does."""
    if rank is not None and (isinstance(rank, bool) or not isinstance(rank, int) or rank < 1):
        raise ValueError(f"rank is a whole number from 1 on, not {rank!r}")
    tensors: dict[str, torch.Tensor] = {}
    ranks: dict[str, int] = {}
    alphas: dict[str, float] = {}
    dropouts: dict[str, float] = {}
    transposed = False
    for layer, module in adapted._layers:
        host, setting = host_of(module), module._adapters[adapted.name]
        assert host is not None
        lora = _lora(layer, module, adapted.name, host, setting, rank)
        tensors |= _named(f"{PREFIX}{layer}", host, lora)
        ranks[layer] = len(lora.down)
        alphas[layer] = lora.scale * len(lora.down)
        dropouts[layer] = setting.dropout
        transposed |= host.transposed
    if len(set(dropouts.values())) > 1:
        raise ValueError("PEFT has one dropout for all layers, and here are several")
    saved = saved_tensors(adapted.model, adapted._record, adapted.name)
    tensors |= {f"{PREFIX}{key}": tensor.detach() for key, tensor in saved.items()}
    first = next(iter(ranks))
    config = {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": base,
        "inference_mode": True,
        "r": ranks[first],
        "lora_alpha": _number(alphas[first]),
        "lora_dropout": dropouts[first],
        "bias": "none",
        "fan_in_fan_out": transposed,
        "target_modules": _target_modules(adapted.model, list(ranks)),
        "rank_pattern": {_exactly(n): r for n, r in ranks.items() if r != ranks[first]},
        "alpha_pattern": {_exactly(n): _number(a) for n, a in alphas.items() if a != alphas[first]},
        "modules_to_save": list(adapted._record.modules.get(adapted.name, ())) or None,
        "init_lora_weights": True,
    }
    state = {key: tensor.to("cpu").contiguous().clone() for key, tensor in tensors.items()}

    with new_folder(folder) as path:
        text = json_text(config)
        (path / CONFIG).write_text(text, encoding="utf-8", newline="\n")
        write_tensors(path / WEIGHTS, state, {"format": "pt"})
        require_same(read_tensors(path / WEIGHTS)[0], state)


def _lora(
    layer: str, module: AdaptedLayer, name: str, host: Host, setting: Setting, rank: int | None
) -> Lora:
    """The two matrices of an adapter."""
    if host.kind == "conv" and host.dense.groups != 1:
        raise ValueError(f"{shown(layer)}: LoRA of a convolution in groups is another map in PEFT")
    found = None if setting.taken_off else _factors(module.adapter[name], setting)
    if found is None:
        if rank is None:
            words = "is no matrix of low rank by itself; `rank=` factors it by singular values"
            raise ValueError(f"{shown(layer)}: {setting.call} {words}")
        return _factored(difference(layer, module, name), host, rank, layer)
    down, up = found
    padding = getattr(module, "padding_idx", None)
    if isinstance(module, nn.Embedding) and padding is not None:
        down = down.clone()
        down[:, padding] = 0
    return Lora(down, up, setting.scale)


def _factors(module: nn.Module, setting: Setting) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The tensors of a network of low rank as (rank, in) and (out, rank); None for another."""
    network = again(setting).network
    if low_rank(network) is None:
        return None
    if any(axis.length != axis.size for each in network.inputs for axis in each.axes):
        return None  # padded
    if any(axis.length != axis.size for axis in network.output.axes):
        return None
    state = module.state_dict()
    first, second = (tensor for tensor in network.tensors if tensor.role == "parameter")
    out = [leg for leg in network.output.legs if network.index[leg].size is not None]
    if not set(first.legs) & set(out):
        first, second = second, first
    bond = [leg for leg in second.legs if leg in first.legs]
    given = [leg for each in network.inputs for axis in each.axes for leg in axis.indices]
    kernels = {window.input_leg: window.kernel_leg for window in network.windows}
    into = [leg for leg in (kernels.get(each, each) for each in given) if leg in second.legs]
    up = _matrix(state[first.source], first.legs, out, bond, network.index)
    down = _matrix(state[second.source], second.legs, bond, into, network.index)
    return down, up


def _matrix(
    tensor: torch.Tensor, legs: tuple[str, ...], rows: list[str], columns: list[str], index: object
) -> torch.Tensor:
    sizes = [index[leg].size or 1 for leg in legs]  # type: ignore[index]
    order = [legs.index(leg) for leg in (*rows, *columns)]
    height = 1
    for leg in rows:
        height *= index[leg].size or 1  # type: ignore[index]
    return tensor.reshape(sizes).permute(order).reshape(height, -1)


def _factored(dense: torch.Tensor, host: Host, rank: int, layer: str) -> Lora:
    """A dense map as one of low rank, if it is one (Eckart and Young, 1936)."""
    matrix = (dense.mT if host.kind == "embedding" else dense.flatten(1)).double()
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    needed = int((s > NOISE * s[0]).sum()) if float(s[0]) else 0
    if needed > rank:
        lost = float(torch.linalg.vector_norm(s[rank:]) / torch.linalg.vector_norm(s))
        words = f"its rank is {needed}; with rank {rank} a part of {lost:.2g} of it would be lost"
        raise ValueError(f"{shown(layer)}: {words}")
    kept = max(1, min(rank, needed))
    root = s[:kept].sqrt()
    dtype = dense.dtype
    return Lora((root[:, None] * v[:kept]).to(dtype), (u[:, :kept] * root).to(dtype), 1.0)


def _named(prefix: str, host: Host, lora: Lora) -> dict[str, torch.Tensor]:
    """The tensors under the keys, and in the shapes, of PEFT."""
    down, up = lora.down, lora.up
    match host.kind:
        case "embedding":
            return {f"{prefix}.lora_embedding_A": down, f"{prefix}.lora_embedding_B": up}
        case "conv":
            down = down.reshape(len(down), *host.shape[1:])
            up = up.reshape(*up.shape, *(1 for _ in host.shape[2:]))
    return {f"{prefix}.lora_A.weight": down, f"{prefix}.lora_B.weight": up}


def _target_modules(model: nn.Module, layers: list[str]) -> list[str] | str:
    """The names of the layers; a pattern where they end the name of another module, too."""
    names = [name for _, names in modules_of(model).values() for name in names]
    wanted = set(layers)
    if any(other.endswith(f".{name}") for name in layers for other in names if other not in wanted):
        return "|".join(map(re.escape, layers))
    return layers


def _exactly(name: str) -> str:
    return f"^{re.escape(name)}"


def _number(alpha: float) -> int | float:
    return int(alpha) if alpha == int(alpha) else alpha
