"""Emitted source to classes and modules; the only file that imports torch.

A class made from text cannot be found by pickle. Every class of an emitted file therefore gets a
reducer that stores the source, so that `pickle`, `torch.save` and `copy.deepcopy` work, also in a
process that has never seen the class. Classes are cached by the hash of their source: equal sources
are one class.
"""

from __future__ import annotations

import copyreg
import hashlib
import linecache
import sys
from collections.abc import Callable
from contextlib import ExitStack
from types import ModuleType
from typing import TYPE_CHECKING, SupportsIndex, cast

import torch
from torch import nn

from tncompile.emission.file import GeneratedModule

if TYPE_CHECKING:
    from tncompile.typed import TensorNetworkModule

PREFIX = "tncompile_generated_"
"""Emitted files are modules of this name and the beginning of their hash."""


def instantiate(
    generated: GeneratedModule,
    *,
    dtype: torch.dtype | str | None = None,
    device: torch.device | str | None = None,
    seed: int | None = None,
    batch_invariant: bool = False,
) -> TensorNetworkModule:
    """A fresh module; a `seed` fixes how it starts and leaves the generators of torch alone.

    `dtype` may be a name: `"bfloat16"`, `"torch.complex64"`. A module that does not branch is
    `batch_invariant` as it is.
    """
    number = getattr(torch, dtype.removeprefix("torch."), None) if isinstance(dtype, str) else dtype
    if number is not None or dtype is not None:
        if not isinstance(number, torch.dtype):
            raise TypeError(f"{dtype!r} is not a dtype of torch")
        if not (number.is_floating_point or number.is_complex):
            raise TypeError(f"parameters are real or complex numbers, not {number}")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, SupportsIndex)):
        raise TypeError(f"a seed is an int, not {seed!r}")
    options = {"batch_invariant": batch_invariant} if generated.branching else {}
    where = placed(device)
    forked = [] if where.type in ("cpu", "meta") else [where]
    with ExitStack() as stack:
        if seed is not None:
            kind = where.type if forked else "cuda"
            stack.enter_context(torch.random.fork_rng(devices=forked, device_type=kind))
            torch.manual_seed(seed)
        cls = _find(generated.source, generated.class_name)
        module = cast("TensorNetworkModule", cls(device=device, dtype=number, **options))
    if not generated.branching:
        vars(module)["batch_invariant"] = True  # a tensor may have that name, too
    return module


def placed(device: torch.device | str | None) -> torch.device:
    """Where a module goes: to torch's default device unless another is named."""
    return torch.get_default_device() if device is None else torch.device(device)


def _find(source: str, class_name: str) -> type[nn.Module]:
    """A class of an emitted file, which is executed when it is first asked for.

    The file is a module of its own; its lines show in tracebacks.
    """
    name = PREFIX + hashlib.sha256(source.encode()).hexdigest()[:16]
    module = sys.modules.get(name)
    if module is None:
        filename = f"<{name}>"
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        module = ModuleType(name, "Made by tncompile.")
        module.__file__ = filename
        code = compile(source, filename, "exec", dont_inherit=True)
        exec(code, module.__dict__)
        sys.modules[name] = module
        for value in list(vars(module).values()):
            if isinstance(value, type) and value.__module__ == name:
                copyreg.pickle(value, _reducer(source))
    return cast(type[nn.Module], getattr(module, class_name))


Reduced = tuple[Callable[..., nn.Module], tuple[str, str], object]


def _reducer(source: str) -> Callable[[nn.Module], Reduced]:
    """What pickle is told about an instance: the source, the name of its class, its state."""

    def reduce(module: nn.Module) -> Reduced:
        state = object.__reduce_ex__(module, 2)[2]
        return rebuild, (source, type(module).__name__), state

    return reduce


def rebuild(source: str, class_name: str) -> nn.Module:
    """An empty instance, for pickle to fill; the name is part of what pickles hold."""
    cls = _find(source, class_name)
    return cls.__new__(cls)
