"""How far outputs are apart: sums for each sample, and what is made of sums over samples.

A sample is an entry along the first axis. It may have several positions, as a text has tokens;
those of one sample stay together when samples are drawn anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from tncompile.tensorizing.comparing.requirements import Kind

Sums = Mapping[str, torch.Tensor]

AT_ONCE = 2**22
"""Numbers in double precision at a time: logits are often more than memory takes twice."""

COUNT, SQUARES, NORMS = "count", "squares", "norms"
PLAIN: Mapping[Kind, tuple[str, ...]] = {
    "vectors": (COUNT, SQUARES, NORMS, "cosines"),
    "logits": (COUNT, SQUARES, NORMS, "divergence", "flips"),
    "values": (COUNT, SQUARES, NORMS),
}
LABELED = ("labeled", "surprise", "surprise_after", "right", "right_after")


def columns(kind: Kind, *, labeled: bool) -> tuple[str, ...]:
    """What is added up for each sample."""
    return PLAIN[kind] + (LABELED if labeled else ())


@dataclass(frozen=True)
class Statistic:
    """A number made of sums over samples; where it compares two numbers, those as well."""

    name: str
    value: Callable[[Sums], torch.Tensor]
    original: Callable[[Sums], torch.Tensor] | None = None
    changed: Callable[[Sums], torch.Tensor] | None = None

    @property
    def of_each(self) -> tuple[Callable[[Sums], torch.Tensor] | None, ...]:
        """What is made of the original's sums, and of the changed model's."""
        return self.original, self.changed


def statistics(kind: Kind, *, labeled: bool) -> tuple[Statistic, ...]:
    """What is said of outputs of a kind."""
    error = Statistic("error", lambda s: (s[SQUARES] / s[NORMS]).sqrt())
    match kind:
        case "values":
            return (error,)
        case "vectors":
            return Statistic("cosine", lambda s: s["cosines"] / s[COUNT]), error
    found = (
        Statistic("kl", lambda s: s["divergence"] / s[COUNT]),
        Statistic("flips", lambda s: s["flips"] / s[COUNT]),
        error,
    )
    return (*found, *_OF_LABELS) if labeled else found


def _perplexity(sums: Sums, key: str) -> torch.Tensor:
    return (sums[key] / sums["labeled"]).exp()


_OF_LABELS = (
    Statistic(
        "perplexity",
        lambda s: ((s["surprise_after"] - s["surprise"]) / s["labeled"]).exp(),
        lambda s: _perplexity(s, "surprise"),
        lambda s: _perplexity(s, "surprise_after"),
    ),
    Statistic(
        "accuracy",
        lambda s: s["right_after"] / s["right"],
        lambda s: s["right"] / s["labeled"],
        lambda s: s["right_after"] / s["labeled"],
    ),
    Statistic("accuracy_lost", lambda s: (s["right"] - s["right_after"]) / s["labeled"]),
)


def sums_of(
    kind: Kind,
    original: torch.Tensor,
    changed: torch.Tensor,
    counted: torch.Tensor | None,
    labels: torch.Tensor | None,
) -> torch.Tensor:
    """What each sample adds up to, (samples, columns) in float64 on the CPU.

    Outputs are (samples, …, features) or, of `values`, (samples, …). `counted`, of the shape
    without the last axis, says which positions count; `labels` are of that shape, too, and
    negative where there is none.
    """
    samples, names = len(original), columns(kind, labeled=labels is not None)
    if not samples:
        return torch.zeros(0, len(names), dtype=torch.float64)
    if kind == "values":
        original, changed = (each.reshape(samples, -1) for each in (original, changed))
        original, changed = original.unsqueeze(2), changed.unsqueeze(2)
    width = original.shape[-1]
    original, changed = (each.reshape(-1, width) for each in (original, changed))
    positions = len(original) // samples
    counts = torch.ones(len(original), dtype=torch.bool, device=original.device)
    if counted is not None:
        counts = counted.to(original.device).reshape(-1)
    rights = None if labels is None else labels.to(original.device).reshape(-1)
    step = max(1, AT_ONCE // max(1, width))
    found = []
    for start in range(0, len(original), step):
        part = slice(start, start + step)
        pair = original[part].double(), changed[part].double()
        known = None if rights is None else rights[part]
        rows = _rows(kind, *pair, known)
        # zeros times what is not finite would not be zeros
        rows = torch.where(counts[part].unsqueeze(1), rows, 0.0)
        found.append(rows.cpu())
    return torch.cat(found).reshape(samples, positions, len(names)).sum(1)


def _rows(
    kind: Kind, y: torch.Tensor, z: torch.Tensor, labels: torch.Tensor | None
) -> torch.Tensor:
    """The same of each position alone: y, z (positions, features)."""
    both = y == z  # also where both are -inf
    found = [
        torch.ones_like(y[:, 0]),
        torch.where(both, 0.0, y - z).square().sum(1),
        torch.where(y == -torch.inf, 0.0, y).square().sum(1),
    ]
    if kind == "vectors":
        found.append(_cosines(y, z))
    if kind == "logits":
        p, q = y.log_softmax(1), z.log_softmax(1)
        found.append(torch.where(p == -torch.inf, 0.0, p.exp() * (p - q)).sum(1).clamp(min=0))
        found.append((y.argmax(1) != z.argmax(1)).to(y))
        if labels is not None:
            found += _labeled(p, q, labels)
    return torch.stack(found, 1)


def _cosines(y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Cosines; two vectors of zeros are alike, one beside another vector is not."""
    norms = y.norm(dim=1), z.norm(dim=1)
    alike = (norms[0] == 0) & (norms[1] == 0)
    scale = torch.where(norms[0] * norms[1] == 0, 1.0, norms[0] * norms[1])
    return torch.where(alike, 1.0, ((y * z).sum(1) / scale).clamp(-1, 1))


def _labeled(p: torch.Tensor, q: torch.Tensor, labels: torch.Tensor) -> list[torch.Tensor]:
    there = labels >= 0
    at = labels.clamp(min=0).unsqueeze(1)
    found = [there.to(p)]
    found += [torch.where(there, -each.gather(1, at)[:, 0], 0.0) for each in (p, q)]
    found += [((each.argmax(1) == at[:, 0]) & there).to(p) for each in (p, q)]
    return found
