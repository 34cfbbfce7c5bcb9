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
from types import ModuleType
from typing import TYPE_CHECKING, SupportsIndex, cast

import torch
from torch import nn

from tncompile.emission.file import GeneratedModule

if TYPE_CHECKING:
    from tncompile.typed import TensorNetworkModule

PREFIX = "tncompile_generated_"
"""Emitted files are modules of this name and the beginning of their hash."""


def load(generated: GeneratedModule) -> type[nn.Module]:
    """The class of an emitted module; its lines show in tracebacks."""
    return _find(generated.source, generated.class_name)


def instantiate(
    generated: GeneratedModule,
    *,
    dtype: torch.dtype | str | None = None,
    device: torch.device | str | None = None,
    seed: int | None = None,
    batch_invariant: bool = False,
) -> TensorNetworkModule:
    """A fresh module; a `seed` fixes how it starts and leaves the generators of torch alone.

    A module that does not branch is `batch_invariant` as it is.
    """
    kind = _dtype(dtype)
    given = {"batch_invariant": batch_invariant} if generated.branching else {}

    def made() -> TensorNetworkModule:
        module = cast("TensorNetworkModule", load(generated)(device=device, dtype=kind, **given))
        if not generated.branching:
            module.batch_invariant = True
        return module

    if seed is None:
        return made()
    if isinstance(seed, bool) or not isinstance(seed, SupportsIndex):
        raise TypeError(f"a seed is an int, not {seed!r}")
    place = placed(device)
    forked = [] if place.type in ("cpu", "meta") else [place]
    with torch.random.fork_rng(devices=forked, device_type=place.type if forked else "cuda"):
        torch.manual_seed(seed)
        return made()


def placed(device: torch.device | str | None) -> torch.device:
    """Where a module goes: to torch's default device unless another is named."""
    return torch.get_default_device() if device is None else torch.device(device)


def _dtype(given: torch.dtype | str | None) -> torch.dtype | None:
    """The dtype, also by name: `"bfloat16"`, `"torch.complex64"`."""
    if given is None:
        return None
    found = getattr(torch, given.removeprefix("torch."), None) if isinstance(given, str) else given
    if not isinstance(found, torch.dtype):
        raise TypeError(f"{given!r} is not a dtype of torch")
    if not (found.is_floating_point or found.is_complex):
        raise TypeError(f"parameters are real or complex numbers, not {found}")
    return found


# ── classes ────────────────────────────────────────────────────────────────────────────────────


def _find(source: str, class_name: str) -> type[nn.Module]:
    """A class of an emitted file, which is executed when it is first asked for."""
    digest = hashlib.sha256(source.encode()).hexdigest()
    name = PREFIX + digest[:16]
    module = sys.modules.get(name)
    if module is None:
        module = _execute(source, name)
    return cast(type[nn.Module], getattr(module, class_name))


def _execute(source: str, name: str) -> ModuleType:
    """Run an emitted file as a module of its own and make its classes picklable."""
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
    return module


# ── pickling ───────────────────────────────────────────────────────────────────────────────────


Reduced = tuple[Callable[..., nn.Module], tuple[str, str], object]


def _reducer(source: str) -> Callable[[nn.Module], Reduced]:
    """What pickle is told about an instance: the source, the name of its class, its state."""

    def reduce(module: nn.Module) -> Reduced:
        state = object.__reduce_ex__(module, 2)[2]
        return rebuild, (source, type(module).__name__), state

    return reduce


def rebuild(source: str, class_name: str) -> nn.Module:
    """An empty instance, for pickle to fill; the name is part of what pickles hold."""
    made = _find(source, class_name)
    return made.__new__(made)
