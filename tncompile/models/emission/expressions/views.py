"""Axes split, merged, moved, added and taken away, where that can be with views.

All axes are counted from the right, so that nothing depends on how many `...` stands for.
"""

from __future__ import annotations

from collections.abc import Sequence

from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Shape
from tncompile.models.emission.expressions.text import (
    Context,
    Text,
    bracket,
    call,
    one_or_tuple,
    size_text,
)


def permuted(text: Text, order: Sequence[int], *, dots: bool) -> Text:
    """The axes in another order: `order` has for each of them its place before, from 0."""
    count = len(order)
    moved = [k for k in range(count) if order[k] != k]
    if not moved:
        return text
    if len(moved) == 2:
        return text.method("transpose", *(k - count for k in moved))
    if not dots:
        return text.method("permute", *order)
    staying = _longest_ascent(order)
    moved = [k for k in range(count) if order[k] not in staying]
    sources, places = ([k - count for k in each] for each in ([order[k] for k in moved], moved))
    return text.method("movedim", one_or_tuple(sources), one_or_tuple(places))


def _longest_ascent(order: Sequence[int]) -> set[int]:
    """The most axes that can stay in the order they are in, so that few are moved."""
    runs: list[list[int]] = [[]]
    for axis in order:
        longest = max((run for run in runs if not run or run[-1] < axis), key=len)
        runs.append([*longest, axis])
    longest = max(runs, key=len)
    return set(longest)


def split(text: Text, axis: int, sizes: Sequence[Size], context: Context) -> Text:
    """One axis as several; the method of tensors is not typed, the function is."""
    parts = bracket([size_text(size, context) for size in sizes])
    if text.code.startswith("self."):
        return text.method("unflatten", axis, parts)
    return call("torch.unflatten", text, axis, parts)


def merged(text: Text, first: int, last: int) -> Text:
    """Neighboring axes as one."""
    return text.method("flatten", first, *([last] if last != -1 else []))


def added(text: Text, places: Sequence[int], count: int, *, dots: bool) -> Text:
    """New axes of size 1 at places, from 0, among `count` axes in the result."""
    if not places:
        return text
    if len(places) == 1:
        return text.method("unsqueeze", places[0] - count)
    slots = ["None" if k in places else ":" for k in range(count)]
    while slots[-1] == ":" and not dots:
        slots.pop()
    if dots:
        while slots[0] == ":":
            slots.pop(0)
        slots.insert(0, "...")
    return text.item(*slots)


def reshaped(text: Text, have: Shape, sizes: Sequence[Size], context: Context) -> Text:
    """The same entries, row by row, on other axes behind `...`."""
    old, new = list(have.sizes), list(sizes)
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    stop = 0
    while stop < min(len(old), len(new)) - start and old[-1 - stop] == new[-1 - stop]:
        stop += 1
    before, after = old[start : len(old) - stop], new[start : len(new) - stop]
    first, last = start - len(old), -1 - stop
    if not before and not after:
        return text
    if not before and all(size.value == 1 for size in after):
        places = range(start, start + len(after))
        return added(text, places, len(new), dots=have.dots)
    if not after and all(size.value == 1 for size in before):
        return text.method("squeeze", one_or_tuple(range(first, last + 1)))
    if len(before) == 1 and after:
        return split(text, first, after, context)
    if len(after) == 1 and before:
        return merged(text, first, last)
    ones = [k for k in range(len(new)) if new[k].value == 1]
    others = [size for size in new if size.value != 1]
    if others == old:
        return added(text, ones, len(new), dots=have.dots)
    if have.dots and before and after:
        return split(merged(text, first, last), last, after, context)
    if have.dots:
        lead = [f"*{context.leading(None)}"]
        return text.method("reshape", *lead, *(size_text(size, context) for size in new))
    return text.method("reshape", *(size_text(size, context) for size in new))
