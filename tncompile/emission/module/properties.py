"""What tools look for on a layer of `torch.nn`: numbers of features, the dense weight, the bias."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tncompile.emission.module.forward import given_text, shapes_text
from tncompile.emission.module.probing import Probe
from tncompile.emission.steps.expressions import Scope
from tncompile.emission.steps.statements import write_steps
from tncompile.emission.text.identifiers import Names
from tncompile.emission.text.members import ParameterAccess
from tncompile.emission.text.writer import (
    INDENT,
    call,
    docstring,
    function,
    indented,
    string,
    string_lines,
)
from tncompile.network.features import Features, Setting, WeightNetwork
from tncompile.network.model import Bias, TensorNetwork
from tncompile.program.program import TensorProgram

LONGEST = 60
"""Characters of a bias that is made along one line."""

LAYERS = {
    "linear": "nn.Linear",
    "bilinear": "nn.Bilinear",
    "embedding": "nn.Embedding",
    "conv": "nn.Conv{}d",
    "conv_transpose": "nn.ConvTranspose{}d",
}

DEFAULTS: dict[str, Setting] = {
    "padding": 0,
    "dilation": 1,
    "output_padding": 0,
    "groups": 1,
    "padding_mode": "zeros",
}
"""What `print` leaves out, as torch does; such a number for each window."""

MakeProgram = Callable[[TensorNetwork], TensorProgram | None]
"""Plans and lowers a network without inputs."""


@dataclass(frozen=True)
class Properties:
    """What an emitted class has in common with a layer of torch.

    `weight` is the program of the dense weight, if it has one, and the network behind it; one that
    is `probed` is what `forward` makes of unit vectors. `reserved` are names of tensors, which
    nothing else may have; `biases` are the tensors that are added to the output, None where they
    are not there as such.
    """

    network: TensorNetwork
    layer: Features
    reserved: frozenset[str]
    weight: tuple[WeightNetwork, TensorProgram] | None
    biases: tuple[Bias, ...] | None
    probed: bool = False


def write_sizes(properties: Properties | None) -> list[str]:
    """The numbers of features, as attributes of the class."""
    sizes = {} if properties is None else properties.layer.sizes
    reserved = frozenset() if properties is None else properties.reserved
    return [
        f"{name}: {_type(size)} = {_text(size)}"
        for name, size in sizes.items()
        if name not in reserved
    ]


def _type(size: Setting) -> str:
    return "tuple[int, ...]" if isinstance(size, tuple) else type(size).__name__


def _text(size: Setting) -> str:
    return string(size) if isinstance(size, str) else str(size)


def _unusual(name: str, size: Setting) -> bool:
    """Whether `print` shows it."""
    default = DEFAULTS.get(name)
    return any(each != default for each in (size if isinstance(size, tuple) else (size,)))


def write_repr(network: TensorNetwork, properties: Properties | None, ending: str) -> list[str]:
    """The method behind `print(module)`: numbers of features or shapes, declarations, an ending."""
    if properties is None:
        parts = [shapes_text(network)]
    else:
        sizes = properties.layer.sizes.items()
        parts = [f"{name}={size}" for name, size in sizes if _unusual(name, size)]
        if properties.layer.kind != "embedding":
            parts.append(f"bias={bool(network.biases)}")
    arrow = f"{given_text(network)} -> " if network.inputs else ""
    text = f"{', '.join(parts)}, {arrow}{network.output.written}, {ending}"
    lines = string_lines(text, indent=INDENT + len("return "))
    if len(lines) > 1:
        lines = ["(", *indented(string_lines(text, indent=INDENT + 4)), ")"]
    return function("extra_repr", ["self"], "str", [f"return {lines[0]}", *lines[1:]])


def write_properties(properties: Properties | None, members: ParameterAccess) -> list[list[str]]:
    """The properties `weight` and `bias`, unless tensors are called so."""
    if properties is None:
        return []
    methods: list[list[str]] = []
    if "weight" not in properties.reserved:
        if properties.weight is not None:
            methods.append(_weight(properties, *properties.weight, members))
        elif properties.probed:
            methods.append(_probed_weight(properties, members))
    if "bias" not in properties.reserved and properties.layer.kind != "embedding":
        if properties.biases is not None:
            methods.append(_bias(properties, properties.biases, members))
        elif properties.probed:
            methods.append(_probed_bias(properties, members))
    return methods


def _weight(
    properties: Properties, weight: WeightNetwork, program: TensorProgram, members: ParameterAccess
) -> list[str]:
    """The method that contracts the parameters alone, in their own dtype."""
    names = Names(["self", "kind"])
    like = members.only(weight.network.parameters).real
    products = any(step.operation.autocasts for step in program.steps)
    scope = Scope(names, members, {}, {}, f"{like}.dtype", f"{like}.device")
    written = write_steps(program, scope, indent=INDENT + 4 * products)
    lines = without_autocast(list(written.lines), like, products)
    (result,) = written.results
    if weight.diagonal:
        lines += _on_diagonal(properties, weight, names, result, like)
    else:
        lines.append(f"return {result}")
    return _property("weight", [_weight_doc(properties, "contracted whenever it is read"), *lines])


def _property(name: str, body: list[str]) -> list[str]:
    return ["@property", *function(name, ["self"], "Tensor", body)]


def _weight_doc(properties: Properties, origin: str) -> str:
    shape = "x".join(map(str, properties.layer.shape))
    layer = LAYERS[properties.layer.kind].format(len(properties.layer.windows))
    (line,) = docstring([f"The dense map, {shape} as in {layer}: {origin}."])
    return line


def without_autocast(lines: list[str], tensor: str, products: bool) -> list[str]:
    """Products in the dtype of the parameters, also where autocast is on."""
    if not products:
        return lines
    kind = f'"cpu" if {tensor}.is_meta else {tensor}.device.type'
    return [f"kind = {kind}", "with torch.autocast(kind, enabled=False):", *indented(lines)]


def _on_diagonal(
    properties: Properties, weight: WeightNetwork, names: Names, result: str, like: str
) -> list[str]:
    """The weight that is zero where an index on several of its axes differs."""
    sizes = {index.name: index.size or 0 for index in properties.network.indices}
    carried = set(weight.network.output.legs)
    axes = properties.layer.axes
    legs = [leg for axis in axes for leg in axis.indices]
    first = {leg: legs.index(leg) for leg in legs}
    shape = [sizes[leg] if leg in carried and first[leg] == k else 1 for k, leg in enumerate(legs)]
    t = names.fresh("t")
    lines = call(f"{t} = {result}.reshape(", _texts(shape))
    for k, leg in enumerate(legs):
        if first[leg] == k:
            continue
        spread = [sizes[leg] if j in (first[leg], k) else 1 for j in range(len(legs))]
        eye = f"torch.eye({sizes[leg]}, dtype={like}.dtype, device={like}.device)"
        lines += call(f"{t} = {t} * {eye}.reshape(", _texts(spread))
    whole = [math.prod(sizes[leg] for leg in axis.indices) for axis in axes]
    cut = [":" if n == m else f":{n}" for n, m in zip(properties.layer.shape, whole, strict=True)]
    tail = f")[{', '.join(cut)}]" if set(cut) != {":"} else ")"
    return lines + call(f"return {t}.reshape(", _texts(whole), tail)


def _texts(numbers: Sequence[int]) -> list[str]:
    return [str(number) for number in numbers]


BIAS = '"""What is added to the output, as one axis."""'


def _bias(properties: Properties, biases: tuple[Bias, ...], members: ParameterAccess) -> list[str]:
    """The method that gives what is added, along the one axis of the output."""
    if not biases:
        body = ['"""There is none."""', "return None"]
        return ["@property", *function("bias", ["self"], "None", body)]
    axis = properties.layer.output
    names = Names(["self"])
    lines: list[str] = []
    terms: list[str] = []
    for bias in biases:
        steps = _along(properties, bias, members)
        tensor = members.read(bias.parameter)
        text = tensor + "".join(f".{name}({', '.join(items)})" for name, items in steps)
        if len(biases) > 1 or len(text) > LONGEST:
            term = names.fresh("t")
            if len(text) <= LONGEST:
                lines.append(f"{term} = {text}")
            else:
                lines.append(f"{term} = {tensor}")
                for name, items in steps:
                    lines += call(f"{term} = {term}.{name}(", items)
            text = term
        terms.append(text)
    text = " + ".join(terms)
    if axis.width is not None and axis.width != axis.size:
        text = f"({text})[:{axis.width}]" if len(terms) > 1 else f"{text}[:{axis.width}]"
    return _property("bias", [BIAS, *lines, f"return {text}"])


def _along(
    properties: Properties, bias: Bias, members: ParameterAccess
) -> list[tuple[str, list[str]]]:
    """The views and copies that turn one bias into a vector, as method and arguments."""
    sizes = {index.name: index.size or 0 for index in properties.network.indices}
    out = properties.layer.output.indices
    legs = [leg for axis in bias.axes for leg in axis]
    order = [legs.index(leg) for leg in out if leg in legs]
    shape = members.by_key[bias.parameter].shape
    steps: list[tuple[str, list[str]]] = []
    if order != sorted(order):
        split = [sizes[leg] for leg in legs]
        steps += [("reshape", _texts(split))] if tuple(split) != shape else []
        steps.append(("permute", _texts(order)))
        shape = tuple(split[k] for k in order)
    if len(legs) < len(out):
        steps.append(("reshape", [str(sizes[leg] if leg in legs else 1) for leg in out]))
        shape = tuple(sizes[leg] for leg in out)
        steps.append(("expand", _texts(shape)))
    whole = math.prod(sizes[leg] for leg in out)
    return steps if shape == (whole,) else [*steps, ("reshape", [str(whole)])]


def _probed_weight(properties: Properties, members: ParameterAccess) -> list[str]:
    """The method that takes the weight out of what `forward` makes of all unit vectors."""
    probe = _probe(properties, members)
    asked, result = probe.weight("self.bias" if properties.network.biases else None)
    lines = without_autocast(asked, probe.like, True)
    doc = _weight_doc(properties, "what unit vectors become")
    return _property("weight", [doc, *lines, f"return {result}"])


def _probed_bias(properties: Properties, members: ParameterAccess) -> list[str]:
    """The method that takes the bias out of what `forward` makes of zeros."""
    probe = _probe(properties, members)
    asked, result = probe.bias()
    lines = without_autocast(asked, probe.like, True)
    return _property("bias", [BIAS, *lines, f"return {result}"])


def _probe(properties: Properties, members: ParameterAccess) -> Probe:
    like = members.read(members.parameters[0].key)
    return Probe(properties.network, properties.layer, like)
