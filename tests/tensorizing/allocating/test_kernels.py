"""Tucker forms of convolutions: errors of all ranks at once, and what `allocate` makes of them."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

import tncompile
from tests.tensorizing.networks import random_weight
from tncompile import Metric, Moments, allocate, calibrate
from tncompile.tensorizing.allocating.kernels import boxes, forms, seen_kernel

BOTH = ("Tucker2Conv", "TuckerConv")


def moment(size: int, seed: int) -> torch.Tensor:
    """The second moment of a few correlated samples."""
    given = random_weight(size + 3, size, seed=seed) @ random_weight(size, size, seed=seed + 1) ** 3
    return given.mT @ given / len(given)


def smooth(out: int, into: int, length: int, rank: int, seed: int = 0) -> torch.Tensor:
    """A kernel that is a sum of a few waves along its axis, and a little noise."""
    time = torch.linspace(0, 1, length, dtype=torch.float64)
    waves = torch.stack([torch.cos(math.pi * k * time) for k in range(rank)])
    noise = 0.01 * random_weight(out, into, length, seed=seed + 1)
    return random_weight(out, into, rank, seed=seed) @ waves + noise


def test_boxes_are_truncated_hosvd() -> None:
    kernel = random_weight(4, 3, 5)
    table = boxes(kernel)
    bases = []
    for axis in range(3):
        left, _, _ = torch.linalg.svd(kernel.movedim(axis, 0).flatten(1), full_matrices=False)
        bases.append(left)
    for ranks in itertools.product(range(1, 5), range(1, 4), range(1, 6)):
        near = kernel
        for axis, (basis, rank) in enumerate(zip(bases, ranks, strict=True)):
            projector = basis[:, :rank] @ basis[:, :rank].mT
            near = torch.tensordot(near, projector, dims=([axis], [0])).movedim(-1, axis)
        due = float((kernel - near).square().sum())
        assert float(table[-1, -1, -1] - table[ranks]) == pytest.approx(due, abs=1e-9)


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("into", [1, 4])
def test_a_fit_is_as_near_as_was_said(plain: bool, into: int) -> None:
    weight = smooth(6, into, 9, 3)
    metric = None if plain else Metric(None, moment(6, 1), axes=(moment(into, 3), moment(9, 5)))
    kernel = seen_kernel(weight, metric)
    blocks = BOTH if into > 1 else BOTH[1:]
    found = list(forms(kernel, (1, 1), 1, blocks))
    assert {form.block for form in found} == {*blocks}
    counts, errors = [f.parameters for f in found], [f.error for f in found]
    assert counts == sorted(counts)
    assert errors == sorted(errors, reverse=True)
    library = tncompile.load("std/convolution.tn")
    for form in found[:: max(1, len(found) // 3)]:
        sizes: dict[str, object] = {"in_rank": form.in_rank, "out_rank": form.out_rank}
        if form.block == "TuckerConv":
            sizes["kernel_ranks"] = list(form.kernel_ranks)
        layer = {"in_channels": into, "out_channels": 6, "kernel_size": [9], "with_bias": False}
        arch = library.instantiate(form.block, **layer, **sizes)
        assert arch.network.parameter_count == form.parameters
        fit = arch.fit(weight, metric=metric)
        near = fit.error if plain else fit.metric_error
        said = math.sqrt(form.error / float(kernel.square().sum()))
        assert near is not None
        assert 0.7 * said - 1e-7 <= near <= said * (1 + 1e-6) + 1e-7


def test_a_moment_of_all_inputs_is_taken_axis_by_axis() -> None:
    weight, a, k, g = random_weight(5, 4, 3), moment(4, 1), moment(3, 2), moment(5, 3)
    whole = seen_kernel(weight, Metric(torch.kron(a, k), g, damping=1e-9))
    parts = seen_kernel(weight, Metric(None, g, damping=1e-9, axes=(a, k)))
    torch.testing.assert_close(whole, parts, rtol=1e-6, atol=1e-6)


class Ears(nn.Module):
    """Long kernels: one of few waves, one of noise; what the last hears is mostly its border."""

    def __init__(self) -> None:
        super().__init__()
        self.smooth, self.noisy = nn.Conv1d(1, 8, 32, stride=2), nn.Conv1d(8, 8, 9, padding=4)
        self.last = nn.Conv1d(8, 8, 31, padding=15)
        with torch.no_grad():
            self.smooth.weight.copy_(smooth(8, 1, 32, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.noisy(self.smooth(x).relu())
        short: torch.Tensor = self.last(x.unflatten(2, (4, -1)).mean(3))
        return short


@pytest.fixture(scope="module")
def ears() -> tuple[nn.Module, Moments]:
    torch.manual_seed(0)
    model = Ears()
    return model, calibrate(model, [torch.randn(20, 1, 102)])


def test_kernels_of_a_model(ears: tuple[nn.Module, Moments]) -> None:
    model, moments = ears
    found = allocate(model, 0.5, moments=moments, multiple=2)
    assert found.parameters <= 0.5 * found.dense
    layers = {each.name: each for each in found.layers}
    last = layers["last"]
    assert last.block == "TuckerConv"
    (rank,) = last.arguments["kernel_ranks"]  # type: ignore[misc]
    assert 6 <= rank <= 8  # four places, seven distances
    done = tncompile.tensorize(model, found.rewrite, moments=moments)
    assert sum(p.numel() for p in done.model.parameters()) == found.parameters
    two = allocate(model, 0.5, moments=moments, multiple=2, candidates=("Tucker2Conv",))
    assert {each.block for each in two.layers} <= {"Tucker2Conv", None}
    assert found.error < 0.5 * two.error
    worse = tncompile.tensorize(model, two.rewrite, moments=moments)
    x = torch.randn(50, 1, 102)
    with torch.no_grad():
        lost = [float((each.model(x) - model(x)).norm()) for each in (done, worse)]
    assert lost[0] < 0.7 * lost[1]


def test_work_of_kernels_is_what_is_multiplied(ears: tuple[nn.Module, Moments]) -> None:
    """Fewer numbers along the kernel are no less work: it is made before it is used."""
    model, moments = ears
    whole = allocate(model, {"flops": 0.9}, moments=moments, multiple=4)
    half = allocate(model, {"flops": 0.5}, moments=moments, multiple=4)
    assert half.error > whole.error
    for each in half.layers:
        if each.block is not None:
            conv = model.get_submodule(each.name)
            p, q = each.arguments["in_rank"], each.arguments["out_rank"]
            assert isinstance(p, int)
            assert isinstance(q, int)
            places = conv.weight[0, 0].numel()
            work = p * conv.in_channels + p * q * places + q * conv.out_channels
            assert work < conv.weight.numel()
