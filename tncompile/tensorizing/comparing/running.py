"""Both models on the batches of a data set, one batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tncompile.tensorizing.calibrating.calling import (
    called,
    digest,
    first_tensor,
    own_random,
    undisturbed,
)
from tncompile.tensorizing.comparing.distances import columns, sums_of
from tncompile.tensorizing.comparing.requirements import Kind

Output = Callable[[nn.Module, Any], torch.Tensor]
Labels = Callable[[Any], torch.Tensor]

MASK = "attention_mask"
"""The argument of models of transformers that says which positions are padding."""

MOST_SAID = 3
"""Batches whose numbers are named where they are not finite."""


@dataclass(frozen=True, eq=False)
class Pair:
    """The original and the changed model, and what of them counts."""

    original: nn.Module
    changed: nn.Module
    output: Output | None
    labels: Labels | None
    seed: int

    def each(self) -> tuple[tuple[str, nn.Module], tuple[str, nn.Module]]:
        """Both with the words for them."""
        return ("original", self.original), ("changed", self.changed)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Both in eval mode and without gradients; afterwards they and generators are as before."""
        with undisturbed(self.original), undisturbed(self.changed), torch.no_grad():
            yield

    def run(self, model: nn.Module, batch: object, drawn: int, where: str) -> torch.Tensor:
        """The output for a batch, which stays what it is; `drawn` seeds what the model draws."""
        own = copied(batch)
        with own_random(), failing(where):
            torch.manual_seed(drawn)
            result = called(model, own) if self.output is None else self.output(model, own)
        found = _tensor_of(result) if self.output is None else result
        if not isinstance(found, torch.Tensor) or not found.is_floating_point():
            what = found.dtype if isinstance(found, torch.Tensor) else type(found).__name__
            raise ValueError(f"{where}: the output is to be a tensor of real numbers, not {what}")
        found = found.detach()
        return found if found.dim() else found.unsqueeze(0)


@dataclass(frozen=True, eq=False)
class Gathered:
    """What a data set gave.

    table     what each sample adds up to, (samples, columns)
    first     the first batch, None where there is none
    problems  where numbers were not finite, in words
    """

    kind: Kind
    table: torch.Tensor
    batches: int
    first: object
    problems: tuple[str, ...]


def gathered(
    pair: Pair, data: Iterable[object], kind: Kind | None, name: str, step: Callable[[], None]
) -> Gathered:
    """Sums of all samples of a data set. Raises ValueError for outputs that cannot be compared."""
    tables: list[torch.Tensor] = []
    wrong: list[str] = []
    first: object = None
    number = 0
    for number, batch in enumerate(data, start=1):
        if number == 1:
            first = copied(batch)
        place = f"batch {number} of {name}"
        drawn = digest(pair.seed, batch)
        found = [pair.run(m, batch, drawn, f"{place}, {which} model") for which, m in pair.each()]
        original, changed = found[0], found[1].to(found[0].device)
        if original.shape != changed.shape:
            shapes = " and ".join(str(tuple(each.shape)) for each in found)
            raise ValueError(f"{place}: outputs of shapes {shapes} cannot be compared")
        kind = kind or _kind(original)
        if kind != "values" and original.dim() < 2:
            shape = tuple(original.shape)
            raise ValueError(f"{place}: {kind} are (samples, …, features), not {shape}")
        labels = _labels(pair.labels, batch, original, place)
        tables.append(
            sums_of(kind, original, changed, _counted(batch, original, kind, labels), labels)
        )
        wrong += _not_finite(pair, (original, changed), kind, place)
        step()
    if not number:
        raise ValueError(f"{name} has no batches")
    assert kind is not None
    table = torch.cat(tables)
    if not len(table):
        raise ValueError(f"{name} has no samples")
    if not bool(table[:, 0].sum() > 0):
        raise ValueError(f"{name} has no position that counts")
    more = len(wrong) - MOST_SAID
    said = (*wrong[:MOST_SAID], *((f"{more:,} more of {name}",) if more > 0 else ()))
    assert table.shape[1] == len(columns(kind, labeled=pair.labels is not None))
    return Gathered(kind, table, number, first, said)


@contextmanager
def failing(what: str) -> Iterator[None]:
    """ValueError for whatever a function of the user raises in the body: it says where that was."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        words = (str(error).splitlines() or [""])[0]
        raise ValueError(f"{what} raised {type(error).__name__}: {words}") from error


def copied(batch: object) -> Any:
    """A batch with tensors of its own: a model may write into what it is given."""
    match batch:
        case torch.Tensor():
            return batch.clone()
        case dict():
            return {key: copied(value) for key, value in batch.items()}
        case list():
            return [copied(each) for each in batch]
        case tuple() if type(batch) is tuple:
            return tuple(copied(each) for each in batch)
    return batch


def _tensor_of(result: object) -> object:
    """Logits by their name, else the first tensor of real numbers."""
    if isinstance(result, Mapping) and isinstance(result.get("logits"), torch.Tensor):
        return result["logits"]
    return first_tensor(result)


def _kind(output: torch.Tensor) -> Kind:
    """What outputs are where nobody said it."""
    return "vectors" if output.dim() in (2, 3) and output.shape[-1] > 1 else "values"


def _labels(
    of: Labels | None, batch: object, output: torch.Tensor, place: str
) -> torch.Tensor | None:
    """Labels that fit an output: a class for each position, negative ones where there is none."""
    if of is None:
        return None
    with failing(f"{place}, labels"):
        labels = torch.as_tensor(of(batch))
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"{place}: labels are integers, not {labels.dtype}")
    if labels.shape != output.shape[:-1]:
        shapes = f"{tuple(labels.shape)}, and logits {tuple(output.shape)}"
        raise ValueError(f"{place}: labels are of shape {shapes}")
    if labels.numel() and int(labels.max()) >= output.shape[-1]:
        raise ValueError(f"{place}: there is no class {int(labels.max())} in {output.shape[-1]}")
    return labels


def _counted(
    batch: object, output: torch.Tensor, kind: Kind, labels: torch.Tensor | None
) -> torch.Tensor | None:
    """Which positions count; None for all of them."""
    if labels is not None:
        return labels >= 0
    mask = batch.get(MASK) if isinstance(batch, Mapping) else None
    if kind == "values" or not isinstance(mask, torch.Tensor) or output.dim() < 3:
        return None
    return mask != 0 if mask.shape == output.shape[:-1] else None


def _not_finite(
    pair: Pair, outputs: tuple[torch.Tensor, torch.Tensor], kind: Kind, place: str
) -> Iterator[str]:
    """In words, how many numbers are none; minus infinity is a logit of what cannot be."""
    for (which, _), output in zip(pair.each(), outputs, strict=True):
        wrong = output.isnan() | output.isposinf()
        if kind != "logits":
            wrong |= output.isneginf()
        if count := int(wrong.sum()):
            yield f"{place}: {count:,} of {output.numel():,} numbers of the {which} are not finite"
