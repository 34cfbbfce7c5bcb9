"""`allocate`: ranks of all layers of a model for a budget."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tncompile.tensorizing.allocating.allocation import Allocation

if TYPE_CHECKING:
    from torch import nn

    from tncompile.planning.paths.optimizers import Progress
    from tncompile.tensorizing.calibrating.model_moments import Moments


def allocate(
    model: nn.Module,
    budget: Mapping[str, float] | float,
    *,
    moments: Moments | None = None,
    candidates: Sequence[str] = ("LowRank",),
    floors: Mapping[str, float] | float | None = None,
    embedding_share: float | None = None,
    multiple: int = 8,
    layers: Sequence[str] | None = None,
    damping: float = 0.01,
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Allocation:
    """What each layer of a model becomes, so that the output suffers least for a budget.

    A `budget` is a part of the parameters of the whole model, or {"params": n}, {"bytes": n},
    {"flops": n}, {"time": n}, where numbers up to 1 are parts, or {"error": e}, the relative error
    of the output that is predicted. FLOPs are those of weights, for the rows that `moments` have
    seen. Time is what `Architecture.cost` predicts of a forward pass, for the rows of a batch of
    them, in microseconds; a part is one of what the layers take as they are.

    With `moments` errors are in the unit of the output: ranks of all layers follow from one
    threshold on s²/(m + n), with s the singular values of G^½ W A^½. Without them, errors are
    relative to the norm of each weight. Ranks are multiples of `multiple`; `floors` are least
    ranks, or parts below 1 of the full rank, for all layers or by pattern of names. A layer that
    low rank does not make smaller, or that is in groups, or that moments know nothing of, is kept.
    Low rank of a convolution is Tucker2Conv or TuckerConv, whichever is nearer (or the one among
    `candidates`), of an embedding a TTEmbedding of two cores. Embeddings
    have a share of their own, of their parameters: that of the budget, unless `embedding_share`
    says; they are kept where the budget is FLOPs, time or an error.

    `candidates` may have Interpolative beside LowRank, or in its place: its ranks follow from the
    same spectra, at a price of r (m + n - r). So may MixedEmbedding beside TTEmbedding, or in its
    place: its groups of words and their ranks follow from the spectra of groups. Others ("MPO",
    "Monarch", "KroneckerSum", "Tucker", …: blocks of `std/linear.tn` and `std/convolution.tn`) are
    fitted with as many parameters as low rank was given, and the best of each layer is taken: quick
    fits decide, whole ones where they are close. For a budget of time none is taken that takes
    longer.

    `layers` are patterns of names. What was found of each layer, spectra and fits of candidates, is
    kept in the folder `checkpoint`: a run that was killed goes on from there, to the same result.
    `progress` is called with layers done and to do.

    Raises ValueError where the budget is below what the smallest ranks take, for time without
    moments, unknown candidates, patterns that match nothing and a `checkpoint` of something else.

    >>> import torch
    >>> mlp = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.Tanh())
    >>> moments = tncompile.calibrate(mlp, [torch.rand(100, 64)])
    >>> found = tncompile.allocate(mlp, 0.5, moments=moments)
    >>> found.parameters <= 0.5 * found.dense
    True
    """
    from tncompile.tensorizing.allocating.budgets import read_budget
    from tncompile.tensorizing.allocating.deciding import decide
    from tncompile.tensorizing.calibrating.calling import require_values, unchanged_weights

    require_values(model)
    with unchanged_weights(model):
        return decide(
            model,
            read_budget(budget),
            moments=moments,
            candidates=candidates,
            floors=floors,
            embedding_share=embedding_share,
            multiple=multiple,
            layers=layers,
            damping=damping,
            seed=seed,
            checkpoint=checkpoint,
            progress=progress,
        )
