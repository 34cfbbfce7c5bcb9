"""What lets transformers load models whose layers are networks: a registered quantizer.

`config.json` has the networks and the names of the layers as text (`quantization_config`), which is
compiled anew. So `AutoModel.from_pretrained` needs nothing but `import tncompile.transformers`.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import translate
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.quantizers.auto import (
    AUTO_QUANTIZER_MAPPING,
    register_quantization_config,
    register_quantizer,
)
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from tncompile.tensorizing.originals.companions import settle_ties
from tncompile.tensorizing.originals.pretrained import METHOD
from tncompile.tensorizing.replacing.calls import read_calls
from tncompile.tensorizing.replacing.copying import expose_readers
from tncompile.tensorizing.replacing.placing import Placed, numbers_held, read_weights, unfitted
from tncompile.tensorizing.rewriting.layers import layers_of
from tncompile.tensorizing.rewriting.replacements import replacements
from tncompile.tensorizing.rewriting.rewrite import Line, Rewrite

VERSION = 1


class NetworksConfig(QuantizationConfigMixin):  # type: ignore[misc]
    """What `quantization_config` says: `networks` is the text of `model.tn`, `dtype` that of all.

    `quantized` are the layers whose weights are integers, `planned_for` the calls of layers, both
    by name.

    Raises ValueError for what is none.
    """

    def __init__(
        self,
        networks: object = None,
        version: object = None,
        dtype: object = None,
        quantized: object = None,
        planned_for: object = None,
        **_: object,
    ) -> None:
        if not isinstance(networks, str) or version != VERSION:
            raise ValueError(f"the quantization_config is not that of {METHOD} {VERSION}")
        self.quant_method = METHOD
        self.networks = networks
        self.version = VERSION
        self.quantized = quantized
        self.planned_for = planned_for
        self.dtype = dtype if isinstance(dtype, str) else None


class NetworksQuantizer(HfQuantizer):  # type: ignore[misc]
    """It puts networks in the place of layers before weights are loaded."""

    requires_calibration = True
    is_compileable = True

    def __init__(self, quantization_config: NetworksConfig, **kwargs: Any) -> None:
        super().__init__(quantization_config, **kwargs)
        self._as_stored = True

    def _process_model_before_weight_loading(
        self,
        model: PreTrainedModel,
        checkpoint_files: Sequence[str] | None = None,
        **_: object,
    ) -> None:
        most = sum(map(os.path.getsize, checkpoint_files)) if checkpoint_files else math.inf
        with _plainly():
            given = self.quantization_config
            place_networks(model, given.networks, most, given.quantized, given.planned_for)
        _find_shared_parts(model)

    def _process_model_after_weight_loading(self, model: PreTrainedModel, **_: object) -> None:
        vars(model).pop(MARK, None)

    def update_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """The dtype that is asked for, as it is."""
        wanted = str(dtype).removeprefix("torch.")
        self._as_stored = wanted == self.quantization_config.dtype
        return dtype

    def get_new_dtype(
        self, converter: object, param: object, dtype: torch.dtype | None
    ) -> torch.dtype | None:
        """None keeps what is stored: a model may have several dtypes."""
        if self._as_stored:
            return None
        found: torch.dtype | None = super().get_new_dtype(converter, param, dtype)
        return found

    def update_weight_conversions(self, weight_conversions: object, model: object) -> list[object]:
        """None: keys are those of the model as it is."""
        return []

    def is_serializable(self) -> bool:
        """Whether `save_pretrained` writes a model that can be loaded again."""
        return True

    @property
    def is_trainable(self) -> bool:
        """Whether it can be trained."""
        return True


MARK = "mark_tied_weights_as_initialized"


def _find_shared_parts(model: PreTrainedModel) -> None:
    """Let transformers find the buffers of a network that is a part of several modules.

    Among what files lack it looks for such parts only in models that are not its own. So the model
    is one of those in the method that looks, and nowhere else: how it is initialized, say.
    """
    mark = getattr(model, MARK, None)
    if mark is None:
        return

    def marked(*args: Any, **kwargs: Any) -> object:
        vars(model)["is_custom_code"] = lambda: True
        try:
            return mark(*args, **kwargs)
        finally:
            del vars(model)["is_custom_code"]

    vars(model)[MARK] = marked


def register() -> None:
    """Let transformers know the method. Nothing happens where it does."""
    if METHOD not in AUTO_QUANTIZER_MAPPING:
        register_quantization_config(METHOD)(NetworksConfig)
        register_quantizer(METHOD)(NetworksQuantizer)


@contextmanager
def _plainly() -> Iterator[None]:
    """Tensors of ours are on the CPU and of float32, whatever models are made of meanwhile."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.device("cpu"):
            yield
    finally:
        torch.set_default_dtype(before)


def place_networks(
    model: PreTrainedModel,
    source: str,
    most: float,
    quantized: object = None,
    planned_for: object = None,
) -> None:
    """Put the networks of a text in the place of layers of a model without weights.

    The names in the text may be those of a model with a head, or without one: the prefix of the
    base model is added, or left out. Raises `CompileError`, and ValueError for networks that are
    larger than `most` numbers.
    """
    _tie(model)
    rewrite = _fitting(Rewrite.loads(source), model)
    found = read_calls(planned_for, replacements(rewrite, model)[0])
    asked = read_weights(quantized, found)
    for each, wanted in zip(found, asked, strict=True):
        if numbers_held(each, wanted) > most:
            raise ValueError(f"{each.architecture._map.target} is larger than all of the weights")
    standing = [
        Placed(each, each.architecture, unfitted(each, None, wanted), wanted).standing()
        for each, wanted in zip(found, asked, strict=True)
    ]
    for stand in standing:
        for name in stand.layer.names if stand.layer.module is not None else ():
            owner, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(owner), leaf, stand.module)
    for stand in standing:
        expose_readers(model, stand)
    settle_ties(model)


def _tie(model: PreTrainedModel) -> None:
    """Parameters that transformers ties after loading are one before, too."""
    for name, other in model.all_tied_weights_keys.items():
        owner, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(owner), leaf, model.get_parameter_or_buffer(other))


def _fitting(rewrite: Rewrite, model: PreTrainedModel) -> Rewrite:
    """The lines with the names that layers have in a model."""
    names = [
        (layer.kind, name) for group in layers_of(model) for layer in group for name in layer.names
    ]

    def matches(line: Line) -> bool:
        fits = re.compile(translate(line.pattern)).match
        return any(kind == line.kind and fits(name) for kind, name in names)

    if all(map(matches, rewrite.lines)):
        return rewrite
    prefix = f"{model.base_model_prefix}."
    with_head = [replace(line, pattern=f"{prefix}{line.pattern}") for line in rewrite.lines]
    without = [
        replace(line, pattern=line.pattern.removeprefix(prefix))
        for line in rewrite.lines
        if line.pattern.startswith(prefix)
    ]
    for lines in (with_head, without):
        if lines and all(map(matches, lines)):
            return replace(rewrite, lines=tuple(lines))
    return rewrite
