"""The tensors inside a part, by key, and `tie`: tensors that are those of another part."""

from __future__ import annotations

from dataclasses import dataclass

from tncompile.language.diagnostics.collector import Failed, failure, listed
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.syntax import tree
from tncompile.language.typing.expressions import Reader
from tncompile.language.typing.model import Callee, Extern, Key, Layer, Part, ResolvedModel
from tncompile.language.typing.names import Family


@dataclass(frozen=True, slots=True)
class _Stored:
    shape: tuple[int, ...]
    complex: bool = False

    def __str__(self) -> str:
        return f"{list(self.shape)}{' complex' if self.complex else ''}"


def _stored(callee: Callee) -> dict[str, _Stored]:
    match callee:
        case ResolvedNetwork(parameters=parameters):
            return {each.key: _Stored(each.shape, each.complex) for each in parameters}
        case Layer(parameters=shapes):
            return {key: _Stored(shape) for key, shape in shapes.items()}
        case ResolvedModel(parts=parts, tensors=tensors):
            found = {each.path: _Stored(each.shape, each.complex) for each in tensors}
            inside: dict[int, dict[str, _Stored]] = {}
            for part in parts:
                if id(part.callee) not in inside:
                    inside[id(part.callee)] = _stored(part.callee)
                for key, stored in inside[id(part.callee)].items():
                    if key not in part.tied:
                        found[f"{part.path}.{key}"] = stored
            return found
        case Extern():
            return {}


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


def tied_keys(tie: tree.Tie, full: str, callee: Callee, other: Part) -> tuple[str, ...]:
    """The keys of the tensors of the member `full` that are those of the other part.

    TN612 where no key is in both, TN306 where the tensors of one key differ in shape.
    """
    own, theirs, there = _stored(callee), _stored(other.callee), other.name
    declared = Label(other.declared, f"`{there}` has {listed(theirs) if theirs else 'no tensors'}")
    keys = tuple(key for key in own if key in theirs)
    if not keys:
        message = f"`{full}` and `{there}` have no tensor of one name"
        label = f"`{full}` has {listed(own) if own else 'no tensors'}"
        note = "each tensor whose key is in both parts becomes the other part's"
        if isinstance(callee, Extern) or isinstance(other.callee, Extern):
            note = "what an `extern` stores is not known before it is made"
        hint = "leave `tie` out, or tie it to a part with the same keys"
        code, span = Code.NOTHING_TO_TIE, tie.name.span
        raise failure(code, message, span, label, note, hint, declared)
    differing = next((key for key in keys if own[key] != theirs[key]), None)
    if differing is not None:
        message = f"`{full}` cannot be tied to `{there}`: `{differing}` differs in shape"
        label = f"`{differing}` of `{full}` has the shape {own[differing]}"
        note = "tensors of one key are one tensor in tied parts"
        hint = "give both parts the same sizes"
        code, span = Code.SHAPES_DIFFER, tie.name.span
        declared = Label(other.declared, f"that of `{there}` has {theirs[differing]}")
        raise failure(code, message, span, label, note, hint, declared)
    return keys


def tied_part(reader: Reader, tie: tree.Tie, key: Key) -> Part:
    """The part that the member with these subscripts is tied to: the one with equal subscripts."""
    family = reader.names.get(tie.name.text)
    if tie.conjugate:
        message, label = "`conj` is for the tensors of networks", "not here"
        note = "tied parts have the same tensors"
        hint = "write `tie … conj` inside of a network"
        raise failure(Code.MISPLACED, message, tie.span, label, note, hint)
    if family is None:
        raise Failed(None)  # unknown or failed, which is reported
    if isinstance(family, Family) and family.what == "part":
        wanted = reader.key(tie.subscripts) if tie.subscripts else key
        if not tie.subscripts and not family.arity:
            wanted = ()
        member = family.member(wanted, tie.name.span)
        if isinstance(member, Part):
            return member
    message, label = f"`{tie.name.text}` is no part", "no part"
    note, hint = "a part is tied to a part that is declared above it", "name a part here"
    raise failure(Code.UNKNOWN_NAME, message, tie.name.span, label, note, hint)
