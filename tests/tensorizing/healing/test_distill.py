"""Smaller models trained to do what the original does."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tncompile
from tests.tensorizing.healing.models import SIZE, error, ids, made, same, transformer
from tncompile.tensorizing.healing.distilling.coordinates import coordinates_of, multiplied
from tncompile.tensorizing.healing.distilling.stepping import rate_at

SMALL = 'linear "*.up" -> LowRank(rank = 3) linear "*.down" -> LowRank(rank = 3)'


def test_it_gets_nearer_and_the_models_stay() -> None:
    model, data = transformer(), ids(12)
    done, _ = made(model, data, SMALL)
    start, original = copy.deepcopy(done.model), copy.deepcopy(model)
    taught = tncompile.distill(model, done, data, steps=40, rate=0.004, layers=["1", "2"])
    assert taught.best < 0.8 * taught.start
    assert error(taught.model, model, ids(4, seed=9)) < error(start, model, ids(4, seed=9))
    assert same(done.model, start)
    assert same(model, original)
    assert model.training
    assert taught.model.training
    assert all(each.grad is None for each in taught.model.parameters())
    assert (taught.steps, taught.samples, taught.tokens) == (40, 240, 2400)
    assert [each.step for each in taught.history][:3] == [0, 2, 4]
    assert taught.stopped == "all steps were made"
    assert taught.tensorized is not None
    assert taught.tensorized.model is taught.model


class HaltError(Exception):
    """What a user's progress raises."""


@pytest.mark.parametrize("dropout", [False, True])
def test_an_interrupted_run_goes_on_to_the_bit(tmp_path: Path, dropout: bool) -> None:
    model, data = transformer(), ids(6)
    done, _ = made(model, data, SMALL)
    settings: dict[str, Any] = {"steps": 30, "dropout": dropout}
    whole = tncompile.distill(model, done, data, **settings)
    file = tmp_path / "run.safetensors"

    def halt(step: int, total: int) -> None:
        if step == 17:
            raise HaltError

    with pytest.raises(HaltError):
        tncompile.distill(model, done, data, checkpoint=file, progress=halt, **settings)
    assert model.training
    again = tncompile.distill(model, done, data, checkpoint=file, **settings)
    assert same(whole.model, again.model)
    assert [each[::3] for each in whole.history] == [each[::3] for each in again.history]
    assert (whole.steps, whole.samples, whole.best) == (again.steps, again.samples, again.best)
    over = tncompile.distill(model, done, data, checkpoint=file, **settings)
    assert same(whole.model, over.model)
    assert over.history == again.history
    with pytest.raises(ValueError, match=r"run.safetensors cannot be continued.*steps differs"):
        tncompile.distill(model, done, data, checkpoint=file, steps=31, dropout=dropout)
    with pytest.raises(ValueError, match="data differs"):
        tncompile.distill(model, done, ids(6, seed=5), checkpoint=file, **settings)
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ValueError, match="no whole file"):
        tncompile.distill(model, done, data, checkpoint=file, **settings)


def test_the_best_is_kept() -> None:
    """A rate that destroys everything gives back the start."""
    model, data = transformer(), ids(6)
    done, _ = made(model, data, SMALL)
    taught = tncompile.distill(model, done, data, steps=20, rate=3.0, patience=3)
    assert taught.best == min(each.held_out for each in taught.history)
    assert taught.best <= taught.start
    assert taught.steps < 20
    assert "3 looks" in taught.stopped
    assert error(taught.model, done.model, data) < 1e-5


