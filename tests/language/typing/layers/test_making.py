"""Layers as written: the names, values and types that are refused, and what is kept."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace
from typing import Any

import pytest
from torch import nn

from tests.support.layers import (
    made,
    refusal,
    written,
)
from tncompile.language.diagnostics.collector import Failed, Problems
from tncompile.language.typing.layers import LAYERS, make_layer
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Typing
from tncompile.language.typing.values import Numbers, Tuple


def test_every_layer_of_the_table_is_here() -> None:
    assert set(LAYERS) == {
        *("Linear", "Embedding", "EmbeddingBag", "LayerNorm", "RMSNorm", "Dropout", "Identity"),
        *("PReLU", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d"),
        *("MaxPool1d", "MaxPool2d", "MaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d"),
        *("AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "BatchNorm1d"),
        *("BatchNorm2d", "BatchNorm3d", "InstanceNorm2d", "Dropout2d", "GroupNorm", "Flatten"),
        *("RNN", "GRU", "LSTM", "MultiheadAttention"),
    }


@pytest.mark.parametrize("layer", LAYERS)
def test_arguments_stand_in_the_order_of_torch(layer: str) -> None:
    """Those of torch that are not here are at the end: what is by position means the same."""
    module = getattr(nn, layer)
    given = list(inspect.signature(module.__init__).parameters)[1:]
    if issubclass(module, nn.RNNBase):  # these have `*args`
        given = list(inspect.signature(nn.RNNBase.__init__).parameters)[2:]
        if layer == "RNN":
            given.insert(3, "nonlinearity")
    names = [name for name in given if name not in ("args", "kwargs", "_weight", "_freeze")]
    assert list(LAYERS[layer].names) == names[: len(LAYERS[layer].names)]
    assert set(names) - set(LAYERS[layer].names) <= {"device", "dtype", "bias", "proj_size"}


@pytest.mark.parametrize(
    ("layer", "positional", "named", "code", "place", "hint"),
    [
        ("Lineer", [4, 4], {}, "TN602", "Lineer", "Linear"),
        ("ReLU", [], {}, "TN602", "ReLU", "relu"),
        ("Upsample", [4], {}, "TN602", "Upsample", "extern"),
        ("Linear", [4, 4], {"biased": False}, "TN602", "biased", "bias"),
        ("Linear", [4, 4], {"device": "cpu"}, "TN602", "device", "remove"),
        ("Linear", [4, 4], {"dtype": "float64"}, "TN602", "dtype", "remove"),
        ("Linear", [0, 4], {}, "TN602", "0", "at least 1"),
        ("Linear", [4], {"out_features": -1}, "TN602", "out_features = -1", "at least 1"),
        ("Linear", [4], {}, "TN208", "Linear", "out_features"),
        ("Linear", [], {}, "TN208", "Linear", "in_features"),
        ("Linear", [4, 4, True, 1], {}, "TN208", "1", "remove"),
        ("Identity", [4], {}, "TN208", "4", "remove"),
        ("Linear", [4, 4], {"in_features": 4}, "TN208", "in_features = 4", "remove"),
        ("Linear", [4.0, 4], {}, "TN305", "4.0", "write `4`"),
        ("Linear", [4, True], {}, "TN305", "True", "int"),
        ("Linear", [4, 4], {"bias": 1}, "TN305", "1", "true"),
        ("Linear", ["4", 4], {}, "TN305", "4", "int"),
        ("Linear", [(4,), 4], {}, "TN305", "(4,)", "int"),
        ("Linear", [2**41, 4], {}, "TN501", str(2**41), "smaller"),
        ("Linear", [2**21, 2**21], {}, "TN501", "Linear", "smaller"),
        ("Dropout", ["no"], {}, "TN305", "no", "float"),
        ("Dropout", [1.5], {}, "TN602", "1.5", "from 0 to 1"),
        ("Dropout", [math.inf], {}, "TN602", "inf", "another"),
        ("Dropout", [0.5], {"inplace": True}, "TN602", "inplace = True", "false"),
        ("LayerNorm", [()], {}, "TN602", "()", "sizes"),
        ("LayerNorm", [(1,) * 65], {}, "TN602", str((1,) * 65), "sizes"),
        ("LayerNorm", [(4, 0)], {}, "TN602", "(4, 0)", "at least 1"),
        ("LayerNorm", [Numbers((0.5,))], {}, "TN305", str(Numbers((0.5,))), "int"),
        ("LayerNorm", [4], {"eps": -1.0}, "TN602", "eps = -1.0", "at least 0"),
        ("Embedding", [9, 4], {"padding_idx": 9}, "TN602", "padding_idx = 9", "row"),
        ("Embedding", [9, 4], {"max_norm": 1.0}, "TN602", "max_norm = 1.0", "remove"),
        ("EmbeddingBag", [9, 4, "sum"], {}, "TN602", "sum", "name"),
        ("EmbeddingBag", [9, 4], {"mode": "som"}, "TN602", "mode = som", "sum"),
        ("EmbeddingBag", [9, 4], {"mode": 1}, "TN305", "1", '"sum"'),
        ("BatchNorm2d", [4], {"eps": 0}, "TN602", "eps = 0", "small"),
        ("GroupNorm", [3, 4], {}, "TN602", "3", "divisor"),
        ("Conv2d", [4, 4], {}, "TN208", "Conv2d", "kernel_size"),
        ("Conv2d", [4, 4, 0], {}, "TN602", "0", "at least 1"),
        ("Conv2d", [4, 4, (3, 3, 3)], {}, "TN602", "(3, 3, 3)", "one int"),
        ("Conv1d", [4, 4, (3, 3)], {}, "TN602", "(3, 3)", "one int"),
        ("Conv2d", [4, 4, 3.5], {}, "TN305", "3.5", "int"),
        ("Conv2d", [4, 6, 3], {"groups": 4}, "TN602", "groups = 4", "divisor"),
        ("Conv2d", [4, 4, 3, 2], {"padding": "same"}, "TN602", "2", "remove"),
        ("Conv2d", [4, 4, 3], {"padding": "some"}, "TN602", "padding = some", "same"),
        ("Conv2d", [4, 4, 3], {"padding": -1}, "TN602", "padding = -1", "at least 0"),
        ("Conv1d", [4, 4, 3], {"padding_mode": "zero"}, "TN602", "padding_mode = zero", "zeros"),
        ("Conv1d", [1, 1, 2**30], {"dilation": 2**20}, "TN602", f"dilation = {2**20}", "smaller"),
        ("ConvTranspose1d", [4, 4, 3], {"output_padding": 1}, "TN602", "output_padding = 1", "s"),
        ("ConvTranspose1d", [4, 4, 3, 1, 0, 0, 1, True, 1, "same"], {}, "TN602", "same", "zeros"),
        ("MaxPool1d", [3], {"padding": 2}, "TN602", "padding = 2", "pad"),
        ("MaxPool1d", [3], {"return_indices": True}, "TN602", "return_indices = True", "false"),
        ("GRU", [4, 4], {}, "TN602", "GRU", "batch_first = true"),
        ("GRU", [4, 4, 1, True, False], {}, "TN602", "False", "batch_first = true"),
        ("GRU", [4, 4], {"batch_first": False}, "TN602", "batch_first = False", "= true"),
        ("GRU", [4, 4], {"batch_first": True, "proj_size": 2}, "TN602", "proj_size", "remove"),
        ("LSTM", [4, 4, 1, True, True, 0.0, False, 4], {}, "TN602", "4", "smaller"),
        ("GRU", [4, 4, 10**6], {"batch_first": True}, "TN602", str(10**6), "10000"),
        ("MultiheadAttention", [6, 4], {"batch_first": True}, "TN602", "4", "divisor"),
        ("MultiheadAttention", [6, 3], {}, "TN602", "MultiheadAttention", "batch_first = true"),
        ("Linear", [4, Size.name("t")], {}, "TN606", "t", "parameter"),
        ("Linear", [4, Tuple(())], {}, "TN607", str(Tuple(())), "parameter"),
    ],
)  # fmt: skip
def test_what_is_refused(
    layer: str, positional: list[Any], named: dict[str, Any], code: str, place: str, hint: str
) -> None:
    found = refusal(layer, *positional, **named)
    assert found.code == code
    assert found.primary.span.text == place
    assert found.notes
    assert found.hint is not None
    assert hint in found.hint


def test_arguments_by_position_come_first() -> None:
    name, arguments = written("Linear", (), in_features=4, out_features=4)
    late = replace(arguments[1], name=None)
    with pytest.raises(Failed) as caught:
        make_layer(Typing(Problems()), name, [arguments[0], late])
    assert caught.value.diagnostic is not None
    assert caught.value.diagnostic.code == "TN208"


def test_a_layer_keeps_what_was_written_in_the_order_of_torch() -> None:
    layer = made("Conv2d", 4, 6, groups=2, kernel_size=(3, 1), padding="same")
    assert layer.arguments == {
        "in_channels": 4,
        "out_channels": 6,
        "kernel_size": (3, 1),
        "padding": "same",
        "groups": 2,
    }
    assert list(layer.arguments)[2:] == ["kernel_size", "padding", "groups"]
    assert made("Dropout", 1).arguments == {"p": 1.0}
