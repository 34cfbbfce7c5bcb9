"""A resolved network as a `TensorNetwork`: spans give way to lines, tensors to data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from tncompile.language.parsing.lexer import one_line
from tncompile.language.resolved import ResolvedAxis, ResolvedInput, ResolvedNetwork
from tncompile.language.syntax.source import Span
from tncompile.network import model
from tncompile.network.windows import Window


def build(resolved: ResolvedNetwork) -> model.TensorNetwork:
    """The tensor network that `resolved` describes.

    Tensors are the slices of the inputs, then the uses of the parameters, in order of declaration.
    """
    written = cache(_written)  # once for all members of a family
    tensors = [
        *(tensor for declared in resolved.inputs for tensor in _slices(declared)),
        *(
            model.Tensor(
                name=tensor.name,
                role="parameter",
                source=tensor.key,
                axes=_names(tensor.axes),
                conjugate=tensor.conjugate,
                line=tensor.statement.name.span.line,
            )
            for tensor in resolved.tensors
        ),
    ]
    return model.TensorNetwork(
        name=resolved.name,
        target=resolved.target,
        doc=resolved.doc,
        indices=tuple(
            model.Index(
                name=index.name,
                kind=index.kind,
                size=index.size,
                family=index.family,
                subscripts=index.subscripts,
                usual=index.usual,
                line=None if index.declared is None else index.declared.line,
            )
            for index in resolved.indices
        ),
        inputs=tuple(
            model.Input(
                name=declared.name,
                family=declared.family,
                subscripts=declared.subscripts,
                axes=tuple(map(_axis, declared.axes)),
                written=written(declared.statement.span),
                line=declared.statement.name.span.line,
            )
            for declared in resolved.inputs
        ),
        parameters=tuple(
            model.Parameter(
                key=parameter.key,
                family=parameter.family,
                subscripts=parameter.subscripts,
                axes=_names(parameter.axes),
                shape=parameter.shape,
                init=model.Init(scheme=parameter.init.scheme, argument=parameter.init.argument),
                frozen=parameter.frozen,
                complex=parameter.complex,
                written=written(parameter.statement.span),
                line=parameter.statement.name.span.line,
            )
            for parameter in resolved.parameters
        ),
        tensors=tuple(tensors),
        biases=tuple(
            model.Bias(parameter=bias.key, axes=_names(bias.axes)) for bias in resolved.biases
        ),
        windows=tuple(
            Window(
                name=window.name,
                family=window.family,
                subscripts=window.subscripts,
                size=window.size,
                stride=window.stride,
                dilation=window.dilation,
                left=window.left,
                right=window.right,
                mode=window.mode,
                transposed=window.transposed,
                extra=window.extra,
                line=window.declaration.name.span.line,
            )
            for window in resolved.windows
        ),
        output=model.Output(
            name=resolved.output.name,
            axes=tuple(map(_axis, resolved.output.axes)),
            log=resolved.output.log,
            written=written(resolved.output.statement.span),
            line=resolved.output.statement.name.span.line,
        ),
    )


def _written(span: Span) -> str:
    """The text under `span` on one line, without comments and the statement's keyword."""
    _, _, text = one_line(span).partition(" ")
    return re.sub(r"(?<=[(\[]) | ?,? (?=[)\]])", "", text)  # of several lines


def _axis(axis: ResolvedAxis) -> model.Axis:
    return model.Axis(kind=axis.kind, indices=axis.indices, size=axis.size, width=axis.width)


def _names(axes: Iterable[ResolvedAxis]) -> tuple[tuple[str, ...], ...]:
    return tuple(axis.indices for axis in axes)


def _slices(declared: ResolvedInput) -> Iterable[model.Tensor]:
    """One tensor, or one a slice: `x@3`, `x@1,2`."""
    for piece in declared.slices:
        where = "@" + ",".join(map(str, piece.position)) if piece.position else ""
        yield model.Tensor(
            name=declared.name + where,
            role="input",
            source=declared.name,
            axes=_names(piece.axes),
            position=piece.position,
            line=declared.statement.name.span.line,
        )
