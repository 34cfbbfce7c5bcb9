"""A weight onto a network: starts, refinement, what is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import torch

from tncompile.network.model import TensorNetwork
from tncompile.tensorizing import als
from tncompile.tensorizing.balancing import balanced
from tncompile.tensorizing.environments import multiply_adds
from tncompile.tensorizing.metric import Seen, seen
from tncompile.tensorizing.moments import Metric
from tncompile.tensorizing.peeling import can_peel, peel
from tncompile.tensorizing.pencils import diagonalized
from tncompile.tensorizing.polish import CHUNK, polished
from tncompile.tensorizing.posing import posed, whole_metric
from tncompile.tensorizing.product import Values
from tncompile.tensorizing.result import Fit, Step
from tncompile.tensorizing.target import Problem

Progress = Callable[[int, int], None]

EXACT = 1e-8
"""A relative error that counts as none: less than what float32 rounds off."""

RANDOM_STARTS = 2
DIRECT = ("random, direct 1", "random, direct 2")
"""Starts that are polished without sweeps, in swamps: sums of blocks, which sweeps lead astray."""

SWEEPS = 30
SWEEPS_IN_SWAMPS = 300
LEAST_CHANGE = 1e-5
"""Sweeps end where one lowers the error by less than this part; in swamps where `PATIENCE` of them
lower it by less than `STALL_IN_SWAMPS`."""

PATIENCE = 20

DAMPING = 1e-9
DAMPING_IN_SWAMPS = 1e-3
CHUNKS = 25
STALL = 1e-4
STALL_IN_SWAMPS = 1e-3
OPERATIONS, POLISHING = 10**11, 7 * 10**11
"""Multiply-adds of all sweeps of a start, and of all its iterations of LBFGS. Two sweeps and one
chunk of iterations are made, whatever they cost."""

PER_ENTRY = 8, 300
"""How many multiply-adds an entry of the weight counts as: it is read in a sweep, and goes through
memory many times in an iteration of LBFGS."""


def fit_network(
    network: TensorNetwork,
    weight: torch.Tensor,
    frozen: Mapping[str, torch.Tensor],
    *,
    metric: Metric | None = None,
    inputs: torch.Tensor | None = None,
    tolerance: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Fit:
    """What `Architecture.fit` returns; `frozen` are the values of tensors that are not trained."""
    metric = whole_metric(metric, inputs)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"a seed is an int, not {seed!r}")
    if tolerance is not None and not 0 <= tolerance < 1:
        raise ValueError(f"tolerance is a relative error below 1, not {tolerance}")
    plain, axes = posed(network, weight, frozen)
    view = None if metric is None else seen(plain, axes, metric, network.target)
    search = _Search(plain, view, max(tolerance or 0.0, EXACT), seed, progress)
    with torch.no_grad():
        search.run()
        values = search.restored(search.best)
        values = balanced(plain.product, values)
        error = plain.error(values)
    metric_error = None if view is None else search.error
    state = _state(network, values, weight, frozen)
    return Fit(state, error, metric_error, search.bound, tuple(search.history), search.method)


class _Search:
    """The best parameters over all starts; never worse than any of them."""

    def __init__(
        self, plain: Problem, view: Seen | None, goal: float, seed: int, progress: Progress | None
    ) -> None:
        self.plain, self.view, self.goal = plain, view, goal
        self.problem = plain if view is None else view.problem
        self.generator = torch.Generator().manual_seed(seed)
        self.best: Values = {}
        self.error = float("inf")
        self.bound: float | None = None
        self.method = ""
        self.history: list[Step] = []
        self._progress = progress or (lambda done, total: None)
        self._done = self._total = 0
        product = self.problem.product
        self._swampy = product.swampy
        once = multiply_adds([f.legs for f in product.factors], product.open, product.sizes)
        swept, polished_once = (once + n * self.problem.target.numel() for n in PER_ENTRY)
        most = (SWEEPS_IN_SWAMPS if self._swampy else SWEEPS) if product.linear else 0
        a_sweep = swept * als.contractions(product)
        self.sweeps = min(most, max(2, OPERATIONS // a_sweep))
        # an evaluation and its gradient; the search along a line takes one or two
        self.chunks = max(1, min(CHUNKS, POLISHING // (4 * polished_once * CHUNK)))

    def restored(self, values: Values) -> Values:
        """Parameters of the problem that is solved as those of the weight."""
        return (
            values if self.view is None or not self.view.transformed else self.view.restored(values)
        )

    def run(self) -> None:
        """Refine every start, until one is as near as was wanted, or as possible."""
        starts = list(self._starts())
        each = max(1, self.sweeps + self.chunks)
        self._total = len(starts) * each
        self._progress(0, self._total)
        measured = []
        for name, values in starts:
            error = self.problem.error(values)
            self.history.append(Step(name, _origin(name), error))
            self._keep(values, error, [_origin(name)])
            measured.append((name, values, error))
            if self.error <= self._enough:
                break
        for number, (name, values, error) in enumerate(measured, start=1):
            if self.error <= self._enough:
                break
            self._refine(name, values, error)
            self._done = number * each
            self._progress(self._done, self._total)
        self._progress(self._total, self._total)

    @property
    def _enough(self) -> float:
        return max(self.goal, (self.bound or 0.0) * (1 + 1e-9))

    def _starts(self) -> Iterator[tuple[str, Values]]:
        """Factors peeled off or from a pencil, and random ones where that is not the best alone."""
        first = self.plain if self.view is None else self.view.start
        random = RANDOM_STARTS + 1
        found: dict[str, Values] = {}
        if can_peel(first.product):
            peeled = peel(first, self.generator)
            found["peel"] = peeled.values
            random = 0 if peeled.loop_free else RANDOM_STARTS
            same = self.view is None or self.view.transformed
            self.bound = peeled.bound if same and not first.is_cut else None
        if (values := diagonalized(first, self.generator)) is not None:
            found["pencil"] = values
        for name, values in found.items():
            other = self.view is not None and not self.view.transformed
            yield name, self.view.restored(values) if self.view and other else values
        for number in range(random):
            yield f"random {number + 1}", self._random()
        for name in DIRECT if self._swampy and self.sweeps else ():
            yield name, self._random()

    def _random(self) -> Values:
        """Normal numbers, as large together as the target."""
        product = self.problem.product
        values: Values = {}
        for key in product.keys:
            shape = product.shapes[key]
            drawn = torch.randn(shape, dtype=torch.float64, generator=self.generator)
            if key in product.complex_keys:
                other = torch.randn(shape, dtype=torch.float64, generator=self.generator)
                drawn = torch.complex(drawn, other)
            values[key] = drawn.to(self.problem.target.device)
        uses = len(product.free)
        size = float(torch.linalg.vector_norm(product.dense(values)))
        if size and self.problem.norm:
            factor = (self.problem.norm / size) ** (1 / uses)
            values = {key: value * factor for key, value in values.items()}
        return values

    def _refine(self, start: str, values: Values, error: float) -> None:
        """Sweeps, then all parameters at once; what each of them reached is kept if it is best."""
        methods = [_origin(start)]
        if self.sweeps and start not in DIRECT and error > self._enough:
            methods.append("ALS")
            values, error = self._swept(start, values, error)
            self._keep(values, error, methods)
        if error > self._enough:
            methods.append("LBFGS")

            def report(now: float) -> None:
                self.history.append(Step(start, "LBFGS", now))
                self._report()

            stall = STALL_IN_SWAMPS if self._swampy else STALL
            values, error = polished(self.problem, values, self.chunks, stall, self._enough, report)
            self._keep(values, error, methods)

    def _swept(self, start: str, values: Values, error: float) -> tuple[Values, float]:
        """The best of some sweeps of alternating least squares."""
        best, least = dict(values), error
        current, errors = dict(values), list[float]()
        damping = DAMPING_IN_SWAMPS if self._swampy else DAMPING
        for number in range(self.sweeps):
            target = self.problem.filled(current)
            backward = number % 2 == 1
            als.sweep(self.problem.product, target, current, damping, backward=backward)
            now = self.problem.error(current)
            self.history.append(Step(start, "ALS", now))
            self._report()
            gained = least - now
            if now < least:
                best, least = dict(current), now
            stuck = gained < LEAST_CHANGE * least and not self._swampy
            errors.append(least)
            if self._swampy and number >= PATIENCE:
                stuck = errors[-PATIENCE - 1] - least < STALL_IN_SWAMPS * least
            if stuck or least <= self._enough or not math.isfinite(now):
                break
        return best, least

    def _keep(self, values: Values, error: float, methods: list[str]) -> None:
        if error < self.error or not self.best:
            self.best, self.error = dict(values), error
            self.method = ", ".join(methods)

    def _report(self) -> None:
        self._done += 1
        self._progress(self._done, self._total)


def _origin(start: str) -> str:
    """What made a start: `random` of `random 2`."""
    return start.split()[0].rstrip(",")


def _state(
    network: TensorNetwork,
    values: Values,
    weight: torch.Tensor,
    frozen: Mapping[str, torch.Tensor],
) -> dict[str, torch.Tensor]:
    """All parameters of a module of the network, in the order of its state dict."""
    state: dict[str, torch.Tensor] = {}
    real = weight.dtype.to_real()
    for parameter in network.parameters:
        dtype = real.to_complex() if parameter.complex else real
        if parameter.key in values:
            found = values[parameter.key]
        elif parameter.key in frozen:
            found = frozen[parameter.key]
        else:
            found = torch.zeros(parameter.shape)
        state[parameter.key] = found.detach().to(weight.device, dtype).reshape(parameter.shape)
    return state
