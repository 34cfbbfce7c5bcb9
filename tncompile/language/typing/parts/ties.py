"""The tensors inside a part, by key, and `tie`: tensors that are those of another place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tncompile.language.diagnostics.collector import Failed, Suggestions, failure, listed
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.resolved import ResolvedNetwork, member_name
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span
from tncompile.language.typing.expressions import Reader
from tncompile.language.typing.model import Callee, Extern, Key, Layer, Part, ResolvedModel
from tncompile.language.typing.names import Family
from tncompile.language.typing.operations import Stored
from tncompile.language.typing.values import Kind, Value


@dataclass(frozen=True, slots=True)
class _Stored:
    """A tensor under the key `origin` of the model; `own` says that it is no other tensor."""

    origin: str
    shape: tuple[int, ...]
    kind: Kind = "float"
    own: bool = True

    def __str__(self) -> str:
        return f"{list(self.shape)}{'' if self.kind == 'float' else f' {self.kind}'}"

    def fits(self, other: _Stored) -> bool:
        return (self.shape, self.kind) == (other.shape, other.kind)


_Tensors = Mapping[str, _Stored]
"""Tensors by what follows the key of a place; a place that is a tensor has it under `""`."""


def _stored(callee: Callee) -> dict[str, _Stored]:
    """The tensors of what a part is made of, those that have no key of their own left out."""
    match callee:
        case ResolvedNetwork(parameters=parameters):
            kinds: Mapping[bool, Kind] = {True: "complex", False: "float"}
            return {
                each.key: _Stored(each.key, each.shape, kinds[each.complex]) for each in parameters
            }
        case Layer(parameters=shapes):
            return {key: _Stored(key, shape) for key, shape in shapes.items()}
        case ResolvedModel(parts=parts, tensors=tensors):
            found = {each.path: _Stored(each.path, each.shape, each.kind) for each in tensors}
            inside: dict[int, dict[str, _Stored]] = {}
            for part in parts:
                if part.outer:
                    continue
                if id(part.callee) not in inside:
                    inside[id(part.callee)] = _stored(part.callee)
                for key, stored in _outside(part, inside[id(part.callee)]).items():
                    if stored.own:
                        found[f"{part.path}.{key}"] = stored
            return found
        case Extern():
            return {}


def _outside(part: Part, tensors: _Tensors) -> dict[str, _Stored]:
    """Tensors inside a part under the origins that they have in the model around it."""
    return {
        key: _Stored(
            part.tied.get(each.origin, f"{part.path}.{each.origin}"),
            each.shape,
            each.kind,
            each.own and each.origin not in part.tied,
        )
        for key, each in tensors.items()
    }


def part_tensors(part: Part) -> dict[str, int]:
    """The bytes in float32 of the tensors of a part, each once, by their keys in the model."""
    tensors = _outside(part, _stored(part.callee)).values()
    return {
        each.origin: math.prod(each.shape) * (4 if each.kind == "float" else 8) for each in tensors
    }


def tensor_count(callee: Callee, counted: dict[int, int]) -> int:
    """How many tensors, and parts without tensors, are inside; `counted` are those known."""
    if id(callee) not in counted:
        total = 1
        if isinstance(callee, ResolvedNetwork | Layer):
            total = max(1, len(callee.parameters))
        elif isinstance(callee, ResolvedModel):
            total += len(callee.tensors)
            total += sum(tensor_count(part.callee, counted) for part in callee.parts)
        counted[id(callee)] = total
    return counted[id(callee)]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a `tie` leads: what it is called, where that is declared, its tensors."""

    name: str
    span: Span
    declared: Span
    tensors: _Tensors
    foreign: bool = False

    @property
    def contents(self) -> str:
        """What it has, for a label."""
        if "" in self.tensors:
            return f"`{self.name}` is a tensor of the shape {self.tensors['']}"
        return f"`{self.name}` has {listed(self.tensors) if self.tensors else 'no tensors'}"


def tied_keys(
    reader: Reader, ties: Iterable[tree.Tie], name: tree.Name, key: Key, callee: Callee
) -> dict[str, str]:
    """The keys of the tensors of a member that are others, and the keys of those in the model.

    TN612 where no key is in both, TN306 where the tensors of one key differ in shape, TN207 where
    two ties name one tensor.
    """
    tied: dict[str, str] = {}
    full = member_name(name.text, key)
    for tie in ties:
        there = _target(reader, tie, key)
        whole = _Place(full, tie.place[0].name.span, name.span, _stored(callee))
        here = _inside(reader, whole, callee, tie.own) if tie.own else whole
        pairs = _pairs(here, there, isinstance(callee, Extern))
        if again := next((each for each in pairs if each in tied), None):
            message, label = f"`{again}` of `{full}` is tied twice", "again here"
            note, hint = "a tensor is one other tensor", "leave one of the two out"
            raise failure(Code.MISPLACED, message, tie.span, label, note, hint)
        tied |= pairs
    return tied


