"""The text of a tensor network: tables of what it is made of, in the order of declaration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tncompile.network.model import Init, TensorNetwork


def describe_network(network: TensorNetwork) -> str:
    """Its indices, inputs, parameters, tensors and output, one line each, columns aligned."""
    lines = [f"network {network.target}"]
    tables: tuple[tuple[str, Iterable[tuple[str, ...]]], ...] = (
        ("indices", _indices(network)),
        ("inputs", ((each.written, _lengths(network, each.name)) for each in network.inputs)),
        ("parameters", _parameters(network)),
        ("tensors", _tensors(network)),
        ("biases", ((bias.parameter, _legs(bias.axes)) for bias in network.biases)),
        ("output", [(network.output.written,)]),
    )
    for heading, cells in tables:
        if rows := list(cells):
            lines += ["", f"{heading}:", *_table(rows)]
    return "\n".join(lines) + "\n"


def _indices(network: TensorNetwork) -> Iterator[tuple[str, ...]]:
    ends: dict[str, list[str]] = {index.name: [] for index in network.indices}
    for tensor in network.tensors:
        for leg in tensor.legs:
            ends[leg].append(tensor.name)
    for leg in network.output.legs:
        ends[leg].append(network.output.name)
    for index in network.indices:
        size = "run time" if index.size is None else str(index.size)
        yield index.kind, index.name, size, " ".join(ends[index.name])


def _lengths(network: TensorNetwork, name: str) -> str:
    """What `forward` expects along each axis: `[..., 12]`, or the range of the ids."""
    lengths: list[str] = []
    ids = ""
    for axis in network.input[name].axes:
        match axis.kind:
            case "dots":
                lengths.append("...")
            case "onehot":
                ids = f" of ids below {axis.length}"
            case "legs" | "slices":
                name_or_length = axis.indices[0] if axis.length is None else str(axis.length)
                lengths.append(name_or_length)
    return f"[{', '.join(lengths)}]{ids}"


def _parameters(network: TensorNetwork) -> Iterator[tuple[str, ...]]:
    for parameter in network.parameters:
        shape = " x ".join(map(str, parameter.shape)) or "scalar"
        frozen = "frozen" if parameter.frozen else ""
        yield parameter.key, shape, f"init {_scheme(parameter.init)}", frozen


def _scheme(init: Init) -> str:
    return init.scheme if init.argument is None else f"{init.scheme}({init.argument:g})"


def _tensors(network: TensorNetwork) -> Iterator[tuple[str, ...]]:
    for tensor in network.tensors:
        source = f"{tensor.role} {tensor.source}" + (" conjugated" if tensor.conjugate else "")
        yield tensor.name, _legs(tensor.axes), source


def _legs(axes: tuple[tuple[str, ...], ...]) -> str:
    """`i, (a b)`: groups in parentheses."""
    return ", ".join(axis[0] if len(axis) == 1 else f"({' '.join(axis)})" for axis in axes)


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows indented by two, each column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        ("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
        .rstrip()
        for row in rows
    ]  # fmt: skip
