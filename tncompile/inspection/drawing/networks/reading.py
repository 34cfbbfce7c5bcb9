"""A network as the subject of a drawing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import product
from math import prod

from tncompile.inspection.drawing import signs
from tncompile.inspection.drawing.layout.subject import (
    Added,
    Cell,
    End,
    Leg,
    Node,
    Strip,
    Subject,
)
from tncompile.inspection.drawing.text import Line, Span
from tncompile.network.model import (
    Axis,
    Bias,
    Index,
    Input,
    Output,
    Parameter,
    Tensor,
    TensorNetwork,
)


def subject_of(network: TensorNetwork) -> Subject:
    """Everything in a network, nothing folded."""
    return _Reading(network).subject()


class _Reading:
    """One pass over a network."""

    def __init__(self, network: TensorNetwork) -> None:
        self.network = network
        self.index = network.index
        self.batch = {i.name for i in network.indices if i.kind in ("batch", "dots")}
        self.ends: defaultdict[str, list[End]] = defaultdict(list)
        self.batches: defaultdict[str, list[str]] = defaultdict(list)
        uses = Counter(t.source for t in network.tensors if t.role == "parameter")
        twice = [source for source, count in uses.items() if count > 1]
        self.shades = {source: number for number, source in enumerate(twice)}

    def subject(self) -> Subject:
        """All of it."""
        network = self.network
        nodes = {node.key: node for node in self._nodes()}
        inputs = tuple(self._input(each) for each in network.inputs)
        output = self._output(network.output)
        legs = {name: self._leg(self.index[name], tuple(ends)) for name, ends in self.ends.items()}
        return Subject(
            network.name,
            network.target,
            nodes,
            inputs,
            output,
            legs,
            {name: tuple(strips) for name, strips in self.batches.items()},
            tuple(self._bias(each) for each in network.biases),
            sum(tensor.role != "input" for tensor in network.tensors),
        )

    def _nodes(self) -> Iterator[Node]:
        for tensor in self.network.tensors:
            if tensor.role == "input":
                continue
            node = self._tensor(tensor)
            for leg in node.legs:
                self.ends[leg].append(End(node.key))
            yield node
        for window in self.network.windows:
            legs = window.input_leg, window.kernel_leg, window.output_leg
            key = f"window {window.name}"
            for leg in legs:
                self.ends[leg].append(End(key))
            numbers = f"kernel {window.size}, stride {window.stride}, dilation {window.dilation}"
            kind = "transposed window" if window.transposed else "window"
            title = f"{kind} {window.name}: {numbers}, padding {window.left} and {window.right}"
            label = signs.name(window.family, window.subscripts)
            yield Node(
                key, "window", window.family, window.subscripts, label, legs, title, small=label
            )

    def _tensor(self, tensor: Tensor) -> Node:
        parameter = self.network.parameter.get(tensor.source)
        if parameter is None:  # a mask
            title = f"{tensor.name}: ones for the first {tensor.source} entries, zeros beyond"
            label = signs.name(tensor.name, ())
            return Node(tensor.name, "tensor", tensor.name, (), label, tensor.legs, title)
        family, subscripts = tensor.family, tensor.subscripts
        star = Span("*", signs.NAME, "italic")
        label, small = (signs.name(family, subscripts, small=small) for small in (False, True))
        if family != parameter.family:
            alike = signs.name(parameter.family, (), small=True)
            equals = (Span(" = ", 13.0, "dim"), *alike)
            label, small = (*label, *equals), (*small, *equals)
        if tensor.conjugate:
            label, small = (*label, star), (*small, star)
        return Node(
            tensor.name,
            "tensor",
            family,
            subscripts,
            label,
            tensor.legs,
            self._tensor_title(tensor, parameter),
            self.shades.get(tensor.source),
            parameter.frozen,
            small=small,
        )

    def _tensor_title(self, tensor: Tensor, parameter: Parameter) -> str:
        legs = " × ".join(f"{leg} {_size(self.index[leg].size)}" for leg in tensor.legs)
        stored = f"{prod(parameter.shape):,} numbers"
        kind = "complex " if parameter.complex else ""
        words = [
            f"{tensor.name}: {legs or 'a number'}",
            f"{kind}parameter {parameter.key}, {stored}",
        ]
        if tensor.conjugate:
            words.append("conjugated")
        if parameter.frozen:
            words.append("frozen")
        argument = parameter.init.argument
        value = "" if argument is None else f"({argument:g})"
        return ", ".join([*words, f"init {parameter.init.scheme}{value}"])

    def _leg(self, index: Index, ends: tuple[End, ...]) -> Leg:
        names = list(dict.fromkeys(end.key for end in ends))
        joined = " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
        kind = "hyperedge" if index.kind == "hyper" else index.kind
        title = f"{kind} {index.name}: size {_size(index.size)}, joins {joined}"
        name = index.family, index.subscripts, index.size
        short = signs.leg_label(*name, named=False)
        return Leg(index.name, index.size, ends, title, signs.leg_label(*name), short)

    def _input(self, given: Input) -> Strip:
        key = f"input {given.name}"
        cells = list(self._cells(key, given.axes))
        if any(axis.kind == "slices" for axis in given.axes):
            slices = {t.position: t for t in self.network.tensors if t.source == given.name}
            lengths = [range(axis.length or 0) for axis in given.axes if axis.kind == "slices"]
            batches = [cell for cell in cells if cell.kind == "batch"]
            onehot = any(cell.kind == "onehot" for cell in cells)
            cells = batches + [
                self._slice(key, len(batches) + place, at, slices.get(at), onehot)
                for place, at in enumerate(product(*lengths))
            ]
        else:
            for place, cell in enumerate(cells):
                for leg in cell.legs:
                    self.ends[leg].append(End(key, place))
        name = (*signs.name(given.family, given.subscripts, small=True), *self._shape(given.axes))
        return Strip(key, "input", name, tuple(cells), given.written)

    def _slice(
        self, key: str, place: int, at: tuple[int, ...], tensor: Tensor | None, onehot: bool
    ) -> Cell:
        legs = () if tensor is None else self._own(tensor.legs)
        for leg in legs:
            self.ends[leg].append(End(key, place))
        text = (Span(",".join(map(str, at)), signs.LABEL),)
        return Cell("slice", text, legs, grouped=onehot, onehot=onehot)

    def _output(self, output: Output) -> Strip:
        key = f"output {output.name}"
        cells = tuple(self._cells(key, output.axes))
        for place, cell in enumerate(cells):
            for leg in cell.legs:
                self.ends[leg].append(End(key, place))
        signed = (Span("  sign and log", signs.LABEL, "dim"),) if output.log else ()
        name = (*signs.name(output.name, (), small=True), *self._shape(output.axes), *signed)
        return Strip(key, "output", name, cells, output.written)

    def _cells(self, key: str, axes: Iterable[Axis]) -> Iterator[Cell]:
        for axis in axes:
            legs = self._own(axis.indices)
            for name in axis.indices:
                if name in self.batch and key not in self.batches[name]:
                    self.batches[name].append(key)
            if axis.kind == "slices":
                continue
            if axis.kind == "dots":
                yield Cell("batch", (Span("…", signs.LABEL),))
            elif not legs and axis.indices:
                text = " ".join(axis.indices)
                yield Cell("batch", (Span(text, signs.LABEL, "dim italic"),))
            elif axis.kind == "onehot":
                text = f"id < {axis.length or 0:,}"
                yield Cell("onehot", (Span(text, signs.LABEL),), legs, grouped=True)
            else:
                yield self._legs_cell(axis, legs)

    def _legs_cell(self, axis: Axis, legs: tuple[str, ...]) -> Cell:
        padded = 0.0
        if axis.size is None:
            text = " · ".join(axis.indices)
        elif axis.width is not None and axis.width != axis.size:
            text = f"{axis.width:,} of {axis.size:,}"
            padded = 1 - axis.width / axis.size
        else:
            text = f"{axis.size:,}"
        return Cell("legs", (Span(text, signs.LABEL),), legs, len(axis.indices) > 1, padded)

    def _own(self, legs: Iterable[str]) -> tuple[str, ...]:
        """What is drawn as a leg: batch axes run past the network."""
        return tuple(leg for leg in legs if leg not in self.batch)

    def _shape(self, axes: Iterable[Axis]) -> Line:
        sizes = []
        for axis in axes:
            if axis.kind == "dots":
                sizes.append("…")
            elif axis.kind == "onehot":
                sizes.append("ids" if not axis.length else f"ids < {axis.length}")
            else:
                length = axis.length
                sizes.append(" · ".join(axis.indices) if length is None else str(length))
        shown = sizes if len(sizes) < 9 else [*sizes[:3], "…", *sizes[-2:]]
        return (Span(f" ({', '.join(shown)})", signs.LABEL, "dim"),)

    def _bias(self, bias: Bias) -> Added:
        parameter = self.network.parameter[bias.parameter]
        label = signs.name(parameter.family, parameter.subscripts)
        shape = " × ".join(f"{size:,}" for size in parameter.shape)
        title = f"bias {parameter.key}: {shape}, added to the output"
        node = Node(
            f"bias {parameter.key}",
            "tensor",
            parameter.family,
            parameter.subscripts,
            label,
            (),
            title,
            frozen=parameter.frozen,
            small=label,
        )
        along = [leg for axis in bias.axes for leg in axis]
        fixed = [leg for leg in self.network.output.legs if self.index[leg].size is not None]
        return Added(node, "" if set(along) == set(fixed) else " ".join(along))


def _size(size: int | None) -> str:
    return "known at run time" if size is None else f"{size:,}"
