"""Distances, sizes and scores are those that one computes by hand; nothing is disturbed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import tncompile
from tests.tensorizing.comparing.models import (
    batches,
    classifier,
    halved,
    labels,
    noisy,
    scores,
    texts,
)
from tncompile import Verdict, compare


def compared(original: nn.Module, changed: nn.Module, data: Any = None, **named: Any) -> Verdict:
    """Without times, which are nobody's business here."""
    data = batches() if data is None else data
    return compare(original, changed, data, **{"timing": False, **named})


@pytest.fixture(scope="module")
def pair() -> tuple[nn.Module, nn.Module]:
    original = classifier()
    return original, noisy(original, 0.1)


def outputs(model: nn.Module) -> torch.Tensor:
    """Of all batches, in double precision."""
    model.eval()
    with torch.no_grad():
        found = model(torch.cat(batches())).double()
    model.train()
    return found


def test_vectors(pair: tuple[nn.Module, nn.Module]) -> None:
    verdict = compared(*pair)
    y, z = map(outputs, pair)
    assert verdict.kind == "vectors"
    assert verdict.counts == (60,)
    assert verdict["cosine"].value == pytest.approx(
        float(functional.cosine_similarity(y, z).mean())
    )
    error = float((y - z).norm() / y.norm())
    assert verdict["error"].value == pytest.approx(error, rel=1e-5)
    assert verdict.accepted


def test_logits_with_labels(pair: tuple[nn.Module, nn.Module]) -> None:
    verdict = compared(*pair, labels=labels)
    y, z = map(outputs, pair)
    right = torch.cat([labels(batch) for batch in batches()])
    counted = right >= 0
    y, z, right = y[counted], z[counted], right[counted]
    p, q = y.log_softmax(1), z.log_softmax(1)
    kl = functional.kl_div(q, p, log_target=True, reduction="batchmean")
    assert verdict["kl"].value == pytest.approx(float(kl), rel=1e-4)
    assert verdict["flips"].value == pytest.approx(
        float((y.argmax(1) != z.argmax(1)).double().mean())
    )
    for name, of in (("original", y), ("changed", z)):
        perplexity = float(functional.cross_entropy(of, right).exp())
        assert getattr(verdict["perplexity"], name) == pytest.approx(perplexity, rel=1e-5)
        hits = float((of.argmax(1) == right).double().mean())
        assert getattr(verdict["accuracy"], name) == pytest.approx(hits)
    line = verdict["accuracy"]
    assert line.original is not None
    assert line.changed is not None
    assert line.value == pytest.approx(line.changed / line.original)
    assert verdict["accuracy_lost"].value == pytest.approx(line.original - line.changed)


