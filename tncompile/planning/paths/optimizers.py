"""Search for contraction paths: one process, no clock, equal results everywhere.

The only file that imports cotengra, and only when a search starts. `accel=False` throughout: its
Rust back end finds other paths, so that having it installed would change what is emitted.

Every effort searches all that the easier ones do, goes on from what they found, and keeps that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, reduce
from operator import or_
from random import Random

from tncompile.planning.paths import exhaustive
from tncompile.planning.paths.bisection import bisected_order
from tncompile.planning.paths.exhaustive import COMBO_FACTOR, REMEMBERED, Objective
from tncompile.planning.paths.improving import improved
from tncompile.planning.paths.intervals import LONGEST, interval_path, leaf_order
from tncompile.planning.paths.problem import (
    NamedPath,
    NoOrderError,
    Pair,
    Path,
    Problem,
    price_path,
)
from tncompile.planning.paths.windows import encodings

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard to search: limits that are counts, never times, so that results repeat."""

    level: int
    objectives: tuple[Objective, ...]  # of exhaustive searches
    optimal_terms: int  # networks up to this size are searched exhaustively …
    optimal_subsets: int  # … if they have at most this many connected subsets of terms
    trials: int  # random greedy paths tried above that, beside those of the easier effort
    bisections: int  # orders by bisection, whose best trees are tried
    flips: int  # orders tried of the best path so far, with its subtrees flipped at random
    subtrees: int  # subtrees of the best path that are then searched exhaustively, …
    leaves: int  # … of this many leaves


_ALL: tuple[Objective, ...] = ("flops", "size", "write", "combo")

EFFORTS = {
    "fast": Effort(0, ("flops",), 9, 200, 16, 2, 12, 64, 6),
    "normal": Effort(1, _ALL, 14, 700, 32, 2, 8, 64, 6),
    "thorough": Effort(2, _ALL, 18, 3000, 208, 12, 32, 256, 8),
}
"""The levels of `--search`."""

QUICK = Effort(0, ("flops",), 14, 700, 32, 0, 0, 0, 0)
"""What parts of a network are contracted by, at every effort: they are parts of many candidates."""

IMPROVED: tuple[Objective, ...] = ("flops", "combo")  # what larger networks are searched for
LARGEST = 2000  # the most terms that are searched; above, our own candidates stand alone
TRIALS_AT_ONCE = 8

WIDE, NARROW = ((0.1, 4.0), (0.001, 1.0)), ((0.8, 1.5), (0.001, 0.3))
"""Ranges of cotengra's `costmod` and `temperature`. In large networks the wide ones mostly find
intermediates of hundreds of legs, and take long to do it, but lattices need them: every second few
trials have them, more of those of smaller networks, and none of the largest."""

NARROW_FROM = 100
GREEDY_TERMS = 16_000  # terms that all greedy trials may walk through: large networks get fewer
STARTS = 2  # greedy paths whose leaves are put in order and contracted anew, of every effort
PATIENCE = 4  # flips without gain after which a path counts as the best of its orders


def search(
    problem: Problem, effort: Effort, progress: Progress | None = None
) -> tuple[NamedPath, ...]:
    """Distinct paths, those of easier efforts first."""
    if len(problem.terms) > LARGEST:
        return ()
    report = progress or (lambda done, total: None)
    if problem.windows:
        return _with_windows(problem, effort, report)
    efforts = [easier for easier in EFFORTS.values() if easier.level <= effort.level]
    searching = _Searching(problem)
    total = sum(
        len(easier.objectives) if _is_small(searching.problem, easier) else 1 + len(IMPROVED)
        for easier in efforts
    )
    distinct: dict[Path, NamedPath] = {}
    report(0, total)
    for done, (level, name, path) in enumerate(
        (easier.level, *named) for easier in efforts for named in searching.widened(easier)
    ):
        if path not in distinct:
            distinct[path] = NamedPath(level, name, price_path(problem, path)[0], path)
        report(done + 1, total)
    return tuple(distinct.values())


