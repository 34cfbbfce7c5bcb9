"""Fits in a metric: what counts is what inputs and outputs make of an error."""

from __future__ import annotations

import pytest
import torch

import tncompile
from tests.tensorizing.networks import LINEAR, architecture, random_weight, weight_of
from tncompile import Metric

TRAIN = {"ins": [3, 4], "outs": [4, 3], "ranks": 3, "with_bias": False}
LOW = {"in_features": 12, "out_features": 12, "rank": 3, "with_bias": False}


def moment(size: int, seed: int, samples: int = 40) -> torch.Tensor:
    """The second moment of correlated samples, a few of them."""
    mixed = random_weight(size, size, seed=seed) ** 3
    given = random_weight(samples, size, seed=seed + 1) @ mixed
    return given.mT @ given / samples


def root(matrix: torch.Tensor, damping: float = 0.01) -> torch.Tensor:
    """The symmetric root of a damped moment, by its eigenvalues."""
    values, vectors = torch.linalg.eigh(matrix)
    damped = (values + damping * float(matrix.diagonal().mean())).clamp(min=0)
    return (vectors * damped.sqrt()) @ vectors.mT


def error(
    weight: torch.Tensor,
    found: torch.Tensor,
    a: torch.Tensor,
    g: torch.Tensor,
    damping: float = 0.01,
) -> float:
    """‖G^½ (W − W') A^½‖ / ‖G^½ W A^½‖."""
    left, right = root(g, damping), root(a, damping)
    return float((left @ (weight - found) @ right).norm() / (left @ weight @ right).norm())


def test_low_rank_is_the_decomposition_between_roots() -> None:
    weight, a, g = random_weight(12, 12), moment(12, 1), moment(12, 2)
    fit = LINEAR.instantiate("LowRank", **LOW).fit(weight, metric=Metric(a, g))
    values = torch.linalg.svdvals(root(g) @ weight @ root(a))
    best = float(values[3:].norm() / values.norm())
    assert fit.method == "peel"
    assert fit.metric_error == pytest.approx(best)
    assert fit.bound == pytest.approx(best)
    found = weight_of(LINEAR.instantiate("LowRank", **LOW), fit.state_dict)
    assert error(weight, found, a, g) == pytest.approx(best)
    plain = LINEAR.instantiate("LowRank", **LOW).fit(weight)
    assert fit.error > plain.error
    assert plain.metric_error is None


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("MPO", TRAIN),
        ("TensorRing", {**TRAIN, "ranks": 2}),
        ("Monarch", {"ins": [3, 4], "outs": [4, 3], "with_bias": False}),
        ("MPO", {**TRAIN, "inputs": 11, "outputs": 10}),
        ("LowRank", LOW),
    ],
)
@pytest.mark.parametrize("sides", ["in", "out", "both", "diagonal"])
def test_the_error_in_the_metric_is_lower_than_without(
    name: str, arguments: dict[str, object], sides: str
) -> None:
    arch = LINEAR.instantiate(name, **arguments)
    out, into = (
        axis.length or 0 for axis in (arch.network.output.axes[-1], arch.network.inputs[0].axes[-1])
    )
    weight, a, g = random_weight(out, into), moment(into, 1), moment(out, 2)
    if sides == "diagonal":
        a = torch.diag(a.diagonal())
    given_a = None if sides == "out" else a.diagonal() if sides == "diagonal" else a
    given_g = None if sides in ("in", "diagonal") else g
    metric = Metric(given_a, given_g)
    fit = arch.fit(weight, metric=metric)
    eye_a, eye_g = torch.eye(into, dtype=torch.float64), torch.eye(out, dtype=torch.float64)
    seen_by = (eye_a if given_a is None else a, eye_g if given_g is None else g)
    found = weight_of(arch, fit.state_dict)
    assert fit.metric_error == pytest.approx(error(weight, found, *seen_by), rel=1e-6)
    plain = weight_of(arch, arch.fit(weight).state_dict)
    assert fit.metric_error < error(weight, plain, *seen_by)


