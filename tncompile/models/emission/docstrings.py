"""What a class of a model says of itself: its map, its parameters, what it was made from."""

from __future__ import annotations

import math

from tncompile.emission.text import writer
from tncompile.emission.text.writer import WIDTH
from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.model import Layer, Part, ResolvedModel
from tncompile.models.emission.methods.forward import maps

ROOM = WIDTH - 4


def write_docstring(model: ResolvedModel) -> list[str]:
    """The lines of the docstring, without indentation."""
    count = parameter_count(model)
    parameters = f"{count:,} parameter{'s' * (count != 1)}."
    made = f"{maps(model)}, {parameters} Made from {model.target}."
    if not model.doc:
        return writer.docstring(writer.filled(made, ROOM - 2 * len('"""')))
    lines = writer.doc_lines(model.doc, ROOM)
    return writer.docstring([*(lines or [model.name]), "", *writer.filled(made, ROOM)])


def parameter_count(model: ResolvedModel) -> int:
    """The numbers that a model stores and trains or could train, each once."""
    return sum(parameters(model).values())


def parameters(model: ResolvedModel) -> dict[str, int]:
    """How many numbers each parameter has, by key."""
    counts = {tensor.path: math.prod(tensor.shape) for tensor in model.tensors if not tensor.frozen}
    for part in model.parts:
        if not part.outer:
            for key, count in _of_part(part).items():
                if key not in part.tied:
                    counts[f"{part.path}.{key}"] = count
    return counts


def _of_part(part: Part) -> dict[str, int]:
    match part.callee:
        case Layer(parameters=shapes):
            return {key: math.prod(shape) for key, shape in shapes.items()}
        case ResolvedNetwork(parameters=stored):
            return {each.key: math.prod(each.shape) for each in stored if not each.frozen}
        case ResolvedModel() as model:
            return parameters(model)
        case _:
            return {}
