"""Along which axes a layer sees one entry at a time, those before, or all of them."""

from __future__ import annotations

from typing import Literal

from tncompile.language.typing.layers.entry import Settings
from tncompile.language.typing.layers.table import LAYERS
from tncompile.language.typing.model import Layer
from tncompile.language.typing.values import Shape


def along(
    layer: Layer, shape: Shape, dim: int, operand: int = 0
) -> Literal["free", "past", "mixed"]:
    """How the result depends on the entries of an operand along `dim`, which is negative.

    `free`: entry i on entry i alone. `past`: on entries up to i (what a recurrent layer gives
    besides its first result is its state after all of them). `mixed`: on entries after i, too.
    """
    entry = LAYERS[layer.name]
    settings = entry.settings(layer.arguments)
    first = not shape.dots and dim == -len(shape.sizes)
    match entry.mixes:
        case "steps" if operand > 0:
            free = dim == -2  # the batch is behind the layers in a state
        case "steps" if dim == -2 and not settings.flag("bidirectional"):
            return "past"
        case "steps" | "behind":
            free = first
        case "window":
            free = _is_free(settings, dim)
        case "shape":
            free = dim < -len(settings.ints("normalized_shape"))
        case "all":
            free = False
        case last:
            free = dim < -last
    return "free" if free else "mixed"


def _is_free(settings: Settings, dim: int) -> bool:
    """Whether the windows along an axis have one entry each, and leave none out; channels mix."""
    if dim < -settings.axes:
        return dim < -settings.axes - ("in_channels" in settings.values)
    alone = settings.each("kernel_size")[dim] == settings.each("stride", "kernel_size")[dim] == 1
    around = ("padding", "output_padding")
    added = [name for name in around if not isinstance(settings.values.get(name, ""), str)]
    return alone and not any(settings.each(name)[dim] for name in added)
