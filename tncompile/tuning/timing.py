"""Times on this machine: actions run in turn, in rounds of shuffled order, and what they took.

One of the files that import torch: real tensors for the inputs of a network, modules run forward
and backward. Everything here is a measurement: two calls differ.
"""

from __future__ import annotations

import copy
import gc
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tncompile.machine.host import cores, synchronize, thread_total
from tncompile.machine.profile import CPU, CUDA
from tncompile.network.model import TensorNetwork
from tncompile.planning.wording import percent_text
from tncompile.simulation.dense_convolution import ConvolutionTwin
from tncompile.simulation.dense_layer import DenseTwin
from tncompile.simulation.modes import Mode
from tncompile.simulation.trace import passed_on

if TYPE_CHECKING:
    from tncompile.typed import TensorNetworkModule

Action = Callable[[], object]

SHORTEST = 2e-4
"""Seconds: an action that takes less is repeated for one reading."""

FEWEST, MOST = 5, 60
"""Readings of one action."""

UNSTEADY = 0.25
"""Readings decide nothing once their quartiles lie further apart, as a share of the median."""

LEAST_SHARE = 0.9
"""Readings decide nothing if a processor worked for us for less than this part of their time."""

TOLERANCE = 1e-6
"""How far results of two programs may differ in double precision, relative to the largest entry."""

SQUARE = {CPU: 1024, CUDA: 4096}
"""Rows of the square product that rates are compared with, by device."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one run: the median of some readings, and their quartiles.

    `share` is the part of that time in which a processor worked for us: less than 1 where others
    took it away. `times` are the readings themselves, a round each.
    """

    seconds: float
    low: float
    high: float
    readings: int
    share: float = 1.0
    times: tuple[float, ...] = field(default=(), repr=False)

    @property
    def spread(self) -> float:
        """How far the quartiles lie apart, as a share of the median."""
        return (self.high - self.low) / self.seconds if self.seconds else 0.0


def disturbance(share: float, spread: float = 0.0) -> str | None:
    """Why times say little, where something else ran on the machine; None where nothing did.

    `share` and `spread` are those of a `Timing`. With more threads than processors they wait for
    each other, which is nobody else's work.
    """
    if share < LEAST_SHARE and thread_total() <= cores():
        return f"others took {percent_text(1 - share)} of the processor's time"
    if spread > UNSTEADY:
        return f"half of the readings of one program lie {percent_text(spread)} apart"
    return None


def time_in_turn(
    actions: Sequence[Action], budget: float, hopeless: float = math.inf
) -> tuple[Timing, ...]:
    """Run all actions in rounds of shuffled order, for about `budget` seconds in all.

    Each runs at least `FEWEST` times, however long that takes, so that a median stands for
    something. Then those whose least reading is more than `hopeless` times the least median stop,
    which leaves more rounds to the others. The garbage collector waits.
    """
    # Once a large tensor has been freed, the allocator keeps freed memory. Else chance decides
    # whether temporaries of some megabytes are mapped anew each time.
    torch.empty(31 * 2**18)
    repeats: list[int] = []  # of each action for one reading
    for action in actions:
        action()  # warms it up
        repeats.append(max(1, math.ceil(SHORTEST / max(_read(action, 1)[0], 1e-7))))
    readings: list[list[float]] = [[] for _ in actions]
    worked = [0.0 for _ in actions]
    order = list(range(len(actions)))
    shuffled = random.Random(0)
    collecting, start = gc.isenabled(), perf_counter()
    gc.disable()
    try:
        for done in range(MOST):
            if done >= FEWEST:
                if perf_counter() - start > budget:
                    break
                least = min(median(times) for times in readings)
                order = [k for k in order if min(readings[k]) <= hopeless * least]
            shuffled.shuffle(order)
            for k in order:
                took, ours = _read(actions[k], repeats[k])
                readings[k].append(took)
                worked[k] += ours
    finally:
        if collecting:
            gc.enable()
    cuda: Any = torch.cuda  # this function of it has no types
    waits = cuda.is_initialized()  # for a device, which is no sign of others
    timings: list[Timing] = []
    for times, ours in zip(readings, worked, strict=True):
        low, middle, high = quantiles(times, n=4)
        share = 1.0 if waits else min(1.0, ours / (sum(times) or 1.0))
        timings.append(Timing(middle, low, high, len(times), share, tuple(times)))
    return tuple(timings)


