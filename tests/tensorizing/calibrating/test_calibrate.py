"""Moments of small models, against those computed by hand."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional

import tncompile
from tests.tensorizing.calibrating.models import CONVOLUTIONS, Tiny, close, require, same, texts
from tests.tensorizing.networks import random_weight
from tncompile import Moments, calibrate


def test_a_perceptron() -> None:
    first, last = nn.Linear(4, 7), nn.Linear(7, 1)
    x = random_weight(40, 4).float()
    moments = calibrate(nn.Sequential(first, nn.ReLU(inplace=True), last), [x[:30], x[30:]])
    hidden = first(x).detach()
    require(moments, "0", x, (hidden > 0) * last.weight.detach())
    require(moments, "2", hidden.relu(), torch.ones(40, 1))
    assert (moments.samples, moments.batches, moments.unreached) == (40, 2, ())
    assert moments.output == pytest.approx(float(last(hidden.relu()).detach().square().sum()))


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("batch", [True, False], ids=["batch", "single"])
def test_a_convolution(name: str, batch: bool) -> None:
    """The output is half of the squared length of what the layer gives: that is its gradient."""
    conv = CONVOLUTIONS[name]
    x = random_weight(3, 4, 6, 7).float()

    def half(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        out = model(batch)
        return out.square().sum((-1, -2, -3)) / 2

    moments = calibrate(conv, [x] if batch else list(x), output=half)
    given = x
    if conv.padding_mode != "zeros":
        given = functional.pad(x, conv._reversed_padding_repeated_twice, mode=conv.padding_mode)
    padding = conv.padding if conv.padding_mode == "zeros" else 0
    patches = functional.unfold(given, conv.kernel_size, conv.dilation, padding, conv.stride)
    inside = patches.shape[1] // conv.groups
    rows = patches.unflatten(1, (conv.groups, inside)).permute(1, 0, 3, 2).reshape(-1, inside)
    g = conv(x).detach().flatten(2)
    grouped = g.unflatten(1, (conv.groups, -1))
    own = torch.zeros(conv.groups, *grouped.permute(0, 3, 1, 2).flatten(0, 1).shape)
    for group in range(conv.groups):  # gradients of a group, zeros at the outputs of others
        own[group, :, group] = grouped[:, group].permute(0, 2, 1).flatten(0, 1)
    require(moments, "", rows, own.flatten(0, 1).flatten(1))
    weight = conv.weight.detach()
    metric = moments.metric("")
    assert metric.inputs is not None
    assert metric.inputs.shape == (weight[0].numel(),) * 2


@pytest.mark.parametrize("axes", [1, 3])
def test_convolutions_along_other_numbers_of_axes(axes: int) -> None:
    """A kernel as long as the image is a linear layer."""
    conv = (nn.Conv1d if axes == 1 else nn.Conv3d)(2, 1, 3)
    x = random_weight(9, 2, *[3] * axes).float()
    moments = calibrate(conv, [x])
    require(moments, "", x.flatten(1), torch.ones(9, 1))


def test_a_transformer() -> None:
    model, batch = Tiny(), texts(20, 1)
    moments = calibrate(model, [batch])
    assert moments.unreached == ("unused", "aside")
    ids, mask = batch["ids"], batch["mask"]
    with torch.enable_grad():
        values: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

        def kept(name: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            y.retain_grad()
            values[name] = x.detach(), y
            return y

        words = kept("words", ids, functional.embedding(ids, model.words.weight))
        fused = kept("qkv", words, words @ model.qkv.weight + model.qkv.bias)
        q, k, v = fused.split(6, -1)
        scores = (q @ k.mT).masked_fill(~mask.unsqueeze(1), -torch.inf)
        mixed = scores.softmax(-1) @ v
        x = words + kept("out", mixed, mixed @ model.out.weight.T + model.out.bias)
        up = kept("up", x, x @ model.up.weight.T + model.up.bias)
        x = x + kept("down", up.relu(), up.relu() @ model.down.weight.T)
        pooled = (x * mask.unsqueeze(2)).sum(1)
        kept("head", pooled, pooled @ model.head.weight.T).sum().backward()
    for name, (given, out) in values.items():
        assert out.grad is not None
        if name != "words":
            require(moments, name, given.flatten(0, -2), out.grad.flatten(0, -2))
    read = ids[mask]
    frequency = moments.metric("words")
    assert frequency.inputs is not None
    close(frequency.inputs, torch.bincount(read, minlength=11) / len(read))
    assert frequency.outputs is None
    weighted = moments.metric("words", rows="gradients")
    gradients = values["words"][1].grad
    assert gradients is not None
    squares = gradients.square().sum(-1)
    wanted = torch.zeros(11).index_add(0, ids.flatten(), squares.flatten())
    assert weighted.inputs is not None
    assert weighted.outputs is not None
    close(weighted.inputs, wanted / wanted.sum())
    close(weighted.outputs, gradients.flatten(0, 1).mT @ gradients.flatten(0, 1) / 20)


def test_random_signs_stand_for_all_of_the_output() -> None:
    """Many samples of one input: E g gᵀ is JᵀJ, and a squared error that of the output."""
    first, last = nn.Linear(3, 4), nn.Linear(4, 5)
    model = nn.Sequential(first, last)
    x = random_weight(1, 3).float().expand(4096, 3)
    metric = calibrate(model, [x]).metric("0")
    wanted = last.weight.detach().mT @ last.weight.detach()
    assert metric.outputs is not None
    assert metric.inputs is not None
    torch.testing.assert_close(metric.outputs.float(), wanted, rtol=0.1, atol=0.05)
    change = random_weight(4, 3, seed=2).float()
    predicted = (change.double().mT @ metric.outputs @ change.double() @ metric.inputs).trace()
    actual = float((x[0] @ change.T @ last.weight.T.detach()).square().sum())
    assert float(predicted) == pytest.approx(actual, rel=0.05)


def pooled(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The vector of a text."""
    result: torch.Tensor = model(**batch)[1]
    return result


