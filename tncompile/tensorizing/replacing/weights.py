"""State dicts in safetensors files: tied tensors once, compared bit by bit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import nn

from tncompile.files import json_value
from tncompile.tensorizing.rewriting.rewrite import shown
from tncompile.tensorizing.storing import read_tensors, require_same, write_tensors

TIED = "tied"
"""The entry of the metadata that has the keys of tied tensors, by key: JSON of an object."""

FORMAT = {"format": "pt"}

MOST_NAMED = 5


def write_weights(model: nn.Module, path: Path) -> None:
    """Write the state of a model. Raises ValueError for state that is no tensor."""
    tensors: dict[str, torch.Tensor] = {}
    tied: dict[str, str] = {}
    first: dict[int, str] = {}
    for key, value in model.state_dict(keep_vars=True).items():
        if not isinstance(value, torch.Tensor):
            raise ValueError(f"the state {key!r} of the model is no tensor: it cannot be stored")
        if value.is_meta:
            raise ValueError(f"{key!r} is on the device `meta`: it has no values")
        if id(value) in first:
            tied[key] = first[id(value)]
            continue
        first[id(value)] = key
        tensors[key] = value.detach().to("cpu").clone()  # two that share memory are stored twice
    write_tensors(path, tensors, {**FORMAT, TIED: json.dumps(tied)})


class Weights:
    """What a file holds. Raises ValueError for one of something else."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        try:
            self.tensors, metadata = read_tensors(path)
        except OSError as error:
            raise ValueError(f"{path.name} cannot be read: {error.strerror}") from None
        self.shapes = {key: tuple(value.shape) for key, value in self.tensors.items()}
        self.tied = self._read_tied(metadata.get(TIED, "{}"))
        for key, other in self.tied.items():
            self.shapes[key] = self.shapes[other]

    def _read_tied(self, text: str) -> dict[str, str]:
        try:
            tied = json_value(text)
        except ValueError:
            tied = None
        if not isinstance(tied, dict) or not all(
            isinstance(other, str) and other in self.shapes and key not in self.shapes
            for key, other in tied.items()
        ):
            raise ValueError(f"{self.name} has metadata `{TIED}` that fits no tensors in it")
        return tied

    def require(self, shapes: Mapping[str, tuple[int, ...]], what: str) -> None:
        """ValueError unless the file has just these tensors."""
        if wrong := list(_differences(self.shapes, shapes)):
            shown_ones = "; ".join(wrong[:MOST_NAMED])
            more = f"; {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
            raise ValueError(f"{self.name} does not fit {what}: {shown_ones}{more}")

    def load_into(self, model: nn.Module) -> None:
        """Put the tensors into a model, in the dtype that they have; what is tied stays tied."""
        devices = {key: value.device for key, value in model.state_dict(keep_vars=True).items()}
        state: dict[str, torch.Tensor] = {}
        trained = {name for name, _ in model.named_parameters(remove_duplicate=False)}
        wanted = dict(model.named_parameters(remove_duplicate=False))
        for key, value in self.tensors.items():
            device = value.device if devices[key].type == "meta" else devices[key]
            # Not where the file is mapped: it may change, and what is not aligned rounds otherwise.
            value = value.to(device, copy=True)
            if key in trained:
                value = nn.Parameter(value, requires_grad=wanted[key].requires_grad)
            state[key] = value
        state |= {key: state[other] for key, other in self.tied.items()}
        try:
            model.load_state_dict(state, assign=True)
        except RuntimeError as error:
            raise ValueError(f"{self.name} cannot be loaded: {error}") from None


def _differences(
    found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]
) -> Iterator[str]:
    for key, shape in wanted.items():
        if key not in found:
            yield f"{shown(key)} is missing"
        elif found[key] != shape:
            yield f"{shown(key)} is {list(found[key])} and not {list(shape)}"
    for key in found:
        if key not in wanted:
            yield f"{shown(key)} belongs to nothing"


def require_equal(found: nn.Module, wanted: nn.Module) -> None:
    """RuntimeError unless two models have the same state, to the bit."""
    require_same(found.state_dict(), wanted.state_dict())
