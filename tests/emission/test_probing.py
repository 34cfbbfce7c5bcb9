"""Folded modules of tensors that are used more than once: `weight` and `bias` by unit vectors."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import tncompile

LEADS = {"...": "", "t": "batch t", "..., t": "batch t", "": ""}

MAPS = """
network Linear() {{
  {batch}
  index  i[k in 0..2] = 3, o[k in 0..2] = 2
  bond   b = 2
  input  x({lead} (i[*]))
  tensor G[k in 0..2](b, i[k], o[k]) share k
  bias   c((o[*]))
  output y({lead} (o[*]))
}}
network Bilinear() {{
  {batch}
  index  i = 3, j = 3, o = 2
  hyper  b = 2
  input  x({lead} i)
  input  z({lead} j)
  tensor A(i, b)
  tensor B(j, b) tie A
  tensor C(b, o)
  bias   c(o)
  output y({lead} o)
}}
network Words() {{
  {batch}
  index  v[k in 0..2] = 3, e = 2
  input  ids({lead} onehot(v[*]) as 7)
  tensor G[k in 0..2](v[k], e) share k
  output y({lead} e)
}}
"""

CONVOLUTION = """
network Convolution(stride: int = 1, padding: int = 0, dilation: int = 1) {{
  window h = conv(3, stride, padding, dilation{mode}), w = conv(2, stride, padding{mode})
  {batch}
  index  g = {groups}, i[k in 0..2] = 2, o[k in 0..2] = 3
  bond   b[k in 0..3] = 2
  input  x({lead} (g, i[*]), h.{first}, w.{first})
  tensor G[k in 0..2](b[k], i[k], o[k], b[k + 1], g) share k
  tensor K(b[0], b[2], h.kernel, w.kernel)
  bias   c(g, o[*])
  output y({lead} (g, o[*]), h.{last}, w.{last})
}}
"""


def drawn(text: str, name: str, **arguments: int) -> nn.Module:
    """A module, its bias no longer zero."""
    arch = tncompile.loads(text).instantiate(name, **arguments)
    made = arch.module(search="fast", seed=0, dtype=torch.float64)
    torch.manual_seed(1)
    for tensor in made.state_dict().values():
        tensor.normal_()
    return made


@pytest.mark.parametrize(
    ("lead", "name"),
    [
        ("t", "Linear"), ("", "Linear"), ("..., t", "Bilinear"), ("", "Bilinear"), ("t", "Words"),
    ],
)  # fmt: skip
def test_maps_behind_any_batch_axes(lead: str, name: str) -> None:
    module = drawn(MAPS.format(batch=LEADS[lead], lead=f"{lead}," * bool(lead)), name)
    folded = module.fold()
    torch.testing.assert_close(folded.weight, module.weight)
    if name != "Words":
        torch.testing.assert_close(folded.bias, module.bias)


def convolution(
    lead: str = "...", groups: int = 2, mode: str = "", transposed: bool = False, **numbers: int
) -> nn.Module:
    """A convolution whose channels are a chain of one tensor, used twice."""
    first, last = ("out", "in") if transposed else ("in", "out")
    text = CONVOLUTION.format(
        batch=LEADS[lead], lead=f"{lead}," * bool(lead), groups=groups, first=first, last=last,
        mode=f', mode = "{mode}"' * bool(mode),
    )  # fmt: skip
    return drawn(text, "Convolution", **numbers)


@pytest.mark.parametrize(
    ("lead", "groups", "transposed", "numbers"),
    [
        ("...", 1, False, (1, 0, 1)), ("..., t", 2, False, (3, 2, 2)), ("", 2, False, (2, 1, 1)),
        ("...", 1, True, (2, 1, 1)), ("t", 2, True, (3, 2, 2)),
    ],
)  # fmt: skip
def test_kernels_of_convolutions(
    lead: str, groups: int, transposed: bool, numbers: tuple[int, int, int]
) -> None:
    stride, padding, dilation = numbers
    module = convolution(
        lead, groups, transposed=transposed, stride=stride, padding=padding, dilation=dilation
    )
    folded = module.fold()
    torch.testing.assert_close(folded.weight, module.weight)
    torch.testing.assert_close(folded.bias, module.bias)


@pytest.mark.parametrize("mode", ["circular", "reflect"])
def test_modes_of_padding_do_not_reach_the_kernel(mode: str) -> None:
    module = convolution(mode=mode, stride=2, padding=3)
    torch.testing.assert_close(module.fold().weight, module.weight)


def test_a_folded_convolution_is_that_of_torch() -> None:
    folded = convolution(stride=2, padding=1).fold()
    x = torch.randn(2, 8, 7, 6, dtype=torch.float64)
    due = functional.conv2d(x, folded.weight, folded.bias, stride=2, padding=1, groups=2)
    torch.testing.assert_close(folded(x), due)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert folded.weight.dtype == torch.float64
