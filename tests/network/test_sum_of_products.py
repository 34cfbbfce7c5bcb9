"""The reference of networks with windows against loops, and against torch's own convolutions."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.support.sum_of_products import random_tensors, sum_of_products
from tests.support.window_programs import network_of


def _network(arguments: str, *, transposed: bool = False) -> str:
    first, last = ("out", "in") if transposed else ("in", "out")
    return f"""network N() {{
      window h = conv({arguments})
      index i = 3, o = 2
      input x(..., i, h.{first})
      tensor A(o, i, h.kernel)
      output y(..., o, h.{last})
    }}"""


def _made(text: str, length: int = 9) -> tuple[Tensor, Tensor, Tensor]:
    network = network_of(text)
    leg = network.windows[0].input_leg
    parameters, inputs = random_tensors(network, 1, {leg: length}, leading=(4,))
    return sum_of_products(network, parameters, inputs), parameters["A"], inputs["x"]


@pytest.mark.parametrize(
    ("size", "stride", "dilation", "padding"),
    [*itertools.product((1, 3, 4), (1, 2), (1, 2), (0, 2))],
)
def test_it_is_torchs_convolution(size: int, stride: int, dilation: int, padding: int) -> None:
    numbers = f"size = {size}, stride = {stride}, dilation = {dilation}, padding = {padding}"
    made, weight, x = _made(_network(numbers))
    due = functional.conv1d(x, weight, None, stride, padding, dilation)
    torch.testing.assert_close(made, due, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("word", ["same", "valid"])
def test_words_for_paddings_are_torchs(size: int, word: str) -> None:
    made, weight, x = _made(_network(f'{size}, dilation = 2, padding = "{word}"'))
    due = functional.conv1d(x, weight, padding=word, dilation=2)
    torch.testing.assert_close(made, due, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["circular", "reflect", "replicate"])
@pytest.mark.parametrize(("left", "right"), [(0, 2), (2, 1), (3, 3)])
def test_modes_are_torchs(mode: str, left: int, right: int) -> None:
    made, weight, x = _made(_network(f'3, padding = [{left}, {right}], mode = "{mode}"'))
    due = functional.conv1d(functional.pad(x, (left, right), mode=mode), weight)
    torch.testing.assert_close(made, due, rtol=1e-12, atol=1e-12)


def test_causal_entries_depend_on_those_before_them() -> None:
    made, weight, x = _made(_network('3, dilation = 2, padding = "causal"'))
    due = functional.conv1d(functional.pad(x, (4, 0)), weight, dilation=2)
    torch.testing.assert_close(made, due, rtol=1e-12, atol=1e-12)
    assert made.shape == (4, 2, 9)


@pytest.mark.parametrize(
    ("size", "stride", "dilation", "padding", "extra"),
    [(3, 1, 1, 0, 0), (3, 2, 1, 1, 1), (4, 3, 2, 2, 2), (2, 2, 1, 0, 1), (1, 2, 1, 0, 0)],
)
def test_it_is_torchs_transposed_convolution(
    size: int, stride: int, dilation: int, padding: int, extra: int
) -> None:
    numbers = f"{size}, stride = {stride}, dilation = {dilation}, padding = {padding}"
    made, weight, x = _made(_network(f"{numbers}, extra = {extra}", transposed=True))
    due = functional.conv_transpose1d(
        x, weight.movedim(0, 1), None, stride, padding, extra, 1, dilation
    )
    torch.testing.assert_close(made, due, rtol=1e-12, atol=1e-12)


def test_groups_flattened_axes_and_a_bias() -> None:
    network = network_of("""network N() {
      window h = conv(3, padding = 1), w = conv(3, padding = 1)
      index g = 2, i = 3, o = 4
      input x(..., (g i), h.in, w.in)
      tensor K(g, o, i, h.kernel, w.kernel)
      bias c(g, o)
      output y(..., (g o), h.out, w.out)
    }""")
    parameters, inputs = random_tensors(network, 2, leading=(2,))
    weight, bias = parameters["K"].flatten(0, 1), parameters["c"].flatten()
    due = functional.conv2d(inputs["x"], weight, bias, padding=1, groups=2)
    made = sum_of_products(network, parameters, inputs)
    torch.testing.assert_close(made, due, rtol=1e-12, atol=1e-12)


def test_the_kernel_of_one_window_on_two_tensors_is_their_product() -> None:
    network = network_of("""network N() {
      window h = conv(3)
      input x(..., h.in)
      tensor A(h.kernel)
      tensor B(h.kernel)
      output y(..., h.out)
    }""")
    parameters, inputs = random_tensors(network, 3, leading=(2,))
    weight = (parameters["A"] * parameters["B"])[None, None]
    due = functional.conv1d(inputs["x"][:, None], weight)[:, 0]
    made = sum_of_products(network, parameters, inputs)
    torch.testing.assert_close(made, due, rtol=1e-12, atol=1e-12)
