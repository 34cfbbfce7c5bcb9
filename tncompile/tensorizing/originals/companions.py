"""What goes with a model of transformers into its new folder: configurations and tokenizers.

transformers itself is not imported: a model of its classes says all that is needed.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from re import escape
from typing import Any

import torch
from torch import nn

from tncompile.tensorizing.originals.pretrained import CONFIG, INDEX, METHOD, WEIGHTS

GENERATION = "generation_config.json"

ENDINGS = (".json", ".txt", ".jinja", ".model")
"""Of files that tokenizers and processors are made of: data alone."""

LEGAL = ("LICENSE", "LICENCE", "NOTICE")

PARTS = "modules.json"
"""In folders of sentence-transformers: a list of parts, each with the folder that it is in."""

LARGEST = 2**30
"""Bytes of a file that is copied."""


def is_pretrained(model: nn.Module) -> bool:
    """Whether transformers can build this model from its configuration alone."""
    base: type = getattr(type(model), "_dense_base", type(model))
    if not base.__module__.startswith("transformers.models."):
        return False
    transformers: Any = sys.modules.get("transformers")
    return getattr(transformers, base.__name__, None) is base


def pretrained_files(model: nn.Module, source: str, more: Mapping[str, object]) -> dict[str, str]:
    """The texts that transformers reads beside the weights, by file: with the networks in them.

    `more` is what else is said of them.
    """
    given: Any = model
    config = json.loads(given.config.to_json_string())
    config["architectures"] = [type(model).__name__]
    config["dtype"] = str(given.dtype).removeprefix("torch.")
    config["quantization_config"] = {
        "quant_method": METHOD,
        "version": 1,
        "dtype": config["dtype"],
        "networks": source,
        **more,
    }
    files = {CONFIG: _json(config)}
    generation = getattr(model, "generation_config", None)
    if generation is not None and given.can_generate():
        files[GENERATION] = _json(json.loads(generation.to_json_string()))
    return files


def copy_companions(model: nn.Module, target: Path) -> None:
    """Copy what is in the folder that a model was loaded from, unless we wrote it ourselves.

    Those are files of tokenizers and processors, licenses, and the parts that sentence-transformers
    names. No link leads out of the folder, and what is there stays.
    """
    named = getattr(model, "name_or_path", None)
    if not isinstance(named, str) or not named:
        return
    source = Path(named)
    if not source.is_dir() or source.resolve() == target.resolve():
        return
    for path in _companions(source):
        place = target / path.relative_to(source)
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)


def _companions(source: Path) -> Iterator[Path]:
    for path in _files(source):
        if path.name.startswith(LEGAL) or (
            path.suffix in ENDINGS
            and path.name not in (CONFIG, INDEX, GENERATION, "adapter_config.json")
            and not path.name.endswith(".index.json")
        ):
            yield path
    for name in _parts(source / PARTS):
        for path in _files(source, name):
            if path.suffix in ENDINGS or path.name == WEIGHTS:
                yield path


def _files(source: Path, part: str = "") -> Iterator[Path]:
    """Files of a folder. A link may lead to where the cache of the hub keeps contents."""
    folder = source / part
    places = source.resolve(), source.resolve().parent.parent / "blobs"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        inside = any(path.resolve().is_relative_to(place) for place in places)
        if inside and path.is_file() and path.stat().st_size <= LARGEST:
            yield path


def _parts(file: Path) -> Iterator[str]:
    """The folders of parts, each a plain name."""
    try:
        listed = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return
    for each in listed if isinstance(listed, list) else ():
        name = each.get("path") if isinstance(each, dict) else None
        if isinstance(name, str) and name and name not in (".", "..") and Path(name).name == name:
            yield name


def settle_ties(model: nn.Module) -> None:
    """Let a model of transformers know which of its ties are still pairs of tensors.

    It ties by names: those that stand for a network are taken out, and those of a network that
    several names of a model lead to are put in, its buffers too: integers, a row of padding.
    """
    for _, submodel in model.named_modules():
        tied = getattr(submodel, "all_tied_weights_keys", None)
        if not isinstance(tied, dict):
            continue
        named = dict(submodel.named_parameters(remove_duplicate=False))
        if not all(key in named and other in named for key, other in tied.items()):
            kept = {key: other for key, other in tied.items() if {key, other} <= named.keys()}
            kept |= _pairs(named.items(), kept)
            vars(submodel)["all_tied_weights_keys"] = kept  # reading takes none but parameters
            known = kept | _pairs(submodel.named_buffers(remove_duplicate=False), kept)
            patterns = {f"{escape(key)}$": f"{escape(other)}$" for key, other in known.items()}
            vars(submodel)["_tied_weights_keys"] = patterns  # writing, whatever has two names


def _pairs(named: Iterable[tuple[str, torch.Tensor]], kept: Mapping[str, str]) -> dict[str, str]:
    """Later names of tensors, and the first one of each."""
    first: dict[int, str] = {}
    found: dict[str, str] = {}
    for name, tensor in named:
        known = first.setdefault(id(tensor), name)
        if known != name and name not in kept and known not in kept:
            found[name] = known
    return found


def _json(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=True, allow_nan=False) + "\n"
