"""Attention, as `scaled_dot_product_attention` computes it: rows without a key give zeros."""

from __future__ import annotations

import tncompile.models.emission.expressions.views as views
from tncompile.models.emission.expressions.conversion import Applied
from tncompile.models.emission.expressions.sources import helped
from tncompile.models.emission.expressions.text import Precedence, Text, call, infix, size_text


def _attention(applied: Applied) -> Text:
    arguments: list[object] = [applied.tensor(k) for k in range(3)]
    mask = applied.tensor(3) if applied.flag("mask") else None
    relative = applied.tensor(len(applied.texts) - 1) if applied.flag("relative") else None
    causal, reach = applied.flag("causal"), applied.option("reach")
    plain = mask is None and relative is None
    first_is_last = applied.flag("aligned") and reach is None and plain
    if applied.flag("newest") and plain:  # behind keys of earlier steps
        queries = size_text(applied.shape.sizes[-2], applied.context)
        far = [] if reach is None else [applied.text("reach")]
        options = helped(applied.context, "_look_back", queries, arguments[1], *far)
        arguments.append(f"**{options}")
    elif causal and first_is_last:
        arguments.append("is_causal=True")
    else:
        if causal:
            mask = _narrowed(applied, mask, relative)
        elif mask is not None and not applied.value(3).shape.dots:
            axes = len(applied.value(3).shape.sizes)
            mask = views.added(mask, range(2 - axes), 2, dots=False)
        if mask is not None:
            arguments.append(f"attn_mask={mask}")
    if applied.option("dropout"):
        arguments.append(f"dropout_p={applied.text('dropout')} if self.training else 0.0")
    arguments += applied.keywords(scale=None)
    if applied.option("grouped") not in (None, 1):
        arguments.append("enable_gqa=True")
    count, dots = len(applied.shape.sizes), applied.shape.dots
    if (count, dots) not in ((2, False), (4, False), (3, True)):
        return helped(applied.context, "_attention", *arguments)
    applied.context.use("F")
    return call("F.scaled_dot_product_attention", *arguments)


def _narrowed(applied: Applied, mask: Text | None, relative: Text | None) -> Text:
    """The mask where keys up to the query's own may be looked at, aligned at the last key.

    `relative` has what is added to it, by the distance from the query back to the key.
    """
    sizes = [applied.value(k).shape.sizes[-2] for k in (0, 1)]
    arguments: list[object] = [size_text(size, applied.context) for size in sizes]
    if applied.flag("newest"):
        arguments[1] = applied.tensor(1).attribute("shape").item("-2")
    scores = None
    if relative is not None:
        scores = helped(applied.context, "_relative", relative, *arguments)
    if applied.option("reach") is not None:
        arguments.append(applied.text("reach"))
    if applied.context.device:
        arguments.append(f"device={applied.context.device}")
    allowed = helped(applied.context, "_causal", *arguments)
    if mask is not None and applied.value(3).kind == "bool":
        allowed = infix(mask, "&", allowed)
        mask = None
    if mask is not None and scores is not None:
        scores = infix(mask, "+", scores)
    added = scores or mask
    if added is None:
        return allowed
    applied.context.use("math")
    return call("torch.where", allowed, added, Text("-math.inf", Precedence.UNARY))


RULES = {"attention": _attention}
