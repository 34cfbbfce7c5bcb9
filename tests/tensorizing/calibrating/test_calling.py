"""Models and data that are given: left as they were, or refused in words."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

import tncompile
from tncompile.tensorizing.calibrating.patterns import matching

HALF = 'import "std/linear.tn" { LowRank } rewrite S { linear "*" -> LowRank(rank = 4) }'


def normed() -> nn.Sequential:
    """A layer under spectral norm, which takes a step whenever its weight is read in training."""
    torch.manual_seed(0)
    return nn.Sequential(spectral_norm(nn.Linear(32, 32)), nn.ReLU(), nn.Linear(32, 32))


CALLS: dict[str, Callable[[nn.Sequential], object]] = {
    "tensorize": lambda model: tncompile.tensorize(model, tncompile.Rewrite.loads(HALF)),
    "calibrate": lambda model: tncompile.calibrate(model, [torch.ones(4, 32)]),
    "allocate": lambda model: tncompile.allocate(model, 0.7),
    "quantize": lambda model: tncompile.quantize(model, "int8"),
    "from_linear": lambda model: tncompile.from_linear(model[0], "LowRank", rank=4),
    "compare": lambda model: tncompile.compare(model, model, [torch.ones(4, 32)], timing=False),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("training", [True, False])
def test_parametrizations_keep_what_they_know(call: str, training: bool) -> None:
    model = normed().train(training)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    CALLS[call](model)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert {part.training for part in model.modules()} == {training}


def test_copies_have_the_modes_of_the_model() -> None:
    model = normed().train()
    one = HALF.replace('"*"', '"2"')
    copy = tncompile.tensorize(model, tncompile.Rewrite.loads(one)).model
    assert all(part.training for part in copy.modules())


def test_one_batch_is_no_data() -> None:
    model, batch = nn.Sequential(nn.Linear(32, 32)), torch.ones(4, 32)
    done = tncompile.tensorize(model, tncompile.Rewrite.loads(HALF))
    for call in (
        lambda: tncompile.calibrate(model, batch),
        lambda: tncompile.refit(model, done, batch),
        lambda: tncompile.distill(model, done, batch, steps=1),
        lambda: tncompile.compare(model, done, batch),
    ):
        with pytest.raises(TypeError, match="data is a list or another iterable of batches"):
            call()


def test_data_that_are_used_up() -> None:
    model = nn.Sequential(nn.Linear(32, 32))
    data = (torch.ones(4, 32) for _ in range(2))
    tncompile.calibrate(model, data)
    done = tncompile.tensorize(model, tncompile.Rewrite.loads(HALF))
    with pytest.raises(ValueError, match="there are no batches"):
        tncompile.refit(model, done, data)


def test_a_model_without_values() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(32, 32))
    for call in (
        lambda: tncompile.calibrate(model, [torch.ones(4, 32)]),
        lambda: tncompile.allocate(model, 0.5),
    ):
        with pytest.raises(ValueError, match="on the device `meta`: it has no values"):
            call()


def test_patterns() -> None:
    names = ["0.up", "0.down", "1.up"]
    assert matching(["1.*", "*.down"], names) == ["0.down", "1.up"]
    with pytest.raises(ValueError, match=r"no layer is called a\\nb: there are 0.up, 0.down"):
        matching("a\nb", names)
    with pytest.raises(TypeError, match="a pattern is a str, not int"):
        matching([3], names)  # type: ignore[list-item]
