"""All layers, by their names in `torch.nn`."""

from __future__ import annotations

from collections.abc import Mapping

from tncompile.language.typing.layers.entry import Entry
from tncompile.language.typing.layers.rows import ROWS
from tncompile.language.typing.layers.sequences import SEQUENCES
from tncompile.language.typing.layers.windows import WINDOWS

LAYERS: Mapping[str, Entry] = {**ROWS, **WINDOWS, **SEQUENCES}
"""What a model can have as a layer; everything else of `torch.nn` is `extern`."""

ACTIVATIONS = {
    name.replace("_", ""): name
    for name in (
        *("relu", "relu6", "gelu", "silu", "mish", "elu", "leaky_relu", "selu", "softplus"),
        *("tanh", "sigmoid", "hardswish", "hardsigmoid", "softmax", "log_softmax"),
    )
}
"""Layers of torch that are functions here, by their names in lower case."""
