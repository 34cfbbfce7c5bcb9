"""Which calls the networks of a model are planned for: rows, and lengths of images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tncompile.planning.request import plan_request
from tncompile.tensorizing.calibrating.calls import Call, usual_call
from tncompile.tensorizing.calibrating.patterns import matching
from tncompile.tensorizing.calibrating.sharing import shared_sums
from tncompile.tensorizing.replacing.report import call_text
from tncompile.tensorizing.rewriting.rewrite import escaped, shown

if TYPE_CHECKING:
    from tncompile.tensorizing.calibrating.model_moments import Moments
    from tncompile.tensorizing.replacing.placing import Placed
    from tncompile.tensorizing.rewriting.replacements import Replacement

PLANNED = "planned_for"
"""What a folder calls the call of each layer, by its name."""

LARGEST = 2**31


def with_calls(
    found: Sequence[Replacement],
    moments: Moments | None,
    given: Mapping[str, Sequence[int]] | None,
) -> list[Replacement]:
    """Replacements with the calls that they are planned for: those given by pattern, else usual.

    Raises ValueError for patterns that match nothing and calls that do not fit a layer, TypeError
    for what is no call.
    """
    names = [name for each in found for name in each.layer.names]
    wanted: dict[str, Call] = {}
    for pattern, asked in (given or {}).items():
        checked = _checked(f"planned_for of {pattern!r}", asked)
        none = "planned_for names {pattern}, which is not replaced: there are {names}"
        for name in matching(pattern, names, none=none):
            wanted.setdefault(name, checked)
    made: list[Replacement] = []
    for each in found:
        layer = each.layer
        if layer.module is None:
            made.append(each)
            continue
        own = next((wanted[name] for name in layer.names if name in wanted), None)
        sums = shared_sums(moments, layer.weight_names, layer.kind)
        usual = None
        if moments is not None and sums is not None:
            usual = usual_call(moments, sums, layer.module)
        call = usual
        if own is not None:
            lengths = own[1:] or (usual or ())[1:]
            call = own[:1] + (lengths if layer.kind == "conv" else ())
        made.append(each if call is None else _planned(each, call))
    return made


def _planned(each: Replacement, call: Call) -> Replacement:
    """A replacement with a call that fits it."""
    made = replace(each, call=call)
    try:
        plan_request(each.architecture._map, search="fast", **made.planned(each.architecture))
    except ValueError as error:
        what = "planned for " + call_text(call)
        raise ValueError(f"{shown(each.layer.name)} is {what}: {error}") from None
    return made


def written_calls(placed: Iterable[Placed]) -> dict[str, list[int]]:
    """The calls that are known, by the name of the layer."""
    found = (each.replacement for each in placed)
    return {each.layer.name: list(each.call) for each in found if each.call is not None}


def read_calls(entry: object, found: Sequence[Replacement]) -> list[Replacement]:
    """Replacements with the calls of a folder; None, of folders of before, has none.

    Layers are known by the patterns of the file, as their names in a model may have a prefix.
    Raises ValueError for what fits none of them.
    """
    named = {} if entry is None else entry
    if not isinstance(named, dict):
        raise ValueError(f"`{PLANNED}` of a folder is no object")
    calls: dict[str, Call] = {}
    for name, own in named.items():
        try:
            calls[escaped(name)] = _checked(f"`{PLANNED}` of {shown(name)}", own)
        except TypeError as error:
            raise ValueError(str(error)) from None
    if unknown := calls.keys() - {each.line.rule.pattern.value for each in found}:
        raise ValueError(f"`{PLANNED}` names {shown(min(unknown))}, which is not replaced")
    made = []
    for each in found:
        call = calls.get(each.line.rule.pattern.value)
        if call is not None and each.layer.module is None:
            raise ValueError(f"`{PLANNED}` names {shown(each.layer.name)}, which is no layer")
        made.append(each if call is None else _planned(each, call))
    return made


def _checked(what: str, call: object) -> Call:
    if not isinstance(call, Sequence) or isinstance(call, str) or not call:
        raise TypeError(f"{what} is a number of rows, then lengths of images, not {call!r:.80}")
    numbers = []
    for each in call:
        if isinstance(each, bool) or not isinstance(each, int):
            raise TypeError(f"{what} has whole numbers, not {each!r:.80}")
        if not 0 < each < LARGEST:
            raise ValueError(f"{what} has numbers from 1 to {LARGEST - 1:,}, not {each!r:.80}")
        numbers.append(each)
    return tuple(numbers)
