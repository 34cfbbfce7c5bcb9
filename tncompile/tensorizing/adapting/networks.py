"""The network that stands beside a layer: a block with the sizes of the layer and a rank."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from tncompile.architecture import Architecture
from tncompile.blocks import Block
from tncompile.choosing import RANKS, open_ranks
from tncompile.converting import completed
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.resolved import value_text
from tncompile.model import Model
from tncompile.spec import load, loads
from tncompile.tensorizing.adapting.hosts import Host, low_rank, require_fit
from tncompile.tensorizing.adapting.layers import FromStart, Setting
from tncompile.tensorizing.adapting.starting import zero_start
from tncompile.tensorizing.adapting.targets import Target
from tncompile.tensorizing.rewriting.rewrite import shown

RANK = 8
"""Of blocks whose ranks a call leaves open."""

LIBRARY = {
    "linear": "std/linear.tn",
    "embedding": "std/embedding.tn",
    "conv": "std/convolution.tn",
}

OTHER_NAMES = {
    ("embedding", "LowRank"): "LowRankTable",
    ("embedding", "MPO"): "TTEmbedding",
    ("conv", "LowRank"): "LowRankConv",
    ("conv", "MPO"): "TTConv",
}
"""The same for other kinds of layers."""

Make = Callable[[nn.Module], Architecture]


@dataclass(frozen=True)
class Beside:
    """A network for a layer, before it stands there."""

    target: Target
    architecture: Architecture
    setting: Setting
    module: nn.Module = field(repr=False)


class Networks:
    """The networks of layers; equal ones are one architecture, which is compiled once."""

    def __init__(
        self, block: str | Block | Architecture | Make, arguments: Mapping[str, object]
    ) -> None:
        if isinstance(block, Architecture) or not isinstance(block, str | Block):
            if arguments:
                name = next(iter(arguments))
                raise TypeError(f"{name!r} is an argument of a block, and no block was named")
            if not isinstance(block, Architecture) and not callable(block):
                what = type(block).__name__
                raise TypeError(
                    f"block is a name, a Block, an Architecture or a function, not {what}"
                )
        if arguments.get("with_bias"):
            raise ValueError("an adapter is added to a weight: it has no bias")
        self.block, self.arguments = block, arguments
        self._made: dict[object, tuple[Architecture, bool]] = {}

    def of(self, target: Target, rank: object) -> tuple[Architecture, bool]:
        """The network beside a layer, and whether its start is taken off.

        Raises ValueError for one that does not fit the layer or cannot start at zero, and
        `CompileError` for wrong arguments.
        """
        if isinstance(self.block, Architecture):
            return self._started(self.block, target.host)
        if isinstance(self.block, str | Block):
            key = self._key(target.host, rank)
            if key not in self._made:
                made = self._instantiated(self.block, target.host, rank)
                self._made[key] = self._started(made, target.host)
            return self._made[key]
        if rank is not None:
            raise ValueError("rank_pattern is for blocks: a function sees the layer itself")
        found = self.block(target.module)
        if not isinstance(found, Architecture):
            raise TypeError(f"an Architecture is made for each layer, not {type(found).__name__}")
        return self._started(found, target.host)

    def _started(self, made: Architecture, host: Host) -> tuple[Architecture, bool]:
        if isinstance(made, Model):
            raise ValueError(f"{made!r} is a model: an adapter is one network")
        known = id(made), host.kind, host.shape
        if known not in self._made:
            require_fit(made.network, host)
            self._made[known] = zero_start(made)
            self._made[id(made)] = made, False  # so that no other gets its identity
        return self._made[known]

    def _key(self, host: Host, rank: object) -> object:
        settings: tuple[object, ...] = ()
        if host.kind == "conv":
            names = ("stride", "padding", "dilation", "groups", "padding_mode")
            settings = tuple(getattr(host.dense, name) for name in names)
        return host.kind, host.shape, settings, repr(rank)

    def _instantiated(self, block: str | Block, host: Host, rank: object) -> Architecture:
        block = _named(block, host) if isinstance(block, str) else block
        known = {parameter.name for parameter in block.parameters}
        given = dict(self.arguments)
        if "with_bias" in known:
            given["with_bias"] = False
        ranks = [name for name in RANKS if name in known]
        if rank is not None:
            if not ranks:
                raise ValueError(f"rank_pattern: {block.name} has no ranks")
            given.update(dict.fromkeys(ranks, _rank(rank)))
        for name in open_ranks(block, given):
            if name in RANKS:
                given[name] = RANK
        if host.kind == "embedding" and "rows" not in known:
            words, features = host.shape
            sizes = {"words": words, "features": features}
            given = {name: n for name, n in sizes.items() if name in known} | given
        return block.instantiate(**completed(host.dense, block, given))


def _named(name: str, host: Host) -> Block:
    """A block of the library for a kind of layer, by name."""
    wanted = OTHER_NAMES.get((host.kind, name), name)
    for library in (LIBRARY[host.kind], "std/adapters.tn"):
        blocks = load(library).blocks
        if wanted in blocks:
            return blocks[wanted]
    return load(LIBRARY[host.kind])[wanted]  # says what was probably meant


def _rank(rank: object) -> object:
    """A rank that a pattern gives, checked."""
    numbers = rank if isinstance(rank, Sequence) and not isinstance(rank, str) else [rank]
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(f"rank_pattern: a rank is a whole number from 1 on, not {number!r}")
    return rank


def beside(
    found: tuple[Architecture, bool],
    target: Target,
    scale: float,
    dropout: float,
    dtype: torch.dtype | None,
    seed: int | None,
) -> Beside:
    """The module of a network, with a start of its own for each layer."""
    architecture, taken_off = found
    host = target.host
    number = None if seed is None else zlib.crc32(f"{seed} {target.name}".encode())
    where = host.device
    module: nn.Module = architecture.module(
        dtype=dtype or host.dtype, device=where, seed=number, search="fast"
    )
    if taken_off:
        module = FromStart(module)
    setting = Setting(*definition(architecture), call(architecture), scale, dropout, taken_off)
    return Beside(target, architecture, setting, module)


def scale_of(architecture: Architecture, alpha: float | None) -> float:
    """What a map is multiplied by: 1, or alpha / rank for low rank, as LoRA has it, else alpha."""
    if alpha is None:
        return 1.0
    rank = low_rank(architecture.network)
    return alpha / rank if rank else alpha


def definition(architecture: Architecture) -> tuple[str, int]:
    """The text of the block that a network comes from, and where its name stands."""
    block = architecture._block.block
    return block.span.text, block.name.span.start - block.span.start


def call(architecture: Architecture) -> str:
    """The call that makes a network of its block, all arguments written out."""
    values = [f"{key} = {value_text(value)}" for key, value in architecture.arguments.items()]
    return f"{architecture._block.block.name.text}({', '.join(values)})"


def again(setting: Setting) -> Architecture:
    """The network of an adapter, from its text. Raises ValueError where it is none any more."""
    try:
        return zero_start(loads(setting.definition).instantiate(setting.call)).architecture
    except CompileError as error:
        raise ValueError(f"{shown(setting.call)} is no network: {error}") from None
