"""In which order a model reaches its layers, which of them share an input, which write to a stream.

A layer writes to a residual stream where its output is added to something that was there before the
layer was called: a later layer can make up for an error of it. That is read off one forward pass,
from the operations that torch runs; dropout is none where it does nothing.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from tncompile.tensorizing.calibrating.patterns import matching
from tncompile.tensorizing.healing.refits.passes import is_sum, other_place


@dataclass(frozen=True)
class Stop:
    """Layers that are refitted at once: one, or several with the same input.

    added  how many tensors are added to the output that were there before
    every  whether the layer is called more than once
    """

    names: tuple[str, ...]
    added: int = 0
    every: bool = False


@dataclass
class _Met:
    """What one pass shows of a layer."""

    name: str
    at: int = 0
    calls: int = 0
    x: torch.Tensor | None = None
    tracked: torch.Tensor | None = None
    added: int = 0


@dataclass
class Seen:
    """The order of stops, the layers that no stop has, and the input of the last."""

    stops: list[Stop] = field(default_factory=list)
    unreached: list[str] = field(default_factory=list)
    last: torch.Tensor | None = None


class _Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tells when each tensor came to be, and what is added to outputs of layers."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.clock = 0
        self.born: dict[int, tuple[weakref.ref[torch.Tensor], int]] = {}
        self.open: list[_Met] = []

    def before(self, tensor: torch.Tensor, time: int) -> bool:
        """Whether a tensor was there then; what no operation made always was."""
        known = self.born.get(id(tensor))
        return known is None or known[0]() is not tensor or known[1] < time

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> object:
        """An operation of torch."""
        kwargs = kwargs or {}
        grown: list[_Met] = []
        if is_sum(func, args, kwargs):
            for met in list(self.open):
                assert met.tracked is not None
                place = other_place(met.tracked, args[0], args[1])
                if place is None:
                    continue
                if self.before(args[place], met.at):
                    grown.append(met)
                else:
                    self.open.remove(met)
        result = func(*args, **kwargs)
        self.clock += 1
        for each in result if isinstance(result, tuple | list) else (result,):
            if isinstance(each, torch.Tensor) and not any(each is a for a in args):
                self.born[id(each)] = weakref.ref(each), self.clock
        for met in grown:
            met.added += 1
            met.tracked = result
        return result


def seen(
    model: nn.Module,
    layers: Mapping[str, nn.Module],
    call: Callable[[nn.Module, Any], object],
    batch: object,
    residual: Sequence[str] | None,
) -> Seen:
    """What one pass of a batch shows of the layers.

    `residual` are patterns of the names of those that may write to a stream, None for all. Raises
    ValueError for a pattern that matches no layer that does.
    """
    trace = _Trace()
    met = {name: _Met(name) for name in layers}
    handles = []
    order: list[_Met] = []
    for name, module in layers.items():

        def enter(
            module: nn.Module, args: Any, kwargs: dict[str, Any], own: _Met = met[name]
        ) -> None:
            own.calls += 1
            trace.clock += 1
            if own.calls == 1:
                own.at = trace.clock
                own.x = args[0] if args else next(iter(kwargs.values()))
                order.append(own)

        def leave(module: nn.Module, args: Any, output: Any, own: _Met = met[name]) -> None:
            if own.calls == 1 and isinstance(output, torch.Tensor):
                own.tracked = output
                trace.open.append(own)

        handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        handles.append(module.register_forward_hook(leave))
    try:
        with torch.no_grad(), trace:
            call(model, batch)
    finally:
        for handle in handles:
            handle.remove()
    writing = [each.name for each in order if each.added and each.calls == 1]
    wanted = writing if residual is None else _matching(writing, residual)
    return _stops(order, [name for name in layers if not met[name].calls], wanted)


def _stops(order: list[_Met], unreached: list[str], wanted: list[str]) -> Seen:
    found = Seen(unreached=unreached)
    left = list(order)
    while left:
        first = left.pop(0)
        if first.calls > 1:
            found.stops.append(Stop((first.name,), every=True))
        elif first.name in wanted:
            found.stops.append(Stop((first.name,), first.added))
        else:
            same = [
                each
                for each in left
                if each.x is first.x and each.calls == 1 and each.name not in wanted
            ]
            left = [each for each in left if each not in same]
            found.stops.append(Stop((first.name, *(each.name for each in same))))
        found.last = first.x
    return found


def _matching(writing: list[str], patterns: Sequence[str]) -> list[str]:
    none = (
        "the output of no layer '{pattern}' is added to what was there before: that of {names} is"
    )
    return matching(patterns, writing, none=none)