def test_what_is_frozen_or_tied_stays_so() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(40, SIZE), nn.Linear(SIZE, 40, bias=False)
            self.head.weight = self.table.weight
            self.body, self.still = nn.Linear(SIZE, SIZE), nn.Linear(SIZE, SIZE)
            self.still.requires_grad_(False)
            self.register_buffer("scale", torch.tensor([3], dtype=torch.int8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.still(self.body(self.table(x)) * self.scale))

    torch.manual_seed(0)
    model, data = Tied(), ids(4)
    done, _ = made(model, data, 'linear "body" -> LowRank(rank = 4)')
    taught = tncompile.distill(model, done, data, steps=6)
    small: Any = taught.model
    assert small.head.weight is small.table.weight
    assert torch.equal(small.still.weight, model.still.weight)
    assert not small.still.weight.requires_grad
    assert not torch.equal(small.table.weight, model.table.weight)
    some = tncompile.distill(model, done, data, steps=6, parameters=["body.*"])
    changed = {
        name
        for name, value in some.model.state_dict().items()
        if not torch.equal(value, done.model.state_dict()[name])
    }
    assert changed == {"body.A", "body.B", "body.c"}


def test_a_loss_of_ones_own_and_plain_modules() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(SIZE, 32), nn.ReLU(), nn.Linear(32, 5))
    small = nn.Sequential(nn.Linear(SIZE, 4), nn.ReLU(), nn.Linear(4, 5))
    data = [torch.randn(20, SIZE) for _ in range(8)]
    seen = []

    def divergence(ours: torch.Tensor, theirs: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        seen.append(len(batch))
        return nn.functional.kl_div(ours.log_softmax(1), theirs.softmax(1), reduction="batchmean")

    taught = tncompile.distill(
        model, small, data, loss=divergence, steps=60, rate=0.006, held_out=data[:2]
    )
    assert taught.best < 0.7 * taught.start
    assert taught.tensorized is None
    assert taught.tokens == 0
    assert set(seen) == {20}
    anew = tncompile.distill(
        model, small, data, loss=divergence, steps=60, rate=0.006, held_out=data[:2], memory_limit=0
    )
    assert same(taught.model, anew.model)


def test_numbers_of_16_bits_are_stepped_in_32() -> None:
    model, data = transformer().bfloat16(), ids(6)
    done, _ = made(model, data, SMALL)
    taught = tncompile.distill(model, done, data, steps=30, rate=0.01)
    assert {each.dtype for each in taught.model.parameters()} == {torch.bfloat16}
    assert taught.best < taught.start


def test_unbalanced_gauges_are_balanced_first() -> None:
    """The same map with factors of very different size gives the same training."""
    model, data = transformer(), ids(6)
    done, _ = made(model, data, SMALL)
    skewed = copy.deepcopy(done)
    with torch.no_grad():
        skewed.model[1].up.A.mul_(1000)  # type: ignore[index, union-attr, operator]
        skewed.model[1].up.B.div_(1000)  # type: ignore[index, union-attr, operator]
    one = tncompile.distill(model, done, data, steps=20)
    two = tncompile.distill(model, skewed, data, steps=20)
    assert two.best == pytest.approx(one.best, rel=0.02)


@pytest.mark.parametrize(
    "block", ["LowRank(rank = 3)", "Interpolative(rank = 3)", "MPO(ranks = 3)"]
)
def test_moments_find_the_way(block: str) -> None:
    """Inputs that are large in some directions: steps in coordinates of moments get further."""
    torch.manual_seed(0)
    mixed = torch.randn(SIZE, SIZE) @ torch.diag(10.0 ** torch.linspace(0, -3, SIZE))
    model = nn.Sequential(nn.Linear(SIZE, SIZE), nn.Tanh(), nn.Linear(SIZE, SIZE))
    data = [torch.randn(64, SIZE) @ mixed.mT for _ in range(8)]
    moments = tncompile.calibrate(model, data)
    head = 'import "std/linear.tn" { LowRank, Interpolative, MPO }'
    rewrite = tncompile.Rewrite.loads(f'{head} rewrite R {{ linear "0" -> {block} }}')
    done = tncompile.tensorize(model, rewrite, moments=moments)
    plain = tncompile.distill(model, done, data, steps=100, rate=0.002)
    taught = tncompile.distill(model, done, data, steps=100, rate=0.002, moments=moments)
    assert taught.best < plain.best < plain.start
    assert taught.tensorized is not None
    assert taught.tensorized.report.rows[0].metric_error is not None


def test_moments_of_all_kinds_of_layers() -> None:
    """Tables with a row of padding, convolutions by axes, fixed gauges, frozen factors."""
    text = """
    import "std/embedding.tn" { TTEmbedding }
    import "std/convolution.tn" { TuckerConv }
    import "std/linear.tn" { Interpolative }
    network Half(in_features: int, out_features: int, rank: int = 5, with_bias: bool = true) {
      index i = in_features, o = out_features
      bond r = rank
      input x(..., i)
      tensor A(i, r)
      tensor B(r, o) frozen
      bias c(o) if with_bias
      output y(..., o)
    }
    rewrite R {
      embedding "table" -> TTEmbedding(rows = [5, 8], columns = [4, 4], ranks = 3)
      conv "wide" -> TuckerConv(in_rank = 4, out_rank = 4, kernel_ranks = 5)
      linear "gauge" -> Interpolative(rank = 4)
      linear "part" -> Half()
    }
    """

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(40, SIZE, padding_idx=0)
            self.wide = nn.Conv1d(SIZE, SIZE, 300, padding=150)
            self.gauge, self.part = nn.Linear(SIZE, SIZE), nn.Linear(SIZE, SIZE)
            self.kept = nn.utils.parametrizations.spectral_norm(nn.Linear(SIZE, 8))

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.kept(self.part(self.gauge(self.wide(self.table(ids).mT).mT)))

    torch.manual_seed(0)
    model, data = Net(), ids(6)
    moments = tncompile.calibrate(model, data)
    done = tncompile.tensorize(model, tncompile.Rewrite.loads(text), moments=moments)
    chosen = dict(done.model.named_parameters())
    found = coordinates_of(done._placed, chosen, moments)
    whole = {name for name, each in chosen.items() if each.dim() > 1 and "kept" not in name}
    assert found.keys() == whole
    assert {name for name in whole if name.startswith("part")} == {"part.A"}
    assert sum(name.startswith("table") for name in whole) == 2
    taught = tncompile.distill(model, done, data, steps=20, moments=moments)
    assert taught.best < taught.start
    assert torch.equal(taught.model.part.B, done.model.part.B)  # type: ignore[union-attr]


def test_coordinates_are_roots_of_moments() -> None:
    """Along the inputs of low rank: those of the damped moment, damped once more as all are."""
    torch.manual_seed(0)
    model, data = nn.Linear(SIZE, 12), [torch.randn(64, SIZE) @ torch.randn(SIZE, SIZE)] * 2
    moments = tncompile.calibrate(model, data)
    text = 'import "std/linear.tn" { LowRank } rewrite R { linear "" -> LowRank(rank = 5) }'
    done = tncompile.tensorize(model, tncompile.Rewrite.loads(text), moments=moments)
    chosen = dict(done.model.named_parameters())
    own = coordinates_of(done._placed, chosen, moments)["A"]
    given = moments.metric("").inputs
    assert given is not None
    one = torch.eye(SIZE, dtype=torch.float64)
    damped = given + 0.01 * given.diagonal().mean() * one
    wanted = damped / damped.diagonal().mean() + 0.01 * one
    (root,) = (m.double() for axes, m in zip(own.along, own.inverses, strict=True) if axes == (0,))
    torch.testing.assert_close(root @ wanted @ root, one, rtol=1e-4, atol=1e-4)
    value = torch.randn(SIZE, 5)
    inside = multiplied(value, own.along, own.inverses)
    torch.testing.assert_close(own.inverse(value), inside)
    assert float((inside - value).norm()) > 0.1 * float(value.norm())


def test_integers_and_what_moments_say_nothing_of_are_trained_without() -> None:
    model = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 8))
    data = [torch.randn(20, 32) for _ in range(4)]
    moments = tncompile.calibrate(model, data)
    text = """import "std/linear.tn" { Interpolative, LowRank }
    rewrite R { linear "0" -> Interpolative(rank = 12) linear "2" -> LowRank(rank = 4) }"""
    done = tncompile.tensorize(model, tncompile.Rewrite.loads(text), moments=moments)
    whole = tncompile.quantize(done, "int8", layers=["0"])
    taught = tncompile.distill(model, whole, data, steps=20, moments=moments)
    assert taught.best < taught.start
    plain = tncompile.distill(model, done, data, steps=4, parameters=["*.c"])
    same_way = tncompile.distill(model, done, data, steps=4, parameters=["*.c"], moments=moments)
    assert same(plain.model, same_way.model)


