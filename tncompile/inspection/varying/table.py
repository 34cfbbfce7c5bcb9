"""The costs at several values of a number, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tncompile.planning.wording as wording
from tncompile.planning.report.cost import Cost

if TYPE_CHECKING:
    from tncompile.inspection.varying.variation import Value, Variation


def variation_table(variation: Variation, width: int) -> str:
    """A row a value: parameters, FLOPs, time, memory, the time against the dense layer."""
    first = variation.costs[0]
    like = f"× {variation.dense_layer}" if variation.dense_layer else ""
    head = ["contraction"] if isinstance(first, Cost) else []
    head += ["parameters", "FLOPs", "time", "peak", *([like] if like else [])]
    rows = []
    figures = (variation.values, variation.costs, variation.parameters, variation.against_dense)
    for value, cost, parameters, ratio in zip(*figures, strict=True):
        row = [value_text(value)]
        if isinstance(cost, Cost):
            row.append(wording.plan_text(cost.found_by, cost.chosen[cost.mode].schedule))
        row += [
            wording.count_text(parameters),
            wording.count_text(cost.flops),
            wording.seconds_text(cost.seconds),
            wording.bytes_text(cost.peak_bytes),
        ]
        if like:
            row.append("—" if ratio is None else wording.digits_text(ratio))
        rows.append(tuple(row))
    texts = 2 if isinstance(first, Cost) else 1
    table = wording.columns_text((variation.name, *head), rows, width, texts)
    return f"{wording.shortened(variation.title)}\npredicted for {first.machine}\n\n{table}\n"


def value_text(value: Value) -> str:
    """A value as a `.tn` file writes it.

    >>> value_text((4, 8)), value_text(True), value_text(4096)
    ('[4, 8]', 'true', '4,096')
    """
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
