"""A weight onto a network: starts, refinement, what is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Literal, get_args

import torch

from tncompile.network.model import TensorNetwork
from tncompile.tensorizing.fitting.metric import Seen, seen
from tncompile.tensorizing.fitting.products.balancing import balanced
from tncompile.tensorizing.fitting.products.environments import multiply_adds
from tncompile.tensorizing.fitting.products.posing import posed, whole_metric
from tncompile.tensorizing.fitting.products.product import Values
from tncompile.tensorizing.fitting.products.target import Problem
from tncompile.tensorizing.fitting.refining.als import Sweeps
from tncompile.tensorizing.fitting.refining.polish import CHUNK, Polish, Preconditioner
from tncompile.tensorizing.fitting.result import Fit, Step
from tncompile.tensorizing.fitting.starting.blocks import separated
from tncompile.tensorizing.fitting.starting.peeling import can_peel, peel
from tncompile.tensorizing.fitting.starting.pencils import diagonalized
from tncompile.tensorizing.moments import Metric

Progress = Callable[[int, int], None]

Effort = Literal["full", "quick"]
EFFORTS: tuple[Effort, ...] = get_args(Effort)
"""`quick` is enough to compare networks by: one start, two sweeps and a chunk of iterations."""

QUICK_SWEEPS = 2

EXACT = 1e-8
"""A relative error that counts as none: less than what float32 rounds off."""

EQUAL = 1e-7
"""Errors of two starts that differ by less than this part are the same minimum: the first start
is kept, so that rounding, which differs from run to run, does not choose."""

RANDOM_STARTS = 2
"""Random starts where peeling is not exact; one more where nothing can be peeled or in swamps."""

MORE_STARTS = 6
"""Random starts that follow where the error is below `NEAR`: a weight that the network may have."""

NEAR = 0.3

SWEEPS = 5
LEAST_CHANGE = 1e-5
"""Sweeps end where one lowers the error by less than this part."""

DAMPING = 1e-9
CHUNKS = 25
STALL, STALL_IF_CHEAP = 1e-3, 1e-4
"""Iterations of LBFGS end where a chunk of them lowers the error by less than this part."""

ROUGH, ROUGH_IN_SWAMPS = 1e-6, 1e-2
"""What is added to the normal matrices that precondition LBFGS, in units of their mean."""

OPERATIONS, POLISHING = 10**11, 2 * 10**11
"""Multiply-adds of all sweeps of a start, and of all its iterations of LBFGS. Two sweeps and one
chunk of iterations are made, whatever they cost."""

CHEAP = 2 * 10**9
"""Multiply-adds of all iterations of a start up to which every start is followed to its end."""

PER_ENTRY = 8, 30
"""How many multiply-adds an entry of the weight counts as: it is read in a sweep, and goes through
memory in an iteration of LBFGS."""


def fit_network(
    network: TensorNetwork,
    weight: torch.Tensor,
    frozen: Mapping[str, torch.Tensor],
    *,
    metric: Metric | None = None,
    inputs: torch.Tensor | None = None,
    tolerance: float | None = None,
    seed: int = 0,
    effort: Effort = "full",
    progress: Progress | None = None,
) -> Fit:
    """What `Architecture.fit` returns; `frozen` are the values of tensors that are not trained."""
    metric = whole_metric(metric, inputs)
    check_options(effort, seed, tolerance)
    plain, axes = posed(network, weight, frozen)
    view = None if metric is None else seen(plain, axes, metric, network.target)
    goal = max(tolerance or 0.0, EXACT)
    search = _Search(plain, view, goal, seed, progress, quick=effort == "quick")
    with torch.no_grad():
        search.run()
        values = search.best if view is None else view.restored(search.best)
        values = balanced(plain.product, values)
        error = plain.error(values)
    metric_error = None if view is None else search.error
    state = _state(network, values, weight, frozen)
    return Fit(state, error, metric_error, search.bound, tuple(search.history), search.method)


def check_options(effort: str, seed: int, tolerance: float | None) -> None:
    """Raise ValueError or TypeError for options of a fit that there are not."""
    if effort not in EFFORTS:
        raise ValueError(f"effort is one of {', '.join(EFFORTS)}, not {effort!r}")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"a seed is an int, not {seed!r}")
    if tolerance is not None and not 0 <= tolerance < 1:
        raise ValueError(f"tolerance is a relative error below 1, not {tolerance}")


class _Start:
    """Parameters to go on from, and what led to them."""

    def __init__(self, name: str, values: Values, error: float) -> None:
        self.name, self.values, self.error = name, values, error
        self.methods = [_origin(name)]
        self.polish: Polish | None = None
        self.chunks = 0


class _Search:
    """The best parameters over all starts; never worse than any of them."""

    def __init__(
        self,
        plain: Problem,
        view: Seen | None,
        goal: float,
        seed: int,
        progress: Progress | None,
        *,
        quick: bool = False,
    ) -> None:
        self.plain, self.view, self.goal = plain, view, goal
        self.problem = plain if view is None else view.problem
        self.generator = torch.Generator().manual_seed(seed)
        self.best: Values = {}
        self._best_start: _Start | None = None
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
        self._sweeps = Sweeps(product) if product.linear else None
        a_sweep = self._sweeps.multiply_adds if self._sweeps else 1
        most = SWEEPS if product.linear and not self._swampy else 0
        self._sweep_count = min(most, max(2, OPERATIONS // (a_sweep + swept)))
        # an evaluation and its gradient; the search along a line takes one or two
        chunk = 4 * polished_once * CHUNK
        self._chunk_count = max(1, min(CHUNKS, POLISHING // chunk))
        self._cheap = chunk * CHUNKS <= CHEAP
        self._quick = quick
        if quick:
            self._sweep_count = min(self._sweep_count, QUICK_SWEEPS)
            self._chunk_count, self._cheap = 1, False

    def run(self) -> None:
        """Refine every start, until one is as near as was wanted, or as possible.

        All are swept; the best is followed to its end, others where that is cheap, or where it
        ends so near that there may be a better end.
        """
        starts: list[_Start] = []
        for name, values in self._starts():
            starts.append(self._begun(name, values))
            if self._reached:
                break
        self._total = len(starts) * (self._sweep_count + self._chunk_count)
        self._progress(0, self._total)
        for start in starts:
            if not self._reached:
                self._tried(start)
        for place, start in enumerate(_nearest_first(starts)):
            near = self.error < NEAR and not self._quick
            if not self._reached and (place == 0 or self._cheap or near):
                self._finished(start)
        number = sum(start.name.startswith("random") for start in starts)
        for more in range(number, number + MORE_STARTS if number else 0):
            if not self._reached and self._cheap and self.error < NEAR:
                start = self._begun(f"random {more + 1}", self._random())
                self._tried(start)
                self._finished(start)
        self._progress(self._total, self._total)

    @property
    def _reached(self) -> bool:
        return self.error <= max(self.goal, (self.bound or 0.0) * (1 + 1e-9))

    def _starts(self) -> Iterator[tuple[str, Values]]:
        """Factors peeled off or from a pencil, and random ones where that is not the best alone."""
        first = self.plain if self.view is None else self.view.start
        random = RANDOM_STARTS + 1
        found: dict[str, Values] = {}
        if can_peel(first.product):
            peeled = peel(first, self.generator)
            found["peel"] = peeled.values
            random = 0 if peeled.loop_free else RANDOM_STARTS + self._swampy
            same = self.view is None or self.view.transformed
            self.bound = peeled.bound if same and not first.is_cut else None
        if (values := diagonalized(first, self.generator)) is not None:
            found["pencil"] = values
        elif (values := separated(first, self.generator)) is not None:
            found["blocks"] = values
        yield from found.items()
        if self._quick:
            random = 0 if found else 1
        for number in range(random):
            yield f"random {number + 1}", self._random()

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

    def _begun(self, name: str, values: Values) -> _Start:
        start = _Start(name, values, self.problem.error(values))
        self.history.append(Step(name, _origin(name), start.error))
        self._keep(start)
        return start

    def _tried(self, start: _Start) -> None:
        """Some sweeps of alternating least squares; a chunk of iterations in swamps."""
        if self._sweeps is None or not self._sweep_count:
            self._polished(start)
            return
        start.methods.append("ALS")
        current = dict(start.values)
        self._sweeps.begin(current)
        for number in range(self._sweep_count):
            target = self.problem.filled(current)
            self._sweeps.sweep(target, current, DAMPING, backward=number % 2 == 1)
            now = self.problem.error(current)
            self._report(start, "ALS", now)
            gained = start.error - now
            if now < start.error:
                start.values, start.error = dict(current), now
            if not gained >= LEAST_CHANGE * start.error or start.error <= self.goal:
                break
        self._keep(start)

    def _finished(self, start: _Start) -> None:
        """All parameters at once, until that gains little."""
        while start.chunks < self._chunk_count and not self._reached:
            self._polished(start)
            if start.polish is None or start.polish.ended:
                break

    def _polished(self, start: _Start) -> None:
        """A chunk of iterations of LBFGS."""
        if start.polish is None:
            start.polish = Polish(self.problem, start.values, self._preconditioner)
            start.methods.append("LBFGS")
        start.polish.chunk(STALL_IF_CHEAP if self._cheap else STALL)
        start.chunks += 1
        start.values, start.error = start.polish.values, start.polish.error
        self._report(start, "LBFGS", start.error)
        self._keep(start)

    @property
    def _preconditioner(self) -> Preconditioner | None:
        if self._sweeps is None:
            return None
        return partial(self._sweeps.turn, rough=ROUGH_IN_SWAMPS if self._swampy else ROUGH)

    def _keep(self, start: _Start) -> None:
        least = self.error if start is self._best_start else self.error * (1 - EQUAL)
        if start.error < least or self._best_start is None:
            self.best, self.error, self._best_start = dict(start.values), start.error, start
            self.method = ", ".join(start.methods)

    def _report(self, start: _Start, method: str, error: float) -> None:
        self.history.append(Step(start.name, method, error))
        self._done = min(self._done + 1, self._total)
        self._progress(self._done, self._total)


def _nearest_first(starts: Iterable[_Start]) -> list[_Start]:
    """Starts by their errors; those that are equal up to rounding stay as they came."""
    ordered: list[_Start] = []
    for start in starts:
        place = len(ordered)
        while place and start.error < ordered[place - 1].error * (1 - EQUAL):
            place -= 1
        ordered.insert(place, start)
    return ordered


def _origin(start: str) -> str:
    """What made a start: `random` of `random 2`."""
    return start.split()[0]


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
