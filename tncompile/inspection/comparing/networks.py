"""What differs between two networks: tensors, indices, inputs and outputs by name.

Where things were written, and in which order, is no difference, apart from the order of inputs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from tncompile.inspection.comparing.changes import (
    NONE,
    Change,
    Record,
    changes_of,
    order_change,
    shape_text,
    yes_or_no,
)
from tncompile.network.model import Axis, Input, Parameter, Tensor, TensorNetwork
from tncompile.network.printer import legs_text, lengths_text
from tncompile.network.windows import Window

RUN_TIME = "known at run time"


def network_changes(first: TensorNetwork, second: TensorNetwork) -> tuple[Change, ...]:
    """All differences, inputs and the output first."""
    return (
        *changes_of(_inputs(first), _inputs(second)),
        *order_change("input", *([each.name for each in of.inputs] for of in (first, second))),
        *_slices(first, second),
        *changes_of({"": _output(first)}, {"": _output(second)}),
        *changes_of(_indices(first), _indices(second)),
        *changes_of(_windows(first), _windows(second)),
        *changes_of(_tensors(first), _tensors(second)),
        *changes_of(_biases(first), _biases(second)),
        *changes_of({"": _whole(first)}, {"": _whole(second)}),
    )


def input_shapes(network: TensorNetwork) -> dict[str, str]:
    """What `forward` takes, by name: `(..., 32)`."""
    return {each.name: axes_text(each.axes) for each in network.inputs}


def axes_text(axes: Iterable[Axis]) -> str:
    """A shape as models write it: `(..., 32)`."""
    lengths, _, ids = lengths_text(axes).removeprefix("[").rpartition("]")
    return f"({lengths}){ids}"


def _whole(network: TensorNetwork) -> Record:
    return Record("block", "", {"channels last": yes_or_no(network.channels_last)})


def _inputs(network: TensorNetwork) -> dict[str, Record]:
    return {each.name: _input(each) for each in network.inputs}


def _input(given: Input) -> Record:
    shape = axes_text(given.axes)
    return Record("input", shape, {"shape": shape, "legs": _legs(given.axes)})


def _legs(axes: Iterable[Axis]) -> str:
    """The indices of each axis, and what is special about it."""
    words = []
    for axis in axes:
        legs = legs_text((axis.indices,)) if axis.indices else ""
        padded = axis.width is not None and axis.width != axis.size
        size = f"{axis.width} of {axis.size}" if padded else ""
        kind = "" if axis.kind in ("legs", "dots") else axis.kind
        words.append(" ".join(filter(None, (kind, legs, size))))
    return ", ".join(words)


def _slices(first: TensorNetwork, second: TensorNetwork) -> Iterator[Change]:
    """Slices of inputs that both have; which there are is in the shapes."""
    one, other = (
        {
            tensor.name: Record("input", "", {"legs": legs_text(tensor.axes)})
            for tensor in network.tensors
            if tensor.role == "input" and tensor.position
        }
        for network in (first, second)
    )
    shared = one.keys() & other.keys()
    yield from changes_of(
        {name: record for name, record in one.items() if name in shared},
        {name: record for name, record in other.items() if name in shared},
    )


def _output(network: TensorNetwork) -> Record:
    output = network.output
    shape = axes_text(output.axes)
    aspects = {
        "shape": shape,
        "legs": _legs(output.axes),
        "name": output.name,
        "gives": "sign and logarithm" if output.log else "the value",
    }
    return Record("output", shape, aspects)


def _indices(network: TensorNetwork) -> dict[str, Record]:
    """Those of windows and `...` are in the windows and in the shapes."""
    found = {}
    for index in network.indices:
        if index.kind == "dots" or index.kind == "window" or index.kind == "kernel":
            continue  # which mypy reads off comparisons alone
        size = RUN_TIME if index.size is None else f"{index.size:,}"
        usual = NONE if index.usual is None else f"{index.usual:,}"
        words = size if index.size is None else f"size {size}"
        aspects = {"size": size, "kind": index.kind, "usual size": usual}
        found[index.name] = Record(index.kind, words, aspects)
    return found


def _windows(network: TensorNetwork) -> dict[str, Record]:
    return {window.name: _window(window) for window in network.windows}


def _window(window: Window) -> Record:
    aspects = {
        "size": f"{window.size:,}",
        "stride": f"{window.stride:,}",
        "dilation": f"{window.dilation:,}",
        "padding": f"{window.left:,} and {window.right:,}",
        "mode": window.mode,
        "transposed": yes_or_no(window.transposed),
        "extra": f"{window.extra:,}",
    }
    return Record("window", f"size {window.size:,}, stride {window.stride:,}", aspects)


def _tensors(network: TensorNetwork) -> dict[str, Record]:
    """Tensors but inputs, each with the parameter that it is."""
    uses = Counter(tensor.source for tensor in network.tensors if tensor.role == "parameter")
    return {
        tensor.name: _tensor(network, tensor, uses[tensor.source])
        for tensor in network.tensors
        if tensor.role != "input"
    }


def _tensor(network: TensorNetwork, tensor: Tensor, uses: int) -> Record:
    legs = legs_text(tensor.axes)
    parameter = network.parameter.get(tensor.source)
    if parameter is None:  # a mask
        return Record("tensor", legs, {"legs": legs, "ones": tensor.source})
    aspects = {
        "legs": legs,
        "parameter": f"{parameter.key} (shared)" if uses > 1 else parameter.key,
        "conjugated": yes_or_no(tensor.conjugate),
        **_parameter(parameter),
    }
    return Record("tensor", aspects["shape"], aspects)


def _parameter(parameter: Parameter) -> dict[str, str]:
    return {
        "shape": shape_text(parameter.shape),
        "init": init_text(parameter.init.scheme, parameter.init.argument),
        "frozen": yes_or_no(parameter.frozen),
        "complex": yes_or_no(parameter.complex),
    }


def init_text(scheme: str, argument: float | None) -> str:
    """How a parameter starts, to the last digit.

    >>> init_text("normal", 0.02), init_text("zeros", None)
    ('normal(0.02)', 'zeros')
    """
    return scheme if argument is None else f"{scheme}({argument!r})"


def _biases(network: TensorNetwork) -> dict[str, Record]:
    found = {}
    for bias in network.biases:
        aspects = {"legs": legs_text(bias.axes), **_parameter(network.parameter[bias.parameter])}
        found[bias.parameter] = Record("bias", aspects["shape"], aspects)
    return found
