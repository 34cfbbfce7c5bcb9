"""How large a network is: the ranks that a number of parameters or an error leaves it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tncompile.architecture import Architecture
from tncompile.blocks import Block

if TYPE_CHECKING:
    import torch

    from tncompile.planning.paths.optimizers import Progress
    from tncompile.tensorizing.fitting.fit import Effort
    from tncompile.tensorizing.fitting.result import Fit
    from tncompile.tensorizing.moments import Metric

RANKS = (
    *("ranks", "rank", "in_ranks", "out_ranks", "in_rank", "out_rank", "kernel_ranks"),
    "multiplier",
)
"""Parameters of blocks that say how large inner legs are; those of them are chosen that the user
leaves out, all alike."""

TERMS = ("terms",)
"""Those that are chosen where the block has no ranks."""

LARGEST = 2**20


@dataclass(frozen=True)
class Choice:
    """What was asked for."""

    budget: float | None
    tolerance: float | None
    metric: Metric | None
    inputs: torch.Tensor | None
    seed: int
    progress: Progress | None
    effort: Effort = "full"

    def fit(self, architecture: Architecture, weight: torch.Tensor) -> Fit:
        """The weight onto one architecture."""
        return architecture.fit(
            weight,
            metric=self.metric,
            inputs=self.inputs,
            tolerance=self.tolerance,
            seed=self.seed,
            effort=self.effort,
            progress=self.progress,
        )


def choose(
    architecture: Architecture | None,
    block: Block | None,
    arguments: Mapping[str, object],
    weight: torch.Tensor,
    choice: Choice,
) -> tuple[Architecture, Fit]:
    """The architecture of the block with the ranks that were asked for, and the fit onto it."""
    for name, value in (("budget", choice.budget), ("tolerance", choice.tolerance)):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not number:
            raise TypeError(f"{name} is a number, not {type(value).__name__}")
    if choice.budget is not None and choice.tolerance is not None:
        raise ValueError("give a budget or a tolerance, not both")
    if choice.budget is not None and not 0 < choice.budget < math.inf:
        raise ValueError(f"budget is a part of the parameters, above 0, not {choice.budget}")
    if block is None:
        assert architecture is not None
        if choice.budget is not None:
            raise ValueError("an architecture has its ranks: a budget chooses those of a block")
        return architecture, choice.fit(architecture, weight)
    names = open_ranks(block, arguments)
    if not names or (choice.budget is None and choice.tolerance is None):
        made = block.instantiate(**arguments)
        if choice.budget is not None:
            _require_within(made, choice.budget, weight.numel())
        return made, choice.fit(made, weight)
    if block.kind == "model":
        found = _by_frequency(block, arguments, weight, choice)
        if found is not None:
            return found
        if any(p.name in names and p.type.startswith("int[") for p in block.parameters):
            raise ValueError(f"the ranks of {block.name} are not all alike: give them")
    ranked = _Ranked(block, arguments, names)
    if choice.budget is not None:
        made = ranked.made(_within(ranked, choice.budget, weight.numel()))
        return made, choice.fit(made, weight)
    assert choice.tolerance is not None
    return _reaching(ranked, choice, weight)


def open_ranks(block: Block, arguments: Mapping[str, object]) -> tuple[str, ...]:
    """The parameters for ranks that arguments leave open."""
    known = [parameter.name for parameter in block.parameters]
    for group in (RANKS, TERMS):
        if any(name in known for name in group):
            return tuple(name for name in group if name in known and name not in arguments)
    return ()


@dataclass(frozen=True)
class _Ranked:
    """A block whose ranks are open."""

    block: Block
    arguments: Mapping[str, object]
    names: tuple[str, ...]

    def made(self, rank: int) -> Architecture:
        """The block with one number for all ranks, less where a bond has no use for as much."""
        from tncompile.language.checking.capacity_rules import useful_sizes

        ranks = dict.fromkeys(self.names, rank)
        made = self.block.instantiate(**self.arguments, **ranks)
        lists = [name for name in self.names if isinstance(made.arguments[name], tuple)]
        if not lists:
            return made
        useful = useful_sizes(made._block)
        return self.with_sizes(useful, rank) if any(n < rank for n in useful.values()) else made

    def possible(self, rank: int) -> Architecture | None:
        """The same; None for a rank that the block refuses."""
        from tncompile.language.diagnostics.errors import CompileError

        try:
            return self.made(rank)
        except CompileError:
            if rank == 1:
                raise
            return None

    def with_sizes(self, sizes: Mapping[str, int], most: int) -> Architecture:
        """The block whose inner legs are at least of these sizes, where one number is for each."""
        wanted: dict[str, object] = {}
        for name, entry, legs in self._governed():
            size = max((sizes.get(leg, most) for leg in legs), default=1)
            if entry is None:
                wanted[name] = size
            else:
                entries = wanted.setdefault(name, [])
                assert isinstance(entries, list)
                entries.append(size)
        return self.block.instantiate(**self.arguments, **wanted)

    def _governed(self) -> Iterator[tuple[str, int | None, tuple[str, ...]]]:
        """Which legs each entry of each rank sizes: those that grow with it."""
        ones = dict.fromkeys(self.names, 1)
        base = self.block.instantiate(**self.arguments, **ones)
        small = _sizes(base)
        for name in self.names:
            value = base.arguments[name]
            count = len(value) if isinstance(value, tuple) else 1
            for entry in range(count):
                larger: object = 2
                if isinstance(value, tuple):
                    larger = [2 if k == entry else 1 for k in range(count)]
                grown = _sizes(self.block.instantiate(**self.arguments, **{**ones, name: larger}))
                legs = tuple(leg for leg, size in grown.items() if size > small[leg])
                yield name, entry if isinstance(value, tuple) else None, legs


def _sizes(architecture: Architecture) -> dict[str, int]:
    return {index.name: index.size or 1 for index in architecture._map.indices}


def _parameters(architecture: Architecture) -> int:
    """Trained numbers of the weight; biases are no part of it."""
    added = {bias.parameter for bias in architecture._map.biases}
    return sum(
        math.prod(p.shape) for p in architecture._stored if p.key not in added and not p.frozen
    )


def _require_within(architecture: Architecture, budget: float, whole: int) -> None:
    count = _parameters(architecture)
    if count > budget * whole:
        target = architecture._map.target
        raise ValueError(f"{target} has {count:,} parameters, {count / whole:.3g} of the weight's")


def _largest(fits: Callable[[int], bool]) -> int:
    """The largest number that fits, of those up to a limit; 0 for none. Doubled, then halved."""
    low, high = 0, 1
    while high < LARGEST and fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _within(ranked: _Ranked, budget: float, whole: int) -> int:
    counts: dict[int, int] = {}

    def fits(rank: int) -> bool:
        made = ranked.possible(rank)
        if made is None:
            return False
        counts[rank] = _parameters(made)
        saturated = rank > 1 and counts[rank] == counts.get(rank // 2)
        return counts[rank] <= budget * whole and not saturated

    rank = _largest(fits)
    if not rank:
        _require_within(ranked.made(1), budget, whole)
    return max(rank, 1)


def _reaching(ranked: _Ranked, choice: Choice, weight: torch.Tensor) -> tuple[Architecture, Fit]:
    """The smallest ranks that reach the tolerance."""
    assert choice.tolerance is not None
    tolerance = choice.tolerance
    by_values = _by_singular_values(ranked, choice, weight, tolerance)
    if by_values is not None:
        return by_values
    found: dict[int, tuple[Architecture, Fit]] = {}

    def falls_short(rank: int) -> bool:
        made = ranked.possible(rank)
        if made is None or _parameters(made) > weight.numel():
            return False
        found[rank] = made, choice.fit(made, weight)
        return not _within_tolerance(found[rank][1], tolerance)

    rank = _largest(falls_short) + 1
    if rank not in found:
        name = ranked.block.name
        raise ValueError(
            f"no {name} of fewer parameters than the weight has an error of {tolerance:g}"
        )
    return found[rank]


def _within_tolerance(fit: Fit, tolerance: float) -> bool:
    return (fit.error if fit.metric_error is None else fit.metric_error) <= tolerance


def _by_singular_values(
    ranked: _Ranked, choice: Choice, weight: torch.Tensor, tolerance: float
) -> tuple[Architecture, Fit] | None:
    """The smallest of some splits of an error over the cuts of a network without loops.

    What singular values promise is the sum of all that cuts leave out. A fit gains on that, so
    splits of more are tried, too: those from which on it does not reach the tolerance are left.
    """
    from tncompile.tensorizing.fitting.ranks import cuts_of

    smallest = ranked.possible(2)
    if smallest is None:
        return None
    cuts = cuts_of(smallest._map, weight, choice.metric, choice.inputs, tolerance)
    if cuts is None:
        return None
    most = math.sqrt(max(1, len(cuts.squares))) * (1.0 if cuts.certain else 2.0)
    least = 1.0 if cuts.certain else 0.5
    factors = [most * (least / most) ** (step / SPLITS) for step in range(SPLITS + 1)]
    splits: list[dict[str, int]] = []
    for factor in factors:
        ranks = cuts.ranks(min(factor * tolerance, 1.0) * (1 - 1e-9))
        if ranks not in splits:
            splits.append(ranks)
    best: tuple[Architecture, Fit] | None = None
    low, high = 0, len(splits)  # those before `low` fall short, those from `high` on reach it
    while low < high:
        middle = (low + high) // 2
        made = ranked.with_sizes(splits[middle], 1)
        fit = choice.fit(made, weight)
        if _within_tolerance(fit, tolerance):
            best, high = (made, fit), middle
        else:
            low = middle + 1
    return best


def _by_frequency(
    block: Block, arguments: Mapping[str, object], weight: torch.Tensor, choice: Choice
) -> tuple[Architecture, Fit] | None:
    """A table whose groups of words and their ranks are chosen together, as `allocate` does.

    None for a block of another form than `MixedEmbedding`.
    """
    from tncompile.model import Model
    from tncompile.models.graph.mixed import Mixed
    from tncompile.tensorizing.fitting.fit import check_options
    from tncompile.tensorizing.fitting.grouping import mixed_forms
    from tncompile.tensorizing.fitting.mixing import seen_table
    from tncompile.tensorizing.fitting.products.posing import whole_metric

    lists = {p.name for p in block.parameters if p.type.startswith("int[")}
    if not lists >= {"counts", "ranks"} or "ranks" in arguments:
        return None
    if "counts" in arguments:
        raise ValueError(f"counts and ranks of {block.name} are chosen together: give both or none")
    check_options(choice.effort, choice.seed, choice.tolerance)
    words, features = weight.shape
    if words < 2 or features < 2:
        raise ValueError(f"a table of {words} × {features} has no groups of words")
    made = _made(block, arguments, [1], [1, 2])
    if not isinstance(made, Model) or not isinstance(made._form, Mixed):
        return None
    seen = seen_table(made._map, weight, whole_metric(choice.metric, choice.inputs)).seen
    forms = [form for form in mixed_forms(seen, 1, 1) if form.parameters < weight.numel()]
    if not forms:
        raise ValueError(
            f"no groups of words gain anything in this table of {words} × {features}: give counts"
            f" and ranks of {block.name}"
        )
    whole = float(seen.square().sum())
    for form in forms if choice.budget is None else forms[::-1]:
        if choice.budget is not None:
            fits = form.parameters <= choice.budget * weight.numel()
        else:
            assert choice.tolerance is not None
            fits = form.error <= choice.tolerance**2 * whole
        known = _made(block, arguments, form.counts, form.ranks) if fits else None
        if known is not None:
            return known, choice.fit(known, weight)
    if choice.budget is not None:
        least = forms[0].parameters / weight.numel()
        raise ValueError(
            f"the smallest {block.name} of this table has {least:.3g} of its parameters, not"
            f" {choice.budget:g}"
        )
    raise ValueError(
        f"no {block.name} of fewer parameters than the weight has an error of {choice.tolerance:g}"
    )


def _made(
    block: Block, arguments: Mapping[str, object], counts: Sequence[int], ranks: Sequence[int]
) -> Architecture | None:
    """The block with these groups; None where it refuses them."""
    from tncompile.language.diagnostics.errors import CompileError

    try:
        return block.instantiate(**arguments, counts=list(counts), ranks=list(ranks))
    except CompileError:
        return None


SPLITS = 6
"""How many errors between the least and the most that cuts may leave out are asked for."""
