"""Layers of one batch axis, on any number of leading ones."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import tncompile


@pytest.mark.parametrize("lead", [(), (2,), (2, 3), (0,)], ids=str)
@pytest.mark.parametrize("axes", [(), (5,), (3, 2)], ids=str)
def test_group_norm_has_its_channels_behind_the_dots(
    lead: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    legs = ", ".join(map(str, (8, *axes)))
    text = f"model M() {{\n  part p = GroupNorm(2, 8)\n  input x(..., {legs})\n  output p(x)\n}}"
    module = tncompile.loads(text).instantiate("M").module(seed=0)
    nn.init.normal_(module.get_parameter("p.weight"))
    x = torch.randn(*lead, 8, *axes)
    norm = module.get_submodule("p")
    torch.testing.assert_close(module(x), norm(x.reshape(-1, 8, *axes)).reshape(x.shape))