def _read(action: Action, repeats: int) -> tuple[float, float]:
    """Seconds of one run, and those of them in which a processor worked for this thread."""
    start, before = perf_counter(), thread_time()
    for _ in range(repeats):
        action()
    synchronize()
    return (perf_counter() - start) / repeats, (thread_time() - before) / repeats


# ── networks ────────────────────────────────────────────────────────────────────────────────────


def random_inputs(
    network: TensorNetwork, sizes: Mapping[str, int], device: str = "cpu"
) -> tuple[Tensor, ...]:
    """Inputs of `forward` at these run-time sizes, the same ones in each call.

    Those that another layer may have made want gradients.
    """
    generator = torch.Generator(CPU).manual_seed(0)
    through = passed_on(network)
    inputs: list[Tensor] = []
    for declared in network.inputs:
        shape: list[int] = []
        classes = 0
        for axis in declared.axes:
            if axis.kind == "onehot":
                classes = axis.length or 1
            else:
                shape.append(sizes[axis.indices[0]] if axis.length is None else axis.length)
        if classes:
            x = torch.randint(classes, shape, generator=generator, device=CPU)
        else:
            x = torch.randn(shape, generator=generator, device=CPU)
        inputs.append(x.to(device).requires_grad_(declared.name in through))
    return tuple(inputs)


def running(module: nn.Module, inputs: Sequence[Tensor], mode: Mode) -> Action:
    """A run of a module in a mode: a forward pass, or one with backward, as if inside a model.

    `folded` runs the module as it is: it has to be the folded one.
    """

    def run() -> object:
        if mode != "training":
            with torch.no_grad():
                return module(*inputs)
        for leaf in (*module.parameters(), *inputs):
            leaf.grad = None
        result = module(*inputs)
        if isinstance(result, tuple):  # a sign, which has no gradient, and a logarithm
            result = result[1]
        if result.requires_grad:
            torch.autograd.backward(result, torch.ones_like(result))
        return result

    return run


def folded(module: nn.Module) -> nn.Module:
    """The twin for inference of an emitted module."""
    return cast("TensorNetworkModule", module).fold()


def disagreeing(modules: Sequence[nn.Module], inputs: Sequence[Tensor], mode: Mode) -> int | None:
    """The first module that computes something else than the first of all; None where all agree.

    They are compared in double precision, where no order of contraction takes sound results far
    apart, and after a small random change of every parameter, as a factor of zeros hides whatever
    it is multiplied by. In training the gradients of a random sum of all outputs count as well;
    for `folded` the twins of the modules are compared.
    """
    training = mode == "training"
    leaves = [x.detach().double() if x.is_floating_point() else x for x in inputs]
    leaves = [x.requires_grad_(x.is_floating_point() and training) for x in leaves]
    expected: tuple[Tensor, ...] | None = None
    scale: float | None = None
    for number, module in enumerate(modules):
        twin = _shaken(module)
        twin = folded(twin) if mode == "folded" else twin
        with torch.set_grad_enabled(training):
            value = twin(*leaves)
            if isinstance(value, tuple):  # a logarithm is steep near zero: compare what it is of
                sign, log = value
                if scale is None:
                    finite = log.detach()[log.isfinite()]
                    scale = float(finite.max()) if finite.numel() else 0.0
                value = sign.detach() * (log - scale).exp()
        gradients: tuple[Tensor, ...] = ()
        if value.requires_grad:
            wanted = [leaf for leaf in (*twin.parameters(), *leaves) if leaf.requires_grad]
            generator = torch.Generator(CPU).manual_seed(1)
            weights = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            gradients = torch.autograd.grad(
                value, wanted, weights.to(value), allow_unused=True, materialize_grads=True
            )
        results = (value.detach(), *gradients)
        expected = results if expected is None else expected
        if _differ(expected, results):
            return number
    return None


