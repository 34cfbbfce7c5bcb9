"""Many equal differences of one family in one line: `G[0] … G[783]`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product

from tncompile.inspection.comparing.changes import Change
from tncompile.network.model import MEMBER

SLICE = re.compile(r"([^@]+)@([0-9]{1,9}(?:,[0-9]{1,9})*)")
"""The name of a slice of an input."""

SUBSCRIPTS = re.compile(r"\[([0-9]{1,9}(?:, ?[0-9]{1,9})*)\]")
KEY = re.compile(r"\.([0-9]{1,9})")

VARIABLES = "klmnpq"
"""What subscripts are called where they differ from member to member."""

MOST_RUNS = 3
"""Runs of neighbors that are named one by one."""

Member = tuple[str, tuple[int, ...]]


def member_of(name: str) -> Member:
    """The family of a name, and its subscripts.

    >>> member_of("V[2, 5]"), member_of("x@3"), member_of("W")
    (('V', (2, 5)), ('x@', (3,)), ('W', ()))
    """
    if matched := MEMBER.fullmatch(name):
        return matched[1], tuple(map(int, matched[2].split(",")))
    if matched := SLICE.fullmatch(name):
        return f"{matched[1]}@", tuple(map(int, matched[2].split(",")))
    return name, ()


def together(changes: Iterable[Change]) -> list[Change]:
    """Equal changes of the members of a family as one, under a name for all of them.

    Texts that are equal but for subscripts, each as far from that of its member, are equal, too:
    `b[k - 1], b[k]`.
    """
    listed = list(changes)
    groups: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    for place, change in enumerate(listed):
        groups[_key(change, change)].append(place)
    alike: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    found: dict[int, Change] = {}
    for places in groups.values():
        first = listed[places[0]]
        if len(places) > 1:
            found[places[0]] = _named(first, [listed[place].name for place in places])
        else:
            alike[_key(first, _relative(first))].append(places[0])
    for places in alike.values():
        first = listed[places[0]]
        if len(places) > 1:
            first = _named(_relative(first), [listed[place].name for place in places])
        found[places[0]] = first
    return _alike_inside([found[place] for place in sorted(found)])


def _alike_inside(changes: Iterable[Change]) -> list[Change]:
    """Parts of several names in which the same differs as one: `q, k, v`."""
    found: dict[tuple[object, ...], Change] = {}
    for place, change in enumerate(changes):
        key: tuple[object, ...] = (place,)
        if change.inner:
            key = change.before, change.after, change.parameters, change.inner
        if key in found:
            change = replace(change, name=f"{found[key].name}, {change.name}")
        found[key] = change
    return list(found.values())


def _key(change: Change, words: Change) -> tuple[object, ...]:
    family, subscripts = member_of(change.name)
    if change.kind == "step":  # a number, and its text where it has one
        family = change.name.partition(" ")[2]
    texts = words.before, words.after, words.parameters, words.inner
    return change.kind, family, len(subscripts), change.aspect, *texts


def _named(change: Change, names: Sequence[str]) -> Change:
    if change.kind == "step":
        return replace(change, name=_steps(names))
    return replace(change, name=names_text(names))


def _steps(names: Sequence[str]) -> str:
    """Numbers of steps, and their text where they have one."""
    numbers = [name.partition(" ")[0] for name in names]
    text = names[0].partition(" ")[2]
    if len(numbers) > 4:
        numbers = [*numbers[:2], f"… {numbers[-1]} ({len(numbers):,} of them)"]
    return f"{', '.join(numbers)} {text}".rstrip()


def _relative(change: Change) -> Change:
    """The change with `k` for the subscript of its member, `k + 1` for the next one."""
    _, own = member_of(change.name)
    if not own or len(own) > len(VARIABLES):
        return change

    def places(text: str | None) -> str | None:
        if text is None:
            return None
        text = SUBSCRIPTS.sub(lambda found: f"[{_away(found[1].split(','), own)}]", text)
        if change.aspect != "parameter":
            return text
        keys = iter(range(len(own)))
        return KEY.sub(lambda found: _dotted(found[1], own, next(keys, -1)), text)

    return replace(change, before=places(change.before), after=places(change.after))


def _away(subscripts: Sequence[str], own: tuple[int, ...]) -> str:
    """Subscripts by how far they are from the member's own; as they are where they are others."""
    if len(subscripts) != len(own):
        return ", ".join(each.strip() for each in subscripts)
    pairs = zip(subscripts, own, VARIABLES, strict=False)
    return ", ".join(_shifted(name, int(each) - at) for each, at, name in pairs)


def _shifted(name: str, by: int) -> str:
    return name if not by else f"{name} {'+' if by > 0 else '-'} {abs(by)}"


def _dotted(number: str, own: tuple[int, ...], place: int) -> str:
    """A subscript in a key of a state dict."""
    same = place >= 0 and int(number) == own[place]
    return f".{VARIABLES[place]}" if same else f".{number}"


def names_text(names: Sequence[str]) -> str:
    """Members of one family in few words.

    >>> names_text(["G[0]", "G[1]", "G[2]", "G[3]"]), names_text(["G[0]", "G[9]"])
    ('G[0] … G[3]', 'G[0], G[9]')
    >>> names_text([f"G[{k}]" for k in range(0, 20, 2)])
    'G[0], G[2], G[4] and 7 more'
    """
    members = {member_of(name)[1]: name for name in names}
    own = sorted(members)
    if len(own) < 3:
        return ", ".join(members[each] for each in own)
    if _is_block(own):
        return f"{members[own[0]]} … {members[own[-1]]}"
    runs: list[list[tuple[int, ...]]] = []
    for each in own:
        before = runs[-1][-1] if runs else None
        if before and before[:-1] == each[:-1] and before[-1] + 1 == each[-1]:
            runs[-1].append(each)
        else:
            runs.append([each])
    words, named = [], 0
    for run in runs[:MOST_RUNS]:
        ends = [members[run[0]], members[run[-1]]]
        words.append(ends[0] if len(run) == 1 else (", " if len(run) == 2 else " … ").join(ends))
        named += len(run)
    more = f" and {len(own) - named:,} more" if len(own) > named else ""
    return f"{', '.join(words)}{more}"


def _is_block(own: Sequence[tuple[int, ...]]) -> bool:
    """Whether subscripts are all those between the first and the last."""
    axes = [range(min(axis), max(axis) + 1) for axis in zip(*own, strict=True)]
    count = 1
    for axis in axes:
        count *= len(axis)
    return count == len(own) and (len(axes) == 1 or set(product(*axes)) == set(own))
