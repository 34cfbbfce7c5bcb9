"""What a table keeps where its frequent rows have more numbers than rare ones.

Rows are sorted by what they count, and cut in two or three groups. With one threshold on what a
number of a row gains, s² of the group for each of its rows, every choice of groups has its ranks.
Those are offered that none with fewer numbers is as near as; their errors are those of fits.

Squared errors give next to nothing to rare words, which are lost then: so each keeps at least a
part of the numbers that all would have in a table of low rank as large.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations, pairwise

import torch

from tncompile.tensorizing.fitting.mixing import nested, sorted_rows

WIDE = 1024
"""Features from which on there are fewer choices: each takes decompositions of (features)²."""

HALVINGS = 10, 4
"""A group may end at a half, a fourth, … of all words; of wide tables at fewer."""

LEAST_WORDS = 8

RARE = 0.6
"""The numbers of a rare word are at least this part of those of any word at low rank."""

SIZES = 64, 16
"""How many sizes are offered, in about equal steps; of wide tables fewer."""

Groups = tuple[int, ...]
"""Where groups end, ascending: 0, the words of the first, …, all words."""

Ranks = tuple[int, ...]
"""Numbers of a row of each group, of rare words first."""


@dataclass(frozen=True, eq=False)
class MixedForm:
    """Counts and ranks of a `MixedEmbedding`, and its numbers; `grams` are those of its groups."""

    counts: tuple[int, ...]
    ranks: tuple[int, ...]
    parameters: int
    grams: tuple[torch.Tensor, ...] = field(repr=False)

    @cached_property
    def error(self) -> float:
        """The squared error, that of the fit."""
        return nested(self.grams, self.ranks)[1]


def mixed_forms(seen: torch.Tensor, least: int, multiple: int) -> Iterator[MixedForm]:
    """Forms of a table (words, features) in the metric, from small to large."""
    words, features = seen.shape
    halvings, sizes = (few[features > WIDE] for few in (HALVINGS, SIZES))
    cuts = [words >> k for k in range(1, halvings + 1) if words >> k >= LEAST_WORDS][::-1]
    if not cuts or least >= features:
        return
    rows = seen[sorted_rows(seen)]
    ends = (0, *cuts, words)
    grams = {(a, b): rows[a:b].mT @ rows[a:b] for a, b in pairwise(ends)}
    for a, b in combinations(ends, 2):
        inside = [cell for cell in pairwise(ends) if a <= cell[0] and cell[1] <= b]
        grams[a, b] = torch.stack([grams[cell] for cell in inside]).sum(0)
    spectra = {
        part: torch.linalg.eigvalsh(gram).flip(0).clamp(min=0) for part, gram in grams.items()
    }
    choices = [(0, *some, words) for n in (1, 2) for some in combinations(cuts, n)]
    cells = [(spectra[a, b], b - a) for a, b in pairwise(ends)]
    found = [
        _chosen(groups, spectra, threshold, least, multiple)
        for threshold in _thresholds(cells, sizes)
        for groups in choices
    ]
    known = [each for each in found if each is not None]
    for groups, ranks in _front(known, words * features / sizes):
        own = tuple(grams[part] for part in list(pairwise(groups))[::-1])  # rare words first
        counts = groups[-2:0:-1]
        yield MixedForm(counts, ranks, _numbers(words, features, counts, ranks), own)


def _front(
    given: Sequence[tuple[int, float, Groups, Ranks]], step: float
) -> Iterator[tuple[Groups, Ranks]]:
    """Groups and ranks that none with fewer numbers is as near as, one for each step of numbers."""
    least, last = math.inf, None
    for numbers, lost, groups, ranks in sorted(given):
        if lost >= least:
            continue
        place = int(numbers / step)
        if last is not None and last[0] < place:
            yield last[1:]
        least, last = lost, (place, groups, ranks)
    if last is not None:
        yield last[1:]


def _thresholds(spectra: Sequence[tuple[torch.Tensor, int]], count: int) -> list[float]:
    """Gains of a number of a row, from large to small, between which there are as many numbers.

    `spectra` are those of groups, each with its number of rows.
    """
    gains = torch.cat([spectrum / rows for spectrum, rows in spectra])
    numbers = torch.cat([torch.full_like(spectrum, rows) for spectrum, rows in spectra])
    order = gains.argsort(descending=True, stable=True)
    part = numbers[order].cumsum(0) / numbers.sum()
    steps = (torch.arange(count, dtype=part.dtype, device=part.device) + 0.5) / count
    places = torch.searchsorted(part, steps).clamp(max=len(order) - 1)
    return [gain for gain in gains[order][places].tolist() if gain > 0]


def _chosen(
    groups: Groups,
    spectra: dict[tuple[int, int], torch.Tensor],
    threshold: float,
    least: int,
    multiple: int,
) -> tuple[int, float, Groups, Ranks] | None:
    """The ranks of groups if they grow from rare to frequent words, behind numbers and error.

    The squared error is that of subspaces that are not nested: a little less.
    """
    features = len(next(iter(spectra.values())))
    parts, counts = list(pairwise(groups))[::-1], groups[-2:0:-1]
    ranks = []
    for a, b in parts:
        above = int((spectra[a, b] > threshold * (b - a)).sum())
        ranks.append(min(features, max(least, -(-above // multiple) * multiple)))
    if any(more <= few for few, more in pairwise(ranks)):
        return None
    words = groups[-1]
    per_rank = words + features  # numbers of low rank
    while ranks[0] < RARE * (numbers := _numbers(words, features, counts, ranks)) / per_rank:
        ranks[0] += multiple
        if ranks[0] >= ranks[1]:
            return None
    lost = sum(float(spectra[part][rank:].sum()) for part, rank in zip(parts, ranks, strict=True))
    return numbers, lost, groups, tuple(ranks)


def _numbers(words: int, features: int, counts: Groups, ranks: Sequence[int]) -> int:
    """How many numbers such a table has."""
    more = zip(counts, pairwise(ranks), strict=True)
    rows = sum((count + 1) * (high - low) for count, (low, high) in more)
    return words * ranks[0] + rows + ranks[-1] * features