def _shaken(module: nn.Module) -> nn.Module:
    """A copy in double precision, every parameter changed by a tenth, the same way for all."""
    twin = copy.deepcopy(module).double()
    generator = torch.Generator(CPU).manual_seed(0)
    with torch.no_grad():
        for parameter in twin.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            size = parameter.square().mean().sqrt()
            scale = torch.where(size > 0, 0.1 * size, 0.1)
            parameter.add_(scale * noise.to(parameter.device))
    return twin


def _differ(expected: Sequence[Tensor], results: Sequence[Tensor]) -> bool:
    """Whether two results, or gradients of one tensor, differ by more than rounding.

    Gradients far smaller than the largest of all are compared relative to that one. Where both have
    no finite value they agree.
    """
    if [x.shape for x in expected] != [x.shape for x in results]:
        return True
    largest = max((_largest(gradient) for gradient in expected[1:]), default=0.0)
    for number, (x, y) in enumerate(zip(expected, results, strict=True)):
        if not torch.equal(x.isfinite(), y.isfinite()):
            return True
        scale = max(_largest(x), 1e-4 * largest if number else 0.0)
        if _largest(x - y) > TOLERANCE * scale:
            return True
    return False


def _largest(tensor: Tensor) -> float:
    """The largest magnitude of all finite entries."""
    finite = tensor[tensor.isfinite()]
    return float(finite.abs().max()) if finite.numel() else 0.0


# ── the machine ─────────────────────────────────────────────────────────────────────────────────


def product_rate(device: str = CPU) -> float:
    """Operations a second of a square product of `SQUARE` rows on this machine, in float32."""
    side = SQUARE[device]
    left, right = torch.randn(side, side, device=device), torch.randn(side, side, device=device)
    (timing,) = time_in_turn([lambda: torch.mm(left, right)], budget=0.5)
    return 2 * side**3 / timing.seconds


def dense_layer(twin: DenseTwin, mode: Mode, device: str = CPU) -> Action:
    """A run of the layer of torch that a network is like."""
    if isinstance(twin, ConvolutionTwin):
        shape = (twin.samples, twin.in_channels, *twin.lengths)
        image = torch.randn(shape, device=device, requires_grad=True)
        return running(_Convolution(twin, device), (image,), mode)
    samples, outputs = twin.samples, twin.out_features
    if twin.kind == "nn.Embedding":
        (rows,) = twin.in_features
        ids = torch.randint(rows, (samples,), device=device)
        return running(nn.Embedding(rows, outputs, device=device), (ids,), mode)
    layer = getattr(nn, twin.kind.removeprefix("nn."))
    inputs = tuple(
        torch.randn(samples, features, device=device, requires_grad=True)
        for features in twin.in_features
    )
    module = layer(*twin.in_features, outputs, bias=twin.bias, device=device)
    return running(module, inputs, mode)


class _Convolution(nn.Module):
    """`nn.ConvNd` or `nn.ConvTransposeNd`, with the borders that it does not pad or cut itself."""

    def __init__(self, twin: ConvolutionTwin, device: str) -> None:
        super().__init__()
        self.twin = twin
        self.layer = getattr(nn, twin.kind.removeprefix("nn."))(
            twin.in_channels,
            twin.out_channels,
            twin.kernel,
            stride=tuple(window.stride for window in twin.windows),
            padding=twin.padding,
            dilation=tuple(window.dilation for window in twin.windows),
            groups=twin.groups,
            bias=twin.bias,
            device=device,
            **({"output_padding": twin.output_padding} if twin.transposed else {}),
        )

    def forward(self, image: Tensor) -> Tensor:
        """The output for row-major images (N, channels, lengths…)."""
        if self.twin.before is not None:
            pads, mode = self.twin.before
            ends = [pads[2 * k : 2 * k + 2] for k in range(len(self.twin.windows))]
            image = functional.pad(image, [n for pair in reversed(ends) for n in pair], mode)
        result = cast(Tensor, self.layer(image))
        cut = [-n for window in reversed(self.twin.windows) for n in window.crop]
        return functional.pad(result, cut) if any(cut) else result
