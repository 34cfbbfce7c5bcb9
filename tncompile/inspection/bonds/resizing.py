"""Which arguments of a block give its bonds other sizes: found by trying them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Arguments = dict[str, int | tuple[int, ...]]
Sizes = Callable[[Arguments], Mapping[str, int | None] | None]
"""The sizes of all indices with some arguments changed; None where the block refuses them."""

Entry = tuple[str, int | None]
"""A parameter, and which entry of it, if it is a list."""


def arguments_for(
    values: Mapping[str, object], sizes: Sizes, wanted: Mapping[str, int]
) -> Arguments:
    """The smallest arguments with which no bond is smaller than wanted.

    Numbers and lists that change bonds alone are ranks. Raises ValueError where a bond that is to
    be smaller follows from none of them.
    """
    now = sizes({}) or {}
    controls = _controls(values, sizes, now, set(wanted))
    found: dict[Entry, int] = {}
    for bond, entry in controls.items():
        found[entry] = max(found.get(entry, 1), wanted[bond])
    for bond, rank in wanted.items():
        if bond not in controls and rank < (now[bond] or 0):
            raise ValueError(f"no argument says the size of {bond} alone")
    made: Arguments = {}
    for (name, place), rank in found.items():
        old = values[name]
        if place is None:
            made[name] = min(rank, int(str(old)))
        else:
            assert isinstance(old, tuple)
            entries = list(made.get(name, old))  # type: ignore[arg-type]
            entries[place] = min(rank, entries[place])
            made[name] = tuple(entries)
    return made


def _controls(
    values: Mapping[str, object], sizes: Sizes, now: Mapping[str, int | None], bonds: set[str]
) -> dict[str, Entry]:
    """The entry that each bond follows."""
    entries: list[Entry] = []
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | tuple):
            continue
        ones: int | tuple[int, ...] = 1 if isinstance(value, int) else (1,) * len(value)
        tried = sizes({name: ones})
        if tried is None or not _changed(now, tried) or not _changed(now, tried) <= bonds:
            continue
        places = [None] if isinstance(value, int) else list(range(len(value)))
        entries += [(name, place) for place in places]
    code: dict[str, int] = {}
    for bit in range(len(entries).bit_length()):  # entry k is 1 where bit of k + 1 is set
        chosen = [entry for k, entry in enumerate(entries) if (k + 1) >> bit & 1]
        tried = sizes(_ones(values, chosen))
        for bond in _changed(now, tried or now):
            code[bond] = code.get(bond, 0) | 1 << bit
    return {b: entries[k - 1] for b, k in code.items() if b in bonds and k <= len(entries)}


def _ones(values: Mapping[str, object], entries: list[Entry]) -> Arguments:
    """Arguments with 1 in place of some entries."""
    made: Arguments = {}
    for name, place in entries:
        if place is None:
            made[name] = 1
        else:
            items = list(made.get(name, values[name]))  # type: ignore[call-overload]
            items[place] = 1
            made[name] = tuple(items)
    return made


def _changed(now: Mapping[str, int | None], other: Mapping[str, int | None]) -> set[str]:
    if now.keys() != other.keys():
        return {"another network"}
    return {name for name, size in now.items() if other[name] != size}
