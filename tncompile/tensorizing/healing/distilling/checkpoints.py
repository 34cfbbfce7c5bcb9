"""A training that was interrupted, in a file of safetensors: nothing in it is trusted."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from tncompile.files import json_value
from tncompile.tensorizing.storing import read_tensors, write_tensors

KEY = "tncompile.distillation"
VERSION = 1
PARTS = ("now", "best", "mean", "square")
"""Parameters, the best of them, and the two moments of Adam."""

Row = tuple[int, float, float, float]


@dataclass
class State:
    """Where a training is."""

    tensors: dict[str, dict[str, torch.Tensor]] = field(default_factory=dict)
    step: int = 0
    samples: int = 0
    tokens: int = 0
    seconds: float = 0.0
    start: float = math.nan
    best: float = math.inf
    waited: int = 0
    history: list[Row] = field(default_factory=list)
    stopped: str = ""


def write_state(path: str | os.PathLike[str], state: State, run: Mapping[str, object]) -> None:
    """Write it; `run` says what training it is of."""
    tensors = {
        f"{part}:{name}": value.detach().cpu()
        for part, values in state.tensors.items()
        for name, value in values.items()
    }
    said = {"version": VERSION, "run": run} | {name: getattr(state, name) for name in _NUMBERS}
    said |= {"history": state.history, "stopped": state.stopped}
    write_tensors(path, tensors, {KEY: json.dumps(said)})


def read_state(
    path: str | os.PathLike[str],
    shapes: Mapping[str, tuple[int, ...]],
    run: Mapping[str, object],
) -> State:
    """Read it. Raises ValueError for a file of something else, or of another run."""
    tensors, metadata = read_tensors(path)
    try:
        said = json_value(metadata.get(KEY, "null"))
        if not isinstance(said, dict) or said.get("version") != VERSION:
            raise ValueError("`distill` did not write it")
        known = said.get("run")
        if not isinstance(known, dict):
            raise ValueError("it does not say what run it is of")
        for name, value in run.items():
            if known.get(name) != value:
                raise ValueError(f"it is of another run: {name} differs")
        state = State({part: _part(tensors, part, shapes) for part in PARTS})
        for name, kind in _NUMBERS.items():
            setattr(state, name, _number(said, name, kind))
        state.history, stopped = _history(said.get("history")), said.get("stopped")
        if not isinstance(stopped, str):
            raise ValueError("`stopped` is no text")
        state.stopped = stopped
        return state
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)} cannot be continued: {error}") from None


_NUMBERS: dict[str, type] = {
    "step": int,
    "samples": int,
    "tokens": int,
    "waited": int,
    "seconds": float,
    "start": float,
    "best": float,
}


def _number(said: Mapping[str, object], name: str, kind: type) -> float:
    value = said.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"`{name}` is no number")
    if not math.isfinite(value) or value < (0 if kind is int else -math.inf):
        raise ValueError(f"`{name}` is no such number")
    if kind is int and not isinstance(value, int):
        raise ValueError(f"`{name}` is no count")
    return value


def _part(
    tensors: Mapping[str, torch.Tensor], part: str, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, torch.Tensor]:
    found = {}
    for name, shape in shapes.items():
        tensor = tensors.get(f"{part}:{name}")
        if tensor is None or tuple(tensor.shape) != shape or not tensor.is_floating_point():
            raise ValueError(f"{part} of {name} is missing or of another shape")
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{part} of {name} is not finite")
        found[name] = tensor
    return found


def _history(given: object) -> list[Row]:
    if not isinstance(given, list):
        raise ValueError("`history` is no list")
    rows: list[Row] = []
    for row in given:
        numbers = isinstance(row, list) and all(
            isinstance(each, int | float) and not isinstance(each, bool) for each in row
        )
        if not numbers or len(row) != 4 or not isinstance(row[0], int):
            raise ValueError("`history` has a row that is none")
        rows.append((row[0], float(row[1]), float(row[2]), float(row[3])))
    return rows
