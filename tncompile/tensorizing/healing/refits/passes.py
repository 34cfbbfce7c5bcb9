"""Forward passes that stop at a layer, and go on from there the next time.

Layers are refitted in the order in which a forward pass reaches them, so that a pass is wanted up
to each of them. What modules returned before is kept, and returned again where they were; only the
outermost are: what a module was made of is dropped when it is done. That holds for modules whose
result depends on what they are given and on weights alone. Where a result is changed in place after
it was kept, passes run from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from tncompile.tensorizing.healing.memory import Memory

Path = tuple[int, ...]
"""Where a call is: the how-manieth of the calls that the one around it makes, from the outside."""


class _Stop(BaseException):
    """A pass has seen what it was for; no `except Exception` of a model holds it."""


class _Changed(BaseException):
    """What was kept has been changed in place."""


@dataclass
class _Kept:
    output: object
    versions: list[tuple[torch.Tensor, int]]
    size: int


@dataclass
class _Frame:
    path: Path
    calls: int = 0
    kept: list[Path] = field(default_factory=list)


@dataclass
class Call:
    """What a layer was given, and what it gave."""

    x: torch.Tensor
    y: torch.Tensor | None


@dataclass
class Reached:
    """The calls of a layer in one pass, and what is added to its output, in order."""

    calls: list[Call] = field(default_factory=list)
    added: list[torch.Tensor] = field(default_factory=list)


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees what tensors are added to one tensor, and to what comes of that."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.stop_after = stop_after
        self.tracked: torch.Tensor | None = None
        self.found: list[torch.Tensor] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> object:
        """An operation of torch."""
        kwargs = kwargs or {}
        other = None
        if self.tracked is not None and is_sum(func, args, kwargs):
            place = other_place(self.tracked, args[0], args[1])
            if place is not None:
                other = args[place].reshape(self.tracked.shape)
                other = other.clone() if func is torch.ops.aten.add_.Tensor else other
        result = func(*args, **kwargs)
        if other is not None:
            self.found.append(other)
            self.tracked = result
            if len(self.found) == self.stop_after:
                raise _Stop
        return result


def is_sum(func: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether an operation is a sum of two tensors of the same shape."""
    return (
        func in (torch.ops.aten.add.Tensor, torch.ops.aten.add_.Tensor)
        and len(args) == 2
        and kwargs.get("alpha", 1) == 1
        and all(isinstance(each, torch.Tensor) for each in args)
        and args[0].numel() == args[1].numel()
    )


