"""From a budget to an option of each layer."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from tncompile.planning.wording import count_text, percent_text
from tncompile.tensorizing.allocating.allocation import Allocation, Choice
from tncompile.tensorizing.allocating.budgets import Budget, Floors, read_floors
from tncompile.tensorizing.allocating.contending import (
    best_of,
    contenders_of,
    forms_of,
    read_candidates,
)
from tncompile.tensorizing.allocating.options import Option, best
from tncompile.tensorizing.allocating.remembering import Memory
from tncompile.tensorizing.allocating.subjects import Subject, subjects_of
from tncompile.tensorizing.allocating.timing import MICRO, clock_of
from tncompile.tensorizing.calibrating.model_moments import Moments, require_of
from tncompile.tensorizing.resuming.answers import Answers


def decide(
    model: nn.Module,
    budget: Budget,
    *,
    moments: Moments | None,
    candidates: Sequence[str],
    floors: Floors,
    embedding_share: float | None,
    multiple: int,
    layers: Sequence[str] | None,
    damping: float,
    seed: int,
    checkpoint: str | os.PathLike[str] | None,
    progress: Callable[[int, int], None] | None,
) -> Allocation:
    """What `allocate` returns."""
    if isinstance(multiple, bool) or not isinstance(multiple, int):
        raise TypeError(f"multiple is an int, not {multiple!r}")
    if multiple < 1:
        raise ValueError(f"ranks are multiples of 1 or more, not {multiple}")
    if embedding_share is not None and not 0 < embedding_share <= 1:
        raise ValueError(f"the share of embeddings is a part up to 1, not {embedding_share}")
    names = read_candidates(candidates)
    if moments is not None:
        if not isinstance(moments, Moments):
            raise TypeError(f"moments are a tncompile.Moments, not {type(moments).__name__}")
        require_of(moments, model)
    clock = clock_of(moments) if budget.unit == "time" else None
    answers = None if checkpoint is None else Answers.at(checkpoint)
    memory = Memory(answers, moments if clock is not None else None)
    subjects = list(subjects_of(model, moments, layers, budget.unit, damping))
    for each in subjects:
        if not each.fixed and not bool(torch.isfinite(each.weight).all()):
            raise ValueError(f"{each.name}: the weight has entries that are not finite")
    if not subjects:
        raise ValueError("the model has no layer with a weight: nothing to allocate")
    if clock is not None:
        subjects = [clock.priced(each) for each in subjects]
    given = read_floors(floors, [name for each in subjects for name in each.names])
    total = len(subjects) * (2 if contenders_of(names) else 1)
    report = progress or (lambda done, total: None)
    options: dict[str, list[Option]] = {}
    blocks = forms_of(names)

    def options_of(each: Subject) -> list[Option]:
        floor = max((given[name] for name in each.names if name in given), default=None)

        def find() -> list[Option]:
            found = each.options(floor, multiple, blocks)
            return found if clock is None else clock.timed(each, found)

        return memory.options(each, find, "options", floor, multiple, *blocks)

    def best_for(each: Subject, low_rank: Option) -> Option:
        def find() -> Option:
            return best_of(each, low_rank, names, seed, clock)

        return memory.option(each, find, "best", repr(low_rank), seed, *names)

    for number, each in enumerate(subjects):
        report(number, total)
        options[each.name] = options_of(each)
    unit = float(len(subjects))
    if moments is not None:
        unit = moments.output / moments.samples or 1.0
    chosen, threshold = _chosen(model, subjects, options, budget, embedding_share, unit)
    for number, each in enumerate(subjects if total > len(subjects) else ()):
        report(len(subjects) + number, total)
        chosen[each.name] = best_for(each, chosen[each.name])
    report(total, total)
    times = None
    if clock is not None:
        times = tuple(
            sum(each.cost for each in costs) / MICRO
            for costs in (chosen.values(), [each.dense for each in subjects])
        )
    return _allocation(model, subjects, chosen, threshold, unit, times)


def _chosen(
    model: nn.Module,
    subjects: Sequence[Subject],
    options: Mapping[str, list[Option]],
    budget: Budget,
    embedding_share: float | None,
    unit: float,
) -> tuple[dict[str, Option], float]:
    """The options that fit into the budget."""
    tables = [each for each in subjects if each.kind == "embedding"]
    others = [each for each in subjects if each.kind != "embedding"]
    whole = _whole(model, subjects, budget)
    limit = math.inf if budget.unit == "error" else budget.limit(whole)
    share = embedding_share
    if share is None:
        share = min(1.0, limit / whole) if budget.unit in ("params", "bytes") else 1.0
    room = share * sum(each.dense.parameters * _weight(each, budget) for each in tables)
    if budget.unit in ("flops", "time", "error") and embedding_share is None:
        of_tables = [each.dense for each in tables]
    else:
        priced = [_priced(options[each.name], _weight(each, budget)) for each in tables]
        of_tables, _ = best(priced, room)
    spent = whole - sum(each.dense.cost for each in subjects)
    spent += sum(option.cost for option in of_tables)
    error = None
    if budget.unit == "error":
        error = budget.value**2 * unit - sum(option.error for option in of_tables)
    least = spent + sum(min(o.cost for o in options[each.name]) for each in others)
    if least > limit:
        unit_text = "microseconds" if budget.unit == "time" else budget.unit
        raise ValueError(
            f"a budget of {count_text(int(limit))} {unit_text} is less than the smallest ranks"
            f" take: {count_text(math.ceil(least))}, {percent_text(least / whole)} of the model"
        )
    if error is not None and error <= 0:
        raise ValueError("the error of the embeddings alone is more than the budget")
    found, threshold = best([options[each.name] for each in others], limit - spent, error)
    names = [each.name for each in (*tables, *others)]
    return dict(zip(names, [*of_tables, *found], strict=True)), threshold


def _weight(subject: Subject, budget: Budget) -> float:
    """What a parameter of a table takes of the share of tables."""
    return subject.unit if budget.unit == "bytes" else 1.0


def _priced(options: Sequence[Option], price: float) -> list[Option]:
    """Options by parameters: FLOPs of a table are none."""
    return [
        Option(o.parameters, o.parameters * price, o.error, o.block, o.arguments) for o in options
    ]


def _whole(model: nn.Module, subjects: Sequence[Subject], budget: Budget) -> float:
    """What the model has as it is, in the unit of the budget; of FLOPs and time, its layers."""
    if budget.unit in ("flops", "time"):
        return sum(each.dense.cost for each in subjects)
    if budget.unit == "bytes":
        return float(sum(each.numel() * each.element_size() for each in model.parameters()))
    return float(sum(each.numel() for each in model.parameters()))


def _allocation(
    model: nn.Module,
    subjects: Sequence[Subject],
    chosen: Mapping[str, Option],
    threshold: float,
    unit: float,
    times: tuple[float, ...] | None,
) -> Allocation:
    choices = []
    for each in subjects:
        option, dense = chosen[each.name], each.dense.parameters
        choices.append(
            Choice(
                each.name,
                each.kind,
                option.block,
                option.arguments,
                dense,
                option.parameters,
                option.error,
            )
        )
    whole = sum(each.numel() for each in model.parameters())
    after = whole + sum(each.parameters - each.dense for each in choices)
    error = math.sqrt(sum(each.error for each in choices) / unit)
    least = 0.0 if math.isinf(threshold) else threshold
    return Allocation(tuple(choices), after, whole, error, least, *(times or ()))
