"""The text of a tensor network: tables of what it is made of, in the order of declaration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tncompile.network.model import Axis, Output, Parameter, Tensor, TensorNetwork
from tncompile.network.windows import Window


def describe_network(network: TensorNetwork) -> str:
    """Its indices, inputs, parameters, tensors and output, one line each, columns aligned."""
    lines = [f"network {network.target}"]
    tables: tuple[tuple[str, Iterable[tuple[str, ...]]], ...] = (
        ("indices", _indices(network)),
        ("windows", map(_window, network.windows)),
        ("inputs", ((each.written, lengths_text(each.axes)) for each in network.inputs)),
        ("parameters", map(_parameter, network.parameters)),
        ("tensors", ((t.name, legs_text(t.axes), _source(t)) for t in network.tensors)),
        ("biases", ((bias.parameter, legs_text(bias.axes)) for bias in network.biases)),
        ("output", [(network.output.written,)]),
    )
    for heading, cells in tables:
        if rows := list(cells):
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            lines += ["", f"{heading}:"]
            for row in rows:
                padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
                lines.append(f"  {'  '.join(padded)}".rstrip())
    return "\n".join(lines) + "\n"


def _indices(network: TensorNetwork) -> Iterator[tuple[str, ...]]:
    ends: dict[str, list[str]] = {index.name: [] for index in network.indices}
    carriers: list[Tensor | Output] = [*network.tensors, network.output]
    for each in carriers:
        for leg in each.legs:
            ends[leg].append(each.name)
    for index in network.indices:
        size = "run time" if index.size is None else str(index.size)
        if index.usual is not None:
            size += f", usually {index.usual}"
        yield index.kind, index.name, size, " ".join(ends[index.name])


def _window(window: Window) -> tuple[str, ...]:
    """All its numbers, as `conv` takes them."""
    padding = f"[{window.left}, {window.right}]"
    numbers = f"size = {window.size}, stride = {window.stride}, padding = {padding}"
    rest = f"dilation = {window.dilation}, mode = {window.mode}"
    if window.transposed:
        rest += f", extra = {window.extra}"
    return window.name, f"conv({numbers}, {rest})", "transposed" if window.transposed else ""


def lengths_text(axes: Iterable[Axis]) -> str:
    """What `forward` sees along each axis: `[..., 12]`, or the range of the ids."""
    lengths: list[str] = []
    ids = ""
    for axis in axes:
        if axis.kind == "onehot":
            ids = f" of ids below {axis.length}"
        else:  # `...` is the name of its index
            lengths.append(axis.indices[0] if axis.length is None else str(axis.length))
    return f"[{', '.join(lengths)}]{ids}"


def _parameter(parameter: Parameter) -> tuple[str, ...]:
    shape = " x ".join(map(str, parameter.shape)) or "scalar"
    init = parameter.init
    argument = "" if init.argument is None else f"({init.argument:g})"
    attributes = ["frozen"] * parameter.frozen + ["complex"] * parameter.complex
    return parameter.key, shape, f"init {init.scheme}{argument}", " ".join(attributes)


def _source(tensor: Tensor) -> str:
    return f"{tensor.role} {tensor.source}" + (" conjugated" if tensor.conjugate else "")


def legs_text(axes: tuple[tuple[str, ...], ...]) -> str:
    """`i, (a b)`: groups in parentheses."""
    return ", ".join(axis[0] if len(axis) == 1 else f"({' '.join(axis)})" for axis in axes)
