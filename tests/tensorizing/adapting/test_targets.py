"""Which layers are meant: names, ends of names, patterns, numbers of blocks; what they get."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

import tncompile
from tests.tensorizing.adapting.models import mixed, stack

Q, V = ["0.0.q", "1.0.q"], ["0.0.v", "1.0.v"]


def layers(model: nn.Module, **arguments: object) -> list[str]:
    """The layers that are adapted."""
    adapted = tncompile.adapt(model, rank=2, **arguments)
    return [row[0] for row in adapted.trainable.rows]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({}, ["0.0.q", "0.0.v", "1.0.q", "1.0.v"]),
        ({"target_modules": ["q"]}, Q),
        ({"target_modules": ["0.q", "1.0.v"]}, ["0.0.q", "1.0.q", "1.0.v"]),
        ({"target_modules": r"\d\.0\.v"}, V),
        ({"target_modules": r".*q", "exclude_modules": r"1.*"}, ["0.0.q"]),
        ({"exclude_modules": ["v"]}, Q),
        ({"target_modules": ["q", "v"], "exclude_modules": ["1.0.q"]}, ["0.0.q", *V]),
        ({"modules_to_save": ["q"]}, [*V, *Q]),
        ({"target_modules": ["q"], "layers_to_transform": 1}, ["1.0.q"]),
        ({"target_modules": ["q"], "layers_to_transform": 0, "layers_pattern": "1"}, ["1.0.q"]),
    ],
)
def test_names_say_which(arguments: dict[str, object], found: list[str]) -> None:
    assert layers(stack(), **arguments) == found


def test_numbers_of_blocks_say_which() -> None:
    model = nn.ModuleDict({"layers": stack(layers=3)})
    assert layers(model, target_modules=["q"], layers_to_transform=[0, 2]) == [
        "layers.0.0.q",
        "layers.2.0.q",
    ]
    model = nn.ModuleDict({"a": nn.ModuleDict({"h": stack(layers=2)})})
    found = layers(model, target_modules=["v"], layers_to_transform=1, layers_pattern="h")
    assert found == ["a.h.1.0.v"]


def test_all_linear_leaves_the_head_and_tables_alone() -> None:
    model = mixed()
    model.get_output_embeddings = lambda: model.head
    assert layers(model) == ["up", "down"]


def test_ranks_and_scales_by_pattern() -> None:
    adapted = tncompile.adapt(
        stack(),
        rank=2,
        rank_pattern={"1.0.q": 5, "q": 3, r"\d\.0\.v": 1},
        alpha=4,
        alpha_pattern={r"^0\.0\.v": 9},
    )
    state = adapted.state_dict()
    shapes = {key: state[f"{key}.A"].shape[1] for key in [*Q, *V]}
    assert shapes == {"0.0.q": 3, "1.0.q": 5, "0.0.v": 1, "1.0.v": 1}
    scales = {name: module._adapters["default"].scale for name, module in adapted._layers}
    assert scales == {"0.0.q": 4 / 3, "1.0.q": 4 / 5, "0.0.v": 9, "1.0.v": 4}


def test_ranks_of_a_list_and_of_several_names() -> None:
    adapted = tncompile.adapt(nn.Linear(16, 16), "MPO", ins=[4, 2, 2], outs=[2, 2, 4])
    assert adapted.state_dict()["G.1"].shape == (8, 2, 2, 8)
    model = adapted.unload()
    sizes = {"ins": [4, 2, 2], "outs": [2, 2, 4]}
    adapted = tncompile.adapt(model, "MPO", rank_pattern={"": [3, 2]}, **sizes)
    assert adapted.state_dict()["G.1"].shape == (3, 2, 2, 2)


def test_a_shared_module_is_adapted_once() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    model.append(model[0])
    adapted = tncompile.adapt(model, target_modules=["2"], rank=2)
    assert [row[0] for row in adapted.trainable.rows] == ["0"]
    assert model[0] is model[2]
    adapted.unload()
    assert type(model[2]) is nn.Linear


def test_a_function_sees_the_layer() -> None:
    library = tncompile.load("std/linear.tn")

    def make(layer: nn.Module) -> tncompile.Architecture:
        rank = layer.out_features // 4
        sizes = {"in_features": layer.in_features, "out_features": layer.out_features}
        return library["LowRank"].instantiate(**sizes, rank=rank, with_bias=False)

    adapted = tncompile.adapt(stack(), make)
    assert adapted.state_dict()["0.0.q.A"].shape == (16, 4)
    assert adapted.state_dict()["0.0.v.A"].shape == (16, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target_modules": ["qq"]}, "match no layer of the model; did you mean 'q'?"),
        ({"target_modules": "q"}, "match no layer of the model"),
        ({"target_modules": "("}, "no regular expression"),
        ({"target_modules": ["0"]}, "0 is a Sequential"),
        ({"rank_pattern": {"k": 3}}, "rank_pattern: 'k' matches no layer"),
        ({"rank_pattern": {"q": 0}}, "a rank is a whole number from 1 on, not 0"),
        ({"rank_pattern": {"q": True}}, "not True"),
        ({"alpha_pattern": {"q": "much"}}, "alpha is a number"),
        ({"modules_to_save": ["norm"]}, "no module is called 'norm'"),
        ({"dropout": 1.0}, "below 1"),
        ({"alpha": float("nan")}, "alpha is a number"),
        ({"name": "a.b"}, "a word"),
        ({"name": "items"}, "a word"),
        ({"with_bias": True}, "no bias"),
        ({"target_modules": "q", "layers_to_transform": 1}, "can say it"),
    ],
)
def test_mistakes_are_one_message_and_change_nothing(
    arguments: dict[str, object], message: str
) -> None:
    model = stack()
    with pytest.raises(ValueError, match=re.escape(message)):
        tncompile.adapt(model, rank=2, **arguments)
    assert all(type(module) is not nn.Linear or module.weight.requires_grad for module in model)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert "_adapters_record" not in vars(model)


@pytest.mark.parametrize(
    "arguments", [{"target_modules": 3}, {"target_modules": [3]}, {"rank_pattern": ["q"]},
                  {"modules_to_save": "q"}, {"name": 3}, {"dtype": torch.int8}]
)  # fmt: skip
def test_wrong_types_are_said(arguments: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        tncompile.adapt(stack(), **arguments)


def test_wrong_blocks_are_said() -> None:
    with pytest.raises(KeyError, match="did you mean 'LowRank'"):
        tncompile.adapt(stack(), "LowRnk")
    with pytest.raises(tncompile.CompileError):
        tncompile.adapt(stack(), "LowRank", rnk=3)
    with pytest.raises(ValueError, match="is a model"):
        tncompile.adapt(stack(), "LoRA")
    small = tncompile.load("std/linear.tn").instantiate("LowRank(8, 8, with_bias = false)")
    with pytest.raises(ValueError, match=re.escape("0.0.q: LowRank(in_features = 8")):
        tncompile.adapt(stack(), small)
    with pytest.raises(TypeError, match="no block was named"):
        tncompile.adapt(stack(), small, rank=3)


def test_weights_that_others_read_are_refused() -> None:
    model = nn.Sequential(nn.MultiheadAttention(8, 2), nn.Linear(8, 8))
    with pytest.raises(ValueError, match="never calls it"):
        tncompile.adapt(model, target_modules=["out_proj"])
    assert layers(model) == ["1"]


def test_a_convolution_in_groups_has_no_low_rank() -> None:
    with pytest.raises(ValueError, match="has no groups, the layer has 8"):
        tncompile.adapt(nn.Sequential(nn.Conv2d(8, 8, 3, groups=8)), target_modules=["0"])
