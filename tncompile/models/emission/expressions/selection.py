"""`x[..., 0..t, *, 3]` as an index."""

from __future__ import annotations

from tncompile.language.typing.operations import Entries, Select
from tncompile.language.typing.sizes import Size
from tncompile.models.emission.expressions.text import Context, Text, size_text


def select(operation: Select, text: Text, context: Context) -> Text:
    """The entries: `x[..., 0, :]`, `x[:, : t // 2]`."""
    shape = operation.operands[0].shape
    slots = [
        _slot(slot, size, context) for slot, size in zip(operation.slots, shape.sizes, strict=True)
    ]
    while slots and slots[-1] == ":" and not shape.dots:
        slots.pop()
    leading = next((k for k, slot in enumerate(slots) if slot != ":"), len(slots))
    if leading == len(slots):
        return text
    whole = len(slots) == len(shape.sizes)
    if shape.dots or (whole and leading > 1):
        slots = ["...", *slots[leading:]]
    return text.item(*slots)


def _slot(slot: Entries | Size, size: Size, context: Context) -> str:
    if isinstance(slot, Size):
        return _place(slot, size, context).code
    if slot.start is None or slot.stop is None:
        return ":"
    zero = slot.start.value == 0
    start = "" if zero else _place(slot.start, size, context).code
    stop = "" if slot.stop == size else _place(slot.stop, size, context).code
    if all(end.lstrip("-").isalnum() or not end for end in (start, stop)):
        return f"{start}:{stop}"
    return f"{start} : {stop}".strip()


def _place(place: Size, size: Size, context: Context) -> Text:
    """A position: from the end where the axis is known at run time and the distance is a number."""
    behind = place - size
    if place.value is None and behind.value is not None and behind.value < 0:
        place = behind
    return size_text(place, context)
