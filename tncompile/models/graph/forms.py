"""Models that stand for one weight: those whose graph is that of a matrix of low rank."""

from __future__ import annotations

from tncompile.language.typing.model import ResolvedModel
from tncompile.models.graph.interpolated import Interpolated, interpolated
from tncompile.models.graph.mixed import Mixed, mixed

Form = Interpolated | Mixed


def form_of(model: ResolvedModel) -> Form | None:
    """The tensors of a model of such a form; None for every other."""
    return interpolated(model) or mixed(model)