def test_exact_weights_are_exact_in_every_metric() -> None:
    arch = LINEAR.instantiate("MPO", **TRAIN)
    module = arch.module(dtype=torch.float64, seed=1, search="fast")
    fit = arch.fit(module.weight.detach(), metric=Metric(moment(12, 1), moment(12, 2)))
    assert fit.error < 1e-6


def test_singular_moments_are_ordinary() -> None:
    """Two samples, one input that is always zero."""
    samples = random_weight(2, 12)
    samples[:, 3] = 0
    weight = random_weight(12, 12, seed=1)
    for name, arguments in (("LowRank", LOW), ("MPO", TRAIN)):
        arch = LINEAR.instantiate(name, **arguments)
        fit = arch.fit(weight, inputs=samples)
        found = weight_of(arch, fit.state_dict)
        outputs, wanted = samples @ found.mT, samples @ weight.mT
        assert float((outputs - wanted).norm() / wanted.norm()) < 0.2
        assert fit.error > 0.3


def test_inputs_are_their_second_moment() -> None:
    samples, weight = random_weight(7, 12), random_weight(12, 12, seed=1)
    arch = LINEAR.instantiate("LowRank", **LOW)
    first = arch.fit(weight, inputs=samples.reshape(7, 1, 12))
    second = arch.fit(weight, metric=Metric(samples.mT @ samples / 7))
    assert first.metric_error == pytest.approx(second.metric_error)


def test_frequencies_of_a_table() -> None:
    table = tncompile.load("std/embedding.tn").instantiate(
        "TTEmbedding", rows=[5, 4], columns=[2, 3], ranks=2, words=19
    )
    weight = random_weight(19, 6)
    often = torch.tensor([1000.0] * 2 + [1.0] * 17)
    fit = table.fit(weight, metric=Metric(inputs=often, damping=0.0))
    rows = (weight_of(table, fit.state_dict) - weight).norm(dim=1)
    plain = (weight_of(table, table.fit(weight).state_dict) - weight).norm(dim=1)
    assert rows[:2].norm() < 0.5 * plain[:2].norm()


def test_complex_metrics() -> None:
    text = """network Low() {
      index i = 6, o = 5
      bond r = 2
      input x(..., i)
      tensor A(i, r) complex
      tensor B(r, o) complex
      output y(..., o)
    }"""
    arch = architecture(text)
    weight = torch.complex(random_weight(5, 6), random_weight(5, 6, seed=1))
    x = torch.complex(random_weight(30, 6, seed=2) ** 3, random_weight(30, 6, seed=3))
    g = torch.complex(random_weight(30, 5, seed=4), random_weight(30, 5, seed=5) ** 3)
    metric = Metric.of_samples(x, g, damping=0.0)
    fit = arch.fit(weight, metric=metric)
    missing = weight - weight_of(arch, fit.state_dict).to(weight.dtype)

    # the mean of |gᴴ M x|² over all pairs of samples
    def size(matrix: torch.Tensor) -> float:
        return float((g.conj() @ matrix @ x.mT).abs().square().sum().sqrt())

    assert fit.metric_error == pytest.approx(size(missing) / size(weight))


def test_what_is_wrong_is_said() -> None:
    arch = LINEAR.instantiate("MPO", **TRAIN)
    weight = random_weight(12, 12)
    with pytest.raises(ValueError, match=r"`inputs` of the metric of MPO.* are 12 × 12"):
        arch.fit(weight, metric=Metric(torch.eye(11)))
    with pytest.raises(ValueError, match="not finite"):
        arch.fit(weight, metric=Metric(torch.full((12,), torch.nan)))
    with pytest.raises(ValueError, match="no positive definite matrix"):
        arch.fit(weight, metric=Metric(-torch.eye(12)))
    with pytest.raises(ValueError, match="not all above 0"):
        arch.fit(weight, metric=Metric(torch.zeros(12)))
    with pytest.raises(ValueError, match="damping is a number from 0 on"):
        arch.fit(weight, metric=Metric(torch.eye(12), damping=-1.0))
    with pytest.raises(ValueError, match="given twice"):
        arch.fit(weight, metric=Metric(torch.eye(12)), inputs=random_weight(3, 12))
    with pytest.raises(ValueError, match="samples of shape"):
        arch.fit(weight, inputs=random_weight(12))
    tensor = tncompile.from_einsum("ir,jr->ij", (4, 3), (5, 3), inputs=0)
    with pytest.raises(ValueError, match="has no input"):
        tensor.fit(random_weight(4, 5), metric=Metric(torch.eye(5)))


