"""The network that is to replace each layer, checked against its weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torch import nn

from tncompile.architecture import Architecture
from tncompile.blocks import Block
from tncompile.choosing import open_ranks
from tncompile.converting import completed
from tncompile.language.diagnostics.collector import Problems, problem
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.instantiating.rewrites import call_arguments, instantiate_call
from tncompile.language.linked import LinkedBlock, LinkedProgram
from tncompile.language.resolved import Value
from tncompile.language.resolving.arguments import Matched, called_name
from tncompile.language.syntax import tree
from tncompile.network.features import features
from tncompile.planning.request import CallOptions, options_of_call
from tncompile.spec import instantiated
from tncompile.tensorizing.fitting.products.product import weight_axes
from tncompile.tensorizing.fitting.products.target import weight_shapes, written_shape
from tncompile.tensorizing.rewriting.layers import Layer
from tncompile.tensorizing.rewriting.matching import match
from tncompile.tensorizing.rewriting.rewrite import Line, Rewrite, shown

_SETTINGS = ("stride", "padding", "dilation", "groups", "padding_mode")


@dataclass(frozen=True, eq=False)
class Replacement:
    """A layer and what replaces it.

    `block` with `arguments` is the network; where ranks are left to a tolerance, `architecture` is
    what it is with the ranks that the block has by itself. `definition` is the text behind it.
    `call` are the rows and lengths that it is planned for, where something is known of them.
    """

    layer: Layer
    line: Line
    block: Block
    arguments: Mapping[str, object] = field(repr=False)
    architecture: Architecture
    definition: tree.Block = field(repr=False)
    open_ranks: bool
    call: tuple[int, ...] | None = None

    def planned(self, architecture: Architecture) -> CallOptions:
        """What its plan is asked for. Raises ValueError for the call of another kind of layer."""
        return options_of_call(architecture._map, self.call)


def replacements(rewrite: Rewrite, model: nn.Module) -> tuple[list[Replacement], list[Layer]]:
    """What is replaced, and the layers that lines keep, in the order of the model.

    Raises `CompileError`: TN701 for patterns that match nothing, TN702 for networks that do not fit
    the weight they are for, and what else is wrong with the calls.
    """
    networks = _Networks(rewrite._linked)
    problems = Problems()
    made: list[Replacement] = []
    kept: list[Layer] = []
    for layer, line in match(rewrite, model):
        if line.rule.target is None:
            kept.append(layer)
            continue
        try:
            found = networks.replacement(layer, line, line.rule.target)
        except CompileError as error:
            problems.extend(error.diagnostics)
            continue
        problems.extend(_misfits(found, line.rule.target))
        made.append(found)
    problems.raise_errors()
    return made, kept


class _Networks:
    """The networks of calls; equal ones are one architecture, which is compiled once."""

    def __init__(self, linked: LinkedProgram) -> None:
        self.linked = linked
        self._made: dict[tuple[int, str, tuple[tuple[str, Value], ...]], Architecture] = {}

    def replacement(self, layer: Layer, line: Line, call: tree.Call) -> Replacement:
        """What a line makes of a layer."""
        function = called_name(call)
        assert function is not None
        linked = self.linked.blocks[function.name.text]
        matched = call_arguments(call, linked, line.kind, layer.values)
        assert isinstance(linked.definition, tree.Block)

        def make(name: str, **filled: object) -> Architecture:
            return self._architecture(call, linked, matched, filled)

        block = Block(linked.name, linked.kind, linked.parameters, linked.doc, make)
        given = {name: argument.value for name, argument in matched.arguments.items()}
        arguments: Mapping[str, object] = {}
        if linked.arguments is None:
            try:
                arguments = _completed(layer, block, given)
            except ValueError as error:
                raise CompileError((_misfit(layer, line, call, str(error)),)) from None
        ranks = bool(open_ranks(block, given)) and layer.kind != "parameter"
        architecture = block.instantiate(**arguments)
        return Replacement(
            layer, line, block, arguments, architecture, linked.definition, open_ranks=ranks
        )

    def _architecture(
        self, call: tree.Call, block: LinkedBlock, matched: Matched, filled: Mapping[str, object]
    ) -> Architecture:
        resolved = instantiate_call(call, block, matched, filled)
        values = tuple(sorted(resolved.values.items()))
        key = id(block.definition), block.name, values
        if key not in self._made:
            self._made[key] = instantiated(resolved, self.linked)
        return self._made[key]


def _completed(layer: Layer, block: Block, given: Mapping[str, object]) -> Mapping[str, object]:
    if layer.kind != "parameter":
        return completed(layer.dense(), block, given)
    known = {parameter.name for parameter in block.parameters}
    return {"with_bias": False, **given} if "with_bias" in known else given


def _misfits(found: Replacement, call: tree.Call) -> Iterator[Diagnostic]:
    """TN702 where the network is another map than the layer, whatever its parameters are."""
    layer, line = found.layer, found.line
    try:
        network = found.architecture._map
        axes = weight_axes(network)
    except ValueError as error:
        yield _misfit(layer, line, call, str(error))
        return
    if len(network.inputs) > 1:
        words = "the network has several inputs, the layer has one"
        yield _misfit(layer, line, call, words)
        return
    shape = layer.shape[::-1] if layer.kind == "conv1d" else layer.shape
    shapes = weight_shapes(axes)
    if shape not in shapes:
        own, other = written_shape(layer.shape), written_shape(shapes[0])
        words = (
            f"the network is {other}, the weight of `{shown(layer.name)}` is {written_shape(shape)}"
        )
        transposed = " (transposed)" if layer.kind == "conv1d" else ""
        yield _misfit(layer, line, call, words, f"network: {other}", f"weight: {own}{transposed}")
        return
    maps = features(network)
    kind = {"conv1d": "linear"}.get(layer.kind, layer.kind)
    if layer.module is None:
        if network.biases:
            yield _misfit(layer, line, call, "a raw parameter has no bias, the network has one")
        return
    if maps is None or maps.kind != kind:
        words = (
            f"the network is no map like `{shown(layer.name)}`, which is a layer of `{kind}` kind"
        )
        yield _misfit(layer, line, call, words)
        return
    if layer.bias_holders:
        other = shown(layer.bias_holders[0][0])
        yield _misfit(layer, line, call, f"its bias is shared with `{other}`: it would be no more")
    bias = getattr(layer.module, "bias", None) is not None
    if bias != bool(network.biases):
        has, lacks = ("layer", "network") if bias else ("network", "layer")
        words = f"the {has} has a bias, the {lacks} has none"
        yield _misfit(layer, line, call, words)
    if kind == "conv":
        for name in _SETTINGS:
            ours, theirs = _setting(layer.module, name), maps.sizes.get(name)
            if theirs is not None and ours != theirs:
                words = f"`{name}` is {ours} in `{shown(layer.name)}`, and {theirs} in the network"
                yield _misfit(layer, line, call, words)


def _setting(conv: nn.Module, name: str) -> object:
    """A setting of a convolution as emitted classes have it."""
    value = getattr(conv, name)
    if name == "padding" and isinstance(value, str):
        assert isinstance(conv, nn.Conv1d | nn.Conv2d | nn.Conv3d)
        reach = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
        return tuple(each // 2 if value == "same" else 0 for each in reach)
    return value


def _misfit(
    layer: Layer,
    line: Line,
    call: tree.Call,
    words: str,
    label: str = "does not fit",
    other: str = "",
) -> Diagnostic:
    message = words if words.startswith(("the ", "`", "a ")) else f"`{shown(layer.name)}`: {words}"
    note = f"the line is for `{shown(layer.name)}` ({layer.kind}, {written_shape(layer.shape)})"
    hint = "give the network the sizes of the layer, or keep this layer by a line above"
    matched = Label(line.rule.pattern.span, other or "matched by this")
    return problem(Code.WEIGHT_MISFIT, message, call.span, label, note, hint, matched)