def _with_windows(problem: Problem, effort: Effort, report: Progress) -> tuple[NamedPath, ...]:
    """Distinct paths of a problem with windows; the best one where it is small.

    Others are found as those of problems without windows, see `windows.encodings`; what those that
    count kernels as one add is found by the easiest effort.
    """
    efforts = [easier for easier in EFFORTS.values() if easier.level <= effort.level]
    named: list[tuple[int, str, Path]] = []
    report(0, 1)
    if exhaustive.is_small(problem):
        for level, objective in ((e.level, o) for e in efforts for o in e.objectives):
            if (best := exhaustive.best_path(problem, objective)) is not None:
                named.append((level, objective, best))
    else:
        for place, encoding in enumerate(encodings(problem, quick_path)):
            for plain in search(encoding.problem, EFFORTS["fast"] if place else effort):
                if (pairs := encoding.decoded(plain.pairs)) is not None:
                    named.append((plain.level, f"{plain.name}, {encoding.name}", pairs))
        for easier in efforts:
            known = [path for level, _, path in named if level <= easier.level]
            if known:
                best = min(known, key=lambda path: (price_path(problem, path)[0], path))
                better = improved(problem, best, easier.leaves, easier.subtrees)
                named.append((easier.level, "improved", better))
    report(1, 1)
    distinct: dict[Path, NamedPath] = {}
    for level, name, path in sorted(named, key=lambda each: each[0]):
        if path not in distinct:
            distinct[path] = NamedPath(level, name, price_path(problem, path)[0], path)
    return tuple(distinct.values())


@lru_cache(maxsize=REMEMBERED)
def quick_path(problem: Problem, trials: int = QUICK.trials) -> Path:
    """One path of few multiply-adds, whatever the effort: exhaustive where that is cheap.

    Raises `NoOrderError` where no order contracts the windows of the problem.
    """
    if problem.windows:
        found = _with_windows(problem, QUICK, lambda done, total: None)
        if not found:
            raise NoOrderError
        return min(found, key=lambda path: path.multiply_adds).pairs
    return next(_Searching(problem).widened(replace(QUICK, trials=trials)))[1]


