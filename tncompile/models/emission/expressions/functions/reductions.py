"""Functions along axes: those that take axes away, and those that keep the shape."""

from __future__ import annotations

from tncompile.language.typing.values import Kind
from tncompile.models.emission.expressions.conversion import Applied
from tncompile.models.emission.expressions.text import Text, call, one_or_tuple

_FLOATS = ("mean", "logsumexp", "var", "std", "softmax", "log_softmax")
_OTHERS = ("sum", "prod", "cumsum", "amax", "amin", "any", "all", "argmax", "argmin")


def _method(applied: Applied) -> Text:
    """`x.sum(-1)`, `x.mean((-2, -1), keepdim=True)`."""
    kind: Kind = "bool"  # of which torch makes ints in sums and products
    if applied.name in ("argmax", "argmin"):
        kind = "int"
    elif applied.name in _FLOATS:
        kind = "float"
    keywords = applied.keywords(correction=1, keepdim=False)
    axes = one_or_tuple(sorted(applied.axes()))
    return applied.tensor(0, kind).method(applied.name, axes, *keywords)


def _normalize(applied: Applied) -> Text:
    applied.context.use("F")
    keywords = applied.keywords(p=2.0, eps=1e-12)
    return call("F.normalize", applied.tensor(0, "float"), f"dim={applied.axis()}", *keywords)


def _norm(applied: Applied) -> Text:
    order = [] if applied.option("p") == 2 else [applied.text("p")]
    arguments = [*order, f"dim={one_or_tuple(applied.axes())}", *applied.keywords(keepdim=False)]
    return call("torch.linalg.vector_norm", applied.tensor(0, "float"), *arguments)


def _topk(applied: Applied) -> Text:
    axis = [] if applied.axis() == -1 else [applied.axis()]
    return applied.tensor(0, "int").method("topk", applied.text("k"), *axis)


RULES = {
    **dict.fromkeys((*_FLOATS, *_OTHERS), _method),
    "normalize": _normalize,
    "norm": _norm,
    "topk": _topk,
}
