"""Plans of the corpus beside the paths that cotengra finds by itself, as a table.

Others are the best of cotengra's plain greedy path, of many random greedy ones and of what its
`auto` does for networks that are too large for exhaustive search: random greedy paths whose
subtrees are then contracted anew, with counts and seeds in the place of its clock. All are lowered
like ours and predicted by one machine profile.

    python -m benchmarks.planner --search fast --search normal --search thorough -o docs/planning.md
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import tncompile
from benchmarks.corpus import CORPUS, Instance
from tncompile.machine.profile import BUILTIN
from tncompile.network.contraction import build_tree, operands
from tncompile.network.model import TensorNetwork
from tncompile.planning import plan
from tncompile.planning.evaluation import Evaluator, ScheduledTree
from tncompile.planning.paths.optimizers import EFFORTS, pairwise
from tncompile.planning.paths.problem import Pair, contraction_problem, price_path
from tncompile.planning.request import runtime_sizes

TRIALS = 128
"""Random greedy paths that others try, as cotengra's `auto` does."""


@dataclass(frozen=True, slots=True)
class Row:
    """A plan of an instance by an effort, beside the best of others."""

    name: str
    tensors: int
    search: str
    multiply_adds: int
    seconds: float  # predicted
    planning: float  # seconds of processor time
    others: int  # multiply-adds
    others_seconds: float

    @property
    def ratio(self) -> float:
        """The predicted time beside that of the best of others."""
        return self.seconds / self.others_seconds


def paths_of_others(instance: Instance, trials: int = TRIALS) -> list[tuple[Pair, ...]]:
    """Paths that cotengra finds by itself, with fixed seeds and counts."""
    import cotengra

    given = [list(legs) for legs in instance.terms], list(instance.output), dict(instance.sizes)
    count = len(instance.terms)
    greedy = cotengra.GreedyOptimizer(accel=False).ssa_path(*given)
    best = cotengra.RandomGreedyOptimizer(
        max_repeats=trials, seed=1, accel=False, parallel=False
    ).ssa_path(*given)
    found = [pairwise(count, greedy), pairwise(count, best)]
    optimal = cotengra.OptimalOptimizer(minimize="combo", accel=False)
    for seed in range(trials // 4):
        path = cotengra.RandomGreedyOptimizer(
            max_repeats=4, seed=seed, accel=False, parallel=False
        ).ssa_path(*given)
        tree = cotengra.ContractionTree.from_path(*given, ssa_path=path, autocomplete=False)
        tree = tree.subtree_reconfigure(
            subtree_size=4, maxiter=128, minimize="combo", optimize=optimal
        )
        found.append(pairwise(count, tree.get_ssa_path()))
    return found


def best_of_others(
    instance: Instance, network: TensorNetwork, trials: int = TRIALS, *, training: bool = False
) -> tuple[float, int]:
    """The least predicted seconds of paths of others, and the fewest multiply-adds.

    The four of fewest multiply-adds are lowered and predicted.
    """
    given = operands(network)
    sizes = runtime_sizes(network, 1, {})
    problem = contraction_problem(network, given, sizes)
    priced = {path: price_path(problem, path)[0] for path in paths_of_others(instance, trials)}
    cheapest = sorted(priced, key=lambda path: (priced[path], path))[:4]
    evaluator = Evaluator(network, sizes, BUILTIN)
    mode = "training" if training else "inference"
    seconds = min(
        evaluator.evaluate(
            ScheduledTree((), number, build_tree(network, given, path)), 1, mode
        ).seconds
        for number, path in enumerate(cheapest)
    )
    return seconds, priced[cheapest[0]]


def measured(name: str, searches: Sequence[str]) -> list[Row]:
    """An instance planned by some efforts, for inference."""
    instance = CORPUS[name]()
    network = tncompile.loads(instance.source).instantiate().network
    seconds, others = best_of_others(instance, network)
    rows = []
    for search in searches:
        start = time.process_time()
        found = plan(network, batch=1, search=search, training=False)
        spent = time.process_time() - start
        given = tuple(found.main.tree.operands)
        problem = contraction_problem(network, given, runtime_sizes(network, 1, {}))
        pairs = [(step.left, step.right) for step in found.main.tree.steps]
        rows.append(
            Row(
                name,
                len(instance.terms),
                search,
                price_path(problem, pairs)[0],
                found.main.cost.seconds,
                spent,
                others,
                seconds,
            )
        )
    return rows


def page(rows: Sequence[Row]) -> str:
    """The table, and a line for each effort."""
    lines = [
        "# Plans of irregular networks",
        "",
        f"Written by `python -m benchmarks.planner`. {(__doc__ or '').split(chr(10) * 2)[1]}",
        "",
        "Multiply-adds and predicted microseconds are those of one forward pass at batch 1. `ratio`"
        " is the predicted time beside that of the best of others, `planning` processor seconds.",
        "",
    ]
    for search in dict.fromkeys(row.search for row in rows):
        held = [row for row in rows if row.search == search]
        ratios = [row.ratio for row in held]
        spent = [row.planning for row in held]
        lines.append(
            f"- `{search}`: ratio {statistics.median(ratios):.2f} in the middle,"
            f" {max(ratios):.2f} at most; planning {statistics.median(spent):.1f} s in the middle,"
            f" {max(spent):.1f} s at most"
        )
    lines += [
        "",
        "| network | tensors | search | multiply-adds | others | predicted µs | others | ratio"
        " | planning s |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row.name} | {row.tensors} | {row.search} | {row.multiply_adds:.3g} | {row.others:.3g}"
        f" | {row.seconds * 1e6:,.0f} | {row.others_seconds * 1e6:,.0f} | {row.ratio:.2f}"
        f" | {row.planning:.2f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def main(given: Sequence[str] | None = None) -> None:
    """Plan what is asked for, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", action="append", metavar="NAME", help="a network, or a pattern")
    parser.add_argument("--search", action="append", choices=tuple(EFFORTS), help="all of them")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE")
    asked = parser.parse_args(given)
    rows: list[Row] = []
    for name in CORPUS:
        if asked.only and not any(fnmatchcase(name, pattern) for pattern in asked.only):
            continue
        for row in measured(name, asked.search or tuple(EFFORTS)):
            rows.append(row)
            print(
                f"{row.name}, {row.search}: {row.ratio:.2f}, {row.planning:.1f} s",
                file=sys.stderr,
                flush=True,
            )
    if not rows:
        parser.error("no network of that name")
    if asked.output:
        asked.output.write_text(page(rows), encoding="utf-8")
    else:
        print(page(rows))


if __name__ == "__main__":
    main()