def test_shards_in_any_order_are_the_whole() -> None:
    model, batches = Tiny(), [texts(4, seed) for seed in range(4)]
    whole = calibrate(model, batches, output=pooled)
    first, second = (calibrate(model, part, output=pooled) for part in (batches[2:], batches[:2]))
    same(first + second, whole)
    assert whole.unreached == ("unused", "aside", "head")
    assert "head" not in whole


def test_a_layer_that_one_shard_reaches() -> None:
    class Choosing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.small, self.large = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = (self.large if float(x.sum()) > 0 else self.small)(x)
            return result

    model, x = Choosing(), torch.ones(5, 3)
    shards = [calibrate(model, [x]), calibrate(model, [-x])]
    assert [each.unreached for each in shards] == [("small",), ("large",)]
    assert (shards[0] + shards[1]).unreached == ()
    same(shards[1] + shards[0], calibrate(model, [x, -x]) + Moments({}))
    with pytest.raises(KeyError, match="no moments of 'small': the output does not depend on it"):
        shards[0].metric("small")
    with pytest.raises(KeyError, match="no moments of 'other': not calibrated"):
        shards[0].metric("other")


def test_shared_layers_count_in_all_their_uses() -> None:
    shared = nn.Linear(3, 3)
    model = nn.Sequential(shared, nn.Tanh(), shared, nn.Linear(3, 1))
    x = random_weight(8, 3).float()
    moments = calibrate(model, [x])
    assert moments.aliases == {"2": "0"}
    assert "2" in moments
    assert moments.metric("2").inputs is not None
    one = shared(x).requires_grad_()
    two = shared(one.tanh())
    last = model[3].weight.detach()
    g_two = last.expand(8, 3)
    g_one = (g_two @ shared.weight * (1 - one.tanh() ** 2)).detach()
    require(moments, "2", torch.cat([x, one.tanh().detach()]), torch.cat([g_one, g_two]))
    del two


@pytest.mark.parametrize("frozen", [True, False])
def test_nothing_is_left_behind(frozen: bool) -> None:
    model = Tiny()
    model.requires_grad_(not frozen)
    model.up.requires_grad_(False)
    model.drop.train(False)
    model.out.weight.grad = torch.ones(6, 6)
    before = copy.deepcopy(model)
    state = torch.get_rng_state()
    moments = calibrate(model, [texts(4, 0)])
    same(moments, calibrate(before, [texts(4, 0)]))  # neither dropout nor `requires_grad` matters
    assert torch.equal(torch.get_rng_state(), state)
    for (name, module), old in zip(model.named_modules(), before.modules(), strict=True):
        assert module.training == old.training, name
        assert not module._forward_hooks, name
    for (name, p), old_p in zip(model.named_parameters(), before.parameters(), strict=True):
        assert torch.equal(p, old_p), name
        assert p.requires_grad == old_p.requires_grad, name
        assert (p.grad is None) == (name != "out.weight"), name
    assert torch.equal(model.out.weight.grad, torch.ones(6, 6))


def test_statistics_of_batches_are_left_alone_and_errors_leave_nothing() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    before = copy.deepcopy(model.state_dict())
    calibrate(model, [torch.ones(4, 3)])
    with pytest.raises(ValueError, match="batch 2: inputs of 0 are not finite"):
        calibrate(model, [torch.ones(4, 3), torch.full((4, 3), torch.inf)])
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert all(module.training and not module._forward_hooks for module in model.modules())


