"""`repeat`s whose turns are alike as loops: `for block in self.h: x = block(x)`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from tncompile.emission.text.identifiers import Names
from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.model import Key, Part, ResolvedModel
from tncompile.language.typing.operations import CallPart, Operation, Scan
from tncompile.language.typing.values import Value
from tncompile.models.emission.access import Access
from tncompile.models.emission.expressions import Text
from tncompile.models.emission.loops.scans import write_scan
from tncompile.models.emission.methods.body import Block, Body, Line, codes

Turns = Sequence[Sequence[Operation]]


def write_operations(body: Body, operations: Sequence[Operation], depth: int = 0) -> None:
    """Write these operations, turns that are alike once."""
    for turns in _loops(operations, depth):
        within = turns[0][0].turns[depth:]
        if within and len(turns) > 1 and (depth, within[0].loop) not in body.unrolled:
            if _write_loop(body, turns, depth):
                continue
            body.unrolled.add((depth, within[0].loop))
        for turn in turns:
            if len(turn[0].turns) > depth:
                write_operations(body, turn, depth + 1)
                continue
            for operation in turn:
                if isinstance(operation, Scan):
                    write_scan(body, operation)
                else:
                    body.run(operation)


def _loops(operations: Sequence[Operation], depth: int) -> Iterator[list[list[Operation]]]:
    """Neighbors of one `repeat`, by turn; what is in none together."""

    def loop(operation: Operation) -> int:
        return operation.turns[depth].loop if len(operation.turns) > depth else -1

    for number, group in groupby(operations, loop):
        if number < 0:
            yield [list(group)]
        else:
            yield [list(turn) for _, turn in groupby(group, lambda each: each.turns[depth].count)]


# ── what goes from turn to turn ────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Carried:
    """The results of the last operation of each turn, which the next one reads, by place."""

    places: tuple[int | None, ...]
    starts: tuple[Value, ...]
    ends: tuple[Mapping[int | None, Value], ...]


def _carried(body: Body, turns: Turns) -> _Carried | None:
    """None where turns read anything else of one another, or are of different length."""
    if len({len(turn) for turn in turns}) > 1:
        return None
    made = [{value for each in turn for value in body.results[each]} for turn in turns]
    ends = [{value.position: value for value in body.results[turn[-1]]} for turn in turns]
    reads = [Counter(value for each in turn for value in each.operands) for turn in turns]
    for k, values in enumerate(made):
        following = reads[k + 1] if k + 1 < len(turns) else Counter[Value]()
        for value in values:
            outside = body.uses[value] - reads[k][value] - following[value]
            if outside and (k + 1 < len(turns) or value not in ends[k].values()):
                return None
            if following[value] and value not in ends[k].values():
                return None
    places = tuple(ends[0])
    if any(tuple(end) != places for end in ends[:-1]) or not set(ends[-1]) <= set(places):
        return None
    starts: dict[int | None, Value] = {}
    for first, second in zip(turns[0], turns[1], strict=True):
        for before, after in zip(first.operands, second.operands, strict=False):
            if after in made[0] and starts.setdefault(after.position, before) is not before:
                return None
    if set(starts) != set(places) or any(start in made[0] for start in starts.values()):
        return None
    return _Carried(places, tuple(starts[place] for place in places), tuple(ends))


# ── the members that turns call ────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Varying:
    """Members of a family that the turns call one after the other, all else of the key alike."""

    family: str
    before: Key
    numbers: tuple[int, ...]
    behind: Key


def _parts(turn: Sequence[Operation]) -> list[Part]:
    """The parts that a turn mentions, in order."""
    parts: list[Part] = []
    for operation in turn:
        if isinstance(operation, CallPart | Scan):
            parts.append(operation.part)
            parts += operation.part.handed.values()
    return parts


def _iteration(
    access: Access, names: Names, turns: Turns, depth: int
) -> tuple[str, list[dict[str, str]]] | None:
    """The head of the loop, and by turn what its parts are called; None where there is no rule."""
    columns = [_parts(turn) for turn in turns]
    if len({len(column) for column in columns}) > 1:
        return None
    varying: dict[_Varying, tuple[Part, ...]] = {}
    for members in zip(*columns, strict=True):
        if len({member.outer for member in members}) > 1:
            return None
        if members[0].outer or len({member.path for member in members}) == 1:
            continue
        found = _one_subscript(members)
        if found is None:
            return None
        varying[found] = members
    if not varying:
        return f"for _ in range({len(turns)}):", [{} for _ in turns]
    whole = [_whole(access, each) for each in varying]
    if all(whole):
        several = len(varying) > 1
        own = [_member_name(*each, names, several=several) for each in varying.items()]
        over = ", ".join(map(str, whole))
        head = f"for {', '.join(own)} in "
        head += f"zip({over}, strict=True):" if len(own) > 1 else f"{over}:"
        called = [
            {members[k].path: name for name, members in zip(own, varying.values(), strict=True)}
            for k in range(len(turns))
        ]
        return head, called
    counts = [turn[0].turns[depth].count for turn in turns]
    variable = names.fresh(turns[0][0].turns[depth].variable)
    texts: list[str] = []
    for each in varying:
        shift = each.numbers[0] - counts[0]
        if any(number - count != shift for number, count in zip(each.numbers, counts, strict=True)):
            return None
        shifted = f"{variable} {'-' if shift < 0 else '+'} {abs(shift)}" if shift else variable
        texts.append(_indexed(access, each, shifted))
    start = f"{counts[0]}, " if counts[0] else ""
    called = [
        {members[k].path: text for text, members in zip(texts, varying.values(), strict=True)}
        for k in range(len(turns))
    ]
    return f"for {variable} in range({start}{counts[-1] + 1}):", called


def _one_subscript(members: Sequence[Part]) -> _Varying | None:
    """What distinguishes the members, if it is one subscript."""
    first = members[0]
    if any(each.family != first.family or len(each.key) != len(first.key) for each in members):
        return None
    places = [k for k in range(len(first.key)) if len({each.key[k] for each in members}) > 1]
    if len(places) != 1:
        return None
    (place,) = places
    numbers = tuple(each.key[place] for each in members)
    return _Varying(first.family, first.key[:place], numbers, first.key[place + 1 :])


def _whole(access: Access, each: _Varying) -> str | None:
    """The list that the members are all of, in order."""
    whole = list(each.numbers) == access.levels[each.family, each.before]
    if each.behind or not whole or not access.is_list(each.family, each.before):
        return None
    return access.member(each.family, each.before)


def _indexed(access: Access, each: _Varying, variable: str) -> str:
    """The member of a turn by its variable."""
    index = variable if access.is_list(each.family, each.before) else f"str({variable})"
    text = f"{access.member(each.family, each.before)}[{index}]"
    before = (*each.before, each.numbers[0])
    for number in each.behind:
        text += f"[{number}]" if access.is_list(each.family, before) else f'["{number}"]'
        before = (*before, number)
    return text


def _member_name(each: _Varying, members: Sequence[Part], names: Names, *, several: bool) -> str:
    """What a member is called in the loop: by its block, or its family where there are several."""
    callee = members[0].callee
    if not several and isinstance(callee, ResolvedModel | ResolvedNetwork):
        word = "".join(f"_{c.lower()}" if c.isupper() else c for c in callee.name).strip("_")
        if callee.name.isupper() or "__" in word or len(callee.name) < 3:
            word = callee.name.lower()
        return names.fresh(word)
    return names.fresh(each.family)


# ── the loop ───────────────────────────────────────────────────────────────────────────────────


def _write_loop(body: Body, turns: Turns, depth: int) -> bool:
    """Write a loop if the turns are the same statements; else nothing is written."""
    turns = [[each for each in turn if each in body.results] for turn in turns]
    carried = _carried(body, turns) if all(turns) else None
    if carried is None:
        return False
    before = body.names.copy()
    for value in dict.fromkeys(value for turn in turns for each in turn for value in each.operands):
        if value in body.pending and value not in carried.starts:
            body.assign(value)
    variables, openings = _variables(body, carried, turns[0])
    names = body.names.copy()
    iteration = _iteration(body.access, names, turns, depth)
    written = None
    if iteration is not None:
        written = _turns(body, turns, depth, carried, variables, names, iteration[1])
    if iteration is None or written is None:
        body.names = before
        return False
    for opening in openings:
        _open(body, *opening)
    same = all(lines == written[0] for lines in written)
    body.lines.append(Block(iteration[0], tuple(written[0] if same else codes(written[0]))))
    for place, name in zip(carried.places, variables, strict=True):
        if place in carried.ends[-1]:
            body.known[carried.ends[-1][place]] = Text(name)
    return True


def _turns(
    body: Body,
    turns: Turns,
    depth: int,
    carried: _Carried,
    variables: Sequence[str],
    names: Names,
    called: Sequence[dict[str, str]],
) -> list[list[Line | Block]] | None:
    """The statements of each turn; None where they differ in more than remarks."""
    written: list[list[Line | Block]] = []
    for k, (turn, own) in enumerate(zip(turns, called, strict=True)):
        given = carried.starts if k == 0 else carried.ends[k - 1].values()
        known = {value: Text(name) for value, name in zip(given, variables, strict=True)}
        inner = body.inner(known, body.access.within(own))
        inner.names = names.copy()
        inner.uses = Counter(value for each in turn for value in each.operands)
        inner.uses.update(carried.ends[k].values())
        inner.wanted = {turn[-1]: dict(zip(carried.places, variables, strict=True))}
        write_operations(inner, turn, depth + 1)
        for value in carried.ends[k].values():
            if value in inner.pending:
                inner.assign(value)
            elif str(inner.known.get(value)) != inner.wanted[turn[-1]][value.position]:
                return None
        written.append(inner.lines)
        if codes(written[-1]) != codes(written[0]):
            return None
    return written


def _variables(
    body: Body, carried: _Carried, turn: Sequence[Operation]
) -> tuple[list[str], list[tuple[Value, str, bool]]]:
    """What the carried values are called, and those that get that name before the loop."""
    reads = Counter(value for each in turn for value in each.operands)
    variables: list[str] = []
    openings: list[tuple[Value, str, bool]] = []
    for place, start in zip(carried.places, carried.starts, strict=True):
        end = carried.ends[-1].get(place)
        label = None if end is None else body.labels.get(end)
        text = body.known[start].code if start in body.known else ""
        wanted = None if end is None else body.wanted.get(end.operation, {}).get(place)
        free = text.isidentifier() and body.uses[start] == reads[start]
        free = free and start not in body.precise
        if wanted == text or (wanted is None and free and label in (None, text)):
            variables.append(text)
            continue
        variables.append(wanted or label or body.names.fresh("x"))
        openings.append((start, variables[-1], free))
    return variables, openings


def _open(body: Body, start: Value, name: str, free: bool) -> None:
    """Give a value the name under which the loop goes on with it."""
    if start in body.pending and start not in body.precise:
        body.assign(start, name)
        return
    text = body.met(start).code
    last = body.lines[-1] if body.lines else None
    if free and isinstance(last, Line) and last.code.startswith(f"{text} = "):
        body.lines[-1] = Line(name + last.code.removeprefix(text), last.remark)
        body.known[start] = Text(name)
        return
    body.flush()
    body.lines.append(Line(f"{name} = {text}"))
