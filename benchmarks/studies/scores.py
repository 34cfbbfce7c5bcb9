"""How well vectors of texts agree with people: three tests of gensim's test data, and intervals.

Lee: 50 documents, the similarity of each pair as people judged it (Lee, Pincombe and Welsh, "An
Empirical Evaluation of Models of Text Document Similarity", 2005); Pearson's r of cosines.
WordSim-353 (Finkelstein et al., 2002) and SimLex-999 (Hill, Reichart and Korhonen, 2015): pairs of
words; Spearman's ρ. What they can resolve is limited, which `intervals` shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from benchmarks.studies.texts import gensim_data

Encode = Callable[[Sequence[str]], torch.Tensor]
"""Texts to vectors (texts, features); their length does not count."""

TESTS = ("Lee", "WordSim", "SimLex")


@dataclass(frozen=True)
class Judged:
    """Similarities that people found: pairs of texts, by their places, and a number each."""

    texts: tuple[str, ...]
    first: np.ndarray
    second: np.ndarray
    wanted: np.ndarray
    ranked: bool  # Spearman's ρ, else Pearson's r


@cache
def judged(test: str) -> Judged:
    """One of the three tests, by name."""
    if test == "Lee":
        texts = gensim_data("lee.cor").read_text(encoding="latin-1").splitlines()
        wanted = np.loadtxt(gensim_data("similarities0-1.txt"))
        first, second = np.triu_indices(len(texts), 1)
        return Judged(tuple(texts), first, second, wanted[first, second], ranked=False)
    name = {"WordSim": "wordsim353.tsv", "SimLex": "simlex999.txt"}[test]
    rows = [
        line.split("\t")
        for line in gensim_data(name).read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    place = {word: k for k, word in enumerate(dict.fromkeys(w for row in rows for w in row[:2]))}
    first, second = (np.array([place[row[side]] for row in rows]) for side in (0, 1))
    return Judged(tuple(place), first, second, np.array([float(r[2]) for r in rows]), ranked=True)


def test_texts() -> list[str]:
    """All texts of the three tests, each once: nothing is trained on any of them."""
    return list(dict.fromkeys(text for test in TESTS for text in judged(test).texts))


@dataclass(frozen=True)
class Scores:
    """The similarities that a model finds for each test, beside those of people."""

    found: tuple[np.ndarray, ...]

    @property
    def values(self) -> tuple[float, ...]:
        """r or ρ of each test, in the order of `TESTS`."""
        return tuple(
            _correlation(found, test.wanted, test.ranked)
            for found, test in zip(self.found, map(judged, TESTS), strict=True)
        )

    def relative(self, to: Scores) -> tuple[float, ...]:
        """Each as a part of that of another model."""
        return tuple(own / its for own, its in zip(self.values, to.values, strict=True))


def scores(encode: Encode) -> Scores:
    """What a model says of the pairs of all tests."""
    found = []
    for test in map(judged, TESTS):
        vectors = torch.nn.functional.normalize(encode(test.texts).double(), dim=1).numpy()
        found.append((vectors[test.first] * vectors[test.second]).sum(1))
    return Scores(tuple(found))


def intervals(
    ours: Scores, theirs: Scores, *, draws: int = 1000, seed: int = 0
) -> tuple[tuple[float, float], ...]:
    """From 5 % to 95 % of the ratio of two models' scores, for each test and for their mean.

    Paired bootstrap (Efron, 1979): documents of Lee and pairs of words are drawn again with
    replacement, the same for both models. A document that is drawn twice is no pair with itself.
    """
    generator = np.random.default_rng(seed)
    ratios = np.empty((draws, len(TESTS) + 1))
    for draw in range(draws):
        for k, test in enumerate(map(judged, TESTS)):
            pairs = _drawn(test, generator)
            own, its = (
                _correlation(model.found[k][pairs], test.wanted[pairs], test.ranked)
                for model in (ours, theirs)
            )
            ratios[draw, k] = own / its
        ratios[draw, -1] = ratios[draw, :-1].mean()
    low, high = np.quantile(ratios, (0.05, 0.95), axis=0)
    return tuple((float(a), float(b)) for a, b in zip(low, high, strict=True))


def _drawn(test: Judged, generator: np.random.Generator) -> np.ndarray:
    """Places of pairs, drawn with replacement; pairs of documents by the documents."""
    if test.ranked:
        return generator.integers(0, len(test.wanted), len(test.wanted))
    count = len(test.texts)
    times = np.bincount(generator.integers(0, count, count), minlength=count)
    return np.repeat(np.arange(len(test.wanted)), times[test.first] * times[test.second])


def _correlation(found: np.ndarray, wanted: np.ndarray, ranked: bool) -> float:
    if ranked:
        found, wanted = _ranks(found), _ranks(wanted)
    return float(np.corrcoef(found, wanted)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Places in order; equal numbers share the mean of theirs."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    return (last - (counts - 1) / 2)[which]
