"""`fold` and the class that it makes: a module for inference, its merged parameters in buffers."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace

from tncompile.emission.module import properties as layers
from tncompile.emission.module.constructor import write_conversion
from tncompile.emission.module.contraction_order import size_names, write_order
from tncompile.emission.module.dispatch import Dispatch, Option, dispatch, planned
from tncompile.emission.module.docstrings import ROOM, shape_text, table
from tncompile.emission.module.forward import like, needs_like, write_forward
from tncompile.emission.module.properties import MakeProgram, Properties
from tncompile.emission.steps.expressions import Scope
from tncompile.emission.steps.statements import write_steps
from tncompile.emission.text import writer
from tncompile.emission.text.identifiers import Names, hidden
from tncompile.emission.text.members import ParameterAccess
from tncompile.emission.text.writer import INDENT, WIDTH, docstring, string
from tncompile.network.features import DENSE_LIMIT, Features, WeightNetwork, weight_network
from tncompile.network.model import Bias, Init, Parameter, Tensor, TensorNetwork
from tncompile.program.folding import Buffer, Folding, fold
from tncompile.program.operation import parameter_keys
from tncompile.program.program import TensorProgram
from tncompile.program.rewriting import straightened, without_hooks
from tncompile.program.variants import Branch

LISTED = 24
"""Buffers that the docstring lists."""


@dataclass(frozen=True)
class Folded:
    """What is emitted of a folded module; `members` are its buffers as emitted code reads them."""

    class_name: str
    folding: Folding
    chosen: Dispatch
    members: ParameterAccess
    bare: bool  # whether nothing else says which dtype results have
    properties: Properties | None


def folded(
    network: TensorNetwork,
    name: str,
    branches: tuple[Branch, ...],
    batch: int,
    layer: Features | None,
    make_program: MakeProgram,
) -> Folded:
    """The folded twin of class `name`; under compilers it runs the branch for this batch."""
    last = next((b for b in branches if b.up_to is None or batch <= b.up_to), branches[-1])
    straight = straightened(without_hooks(last.program))
    options = (Option(straight, straight), *planned(branches))
    names = Names(["self", "batch_invariant"])
    folding = fold(
        tuple(option.program for option in options),
        tuple(parameter.key for parameter in network.parameters),
        lambda read, logarithm: _buffer_name(names, read, logarithm=logarithm),
    )
    whole, *others = (
        replace(option, program=program)
        for option, program in zip(options, folding.remainders, strict=True)
    )
    buffers = (
        Parameter(
            key=buffer.name,
            family=buffer.name,
            axes=buffer.value.axes,
            shape=tuple(extent.factor for extent in buffer.value.shape),
            init=Init(scheme="zeros"),
            frozen=True,
            complex=bool(buffer.value.complex),
            written=buffer.name,
        )
        for buffer in folding.buffers
    )
    members = ParameterAccess(tuple(buffers))
    chosen = dispatch(network, whole, others, others)
    bare = needs_like(network, members)
    properties = None
    if layer is not None:
        properties = _properties(network, layer, folding, members, make_program)
    return Folded(f"{name}Folded", folding, chosen, members, bare, properties)


def _buffer_name(names: Names, keys: tuple[str, ...], *, logarithm: bool) -> str:
    """A name for a buffer, from the parameters that it is computed from."""
    families = list(dict.fromkeys(key.split(".")[0] for key in keys))
    if len(keys) <= 2 and len(families) == 1:
        stem = "_".join([keys[0], *(key.split(".", 1)[1] for key in keys[1:])])
    elif len(families) == 1:
        stem = f"{keys[0]}_to_{keys[-1].split('.', 1)[1]}"
    elif families:
        stem = "_".join(keys) if len(keys) <= 3 else "merged"
    else:
        stem = "constant"
    stem = f"log_{stem}" if logarithm else stem
    while hidden(name := names.fresh(stem)):
        stem = f"{stem}_"
    return name


def _properties(
    network: TensorNetwork,
    layer: Features,
    folding: Folding,
    members: ParameterAccess,
    make_program: MakeProgram,
) -> Properties:
    """What the class has in common with a layer of torch: made of buffers, or asked of it."""
    reserved = frozenset(members.by_key)
    reserved |= {parameter.family for parameter in network.parameters}
    straight = folding.remainders[0]
    read = {key for step in straight.steps for key in parameter_keys(step.operation)}
    added = {bias.parameter for bias in network.biases}
    factors: list[Parameter] = []
    summands: list[Buffer] = []
    for buffer in folding.buffers:
        if buffer.name in read and not added.issuperset(buffer.keys):
            factors.append(members.by_key[buffer.name])
        elif buffer.name in read and buffer.keys:
            summands.append(buffer)
    biases = _biases(network, summands, members)
    weight = None if biases is None else _weight(network, layer, tuple(factors), make_program)
    probed = bool(factors) and math.prod(layer.shape) <= DENSE_LIMIT
    return Properties(network, layer, reserved, weight, biases, probed=probed)


def _biases(
    network: TensorNetwork, buffers: list[Buffer], members: ParameterAccess
) -> tuple[Bias, ...] | None:
    """The biases as buffers have them; None where buffers are more or less than those."""
    keys = sorted(key for buffer in buffers for key in buffer.keys)
    if keys != sorted(bias.parameter for bias in network.biases):
        return None
    sizes = {index.name: index.size or 0 for index in network.indices}
    biases = tuple(Bias(parameter=buffer.name, axes=buffer.value.axes) for buffer in buffers)
    for bias in biases:
        if any(leg not in network.output.legs for axis in bias.axes for leg in axis):
            return None
        shape = tuple(math.prod(sizes[leg] for leg in axis) for axis in bias.axes)
        if members.by_key[bias.parameter].shape != shape:
            return None
    return biases


def _weight(
    network: TensorNetwork,
    layer: Features,
    factors: tuple[Parameter, ...],
    make_program: MakeProgram,
) -> tuple[WeightNetwork, TensorProgram] | None:
    """The weight as the product of buffers; None where that is not what they are.

    A parameter that is used more than once can be a buffer that stands for several factors.
    """
    uses = Counter(tensor.source for tensor in network.tensors if tensor.role == "parameter")
    if max(uses.values(), default=0) != 1:
        return None
    outer = {leg for axis in layer.axes for leg in axis.indices}
    ends = Counter(leg for factor in factors for axis in factor.axes for leg in axis)

    def left(axis: tuple[str, ...]) -> tuple[str, ...]:
        """Its indices; one of size 1 may have lost its other end."""
        return tuple(k for k in axis if k in outer or ends[k] > 1 or network.index[k].size != 1)

    tensors = tuple(
        Tensor(
            name=factor.key,
            role="parameter",
            source=factor.key,
            axes=tuple(map(left, factor.axes)),
        )
        for factor in factors
    )
    whole = weight_network(network, layer)
    part = weight_network(network, layer, factors, tensors)
    if whole is None or part is None:
        return None
    legs, others = (
        [leg for leg in each.network.output.legs if network.index[leg].size != 1]
        for each in (whole, part)
    )  # buffers have no indices of size 1
    if legs != others:
        return None
    program = make_program(part.network)
    return None if program is None else (part, program)


def write_fold(network: TensorNetwork, twin: Folded, members: ParameterAccess) -> list[str]:
    """The method, without indentation."""
    names = Names(["self", "kind"])
    tensor = like(network, members)
    scope = Scope(names, members, {}, {}, f"{tensor}.dtype", f"{tensor}.device")
    precomputed = twin.folding.precomputed
    products = any(step.operation.autocasts for step in precomputed.steps)
    written = write_steps(precomputed, scope, indent=INDENT + 4 * products, owned=False)
    texts = dict(zip(precomputed.returns, written.results, strict=True))
    arguments = [
        f"{buffer.name}={texts[buffer.value.name]}{'.clone()' if buffer.shared else ''}"
        for buffer in twin.folding.buffers
    ]
    arguments += ["batch_invariant=self.batch_invariant"] * twin.chosen.branching
    arguments += [f"like={tensor}.clone()"] * twin.bare
    doc = (
        "A module for inference: what depends on parameters alone is computed once, here.",
        "",
        "It holds copies: later changes of the parameters do not reach it.",
    )
    body = [
        *docstring(doc),
        *layers.without_autocast(list(written.lines), tensor, products),
        *writer.call(f"return {twin.class_name}(", arguments),
    ]
    method = writer.function("fold", ["self"], string(twin.class_name), body)
    return ["@torch.inference_mode(False)", "@torch.no_grad()", *method]


def write_folded_class(network: TensorNetwork, twin: Folded, name: str) -> list[str]:
    """The class, a module without parameters."""
    buffers = twin.folding.buffers
    attributes = [f"{buffer.name}: Tensor" for buffer in buffers]
    attributes += ["_like: Tensor"] * twin.bare + layers.write_sizes(twin.properties)
    members = twin.members.parameters
    sizes = ", ".join(f"{member.key} {shape_text(member.shape)}" for member in members[:4])
    more = f" and {len(buffers) - 4} more" if len(buffers) > 4 else ""
    ending = f"folded: {sizes}{more}" if buffers else "folded"
    logarithms = [buffer.name for buffer in buffers if buffer.logarithm]
    methods = [
        _init(twin),
        *write_conversion(twin.members),
        *layers.write_properties(twin.properties, twin.members),
        layers.write_repr(network, twin.properties, ending),
        *write_forward(network, twin.chosen, twin.members, logarithms=logarithms),
    ]
    body = [*_docstring(network, twin, name), *(["", *attributes] if attributes else [])]
    return writer.class_(f"{twin.class_name}(nn.Module)", body, methods)


def _docstring(network: TensorNetwork, twin: Folded, name: str) -> list[str]:
    """What it is, which buffers it has and what they are made of, a line each."""
    lines = [f"{name} for inference, made by its method `fold`: parameters merged in advance."]
    if buffers := twin.folding.buffers:
        lines += ["", "Buffers, by key in the state dict, and what they are made of:"]
        rows: list[tuple[str, str, str]] = []
        for buffer in buffers[:LISTED]:
            keys = list(buffer.keys)
            keys = keys if len(keys) <= 6 else [*keys[:3], f"… {keys[-1]}"]
            shape = shape_text(twin.members.by_key[buffer.name].shape)
            rows.append((buffer.name, shape, ", ".join(keys)))
        lines += table(rows)
        lines += [f"    … and {len(buffers) - LISTED} more"] * (len(buffers) > LISTED)
    if not twin.chosen.branching:
        order = write_order(twin.chosen.methods[0], size_names(network), ROOM)
        lines += ["", *order] if order else []
    return docstring([line[:ROOM] for line in lines])


def _init(twin: Folded) -> list[str]:
    """The method: it takes the buffers by name, one by one unless they are many."""
    buffers = twin.folding.buffers
    many = len(buffers) > LISTED
    named = [] if many else [f"{buffer.name}: Tensor" for buffer in buffers]
    body = ["super().__init__()"]
    if twin.chosen.branching:
        named.append("batch_invariant: bool = False")
        body.append("self.batch_invariant = batch_invariant")
    named += ["like: Tensor"] * twin.bare
    if many:
        body.append("for name, tensor in buffers.items():")
        body.append("    self.register_buffer(name, tensor)")
    for buffer in () if many else buffers:
        text = f"self.register_buffer({string(buffer.name)}, {buffer.name})"
        legs = ", ".join(" ".join(axis) or "1" for axis in buffer.value.axes)
        body += writer.statement(text, legs if len(legs) < WIDTH // 2 else "")
    body += ['self.register_buffer("_like", like, persistent=False)'] * twin.bare
    parameters = ["self", *["*"] * bool(named), *named, *["**buffers: Tensor"] * many]
    return writer.function("__init__", parameters, "None", body)