CONV = {"in_channels": 4, "out_channels": 5, "kernel_size": [3], "with_bias": False}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("TuckerConv", {**CONV, "in_rank": 2, "out_rank": 3, "kernel_ranks": [2]}),
        ("Tucker2Conv", {**CONV, "in_rank": 2, "out_rank": 3}),
        (
            "TTConv",
            {"ins": [2, 2], "outs": [5], "kernel_size": [3], "ranks": [2, 2], "with_bias": False},
        ),
    ],
)
def test_moments_of_axes_are_the_kronecker_product(name: str, arguments: dict[str, object]) -> None:
    """In closed form, where each axis is on a tensor of its own; as a factor elsewhere."""
    arch = tncompile.load("std/convolution.tn").instantiate(name, **arguments)
    weight, axes, g = random_weight(5, 4, 3), (moment(4, 1), moment(3, 2)), moment(5, 3)
    damped = [m + 0.01 * m.diagonal().mean() * torch.eye(len(m), dtype=m.dtype) for m in axes]
    found = arch.fit(weight, metric=Metric(None, g, axes=axes))
    assert found.metric_error is not None
    outputs = g + 0.01 * g.diagonal().mean() * torch.eye(5, dtype=g.dtype)
    whole = arch.fit(weight, metric=Metric(torch.kron(*damped), outputs, damping=0.0))
    assert found.metric_error == pytest.approx(whole.metric_error, rel=0.01)
    module = arch.module(dtype=torch.float64, search="fast")
    module.load_state_dict(found.state_dict)
    due = error(
        weight.flatten(1), module.weight.detach().flatten(1), torch.kron(*damped), outputs, 0.0
    )
    assert found.metric_error == pytest.approx(due, rel=1e-6)
    if name != "TTConv":
        assert found.method.startswith("peel")


def test_moments_of_axes_that_are_refused() -> None:
    arch = tncompile.load("std/convolution.tn").instantiate("Tucker2Conv", **CONV)
    weight, axes = random_weight(5, 4, 3), (moment(4, 1), moment(3, 2))
    with pytest.raises(ValueError, match=r"has moments of 1 axes, Tucker2Conv.* has 2 axes of"):
        arch.fit(weight, metric=Metric(axes=axes[:1]))
    with pytest.raises(ValueError, match=r"`axes` of the metric of .* are 4 × 4, or 4 numbers"):
        arch.fit(weight, metric=Metric(axes=axes[::-1]))
    with pytest.raises(ValueError, match="of `inputs`, or of their `axes`, not both"):
        Metric(torch.ones(12), axes=axes)


def test_what_is_too_large_to_be_doubled_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A core times itself has the square of its numbers: elsewhere the same is found without."""
    from tncompile.tensorizing.fitting.refining import als

    conv = tncompile.load("std/convolution.tn").instantiate(
        "Tucker2Conv", in_channels=6, out_channels=5, kernel_size=[2], in_rank=3, out_rank=4
    )
    weight, metric = random_weight(5, 6, 2), Metric(moment(12, 1), moment(5, 2))
    doubled: list[int] = []
    plain = als.Sweeps._doubled

    def counted(self: als.Sweeps, place: int, tensor: torch.Tensor) -> torch.Tensor:
        found = plain(self, place, tensor)
        doubled.append(found.numel())
        return found

    monkeypatch.setattr(als.Sweeps, "_doubled", counted)
    near = conv.fit(weight, metric=metric)
    assert max(doubled) >= 12**2
    doubled.clear()
    monkeypatch.setattr(als, "MOST_ENTRIES", 100)
    fit = conv.fit(weight, metric=metric)
    assert all(size <= 100 for size in doubled)
    assert fit.metric_error == pytest.approx(near.metric_error, rel=1e-3)
