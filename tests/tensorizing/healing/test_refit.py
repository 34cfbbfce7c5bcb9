"""Layers refitted on the inputs that the smaller model gives them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import tncompile
from tests.tensorizing.healing.models import SIZE, error, ids, made, same, transformer
from tncompile.tensorizing.calibrating.calling import called
from tncompile.tensorizing.healing.memory import Memory
from tncompile.tensorizing.healing.refits.passes import Passes
from tncompile.tensorizing.healing.refits.stops import seen

HALF = 'embedding "0" -> TTEmbedding(rows = [40], columns = [1, 16], ranks = 8)\n' + "\n".join(
    f'linear "{k}.{name}" -> LowRank(rank = {rank})'
    for k in (1, 2)
    for name, rank in (("q", 4), ("k", 4), ("v", 4), ("out", 4), ("up", 6), ("down", 6))
)


def test_errors_fall_layer_by_layer_and_at_the_output() -> None:
    model, data = transformer(), ids(12)
    done, moments = made(model, data, HALF)
    start, before = copy.deepcopy(done.model), error(done.model, model, ids(4, seed=9))
    again = tncompile.refit(model, done, data, moments=moments)
    assert all(each.after <= each.before for each in again.layers)
    rows = {each.name: each for each in again.layers}
    assert rows["1.down"].how == "weight"
    assert rows["1.down"].after < 0.9 * rows["1.down"].before
    assert error(again.model, model, ids(4, seed=9)) < 0.8 * before
    assert same(done.model, start)
    assert model.training
    assert again.model.training
    assert rows["0"].why == "an embedding"


def test_what_is_added_to_the_stream_is_found() -> None:
    model, data = transformer(), ids(12)
    done, moments = made(model, data, HALF)
    again = tncompile.refit(model, done, data, moments=moments)
    writing = {each.name for each in again.layers if each.stream}
    assert writing == {"1.out", "1.down", "2.out", "2.down"}
    without = tncompile.refit(model, done, data, moments=moments, residual=())
    assert not any(each.stream for each in without.layers)
    held = ids(4, seed=9)
    assert error(again.model, model, held) < error(without.model, model, held)
    some = tncompile.refit(model, done, data, residual=["*.down"])
    assert {each.name for each in some.layers if each.stream} == {"1.down", "2.down"}
    with pytest.raises(ValueError, match=r"of no layer '1\.up' is added"):
        tncompile.refit(model, done, data, residual=["1.up"])


def test_passes_that_keep_nothing_find_the_same() -> None:
    model, data = transformer(), ids(3)
    done, moments = made(model, data, HALF)
    kept = tncompile.refit(model, done, data, moments=moments)
    anew = tncompile.refit(model, done, data, moments=moments, memory_limit=0)
    assert same(kept.model, anew.model)


def test_a_model_that_loses_nothing_is_left_alone() -> None:
    model, data = transformer(), ids(3)
    done, _ = made(model, data, 'linear "*.up" -> LowRank(rank = 16)')
    again = tncompile.refit(model, done, data)
    assert [each.how for each in again.layers] == ["kept", "kept"]
    assert same(again.model, done.model)


def test_exact_where_the_ridge_can_be() -> None:
    """What an earlier layer lost of few directions, a later one makes up for."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(SIZE, SIZE), nn.Linear(SIZE, 4))
    mixed = torch.randn(4, SIZE)
    data = [torch.randn(200, 4) @ mixed for _ in range(3)]
    done, _ = made(model, data, 'linear "0" -> LowRank(rank = 5) linear "1" -> LowRank(rank = 4)')
    with torch.no_grad():
        done.model[0].A.mul_(1.5)  # type: ignore[index, union-attr, operator]
        done.model[0].bias.add_(1.0)  # type: ignore[index, union-attr, operator]
    again = tncompile.refit(model, done, data, damping=1e-6)
    assert error(done.model, model, data) > 0.3
    assert error(again.model, model, data) < 0.02


class Twice(nn.Module):
    """A layer that is called twice, beside one whose result is changed in place."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Linear(SIZE, SIZE) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (n, SIZE)."""
        y = self.a(x)
        y *= 2
        return self.c(torch.tanh(self.b(torch.tanh(self.b(y)))))


def test_shared_layers_and_changes_in_place() -> None:
    torch.manual_seed(0)
    model = Twice()
    data = [torch.randn(50, SIZE) for _ in range(4)]
    done, _ = made(model, data, 'linear "*" -> LowRank(rank = 6)')
    again = tncompile.refit(model, done, data)
    assert all(each.after <= each.before for each in again.layers)
    assert error(again.model, model, data) < error(done.model, model, data)
    assert same(again.model, tncompile.refit(model, done, data, memory_limit=0).model)


