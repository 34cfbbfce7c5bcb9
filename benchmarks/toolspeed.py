"""Seconds from text to source against the size of the network; cotengra's search beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import tncompile
from benchmarks.contenders.installed import package
from benchmarks.contract import UnavailableError
from benchmarks.results import ToolSpeed

SIZES = (10, 100, 1000, 10000)
BATCH = 64
GREEDY = 100


def tool_speeds(largest: int) -> Iterator[ToolSpeed]:
    """A chain and a tree of classifiers, of growing size."""
    for network, block in (("MPSClassifier", "sites"), ("TreeClassifier", "sites")):
        for size in SIZES:
            if size <= largest:
                yield tool_speed(network, block, size)


def tool_speed(network: str, parameter: str, size: int) -> ToolSpeed:
    """Load, plan and emit one network of about so many tensors."""
    begin = time.perf_counter()
    spec = tncompile.load("std/classifier.tn")
    arch = spec.instantiate(network, **{parameter: size})
    tensors = len(arch.network.tensors)
    loaded = time.perf_counter()
    plan = arch.plan(batch=BATCH)
    planned = time.perf_counter()
    arch.source(batch=BATCH, plan=plan)
    emitted = time.perf_counter()
    alone = cotengra_alone(network, size)
    return ToolSpeed(
        f"{network}({parameter} = {size})",
        tensors,
        loaded - begin,
        planned - loaded,
        emitted - planned,
        alone,
    )


def cotengra_alone(network: str, size: int) -> float | None:
    """Seconds of cotengra's own search at its defaults; None where it is not installed.

    Beyond `GREEDY` sites it is its greedy search: the default one takes many minutes.
    """
    inputs, sizes = chain(size) if network == "MPSClassifier" else tree(size)
    try:
        library = package("cotengra")
    except UnavailableError:
        return None
    optimize = "auto" if size <= GREEDY else "greedy"
    begin = time.perf_counter()
    library.array_contract_tree(inputs, ("n", "label"), size_dict=sizes, optimize=optimize)
    return time.perf_counter() - begin


Terms = tuple[list[tuple[str, ...]], dict[str, int]]


def chain(size: int) -> Terms:
    """The indices of a chain of rank 10 with the label in the middle."""
    middle = size // 2
    bonds = [f"b{k}" for k in range(size)]
    terms = [(*bonds[max(k - 1, 0) : k], f"p{k}", bonds[k]) for k in range(middle)]
    terms.append((bonds[middle - 1], "label", "d"))
    for k in range(middle, size):
        left = "d" if k == middle else bonds[k - 1]
        terms.append((left, f"p{k}", *bonds[k : k + 1][: size - 1 - k]))
    terms += [("n", f"p{k}") for k in range(size)]
    sizes = dict.fromkeys((*bonds, "d", "label"), 10) | {f"p{k}": 2 for k in range(size)}
    return terms, sizes | {"n": BATCH}


def tree(size: int) -> Terms:
    """The indices of a binary tree of rank 8."""
    terms: list[tuple[str, ...]] = [("n", f"v0.{k}") for k in range(size)]
    sizes = {f"v0.{k}": 4 for k in range(size)} | {"n": BATCH, "label": 10}
    level, count = 0, size
    while count > 1:
        above = (count + 1) // 2
        for j in range(above):
            pair = [f"v{level}.{k}" for k in (2 * j, 2 * j + 1) if k < count]
            terms.append((*pair, f"v{level + 1}.{j}"))
            sizes[f"v{level + 1}.{j}"] = 8
        level, count = level + 1, above
    terms.append((f"v{level}.0", "label"))
    return terms, sizes