def test_runs_with_moments_go_on(tmp_path: Path) -> None:
    model, data = transformer(), ids(6)
    done, moments = made(model, data, SMALL)
    file = tmp_path / "run.safetensors"
    whole = tncompile.distill(model, done, data, steps=12, moments=moments)

    def halt(step: int, total: int) -> None:
        if step == 7:
            raise HaltError

    given: dict[str, Any] = {"steps": 12, "checkpoint": file}
    with pytest.raises(HaltError):
        tncompile.distill(model, done, data, moments=moments, progress=halt, **given)
    with pytest.raises(ValueError, match="of another run: moments differs"):
        tncompile.distill(model, done, data, **given)
    others = tncompile.calibrate(model, ids(6, seed=3))
    with pytest.raises(ValueError, match="of another run: moments differs"):
        tncompile.distill(model, done, data, moments=others, **given)
    again = tncompile.distill(model, done, data, moments=moments, **given)
    assert same(whole.model, again.model)


def test_moments_of_another_model() -> None:
    model, data = transformer(), ids(4)
    done, moments = made(model, data, SMALL)
    rows = [torch.randn(20, SIZE) for _ in range(4)]
    wide, narrow = (nn.Sequential(nn.Linear(SIZE, n), nn.Linear(n, 8)) for n in (12, 6))
    text = 'import "std/linear.tn" { LowRank } rewrite R { linear "0" -> LowRank(rank = 3) }'
    small = tncompile.tensorize(wide, tncompile.Rewrite.loads(text))
    others = tncompile.calibrate(narrow, rows)
    with pytest.raises(ValueError, match=r"moments of another model: 0 is .* 6 × 16 in them"):
        tncompile.distill(wide, small, rows, steps=2, moments=others)
    with pytest.raises(TypeError, match=r"moments are what tncompile.calibrate returns, not dict"):
        tncompile.distill(model, done, data, steps=2, moments={})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="moments are for networks"):
        tncompile.distill(model, done.model, data, steps=2, moments=moments)


