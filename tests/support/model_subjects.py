"""Some of the acceptance models, small, as modules: what the manners of models are tried on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

import tncompile
from tests.acceptance import ACCEPTANCE
from tests.acceptance.models.case import Case
from tests.acceptance.models.cases import CASES


@dataclass(frozen=True)
class ModelSubject:
    """A model to try.

    case: the acceptance model that it is.
    blocks: parts that FSDP2 shards by themselves; activations of the first are computed anew.
    loops: whether it loops over time, which is unrolled for ONNX.
    tied: whether its first block is tied to what is none: they are sharded together.
    """

    case: str
    blocks: tuple[str, ...]
    loops: bool = False
    tied: bool = False

    def __str__(self) -> str:
        return self.example.block

    @property
    def example(self) -> Case:
        """The acceptance model."""
        return next(case for case in CASES if case.name == self.case)

    @property
    def target(self) -> str:
        """How it is instantiated, as it is written in the language."""
        return _architecture(self.case)._resolved.target

    def module(
        self, dtype: torch.dtype = torch.float32, seed: int = 0, device: str | None = None
    ) -> nn.Module:
        """A module of its own, in evaluation."""
        architecture = _architecture(self.case)
        made = architecture.module(dtype=dtype, seed=seed, device=device, search="fast")
        return made.eval()

    def inputs(
        self, dtype: torch.dtype = torch.float32, sizes: Mapping[str, int] | None = None
    ) -> list[Tensor]:
        """Random inputs of other sizes than usual where `sizes` say so."""
        drawn = self.example.inputs(torch.Generator().manual_seed(0), **sizes or {})
        return [x.to(dtype) if x.is_floating_point() else x for x in drawn]

    def others(self, *, unrolled: bool = False) -> list[Tensor]:
        """Inputs of other sizes; of as many steps where loops over time are `unrolled`."""
        loose, fixed = self.example.loose, self.example.fixed if unrolled else ()
        sizes = {name: size for name, size in loose.items() if name not in fixed}
        return self.inputs(sizes=sizes)


@cache
def _architecture(name: str) -> tncompile.Architecture:
    case = next(case for case in CASES if case.name == name)
    spec = tncompile.load(ACCEPTANCE / "models" / case.file)
    return spec.instantiate(case.block, **case.arguments)


MODELS = (
    ModelSubject("gpt2", ("h.0", "h.1")),
    ModelSubject("resnet18", ("stage.0", "stage.1", "stage.2", "stage.3")),
    ModelSubject("mixture of experts", ("up",)),
    ModelSubject("tt gru", ("cell", "head"), loops=True),
    ModelSubject("tied head, dense", ("embed",), tied=True),
    ModelSubject("lora", ("delta",)),
    ModelSubject("metatt", ("block.0", "block.1", "block.2")),
    ModelSubject("fourier neural operator", ("block.0.spectral", "block.1.spectral")),
    ModelSubject("state space layer", ("cell", "project"), loops=True),
)
