"""Search for contraction paths by cotengra: one process, no clock, equal results everywhere.

The only file that imports cotengra, and only when a search starts. `accel=False` throughout: its
Rust back end finds other paths, so that having it installed would change what is emitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tncompile.planning.problem import Pair, Problem, price_path

Objective = Literal["flops", "size", "write", "combo"]
Progress = Callable[[int, int], None]
Path = tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard to search: limits that are counts, never times, so that results repeat."""

    objectives: tuple[Objective, ...]
    optimal_terms: int  # networks up to this size are searched exhaustively …
    optimal_subsets: int  # … if they have at most this many connected subsets of terms
    trials: int  # random greedy paths tried above that
    subtrees: int  # subtrees of the greedy path that are then searched exhaustively


EFFORTS: dict[str, Effort] = {
    "fast": Effort(("flops",), 9, 200, 8, 0),
    "normal": Effort(("flops", "size", "write", "combo"), 14, 700, 32, 48),
    "thorough": Effort(("flops", "size", "write", "combo"), 18, 3000, 256, 1024),
}
"""The levels of `--search`."""

LARGEST = 2000
"""The most terms that are searched; above, our own candidates stand alone."""

COMBO_FACTOR = 64
TRIALS_AT_ONCE = 8

WIDE, NARROW = ((0.1, 4.0), (0.001, 1.0)), ((0.8, 1.5), (0.001, 0.3))
"""Ranges of cotengra's `costmod` and `temperature`: in large networks the wide ones mostly find
intermediates of hundreds of legs, and take long to do it."""

NARROW_FROM = 100

GREEDY_TERMS = 16_000
"""The most terms that all greedy trials may walk through together: large networks get fewer."""


