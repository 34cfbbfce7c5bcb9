"""Weights of two models, one by one: how far they are apart, and what ties became."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from tncompile.tensorizing.calibrating.layers import layer_of
from tncompile.tensorizing.calibrating.model_moments import Moments
from tncompile.tensorizing.calibrating.sharing import shared_metric
from tncompile.tensorizing.comparing.lines import LayerLine
from tncompile.tensorizing.moments import Metric, squared
from tncompile.tensorizing.rewriting.rewrite import shown

MOST_NAMED = 5

AT_ONCE = 2**22
"""Numbers in double precision at a time."""

PARAMETRIZATIONS = "parametrizations."
"""Where torch keeps what a weight is computed of, by the name of the weight."""


@dataclass(frozen=True, eq=False)
class Held:
    """A parameter of the original, by all places that hold it: (name of a module, attribute)."""

    parameter: torch.Tensor
    places: tuple[tuple[str, str], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Its keys."""
        return tuple(f"{name}.{key}" if name else key for name, key in self.places)


def weight_lines(
    original: nn.Module,
    changed: nn.Module,
    moments: Moments | None,
    networks: Mapping[str, str],
) -> tuple[tuple[LayerLine, ...], tuple[str, ...]]:
    """A line for each weight of two axes or more that differs, and remarks on the rest.

    `networks` has what layers or raw parameters became, where it is known, by name.
    """
    lines: list[LayerLine] = []
    remarks: list[str] = []
    gone: list[str] = []
    vectors = 0
    for held in _held(original):
        name, key = held.places[0]
        owner, weight = original.get_submodule(name), held.parameter.detach()
        stands, found = _read(changed, name, key)
        if len(held.places) > 1:
            remarks += _tied(held, changed)
        fits = None if found is None else _fitting(owner, stands, found, weight)
        if fits is not None and torch.equal(fits, weight):
            continue
        if weight.dim() < 2:
            vectors += fits is not None
            continue
        if fits is None or stands is None:
            gone.append(held.names[0])
            continue
        kind, metric = _metric(moments, original, held)
        errors = _errors(weight, fits, metric, transposed=kind in ("conv1d", "embedding"))
        known = next((networks[each] for each in (name, held.names[0]) if each in networks), None)
        what = known or _what(stands, key)
        lines.append(LayerLine(held.names, type(owner).__name__, what, *errors))
    if gone:
        named = ", ".join(map(shown, gone[:MOST_NAMED])) + (", …" if len(gone) > MOST_NAMED else "")
        remarks.append(f"nothing in the changed model gives {len(gone):,} of its weights: {named}")
    if vectors:
        remarks.append(f"{vectors:,} biases and other vectors differ, too")
    return tuple(lines), tuple(remarks)


def _held(model: nn.Module) -> Iterator[Held]:
    """The parameters of a model, each once, in its order."""
    places: dict[int, list[tuple[str, str]]] = {}
    tensors: dict[int, torch.Tensor] = {}
    tensor: torch.Tensor
    seen: set[int] = set()
    made: set[tuple[str, str]] = set()
    for name, module in model.named_modules(remove_duplicate=False):
        first = id(module) not in seen
        seen.add(id(module))
        for key, parameter in module._parameters.items():
            if parameter is None or isinstance(parameter, nn.UninitializedParameter):
                continue
            place, tensor = (name, key), parameter
            above, dot, below = name.rpartition(PARAMETRIZATIONS)
            if dot:  # what counts is the weight that is made of it
                place = above.removesuffix("."), below.split(".")[0]
                if place in made:
                    continue
                made.add(place)
                tensor = getattr(model.get_submodule(place[0]), place[1])
            tensors[id(tensor)] = tensor
            here = places.setdefault(id(tensor), [])
            if first:  # further names of a shared module are no ties
                here.append(place)
    for identity, tensor in tensors.items():
        yield Held(tensor, tuple(places[identity]))


def _read(model: nn.Module, name: str, key: str) -> tuple[nn.Module | None, torch.Tensor | None]:
    """What stands at a place of a model, and the dense weight that it gives, if it does."""
    try:
        owner = model.get_submodule(name)
        value = getattr(owner, key)
        if isinstance(value, nn.Module):  # a network without inputs, read in another way
            return value, None
    except (AttributeError, RuntimeError, NotImplementedError, ValueError):
        return None, None
    return owner, value.detach() if isinstance(value, torch.Tensor) else None


def _fitting(
    owner: nn.Module, stands: nn.Module | None, found: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor | None:
    """The weight that was found, as the original has it; None for one of another shape.

    The Conv1D of transformers has its weight transposed, what replaces it has not.
    """
    layer = layer_of(owner)
    swapped = layer is not None and layer.kind == "conv1d" and weight.dim() == 2
    if swapped and type(stands) is not type(owner):
        found = found.mT
    if found.shape != weight.shape or found.is_meta or weight.is_meta:
        return None
    return found.to(weight.device)


def _errors(
    weight: torch.Tensor, found: torch.Tensor, metric: Metric | None, *, transposed: bool
) -> tuple[float | None, float | None]:
    """Relative errors in the Frobenius norm, and in a metric of outputs × inputs.

    `transposed` says that the weight is inputs × outputs.
    """
    squares = norms = 0.0
    step = max(1, AT_ONCE * len(weight) // max(1, weight.numel()))  # tables of words are large
    for before, after in zip(torch.split(weight, step), torch.split(found, step), strict=True):
        squares += float((after.double() - before.double()).square().sum())
        norms += float(before.double().square().sum())
    error = (squares / norms) ** 0.5 if norms else None
    if metric is None:
        return error, None
    w, difference = weight.double(), found.double() - weight.double()
    pair = (each.mT if transposed else each.flatten(1) for each in (difference, w))
    ours, whole = (squared(each, metric) for each in pair)
    return error, (max(0.0, ours) / whole) ** 0.5 if whole > 0 else None


def _metric(moments: Moments | None, original: nn.Module, held: Held) -> tuple[str, Metric | None]:
    """The kind of the first layer that holds a weight, and the metric of all that do, as of it."""
    names = [name for name, key in held.places if key == "weight"]
    kinds = [layer_of(original.get_submodule(name)) for name in names]
    first = next((known.kind for known in kinds if known is not None), "")
    return first, shared_metric(moments, names, first) if first else None


def _what(stands: nn.Module, key: str) -> str:
    """The class of what stands for a weight."""
    return type(stands._modules.get(key) or stands).__name__


def _tied(held: Held, changed: nn.Module) -> Iterator[str]:
    """What became of a weight that several modules hold."""
    first, *others = zip(held.names, held.places, strict=True)
    owner, kept = _read(changed, *first[1])
    for name, place in others:
        other, found = _read(changed, *place)
        pair = f"{shown(name)} and {shown(first[0])}"
        if kept is None or found is None or found.shape != kept.shape:
            yield f"{pair} were one weight: nothing gives it at both places now"
        elif not torch.equal(found.to(kept), kept):
            yield f"{pair} were one weight, and differ now: the tie is broken"
        elif _is_parameter(other, place[1]):
            shared = found.data_ptr() == kept.data_ptr() and _is_parameter(owner, first[1][1])
            yield f"{pair} {'are one weight still' if shared else 'are equal, in two copies'}"
        else:
            yield f"{pair} are one weight still, read off one network"


def _is_parameter(module: nn.Module | None, key: str) -> bool:
    return module is not None and module._parameters.get(key) is not None