class _Searching:
    """The paths found so far, which harder efforts go on from."""

    def __init__(self, problem: Problem) -> None:
        # An index on every term decides nothing.
        everywhere = set(problem.terms[0]).intersection(*problem.terms[1:])
        self.problem = replace(
            problem,
            terms=tuple(tuple(k for k in legs if k not in everywhere) for legs in problem.terms),
            output=tuple(leg for leg in problem.output if leg not in everywhere),
        )
        self._greedy: list[Path] = []  # the cheapest first
        self._best: dict[Objective, Path] = {}
        self._tried = 0

    def widened(self, effort: Effort) -> Iterator[tuple[str, Path]]:
        """The best paths of an effort by name."""
        if _is_small(self.problem, effort):
            for objective in effort.objectives:
                yield objective, _optimal(self.problem, objective)
            return
        self._try_greedy(effort)
        yield "greedy", self._greedy[0]
        for objective in IMPROVED:
            yield objective, self._improved(effort, objective)

    def _try_greedy(self, effort: Effort) -> None:
        """The cheapest of every few random greedy paths; the plain greedy one first of all."""
        from cotengra import RandomGreedyOptimizer

        count = len(self.problem.terms)
        paths = self._greedy or [_greedy_once(self.problem)]
        trials = min(effort.trials, 1 + effort.trials * GREEDY_TERMS // (32 * count))
        for first in range(self._tried, self._tried + trials, TRIALS_AT_ONCE):
            place = first // TRIALS_AT_ONCE
            wide = place % 6 < 4 if count < NARROW_FROM else place % 2 == 0 and count <= LONGEST
            optimizer = RandomGreedyOptimizer(
                max_repeats=min(TRIALS_AT_ONCE, self._tried + trials - first),
                costmod=WIDE[0] if wide else NARROW[0],
                temperature=WIDE[1] if wide else NARROW[1],
                seed=first,
                accel=False,
                parallel=False,
            )
            paths.append(pairwise(count, optimizer.ssa_path(*_as_lists(self.problem))))
        self._tried += trials
        priced = {path: price_path(self.problem, path) for path in paths}
        # Of equal prices the first found is kept: in the plain greedy path equal steps stay alike.
        self._greedy = sorted(priced, key=priced.__getitem__)

    def _improved(self, effort: Effort, objective: Objective) -> Path:
        """The best of what is known, put in order and contracted anew, subtree after subtree.

        Greedy paths and bisections are gone on with apart: they may end in different places.
        """
        problem, count = self.problem, len(self.problem.terms)
        rng = Random(effort.level)
        groups = [[self._best[name] for name in ("flops", objective) if name in self._best]]
        if objective != "combo":
            groups.append(self._greedy[:STARTS])
            if count <= LONGEST:
                groups[-1].append(interval_path(problem, range(count)))
        if count <= LONGEST and objective == "flops":
            orders = [bisected_order(problem, rng) for _ in range(effort.bisections)]
            groups.append([interval_path(problem, order) for order in orders])
        refined = [self._refined(group, effort, objective, rng) for group in groups if group]
        self._best[objective] = min(refined)[1]
        return self._best[objective]

    def _refined(
        self, paths: Sequence[Path], effort: Effort, objective: Objective, rng: Random
    ) -> tuple[int, Path]:
        """What the cheapest of some paths comes to, and its price."""
        from cotengra import ContractionTree, OptimalOptimizer

        problem, count = self.problem, len(self.problem.terms)
        written = COMBO_FACTOR if objective == "combo" else 0

        def priced(path: Path) -> tuple[int, Path]:
            flops, elements, _ = price_path(problem, path)
            return flops + written * elements, path

        best = min(priced(path) for path in paths)
        if count <= LONGEST:
            orders = [leaf_order(count, path) for path in paths]
            best = min(best, *(priced(interval_path(problem, order, written)) for order in orders))
            failed = 0
            for _ in range(effort.flips):
                flipped = [pair if rng.random() < 0.5 else pair[::-1] for pair in best[1]]
                other = priced(interval_path(problem, leaf_order(count, flipped), written))
                failed = 0 if other[0] < best[0] else failed + 1
                best = min(best, other)
                if failed == PATIENCE:
                    break
        # The most expensive subtrees of some leaves are replaced by the best ones.
        tree = ContractionTree.from_path(*_as_lists(problem), ssa_path=best[1], autocomplete=False)
        tree = tree.subtree_reconfigure(
            subtree_size=effort.leaves,
            maxiter=effort.subtrees,
            minimize=objective,
            optimize=OptimalOptimizer(minimize=objective, accel=False),
        )
        return min(best, priced(pairwise(count, tree.get_ssa_path())))


def _is_small(problem: Problem, effort: Effort) -> bool:
    """Whether exhaustive search is cheap: its time is the square of the connected subsets."""
    count = len(problem.terms)
    if count <= 2:
        return True
    if count > effort.optimal_terms:
        return False
    carriers: dict[int, int] = {}
    for term, legs in enumerate(problem.terms):
        for leg in legs:
            carriers[leg] = carriers.get(leg, 0) | 1 << term
    neighbors = [reduce(or_, (carriers[leg] for leg in legs), 0) for legs in problem.terms]
    seen = {1 << term for term in range(count)}
    queue = sorted(seen)
    for subset in queue:  # grows while it is read
        around = reduce(or_, (neighbors[term] for term in range(count) if subset >> term & 1))
        for term in range(count):
            larger = subset | 1 << term
            if around >> term & 1 and larger not in seen:
                seen.add(larger)
                queue.append(larger)
        if len(seen) > effort.optimal_subsets:
            return False
    return True


def _as_lists(problem: Problem) -> tuple[list[list[int]], list[int], dict[int, int]]:
    """The problem as cotengra takes it."""
    sizes = {leg: problem.sizes[leg] for legs in problem.terms for leg in legs}
    return list(map(list, problem.terms)), list(problem.output), sizes


@lru_cache(maxsize=REMEMBERED)
def _optimal(problem: Problem, objective: Objective) -> Path:
    if len(problem.terms) <= 2:
        return tuple([(0, 1)] if len(problem.terms) == 2 else [])
    from cotengra import OptimalOptimizer

    flops, written, largest = price_path(problem, _greedy_once(problem))
    combo = flops + COMBO_FACTOR * written
    cap = {"flops": flops, "size": largest, "write": written, "combo": combo}[objective] + 2
    optimizer = OptimalOptimizer(minimize=objective, cost_cap=cap, accel=False)
    return pairwise(len(problem.terms), optimizer.ssa_path(*_as_lists(problem)))


def _greedy_once(problem: Problem) -> Path:
    from cotengra import GreedyOptimizer

    optimizer = GreedyOptimizer(temperature=0.0, accel=False)
    return pairwise(len(problem.terms), optimizer.ssa_path(*_as_lists(problem)))


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
