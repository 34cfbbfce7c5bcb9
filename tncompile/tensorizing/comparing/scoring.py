"""Scores that a user computes: of the original and of the changed model, by the same function."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import nn

from tncompile.tensorizing.comparing.lines import Line
from tncompile.tensorizing.comparing.requirements import SCORE
from tncompile.tensorizing.comparing.resampling import interval, ordered, resampled, resampled_sums
from tncompile.tensorizing.comparing.running import Pair, failing

T = TypeVar("T")
Score = Callable[[nn.Module], object]
Statistic = Callable[[torch.Tensor], float]


def require_functions(scores: Mapping[str, Score] | None) -> dict[str, Score]:
    """The scores by their names. Raises TypeError for what is no dict of functions."""
    if scores is None:
        return {}
    if not isinstance(scores, Mapping) or not all(
        isinstance(name, str) and callable(score) for name, score in scores.items()
    ):
        raise TypeError("scores are a dict of names and functions of a model")
    return dict(scores)


def scored(name: str, score: Score, pair: Pair) -> Line:
    """What both models score, and the ratio, with an interval where items are given."""
    found = [_asked(f"the score {name}", score, which, model, pair) for which, model in pair.each()]
    (before, statistic), (after, _) = (_items(name, each) for each in found)
    if before.dim() == 0 or after.dim() == 0:
        if before.dim() != after.dim():
            raise ValueError(f"the score {name} is a number of one model and items of the other")
        return _line(name, float(before), float(after), None)
    if before.shape != after.shape:
        counts = f"{len(before):,} items of the original, {len(after):,} of the changed model"
        raise ValueError(f"the score {name} has {counts}")
    if statistic is None:
        sums = resampled_sums(ordered(torch.stack([before, after], 1)), pair.seed)
        ratios = sums[:, 1] / sums[:, 0]
        return _line(name, float(before.mean()), float(after.mean()), interval(ratios))
    ratios = resampled((before, after), statistic, pair.seed)
    return _line(name, statistic(before), statistic(after), interval(ratios))


def shown_samples(samples: Score, pair: Pair) -> tuple[tuple[str, str], ...]:
    """What both models generate, side by side."""
    found = [_texts(_asked("samples", samples, which, m, pair)) for which, m in pair.each()]
    length = max(map(len, found))
    padded = [each + [""] * (length - len(each)) for each in found]
    return tuple(zip(*padded, strict=True))


def _asked(
    what: str, function: Callable[[nn.Module], T], which: str, model: nn.Module, pair: Pair
) -> T:
    torch.manual_seed(pair.seed)
    with failing(f"{what} of the {which} model"):
        return function(model)


def _items(name: str, found: object) -> tuple[torch.Tensor, Statistic | None]:
    """Items of a score, (items, …) or a number without axes, and what makes a number of them."""
    statistic: Statistic | None = None
    given: Any = found
    if isinstance(given, tuple) and len(given) == 2 and callable(given[1]):
        given, made = given
        statistic = _number_of(made, name)
    try:
        if not isinstance(given, torch.Tensor):
            given = torch.as_tensor(given, dtype=torch.float64)
        items = given.detach().to("cpu", torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"the score {name} is no number and no items: {error}") from None
    if items.dim() and not len(items):
        raise ValueError(f"the score {name} has no items")
    if items.dim() > 1 and statistic is None:
        shape = tuple(items.shape)
        raise ValueError(f"items of the score {name} are of shape {shape}: give (items, function)")
    if statistic is not None and not items.dim():
        raise ValueError(f"the score {name} has a function and no items")
    return items, statistic


def _number_of(function: Callable[[torch.Tensor], Any], name: str) -> Statistic:
    def number(items: torch.Tensor) -> float:
        with failing(f"the function of the score {name}"):
            return float(function(items))

    return number


def _line(name: str, before: float, after: float, low_high: tuple[float, float] | None) -> Line:
    """A ratio has a meaning where the original is above zero."""
    ratio = after / before if before > 0 else math.nan
    low, high = low_high if low_high is not None and before > 0 else (None, None)
    return Line(SCORE + name, ratio, low, high, before, after)


def _texts(found: object) -> list[str]:
    if isinstance(found, str):
        return [found]
    if isinstance(found, list | tuple):
        return [each if isinstance(each, str) else str(each) for each in found]
    raise ValueError(f"samples are a text or a list of them, not {type(found).__name__}")
