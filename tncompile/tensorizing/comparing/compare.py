"""`compare`: a changed model beside the original, measured by the same code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sized
from typing import TYPE_CHECKING, Any

from tncompile.tensorizing.comparing.requirements import kind_of, requirements

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tncompile.planning.paths.optimizers import Progress
    from tncompile.tensorizing.calibrating.model_moments import Moments
    from tncompile.tensorizing.comparing.verdict import Verdict
    from tncompile.tensorizing.replacing.tensorized import Tensorized


def compare(
    original: nn.Module,
    changed: nn.Module | Tensorized,
    data: Iterable[Any],
    *,
    output: Callable[[nn.Module, Any], torch.Tensor] | None = None,
    kind: str = "auto",
    labels: Callable[[Any], torch.Tensor] | None = None,
    scores: Mapping[str, Callable[[nn.Module], object]] | None = None,
    thresholds: Mapping[str, float] | None = None,
    second: Iterable[Any] | None = None,
    samples: Callable[[nn.Module], object] | None = None,
    moments: Moments | None = None,
    strict: bool = False,
    timing: bool | float = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Verdict:
    """What a change did to a model: distances on data, scores, sizes, time; ACCEPT or REGRESSION.

    Both models run on the same batches with the same code, in eval mode, and are left as they were;
    `changed` may be what `tensorize` returned. `data` and `output` are as in `calibrate`; a sample
    is an entry along the first axis. `kind` says what the outputs are:

        vectors  (samples, …, features): mean cosine, relative error
        logits   (samples, …, classes): Kullback-Leibler divergence from the original in nats,
                 flips (the share whose largest logit is another one); with labels perplexity and
                 accuracy
        values   (samples, …): relative error, (Σ ‖y − y'‖² / Σ ‖y‖²)^½

    "auto" takes logits where labels are given, what the thresholds are about, else vectors where
    outputs have two or three axes. `labels(batch)` are the right classes, (samples, …), negative
    where none counts; padding by an `attention_mask` in the batch does not count either. `scores`
    are functions of a model: to a number, to numbers of items (their mean is the score), or to a
    pair of items (items, …) and a function of them, as a correlation is. `second` is data of
    another kind: what is required of distances is required there, too. `samples(model)` gives a
    text or a list of them, shown side by side. `moments` add errors of weights in their metric.

    Intervals, from 5 to 95 %, are those of the bootstrap: samples, items or rounds of timing drawn
    anew, the same ones for both models. Time is the median ratio over rounds in turn on the first
    batch, in about four seconds or as many as `timing` says; False measures none. All else is a
    function of models, data and `seed`, and of no order of batches.

    `thresholds` name what is required. At least: "cosine", "accuracy" (a ratio), "score:NAME" (a
    ratio). At most: "error", "kl", "flips", "accuracy_lost" (a difference), and the ratios
    "perplexity", "parameters", "bytes", "flops", "time", and "loss:NAME" of a score that is better
    when lower. The value counts, or the worse end of its interval if `strict`. Numbers that are
    not finite are a REGRESSION.
    Raises ValueError for a threshold of an unknown name or one that cannot be measured, for outputs
    of two shapes, data without samples, and scores that fail; TypeError for wrong arguments.

    >>> import torch
    >>> mlp = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 9))
    >>> rewrite = tncompile.allocate(mlp, 0.9).rewrite
    >>> verdict = tncompile.compare(
    ...     mlp,
    ...     tncompile.tensorize(mlp, rewrite),
    ...     [torch.rand(50, 64)],
    ...     thresholds={"error": 1.0, "parameters": 0.9},
    ...     timing=False,
    ... )
    >>> verdict.accepted, verdict["parameters"].required
    (True, '≤ 0.9')
    """
    from torch import nn

    from tncompile.tensorizing.calibrating.calling import require_batches
    from tncompile.tensorizing.calibrating.model_moments import require_of
    from tncompile.tensorizing.comparing.judging import judgment
    from tncompile.tensorizing.comparing.running import Pair
    from tncompile.tensorizing.comparing.scoring import require_functions
    from tncompile.tensorizing.replacing.tensorized import Tensorized

    networks: dict[str, str] = {}
    if isinstance(changed, Tensorized):
        networks = {name: row.network for row in changed.report.rows for name in row.names}
        changed = changed.model
    for name, model in (("original", original), ("changed", changed)):
        if not isinstance(model, nn.Module):
            raise TypeError(f"{name} is an nn.Module, not {type(model).__name__}")
    for name, given in (("output", output), ("labels", labels), ("samples", samples)):
        if given is not None and not callable(given):
            raise TypeError(f"{name} is a function, not {type(given).__name__}")
    if not isinstance(timing, int | float):
        raise TypeError(f"timing is True, False or seconds, not {type(timing).__name__}")
    if not 0 <= timing < 1e6:
        raise ValueError(f"timing is True, False or seconds, not {timing}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise ValueError(f"seed is a whole number from 0 on, not {seed!r}")
    functions = require_functions(scores)
    required = requirements(thresholds, functions)
    known = kind_of(kind, required, labels, timing)
    if moments is not None:
        require_of(moments, original)
    sets = [("the data", data), *([("the second data", second)] if second is not None else [])]
    for name, batches in sets:
        require_batches(name, batches)
    total = sum(len(each) if isinstance(each, Sized) else 0 for _, each in sets)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, max(done, total))

    return judgment(
        Pair(original, changed, output, labels, seed),
        sets,
        known,
        functions,
        required,
        samples=samples,
        moments=moments,
        networks=networks,
        strict=strict,
        seconds=None if timing is False else timing,
        step=step,
    )
