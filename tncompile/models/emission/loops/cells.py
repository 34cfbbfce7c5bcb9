"""A cell of a `scan` as two methods, one of them for all steps at once; `forward` is both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from tncompile.emission.module.forward import without_unused
from tncompile.emission.text import writer
from tncompile.emission.text.identifiers import Names
from tncompile.language.typing.model import ResolvedModel
from tncompile.language.typing.values import Shape, Value
from tncompile.models.contracting import SumOfProducts
from tncompile.models.emission.access import Access
from tncompile.models.emission.layout import fitted
from tncompile.models.emission.methods.arguments import SizeNames, argument_names
from tncompile.models.emission.methods.forward import (
    Forward,
    like,
    summary,
    type_of,
    write_body,
    write_lines,
    write_return,
)
from tncompile.models.emission.methods.scope import Scope
from tncompile.models.graph.constants import needed
from tncompile.models.graph.hoisting import AHEAD, STEP, Split, Splits, crossing_name
from tncompile.planning.paths.problem import Path


def write_cell(
    model: ResolvedModel,
    access: Access,
    reserved: Iterable[str],
    forward: Forward,
    splits: Splits,
    split: Split,
    orders: tuple[Mapping[SumOfProducts, Path], Mapping[SumOfProducts, Path]],
) -> list[list[str]]:
    """What goes ahead, a step, and both as `forward`; `orders` are those of the first two."""
    method = partial(_method, model, access, (*reserved,), forward, splits)
    crossing, single = split.crossing, len(split.crossing) == 1
    ahead = "What no state changes: for any number of steps at once."
    step = "A step, where that went ahead."
    return [
        method(orders[0], AHEAD, ahead, split.early, (), crossing, single),
        method(orders[1], STEP, step, split.late, crossing, model.output, model.single),
        _both(model, (*reserved,), split),
    ]


def _both(model: ResolvedModel, reserved: tuple[str, ...], split: Split) -> list[str]:
    """`forward`: what goes ahead, then the step."""
    arguments = argument_names(model, Names(["self", *reserved]))
    ahead = f"self.{AHEAD}({', '.join(arguments[name] for name in split.early)})"
    star = "*" * (len(split.crossing) > 1)
    given = ", ".join([f"{star}{ahead}", *(arguments[name] for name in split.late)])
    signature = ["self", *(f"{name}: Tensor" for name in arguments.values())]
    returned = type_of(len(model.output), single=model.single)
    body = [*writer.docstring(summary(model)), *fitted(f"return self.{STEP}({given})")]
    return writer.function("forward", signature, returned, body)


def _method(
    model: ResolvedModel,
    access: Access,
    reserved: tuple[str, ...],
    forward: Forward,
    splits: Splits,
    orders: Mapping[SumOfProducts, Path],
    name: str,
    doc: str,
    inputs: Sequence[str],
    given: Sequence[Value],
    outputs: Sequence[Value],
    single: bool,
) -> list[str]:
    """The method that computes the outputs from values that are `given`, then from inputs."""
    names = Names(["self", "F", "math", "partial", *reserved])
    lead = names.exactly("lead")
    variables = {value: names.fresh(crossing_name(model, value)) for value in given}
    shapes = [(variables[value], value.shape) for value in given]
    arguments: dict[str, str] = {}
    for source in model.inputs:
        if source.name in inputs:
            parts = source.family, *map(str, source.subscripts)
            arguments[source.name] = variable = names.fresh("_".join(parts))
            shapes.append((variable, source.shape))
    find_like = partial(like, model, access, arguments, forward)
    sizes = SizeNames({}, lead)
    scope = Scope(arguments, sizes, find_like, forward.used, splits=splits, orders=orders)
    scope.numbers = forward.given
    inside = needed(outputs, variables)
    operations = [each for each in model.operations if each in inside]
    labels = model.names
    body = write_body(scope, access, names, operations, outputs, labels, forward, variables)
    write_return(body, outputs, single=single)
    lines = [*_leading(shapes, lead), *write_lines(body)]
    lines = without_unused(lines, [lead])
    signature = [
        "self",
        *(f"{each}: Tensor" for each in [*variables.values(), *arguments.values()]),
    ]
    returned = type_of(len(outputs), single=single)
    return writer.function(name, signature, returned, [*writer.docstring([doc]), *lines])


def _leading(shapes: Sequence[tuple[str, Shape]], lead: str) -> list[str]:
    """The sizes of `...`, from the first variable that has it."""
    for name, shape in shapes:
        if shape.dots:
            count = len(shape.sizes)
            return [f"{lead} = {name}.shape[:{-count}]" if count else f"{lead} = {name}.shape"]
    return []
