"""Random tensors of a sketch, and the sum of products that they are worth."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.support.strategies import Sketch
from tncompile.network.model import DOTS

RUNTIME = {DOTS: 6, "n": 3, "m": 2}


def random_tensors(sketch: Sketch, seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Float64 parameters and inputs; `...` is given as two axes of 2 and 3."""
    rng = torch.Generator().manual_seed(seed)

    def shape(legs: tuple[str, ...]) -> list[int]:
        held: list[int] = []
        for leg in legs:
            size = sketch.sizes[leg]
            held += [2, 3] if leg == DOTS else [RUNTIME[leg] if size is None else size]
        return held

    weights = dict(sketch.weights) | ({"beta": sketch.bias} if sketch.bias else {})
    parameters = {
        name: torch.randn(shape(legs), generator=rng, dtype=torch.float64)
        for name, legs in weights.items()
    }
    inputs: dict[str, Tensor] = {}
    for name, legs in sketch.inputs.items():
        onehot = sketch.ids.get(name, ())
        held = shape(tuple(leg for leg in legs if leg not in onehot))
        classes = 1
        for leg in onehot:
            classes *= sketch.sizes[leg] or 1
        inputs[name] = (
            torch.randint(classes, held, generator=rng)
            if onehot
            else torch.randn(held, generator=rng, dtype=torch.float64)
        )
    return parameters, inputs


def brute_force(sketch: Sketch, parameters: dict[str, Tensor], inputs: dict[str, Tensor]) -> Tensor:
    """Multiply everything over all indices, then sum what the output lacks; `...` as one axis."""
    order = list(sketch.sizes)
    total = torch.ones([1] * len(order), dtype=torch.float64)
    for name, legs in (*sketch.inputs.items(), *sketch.weights.items()):
        value = parameters[name] if name in sketch.weights else inputs[name]
        onehot = sketch.ids.get(name, ())
        if onehot:
            sizes = [sketch.sizes[leg] or 1 for leg in onehot]
            classes = torch.Size(sizes).numel()
            value = torch.eye(classes, dtype=torch.float64)[value].reshape(*value.shape, *sizes)
        if DOTS in legs:
            value = value.reshape(6, *value.shape[2:])
        axes = [legs.index(leg) for leg in order if leg in legs]
        wide = [value.shape[legs.index(leg)] if leg in legs else 1 for leg in order]
        total = total * value.permute(axes).reshape(wide)
    full = [RUNTIME[leg] if sketch.sizes[leg] is None else sketch.sizes[leg] for leg in order]
    summed = [k for k, leg in enumerate(order) if leg not in sketch.output]
    result = total.expand([int(size or 1) for size in full])
    result = result.sum(summed) if summed else result
    left = [leg for leg in order if leg in sketch.output]
    result = result.permute([left.index(leg) for leg in sketch.output])
    if sketch.bias:
        bias = parameters["beta"]
        axes = [sketch.bias.index(leg) for leg in sketch.output if leg in sketch.bias]
        wide = [
            size if leg in sketch.bias else 1
            for size, leg in zip(result.shape, sketch.output, strict=True)
        ]
        result = result + bias.permute(axes).reshape(wide)
    return result


def close(value: Tensor, due: Tensor) -> None:
    """Equal to 1e-10; ids alone, without any weight, give the default dtype."""
    torch.testing.assert_close(value.double(), due.reshape(value.shape), rtol=1e-10, atol=1e-10)
