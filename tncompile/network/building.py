"""A resolved network as a `TensorNetwork`: spans give way to lines, tensors to data."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tncompile.language.parsing.lexer import one_line
from tncompile.language.resolved import (
    ResolvedAxis,
    ResolvedBias,
    ResolvedIndex,
    ResolvedInput,
    ResolvedNetwork,
    ResolvedOutput,
    ResolvedParameter,
    ResolvedTensor,
)
from tncompile.language.syntax.source import Span
from tncompile.network.model import (
    Axis,
    Bias,
    Index,
    Init,
    Input,
    Output,
    Parameter,
    Tensor,
    TensorNetwork,
)


def build(resolved: ResolvedNetwork) -> TensorNetwork:
    """The tensor network that `resolved` describes.

    Tensors are the slices of the inputs, then the uses of the parameters, in order of declaration.
    """
    lines = _Lines()
    tensors = [
        *(tensor for each in resolved.inputs for tensor in _input_tensors(each, lines)),
        *(_tensor(tensor, lines) for tensor in resolved.tensors),
    ]
    return TensorNetwork(
        name=resolved.name,
        target=resolved.target,
        doc=resolved.doc,
        indices=tuple(_index(index, lines) for index in resolved.indices),
        inputs=tuple(_input(each, lines) for each in resolved.inputs),
        parameters=tuple(_parameter(parameter, lines) for parameter in resolved.parameters),
        tensors=tuple(tensors),
        biases=tuple(_bias(bias) for bias in resolved.biases),
        output=_output(resolved.output, lines),
    )


class _Lines:
    """Line numbers and texts of spans, each found once: the members of a family share them."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._texts: dict[int, str] = {}

    def number(self, span: Span) -> int:
        """The line on which `span` starts. All spans of one network are in one file."""
        line = self._numbers.get(span.start)
        if line is None:
            line = self._numbers[span.start] = span.line
        return line

    def written(self, span: Span) -> str:
        """The text under `span` on one line, without comments and the statement's keyword."""
        text = self._texts.get(span.start)
        if text is None:
            _, _, text = one_line(span).partition(" ")
            text = re.sub(r"(?<=[(\[]) | ?,? (?=[)\]])", "", text)  # of several lines
            self._texts[span.start] = text
        return text


def _index(index: ResolvedIndex, lines: _Lines) -> Index:
    return Index(
        name=index.name,
        kind=index.kind,
        size=index.size,
        family=index.family,
        subscripts=index.subscripts,
        line=None if index.declared is None else lines.number(index.declared),
    )


def _axis(axis: ResolvedAxis) -> Axis:
    return Axis(kind=axis.kind, indices=axis.indices, size=axis.size, width=axis.width)


def _names(axes: Iterable[ResolvedAxis]) -> tuple[tuple[str, ...], ...]:
    return tuple(axis.indices for axis in axes)


def _input(resolved: ResolvedInput, lines: _Lines) -> Input:
    statement = resolved.statement
    return Input(
        name=resolved.name,
        family=resolved.family,
        subscripts=resolved.subscripts,
        axes=tuple(map(_axis, resolved.axes)),
        written=lines.written(statement.span),
        line=lines.number(statement.name.span),
    )


def _input_tensors(resolved: ResolvedInput, lines: _Lines) -> Iterable[Tensor]:
    """One tensor, or one a slice: `x@3`, `x@1,2`."""
    for piece in resolved.slices:
        where = "@" + ",".join(map(str, piece.position)) if piece.position else ""
        yield Tensor(
            name=resolved.name + where,
            role="input",
            source=resolved.name,
            axes=_names(piece.axes),
            position=piece.position,
            line=lines.number(resolved.statement.name.span),
        )


def _tensor(tensor: ResolvedTensor, lines: _Lines) -> Tensor:
    return Tensor(
        name=tensor.name,
        role="parameter",
        source=tensor.key,
        axes=_names(tensor.axes),
        conjugate=tensor.conjugate,
        line=lines.number(tensor.statement.name.span),
    )


def _parameter(parameter: ResolvedParameter, lines: _Lines) -> Parameter:
    statement = parameter.statement
    return Parameter(
        key=parameter.key,
        family=parameter.family,
        subscripts=parameter.subscripts,
        axes=_names(parameter.axes),
        shape=parameter.shape,
        init=Init(scheme=parameter.init.scheme, argument=parameter.init.argument),
        frozen=parameter.frozen,
        written=lines.written(statement.span),
        line=lines.number(statement.name.span),
    )


def _bias(bias: ResolvedBias) -> Bias:
    return Bias(parameter=bias.key, axes=_names(bias.axes))


def _output(output: ResolvedOutput, lines: _Lines) -> Output:
    return Output(
        name=output.name,
        axes=tuple(map(_axis, output.axes)),
        log=output.log,
        written=lines.written(output.statement.span),
        line=lines.number(output.statement.name.span),
    )