def test_convolutions() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.Flatten()
    )
    data = [torch.randn(6, 3, 7, 7) for _ in range(4)]
    moments = tncompile.calibrate(model, data)
    rewrite = tncompile.Rewrite.loads(
        'import "std/convolution.tn" { Tucker2Conv } '
        'rewrite S { conv "*" -> Tucker2Conv(in_rank = 3, out_rank = 4) }'
    )
    done = tncompile.tensorize(model, rewrite, moments=moments)
    again = tncompile.refit(model, done, data, moments=moments)
    assert {each.how for each in again.layers} <= {"weight", "bias"}
    assert error(again.model, model, data) < error(done.model, model, data)


def test_padding_counts_nothing() -> None:
    """Rows that the output does not depend on change nothing, whatever they hold."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(SIZE, SIZE), nn.Tanh(), nn.Linear(SIZE, SIZE))
    rows = torch.randn(100, SIZE)
    more = torch.cat([rows, 100 * torch.randn(50, SIZE)])
    done, moments = made(model, [rows], 'linear "*" -> LowRank(rank = 4)')

    def first(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = model(batch)[:100]
        return found

    one = tncompile.refit(model, done, [rows], moments=moments, output=first)
    two = tncompile.refit(model, done, [more], moments=moments, output=first)
    pairs = zip(one.layers, two.layers, strict=True)
    # random signs of gradients differ; were the other rows counted, they would be all that counts
    assert all(a.after == pytest.approx(b.after, abs=0.05) for a, b in pairs)
    assert error(two.model, model, [rows]) < 1.1 * error(one.model, model, [rows])


def test_the_result_is_a_tensorized_model(tmp_path: Any) -> None:
    model, data = transformer(), ids(3)
    done, moments = made(model, data, HALF)
    again = tncompile.refit(model, done, data, moments=moments)
    again.tensorized.save(tmp_path / "small")
    read = tncompile.load_model(tmp_path / "small", model=model)
    assert same(read, again.model)
    rows = again.tensorized.report.rows
    row = next(each for each in rows if each.names == ("1.down",))
    weight, now = (each[1].down.weight.detach() for each in (model, again.model))  # type: ignore
    assert row.error == pytest.approx(float((weight - now).norm() / weight.norm()), rel=1e-5)
    fitted = next(each for each in done.report.rows if each.names == ("1.down",))
    assert fitted.metric_error is not None
    assert row.metric_error is not None
    assert row.metric_error >= fitted.metric_error * (1 - 1e-6)
    same_rows = tncompile.refit(model, done, data[:1], moments=moments).tensorized.report.rows
    assert same_rows[0].error == pytest.approx(done.report.rows[0].error, rel=1e-5)


def test_what_cannot_be_refitted_says_why() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(40, SIZE), nn.Linear(SIZE, 40, bias=False)
            self.head.weight = self.table.weight
            self.raw = nn.Parameter(torch.randn(SIZE, SIZE))
            self.idle, self.used = nn.Linear(SIZE, SIZE), nn.Linear(SIZE, SIZE)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.used(self.table(x)) @ self.raw)

    torch.manual_seed(0)
    model, data = Odd(), ids(2)
    rewrite = tncompile.Rewrite.loads(
        'import "std/linear.tn" { LowRank } rewrite S { linear "head" -> LowRank(rank = 8) '
        'linear "idle" -> LowRank(rank = 4) linear "used" -> LowRank(rank = 4) }'
    )
    done = tncompile.tensorize(model, rewrite)
    again = tncompile.refit(model, done, data)
    why = {each.name: each.why for each in again.layers}
    assert why["head"] == "its weight is read by others"
    assert "never called" in why["idle"]
    assert not why["used"]


def test_hostile_arguments() -> None:
    model, data = transformer(), ids(2)
    done, _ = made(model, data, 'linear "*.up" -> LowRank(rank = 4)')
    with pytest.raises(TypeError, match="done is what tncompile"):
        tncompile.refit(model, model, data)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="model is an"):
        tncompile.refit("model", done, data)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no batches"):
        tncompile.refit(model, done, [])
    with pytest.raises(ValueError, match="damping is a number above 0"):
        tncompile.refit(model, done, data, damping=0)
    with pytest.raises(ValueError, match=r"1\.up is no such layer of this model"):
        tncompile.refit(nn.Linear(3, 3), done, data)
    with torch.no_grad():
        model[1].up.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        tncompile.refit(model, done, data)


def test_a_pass_goes_on_where_it_stopped() -> None:
    """Modules that were done are not called again; what they hold is dropped with them."""
    calls: list[str] = []

    class Noted(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            calls.append(self.name)  # type: ignore[arg-type]
            return super().forward(x)

    layers = [Noted(4, 4) for _ in range(4)]
    for place, layer in enumerate(layers):
        layer.name = str(place)  # type: ignore[assignment]
    model = nn.Sequential(nn.Sequential(*layers[:2]), nn.Sequential(*layers[2:]))
    memory = Memory(10**6)
    passes = Passes(model, (), called, memory)
    x = torch.randn(3, 4)
    with passes.watched():
        for layer in layers:
            reached = passes.up_to(0, x, layer)
            assert len(reached.calls) == 1
        assert calls == ["0", "1", "2"]
        assert memory.left == 10**6 - 2 * x.numel() * 4  # of the first pair, and of the third
    assert torch.equal(reached.calls[0].x, functional.linear(model[0](x), *layers[2].parameters()))
    assert "forward" not in vars(layers[0])


def test_streams_of_parallel_branches() -> None:
    """x + a(x) + b(x): the second branch makes up for the first, and both for the stream."""

    class Parallel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(SIZE, SIZE), nn.Linear(SIZE, SIZE)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = x.tanh()
            return h + (self.a(h) + self.b(x))

    model = Parallel()
    layers = {"a": model.a, "b": model.b}
    found = seen(model, layers, called, torch.randn(5, SIZE), None)
    assert [(stop.names, stop.added) for stop in found.stops] == [(("a",), 0), (("b",), 2)]


def test_convolutions_with_moments_of_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No moment of all inputs is made: the bias moves alone, errors are those of the metric."""
    monkeypatch.setattr("tncompile.tensorizing.calibrating.layers.LARGEST", 40)
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(6, 8, (8, 1), padding=(4, 0)), nn.ReLU(), nn.Conv2d(8, 8, (8, 1)), nn.ReLU()),
        *(nn.Conv2d(8, 8, (6, 1), bias=False), nn.Flatten(), nn.Linear(128, 8)),
    )
    data = [torch.rand(6, 6, 27, 1) for _ in range(4)]
    moments = tncompile.calibrate(model, data)
    rewrite = tncompile.Rewrite.loads(
        'import "std/convolution.tn" { TuckerConv } rewrite S { conv "*" -> '
        "TuckerConv(in_rank = 3, out_rank = 3, kernel_ranks = [3, 1]) }"
    )
    done = tncompile.tensorize(model, rewrite, moments=moments)
    with torch.no_grad():
        done.model[0].c.add_(1.0)  # type: ignore[index, union-attr, operator]
    again = tncompile.refit(model, done, data, moments=moments)
    first, second, third = again.layers
    assert {first.how, second.how} == {"bias"}
    assert first.after < 0.5 * first.before
    assert second.after < second.before
    assert third.why == "too many inputs for a moment of all, and no bias"
    assert "kept: too many inputs" in again.table()
    assert error(again.model, model, data) < 0.5 * error(done.model, model, data)
    for old, new in zip(done.report.rows, again.tensorized.report.rows, strict=True):
        assert new.metric_error == pytest.approx(
            old.metric_error, rel=1e-4
        )  # weights are as before
    with torch.no_grad():
        lost = torch.cat([again.model[0](x) - model[0](x) for x in data])  # type: ignore[index, operator]
    assert float(lost.mean((0, 2, 3)).abs().max()) < 0.1


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize(
    "block", ["MPO(ranks = 2)", "LowRank(rank = 4)", "Interpolative(rank = 4)"]
)
def test_inputs_that_never_change_move_the_bias_alone(value: float, block: str) -> None:
    """Their covariance is rounding: no metric, and nothing to fit a weight to."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(24, 32), nn.Tanh(), nn.Linear(32, 16))
    text = 'import "std/linear.tn"\nrewrite R { linear "*" -> ' + block + " }"
    small = tncompile.tensorize(model, tncompile.Rewrite.loads(text))
    data = [torch.full((8, 24), value)] * 3
    again = tncompile.refit(model, small, data)
    assert {layer.how for layer in again.layers} <= {"bias", "kept"}
    with torch.no_grad():
        lost = (again.model(data[0]) - model(data[0])).abs().max()
    assert float(lost) < 1e-5
