"""How a model is called on a batch of a user, and left as it was."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn
from torch.nn.utils.parametrize import ParametrizationList


def called(model: nn.Module, batch: object) -> object:
    """The model of a batch: names and arguments, arguments, or one."""
    if isinstance(batch, Mapping):
        return model(**batch)
    if isinstance(batch, Sequence) and not isinstance(batch, str):
        return model(*batch)
    return model(batch)


def first_tensor(result: object) -> object:
    """The first tensor of real numbers in what a model returns."""
    if isinstance(result, torch.Tensor):
        return result
    if isinstance(result, Mapping):
        result = list(result.values())
    for each in result if isinstance(result, Sequence) and not isinstance(result, str) else ():
        found = first_tensor(each)
        if isinstance(found, torch.Tensor) and found.is_floating_point():
            return found
    return result


def digest(seed: int, batch: object) -> int:
    """A number that follows from the seed and the tensors and texts of a batch."""
    found = hashlib.blake2b(str(seed).encode(), digest_size=8)

    def feed(part: object) -> None:
        if isinstance(part, torch.Tensor):
            plain = part.detach().cpu().contiguous().reshape(-1)
            found.update(f"{part.dtype}{tuple(part.shape)}".encode())
            found.update(plain.view(torch.uint8).numpy().tobytes())
        elif isinstance(part, Mapping):
            for key, value in part.items():
                feed(key)
                feed(value)
        elif isinstance(part, list | tuple):
            for each in part:
                feed(each)
        elif hasattr(part, "__array__"):
            feed(torch.as_tensor(part))
        elif isinstance(part, str | bytes | int | float):
            found.update(repr(part).encode("utf-8", "backslashreplace"))

    feed(batch)
    return int.from_bytes(found.digest(), "little") >> 1


@contextmanager
def kept_modes(modules: Iterable[nn.Module], *, training: bool) -> Iterator[None]:
    """Modules in one mode; theirs are as before, then."""
    modes = [(module, module.training) for module in modules]
    for module, _ in modes:
        module.training = training
    try:
        yield
    finally:
        for module, before in modes:
            module.training = before


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """The model as it is used, not as it is trained; it and all generators are as before, then."""
    with own_random(), kept_modes(model.modules(), training=False):
        yield


def unchanged_weights(model: nn.Module) -> AbstractContextManager[None]:
    """Weights under a parametrization are read without changing what it keeps.

    `spectral_norm` takes a step of its power iteration whenever a weight is read in training mode.
    Modes are those of before afterwards, so copies are to be made outside of the body.
    """
    lists = (each for each in model.modules() if isinstance(each, ParametrizationList))
    return kept_modes([part for each in lists for part in each.modules()], training=False)


def require_values(model: nn.Module) -> None:
    """Raise ValueError for a parameter that is on the device `meta`."""
    for name, parameter in model.named_parameters():
        if parameter.is_meta:
            raise ValueError(f"{name!r} is on the device `meta`: it has no values")


def require_batches(name: str, data: object) -> None:
    """Raise TypeError for what is one batch, or none at all."""
    if isinstance(data, torch.Tensor | Mapping | str) or not isinstance(data, Iterable):
        kind = type(data).__name__
        raise TypeError(f"{name} is a list or another iterable of batches, not a {kind}")


def own_random() -> AbstractContextManager[None]:
    """Random numbers of the body are its own: all generators go on as if it had drawn none."""
    return torch.random.fork_rng(range(torch.cuda.device_count()))
