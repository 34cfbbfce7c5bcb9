"""`network { … }` of values: which legs are one, and which operands are multiplied first.

What is written and what is priced both follow from here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tncompile.language.typing.operations import Contract, Legs
from tncompile.language.typing.sizes import Size, product
from tncompile.network.model import DOTS
from tncompile.planning.paths import exhaustive
from tncompile.planning.paths.optimizers import quick_path
from tncompile.planning.paths.problem import Path, Problem, price_path
from tncompile.planning.request import DEFAULT_BATCH, DEFAULT_LENGTH, Minimize

Names = tuple[str, ...]

Calls = Mapping[tuple[int, tuple[tuple[str, int], ...]], int]
"""How often something is called, by the rows of `...` and the run-time sizes by name."""


@dataclass(frozen=True, slots=True)
class SumOfProducts:
    """A `network { … }` where legs that are neighbors wherever they occur are one: `h e`."""

    legs: tuple[Legs, ...]
    output: Legs
    sizes: tuple[tuple[str, Size], ...]

    @property
    def terms(self) -> tuple[Names, ...]:
        """The legs of each operand that are on another or on the result: the rest is summed."""
        own = [names_of(each) for each in self.legs]
        ends = Counter(name for names in (*own, names_of(self.output)) for name in names)
        return tuple(tuple(name for name in names if ends[name] > 1) for names in own)

    @property
    def names(self) -> list[str]:
        """The run-time sizes in it."""
        return sorted({name for _, size in self.sizes for name in size.names})

    def lengths(self, rows: int, sizes: Mapping[str, int]) -> dict[str, int]:
        """The size of every leg, that of `...` under its own name."""
        return {name: size.at(sizes) for name, size in self.sizes} | {DOTS: rows}

    def problem(self, rows: int, sizes: Mapping[str, int]) -> Problem:
        """The products as a problem of contraction; sizes below 1 count as 1."""
        lengths, terms = self.lengths(rows, sizes), self.terms
        numbers = {name: k for k, name in enumerate(dict.fromkeys(n for t in terms for n in t))}
        return Problem(
            tuple(tuple(numbers[name] for name in term) for term in terms),
            tuple(numbers[name] for name in names_of(self.output)),
            tuple(max(lengths[name], 1) for name in numbers),
        )

    def __str__(self) -> str:
        operands = ", ".join(map(_text, self.legs))
        return f"network {{ {operands} -> {_text(self.output)} }}"


@dataclass(frozen=True, slots=True)
class Order:
    """The pairs of operands that are multiplied, in order; in a `step`, of few entries, its own."""

    forward: Path
    step: Path

    def describe(self) -> str:
        """The products with brackets around them, operands by their number from 1."""
        text = order_text(self.forward)
        return text if self.step == self.forward else f"{text}, in a step {order_text(self.step)}"


@dataclass(frozen=True, slots=True, eq=False)
class Ordered(Contract):
    """A `network { … }` with the order in which its operands are multiplied."""

    order: Path = field(kw_only=True)


Place = tuple[SumOfProducts, bool]
"""Products in a model, and whether a `scan` that calls it computes them ahead of all steps."""

Orders = Mapping[str, Mapping[Place, Order]]
"""The orders of contraction in the models of a plan, by what each model was made from."""


def names_of(legs: Legs) -> Names:
    """All legs in order; `...` is the first where there is one."""
    return ((DOTS,) if legs.dots else ()) + tuple(name for axis in legs.axes for name in axis)


def joined(operation: Contract) -> SumOfProducts:
    """The sum of products that an operation is."""
    after: dict[str, set[str]] = {}
    before: dict[str, set[str]] = {}
    everywhere = (*operation.legs, operation.output)
    for axis in (axis for legs in everywhere for axis in legs.axes):
        for left, right in zip(("", *axis), (*axis, ""), strict=True):
            after.setdefault(left, set()).add(right)
            before.setdefault(right, set()).add(left)
    follows = {
        left: right
        for left, (right, *more) in ((left, tuple(names)) for left, names in after.items())
        if left and right and not more and len(before[right]) == 1
    }
    runs: dict[str, Names] = {}
    for name in operation.sizes.keys() - follows.values():
        run = [name]
        while run[-1] in follows:
            run.append(follows[run[-1]])
        runs[name] = tuple(run)

    def renamed(legs: Legs) -> Legs:
        axes = (tuple(" ".join(runs[n]) for n in axis if n in runs) for axis in legs.axes)
        return Legs(tuple(axes), legs.dots)

    sizes = {
        " ".join(runs[name]): product(operation.sizes[each] for each in runs[name])
        for name in operation.sizes
        if name in runs
    }
    return SumOfProducts(
        tuple(map(renamed, operation.legs)), renamed(operation.output), tuple(sizes.items())
    )


_OBJECTIVES: Mapping[Minimize, exhaustive.Objective] = {
    "time": "combo",
    "flops": "flops",
    "memory": "write",
}
"""What is minimized of a product: autograd keeps all that is written."""


def best_order(products: SumOfProducts, calls: Calls, minimize: Minimize = "time") -> Path:
    """The pairs to multiply, in order, that are the cheapest for all calls together.

    A product has the next number. Time is multiply-adds, and entries written at the price that the
    search has for them. Gradients are two more products for each, so that one order is the best in
    both modes.
    """
    count = len(products.legs)
    if count < 3:
        return ((0, 1),) if count == 2 else ()
    problems: dict[Problem, int] = {}
    calls = calls or {(DEFAULT_BATCH, tuple((name, DEFAULT_LENGTH) for name in products.names)): 1}
    for (rows, sizes), times in sorted(calls.items()):
        problem = products.problem(rows, dict(sizes))
        problems[problem] = problems.get(problem, 0) + times
    objective = _OBJECTIVES[minimize]
    paths = dict.fromkeys(
        (exhaustive.is_small(problem) and exhaustive.best_path(problem, objective))
        or quick_path(problem)
        for problem in problems
    )

    def price(path: Path) -> tuple[int, int]:
        multiply_adds = written = 0
        for problem, times in problems.items():
            one, entries, _ = price_path(problem, path)
            multiply_adds += times * one
            written += times * entries
        match minimize:
            case "time":
                return multiply_adds + exhaustive.COMBO_FACTOR * written, 0
            case "flops":
                return multiply_adds, written
            case "memory":
                return written, multiply_adds

    return min(paths, key=price)


def order_text(path: Path) -> str:
    """An order with brackets around every product, operands by their number from 1.

    >>> order_text(((0, 1), (2, 3)))
    '(1 · 2) · 3'
    """
    texts = [(k, str(k + 1)) for k in range(len(path) + 1)]
    for pair in path:
        (first, left), (_, right) = sorted(texts[k] for k in pair)
        if " " in left:
            left = f"({left})"
        if " " in right:
            right = f"({right})"
        texts.append((first, f"{left} · {right}"))
    return texts[-1][1]


def _text(legs: Legs) -> str:
    axes = ["..."] * legs.dots
    for axis in legs.axes:
        names = [name for each in axis for name in each.split()]
        axes.append(names[0] if len(names) == 1 else f"({' '.join(names)})")
    return f"({', '.join(axes)})"
