"""What is known of a weight that several layers hold: sums over all of them.

A table that is tied to a head is a map in the other direction: of both, an error of the weight
counts in rows, which are ids, and in columns. What it counts is Σ |g|² of rows ⊗ Σ g gᵀ of a table,
and Σ g gᵀ ⊗ Σ |g|² x xᵀ of a head, of which a table keeps the diagonal of the first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tncompile.tensorizing.calibrating.layers import Kind, Layer
from tncompile.tensorizing.calibrating.sums import LayerSums
from tncompile.tensorizing.moments import DAMPING, Metric

if TYPE_CHECKING:
    from tncompile.tensorizing.calibrating.model_moments import Moments


def shared_sums(moments: Moments | None, names: Iterable[str], kind: str) -> LayerSums | None:
    """What was added up under any of these names, as that of a layer of a kind.

    None where there is nothing. Names of one module count once; layers of other kinds count where
    one is a table and the other a linear map.
    """
    if moments is None:
        return None
    firsts = dict.fromkeys(moments.aliases.get(name, name) for name in names)
    known = [moments.layers[name] for name in firsts if name in moments.layers]
    total: LayerSums | None = None
    for sums in known:
        own = sums if sums.layer.kind == kind else _turned(sums, kind)
        if own is not None:
            total = own if total is None else total + own
    return total


def shared_metric(moments: Moments | None, names: Iterable[str], kind: str) -> Metric | None:
    """What an error of the weight counts, by these sums; None where they say nothing."""
    sums = shared_sums(moments, names, kind)
    if moments is None or sums is None:
        return None
    metric = sums.metric(moments.samples, "frequency", DAMPING)
    return None if metric._is_plain else metric


def _turned(sums: LayerSums, kind: str) -> LayerSums | None:
    """Those of a head as a table's, and the reverse; None for other kinds."""
    import torch

    given = sums.layer

    def layer(other: Kind) -> Layer:
        return Layer(other, given.outputs, given.inputs)

    if (given.kind, kind) == ("linear", "embedding"):
        heard = sums.heard
        part = heard / heard.sum() if heard.any() else heard
        size = sums.inputs.trace()
        rows = part.to(sums.rows) * sums.rows * (not sums.silent)
        table = layer("embedding")
        columns = sums.inputs if len(table.gradients) == 2 else sums.inputs.diagonal()
        return LayerSums(table, part * size, columns, rows)
    if (given.kind, kind) == ("embedding", "linear"):
        nothing = torch.zeros((), dtype=sums.rows.dtype, device=sums.rows.device)
        head = layer("linear")
        outputs = sums.inputs if len(head.gradients) == 1 else torch.diag(sums.inputs)
        inputs = sums.outputs if sums.outputs.dim() == 2 else torch.diag(sums.outputs)
        return LayerSums(head, inputs, outputs, nothing)
    return None
