"""Trees with windows made better: subtrees of a few leaves are replaced by the best ones.

Large networks with windows are searched as networks without, whose prices differ here and there;
this has the right ones.
"""

from __future__ import annotations

from tncompile.planning.paths.exhaustive import best_path
from tncompile.planning.paths.problem import Legs, Pair, Path, PathBuilder, Problem
from tncompile.planning.paths.windows import replayed


def improved(problem: Problem, path: Path, leaves: int, subtrees: int) -> Path:
    """The path with up to `subtrees` subtrees of so many leaves at their best.

    Those of the most expensive contractions come first. It takes no more multiply-adds than before.
    """
    tree = _Tree(problem, path)
    tried: set[tuple[int, ...]] = set()
    for _ in range(subtrees):
        tops = sorted(tree.sides, key=lambda node: (-tree.prices[node], node))
        parts = ((top, *tree.leaves_below(top, leaves)) for top in tops)
        part = next((part for part in parts if part not in tried), None)
        if part is None:
            break
        tried.add(part)
        tree.contract_at_best(part[0], part[1:])
    return tree.path()


class _Tree:
    """A tree whose subtrees are exchanged; the numbers of what is left of it stay."""

    def __init__(self, problem: Problem, path: Path) -> None:
        self.problem = problem
        self.legs: dict[int, Legs] = dict(enumerate(problem.terms))
        self.sides: dict[int, Pair] = {}
        self.prices: dict[int, int] = {}
        self.root = self._grow(replayed(problem, path), tuple(self.legs))

    def _grow(self, builder: PathBuilder, leaves: tuple[int, ...], top: int | None = None) -> int:
        """Add what a builder has joined; the number of the last result, `top` where it is given."""
        numbers = list(leaves)
        again = PathBuilder(builder.problem)
        for place, (left, right) in enumerate(builder.pairs, start=1):
            last = place == len(builder.pairs)
            node = top if last and top is not None else max(self.legs) + 1
            price = again.price(left, right)
            self.legs[node] = again.legs[again.join(left, right)]
            self.sides[node] = numbers[left], numbers[right]
            self.prices[node] = price
            numbers.append(node)
        return numbers[-1]

    def leaves_below(self, top: int, count: int) -> tuple[int, ...]:
        """The leaves of a subtree of so many: what is most expensive to make is split first."""
        leaves = list(self.sides[top])
        while len(leaves) < count:
            inner = [node for node in leaves if node in self.sides]
            if not inner:
                break
            node = max(inner, key=lambda node: (self.prices[node], -node))
            leaves.remove(node)
            leaves += self.sides[node]
        return tuple(sorted(leaves))

    def contract_at_best(self, top: int, leaves: tuple[int, ...]) -> None:
        """Replace the subtree from these leaves to `top`, if another one is better."""
        inside = {leg for leaf in leaves for leg in self.legs[leaf]}
        part = Problem(
            tuple(self.legs[leaf] for leaf in leaves),
            self.legs[top],
            self.problem.sizes,
            self.problem.runtime,
            windows=tuple(
                w for w in self.problem.windows if w.image in inside and w.kernel in inside
            ),
        )
        nodes, waiting = [], [top]
        while waiting:
            node = waiting.pop()
            if node not in leaves:
                nodes.append(node)
                waiting += self.sides[node]
        best = best_path(part, "flops")
        if best is None:
            return
        builder = replayed(part, best)
        if builder.multiply_adds >= sum(self.prices[node] for node in nodes):
            return
        for node in nodes:
            del self.sides[node], self.prices[node]
            if node != top:
                del self.legs[node]
        self._grow(builder, leaves, top)

    def path(self) -> Path:
        """The tree as a path."""
        pairs: list[Pair] = []
        numbers = {term: term for term in range(len(self.problem.terms))}
        waiting = [self.root]
        while waiting:
            node = waiting[-1]
            if node in numbers:
                waiting.pop()
                continue
            left, right = self.sides[node]
            missing = [side for side in (right, left) if side not in numbers]
            if missing:
                waiting += missing
                continue
            first, second = sorted((numbers[left], numbers[right]))
            pairs.append((first, second))
            numbers[node] = len(self.problem.terms) + len(pairs) - 1
            waiting.pop()
        return tuple(pairs)
