"""Blocks of the library."""

from __future__ import annotations

from functools import cache

import tncompile
from tncompile.network.model import TensorNetwork


@cache
def library(file: str) -> tncompile.Spec:
    """A file of the library, as seen by one that imports it; read once for all tests."""
    return tncompile.loads(f'import "std/{file}.tn"')


@cache
def architecture(file: str, target: str) -> tncompile.Architecture:
    """A block of the library with its arguments, planned once for all tests."""
    return library(file).instantiate(target)


def name(target: str) -> str:
    return target.partition("(")[0]


def shape_of_inputs(network: TensorNetwork) -> list[tuple[int, ...]]:
    """What `forward` takes behind the batch axis."""
    return [
        tuple(axis.length or 0 for axis in held.axes if axis.kind in ("legs", "slices"))
        for held in network.inputs
    ]