def search(problem: Problem, effort: Effort, progress: Progress | None = None) -> dict[str, Path]:
    """Distinct paths by the name of what found them, at most one for each objective."""
    if len(problem.terms) <= 2:
        return {"flops": tuple([(0, 1)] if len(problem.terms) == 2 else [])}
    if len(problem.terms) > LARGEST:
        return {}
    report = progress or _silent
    exhaustive = _is_small(problem, effort)
    total = (
        len(effort.objectives) if exhaustive else 2 + -(-_trials(problem, effort) // TRIALS_AT_ONCE)
    )
    found: dict[Path, str] = {}
    if exhaustive:
        for done, objective in enumerate(effort.objectives):
            report(done, total)
            found.setdefault(_optimal(problem, objective), objective)
    else:
        path = _greedy(problem, effort, lambda done: report(done, total))
        found[path] = "greedy"
        for done, name in enumerate(("flops", "combo")[: 2 if effort.subtrees else 0]):
            report(total - 2 + done, total)
            found.setdefault(_reconfigured(problem, path, name, effort.subtrees), name)
    report(total, total)
    return {name: path for path, name in found.items()}


def quick_path(problem: Problem, effort: Effort) -> Path:
    """One path of few multiply-adds: exhaustive where that is cheap, else the best greedy one."""
    if len(problem.terms) <= 2:
        return tuple([(0, 1)] if len(problem.terms) == 2 else [])
    if _is_small(problem, effort):
        return _optimal(problem, "flops")
    return _greedy(problem, effort, lambda done: None)


def _silent(done: int, total: int) -> None:
    pass


def _trials(problem: Problem, effort: Effort) -> int:
    return min(effort.trials, 1 + effort.trials * GREEDY_TERMS // (32 * len(problem.terms)))


def _is_small(problem: Problem, effort: Effort) -> bool:
    """Whether exhaustive search is cheap: its time is the square of the connected subsets."""
    count = len(problem.terms)
    if count > effort.optimal_terms:
        return False
    carriers: dict[int, int] = {}
    for term, legs in enumerate(problem.terms):
        for leg in legs:
            carriers[leg] = carriers.get(leg, 0) | 1 << term
    everything = (1 << count) - 1
    neighbors = [0] * count
    for term, legs in enumerate(problem.terms):
        for leg in legs:
            if carriers[leg] != everything:
                neighbors[term] |= carriers[leg]
    seen = {1 << term for term in range(count)}
    queue = sorted(seen)
    for subset in queue:  # grows while it is read
        around = 0
        for term in range(count):
            if subset >> term & 1:
                around |= neighbors[term]
        for term in range(count):
            larger = subset | 1 << term
            if around >> term & 1 and larger not in seen:
                seen.add(larger)
                queue.append(larger)
        if len(seen) > effort.optimal_subsets:
            return False
    return True


def _given(problem: Problem) -> tuple[list[list[int]], list[int], dict[int, int]]:
    """The problem as cotengra takes it. An index on every term is left out: it decides nothing."""
    everywhere = set(problem.terms[0]).intersection(*problem.terms[1:])
    terms = [[leg for leg in term if leg not in everywhere] for term in problem.terms]
    output = [leg for leg in problem.output if leg not in everywhere]
    return terms, output, {leg: problem.sizes[leg] for term in terms for leg in term}


def _optimal(problem: Problem, objective: Objective) -> Path:
    from cotengra import OptimalOptimizer

    terms, output, sizes = _given(problem)
    start = _greedy_once(terms, output, sizes)
    flops, written, largest = price_path(_reduced(problem, terms, output), start)
    cap = {
        "flops": flops,
        "size": largest,
        "write": written,
        "combo": flops + COMBO_FACTOR * written,
    }
    optimizer = OptimalOptimizer(minimize=objective, cost_cap=cap[objective] + 2, accel=False)
    return pairwise(len(terms), optimizer.ssa_path(terms, output, sizes))


def _reduced(problem: Problem, terms: list[list[int]], output: list[int]) -> Problem:
    return Problem(
        tuple(map(tuple, terms)),
        tuple(output),
        problem.sizes,
        problem.runtime,
        problem.inputs,
        problem.looked_up,
    )


def _greedy_once(terms: list[list[int]], output: list[int], sizes: dict[int, int]) -> Path:
    from cotengra import GreedyOptimizer

    optimizer = GreedyOptimizer(temperature=0.0, accel=False)
    return pairwise(len(terms), optimizer.ssa_path(terms, output, sizes))


def _greedy(problem: Problem, effort: Effort, report: Callable[[int], None]) -> Path:
    """The cheapest of some random greedy paths, the plain greedy one among them."""
    from cotengra import RandomGreedyOptimizer

    terms, output, sizes = _given(problem)
    reduced = _reduced(problem, terms, output)
    best = _greedy_once(terms, output, sizes)
    least = price_path(reduced, best)
    trials = _trials(problem, effort)
    costmod, temperature = NARROW if len(terms) >= NARROW_FROM else WIDE
    for done, first in enumerate(range(0, trials, TRIALS_AT_ONCE)):
        report(done)
        optimizer = RandomGreedyOptimizer(
            max_repeats=min(TRIALS_AT_ONCE, trials - first),
            costmod=costmod,
            temperature=temperature,
            seed=first,
            accel=False,
            parallel=False,
        )
        path = pairwise(len(terms), optimizer.ssa_path(terms, output, sizes))
        price = price_path(reduced, path)
        if price < least:
            best, least = path, price
    return best


def _reconfigured(problem: Problem, path: Path, objective: str, subtrees: int) -> Path:
    """The path with its most expensive subtrees of eight leaves replaced by the best ones."""
    from cotengra import ContractionTree, OptimalOptimizer

    terms, output, sizes = _given(problem)
    tree = ContractionTree.from_path(terms, output, sizes, ssa_path=path, autocomplete=False)
    tree = tree.subtree_reconfigure(
        subtree_size=8,
        maxiter=subtrees,
        minimize=objective,
        optimize=OptimalOptimizer(minimize=objective, accel=False),
    )
    return pairwise(len(terms), tree.get_ssa_path())


def pairwise(count: int, path: object) -> Path:
    """Cotengra's single-assignment path without its steps of one term (sums of a single tensor).

    >>> pairwise(3, [(1,), (0, 2), (3, 4)])
    ((0, 2), (1, 3))
    """
    assert isinstance(path, list | tuple)
    number = list(range(count))
    pairs: list[Pair] = []
    for step in path:
        first, *rest = (number[int(term)] for term in step)
        if not rest:
            number.append(first)
            continue
        (second,) = rest
        pairs.append((min(first, second), max(first, second)))
        number.append(count + len(pairs) - 1)
    return tuple(pairs)
