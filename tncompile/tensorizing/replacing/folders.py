"""Tensorized models in folders, which hold data alone: no pickle, nothing that is executed."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tncompile.files import (
    LARGEST_TEXT,
    bounded_text,
    folder_config,
    json_text,
    new_folder,
    require_new,
)
from tncompile.tensorizing.replacing.placing import (
    QUANTIZED,
    Placed,
    numbers_held,
    read_weights,
    unfitted,
    written_weights,
)

if TYPE_CHECKING:
    from torch import nn

    from tncompile.network.packing import Quantization
    from tncompile.tensorizing.replacing.tensorized import Tensorized
    from tncompile.tensorizing.rewriting.replacements import Replacement

CONFIG, SOURCE, WEIGHTS = "tncompile.json", "model.tn", "model.safetensors"
NETWORKS, REPORT = "networks", "report"

VERSION = 1
"""Of the layout of folders."""


def write_folder(done: Tensorized, folder: str | os.PathLike[str], model: str | None) -> None:
    """What `Tensorized.save` does."""
    from tncompile.tensorizing.originals.companions import (
        copy_companions,
        is_pretrained,
        pretrained_files,
    )
    from tncompile.tensorizing.replacing.calls import PLANNED, written_calls
    from tncompile.tensorizing.replacing.skeletons import is_reference
    from tncompile.tensorizing.replacing.source import written_source
    from tncompile.tensorizing.replacing.weights import require_equal, write_weights

    if model is not None and not is_reference(model):
        raise ValueError(f"a model is named as `module:callable`, not {model!r}")
    require_new(folder)
    source = written_source(done._placed)
    with new_folder(folder) as temporary:
        _write(temporary / SOURCE, source)
        write_weights(done.model, temporary / WEIGHTS)
        own = {QUANTIZED: written_weights(done._placed), PLANNED: written_calls(done._placed)}
        config = {"version": VERSION, "model": model, **own}
        _write(temporary / CONFIG, json_text(config))
        _write(temporary / f"{REPORT}.txt", repr(done.report) + "\n")
        _write(temporary / f"{REPORT}.json", json_text(done.report.to_dict()))
        read, placed = _read(temporary, _config(temporary), done._skeleton)
        require_equal(read, done.model)
        (temporary / NETWORKS).mkdir()
        for each in placed:
            path = temporary / NETWORKS / f"{each.file_name}.py"
            if not path.exists():
                _write(path, each.source())
        if is_pretrained(done.model):
            for name, text in pretrained_files(done.model, source, own).items():
                _write(temporary / name, text)
            require_equal(_built(temporary), done.model)
            copy_companions(done.model, temporary)


def load_model(
    folder: str | os.PathLike[str],
    model: nn.Module | Callable[[], nn.Module] | str | None = None,
) -> nn.Module:
    """The model in a folder that `Tensorized.save` wrote; no pickle, and nothing in it is executed.

    `model` is the original model, or what makes it (`"module:callable"` is imported): the weights
    that it has do not count. In a copy of it the layers that `model.tn` names are replaced by its
    networks, which are compiled anew, and all tensors come from `model.safetensors`. A folder may
    name what makes its model; that is not imported unless you pass it.
    Models of transformers need no `model`: their `config.json` says what they are, and
    transformers, an extra, builds them. A folder of transformers with a dense model is read, too:
    safetensors alone, no code of the folder, nothing from elsewhere.
    Raises ValueError for a folder that is damaged or does not fit the model, `CompileError` for
    mistakes in its networks, and `OSError` where it cannot be read.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU())
    >>> small = tncompile.Rewrite.loads(
    ...     'import "std/linear.tn" { LowRank } rewrite S { linear "*" -> LowRank(rank = 4) }'
    ... )
    >>> done = tncompile.tensorize(net, small)
    >>> done.save("small")
    >>> again = tncompile.load_model("small", model=net)
    >>> torch.equal(again(torch.ones(2, 8)), done.model(torch.ones(2, 8)))
    True
    """
    from tncompile.tensorizing.originals.pretrained import is_pretrained_folder, read_pretrained
    from tncompile.tensorizing.replacing.skeletons import made_model

    path = Path(folder)
    pretrained = is_pretrained_folder(path)
    if pretrained and not (path / CONFIG).exists():
        if model is not None:
            words = "which says what its model is: leave out `model`"
            raise ValueError(f"{folder} is a folder of transformers, {words}")
        return read_pretrained(path)
    config = _config(path)
    if model is None and pretrained:
        return _built(path)
    if model is None:
        words, named = "give what makes its model: model=…", config.get("model")
        if named is not None:
            words = f"it names {named!r}, which is imported only if you say so: model={named!r}"
        raise ValueError(f"{folder} holds no code: {words}")
    return _read(path, config, made_model(model))[0]


def _built(folder: Path) -> nn.Module:
    """The model of transformers in a folder, as transformers itself reads it."""
    from tncompile.tensorizing.originals.pretrained import (
        imported_transformers,
        load,
        model_class,
        pretrained_config,
        require_safetensors,
        require_whole,
    )

    imported_transformers()
    from tncompile.tensorizing.replacing.quantizer import register

    register()
    require_safetensors(folder)
    model, told = load(model_class(folder, pretrained_config(folder)), folder)
    require_whole(told, folder)
    return model


def _config(folder: Path) -> dict[str, object]:
    """What a folder says of itself; `model` is what makes its model, if it says so."""
    from tncompile.tensorizing.replacing.skeletons import is_reference

    config = folder_config(folder / CONFIG, VERSION, "a tensorized model")
    named = config.get("model")
    if named is not None and not is_reference(named):
        raise ValueError(f"the model that {CONFIG} names is no `module:callable`")
    return config


def _read(
    folder: Path, config: Mapping[str, object], original: nn.Module
) -> tuple[nn.Module, list[Placed]]:
    """The model in a folder. What stands in it is checked before anything of its size is made."""
    from tncompile.spec import loads
    from tncompile.tensorizing.replacing.calls import PLANNED, read_calls
    from tncompile.tensorizing.replacing.copying import copied
    from tncompile.tensorizing.replacing.weights import Weights
    from tncompile.tensorizing.rewriting.replacements import replacements
    from tncompile.tensorizing.rewriting.rewrite import rewrite_of

    source = folder / SOURCE
    rewrite = rewrite_of(loads(bounded_text(source, LARGEST_TEXT), name=str(source)))
    weights = Weights(folder / WEIGHTS)
    found = read_calls(config.get(PLANNED), replacements(rewrite, original)[0])
    asked = read_weights(config.get(QUANTIZED), found)
    _require_sizes(found, asked, weights.shapes.values())
    placed = [
        Placed(each, each.architecture, unfitted(each, None, wanted), wanted)
        for each, wanted in zip(found, asked, strict=True)
    ]
    parameters = {id(parameter): parameter for parameter in original.parameters()}
    model = copied(original, [each.standing() for each in placed], parameters)
    state = model.state_dict()
    weights.require({key: tuple(getattr(v, "shape", ())) for key, v in state.items()}, "the model")
    weights.load_into(model)
    return model, placed


def _require_sizes(
    found: Iterable[Replacement],
    asked: Iterable[Quantization | None],
    shapes: Iterable[tuple[int, ...]],
) -> None:
    """ValueError for networks that are larger than all that is stored."""
    most = sum(map(math.prod, shapes))
    for each, wanted in zip(found, asked, strict=True):
        if numbers_held(each, wanted) > most:
            target = each.architecture._map.target
            raise ValueError(f"{target} in {SOURCE} is larger than all of {WEIGHTS}")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
