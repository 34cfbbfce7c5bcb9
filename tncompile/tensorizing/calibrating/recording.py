"""Moments in a file of safetensors, and back: nothing in it is trusted."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from tncompile.files import json_value
from tncompile.tensorizing.calibrating.calls import MOST, Call
from tncompile.tensorizing.calibrating.layers import KINDS, Layer
from tncompile.tensorizing.calibrating.sums import LayerSums
from tncompile.tensorizing.storing import read_tensors, write_tensors

KEY = "tncompile.moments"
VERSION = 1
LARGEST = 1e300

LONGEST_CALL = 5
"""Numbers of an entry of `calls`: a count, rows, and three lengths."""


def write(
    path: str | os.PathLike[str], layers: Mapping[str, LayerSums], facts: Mapping[str, object]
) -> None:
    """Write the sums of layers and what else is known."""
    tensors: dict[str, torch.Tensor] = {}
    known: dict[str, object] = {}
    calls: dict[str, object] = {}
    for name, sums in layers.items():
        for number, axis in enumerate(sums.axes):
            tensors[f"axis {number}:{name}"] = axis
        if not sums.axes:
            tensors[f"inputs:{name}"] = sums.inputs
        tensors[f"outputs:{name}"] = sums.outputs
        tensors[f"rows:{name}"] = sums.rows
        layer = sums.layer
        known[name] = [layer.kind, layer.inputs, layer.outputs, layer.groups, *layer.axes]
        calls[name] = [[count, *call] for call, count in sums.calls.items()]
    said = {"version": VERSION, "layers": known, "calls": calls, **facts}
    write_tensors(path, tensors, {KEY: json.dumps(said)})


def read(path: str | os.PathLike[str]) -> tuple[dict[str, LayerSums], dict[str, Any]]:
    """Read them. Raises ValueError for a file of something else."""
    tensors, metadata = read_tensors(path)
    try:
        return _read(tensors, metadata)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)} holds no moments: {error}") from None


def _read(
    tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]
) -> tuple[dict[str, LayerSums], dict[str, Any]]:
    said = json_value(metadata.get(KEY, "null"))
    if not isinstance(said, dict):
        raise ValueError("`calibrate` did not write it")
    _require(said.get("version") == VERSION, f"its version is not {VERSION}: calibrate anew")
    layers, unreached, aliases = (said.get(name) for name in ("layers", "unreached", "aliases"))
    output = said.get("output")
    if not isinstance(layers, dict):
        raise ValueError("it does not say of which layers")
    if not isinstance(unreached, list) or not _names(unreached):
        raise ValueError("`unreached` are no names")
    if not isinstance(aliases, dict) or not _names(aliases.values()):
        raise ValueError("`aliases` are no names")
    for name in ("samples", "batches"):
        _require(_is_count(said.get(name)), f"`{name}` is no count")
    if not isinstance(output, int | float) or not 0 <= output < LARGEST:
        raise ValueError("`output` is no sum of squares")
    calls, data = said.get("calls", {}), said.get("data", 0)  # files of before have neither
    _require(data == 0 or _is_count(data), "`data` is no count")
    _require(isinstance(calls, dict), "`calls` are of no layers")
    found = {
        name: _sums(name, given, _calls(name, calls.get(name, [])), tensors)
        for name, given in layers.items()
    }
    return found, {
        "unreached": tuple(unreached),
        "aliases": aliases,
        "samples": said["samples"],
        "batches": said["batches"],
        "output": float(output),
        "data": int(data),
    }


def _calls(name: str, given: object) -> dict[Call, int]:
    """How often there was each call of a layer."""
    problem = f"`calls` of the layer {name[:80]!r} are no counts of rows and lengths"
    _require(isinstance(given, list) and len(given) <= MOST, problem)
    assert isinstance(given, list)
    found: dict[Call, int] = {}
    for each in given:
        _require(isinstance(each, list) and 2 <= len(each) <= LONGEST_CALL, problem)
        _require(all(map(_is_count, each)), problem)
        found[tuple(each[1:])] = each[0]
    _require(len({len(each) for each in found}) <= 1, problem)
    return found


def _sums(
    name: str, given: object, calls: Mapping[Call, int], tensors: Mapping[str, torch.Tensor]
) -> LayerSums:
    where = f"of the layer {name[:80]!r}"
    _require(
        isinstance(given, list) and len(given) >= 4 and given[0] in KINDS,
        f"the kind {where} is unknown",
    )
    assert isinstance(given, list)
    _require(all(map(_is_count, given[1:])), f"the sizes {where} are none")
    kind, inputs, outputs, groups, *axes = given
    layer = Layer(kind, inputs, outputs, groups, tuple(axes))
    _require(
        not layer.axes
        or (layer.kind, layer.groups, layer.inputs) == ("conv", 1, math.prod(layer.axes)),
        f"the axes {where} are not those of its inputs",
    )
    table = layer.kind == "embedding"
    shapes: dict[str, tuple[int, ...]] = {
        f"axis {number}": (size, size) for number, size in enumerate(layer.axes)
    }
    if not layer.axes:
        shapes["inputs"] = (layer.inputs,) if table else (layer.inputs, layer.inputs)
    shapes |= {
        "outputs": layer.gradients,
        "rows": (layer.inputs,) if table else (),
    }
    found: dict[str, torch.Tensor] = {}
    for what, shape in shapes.items():
        tensor = tensors.get(f"{what}:{name}")
        if tensor is None:
            raise ValueError(f"`{what}` {where} are missing")
        if what == "outputs" and len(shape) == 1 and tuple(tensor.shape) == 2 * shape:
            tensor = tensor.diagonal().clone()  # a file of before, with the whole moment
        fits = tuple(tensor.shape) == shape and tensor.dtype in (torch.float32, torch.float64)
        _require(fits, f"`{what}` {where} are not {' × '.join(map(str, shape)) or 'a number'}")
        _require(bool(torch.isfinite(tensor).all()), f"`{what}` {where} are not finite")
        diagonal = tensor.diagonal() if tensor.dim() == 2 else tensor
        _require(bool((diagonal >= 0).all()), f"`{what}` {where} are no sums of squares")
        _require(bool(diagonal.sum() > 0), f"`{what}` {where} are nothing but zeros")
        found[what] = tensor
    nothing = torch.zeros(0, 0, dtype=found["outputs"].dtype)
    of_axes = tuple(found[f"axis {number}"] for number in range(len(layer.axes)))
    inputs = found.get("inputs", nothing)
    return LayerSums(layer, inputs, found["outputs"], found["rows"], of_axes, calls)


def _require(fine: bool, problem: str) -> None:
    if not fine:
        raise ValueError(problem)


def _names(values: Iterable[object]) -> bool:
    return all(isinstance(each, str) for each in values)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53
