"""CUDA devices: their profile, what it decides; what runs there, where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import tncompile
from tests.support import small_networks as small
from tests.support.ideal_machine import CALL, RATE, ideal
from tests.support.modules import ALL, Subject, tensors
from tncompile.cli.application import run
from tncompile.emission.loading import placed
from tncompile.lowering import lower
from tncompile.machine import calibration as calibrating
from tncompile.machine.datasheet import BANDWIDTH, FLOPS, nominal_cuda
from tncompile.machine.fitting import fit
from tncompile.machine.probes import SIZES, probes
from tncompile.machine.profile import CUDA, MachineProfile, read_profile, write_profile
from tncompile.machine.registry import builtin_for, find_profile
from tncompile.planning import BUILTIN, plan
from tncompile.planning.lock import Lock
from tncompile.planning.request import plan_request
from tncompile.simulation.kernels import KernelModel
from tncompile.simulation.trace import trace
from tncompile.tuning.timing import time_in_turn

TRAIN = "MPO(ins = [4, 6], outs = [6, 4], ranks = 3)"


def train() -> tncompile.Architecture:
    """A small tensor train of its own."""
    return tncompile.load("std/linear.tn").instantiate(TRAIN)


# ── the profile ─────────────────────────────────────────────────────────────────────────────────


def test_the_nominal_profile_keeps_to_the_data_sheet() -> None:
    profile = find_profile(CUDA)
    assert profile is nominal_cuda()
    assert "not measured" in profile.fitted_on
    for side in (64, 1024, 16384):
        taken = profile.product_seconds(1, side, side, side)
        assert 2 * side**3 / taken < FLOPS
    assert 2 * 8192**3 / profile.product_seconds(1, 8192, 8192, 8192) > 0.6 * FLOPS
    assert 2**30 / profile.pass_seconds(2**30) < BANDWIDTH
    assert profile.copy_seconds(2**26, 4) > 3 * profile.copy_seconds(2**26, 256)


def test_long_batches_keep_a_device_busy() -> None:
    profile = nominal_cuda()
    for rows, inner, columns in ((2**20, 64, 64), (64, 2**20, 64), (2**20, 16, 16)):
        wide = profile.product_seconds(1, rows, inner, columns)
        once = profile.product_seconds(1, *(min(n, 2**17) for n in (rows, inner, columns)))
        assert wide == pytest.approx(8 * once, rel=0.3)


def test_profiles_of_devices_are_stored(tmp_path: Path) -> None:
    write_profile(nominal_cuda(), tmp_path / "gpu.json")
    assert find_profile(str(tmp_path / "gpu.json")).device == CUDA
    assert read_profile(tmp_path / "gpu.json").overlaps


def test_an_unmeasured_device_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ValueError, match=r"CUDA device has not .*`tncompile calibrate --cuda`"):
        find_profile("measured-cuda")


@pytest.mark.parametrize(
    ("device", "name"),
    [(None, "builtin"), ("cpu", "builtin"), ("meta", "builtin"), ("cuda", CUDA), ("cuda:1", CUDA)],
)
def test_modules_are_planned_for_their_device(device: str | None, name: str) -> None:
    assert builtin_for(placed(device).type) == name


def test_the_default_device_counts() -> None:
    with torch.device("cuda:1"):
        assert builtin_for(placed(None).type) == CUDA


def test_the_source_says_which_profile_decided() -> None:
    assert "machine profile nominal-cuda" in train().source(machine=CUDA)
    assert "machine profile builtin-2core" in train().source()


def test_a_simple_device_is_found_again() -> None:
    sizes = SIZES[CUDA]
    found = {probe.key: ideal(probe, sizes) - CALL for probe in probes(CUDA) if not probe.overhead}
    found |= {probe.key: ideal(probe, sizes) for probe in probes(CUDA) if probe.overhead}
    profile = fit(found, "ideal", "a device of one rate", CUDA)
    assert profile.device == CUDA
    assert profile.threads == 1
    for rows, inner, columns in ((2048, 1024, 1024), (2**20, 64, 64), (64, 2**20, 64)):
        due = 2 * rows * inner * columns / RATE
        assert profile.product_seconds(1, rows, inner, columns) == pytest.approx(due, rel=0.05)
    assert profile.product_seconds(2**16, 16, 16, 16) == pytest.approx(2**29 / RATE, rel=0.05)
    assert profile.pass_seconds(2**24) == pytest.approx(2**24 / RATE, rel=0.05)


# ── what it predicts ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("batch", [1, 64, 2**20])
def test_work_runs_beside_calls(training: bool, batch: int) -> None:
    network = small.mpo([8, 8], [8, 8], 8)
    program = lower(network, plan(network, batch=64, search="fast").main.tree, sizes={"...": 64})
    traced = trace(network, program, {"...": batch}, nominal_cuda(), training=training)
    works = (*traced.forward, *traced.backward)
    calls = traced.overhead + sum(work.calls for work in works)
    kernels = sum(work.seconds - work.calls for work in works)
    assert traced.total.seconds == pytest.approx(max(calls, kernels))
    assert (calls > kernels) is (batch < 2**20), "small steps are bound by calls"


def test_calls_are_part_of_the_time_of_a_processor() -> None:
    network = small.mpo([8, 8], [8, 8], 8)
    program = lower(network, plan(network, batch=64, search="fast").main.tree, sizes={"...": 64})
    traced = trace(network, program, {"...": 64}, BUILTIN, training=True)
    total = traced.total
    works = (*traced.forward, *traced.backward)
    assert total.seconds == pytest.approx(traced.overhead + sum(work.seconds for work in works))
    assert 0 < total.calls < total.seconds


def test_operands_that_cublas_does_not_take_are_copied_at_once() -> None:
    def product(profile: MachineProfile) -> KernelModel:
        device = KernelModel(profile, 4)
        operand = device.memory.new((8, 16, 16), 4, (1, 128, 8))
        device.matmul(operand, device.memory.new((8, 16, 16), 4))
        return device

    assert product(nominal_cuda()).work.copied == 8 * 16 * 16 * 4
    assert product(nominal_cuda()).work.calls < product(BUILTIN).work.calls


def test_a_device_may_choose_otherwise() -> None:
    network = small.mpo([8, 8, 8, 8], [8, 8, 8, 8], 8)
    chosen = plan(network, batch=256, machine=nominal_cuda())
    assert all(not one.schedule.chunk_rows for one in chosen.variants), "no cache to keep parts in"
    assert any(one.schedule.chunk_rows for one in plan(network, batch=256).variants)


def test_what_was_measured_elsewhere_is_not_followed() -> None:
    network = small.mpo([4, 4], [4, 4], 3)
    here, there = plan_request(network), plan_request(network, machine="cuda")
    measured = replace(plan(network), tuned="a machine")
    lock = Lock().with_plan(network, here, measured)
    assert lock.find(network, here) == (measured, ())
    assert lock.find(network, there) == (None, ())
    assert lock.with_plan(network, there, measured).find(network, there)[0] == measured


# ── without a device ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "command", ["calibrate --cuda", "tune FILE --machine cuda", "explain-slow FILE --machine cuda"]
)
def test_no_device_is_said(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "train.tn"
    file.write_text(f'import "std/linear.tn" {{ MPO }}\nnetwork Train = {TRAIN}\n')
    assert run([str(file) if word == "FILE" else word for word in command.split()]) == 2
    shown = capsys.readouterr()
    assert "torch sees no CUDA device on this machine" in shown.err
    assert not shown.out
    assert list(tmp_path.rglob("*.json")) == list(tmp_path.rglob("*.tnlock")) == []


def test_no_device_to_tune_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="torch sees no CUDA device"):
        train().tune(4, machine=CUDA, seconds=0.01)


# ── on a device ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def cuda() -> Iterator[None]:
    """A CUDA device that multiplies in float32, or no test."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32 = before