def test_some_layers() -> None:
    model, batch = Tiny(), texts(4, 0)
    some = calibrate(model, [batch], layers=["up", "d*"])
    assert list(some.layers) == ["up", "down"]
    whole = calibrate(model, [batch])
    assert torch.equal(some.layers["up"].inputs, whole.layers["up"].inputs)
    with pytest.raises(ValueError, match="no layer is called upp: there are words, qkv, out"):
        calibrate(model, [batch], layers=["upp"])


def test_batches_in_every_form() -> None:
    """A tensor, arguments, names of arguments; half precision; progress."""
    model = nn.Bilinear(2, 3, 1)

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right, self.both = nn.Linear(2, 2), nn.Linear(3, 3), model

        def forward(self, a: torch.Tensor, b: torch.Tensor | None = None) -> dict[str, object]:
            b = torch.ones(len(a), 3, dtype=a.dtype) if b is None else b
            out = self.both(self.left(a), self.right(input=b))
            return {"ids": torch.arange(3), "inside": (out,)}

    both = Both().to(torch.bfloat16)
    a, b = torch.ones(4, 2).bfloat16(), torch.ones(4, 3).bfloat16()
    seen: list[tuple[int, int]] = []
    found = [
        calibrate(both, [batch], progress=lambda *done: seen.append(done))
        for batch in (a, (a,), [a, b], {"a": a, "b": b})
    ]
    for one, other in itertools.pairwise(found):
        torch.testing.assert_close(one.layers["left"].inputs, other.layers["left"].inputs)
    assert found[0].layers["left"].inputs.dtype == torch.float64
    assert seen == [(1, 1)] * 4
    narrow = calibrate(both, iter([a]), dtype=torch.float32)
    assert narrow.layers["left"].inputs.dtype == torch.float32


class Detached(nn.Module):
    """Nothing that it gives depends on its layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    @torch.no_grad()
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(x)
        return result


LINEAR = nn.Linear(2, 2)
ONES = torch.ones(3, 2)
WRONG = {
    "no layer": (nn.ReLU(), [ONES], {}, "no layer with a weight"),
    "no batch": (LINEAR, [], {}, "there are no batches"),
    "detached": (Detached(), [ONES], {}, "depends on no layer: is it computed without gradients"),
    "words": (LINEAR, [ONES], {"output": lambda m, b: "vector"}, "real numbers, not str"),
    "ids": (LINEAR, [ONES], {"output": lambda m, b: b.long()}, "real numbers, not torch.int64"),
    "half": (LINEAR, [ONES], {"dtype": torch.float16}, "sums are float32 or float64"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused(case: str) -> None:
    model, data, options, problem = WRONG[case]
    with pytest.raises(ValueError, match=problem):
        calibrate(model, data, **options)  # type: ignore[arg-type]


def test_moments_of_two_models_are_not_added() -> None:
    ours = calibrate(nn.Sequential(nn.Linear(2, 3)), [torch.ones(3, 2)])
    theirs = calibrate(nn.Sequential(nn.Linear(2, 4)), [torch.ones(3, 2)])
    with pytest.raises(ValueError, match="0 is `linear` of 3 × 2 and `linear` of 4"):
        ours + theirs


def test_a_singular_metric_is_ordinary() -> None:
    """Three samples for forty inputs."""
    layer = nn.Linear(40, 30)
    metric = calibrate(layer, [random_weight(3, 40).float()]).metric("")
    small = tncompile.from_linear(layer, "LowRank", rank=3, metric=metric)
    x = random_weight(3, 40).float()
    plain = tncompile.from_linear(layer, "LowRank", rank=3)
    assert (small(x) - layer(x)).norm() < 0.2 * (plain(x) - layer(x)).norm()


@pytest.mark.parametrize("layer", [nn.Linear(40, 30), nn.Embedding(50, 8), nn.Conv2d(3, 5, 3)])
def test_memory_is_what_is_kept(layer: nn.Module) -> None:
    x = {nn.Linear: torch.ones(2, 40), nn.Conv2d: torch.ones(2, 3, 5, 5)}
    sums = calibrate(layer, [x.get(type(layer), torch.zeros(3, dtype=torch.long))]).layers[""]
    kept = sum(each.nbytes for each in (sums.inputs, sums.outputs, sums.rows))
    largest = max(each.numel() for each in (sums.inputs, sums.outputs) if each.dim() == 2)
    assert Moments.bytes_needed(layer) == kept + 4 * largest


def test_what_has_no_gradients_is_said() -> None:
    class Inside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.up(x).exp()
            return found.exp().mul_(found.add_(1))

    with pytest.raises(ValueError, match="the gradients of the output cannot be computed: one of"):
        calibrate(Inside(), [torch.ones(2, 3)])