def _pairs(here: _Place, there: _Place, foreign: bool) -> dict[str, str]:
    own = {key: stored for key, stored in here.tensors.items() if stored.own}
    keys = tuple(key for key in own if key in there.tensors)
    if not keys:
        message = f"`{here.name}` and `{there.name}` have no tensor of one name"
        note = "each tensor whose key is in both places becomes the other's"
        if foreign or there.foreign:
            note = "what an `extern` stores is not known before it is made"
        hint = "leave `tie` out, or tie it to a part with the same keys"
        if ("" in own) is not ("" in there.tensors):
            message = f"`{here.name}` and `{there.name}` are not both tensors"
            note, hint = (
                "a tensor is tied to a tensor, a part to a part",
                "name a tensor of the part",
            )
        code, span, declared = (
            Code.NOTHING_TO_TIE,
            there.span,
            Label(there.declared, there.contents),
        )
        raise failure(code, message, span, here.contents, note, hint, declared)
    differing = next((key for key in keys if not own[key].fits(there.tensors[key])), None)
    if differing is not None:
        mine, theirs = (
            f"`{differing}` of " * bool(differing) + f"`{p.name}`" for p in (here, there)
        )
        message = f"`{here.name}` cannot be tied to `{there.name}`: "
        what = "shape" if own[differing].shape != there.tensors[differing].shape else "kind"
        message += f"`{differing}` differs in {what}" if differing else f"the {what}s differ"
        label = f"{mine} has the shape {own[differing]}"
        note = "tensors of one key are one tensor in tied parts"
        hint, code = "give both parts the same sizes", Code.SHAPES_DIFFER
        if what == "kind":
            hint = "tie tensors of one kind: integers to integers, complex to complex"
        declared = Label(there.declared, f"{theirs} has {there.tensors[differing]}")
        raise failure(code, message, there.span, label, note, hint, declared)
    return {own[key].origin: there.tensors[key].origin for key in keys}


def _target(reader: Reader, tie: tree.Tie, key: Key) -> _Place:
    """What a member is tied to: of a family without subscripts, the one with equal subscripts."""
    first, *steps = tie.place
    family = reader.names.get(first.name.text)
    if tie.conjugate:
        message, label = "`conj` is for the tensors of networks", "not here"
        note = "tied parts have the same tensors"
        hint = "write `tie … conj` inside of a network"
        raise failure(Code.MISPLACED, message, tie.span, label, note, hint)
    if not isinstance(family, Family):
        raise Failed(None)  # unknown or failed, which is reported
    wanted = reader.key(first.subscripts) if first.subscripts or steps else key
    if not first.subscripts and not family.arity:
        wanted = ()
    return _walk(reader, family, wanted, first.name.span, "", steps)


def _walk(
    reader: Reader,
    family: Family,
    key: Key,
    span: Span,
    before: str,
    steps: Sequence[tree.Member],
) -> _Place:
    """The place behind a member of a family and further steps."""
    member = family.member(key, span)
    name = before + member_name(family.name.text, key)
    if isinstance(member, Part):
        whole = _Place(
            name, span, member.declared, _stored(member.callee), isinstance(member.callee, Extern)
        )
        if member.outer:
            message, label = f"`{name}` is handed on", "its tensors are those of the caller"
            note = "a part that is handed on has its keys where it is declared"
            hint = "name the part itself"
            raise failure(Code.UNKNOWN_NAME, message, span, label, note, hint)
        found = _inside(reader, whole, member.callee, steps) if steps else whole
        tensors = _outside(member, found.tensors)
        return _Place(found.name, found.span, found.declared, tensors, found.foreign)
    assert isinstance(member, Value)
    assert isinstance(member.operation, Stored)
    tensor = member.operation.tensor
    if steps:
        message, label = f"`{name}` is a tensor and has nothing inside", "a tensor"
        note, hint = "steps lead through parts", f"end the place here: `{name}`"
        raise failure(Code.UNKNOWN_NAME, message, steps[0].name.span, label, note, hint)
    own = _Stored(tensor.path, tensor.shape, tensor.kind, tensor.path == _path(family, key))
    return _Place(name, span, tensor.declared, {"": own})


def _path(family: Family, key: Key) -> str:
    return ".".join([family.name.text, *map(str, key)])


def _inside(reader: Reader, whole: _Place, callee: Callee, steps: Sequence[tree.Member]) -> _Place:
    """The place that some steps lead to inside of what a part is made of."""
    first, name = steps[0], whole.name
    if isinstance(callee, Extern):
        message, label = f"what `{name}` has inside is not known", "inside of an `extern`"
        note = "what an `extern` stores is not known before it is made"
        hint = "tie to a part that the language knows"
        raise failure(Code.NOTHING_TO_TIE, message, first.name.span, label, note, hint)
    if isinstance(callee, ResolvedModel):
        family = callee.members.get(first.name.text)
        if family is None:
            raise _unknown(whole, first.name, callee.members)
        key, rest = reader.key(first.subscripts), steps[1:]
        return _walk(reader, family, key, first.name.span, f"{name}.", rest)
    written = [(each.name.text, *map(str, reader.key(each.subscripts))) for each in steps]
    key_inside = ".".join(part for each in written for part in each)
    tensors = whole.tensors
    found = {
        key[len(key_inside) + 1 :]: stored
        for key, stored in tensors.items()
        if f"{key}.".startswith(f"{key_inside}.")
    }
    if not found:
        raise _unknown(whole, first.name, tensors)
    span = steps[-1].name.span
    return _Place(f"{name}.{key_inside}", span, whole.declared, found)


def _unknown(whole: _Place, name: tree.Name, known: Iterable[str]) -> Failed:
    """TN201: a step that leads nowhere."""
    known = [*known]
    close = Suggestions().closest(name.text, known)
    message, label = f"there is no `{name.text}` in `{whole.name}`", "unknown name"
    note = f"inside are {listed(known)}" if known else "nothing inside has tensors"
    hint = f"did you mean `{close}`?" if close else "name a part or a tensor that is inside"
    there = Label(whole.declared, f"`{whole.name}` is declared here")
    return failure(Code.UNKNOWN_NAME, message, name.span, label, note, hint, there)