def other_place(one: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> int | None:
    """Which of two tensors the other is in a sum with this one, 0 or 1; None where it is neither.

    Another view of all of it, in the same order, is the same tensor.
    """
    for place, own in enumerate((a, b)):
        same = own.data_ptr() == one.data_ptr() and own.numel() == one.numel()
        alike = own.dtype == one.dtype and own.is_contiguous() and one.is_contiguous()
        if own is one or (same and alike):
            return 1 - place
    return None


class Passes:
    """Passes of one model over batches, each of which goes on where it was stopped.

    `opaque` are modules that are not looked into: the networks that stand for layers.
    """

    def __init__(
        self,
        model: nn.Module,
        opaque: Iterable[nn.Module],
        call: Callable[[nn.Module, Any], object],
        memory: Memory,
    ) -> None:
        self.model, self.call, self.memory = model, call, memory
        self.keeps = True
        self._opaque = {id(module) for module in opaque}
        self._kept: dict[int, dict[Path, _Kept]] = {}
        self._stack: list[_Frame] | None = None
        self._now: dict[Path, _Kept] = {}
        self._wanted: nn.Module | None = None
        self._every = False
        self._reached = Reached()
        self._watch: Watch | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """The modules of the model under watch while the body runs."""
        changed: list[tuple[nn.Module, object]] = []
        nothing = object()
        skipped: set[int] = set()
        for module in self.model.modules():
            if id(module) in self._opaque or isinstance(module, torch.jit.ScriptModule):
                skipped |= {id(each) for each in module.modules() if each is not module}
        try:
            for module in self.model.modules():
                if module is self.model or id(module) in skipped:
                    continue
                changed.append((module, vars(module).get("forward", nothing)))
                module.forward = self._wrapped(module, module.forward)
            yield
        finally:
            for module, own in changed:
                if own is nothing:
                    vars(module).pop("forward", None)
                else:
                    vars(module)["forward"] = own

    def up_to(
        self, place: int, batch: object, module: nn.Module, *, added: int = 0, every: bool = False
    ) -> Reached:
        """A pass of a batch, whose number is `place`, until a module is called.

        With `added` it runs on until so many tensors were added to the output; with `every`, to the
        end, for all calls of the module. Nothing that comes of the module is kept.
        """
        try:
            return self._run(place, batch, module, added, every)
        except _Changed:
            self.forget()
            self.keeps = False
            return self._run(place, batch, module, added, every)

    def forget(self) -> None:
        """Drop what was kept."""
        for kept in self._kept.values():
            for path in list(kept):
                self._drop(kept, path)
        self._kept = {}

    def _run(
        self, place: int, batch: object, module: nn.Module, added: int, every: bool
    ) -> Reached:
        self._now = self._kept.setdefault(place, {})
        self._stack = [_Frame(())]
        self._wanted, self._every, self._reached = module, every, Reached()
        self._watch = Watch(added) if added else None
        try:
            with torch.no_grad():
                if self._watch is not None:
                    with self._watch:
                        self.call(self.model, batch)
                else:
                    self.call(self.model, batch)
        except _Stop:
            pass
        finally:
            self._stack, self._wanted = None, None
            if self._watch is not None:
                self._reached.added = self._watch.found
            self._watch = None
        return self._reached

    def _wrapped(self, module: nn.Module, forward: Callable[..., object]) -> Callable[..., object]:
        def run(*args: object, **kwargs: object) -> object:
            if self._stack is None:
                return forward(*args, **kwargs)
            return self._called(self._stack, module, forward, args, kwargs)

        return run

    def _called(
        self,
        stack: list[_Frame],
        module: nn.Module,
        forward: Callable[..., object],
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> object:
        outer = stack[-1]
        path = (*outer.path, outer.calls)
        outer.calls += 1
        if path in self._now:
            kept = self._now[path]
            if any(tensor._version != version for tensor, version in kept.versions):
                raise _Changed
            outer.kept.append(path)
            return kept.output
        if module is self._wanted:
            return self._meet(forward, args, kwargs)
        frame = _Frame(path)
        stack.append(frame)
        try:
            output = forward(*args, **kwargs)
        finally:
            stack.pop()
        if not self._reached.calls and self._keep(path, output):
            for inner in frame.kept:
                self._drop(self._now, inner)
            outer.kept.append(path)
        else:
            outer.kept += frame.kept
        return output

    def _meet(
        self, forward: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> object:
        x = args[0] if args else next(iter(kwargs.values()))
        assert isinstance(x, torch.Tensor)
        reached = Call(x.clone() if self._every or self._watch is not None else x, None)
        self._reached.calls.append(reached)
        if not self._every and self._watch is None:
            raise _Stop
        y = forward(*args, **kwargs)
        assert isinstance(y, torch.Tensor)
        reached.y = y
        if self._watch is not None:
            self._watch.tracked = y
        return y

    def _keep(self, path: Path, output: object) -> bool:
        if not self.keeps:
            return False
        tensors: list[torch.Tensor] = []
        if not _tensors(output, tensors):
            return False
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        if not self.memory.take(size):
            return False
        self._now[path] = _Kept(output, [(tensor, tensor._version) for tensor in tensors], size)
        return True

    def _drop(self, kept: dict[Path, _Kept], path: Path) -> None:
        found = kept.pop(path, None)
        if found is not None:
            self.memory.left += found.size


def _tensors(value: object, found: list[torch.Tensor]) -> bool:
    """Whether a value is made of tensors, numbers and texts; the tensors are put in `found`."""
    match value:
        case torch.Tensor():
            found.append(value)
            return not value.is_inference()
        case None | bool() | int() | float() | str():
            return True
        case Mapping():
            return all(_tensors(each, found) for each in value.values())
        case tuple() | list():
            return all(_tensors(each, found) for each in value)
        case _:
            return False