class Tokens(nn.Module):
    """Logits for each position of a text, under a name, beside another tensor."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.words, self.head = nn.Embedding(9, 6), nn.Linear(6, 4)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        hidden = self.words(input_ids)
        return {"hidden": hidden, "logits": self.head(hidden)}


def texts_of_ids(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(7) < torch.randint(1, 8, (6, 1), generator=generator)
    ids = torch.randint(9, (6, 7), generator=generator)
    return {"input_ids": ids, "attention_mask": mask.long()}


def test_padding_does_not_count_and_texts_stay_together() -> None:
    original = Tokens()
    changed = noisy(original, 0.2)
    data = [texts_of_ids(seed) for seed in range(3)]
    verdict = compared(original, changed, data, kind="logits")
    assert verdict.counts == (18,)  # texts, not tokens
    pairs = [
        (m(**b)["logits"].double()[b["attention_mask"] > 0])
        for b in data
        for m in (original, changed)
    ]
    y, z = torch.cat(pairs[::2]), torch.cat(pairs[1::2])
    flips = float((y.argmax(1) != z.argmax(1)).double().mean())
    assert verdict["flips"].value == pytest.approx(flips)
    for batch in data:
        batch["input_ids"][batch["attention_mask"] == 0] = 8  # other padding
    assert compared(original, changed, data, kind="logits").to_dict() == verdict.to_dict()


def test_values_and_logits_of_one_axis_are_told_apart() -> None:
    net = nn.Linear(12, 1)
    assert compared(net, noisy(net, 0.1)).kind == "values"
    by_hand = compared(net, noisy(net, 0.1), output=lambda model, batch: model(batch)[:, 0])
    assert [line.name for line in by_hand.lines] == ["error", "parameters", "bytes", "flops"]
    with pytest.raises(ValueError, match=r"vectors are \(samples, …, features\), not \(20,\)"):
        compared(net, net, kind="vectors", output=lambda model, batch: model(batch)[:, 0])


def test_thresholds_say_what_outputs_are(pair: tuple[nn.Module, nn.Module]) -> None:
    assert compared(*pair, thresholds={"flips": 1}).kind == "logits"
    assert compared(*pair, thresholds={"error": 1}).kind == "vectors"


def test_impossible_classes_are_no_trouble(pair: tuple[nn.Module, nn.Module]) -> None:
    def without_last(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return model(batch).index_fill(1, torch.tensor([4]), -torch.inf)

    def short(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = model(batch)[:, :4]
        return found

    with_it = compared(*pair, kind="logits", output=without_last)
    assert with_it.accepted
    without = compared(*pair, kind="logits", output=short)
    for name in ("kl", "flips", "error"):
        assert with_it[name].value == pytest.approx(without[name].value, rel=1e-6)


def test_numbers_that_are_not_finite_are_a_regression(pair: tuple[nn.Module, nn.Module]) -> None:
    original, changed = pair
    broken = noisy(changed, 0.0)
    with torch.no_grad():
        broken[0].weight[3, 3] = math.nan  # type: ignore[index,union-attr]
    verdict = compared(original, broken)
    assert not verdict.accepted
    where = "batch 2 of the data: 100 of 100 numbers of the changed are not finite"
    assert where in verdict.problems
    assert repr(verdict).startswith("REGRESSION")
    json.dumps(verdict.to_dict(), allow_nan=False)
    assert not compared(broken, original).accepted
    assert not compared(original, changed, scores={"s": lambda _: math.nan}).accepted
    assert not compared(original, broken, thresholds={"error": 100.0})["error"].passed
    many = compared(original, broken, batches(9))
    assert many.problems[-1] == "6 more of the data"


def test_nothing_is_disturbed(pair: tuple[nn.Module, nn.Module]) -> None:
    original, changed = pair

    def writes(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = model(batch.clone())
        batch.zero_()
        return found

    state = {key: value.clone() for key, value in original.state_dict().items()}
    data, before = batches(), torch.get_rng_state()
    dropping = compared(original, changed, data, output=writes, scores=scores(), samples=texts)
    assert torch.equal(torch.get_rng_state(), before)
    assert original.training
    assert changed.training
    assert all(torch.equal(a, b) for a, b in zip(data, batches(), strict=True))
    assert all(torch.equal(state[key], value) for key, value in original.state_dict().items())
    assert all(parameter.grad is None for parameter in original.parameters())
    assert dropping["cosine"] == compared(original, changed)["cosine"]  # no dropout, no zeros


def test_order_of_batches_does_not_matter(pair: tuple[nn.Module, nn.Module]) -> None:
    data = batches(4)
    found = [compared(*pair, each, labels=labels).lines for each in (data, data[::-1], iter(data))]
    assert found[0] == found[1] == found[2]
    other = compared(*pair, data, labels=labels, seed=1)
    assert other["kl"].value == found[0][0].value
    assert other["kl"].low != found[0][0].low


def test_models_that_draw_draw_the_same() -> None:
    class Sampling(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.randn_like(x)

    assert compared(Sampling(), Sampling())["error"].value == 0


def test_a_second_data_set_is_asked_too(pair: tuple[nn.Module, nn.Module]) -> None:
    far = [1e-3 * batch for batch in batches(seed=5)]  # biases alone
    alone = [compared(*pair, each)["error"].value for each in (batches(), far)]
    between = {"error": sum(alone) / 2}
    verdict = compared(*pair, second=far, thresholds=between)
    first, second = (line for line in verdict.lines if line.name == "error")
    assert [first.value, second.value] == alone
    assert (first.data, second.data) == ("", "second")
    assert [first.passed, second.passed] == [value <= between["error"] for value in alone]
    assert not verdict.accepted
    assert verdict.counts == (60, 60)
    assert [line.split()[:2] for line in repr(verdict).splitlines()].count(["error", "second"]) == 1
    turned = compared(*pair, far, second=batches(), thresholds=between)
    said = [found.problems[0].startswith("error of the second") for found in (verdict, turned)]
    assert sorted(said) == [False, True]


def test_sizes_and_operations() -> None:
    done = halved()
    verdict = compared(classifier(), done)
    assert [verdict["parameters"].original, verdict["parameters"].changed] == [365, 221]
    assert verdict["bytes"].value == pytest.approx(221 / 365)
    small = nn.Sequential(nn.Linear(12, 3, bias=False), nn.Linear(3, 20), nn.Linear(20, 5))
    flops = compared(classifier(), small)["flops"]
    assert flops.original == 2 * 20 * (12 * 20 + 20 * 5)
    assert flops.changed == 2 * 20 * (12 * 3 + 3 * 20 + 20 * 5)


def test_quantized_weights_are_parameters_in_fewer_bytes() -> None:
    arch = tncompile.load("std/linear.tn").instantiate("LowRank(64, 64, rank = 16)")
    plain, four, eight = (arch.module(weights=each) for each in (None, "int4", "int8"))
    for small, bits in ((four, 4), (eight, 8)):
        verdict = compared(plain, small, [torch.rand(5, 64)])
        assert verdict["parameters"].value == 1
        assert verdict["bytes"].changed < verdict["bytes"].original * (bits + 16) / 32  # type: ignore[operator]
        assert [line.names for line in verdict.layers] == []


def test_fused_layers_are_counted() -> None:
    encoder = nn.TransformerEncoderLayer(12, 2, 24, batch_first=True).eval()
    verdict = compared(encoder, encoder, [torch.randn(4, 5, 12)])
    maps, scores_ = 4 * 12 * 12 + 2 * 12 * 24, 2 * 5 * 12
    assert verdict["flops"].original == 2 * 4 * 5 * (maps + scores_)
    recurrent = nn.LSTM(12, 8, batch_first=True)
    verdict = compared(recurrent, recurrent, [torch.randn(4, 5, 12)])
    assert verdict["flops"].original == 2 * 4 * 5 * 32 * (12 + 8)
    bilinear = nn.Bilinear(12, 7, 5)
    batch = (torch.randn(3, 12), torch.randn(3, 7))
    assert compared(bilinear, bilinear, [batch])["flops"].original == 2 * 3 * (5 * 12 * 7 + 5 * 7)


def test_what_torch_cannot_count_is_said() -> None:
    class Watched(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if torch.utils._python_dispatch._get_current_dispatch_mode() is not None:
                raise RuntimeError("not under a mode")
            return super().forward(x)

    verdict = compared(Watched(12, 3), Watched(12, 3), thresholds={"flops": 1})
    assert verdict.remarks[-1] == "FLOPs were not counted: RuntimeError: not under a mode"
    assert math.isnan(verdict["flops"].value)
    assert verdict.problems == ("flops is required to be ≤ 1: it is no number",)


def test_time_is_a_ratio_with_a_spread() -> None:
    original = nn.Sequential(*(nn.Linear(64, 64) for _ in range(40)))
    data = [torch.randn(64, 64)]
    verdict = compare(original, original[:4], data, timing=0.05, thresholds={"time": 0.8})
    line = verdict["time"]
    assert line.low is not None
    assert line.high is not None
    assert line.low <= line.value <= line.high
    assert line.value < 0.8
    assert verdict.accepted
    assert any("1 thread, torch" in remark for remark in verdict.remarks)


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"thresholds": {"cosin": 0.9}}, ValueError, "no threshold 'cosin'; did you mean 'cosine'"),
        ({"thresholds": {"score:size": 1}}, ValueError, "no threshold 'score:size'; there are cos"),
        ({"thresholds": {3: 1}}, ValueError, "no threshold 3"),
        ({"thresholds": {"kl": math.nan}}, ValueError, "kl is a finite number, not nan"),
        ({"thresholds": {"kl": "1"}}, TypeError, "kl is a number, not '1'"),
        ({"thresholds": ["kl"]}, TypeError, "thresholds are a dict"),
        ({"thresholds": {"kl": 1, "cosine": 1}}, ValueError, "cosine is measured of vectors, not"),
        (
            {"thresholds": {"kl": 1}, "kind": "values"},
            ValueError,
            r"not of values \(kind='values'\)",
        ),
        ({"thresholds": {"accuracy": 1}}, ValueError, "accuracy needs labels"),
        ({"thresholds": {"time": 1}}, ValueError, "timing=False measures none"),
        ({"kind": "logit"}, ValueError, "kind is one of auto, vectors"),
        ({"kind": "vectors", "labels": labels}, ValueError, "labels are for logits"),
        ({"labels": lambda b: b}, ValueError, "labels are integers, not torch.float32"),
        ({"labels": lambda b: torch.ones(3).long()}, ValueError, r"labels are of shape \(3,\)"),
        ({"labels": lambda b: torch.full((20,), 5)}, ValueError, "there is no class 5 in 5"),
        ({"labels": 3}, TypeError, "labels is a function"),
        ({"scores": [1]}, TypeError, "scores are a dict"),
        ({"scores": {"s": lambda m: [[1.0]]}}, ValueError, r"items of the score s are of shape"),
        ({"scores": {"s": lambda m: "high"}}, ValueError, "score s is no number and no items"),
        ({"scores": {"s": lambda m: []}}, ValueError, "score s has no items"),
        ({"scores": {"s": lambda m: 1 / 0}}, ValueError, "s of the original model raised ZeroDiv"),
        ({"scores": {"s": lambda m: ([1.0], str)}}, ValueError, "function of the score s raised"),
        ({"samples": lambda m: 3}, ValueError, "samples are a text or a list of them"),
        ({"data": torch.zeros(4, 12)}, TypeError, "iterable of batches, not a Tensor"),
        ({"second": 3}, TypeError, "the second data is a list or another iterable of batches, not"),
        ({"data": []}, ValueError, "the data has no batches"),
        ({"data": [torch.zeros(0, 12)]}, ValueError, "the data has no samples"),
        ({"second": []}, ValueError, "the second data has no batches"),
        ({"timing": "no"}, TypeError, "timing is True, False or seconds, not str"),
        ({"timing": -1.0}, ValueError, "timing is True, False or seconds"),
        ({"seed": -1}, ValueError, "seed is a whole number"),
        ({"output": lambda m, b: b.long()}, ValueError, "tensor of real numbers, not torch.int64"),
        (
            {"output": lambda m, b: 1 / 0},
            ValueError,
            "1 of the data, original model raised Z",
        ),
        ({"labels": lambda b: b["y"]}, ValueError, "batch 1 of the data, labels raised "),
        ({"output": lambda m, b: None}, ValueError, "tensor of real numbers, not NoneType"),
        ({"changed": nn.Linear(12, 6)}, ValueError, r"shapes \(20, 5\) and \(20, 6\)"),
        ({"changed": "model"}, TypeError, "changed is an nn.Module, not str"),
    ],
)
def test_what_is_refused(
    pair: tuple[nn.Module, nn.Module], wrong: dict[str, Any], error: type[Exception], words: str
) -> None:
    given = {"original": pair[0], "changed": pair[1], **wrong}
    with pytest.raises(error, match=words):
        compared(**given)


def test_both_ways_of_a_score_are_one(pair: tuple[nn.Module, nn.Module]) -> None:
    both = {"score:s": 1, "loss:s": 1}
    with pytest.raises(ValueError, match="require one of them"):
        compared(*pair, scores={"s": lambda _: 1.0}, thresholds=both)


Function = Callable[[nn.Module], object]


@pytest.mark.parametrize(
    ("name", "of", "accepted"),
    [
        ("score:s", (2.0, 1.9), False),
        ("score:s", (2.0, 1.94), True),
        ("loss:s", (2.0, 1.94), True),
        ("loss:s", (2.0, 1.95), False),
        ("score:s", (-1.0, -1.0), False),  # a ratio of what is below zero says nothing
        ("score:s", (0.0, 1.0), False),
    ],
)
def test_scores_are_ratios(
    pair: tuple[nn.Module, nn.Module], name: str, of: tuple[float, float], accepted: bool
) -> None:
    def score(model: nn.Module) -> float:
        return of[model is pair[1]]

    verdict = compared(*pair, scores={"s": score}, thresholds={name: 0.97})
    assert verdict.accepted is accepted
    assert (verdict["score:s"].original, verdict["score:s"].changed) == of


def test_what_is_printed(pair: tuple[nn.Module, nn.Module]) -> None:
    verdict = compared(
        *pair, thresholds={"cosine": 0.5, "bytes": 0.9}, samples=texts, scores=scores()
    )
    text = repr(verdict)
    lines = text.splitlines()
    assert lines[0] == "REGRESSION: 1 of 2 requirements fulfilled; vectors of 60 samples"
    assert lines[2] == "- bytes is 1, required is ≤ 0.9"
    assert "≥ 0.5  yes" in text
    assert "≤ 0.9   NO" in text
    assert "original: class" in text
    assert max(map(len, lines)) <= 100
    assert "<pre" in verdict._repr_html_()
    table = verdict.markdown().splitlines()
    assert {row.count("|") for row in table} == {8}
    shown = compared(*pair, scores={"a|b\x1b": lambda _: 1.0})
    assert "a\\|b\\x1b" in shown.markdown()
    assert "\x1b" not in repr(shown)
    with pytest.raises(KeyError, match="'time' was not measured: cosine, error"):
        verdict["time"]
