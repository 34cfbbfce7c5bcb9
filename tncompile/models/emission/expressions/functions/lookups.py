"""Functions of ids: entries looked up by them, and sums over where they point."""

from __future__ import annotations

from tncompile.models.emission.expressions.conversion import Applied
from tncompile.models.emission.expressions.sources import helped
from tncompile.models.emission.expressions.text import Text, call


def _take(applied: Applied) -> Text:
    """Rows of a matrix as an embedding: torch checks the ids, and its gradient is fast.

    So does it along another axis.
    """
    table, ids = applied.tensor(0), applied.tensor(1)
    if applied.operation.options["dim"] is not None:
        return table.method("index_select", applied.axis(), ids)
    if applied.value().kind == "float" and len(applied.shape.sizes) == 2:
        applied.context.use("F")
        return call("F.embedding", ids, table)
    return helped(applied.context, "_take", table, ids)


def _gather(applied: Applied) -> Text:
    return applied.tensor(0).method("gather", applied.axis(), applied.tensor(1))


def _onehot(applied: Applied) -> Text:
    """`F.one_hot` would make a run-time size a number when it is compiled."""
    context, classes = applied.context, applied.text("n")
    if not classes.code.isdigit():
        return helped(context, "_onehot", applied.tensor(), classes, context.dtype)
    context.use("F")
    return call("F.one_hot", applied.tensor(), classes).method("to", context.dtype)


def _segment_sum(applied: Applied) -> Text:
    return helped(applied.context, "_segment_sum", applied.tensor(0, "int"), applied.tensor(1))


def _scatter_sum(applied: Applied) -> Text:
    size = applied.text("size")
    return helped(
        applied.context, "_scatter_sum", applied.tensor(0, "int"), applied.tensor(1), size
    )


RULES = {
    "take": _take,
    "gather": _gather,
    "onehot": _onehot,
    "segment_sum": _segment_sum,
    "scatter_sum": _scatter_sum,
}
