"""`forward` of the class of a model, and the method that computes its constants."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

from tncompile.emission.module.forward import without_unused
from tncompile.emission.text import writer
from tncompile.emission.text.identifiers import (
    MODULE_ATTRIBUTES,
    OWN_ATTRIBUTES,
    Names,
    hidden,
)
from tncompile.emission.text.writer import string
from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.model import Layer, Part, ResolvedModel
from tncompile.language.typing.operations import CallPart, Literal, Operation, Stored
from tncompile.language.typing.values import Value
from tncompile.models.contracting import SumOfProducts
from tncompile.models.emission.access import Access, parameter_name
from tncompile.models.emission.expressions import Text, as_tensor
from tncompile.models.emission.loops.repeats import write_operations
from tncompile.models.emission.methods.arguments import (
    Checked,
    SizeNames,
    argument_names,
    write_checks,
    write_requirements,
    written,
)
from tncompile.models.emission.methods.body import Body, Line, render
from tncompile.models.emission.methods.scope import Scope
from tncompile.models.emission.methods.types import return_tensor
from tncompile.models.emission.stepping.first import write_first
from tncompile.models.graph.constants import given_numbers, held_values, needed, precise
from tncompile.models.graph.hoisting import Splits
from tncompile.models.graph.numbers import is_number, picked_values
from tncompile.models.graph.sharing import share_products
from tncompile.network.packing import Codes, Quantization, is_large
from tncompile.planning.paths.problem import Path

CONSTANTS = "_set_constants"
"""The method that computes constants."""


@dataclass
class Forward:
    """The methods that compute, the helpers that they call, and what the class must have for them.

    `known` are the names of constants, `bare` says that an empty buffer `_like` has the module's
    dtype, `numbers` are those that the constructor is given, by parameter; `slices` are those of
    them that pick slices of networks.
    """

    method: list[str]
    constants: list[str]
    known: dict[Value, str]
    used: dict[str, None] = field(default_factory=dict)
    bare: bool = False
    numbers: dict[str, int] = field(default_factory=dict)
    slices: dict[Value, str] = field(default_factory=dict)

    @property
    def given(self) -> dict[Value, str]:
        """The numbers that pick slices, as methods have them."""
        return {
            value: f"_number(self, {string(name)}, {string(self.known[value])})"
            for value, name in self.slices.items()
        }

    @property
    def buffers(self) -> list[str]:
        """The names of constants, each once."""
        return list(dict.fromkeys(self.known.values()))


def write_forward(
    model: ResolvedModel,
    access: Access,
    reserved: Iterable[str],
    checked: Checked,
    splits: Splits,
    orders: Mapping[SumOfProducts, Path],
) -> Forward:
    """The methods; `reserved` are names of the file that no variable may hide."""
    live = needed(model.output)
    operations = [operation for operation in model.operations if operation in live]
    held = held_values(model, operations)
    slices = [value for operation in operations for value in picked_values(operation)]
    given = given_numbers(model, [*held, *slices]) if checked != "fully" else {}
    held = list(dict.fromkeys([*held, *(value for value in slices if value in given)]))
    attributes = Names(
        [*MODULE_ATTRIBUTES, *OWN_ATTRIBUTES, *access.families, *access.renamed.values()]
    )
    for tensor in model.tensors:
        attributes.exactly(tensor.family)
    forward = Forward([], [], _buffer_names(model, operations, held, given, attributes))
    forward.numbers = {name: int(str(model.values[name])) for name in given.values()}
    forward.slices = {value: given[value] for value in slices if value in given}
    names = Names(["self", "F", "math", "partial", "dtype", *reserved])
    handed = [names.exactly(parameter_name(name)) for name in model.handed]
    arguments = argument_names(model, names)
    bound = {size.name: names.fresh(size.name) for size in model.sizes}
    sizes = SizeNames(bound, names.exactly("lead"))
    find_like = partial(like, model, access, arguments, forward)
    scope = Scope(arguments, sizes, find_like, forward.used, splits=splits, orders=orders)
    scope.numbers = forward.given
    body = write_body(scope, access, names, operations, model.output, model.names, forward)
    write_return(body, model.output, single=model.single)
    lines = write_checks(model, arguments, sizes, checked) + write_requirements(model, sizes)
    for source in model.inputs if checked != "never" else ():
        scope.use("_wrong")
        scope.use({"int": "_INTS", "float": "_FLOATS"}.get(source.kind, "_kind"))
    lines = without_unused([*lines, *write_lines(body)], [*bound.values(), sizes.lead])
    signature = ["self", *(f"{name}: Tensor" for name in arguments.values())]
    signature += [f"{name}: Callable[..., Any]" for name in handed]
    gives = type_of(len(model.output), single=model.single)
    doc = writer.docstring(summary(model))
    forward.method = writer.function("forward", signature, gives, [*doc, *lines])
    if held:
        forward.bare = True
        forward.constants = _constants(model, access, forward.known, scope, body.precise, given)
    return forward


def write_body(
    scope: Scope,
    access: Access,
    names: Names,
    operations: Sequence[Operation],
    output: Sequence[Value],
    labels: Mapping[Value, str],
    forward: Forward,
    given: Mapping[Value, str] = MappingProxyType({}),
    first: Sequence[Value] = (),
) -> Body:
    """The statements of operations, without the constants among them; `labels` are of values.

    `given` are the names of values that are arguments, `first` the values that a step computes
    with the first entries.
    """
    known = {value: Text(f"self.{name}") for value, name in forward.known.items()}
    known |= {value: Text(name) for value, name in given.items()}
    live, inside = needed(output, given), needed(output, known)
    labels = {
        value: names.fresh(label)
        for value, label in labels.items()
        if value.operation in live and value not in known and not is_number(value)
    }
    operations = [each for each in operations if each in inside]
    body = _body(scope, access, names, labels, operations, output, known)
    body.precise = precise(operations, forward.known)
    stored = (each.family for each in access.tensors.parameters if not each.subscripts)
    attributes = [f"self.{name}" for name in (*forward.buffers, *stored)]
    sizes = (*scope.sizes.names.values(), scope.sizes.lead)
    body.typed = {*scope.inputs.values(), *given.values(), *sizes, *attributes}
    operations = body.operations
    if first:
        operations = write_first(body, first, output)
    write_operations(body, operations)
    return body


def write_return(body: Body, output: Sequence[Value], *, single: bool) -> None:
    """The statement that returns these values."""

    def make(texts: Sequence[Text]) -> Text:
        return returned(output, texts, body.scope, single=single)

    write_result(body, output, make, single=single)


def write_result(
    body: Body,
    output: Sequence[Value],
    make: Callable[[Sequence[Text]], Text],
    *,
    single: bool,
) -> None:
    """The statement that returns what is made of these values; of one, checkers know its type."""
    result = str(body.within(output, make))
    remark = ", ".join(dict.fromkeys(value.text for value in output))
    if single:
        name = body.names.fresh("y")
        body.lines = return_tensor(body.lines, result, remark, body.typed, name)
    else:
        body.lines.append(Line(f"return {result}", remark))


def type_of(count: int, *, single: bool) -> str:
    """The type of what a method returns."""
    return "Tensor" if single else f"tuple[{', '.join(['Tensor'] * count)}]"


def write_lines(body: Body) -> list[str]:
    """The lines of a body, before them the dtype of constants where they need it."""
    lines = render(body.lines)
    if any("dtype=dtype" in line or ".to(dtype)" in line for line in lines):
        lines.insert(0, f"dtype = torch.promote_types({body.scope.like}.dtype, torch.float32)")
    return lines


def maps(model: ResolvedModel) -> str:
    """What goes in and what comes out: `x(..., t, 64) -> (..., t, 64)`."""
    given = ", ".join(map(written, model.inputs))
    results = ", ".join(value.text for value in model.output)
    return f"{given} -> {results if model.single else f'({results})'}".removeprefix(" -> ")


def _buffer_names(
    model: ResolvedModel,
    operations: Sequence[Operation],
    held: Sequence[Value],
    own: Mapping[Value, str],
    names: Names,
) -> dict[Value, str]:
    """What constants are called: by the program, or as the input that they are given for.

    Equal numbers for inputs of one name are one constant.
    """
    given: dict[Value, str] = {}
    for operation in operations:
        if isinstance(operation, CallPart):
            given |= dict(zip(operation.operands, operation.inputs, strict=False))
    buffers: dict[Value, str] = {}
    numbers: dict[tuple[str, object, object], str] = {}
    for value in held:
        label = model.names.get(value, given.get(value, "constant"))
        match value.operation:
            case _ if value in own:
                key: tuple[str, object, object] = (own[value], None, None)
                buffers[value] = numbers.setdefault(key, "") or names.fresh(own[value])
                numbers[key] = buffers[value]
            case Literal(number=int() | float() as number):
                key = label, type(number), number
                buffers[value] = numbers.setdefault(key, "") or names.fresh(f"{label}_{number}")
                numbers[key] = buffers[value]
            case _:
                buffers[value] = names.fresh(label)
    return buffers


def summary(model: ResolvedModel) -> list[str]:
    """What `forward` says of itself."""
    results = ", ".join(value.text for value in model.output)
    text = f"{results} of {', '.join(map(written, model.inputs))}."
    return [text] if model.inputs and len(text) <= 85 else writer.filled(f"{results}.", 85)


def _body(
    scope: Scope,
    access: Access,
    names: Names,
    labels: Mapping[Value, str],
    operations: Sequence[Operation],
    outputs: Sequence[Value],
    known: dict[Value, Text],
) -> Body:
    shared = share_products(operations, scope.order)
    reads = [*(value for each in shared.computed() for value in each.operands), *outputs]
    results: dict[Operation, list[Value]] = {}
    for value in dict.fromkeys(reads):
        results.setdefault(value.operation, []).append(value)
    ordered = {
        operation: tuple(sorted(values, key=lambda value: value.position or 0))
        for operation, values in results.items()
    }
    uses = Counter(reads)
    return Body(scope, access, names, uses, labels, ordered, shared, known=known)


def returned(output: Sequence[Value], texts: Sequence[Text], scope: Scope, *, single: bool) -> Text:
    """What a method returns: a value, or several."""
    items: list[str] = []
    for value, text in zip(output, texts, strict=True):
        if is_number(value) and not text.code.startswith("self."):
            text = as_tensor(value, text, scope)
        elif isinstance(value.operation, Stored) or re.fullmatch(r"self\.\w+", text.code):
            text = text.method("clone")  # who gets a result may change it
        items.append(text.code)
    return Text(", ".join(items) if len(items) > 1 or single else f"({items[0]},)")


def _constants(
    model: ResolvedModel,
    access: Access,
    buffers: dict[Value, str],
    scope: Scope,
    exact: Collection[Value],
    given: Mapping[Value, str],
) -> list[str]:
    """The method that computes constants, in float32 at least, where the module is."""
    held, inside = list(buffers), needed(buffers)
    operations = [operation for operation in model.operations if operation in inside]
    own = Scope({}, scope.sizes, lambda: "like", scope.used, "dtype", orders=scope.orders)
    names = Names(["self", "F", "math", "like", "dtype"])
    labels = {
        value: names.fresh(label)
        for value, label in model.names.items()
        if value.operation in inside and not is_number(value)
    }
    body = _body(own, access, names, labels, operations, held, {})
    write_operations(body, body.operations)
    for value in {name: value for value, name in buffers.items()}.values():
        made = body.within([value], lambda texts: texts[0], constant=True)
        if value in given:
            made = Text(f"self._numbers[{string(given[value])}]")
        if is_number(value):
            made = as_tensor(value, made, own)
        if value.kind == "float" and value not in exact:
            made = made.method("to", "like.dtype")
        head = f"self.register_buffer({string(buffers[value])}, {made}, persistent=False)"
        body.lines.append(Line(head))
    summary = "Compute what no input changes, floats in float32 at least."
    text = writer.docstring([summary])
    like = ["like = self._like"]
    lines = render(body.lines)
    if any("dtype=dtype" in line or "(dtype)" in line for line in lines):
        like.append("dtype = torch.promote_types(like.dtype, torch.float32)")
    return writer.function(CONSTANTS, ["self"], "None", [*text, *like, *lines])


# ── a tensor of the module's dtype ─────────────────────────────────────────────────────────────


def like(model: ResolvedModel, access: Access, arguments: dict[str, str], forward: Forward) -> str:
    """An input of floats, else a parameter of real numbers, else the buffer made for this."""
    for source in model.inputs:
        if source.kind == "float" and source.name in arguments:
            return arguments[source.name]
    if found := _first(access):
        return found
    forward.bare = True
    return "self._like"


def _first(access: Access) -> str | None:
    """The first real parameter of a model or of its parts."""
    for tensor in access.tensors.parameters:
        if not tensor.complex and not isinstance(tensor, Codes):
            return access.tensors.read(tensor.key)
    for members in access.families.values():
        for part in members.values():
            if inner := _first_of(part, access.quantized):
                return f"{access.part(part)}.{inner}"
    return None


def _first_of(part: Part, quantized: Quantization | None) -> str | None:
    match part.callee:
        case Layer(parameters=parameters):
            return next((key for key in parameters if key.isidentifier()), None)
        case ResolvedNetwork(parameters=parameters):
            for each in parameters:
                stays = not (quantized and is_large(each.shape, each.complex))
                if not each.complex and not hidden(each.family) and stays:
                    subscripts = ", ".join(map(str, each.subscripts))
                    return f"{each.family}[{subscripts}]" if subscripts else each.family
            return None
        case ResolvedModel() as model:
            text = _first(Access(model, quantized=quantized))
            return None if text is None else text.removeprefix("self.")
        case _:
            return None