def step(module: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    """The outputs and the gradients."""
    made = tensors(module(*inputs))
    torch.autograd.backward(made[-1], torch.ones_like(made[-1]))
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    return [one.detach().cpu() for one in (*made, *gradients)]


@pytest.mark.gpu
@pytest.mark.parametrize("subject", ALL, ids=str)
def test_devices_agree(cuda: None, subject: Subject) -> None:
    here = subject.module(torch.float64)
    there = subject.module(torch.float64, device="cuda")
    there.load_state_dict(here.state_dict())
    given = subject.inputs(3, dtype=torch.float64)
    moved = [x.cuda() for x in given]
    due = step(here, given)
    for one, other in zip(step(there, moved), due, strict=True):
        torch.testing.assert_close(one, other)
    with torch.no_grad():
        folded = tensors(there.fold()(*moved))  # type: ignore[operator]
    for one, other in zip(folded, due, strict=False):
        torch.testing.assert_close(one.cpu(), other)


@pytest.mark.gpu
def test_a_device_is_measured(
    cuda: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(calibrating, "SWEEPS", 1)
    path = tmp_path / "gpu.json"
    assert run(["calibrate", "--cuda", "-o", str(path)]) == 0
    assert "GFLOP/s" in capsys.readouterr().out
    profile = read_profile(path)
    assert profile.overlaps
    assert 2 * 1024**3 / profile.product_seconds(1, 1024, 1024, 1024) > 1e12
    tuning = train().tune((1, 512), training=True, machine=str(path), seconds=2.0)
    assert torch.cuda.get_device_name() in (tuning.plan.tuned or "")
    assert run(["explain-slow", "std/linear.tn", TRAIN, "--machine", str(path)]) == 0
    assert "of a product of 4096³" in capsys.readouterr().out


@pytest.mark.gpu
def test_times_wait_for_the_device(cuda: None) -> None:
    x = torch.randn(4096, 4096, device="cuda")
    short, long = time_in_turn([lambda: x[:8] @ x, lambda: x @ x], 0.2)
    assert long.seconds > short.seconds
