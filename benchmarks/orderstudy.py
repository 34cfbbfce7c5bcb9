"""Is the order of contractions that is fastest forward also the fastest in a training step?

Every order of pairwise contractions of a small network, a sample of those of a larger one. All run
in the same way, step by step in torch.einsum, so only the order differs.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.contract import Run
from benchmarks.measuring import Step, inference, shuffled_rounds, training
from benchmarks.results import Order

Pair = tuple[int, int]
Path = tuple[Pair, ...]
"""Pairs of operands in opt_einsum's sense: what is contracted goes to the end of the list."""

AT_MOST = 60
"""Orders that are timed of one network."""
OUT_OF_REACH = 6.0
"""Orders with so many times the least multiply-adds are left out."""


@dataclass(frozen=True)
class Study:
    """A network with one letter an index; n is the batch."""

    name: str
    terms: tuple[str, ...]
    output: str
    sizes: dict[str, int]
    batches: tuple[int, ...]


def _train(
    ins: Sequence[int], outs: Sequence[int], rank: int
) -> tuple[tuple[str, ...], str, dict[str, int]]:
    letters = "abcdefgh"
    i, o, b = letters[: len(ins)], "opqr"[: len(outs)], "xyz"[: len(ins) - 1]
    terms = ("n" + i, *(b[max(k - 1, 0) : k] + i[k] + o[k] + b[k : k + 1] for k in range(len(ins))))
    sizes = dict(zip(i + o, (*ins, *outs), strict=True)) | dict.fromkeys(b, rank)
    return terms, "n" + o, sizes


STUDIES = (
    Study("MPO 768 → 3072, rank 16", *_train((8, 8, 12), (12, 16, 16), 16), (1, 128)),
    Study("MPO 4096 → 4096, [8]⁴, rank 8", *_train((8,) * 4, (8,) * 4, 8), (1, 64)),
    Study(
        "ring 1024 → 1024, rank 8",
        ("nabcd", "waox", "xbpy", "ycqz", "zdrw"),
        "nopqr",
        dict(zip("abcdopqr", (4, 8, 8, 4) * 2, strict=True)) | dict.fromkeys("wxyz", 8),
        (1, 64),
    ),
    Study(
        "Tucker 512 → 512, ranks 4",
        ("nabc", "ax", "by", "cz", "xyzo", "op"),
        "np",
        dict.fromkeys("abc", 8) | dict.fromkeys("xyz", 4) | {"o": 64, "p": 512},
        (64,),
    ),
    Study(
        "MPS of 9 sites, legs of 2, rank 7",
        (
            *("n" + p for p in "abcdefghi"),
            "aA",
            "AbB",
            "BcC",
            "CdD",
            "DezE",
            "EfF",
            "FgG",
            "GhH",
            "Hi",
        ),
        "nz",
        dict.fromkeys("abcdefghi", 2) | dict.fromkeys("ABCDEFGH", 7) | {"z": 10},
        (512,),
    ),
)


def all_paths(count: int) -> Iterator[Path]:
    """Every order of so many operands; equal trees in another order of steps come again."""
    if count == 1:
        yield ()
        return
    for i in range(count):
        for j in range(i + 1, count):
            for rest in all_paths(count - 1):
                yield ((i, j), *rest)


def random_path(count: int, terms: Sequence[str], draw: random.Random) -> Path:
    """A random order that joins neighbors where there are any."""
    held, path = [set(term) - {"n"} for term in terms], []
    for left in range(count, 1, -1):
        pairs = [(i, j) for i in range(left) for j in range(i + 1, left) if held[i] & held[j]]
        i, j = draw.choice(pairs or [(0, 1)])
        joined = held[i] ^ held[j]
        held = [h for k, h in enumerate(held) if k not in (i, j)] + [joined]
        path.append((i, j))
    return tuple(path)


def steps_of(study: Study, path: Path) -> tuple[tuple[str, ...], ...]:
    """The equations of an order: each pair and what is left of it."""
    held = list(study.terms)
    equations = []
    for i, j in path:
        left, right = held[i], held[j]
        rest = [h for k, h in enumerate(held) if k not in (i, j)]
        kept = set(study.output).union(*rest)
        shared = [c for c in dict.fromkeys(left + right) if c in kept]
        result = "".join(shared) if rest else study.output
        equations.append((left, right, result))
        held = [*rest, result]
    return tuple(equations)


def multiply_adds(study: Study, path: Path, batch: int) -> int:
    """Those of the forward pass."""
    sizes = study.sizes | {"n": batch}
    total = 0
    for left, right, _ in steps_of(study, path):
        product = 1
        for index in set(left + right):
            product *= sizes[index]
        total += product
    return total


def trees(study: Study, batch: int) -> list[Path]:
    """Distinct orders, those with the fewest multiply-adds first."""
    count = len(study.terms)
    if count <= 6:
        paths: Iterator[Path] = all_paths(count)
    else:
        draw = random.Random(132)
        paths = (random_path(count, study.terms, draw) for _ in range(3000))
    distinct: dict[frozenset[frozenset[str]], Path] = {}
    for path in paths:
        key = frozenset(frozenset((left, right)) for left, right, _ in steps_of(study, path))
        distinct.setdefault(key, path)
    ranked = sorted((multiply_adds(study, path, batch), path) for path in distinct.values())
    least = ranked[0][0]
    return [path for work, path in ranked if work <= OUT_OF_REACH * least][:AT_MOST]


def orders(seconds: float) -> Iterator[Order]:
    """All studies; `seconds` are for the rounds of each network, batch and mode."""
    for study in STUDIES:
        for batch in study.batches:
            yield from timed(study, batch, seconds)


def timed(study: Study, batch: int, seconds: float) -> Iterator[Order]:
    """One network at one batch size."""
    generator = torch.Generator().manual_seed(1)
    sizes = study.sizes | {"n": batch}
    tensors = [
        torch.randn([sizes[c] for c in term], generator=generator).div_(4).requires_grad_()
        for term in study.terms
    ]
    gradient = torch.randn([sizes[c] for c in study.output], generator=generator)
    paths = trees(study, batch)
    runs = {}
    for path in paths:
        equations = steps_of(study, path)
        runs[" ".join(f"{a},{b}" for a, b, _ in equations)] = _runner(path, equations)
    forward = [Step(name, inference(run, tensors)) for name, run in runs.items()]
    both = [Step(name, training(run, tensors, (), gradient)) for name, run in runs.items()]
    fast, slow = shuffled_rounds(forward, seconds), shuffled_rounds(both, seconds)
    for name in runs:
        yield Order(study.name, batch, name, fast[name].median, slow[name].median)


def _runner(path: Path, equations: Sequence[tuple[str, ...]]) -> Run:
    def run(*tensors: Tensor) -> Tensor:
        held = list(tensors)
        for (i, j), (left, right, result) in zip(path, equations, strict=True):
            made = torch.einsum(f"{left},{right}->{result}", held[i], held[j])
            held = [h for k, h in enumerate(held) if k not in (i, j)] + [made]
        return held[0]

    return run