def test_the_rate_grows_over_twenty_steps_or_a_third_of_few() -> None:
    """Of 1,000 steps over a twentieth, of 100 over 20 steps, of 20 over six; then it falls."""
    for steps, grown in ((1000, 50), (100, 20), (20, 6)):
        rates = [rate_at(step / steps, step) for step in range(steps)]
        best = max(range(steps), key=rates.__getitem__)
        assert abs(best - grown) <= 1
        assert rates[best] > 0.8
        assert rates[: best + 1] == sorted(rates[: best + 1])
        assert rates[best:] == sorted(rates[best:], reverse=True)
        assert rates[-1] < 0.1


def test_minutes_end_it() -> None:
    model, data = transformer(), ids(4)
    done, _ = made(model, data, SMALL)
    taught = tncompile.distill(model, done, data, minutes=0.005)
    assert taught.stopped == "the time was over"
    assert taught.seconds >= 0.3
    once = tncompile.distill(model, done, data)
    assert once.steps == 3  # of four batches one is held out


def test_hostile_arguments() -> None:
    model, data = transformer(), ids(3)
    done, _ = made(model, data, SMALL)
    wrong: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (ValueError, "steps is 1 or more", {"steps": 0}),
        (TypeError, "steps is a whole number", {"steps": 2.5}),
        (ValueError, "minutes is above 0", {"minutes": 0}),
        (ValueError, "rate is above 0", {"rate": float("nan")}),
        (ValueError, "held_out is a part", {"held_out": 1.5}),
        (ValueError, "no batches that are held out", {"held_out": []}),
        (ValueError, "no module of both models is called 7", {"layers": ["7"]}),
        (ValueError, "no parameter that can be trained", {"parameters": ["7.*"]}),
        (ValueError, "memory_limit is a number of bytes", {"memory_limit": -1}),
        (ValueError, "a loss is a tensor of one number", {"loss": lambda a, b, c: 1.0}),
        (ValueError, "the loss is nan before", {"loss": lambda a, b, c: (a * torch.nan).sum()}),
        (ValueError, "the output is to be a tensor", {"output": lambda model, batch: 3}),
    ]
    for kind, words, given in wrong:
        with pytest.raises(kind, match=words):
            tncompile.distill(model, done, data, **{"steps": 2, **given})
    with pytest.raises(ValueError, match="there are no batches"):
        tncompile.distill(model, done, [])
    with pytest.raises(ValueError, match="one batch none can be held out"):
        tncompile.distill(model, done, data[:1])
    with pytest.raises(TypeError, match="small is what tncompile"):
        tncompile.distill(model, "small", data)  # type: ignore[arg-type]
    frozen = copy.deepcopy(done.model).requires_grad_(False)
    with pytest.raises(ValueError, match="all are frozen"):
        tncompile.distill(model, frozen, data)
