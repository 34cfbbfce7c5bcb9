"""Biases of networks whose last step is a convolution: part of the call where they can be."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.support.brute_force import close
from tests.support.windows import (
    Convolution,
    biased,
    dense,
    depthwise,
    grouped,
    meaning,
    tucker2,
    window,
)
from tncompile.lowering import lower
from tncompile.network.windows import Window
from tncompile.program.interpreter import run_program
from tncompile.program.operations import Add, Convolve, MatMul

PLAIN = [window("h", 3, stride=2, padding=1), window("w", 2)]
CIRCULAR = [window("h", 3, padding=1, mode="circular")]
TRANSPOSED = [window("h", 3, stride=2, padding=1, extra=1, transposed=True)]
CROPPED = [window("h", 3, left=2, transposed=True)]

CASES = {
    "dense": (dense(PLAIN), 0, "o", Convolve),
    "circular": (dense(CIRCULAR), 0, "o", Convolve),
    "transposed": (dense(TRANSPOSED), 0, "o", Convolve),
    "cropped": (dense(CROPPED), 0, "o", Add),  # the last step is not the convolution
    "one channel": (dense(PLAIN, (4, 1)), 0, "o", Convolve),
    "depthwise": (depthwise(PLAIN), 0, "i", Convolve),
    "groups": (grouped(PLAIN), 0, "go", Convolve),
    "groups turned": (grouped(PLAIN), 0, "og", Convolve),
    "of a group": (grouped(PLAIN), 0, "o", Add),  # repeated along the groups, not one vector
    "kernel first": (tucker2(PLAIN), 1, "o", Convolve),
}


@pytest.mark.parametrize(("made", "order", "legs", "kind"), CASES.values(), ids=CASES)
def test_who_adds_the_bias(
    made: Convolution, order: int, legs: str, kind: type[Add | Convolve | MatMul]
) -> None:
    network = biased(made.network, *legs)
    tree = made.trees()[order]
    parameters = random_parameters(made, network.parameter["c"].shape)
    program = lower(network, tree)
    operations = [step.operation for step in program.steps]
    adding = [
        type(each)
        for each in operations
        if isinstance(each, Add) or (isinstance(each, Convolve | MatMul) and each.bias is not None)
    ]
    assert adding == [kind]
    x = torch.randn(5, *image_shape(made.network.windows, made), dtype=torch.float64)
    for given in (x, x.transpose(0, -1).contiguous().transpose(0, -1)):
        value = run_program(network, program, parameters, {"x": given})
        assert isinstance(value, Tensor)
        close(value, meaning(network, parameters, x))


def random_parameters(made: Convolution, bias: tuple[int, ...]) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(0)
    shapes = {parameter.key: parameter.shape for parameter in made.network.parameters}
    return {
        key: torch.randn(shape, dtype=torch.float64, generator=rng)
        for key, shape in (shapes | {"c": bias}).items()
    }


def image_shape(windows: tuple[Window, ...], made: Convolution) -> list[int]:
    lengths = iter(range(5, 5 + len(windows)))
    axes = made.network.inputs[0].axes
    return [axis.length or next(lengths) for axis in axes if axis.kind == "legs"]
