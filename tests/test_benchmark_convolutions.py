"""Who convolves in the benchmarks computes one map; nothing here looks at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from time import sleep

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from benchmarks.__main__ import arguments, selected
from benchmarks.byhand import convolutions, train_convolutions
from benchmarks.byhand.convolutions import AFTER_A_CONVOLUTION, LAYOUTS, Kernel, Layout, Steps
from benchmarks.contract import Kind, Mode, Run, Workload
from benchmarks.measuring import seconds
from benchmarks.neighbors import Patience
from benchmarks.reporting import report
from benchmarks.results import Results, machine
from benchmarks.running import Effort, run_case
from benchmarks.workloads import ALL, conv_chain, conv_cp, conv_separable, conv_tt, conv_tucker2

EFFORT = Effort(0.0, memory=False, bfloat16=False, tries=1, patience=Patience(0.0), square=64)
INSTALLED = (Kind.OURS, Kind.HAND, Kind.DENSE)
SMALL = {
    workload.name: workload
    for module in (conv_tucker2, conv_cp, conv_tt, conv_chain, conv_separable)
    for workload in (module.WORKLOADS[-1],)
}
"""The last of each kind: 512 channels on an image of 7 x 7."""


def draw(*shape: int) -> Tensor:
    """Standard normal numbers in float64, the same for the same shape."""
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_()


TUCKER = (draw(2, 6), draw(3, 2, 3, 3), draw(8, 3))
CP = (draw(4, 6), draw(4, 3), draw(4, 3), draw(8, 4))
CHAIN = (draw(6, 2), draw(2, 3, 3), draw(3, 3, 4), draw(4, 8))
TRAIN = (draw(3, 3, 2), draw(2, 2, 4, 3), draw(3, 3, 2))
SEPARABLE = (draw(6, 1, 3, 3), draw(8, 6, 1))
STEPS = [
    (convolutions.tucker, TUCKER, "ai,bahw,ob->oihw", LAYOUTS),
    (convolutions.cp, CP, "ri,rh,rw,or->oihw", LAYOUTS),
    (convolutions.cp_in_one, CP, "ri,rh,rw,or->oihw", LAYOUTS),
    (convolutions.train, CHAIN, "ia,ahb,bwc,co->oihw", LAYOUTS),
    (convolutions.train_in_one, CHAIN, "ia,ahb,bwc,co->oihw", LAYOUTS),
    (train_convolutions.kernel_last, TRAIN, "hwa,aipb,bjq->pqijhw", LAYOUTS),
    (train_convolutions.kernel_first, TRAIN, "hwa,aipb,bjq->pqijhw", AFTER_A_CONVOLUTION),
    (convolutions.separable, SEPARABLE, "imhw,oim->oihw", AFTER_A_CONVOLUTION),
]


def dense(leaves: Sequence[Tensor], equation: str, stride: int, x: Tensor) -> Tensor:
    """The convolution with the whole kernel, 6 channels to 8."""
    return conv2d(x, torch.einsum(equation, *leaves).reshape(8, 6, 3, 3), None, stride, 1)


def compare(run: Run, leaves: Sequence[Tensor], equation: str, stride: int) -> None:
    """Output and gradients as those of the dense convolution."""
    x = draw(2, 6, 5, 4)
    due, found = dense(leaves, equation, stride, x), run(x)
    torch.testing.assert_close(found, due)
    weight = torch.randn(due.shape, dtype=due.dtype)
    wanted = torch.autograd.grad(due, (x, *leaves), weight)
    torch.testing.assert_close(torch.autograd.grad(found, (x, *leaves), weight), wanted)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("format_steps", "leaves", "equation", "layouts"), STEPS)
def test_steps_by_hand(
    format_steps: Callable[..., Steps],
    leaves: tuple[Tensor, ...],
    equation: str,
    layouts: dict[str, Layout],
    stride: int,
) -> None:
    factors = partial(format_steps, stride=stride)
    for layout in layouts.values():
        compare(convolutions.in_steps(leaves, factors, layout), leaves, equation, stride)
        with torch.no_grad():
            folded = convolutions.folded_steps(leaves, factors, layout)
            x = draw(2, 6, 5, 4)
            torch.testing.assert_close(folded(x), dense(leaves, equation, stride, x))


@pytest.mark.parametrize("stride", [1, 2])
def test_cores_by_hand(stride: int) -> None:
    for build in (train_convolutions.core_by_core, train_convolutions.core_by_core_backward):
        compare(build(TRAIN, stride), TRAIN, "hwa,aipb,bjq->pqijhw", stride)


def test_layouts_are_what_they_are_called() -> None:
    """Row-major images stay so, and a product that changes the layout makes no copy."""
    x, matrix = torch.randn(2, 6, 5, 4), torch.randn(6, 8)
    assert convolutions.as_columns(x, matrix).is_contiguous()
    rows = convolutions.to_rows(x, matrix)
    assert rows.is_contiguous(memory_format=torch.channels_last)
    assert convolutions.to_columns(rows, matrix.new_ones(8, 3)).is_contiguous()
    held = convolutions.as_rows(convolutions.to_channels_last(x), matrix)
    assert held.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(held, convolutions.as_columns(x, matrix))


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("name", SMALL)
def test_a_case(name: str, mode: Mode) -> None:
    found, omitted = run_case(SMALL[name], 1, mode, EFFORT, INSTALLED)
    assert omitted == []
    assert {m.kind for m in found} == set(INSTALLED)
    assert {"nn.Conv2d", "nn.Conv2d, channels-last", "tncompile"} <= {m.contender for m in found}
    assert all(m.flops > 0 for m in found)


def test_peers_agree() -> None:
    pytest.importorskip("tltorch")
    pytest.importorskip("tednet")
    for workload in SMALL.values():
        peers = {c.name for c in workload.contenders if c.kind is Kind.PEER}
        light = replace(
            workload, contenders=tuple(c for c in workload.contenders if c.name in peers)
        )
        found, _ = run_case(light, 1, Mode.TRAINING, EFFORT)
        assert peers <= {m.contender for m in found}


def test_all_kinds_and_sizes() -> None:
    """Four stages at half and an eighth of the channels, one case with a stride in each kind."""
    for kind in ("tucker2", "cp", "chain"):
        names = {workload.name for workload in ALL if workload.name.startswith(f"conv-{kind}-")}
        for channels in (64, 128, 256, 512):
            assert f"conv-{kind}-{channels}-r{channels // 2}" in names
            assert f"conv-{kind}-{channels}-r{channels // 8}" in names
        assert any(name.endswith("-s2") for name in names)
    assert all(w.batches == (1, 16, 64) for w in ALL if w.name.startswith("conv-"))


def test_a_quick_run_takes_patterns_in_part() -> None:
    def picked(*given: str) -> list[tuple[Workload, int]]:
        return list(selected(arguments(["--quick", *given])))

    some = picked("--only", "conv-*")
    assert 0 < len(some) < 20
    assert all(batch in workload.quick for workload, batch in some)
    name = "conv-separable-512"
    assert [batch for _, batch in picked("--only", name)] == [1, 16, 64]


def test_report_of_convolutions() -> None:
    found, _ = run_case(SMALL["conv-tucker2-512-r64"], 16, Mode.INFERENCE, EFFORT, INSTALLED)
    page = report(Results(machine(), tuple(found)))
    assert "convolutions, × by hand at least 0.97" in page
    assert "from batch 16, × dense at least 2.00" in page


def test_one_thread_counts_its_own_time() -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert seconds(partial(sleep, 0.2), 1) < 0.1
    finally:
        torch.set_num_threads(threads)


def test_a_padded_kernel_keeps_the_size() -> None:
    x = torch.randn(1, 2, 5, 6)
    assert Kernel(torch.randn(3, 2, 3, 1), (1, 1))(x).shape == (1, 3, 5, 6)
    assert Kernel(torch.randn(2, 1, 1, 3), (1, 2), 2)(x).shape == (1, 2, 5, 3)
