"""The rules of an unrolled network: indices have the ends that their kinds promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from tncompile.language.diagnostics.collector import problem, with_article
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.resolved import ResolvedAxis, ResolvedIndex, ResolvedNetwork
from tncompile.language.syntax.source import Span

_MOST_LABELS = 6


class End(NamedTuple):
    """One end of an index: the leg, and the tensor, input, bias or output that it is on.

    `alone` says that the tensor is the one member of its family.
    """

    span: Span
    owner: str
    alone: bool = False


@dataclass(slots=True)
class Ends:
    """All ends of one index; an input has one a slice, the output one or none."""

    tensors: list[End] = field(default_factory=list)
    inputs: list[End] = field(default_factory=list)
    output: list[End] = field(default_factory=list)
    biases: list[End] = field(default_factory=list)

    @property
    def outside(self) -> list[End]:
        """The ends on inputs and the output."""
        return self.inputs + self.output

    @property
    def count(self) -> int:
        """How many things the index joins; a bias is added to the output and joins nothing."""
        return len(self.tensors) + len(self.outside)

    def labels(self) -> tuple[Label, ...]:
        """A label at each end, the first few."""
        owners: dict[Span, str] = {}
        for end in self.tensors + self.outside:
            owners.setdefault(end.span, f"on `{end.owner}`")
        return tuple(Label(span, text) for span, text in list(owners.items())[:_MOST_LABELS])

    def fit(self, kind: str) -> bool:
        """Whether what ends like this can be a `kind`."""
        if kind == "index":
            return bool(self.outside) and self.count >= 2
        if self.outside:
            return False
        if kind == "bond":
            return len(self.tensors) == 2
        shrunk = len(self.tensors) == 2 and any(end.alone for end in self.tensors)
        return len(self.tensors) >= 3 or shrunk


@dataclass(frozen=True)
class Structure:
    """An unrolled network, before it is known to be sound, and the ends of its indices by name."""

    network: ResolvedNetwork
    _family_fits: dict[tuple[str, str], bool] = field(default_factory=dict)

    @cached_property
    def ends(self) -> dict[str, Ends]:
        """In the order of declaration."""
        network = self.network
        ends = {index.name: Ends() for index in network.indices if index.kind != "dots"}
        for tensor in network.tensors:
            for name, span in _index_spans(tensor.axes):
                ends[name].tensors.append(End(span, tensor.name, tensor.alone))
        for tensor_input in network.inputs:
            for part in tensor_input.slices:
                for name, span in _index_spans(part.axes):
                    ends[name].inputs.append(End(span, tensor_input.name))
        for name, span in _index_spans(network.output.axes):
            ends[name].output.append(End(span, network.output.name))
        for bias in network.biases:
            for name, span in _index_spans(bias.axes):
                ends[name].biases.append(End(span, bias.name))
        return ends

    @cached_property
    def _families(self) -> dict[str, list[str]]:
        families: dict[str, list[str]] = {}
        for index in self.network.indices:
            families.setdefault(index.family, []).append(index.name)
        return families

    def of_kinds(self, *kinds: str) -> Iterator[tuple[ResolvedIndex, Ends, Span]]:
        """The indices of these kinds, with their ends and the place where each is declared."""
        for index in self.network.indices:
            if index.kind in kinds:
                place = index.declared or self.network.block.name.span
                yield index, self.ends[index.name], place

    def redeclared(self, kind: str, index: ResolvedIndex) -> str:
        """To declare the index as `kind`, or apart where that fits not all of its family."""
        family, a_kind = index.family, with_article(kind)
        if (family, kind) not in self._family_fits:
            fits = all(self.ends[name].fit(kind) for name in self._families[family])
            self._family_fits[family, kind] = fits
        written = f"`{kind} {family}{'[…]' if index.subscripts else ''} = …`"
        if self._family_fits[family, kind]:
            return f"declare it as {a_kind}: {written}"
        if not self.ends[index.name].fit(kind):
            return f"declare it as {a_kind}, {written}, and put it on a tensor, too"
        return f"declare it apart, as {a_kind}: not all of `{family}` can be one"


def _index_spans(axes: tuple[ResolvedAxis, ...]) -> Iterator[tuple[str, Span]]:
    """Each index on the axes with the leg that puts it there; `...` is left out."""
    for axis in axes:
        if axis.kind != "dots":
            yield from zip(axis.indices, axis.spans, strict=True)


def _ends_text(count: int) -> str:
    return {0: "no end", 1: "one end", 2: "two ends", 3: "three ends"}.get(count, f"{count} ends")


def inner_ends(structure: Structure) -> Iterator[Diagnostic]:
    """TN401: a bond joins exactly two tensors.

    TN402: a hyper joins three tensors or more; two where a family shrank to one member.
    """
    for index, ends, place in structure.of_kinds("bond", "hyper"):
        count, name = len(ends.tensors), index.name
        if index.kind == "bond":
            code, wanted = Code.BOND_ENDS, "two"
            note = "a bond joins exactly two tensors, so that a typo is never a silent sum"
            others = "another tensor" if count else "two tensors"
            hint = f"put it on {others}; at an open boundary write `?` and declare one bond fewer"
            other_kind = "hyper" if count > 2 else None
        else:
            code, wanted = Code.HYPER_ENDS, "three or more"
            note = "a hyper is a copy tensor: it joins three tensors or more"
            hint = f"put `{name}` on more tensors, or remove it"
            other_kind = "bond" if count == 2 else None
        if ends.outside:
            end = ends.outside[0]
            message = f"the {index.kind} `{name}` cannot be on `{end.owner}`"
            label = f"a {index.kind} stays inside"
            note = f"a {index.kind} joins tensors; what is seen outside is an index"
            declared = Label(place, f"a {index.kind} is declared here")
            labels = (declared, *(label for label in ends.labels() if label.span != end.span))
            hint = structure.redeclared("index", index)
            yield problem(code, message, end.span, label, note, hint, labels)
        elif not ends.fit(index.kind):
            if other_kind is not None:
                hint = structure.redeclared(other_kind, index)
            label = _ends_text(count)
            message = f"the {index.kind} `{name}` has {label}, not {wanted}"
            yield problem(code, message, place, label, note, hint, ends.labels())


def dangling_index(structure: Structure) -> Iterator[Diagnostic]:
    """TN403: an index has two ends or more, one of them outside."""
    for index, ends, place in structure.of_kinds("index"):
        if ends.fit("index") or ends.biases or ends.output:
            continue  # TN404 is at the leg of the bias or the output
        name = index.name
        if ends.count >= 2:
            message, label = f"the index `{name}` is on tensors only", "never seen outside"
            note = "an index is on an input or the output; inner dimensions are bonds or hypers"
            hint = structure.redeclared("bond" if ends.count == 2 else "hyper", index)
        else:
            label = _ends_text(ends.count)
            message = f"the index `{name}` is {'not connected' if ends.count else 'never used'}"
            note = "an index has two ends or more, at least one of them on an input or the output"
            missing = "a tensor or the output"
            if not ends.count:
                missing = "a tensor, and on an input or the output"
            elif ends.tensors:
                missing = "an input or the output"
            hint = f"put `{name}` on {missing}, or remove it altogether"
        yield problem(Code.DANGLING_INDEX, message, place, label, note, hint, ends.labels())


def output_not_carried(structure: Structure) -> Iterator[Diagnostic]:
    """TN404: what the output has, a tensor or an input carries; what a bias has, the output has."""
    code = Code.OUTPUT_NOT_CARRIED
    for index, ends, place in structure.of_kinds("index", "bond", "hyper", "batch"):
        name = index.name
        declared = Label(place, f"`{index.family}` is declared here")
        if index.kind == "index" and ends.output and ends.count == 1:
            message = f"no tensor and no input carries the output's leg `{name}`"
            label = "carried by a bias alone" if ends.biases else "carried by nothing"
            note = "the output holds what tensors and inputs carry; a bias is only added to it"
            hint = f"put `{name}` on a tensor, or remove it altogether"
            yield problem(code, message, ends.output[0].span, label, note, hint, declared)
        for end in ends.biases if not ends.output else ():
            message = (
                f"the output has no leg `{name}` that the bias `{end.owner}` could be added along"
            )
            note = "a bias is added to the output along legs that the output has"
            hint = f"put `{name}` on the output, or remove it from the bias"
            if index.kind != "index":
                hint = f"remove it from the bias: {with_article(index.kind)} stays inside"
            elif not ends.count:
                hint = f"put `{name}` on the output and on a tensor, or remove it altogether"
            yield problem(code, message, end.span, "not on the output", note, hint, declared)


def batch_missing(structure: Structure) -> Iterator[Diagnostic]:
    """TN405: a batch axis is on the output and on at least one input."""
    for index, ends, place in structure.of_kinds("batch"):
        if ends.output and ends.inputs:
            continue
        lacking = _inputs_lack_it(structure.network) if not ends.inputs else []
        if not ends.output:
            lacking.append(_output_lacks_it(structure.network))
        where = "the output" if ends.inputs else "an input"
        if not ends.output and not ends.inputs:
            where = "an input and the output"
        label = f"not on {where}"
        message = f"the batch axis `{index.name}` is {label}"
        note = "a batch axis comes in with an input and goes out with the output"
        hint = f"write `{index.name}` among the legs of {where}"
        labels = tuple(lacking[:_MOST_LABELS])
        yield problem(Code.BATCH_MISSING, message, place, label, note, hint, labels)


def _inputs_lack_it(network: ResolvedNetwork) -> list[Label]:
    names = dict.fromkeys(source.statement.name for source in network.inputs)
    return [Label(name.span, f"`{name.text}` lacks it") for name in names]


def _output_lacks_it(network: ResolvedNetwork) -> Label:
    name = network.output.statement.name
    return Label(name.span, f"`{name.text}` lacks it")


def dots_without_partner(structure: Structure) -> Iterator[Diagnostic]:
    """TN405: `...` is on the output and on at least one input, or nowhere."""
    network = structure.network
    output = _dots(network.output.axes)
    inputs = [axis.span for source in network.inputs for axis in _dots(source.axes)]
    note = "leading batch axes come in with an input and go out with the output"
    if output and not inputs:
        message, label = "`...` is on the output, but on no input", "no input has these axes"
        hint = "write `...` first on an input, or remove it here"
        labels = tuple(_inputs_lack_it(network)[:_MOST_LABELS])
        yield problem(Code.BATCH_MISSING, message, output[0].span, label, note, hint, labels)
    if inputs and not output:
        first, *others = dict.fromkeys(inputs)
        message = "`...` is on an input, but not on the output"
        label, name = "the output lacks these axes", network.output.statement.name.text
        hint = f"write `...` first on the output: `output {name}(..., …)`"
        labels = (
            _output_lacks_it(network),
            *(Label(span, "and these") for span in others[:_MOST_LABELS]),
        )
        yield problem(Code.BATCH_MISSING, message, first, label, note, hint, labels)


def _dots(axes: tuple[ResolvedAxis, ...]) -> list[ResolvedAxis]:
    return [axis for axis in axes if axis.kind == "dots"][:1]


def unconnected(structure: Structure) -> Iterator[Diagnostic]:
    """TN407: pieces that share no index multiply to an outer product, seldom what was meant.

    Batch axes join nothing: the product is then an outer product for every entry of the batch.
    """
    joining = {name: name for name, i in structure.network.index.items() if i.size is not None}
    for window in structure.network.windows:
        faces = (f"{window.name}.{face}" for face in ("in", "kernel", "out"))
        joining |= dict.fromkeys(faces, window.name)  # a window joins what has its faces
    first_factor: dict[str, int] = {}
    above: list[int] = []
    places: list[tuple[str, Span]] = []

    def root(factor: int) -> int:
        while above[factor] != factor:
            above[factor] = above[above[factor]]
            factor = above[factor]
        return factor

    for name, span, axes in _factors(structure.network):
        legs = [joining[leg] for axis in axes for leg in axis.indices if leg in joining]
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
    (first, first_span), (second, span), *_ = pieces.values()
    message = f"the network is in {len(pieces)} unconnected pieces"
    label = f"nothing joins `{second}` to `{first}`"
    note = "unconnected pieces multiply to an outer product"
    hint = "join the pieces with a bond, unless an outer product is what you want"
    labels = (Label(first_span, "the first piece"),) if first_span != span else ()
    yield problem(Code.UNCONNECTED, message, span, label, note, hint, labels)


def _factors(network: ResolvedNetwork) -> Iterator[tuple[str, Span, tuple[ResolvedAxis, ...]]]:
    """Everything that is multiplied: inputs by slices, then tensors."""
    for source in network.inputs:
        for part in source.slices:
            yield source.name, source.statement.name.span, part.axes
    for tensor in network.tensors:
        yield tensor.name, tensor.statement.name.span, tensor.axes


RULES: tuple[Callable[[Structure], Iterator[Diagnostic]], ...] = (
    inner_ends,
    dangling_index,
    output_not_carried,
    batch_missing,
    dots_without_partner,
    unconnected,
)
