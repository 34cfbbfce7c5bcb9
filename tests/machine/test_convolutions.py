"""Convolutions in machine profiles: what is predicted, and that known costs are found again."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.ideal_machine import CALL, convolution_cost, ideal
from tncompile.machine.call_probes import Key
from tncompile.machine.convolution import (
    PASSES,
    Convolution,
    ConvolutionPass,
    expected_costs,
    kernel_for,
)
from tncompile.machine.convolution_probes import convolution_costs, convolution_probes
from tncompile.machine.datasheet import FLOPS, nominal_cuda
from tncompile.machine.profile import BUILTIN, MachineProfile

SIZES = st.integers(1, 512)


def seconds(
    profile: MachineProfile,
    which: ConvolutionPass = "forward",
    *,
    rows: int = 16,
    groups: int = 1,
    channels: tuple[int, int] = (64, 64),
    kernel: int = 3,
    length: int = 14,
    last: bool = True,
    transposed: bool = False,
) -> float:
    """Those of a convolution along two axes."""
    lengths = (length, length)
    sizes = Convolution(rows, groups, *channels, (kernel, kernel), lengths, lengths, transposed)
    return profile.convolution_seconds(which, sizes, channels_last=last)


@pytest.mark.parametrize("profile", [BUILTIN, nominal_cuda()], ids=lambda held: held.name)
@given(SIZES, SIZES, SIZES, SIZES, st.integers(1, 7), st.integers(1, 64), st.booleans())
def test_predictions_are_sane_everywhere(
    profile: MachineProfile,
    rows: int,
    groups: int,
    summed: int,
    columns: int,
    kernel: int,
    length: int,
    last: bool,
) -> None:
    for which in PASSES:
        taken = seconds(
            profile, which, rows=rows, groups=groups, channels=(summed, columns), kernel=kernel,
            length=length, last=last,
        )  # fmt: skip
        work = 2.0 * rows * groups * summed * columns * kernel**2 * length**2
        assert 0 < taken < math.inf
        assert work / taken < (FLOPS if profile.overlaps else 400e9)


def test_formats_are_ordered_as_measured() -> None:
    """A large image is copied twice in row-major order, and so is a depthwise one."""
    for which in PASSES:
        wide = {"channels": (64, 8), "kernel": 1, "length": 56}
        assert seconds(BUILTIN, which, last=True, **wide) < seconds(  # type: ignore[arg-type]
            BUILTIN,
            which,
            last=False,
            **wide,  # type: ignore[arg-type]
        )
        deep = [
            seconds(BUILTIN, which, groups=64, channels=(1, 1), length=28, last=last)
            for last in (True, False)
        ]
        assert deep[0] < 0.8 * deep[1]


def test_a_transposed_one_is_the_gradient_of_another() -> None:
    forward = seconds(BUILTIN, "forward", channels=(16, 64), transposed=True)
    assert forward == seconds(BUILTIN, "input", channels=(64, 16))
    gradient = seconds(BUILTIN, "input", channels=(16, 64), transposed=True)
    assert gradient == seconds(BUILTIN, "forward", channels=(64, 16))


def test_few_channels_waste_most_of_a_block() -> None:
    narrow, whole = (seconds(BUILTIN, channels=(64, n), length=28) for n in (2, 16))
    assert narrow > 0.8 * whole


def test_small_images_are_no_call_of_onednn() -> None:
    small = Convolution(1, 1, 16, 16, (3, 3), (14, 14), (14, 14))
    assert kernel_for(small, "forward", small.in_onednn(4, 2)) == "columns"
    assert kernel_for(small, "forward", replace(small, rows=2).in_onednn(4, 2)) == "dense"
    assert not replace(small, rows=64).in_onednn(8, 2)
    assert replace(small, rows=16, kernel=(1, 1)).in_onednn(4, 1)
    assert not replace(small, rows=2, kernel=(1, 1)).in_onednn(4, 1)


def test_known_costs_are_found_again() -> None:
    found: dict[Key, float] = {probe.key: ideal(probe) for probe in convolution_probes("cpu")}
    costs = convolution_costs(found, "cpu", lambda name, point, _: found[name, point] - CALL)
    assert {(c.kernel, c.channels_last, c.which) for c in costs} == expected_costs(columns=True)
    for cost in costs:
        due = convolution_cost(cost.kernel, cost.channels_last, cost.which)
        if cost.kernel in ("dense", "depthwise", "columns"):
            assert cost.start == pytest.approx(due.start, rel=0.05)
            assert cost.product == pytest.approx(due.product, rel=0.05)
            assert cost.number == pytest.approx(due.number, rel=0.05)


def test_every_cost_is_there() -> None:
    with pytest.raises(ValueError, match="`convolutions` lacks columns"):
        replace(BUILTIN, convolutions=nominal_cuda().convolutions)
    with pytest.raises(ValueError, match="positive"):
        replace(BUILTIN.convolutions[0], product=-1.0)
