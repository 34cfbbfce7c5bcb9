"""Folders of transformers: `config.json` and safetensors, read without a line of code of theirs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from tncompile.files import bounded_text, json_value
from tncompile.tensorizing.rewriting.rewrite import shown

CONFIG, INDEX, WEIGHTS = "config.json", "model.safetensors.index.json", "model.safetensors"

METHOD = "tncompile"
"""The `quant_method` of models whose layers are networks."""

LARGEST_TEXT = 2**26
"""Bytes of a text in a folder that are read."""

MOST_NAMED = 5

SAFE = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
"""What loading is never done without: nothing of the network, no code of the folder, no pickle."""


def is_pretrained_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a folder as transformers writes them."""
    return (Path(path) / CONFIG).is_file()


def pretrained_config(path: str | os.PathLike[str]) -> Mapping[str, object]:
    """What `config.json` of a folder says. Raises ValueError where it is none, OSError."""
    file = Path(path) / CONFIG
    return _object(file)


def read_pretrained(path: str | os.PathLike[str]) -> nn.Module:
    """The dense model in a folder of transformers, in eval mode and in the dtype that it has there.

    Its class is the first of `architectures` in `config.json`, else that of AutoModel. Nothing is
    loaded from elsewhere. Raises ValueError where transformers is missing or cannot read it, for
    pickled or quantized weights, adapters, and weights that are missing.
    """
    folder = Path(path)
    config = pretrained_config(folder)
    quantized = config.get("quantization_config")
    if quantized is not None:
        method = quantized.get("quant_method") if isinstance(quantized, dict) else None
        if method == METHOD:
            raise ValueError(f"{path} is tensorized already: tncompile.load_model reads it")
        raise ValueError(f"{path} is quantized ({method}): only plain weights can be tensorized")
    if (folder / "adapter_config.json").is_file():
        raise ValueError(f"{path} holds adapters: merge them into the weights first")
    require_safetensors(folder)
    cls = model_class(folder, config)
    model, told = load(cls, folder)
    require_whole(told, path)
    return model


def require_safetensors(folder: Path) -> None:
    """ValueError unless the weights of a folder are safetensors that stand in it."""
    if (folder / WEIGHTS).is_file():
        return
    if not (folder / INDEX).is_file():
        names = sorted(each.name for each in folder.iterdir())
        pickled = [each for each in names if each.endswith((".bin", ".pt", ".pth", ".ckpt"))]
        if pickled:
            raise ValueError(
                f"{folder} has pickled weights ({pickled[0]}), which are not read: save the model"
                f" again with `save_pretrained`, which writes {WEIGHTS}"
            )
        raise ValueError(f"{folder} has neither {WEIGHTS} nor {INDEX}")
    places = _object(folder / INDEX).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(each, str) for each in places.values()):
        raise ValueError(f"{INDEX} has no `weight_map`")
    for name in sorted(set(places.values())):
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ValueError(f"{INDEX} names {shown(name)!r}, which is no file of safetensors here")
        if not (folder / name).is_file():
            raise ValueError(f"{INDEX} names {shown(name)}, which is missing")


def model_class(folder: Path, config: Mapping[str, object]) -> Any:
    """The class of transformers that a folder is of."""
    transformers = imported_transformers()
    named = config.get("architectures")
    if not named:
        return transformers.AutoModel
    name = named[0] if isinstance(named, list) else None
    known = getattr(transformers, name, None) if isinstance(name, str) else None
    if not (isinstance(known, type) and issubclass(known, transformers.PreTrainedModel)):
        written = shown(name) if isinstance(name, str) else named
        raise ValueError(f"{folder} is a {written}, which transformers itself has no class for")
    return known


def load(cls: Any, folder: Path, **more: object) -> tuple[nn.Module, Mapping[str, Any]]:
    """A model of transformers from a folder, and what was missing. Raises ValueError."""
    try:
        with quiet():
            model, told = cls.from_pretrained(
                os.fspath(folder),
                dtype="auto",
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # `require_whole` says which they are
                **SAFE,
                **more,
            )
    except Exception as error:  # of any kind: the config decides which code is run
        lines = str(error).strip().splitlines() or [type(error).__name__]
        words = f"{type(error).__name__}: {lines[0]}"
        raise ValueError(f"{folder} cannot be loaded by transformers: {words}") from error
    assert isinstance(model, nn.Module)
    return model, told


def require_whole(told: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """ValueError where weights were missing or of another shape: they would be random."""
    if wrong := sorted(told.get("mismatched_keys") or ()):
        key, stored, due = wrong[0]
        shapes = f"{tuple(stored)}, and {tuple(due)} in its model"
        raise ValueError(f"{path} has {shown(key)} of the shape {shapes}")
    missing = sorted(told["missing_keys"])
    if missing:
        named = ", ".join(map(shown, missing[:MOST_NAMED]))
        more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
        raise ValueError(f"{path} has no {named}{more}, which would be random")


def imported_transformers() -> Any:
    """The package, which is an extra. Raises ValueError where it is missing."""
    try:
        import transformers
    except ImportError as error:
        words = "it is not installed: pip install 'tncompile[transformers]'"
        raise ValueError(f"a folder with {CONFIG} is read by transformers, and {words}") from error
    return transformers


@contextmanager
def quiet() -> Iterator[None]:
    """No bars and no remarks of transformers while the body runs: errors say what matters."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _object(file: Path) -> Mapping[str, object]:
    """The JSON object in a file."""
    content = bounded_text(file, LARGEST_TEXT)
    try:
        found = json_value(content)
    except ValueError as error:
        raise ValueError(f"{file.name} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{file.name} is no JSON object")
    return found
