"""The layers of `torch.nn` that models have: what they take, store and give."""

from tncompile.language.typing.layers.calling import call_layer
from tncompile.language.typing.layers.making import make_layer
from tncompile.language.typing.layers.table import LAYERS

__all__ = ["LAYERS", "call_layer", "make_layer"]
