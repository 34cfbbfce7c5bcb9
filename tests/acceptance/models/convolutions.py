"""Convolutional nets: dense, tensorized, of any depth, causal."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tests.acceptance.models.case import (
    Case,
    State,
    batch_norm,
    convolution,
    ids,
    linear,
    real,
)

CASES: list[Case] = []


def basic_block(s: State, p: str, x: Tensor, stride: int, same: bool) -> Tensor:
    y = convolution(s, f"{p}conv1", x, bias=False, stride=stride, padding=1)
    y = functional.relu(batch_norm(s, f"{p}bn1", y))
    y = batch_norm(s, f"{p}bn2", convolution(s, f"{p}conv2", y, bias=False, padding=1))
    if not same:
        down = convolution(s, f"{p}down", x, bias=False, stride=stride)
        x = batch_norm(s, f"{p}bnd", down)
    return functional.relu(y + x)


def resnet18(s: State, image: Tensor) -> Tensor:
    lead = image.shape[:-3]
    x = convolution(s, "conv1", image.flatten(0, -4), bias=False, stride=2, padding=3)
    x = functional.max_pool2d(functional.relu(batch_norm(s, "bn1", x)), 3, 2, 1)
    for stage in range(4):
        for k in range(2):
            changes = k == 0 and stage > 0
            x = basic_block(s, f"stage.{stage}.block.{k}.", x, 2 if changes else 1, not changes)
    y = linear(s, "fc", x.mean((-2, -1)))
    return y.reshape(*lead, -1)


CASES += [
    Case(
        name="resnet, one block",
        file="resnet.tn",
        block="Basic",
        arguments={"ins": 4, "outs": 6, "stride": 2},
        inputs=lambda g, b=2, h=9, w=11: (real(g, b, 4, h, w),),
        twin=lambda s, x: basic_block(s, "", x, 2, same=False),
        loose={"b": 3, "h": 6, "w": 7},
    ),
    Case(
        name="resnet18",
        file="resnet.tn",
        block="ResNet18",
        arguments={"classes": 5, "widths": [4, 6, 8, 10]},
        inputs=lambda g, b=2, h=37, w=48: (real(g, b, 3, h, w),),
        twin=resnet18,
        loose={"b": 3, "h": 48, "w": 41},
    ),
    Case(
        name="resnet18, two leading axes",
        file="resnet.tn",
        block="ResNet18",
        arguments={"classes": 5, "widths": [4, 6, 8, 10]},
        inputs=lambda g, a=2, b=3: (real(g, a, b, 3, 32, 32),),
        twin=resnet18,
        loose={"a": 3, "b": 2},
    ),
]


def unet(s: State, x: Tensor) -> Tensor:
    def double(p: str, y: Tensor) -> Tensor:
        y = functional.relu(batch_norm(s, f"{p}.bn1", convolution(s, f"{p}.conv1", y, padding=1)))
        return functional.relu(
            batch_norm(s, f"{p}.bn2", convolution(s, f"{p}.conv2", y, padding=1))
        )

    left = [double("down.0", x)]
    for l in (1, 2):
        left.append(double(f"down.{l}", functional.max_pool2d(left[-1], 2)))
    y = left[2]
    for l in (1, 0):
        grown = functional.conv_transpose2d(y, s[f"grow.{l}.weight"], s[f"grow.{l}.bias"], stride=2)
        y = double(f"up.{l}", torch.cat([left[l], grown], -3))
    return convolution(s, "head", y)


CASES.append(
    Case(
        name="unet",
        file="unet.tn",
        block="UNet",
        arguments={"depth": 2, "c": 4},
        inputs=lambda g, b=2, h=12, w=8: (real(g, b, 1, h, w),),
        twin=unet,
        loose={"b": 3, "h": 8, "w": 16},
        refused={"h": 10},
    )
)


def tucker2_conv(s: State, x: Tensor) -> Tensor:
    kernel = torch.einsum("ia,abhw,bo->oihw", s["U"], s["K"], s["V"])
    return functional.conv2d(x, kernel, s["c"], stride=2, padding=1)


def cp_conv(s: State, x: Tensor) -> Tensor:
    kernel = torch.einsum("ir,hr,wr,ro->oihw", s["A"], s["B"], s["C"], s["D"])
    return functional.conv2d(x, kernel, padding=1)


def grouped_conv(s: State, x: Tensor, part: str = "") -> Tensor:
    kernel, bias = s[f"{part}K"], s[f"{part}c"]
    return functional.conv2d(
        x, kernel.flatten(0, 1), bias.flatten(), padding=1, groups=kernel.shape[0]
    )


def shuffle(s: State, x: Tensor) -> Tensor:
    y = grouped_conv(s, x, "conv.")
    return torch.unflatten(y, 1, (2, 3)).transpose(1, 2).flatten(1, 2)


CASES += [
    Case(
        name="tucker2 convolution",
        file="tucker2_conv.tn",
        block="Tucker2",
        arguments={"ins": 4, "outs": 5, "r": 2, "s": 3, "step": 2},
        inputs=lambda g, b=2, h=7, w=9: (real(g, b, 4, h, w),),
        twin=tucker2_conv,
        loose={"b": 3, "h": 8, "w": 6},
    ),
    Case(
        name="cp convolution",
        file="cp_conv.tn",
        block="CPConv",
        arguments={"ins": 4, "outs": 5, "rank": 3},
        inputs=lambda g, b=2, h=7, w=9: (real(g, b, 4, h, w),),
        twin=cp_conv,
        loose={"b": 3, "h": 8, "w": 6},
    ),
    Case(
        name="grouped convolution",
        file="grouped_conv.tn",
        block="Grouped",
        arguments={"groups": 2, "ins": 3, "outs": 2},
        inputs=lambda g, b=2, h=5, w=6: (real(g, b, 6, h, w),),
        twin=grouped_conv,
        loose={"b": 3, "h": 4, "w": 7},
    ),
    Case(
        name="channel shuffle",
        file="grouped_conv.tn",
        block="Shuffle",
        arguments={"groups": 2, "c": 6},
        inputs=lambda g, b=2, h=5, w=4: (real(g, b, 6, h, w),),
        twin=shuffle,
        loose={"b": 3, "h": 4, "w": 7},
    ),
]


def bordered(s: State, x: Tensor) -> Tensor:
    y = functional.pad(
        functional.pad(x, (0, 0, 2, 1), mode="circular"), (2, 2, 0, 0), mode="reflect"
    )
    return functional.conv2d(y, s["K"].transpose(0, 1), dilation=(1, 2))


def repeated(s: State, x: Tensor) -> Tensor:
    y = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    return functional.conv2d(y, s["K"][:, None], stride=(2, 1), groups=x.shape[-3])


def transposed(s: State, x: Tensor) -> Tensor:
    kernel = torch.einsum("ir,rok->iok", s["A"], s["B"])
    return functional.conv_transpose1d(x, kernel, s["c"], stride=3, padding=1, output_padding=1)


CASES += [
    Case(
        name="windows with borders",
        file="windows.tn",
        block="Borders",
        arguments={"ins": 3, "outs": 2},
        inputs=lambda g, b=2, h=6, w=7: (real(g, b, 3, h, w),),
        twin=bordered,
        loose={"b": 3, "h": 5, "w": 8},
    ),
    Case(
        name="windows in a family",
        file="windows.tn",
        block="Repeated",
        arguments={"channels": 3},
        inputs=lambda g, b=2, h=6, w=7: (real(g, b, 3, h, w),),
        twin=repeated,
        loose={"b": 3, "h": 5, "w": 8},
    ),
    Case(
        name="transposed window",
        file="windows.tn",
        block="Transposed",
        arguments={"ins": 3, "outs": 2, "rank": 2},
        inputs=lambda g, b=2, t=5: (real(g, b, 3, t),),
        twin=transposed,
        loose={"b": 3, "t": 4},
    ),
]


def wavenet(s: State, samples: Tensor) -> Tensor:
    def dilated(p: str, x: Tensor, dilation: int) -> Tensor:
        kernel = s[f"{p}.K"].transpose(0, 1)
        return functional.conv1d(
            functional.pad(x, (dilation, 0)), kernel, s[f"{p}.c"], dilation=dilation
        )

    x = s["table.weight"][samples].transpose(-2, -1)
    total = torch.zeros_like(x)
    for l in range(4):
        p = f"layer.{l}"
        z = torch.tanh(dilated(f"{p}.filter", x, 2**l))
        z = z * torch.sigmoid(dilated(f"{p}.gate", x, 2**l))
        total = total + convolution(s, f"{p}.skip", z)
        x = x + convolution(s, f"{p}.mix", z)
    return convolution(s, "last", functional.relu(total))


CASES.append(
    Case(
        name="wavenet",
        file="wavenet.tn",
        block="WaveNet",
        arguments={"depth": 4, "c": 3, "levels": 9},
        inputs=lambda g, b=2, t=12: (ids(g, 9, b, t),),
        twin=wavenet,
        loose={"b": 3, "t": 20},
        step=(1, 2),
    )
)
