"""What tools look for on a layer of `torch.nn`: numbers of features, the dense weight, the bias."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tncompile.emission.naming import Members, Names
from tncompile.emission.operations import Scope
from tncompile.emission.statements import write_steps
from tncompile.emission.writer import WIDTH, call, indented
from tncompile.lowering.operations import MatMul
from tncompile.lowering.program import TensorProgram
from tncompile.network.features import Features, WeightNetwork
from tncompile.network.model import Bias, TensorNetwork

INDENT = 8

LAYERS = {"linear": "nn.Linear", "bilinear": "nn.Bilinear", "embedding": "nn.Embedding"}

MakeProgram = Callable[[TensorNetwork], TensorProgram | None]
"""Plans and lowers a network without inputs."""


@dataclass(frozen=True)
class Properties:
    """What an emitted class has in common with a layer of torch.

    `weight` is the program of the dense weight, if it has one, and the network behind it; `taken`
    are names of tensors, which nothing else may have.
    """

    network: TensorNetwork
    layer: Features
    taken: frozenset[str]
    weight: tuple[WeightNetwork, TensorProgram] | None

    @property
    def sizes(self) -> dict[str, int]:
        """The attributes that say how many features there are."""
        return {name: n for name, n in self.layer.sizes.items() if name not in self.taken}


def write_sizes(made: Properties | None) -> list[str]:
    """The numbers of features, as attributes of the class."""
    return [] if made is None else [f"{name}: int = {size}" for name, size in made.sizes.items()]


def layer_text(made: Properties) -> str:
    """What `print` says of a layer: `in_features=32, out_features=16, bias=True`."""
    parts = [f"{name}={size}" for name, size in made.layer.sizes.items()]
    if made.layer.kind != "embedding":
        parts.append(f"bias={bool(made.network.biases)}")
    return ", ".join(parts)


def write_properties(
    made: Properties | None, members: Members, biases: tuple[Bias, ...] | None
) -> list[list[str]]:
    """The properties `weight` and `bias`, unless tensors are called so.

    `biases` are the members that are added to the output; None where they are not known apart.
    """
    if made is None:
        return []
    methods: list[list[str]] = []
    if made.weight is not None and "weight" not in made.taken:
        methods.append(_weight(made, *made.weight, members))
    if made.layer.kind != "embedding" and biases is not None and "bias" not in made.taken:
        methods.append(_bias(made, biases, members))
    return methods


# ── weight ─────────────────────────────────────────────────────────────────────────────────────


def _weight(
    made: Properties, weight: WeightNetwork, program: TensorProgram, members: Members
) -> list[str]:
    """The method that contracts the parameters alone, in their own dtype."""
    names = Names(["self", "kind"])
    like = members.read(weight.network.parameters[0].key)
    products = any(isinstance(step.operation, MatMul) for step in program.steps)
    scope = Scope(names, members, {}, {}, f"{like}.dtype", f"{like}.device")
    written = write_steps(program, scope, indent=INDENT + 4 * products)
    lines = without_autocast(list(written.lines), like, products)
    result = written.result
    if weight.diagonal:
        lines += _on_diagonal(made, weight, names, result, like)
    else:
        lines.append(f"return {result}")
    shape = "x".join(map(str, made.layer.shape))
    kind = LAYERS[made.layer.kind]
    doc = f'"""The dense map, {shape} as in {kind}: contracted whenever it is read."""'
    return ["@property", "def weight(self) -> Tensor:", *indented([doc, *lines])]


def without_autocast(lines: list[str], tensor: str, products: bool) -> list[str]:
    """Products in the dtype of the parameters, also where autocast is on."""
    if not products:
        return lines
    kind = f'"cpu" if {tensor}.is_meta else {tensor}.device.type'
    return [f"kind = {kind}", "with torch.autocast(kind, enabled=False):", *indented(lines)]


def _on_diagonal(
    made: Properties, weight: WeightNetwork, names: Names, result: str, like: str
) -> list[str]:
    """The weight that is zero where an index on several of its axes differs."""
    sizes = {index.name: index.size or 0 for index in made.network.indices}
    carried = set(weight.network.output.legs)
    legs = [leg for axis in made.layer.axes for leg in axis.indices]
    first = {leg: legs.index(leg) for leg in legs}
    kept = [sizes[leg] if leg in carried and first[leg] == k else 1 for k, leg in enumerate(legs)]
    t = names.fresh("t")
    lines = call(f"{t} = {result}.reshape(", _texts(kept), indent=INDENT)
    for place, leg in enumerate(legs):
        if first[leg] == place:
            continue
        spread = [sizes[leg] if k in (first[leg], place) else 1 for k in range(len(legs))]
        eye = f"torch.eye({sizes[leg]}, dtype={like}.dtype, device={like}.device)"
        lines += call(f"{t} = {t} * {eye}.reshape(", _texts(spread), indent=INDENT)
    whole = [math.prod(sizes[leg] for leg in axis.indices) for axis in made.layer.axes]
    cut = [":" if n == m else f":{n}" for n, m in zip(made.layer.shape, whole, strict=True)]
    behind = f")[{', '.join(cut)}]" if set(cut) != {":"} else ")"
    return lines + call(f"return {t}.reshape(", _texts(whole), behind, indent=INDENT)


def _texts(numbers: Sequence[int]) -> list[str]:
    return [str(number) for number in numbers]


# ── bias ───────────────────────────────────────────────────────────────────────────────────────


def _bias(made: Properties, biases: tuple[Bias, ...], members: Members) -> list[str]:
    """The method that gives what is added, along the one axis of the output."""
    if not biases:
        head = ["@property", "def bias(self) -> None:"]
        return [*head, *indented(['"""There is none."""', "return None"])]
    axis = made.layer.axes[0]
    names = Names(["self"])
    lines: list[str] = []
    texts: list[str] = []
    for bias in biases:
        steps = _along(made, bias, members)
        head = members.read(bias.parameter)
        flat = head + "".join(f".{name}({', '.join(items)})" for name, items in steps)
        if len(biases) == 1 and len(flat) + INDENT + len("return [:1234567]") <= WIDTH:
            texts.append(flat)
            continue
        t = names.fresh("t")
        lines.append(f"{t} = {head}")
        for name, items in steps:
            lines += call(f"{t} = {t}.{name}(", items, indent=INDENT)
        texts.append(t)
    text = " + ".join(texts)
    if axis.width is not None and axis.width != axis.size:
        text = f"({text})" if len(texts) > 1 else text
        text += f"[:{axis.width}]"
    doc = '"""What is added to the output, as one axis."""'
    return ["@property", "def bias(self) -> Tensor:", *indented([doc, *lines, f"return {text}"])]


def _along(made: Properties, bias: Bias, members: Members) -> list[tuple[str, list[str]]]:
    """The views and copies that turn one bias into a vector, as method and arguments."""
    sizes = {index.name: index.size or 0 for index in made.network.indices}
    out = made.layer.axes[0].indices
    legs = [leg for axis in bias.axes for leg in axis]
    order = [legs.index(leg) for leg in out if leg in legs]
    whole = math.prod(sizes[leg] for leg in out)
    shape = members.by_key[bias.parameter].shape
    steps: list[tuple[str, list[str]]] = []
    if order != sorted(order):
        split = [sizes[leg] for leg in legs]
        steps += [("reshape", _texts(split))] if tuple(split) != shape else []
        steps.append(("permute", _texts(order)))
        shape = tuple(split[k] for k in order)
    if len(legs) < len(out):
        steps.append(("reshape", [str(sizes[leg] if leg in legs else 1) for leg in out]))
        steps.append(("expand", _texts([sizes[leg] for leg in out])))
        shape = tuple(sizes[leg] for leg in out)
    return steps if shape == (whole,) else [*steps, ("reshape", [str(whole)])]
