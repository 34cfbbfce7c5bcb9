"""Moments of convolutions with many inputs: one for channels, one for each axis of the kernel."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from tests.tensorizing.calibrating.models import CONVOLUTIONS, same
from tests.tensorizing.networks import random_weight
from tncompile import Moments, calibrate


@pytest.mark.parametrize("name", ["padded", "dilated", "same"])
@pytest.mark.parametrize("batch", [True, False])
def test_a_convolution_with_many_inputs(
    name: str, batch: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The moments of its axes are partial traces of the moment of all."""
    conv = CONVOLUTIONS[name]
    x = random_weight(3, conv.in_channels, 9, 8, seed=1).float()
    data = [x] if batch else list(x)
    whole = calibrate(conv, data).layers[""]
    monkeypatch.setattr("tncompile.tensorizing.calibrating.layers.LARGEST", 5)
    calibrate(conv, data, file=tmp_path / "m.safetensors")
    moments = Moments.load(tmp_path / "m.safetensors")
    sums = moments.layers[""]
    shape = tuple(conv.weight.shape[1:])
    assert sums.layer.axes == shape
    assert (sums.inputs.numel(), int(sums.rows)) == (0, int(whole.rows))
    torch.testing.assert_close(sums.outputs, whole.outputs)
    split = whole.inputs.reshape(*shape, *shape)
    for axis, found in enumerate(sums.axes):
        letters = ["abc", "abc"]
        letters[1] = letters[1].replace("abc"[axis], "x")
        due = torch.einsum(f"{''.join(letters)}->{'abc'[axis]}x", split)
        torch.testing.assert_close(found, due, rtol=1e-4, atol=1e-4 * float(due.trace()))
    same(moments + moments, calibrate(conv, [*data, *data]))
    metric = moments.metric("")
    assert metric.inputs is None
    assert [tuple(each.shape) for each in metric.axes] == [(size, size) for size in shape]
    due = float(whole.inputs.trace() / whole.outputs.trace())
    assert math.prod(float(each.trace()) for each in metric.axes) == pytest.approx(due, rel=1e-4)


def test_no_moment_is_larger_than_its_axes() -> None:
    """A layer whose moment of all inputs would take 34 GB."""
    conv = torch.nn.Conv1d(1024, 8, 64, device="meta")
    assert Moments.bytes_needed(conv) < 80_000_000
