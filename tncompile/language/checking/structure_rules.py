"""The rules of an unrolled network: indices have the ends that their kinds promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

from tncompile.language.checking.ends import MOST_LABELS, Ends, Structure, find_ends
from tncompile.language.diagnostics.collector import problem, with_article
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.resolved import ResolvedAxis, ResolvedIndex
from tncompile.language.syntax.source import Span

Rule = Callable[[Structure, Mapping[str, Ends]], Iterator[Diagnostic]]


def check_structure(structure: Structure) -> Iterator[Diagnostic]:
    """Everything that is wrong with the network, rule by rule."""
    ends = find_ends(structure)
    for rule in RULES:
        yield from rule(structure, ends)


def _of_kind(structure: Structure, kind: str) -> Iterator[ResolvedIndex]:
    return (index for index in structure.indices if index.kind == kind)


def _place(index: ResolvedIndex, structure: Structure) -> Span:
    return index.declared or structure.name


def _ends_text(count: int) -> str:
    return {0: "no end", 1: "one end", 2: "two ends", 3: "three ends"}.get(count, f"{count} ends")


def bond_ends(structure: Structure, ends: Mapping[str, Ends]) -> Iterator[Diagnostic]:
    """TN401: a bond joins exactly two tensors."""
    families = _Families(structure, ends)
    for index in _of_kind(structure, "bond"):
        count = len(ends[index.name].tensors)
        if ends[index.name].outside:
            yield _inner_outside(index, ends[index.name], structure, families, Code.BOND_ENDS)
        elif count != 2:
            others = "another tensor" if count else "two tensors"
            hint = f"put it on {others}; at an open boundary write `?` and declare one bond fewer"
            yield problem(
                Code.BOND_ENDS,
                f"the bond `{index.name}` has {_ends_text(count)}, not two",
                _place(index, structure),
                _ends_text(count),
                secondary=ends[index.name].labels(),
                notes=("a bond joins exactly two tensors, so that a typo is never a silent sum",),
                hint=families.redeclared("hyper", index) if count > 2 else hint,
            )


def hyper_ends(structure: Structure, ends: Mapping[str, Ends]) -> Iterator[Diagnostic]:
    """TN402: a hyper joins three tensors or more; two where a family shrank to one member."""
    families = _Families(structure, ends)
    for index in _of_kind(structure, "hyper"):
        tensors = ends[index.name].tensors
        count = len(tensors)
        if ends[index.name].outside:
            yield _inner_outside(index, ends[index.name], structure, families, Code.HYPER_ENDS)
        elif count < 2 or (count == 2 and not any(end.alone for end in tensors)):
            hint = f"put `{index.name}` on more tensors, or remove it"
            yield problem(
                Code.HYPER_ENDS,
                f"the hyper `{index.name}` has {_ends_text(count)}, not three or more",
                _place(index, structure),
                _ends_text(count),
                secondary=ends[index.name].labels(),
                notes=("a hyper is a copy tensor: it joins three tensors or more",),
                hint=families.redeclared("bond", index) if count == 2 else hint,
            )


class _Families:
    """The families of the indices, and what all of one could be declared as."""

    def __init__(self, structure: Structure, ends: Mapping[str, Ends]) -> None:
        self._structure = structure
        self._ends = ends
        self._fit: dict[tuple[str, str], bool] = {}

    @cached_property
    def _members(self) -> dict[str, list[str]]:
        members: dict[str, list[str]] = {}
        for index in self._structure.indices:
            members.setdefault(index.family, []).append(index.name)
        return members

    def redeclared(self, kind: str, index: ResolvedIndex) -> str:
        """To declare the index as `kind`, or apart where that fits not all of its family."""
        family = index.family
        key = family, kind
        if key not in self._fit:
            self._fit[key] = all(_fits(kind, self._ends[name]) for name in self._members[family])
        written = f"`{kind} {family}{'[…]' if index.subscripts else ''} = …`"
        if self._fit[key]:
            return f"declare it as {with_article(kind)}: {written}"
        if not _fits(kind, self._ends[index.name]):
            return f"declare it as {with_article(kind)}, {written}, and put it on a tensor, too"
        return f"declare it apart, as {with_article(kind)}: not all of `{family}` can be one"


def _fits(kind: str, index_ends: Ends) -> bool:
    """Whether what ends like this can be a `kind`."""
    match kind:
        case "index":
            return bool(index_ends.outside) and index_ends.count >= 2
        case "bond":
            return not index_ends.outside and len(index_ends.tensors) == 2
        case _:
            enough = len(index_ends.tensors) >= 3 or any(end.alone for end in index_ends.tensors)
            return not index_ends.outside and enough and len(index_ends.tensors) >= 2


def _inner_outside(
    index: ResolvedIndex, index_ends: Ends, structure: Structure, families: _Families, code: Code
) -> Diagnostic:
    """A bond or a hyper on an input or the output."""
    declared = Label(_place(index, structure), f"a {index.kind} is declared here")
    end = index_ends.outside[0]
    return problem(
        code,
        f"the {index.kind} `{index.name}` cannot be on `{end.owner}`",
        end.span,
        f"a {index.kind} stays inside",
        secondary=(declared, *(label for label in index_ends.labels() if label.span != end.span)),
        notes=(f"a {index.kind} joins tensors; what is seen outside is an index",),
        hint=families.redeclared("index", index),
    )


def dangling_index(structure: Structure, ends: Mapping[str, Ends]) -> Iterator[Diagnostic]:
    """TN403: an index has two ends or more, one of them outside."""
    families = _Families(structure, ends)
    for index in _of_kind(structure, "index"):
        index_ends = ends[index.name]
        if index_ends.count >= 2 and index_ends.outside:
            continue
        if index_ends.biases or index_ends.output:
            continue  # TN404, at the leg of the bias or the output
        place = _place(index, structure)
        if index_ends.count >= 2:
            kind = "bond" if index_ends.count == 2 else "hyper"
            yield problem(
                Code.DANGLING_INDEX,
                f"the index `{index.name}` is on tensors only",
                place,
                "never seen outside",
                secondary=index_ends.labels(),
                notes=(
                    "an index is on an input or the output; inner dimensions are bonds or hypers",
                ),
                hint=families.redeclared(kind, index),
            )
            continue
        yield problem(
            Code.DANGLING_INDEX,
            f"the index `{index.name}` is not connected"
            if index_ends.count
            else f"the index `{index.name}` is never used",
            place,
            _ends_text(index_ends.count),
            secondary=index_ends.labels(),
            notes=(
                "an index has two ends or more, at least one of them on an input or the output",
            ),
            hint=f"put `{index.name}` on {_missing_ends(index_ends)}, or remove it altogether",
        )


def _missing_ends(index_ends: Ends) -> str:
    """What an index has to be on, too."""
    if not index_ends.count:
        return "a tensor, and on an input or the output"
    return "an input or the output" if index_ends.tensors else "a tensor or the output"


def output_not_carried(structure: Structure, ends: Mapping[str, Ends]) -> Iterator[Diagnostic]:
    """TN404: what the output has, a tensor or an input carries; what a bias has, the output has."""
    indices = {index.name: index for index in structure.indices}
    for name, index_ends in ends.items():
        index = indices[name]
        if not index_ends.output and not index_ends.biases:
            continue
        declared = Label(_place(index, structure), f"`{index.family}` is declared here")
        if index.kind == "index" and index_ends.output and index_ends.count == 1:
            yield problem(
                Code.OUTPUT_NOT_CARRIED,
                f"no tensor and no input carries the output's leg `{name}`",
                index_ends.output[0].span,
                "carried by a bias alone" if index_ends.biases else "carried by nothing",
                secondary=(declared,),
                notes=(
                    "the output holds what tensors and inputs carry; a bias is only added to it",
                ),
                hint=f"put `{name}` on a tensor, or remove it altogether",
            )
        for end in index_ends.biases if not index_ends.output else ():
            yield problem(
                Code.OUTPUT_NOT_CARRIED,
                f"the output has no leg `{name}` that the bias `{end.owner}` could be added along",
                end.span,
                "not on the output",
                secondary=(declared,),
                notes=("a bias is added to the output along legs that the output has",),
                hint=_bias_leg(index, index_ends),
            )


def batch_missing(structure: Structure, ends: Mapping[str, Ends]) -> Iterator[Diagnostic]:
    """TN405: a batch axis is on the output and on at least one input."""
    output = structure.output.statement.name
    for index in _of_kind(structure, "batch"):
        index_ends = ends[index.name]
        if index_ends.output and index_ends.inputs:
            continue
        lacking = _input_names(structure) if not index_ends.inputs else []
        if not index_ends.output:
            lacking.append(Label(output.span, f"`{output.text}` lacks it"))
        where = "the output" if index_ends.inputs else "an input"
        if not index_ends.output and not index_ends.inputs:
            where = "an input and the output"
        yield problem(
            Code.BATCH_MISSING,
            f"the batch axis `{index.name}` is not on {where}",
            _place(index, structure),
            f"not on {where}",
            secondary=tuple(lacking[:MOST_LABELS]),
            notes=("a batch axis comes in with an input and goes out with the output",),
            hint=f"write `{index.name}` among the legs of {where}",
        )


def _bias_leg(index: ResolvedIndex, index_ends: Ends) -> str:
    """What to do about a leg of a bias that the output lacks."""
    if index.kind != "index":
        return f"remove it from the bias: {with_article(index.kind)} stays inside"
    if not index_ends.count:
        return f"put `{index.name}` on the output and on a tensor, or remove it altogether"
    return f"put `{index.name}` on the output, or remove it from the bias"


def _input_names(structure: Structure) -> list[Label]:
    names = dict.fromkeys(source.statement.name for source in structure.inputs)
    return [Label(name.span, f"`{name.text}` lacks it") for name in names]


def dots_without_partner(structure: Structure, ends: Mapping[str, Ends]) -> Iterator[Diagnostic]:
    """TN405: `...` is on the output and on at least one input, or nowhere."""
    output = _dots(structure.output.axes)
    inputs = [axis for source in structure.inputs if (axis := _dots(source.axes))]
    name = structure.output.statement.name
    if output and not inputs:
        yield problem(
            Code.BATCH_MISSING,
            "`...` is on the output, but on no input",
            output.span,
            "no input has these axes",
            secondary=tuple(_input_names(structure)[:MOST_LABELS]),
            notes=("leading batch axes come in with an input and go out with the output",),
            hint="write `...` first on an input, or remove it here",
        )
    if inputs and not output:
        others = dict.fromkeys(axis.span for axis in inputs if axis.span != inputs[0].span)
        yield problem(
            Code.BATCH_MISSING,
            "`...` is on an input, but not on the output",
            inputs[0].span,
            "the output lacks these axes",
            secondary=(
                Label(name.span, f"`{name.text}` lacks it"),
                *(Label(span, "and these") for span in list(others)[:MOST_LABELS]),
            ),
            notes=("leading batch axes come in with an input and go out with the output",),
            hint=f"write `...` first on the output: `output {name.text}(..., …)`",
        )


def _dots(axes: tuple[ResolvedAxis, ...]) -> ResolvedAxis | None:
    return next((axis for axis in axes if axis.kind == "dots"), None)


def unconnected(structure: Structure, ends: Mapping[str, Ends]) -> Iterator[Diagnostic]:
    """TN407: pieces that share no index multiply to an outer product, seldom what was meant.

    Batch axes join nothing: the product is then an outer product for every entry of the batch.
    """
    fixed = {index.name for index in structure.indices if index.kind != "batch"}
    first_factor: dict[str, int] = {}
    above: list[int] = []
    places: list[tuple[str, Span]] = []

    def root(factor: int) -> int:
        while above[factor] != factor:
            above[factor] = above[above[factor]]
            factor = above[factor]
        return factor

    for name, span, all_legs in _factors(structure):
        legs = [leg for leg in all_legs if leg in fixed]
        if not legs:
            continue  # a number: it scales the others
        factor = len(above)
        above.append(factor)
        places.append((name, span))
        for leg in legs:
            above[root(factor)] = root(first_factor.setdefault(leg, factor))
    pieces: dict[int, tuple[str, Span]] = {}
    for factor, place in enumerate(places):
        pieces.setdefault(root(factor), place)
    if len(pieces) < 2:
        return
    (first, first_place), (second, second_place), *_ = pieces.values()
    yield problem(
        Code.UNCONNECTED,
        f"the network is in {len(pieces)} unconnected pieces",
        second_place,
        f"nothing joins `{second}` to `{first}`",
        secondary=(Label(first_place, "the first piece"),) if first_place != second_place else (),
        notes=("unconnected pieces multiply to an outer product",),
        hint="join the pieces with a bond, unless an outer product is what you want",
    )


def _factors(structure: Structure) -> Iterator[tuple[str, Span, tuple[str, ...]]]:
    """Everything that is multiplied: inputs by slices, then tensors."""
    for source in structure.inputs:
        for part in source.slices:
            legs = tuple(index for axis in part.axes for index in axis.indices)
            yield source.name, source.statement.name.span, legs
    for tensor in structure.tensors:
        legs = tuple(index for axis in tensor.axes for index in axis.indices)
        yield tensor.name, tensor.statement.name.span, legs


RULES: tuple[Rule, ...] = (
    bond_ends,
    hyper_ends,
    dangling_index,
    output_not_carried,
    batch_missing,
    dots_without_partner,
    unconnected,
)
