"""What calibration adds up of a model, and what it says of each layer."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tncompile.tensorizing.calibrating.layers import Layer, aliases_of, layer_of, layers_of
from tncompile.tensorizing.calibrating.sums import LayerSums
from tncompile.tensorizing.moments import Metric

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Moments:
    """Second moments of the layers of a model, by their names; `calibrate` makes them.

    layers     what was added up for each layer that the output depends on
    unreached  layers that it does not depend on, or that are never called
    aliases    other names of shared layers, and the name that each has in `layers`
    samples    entries along the first axis of the output, of all batches
    batches    how many there were
    output     Σ |output|²
    data       a number that other batches do not have; 0 where it is not known

    `a + b` are those of both data sets, `name in moments` says whether there is something of a
    layer.

    >>> import torch
    >>> mlp = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> shards = [tncompile.calibrate(mlp, [torch.rand(32, 4)]) for _ in range(2)]
    >>> moments = shards[0] + shards[1]
    >>> moments
    Moments(2 layers, 64 samples, 2 batches)
    """

    layers: Mapping[str, LayerSums]
    unreached: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    samples: int = 0
    batches: int = 0
    output: float = 0.0
    data: int = 0

    def __repr__(self) -> str:
        parts = [
            f"{len(self.layers):,} layers",
            f"{self.samples:,} samples",
            f"{self.batches:,} batches",
        ]
        if self.unreached:
            parts.insert(1, f"{len(self.unreached):,} unreached")
        return f"Moments({', '.join(parts)})"

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.aliases.get(name, name) in self.layers

    def __add__(self, other: Moments) -> Moments:
        """Those of two data sets of one model. Raises ValueError for those of two models."""
        if not isinstance(other, Moments):
            return NotImplemented
        for name in self.layers.keys() & other.layers.keys():
            ours, theirs = self.layers[name].layer, other.layers[name].layer
            if ours != theirs:
                raise ValueError(f"{name} is {_sized(ours)} and {_sized(theirs)}")
        names = [*self.layers, *(name for name in other.layers if name not in self.layers)]
        unreached = [*self.unreached, *other.unreached]
        return Moments(
            {name: _added(self.layers.get(name), other.layers.get(name)) for name in names},
            tuple(name for name in dict.fromkeys(unreached) if name not in names),
            {**self.aliases, **other.aliases},
            self.samples + other.samples,
            self.batches + other.batches,
            self.output + other.output,
            together(self.data, other.data) if self.data and other.data else 0,
        )

    def _sums_of(self, name: str) -> LayerSums:
        """What was added up for a layer. Raises KeyError where there is nothing of it."""
        first = self.aliases.get(name, name)
        if first in self.layers:
            return self.layers[first]
        why = "the output does not depend on it" if first in self.unreached else "not calibrated"
        raise KeyError(f"there are no moments of {name!r}: {why}")

    def metric(
        self,
        name: str,
        *,
        rows: Literal["frequency", "gradients"] = "frequency",
        damping: float = 0.01,
    ) -> Metric:
        """What an error of the weight of a layer counts, from `a.b.c` as in `named_modules`.

        The squared error in it is what the Gauss-Newton approximation says of E ‖change of the
        output‖², with A = Σ |g|² x xᵀ / Σ |g|² and G = Σ g gᵀ / samples: it can be compared between
        layers. Of an embedding that is so with `rows="gradients"`; with "frequency" its rows count
        as often as they were read, and its columns alike. Of a convolution in groups, whose
        outputs have different inputs, G is zero between groups; of one with more than 4,096 inputs,
        channels × kernel, A is a Kronecker product of moments of channels and of each axis of the
        kernel; of a layer with more than 16,384 outputs G is diagonal, a vector. Where the output
        does not depend on the weight, as inputs or gradients were zero, there are no moments in it:
        all entries count alike. Raises KeyError where there is nothing of the layer.

        >>> import torch
        >>> mlp = torch.nn.Sequential(torch.nn.Linear(32, 32), torch.nn.Tanh())
        >>> moments = tncompile.calibrate(mlp, [torch.rand(64, 32)])
        >>> moments.metric("0")
        Metric(inputs of 32, outputs of 32, damping=0.01)
        >>> arch.fit(mlp[0].weight, metric=moments.metric("0")).metric_error < 1
        True
        """
        return self._sums_of(name).metric(self.samples, rows, damping)

    @staticmethod
    def bytes_needed(
        model: nn.Module,
        layers: Iterable[str] | None = None,
        *,
        dtype: torch.dtype | None = None,
    ) -> int:
        """The memory that calibration takes beside a forward and a backward pass of the model.

        That is what is added up, and the largest sum over a batch. `layers` and `dtype` are those
        of `calibrate`.

        >>> import torch
        >>> tncompile.Moments.bytes_needed(torch.nn.Linear(384, 1536))
        29491208
        """
        import torch

        from tncompile.tensorizing.calibrating.patches import PATCHES

        each, kept, largest = (dtype or torch.float64).itemsize, 0, 0
        for _, layer in layers_of(model, layers).values():
            heard = math.prod(layer.gradients)
            if layer.kind == "embedding":
                kept += (each + 8) * layer.inputs + each * heard
                largest = max(largest, 4 * heard)
            elif layer.axes:
                squares = [heard, *(size**2 for size in layer.axes)]
                kept += each * sum(squares) + 8
                largest = max(largest, 4 * PATCHES, *(4 * square for square in squares))
            else:
                kept += each * (layer.inputs**2 + heard) + 8
                largest = max(largest, 4 * layer.inputs**2, 4 * heard)
        return kept + largest

    def save(self, path: str | os.PathLike[str]) -> None:
        """Put them into a file of safetensors, whole or not at all. Raises `OSError`.

        >>> import torch
        >>> moments = tncompile.calibrate(torch.nn.Linear(4, 8), [torch.rand(16, 4)])
        >>> moments.save("moments.safetensors")
        >>> tncompile.Moments.load("moments.safetensors")
        Moments(1 layers, 16 samples, 1 batches)
        """
        from tncompile.tensorizing.calibrating.recording import write

        write(path, self.layers, {each: getattr(self, each) for each in _FACTS})

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Moments:
        """Read them from a file, onto the CPU.

        Raises ValueError for a file of something else, `OSError` where it cannot be read.

        >>> import torch
        >>> tncompile.calibrate(torch.nn.Linear(4, 8), [torch.rand(16, 4)]).save("m.safetensors")
        >>> "" in tncompile.Moments.load("m.safetensors")  # the name of the model itself
        True
        """
        from tncompile.tensorizing.calibrating.recording import read

        layers, facts = read(path)
        return Moments(layers, **facts)


_FACTS = ("unreached", "aliases", "samples", "batches", "output", "data")

LARGEST = 2**53
"""What `data` is below: JSON holds such numbers everywhere."""


def together(first: int, second: int) -> int:
    """`data` of two sets of batches; their order does not count."""
    return (first + second) % LARGEST


def require_of(moments: Moments, model: nn.Module) -> None:
    """Raise ValueError unless they are of this model: the same layers of the same sizes."""
    modules = dict(model.named_modules(remove_duplicate=False))
    for name, sums in moments.layers.items():
        module = modules.get(name)
        found = None if module is None else layer_of(module)
        if found != sums.layer:
            there = "missing" if found is None else _sized(found)
            raise ValueError(
                f"these are moments of another model: {name or 'the model itself'} is"
                f" {_sized(sums.layer)} in them and {there} here"
            )
    if dict(moments.aliases) != aliases_of(model):
        raise ValueError("these are moments of another model: it shares other modules")


def _added(ours: LayerSums | None, theirs: LayerSums | None) -> LayerSums:
    if ours is None or theirs is None:
        found = ours or theirs
        assert found is not None
        return found
    return ours + theirs


def _sized(layer: Layer) -> str:
    groups = f" in {layer.groups:,} groups" if layer.groups > 1 else ""
    return f"`{layer.kind}` of {layer.outputs:,} × {layer.inputs:,}{groups}"
