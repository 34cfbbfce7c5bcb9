"""The sum of products of an acceptance case, written out in float64 and contracted by opt_einsum.

A case is one object of a `NAME.json` beside `NAME.tn`:

    file, block, arguments   what to instantiate
    inputs                   see below
    parameters               state-dict key -> shape
    frozen                   the keys among them that are buffers (left out: none)
    operands                 [key, input, or "input@k" for slice k of a bound axis, [labels]]; a
                             label may be on any number of operands; a shared or tied parameter
                             appears once a use
    result, output_shape     the labels of the output with flattened axes split, and the shape that
                             `forward` returns
    uncut_shape              the shape before flattened axes are cut to their width, where they are
    bias                     null or {key: labels}
    windows                  see below (left out: none)

An input has

    name
    shape                    as `forward` takes it
    padded                   its shape after padding with zeros, where it is padded
    dtype                    "float", or "int": then `high` (ids are in [0, high)) and `classes`,
                             the size of the one-hot axis, where that is more
    view                     its shape with every flattened axis split
    legs                     a label an axis of the view; a bound axis has the label "@"

A window has

    legs                     the labels of the input, of the kernel and of the output
    length, size             entries of the input and of the kernel
    stride, dilation, left, right, mode, transposed, extra
                             left out: 1, 1, 0, 0, "zeros", false, 0
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import opt_einsum
import torch
from torch import Tensor

Case = dict[str, Any]


def cases(folder: Path) -> list[tuple[str, Case]]:
    """Every case below `folder`, named `file[k]`, in name order."""
    found: list[tuple[str, Case]] = []
    for path in sorted(folder.glob("*.json")):
        held = json.loads(path.read_text(encoding="utf-8"))
        for k, case in enumerate(held if isinstance(held, list) else [held]):
            found.append((f"{path.stem}[{k}]", case))
    return found


def random_tensors(case: Case, seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Float64 parameters by state-dict key and inputs by name, scaled to keep results ordinary.

    In long chains the square tensors start near the identity along their outer axes and the inputs
    near one, so that a product of hundreds stays of order one.
    """
    rng = torch.Generator().manual_seed(seed)
    long = len(case["operands"]) > 40
    parameters: dict[str, Tensor] = {}
    for key, shape in case["parameters"].items():
        noise = torch.randn(shape, generator=rng, dtype=torch.float64)
        scale = max(1.0, math.prod(shape)) ** 0.5 / max([1.0, *map(float, shape)]) ** 0.5
        parameters[key] = noise / max(1.0, scale) ** (1.0 if len(shape) > 1 else 0.0)
    if long:
        for key, shape in case["parameters"].items():
            if len(shape) == 3 and shape[0] == shape[2]:
                eye = torch.eye(shape[0], dtype=torch.float64)[:, None, :].expand(shape)
                noise = torch.randn(shape, generator=rng, dtype=torch.float64)
                parameters[key] = eye / shape[1] + 0.02 * noise
    inputs: dict[str, Tensor] = {}
    for given in case["inputs"]:
        if given.get("dtype", "float") == "int":
            inputs[given["name"]] = torch.randint(given["high"], given["shape"], generator=rng)
        else:
            noise = torch.randn(given["shape"], generator=rng, dtype=torch.float64)
            inputs[given["name"]] = 1.0 + 0.3 * noise if long else noise
    return parameters, inputs


def reference(case: Case, parameters: dict[str, Tensor], inputs: dict[str, Tensor]) -> Tensor:
    """The output, of shape `output_shape`, differentiable in parameters and float inputs."""
    tensors: dict[str, Tensor] = dict(parameters)
    for given in case["inputs"]:
        x = inputs[given["name"]]
        if given.get("dtype", "float") == "int":
            classes = given.get("classes", given["high"])
            x = torch.nn.functional.one_hot(x, classes).to(torch.float64)
        if "padded" in given:
            missing = [more - held for more, held in zip(given["padded"], x.shape, strict=True)]
            sides = [side for count in reversed(missing) for side in (0, count)]
            x = torch.nn.functional.pad(x, sides)
        x = x.reshape(given["view"])
        tensors[given["name"]] = x
        if "@" in given["legs"]:
            axis = given["legs"].index("@")
            for k, part in enumerate(x.unbind(axis)):
                tensors[f"{given['name']}@{k}"] = part
    interleaved: list[Any] = []
    for key, labels in case["operands"]:
        interleaved += [tensors[key], labels]
    for window in case.get("windows", ()):
        interleaved += [_delta(**{k: v for k, v in window.items() if k != "legs"}), window["legs"]]
    result = opt_einsum.contract(*interleaved, case["result"], optimize="greedy")
    for key, labels in (case["bias"] or {}).items():
        sizes = zip(result.shape, case["result"], strict=True)
        shape = [size if label in labels else 1 for size, label in sizes]
        order = [labels.index(label) for label in case["result"] if label in labels]
        result = result + parameters[key].permute(order).reshape(shape)
    if "uncut_shape" in case:
        kept = tuple(slice(width) for width in case["output_shape"])
        result = result.reshape(case["uncut_shape"])[kept]
    return result.reshape(case["output_shape"])


def _delta(
    length: int,
    size: int,
    stride: int = 1,
    dilation: int = 1,
    left: int = 0,
    right: int = 0,
    mode: str = "zeros",
    transposed: bool = False,
    extra: int = 0,
) -> Tensor:
    """A window as zeros and ones over the entries of the input, the kernel and the output."""
    reach = dilation * (size - 1)
    if transposed:
        out = (length - 1) * stride - left - right + reach + 1 + extra
    else:
        out = (length + left + right - reach - 1) // stride + 1
    # The entry of the padded input that holds each entry of the input, before it is padded.
    source = {
        "zeros": list(range(length)),
        "circular": [p % length for p in range(-left, length + right)],
        "replicate": [min(max(p, 0), length - 1) for p in range(-left, length + right)],
        "reflect": [length - 1 - abs(length - 1 - abs(p)) for p in range(-left, length + right)],
    }[mode]
    shift = left if mode == "zeros" else 0
    made = torch.zeros(length, size, out, dtype=torch.float64)
    for q in range(out):
        for k in range(size):
            for place, p in enumerate(source):
                if transposed:
                    made[p, k, q] += p * stride + k * dilation - left == q
                else:
                    made[p, k, q] += q * stride + k * dilation - shift == place
    return made
