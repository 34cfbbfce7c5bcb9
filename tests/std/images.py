"""Networks that see images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tests.acceptance.models.case import State, batch_norm, layer_norm, linear, real
from tests.std.case import Case
from tests.std.encoders import encoder_block
from tests.std.transformers import feed

CASES: list[Case] = []


# ── images ───────────────────────────────────────────────────────────────────────────────────────


def patches(s: State, image: Tensor) -> Tensor:
    """The convolution that cuts, as a map of unfolded patches."""
    weight = s["patches.weight"]
    cut = functional.unfold(image, 4, stride=4).transpose(-2, -1)
    return functional.linear(cut, weight.flatten(1), s["patches.bias"])


def vision(s: State, image: Tensor) -> Tensor:
    x = patches(s, image)
    x = torch.cat([s["token"].expand(len(x), 1, 16), x], 1) + s["place"]
    for l in range(2):
        x = encoder_block(s, x, prefix=f"block.{l}.", norm_first=True, eps=1e-6)
    return linear(s, "head", layer_norm(s, "norm", x, 1e-6)[:, 0])


def mixer_block(s: State, x: Tensor, prefix: str = "", dense: bool = True) -> Tensor:
    across = layer_norm(s, f"{prefix}norm1", x).mT
    x = x + feed(s, across, f"{prefix}mix_places.", dense).mT
    return x + feed(s, layer_norm(s, f"{prefix}norm2", x), f"{prefix}mix_features.", dense)


def mixer(s: State, image: Tensor) -> Tensor:
    x = patches(s, image)
    for l in range(2):
        x = mixer_block(s, x, f"block.{l}.")
    return linear(s, "head", layer_norm(s, "norm", x).mean(1))


CASES += [
    Case("vision", "VisionTransformer(8, 4, 3, 5, 2, 16, 4, 24)",
         lambda g, b=2: (real(g, b, 3, 8, 8),), vision, {"b": 3}),
    Case("vision", "MixerBlock(4, 16, 6, 24)", lambda g, b=2: (real(g, b, 4, 16),), mixer_block),
    Case("vision", "MixerBlock(4, 16, 6, 24, dense = false, sites = 2, rank = 3)",
         lambda g, b=2: (real(g, b, 4, 16),), lambda s, x: mixer_block(s, x, dense=False)),
    Case("vision", "MLPMixer(8, 4, 3, 5, 2, 16, 6, 24)", lambda g, b=2: (real(g, b, 3, 8, 8),),
         mixer),
]  # fmt: skip


def convolved(s: State, part: str, x: Tensor, stride: int = 1) -> Tensor:
    """A dense convolution without bias, or the one that the factors of a Tucker-2 are."""
    if f"{part}.weight" in set(s):
        kernel = s[f"{part}.weight"]
    else:
        u, core, v = (s[f"{part}.{name}"] for name in ("U", "Core", "V"))
        kernel = torch.einsum("pi,qpxy,oq->oixy", u, core, v)
    return functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)


def residual(s: State, x: Tensor, prefix: str = "", stride: int = 1, count: int = 2) -> Tensor:
    """A block of `count` convolutions; the stride is that of the first of 3 x 3."""
    y = x
    for k in range(1, count + 1):
        here = stride if k == count - 1 else 1
        y = batch_norm(s, f"{prefix}bn{k}", convolved(s, f"{prefix}conv{k}", y, here))
        y = functional.relu(y) if k < count else y
    if any(key.startswith(f"{prefix}down") for key in s):
        x = convolved(s, f"{prefix}down", x, stride)
        x = batch_norm(s, f"{prefix}bn_down", x)
    return functional.relu(x + y)


def stage(s: State, x: Tensor, prefix: str = "", stride: int = 2, count: int = 2) -> Tensor:
    for k in range(2):
        x = residual(s, x, f"{prefix}block.{k}.", stride if k == 0 else 1, count)
    return x


def resnet(s: State, x: Tensor, count: int = 2) -> Tensor:
    x = functional.relu(batch_norm(s, "bn1", convolved(s, "conv1", x, 2)))
    x = functional.max_pool2d(x, 3, 2, 1)
    for k in range(2):
        x = stage(s, x, f"stage.{k}.", k + 1, count)
    return linear(s, "fc", x.mean((-2, -1)))


CASES += [
    Case("resnet", target, lambda g, h=17, w=19, c=channels: (real(g, 2, c, h, w),), twin,
         {"h": 13, "w": 11})
    for target, channels, twin in (
        ("BasicBlock(6)", 6, residual),
        ("BasicBlock(6, 8, 2, dense = false, share = 2)", 6,
         lambda s, x: residual(s, x, stride=2)),
        ("Bottleneck(8, 2)", 8, lambda s, x: residual(s, x, count=3)),
        ("Bottleneck(8, 4, 12, 2, dense = false, share = 2)", 8,
         lambda s, x: residual(s, x, stride=2, count=3)),
        ("ResNetStage(6, 8, 2, 2)", 6, stage),
        ("ResNet([2, 2], [6, 8], channels = 3, classes = 5)", 3, resnet),
        ("ResNet([2, 2], [4, 6], bottleneck = true, classes = 5, dense = false)", 3,
         lambda s, x: resnet(s, x, 3)),
    )
]  # fmt: skip
