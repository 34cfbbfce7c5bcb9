"""Convolutions: predicted memory against what torch allocates, operations counted independently."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.memory import peak_allocated
from tests.support.memory import held_bytes
from tests.support.small_networks import make_network
from tncompile.lowering.lower import lower
from tncompile.lowering.schedule import ConvolutionLayout, Schedule
from tncompile.machine.convolution import Convolution
from tncompile.machine.profile import BUILTIN
from tncompile.network.contraction import build_tree, operands
from tncompile.network.model import TensorNetwork
from tncompile.network.windows import Window
from tncompile.program.interpreter import run_program
from tncompile.program.layout import convolves_channels_last
from tncompile.program.operations import Convolve
from tncompile.program.queries import multiply_adds
from tncompile.simulation.dense_convolution import ConvolutionTwin
from tncompile.simulation.dense_layer import dense_parameters, dense_run, dense_twin
from tncompile.simulation.trace import trace
from tncompile.tuning.timing import dense_layer

LENGTHS = {1: (50,), 2: (12, 14), 3: (6, 7, 8)}

NARROW = torch.backends.cpu.get_cpu_capability() == "AVX2"
"""Whether oneDNN computes eight channels at a time; the profile is of a machine with AVX-512."""


@pytest.fixture(autouse=True)
def same_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As many threads as the profile has, since sums of gradients are kept for each, and blocks of
    channels as wide as they are here."""
    if NARROW:
        monkeypatch.setattr("tncompile.machine.convolution.BLOCK", 8)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def windows(axes: int, **options: object) -> list[Window]:
    """Windows of three entries that keep the length, unless the options say otherwise."""
    fields = {"size": 3, "left": 1, "right": 1} | options
    return [Window.model_validate({"name": n, "family": n} | fields) for n in "hwd"[:axes]]


def convolution(sizes: dict[str, int], along: list[Window]) -> TensorNetwork:
    """One kernel over `g` groups of `i` and `o` channels, as far as they have sizes."""
    image = ["...", *(leg for leg in "gi" if leg in sizes), *(w.input_leg for w in along)]
    result = ["...", *(leg for leg in "go" if leg in sizes), *(w.output_leg for w in along)]
    kernel = [*(leg for leg in "goi" if leg in sizes), *(w.kernel_leg for w in along)]
    return make_network({"...": None, **sizes}, {"x": image}, {"K": kernel}, result, windows=along)


def layout(sizes: dict[str, int], channels_last: bool) -> Schedule:
    """One convolution in a format."""
    groups, summed, columns = ((leg,) if leg in sizes else () for leg in "gio")
    orders = (("...",), groups, summed, columns)
    return Schedule(layouts=(ConvolutionLayout(channels_last, *orders),))


def check(network: TensorNetwork, schedule: Schedule, rows: int, width: int = 4) -> None:
    """Predicted peaks are those of torch within ten percent, forward and in a training step."""
    lengths = zip(network.windows, LENGTHS[len(network.windows)], strict=True)
    sizes = network.with_window_sizes({"...": rows} | {w.input_leg: n for w, n in lengths})
    program = lower(
        network, build_tree(network, operands(network), ((0, 1),)), schedule, sizes=sizes
    )
    dtype = torch.float32 if width == 4 else torch.float64
    parameters = {
        p.key: torch.randn(p.shape, dtype=dtype, requires_grad=True) for p in network.parameters
    }
    shape = [axis.size or sizes[axis.indices[0]] for axis in network.inputs[0].axes]
    x = torch.randn(shape, dtype=dtype, requires_grad=True)
    held = held_bytes([*parameters.values(), x])

    def forward() -> object:
        with torch.no_grad():
            return run_program(network, program, parameters, {"x": x})

    def step() -> object:
        made = run_program(network, program, parameters, {"x": x})
        assert isinstance(made, Tensor)
        gradient = torch.ones(made.shape, dtype=dtype)
        made.backward(gradient)  # type: ignore[no-untyped-call]
        return made, gradient

    actions: list[tuple[bool, Callable[[], object]]] = [(False, forward), (True, step)]
    for training, action in actions:
        traced = trace(network, program, sizes, BUILTIN, training=training, width=width)
        action()
        for tensor in (*parameters.values(), x):
            tensor.grad = None
        measured = held + peak_allocated(action)
        assert abs(traced.peak - measured) <= 0.1 * measured, (training, traced.peak, measured)
    with FlopCounterMode(display=False) as counter:
        step()
    due = [*(step.operation for step in program.steps if isinstance(step.operation, Convolve))]
    assert len(due) == 1
    once = 2 * multiply_adds(due[0], program).at(sizes)
    groups = network.index["g"].size or 1 if "g" in network.index else 1
    assert once * passes_counted(groups) == counter.get_total_flops()
    assert traced.total.flops >= 2 * traced.total.multiply_adds == 3 * once


def passes_counted(groups: int) -> int:
    """How often torch counts a convolution in a training step: the weight's gradient is one
    without groups for it (`conv_backward_flop`)."""
    return 2 + groups


SHAPES: dict[str, tuple[dict[str, int], dict[str, object]]] = {
    "dense": ({"i": 24, "o": 40}, {}),
    "few channels": ({"i": 3, "o": 32}, {}),
    "stride": ({"i": 16, "o": 32}, {"stride": 2}),
    "grouped": ({"g": 4, "i": 16, "o": 16}, {}),
    "depthwise": ({"g": 32}, {}),
    "circular": ({"i": 16, "o": 32}, {"mode": "circular"}),
    "reflect": ({"i": 16, "o": 32}, {"mode": "reflect"}),
    "replicate": ({"i": 16, "o": 32}, {"mode": "replicate"}),
    "causal": ({"i": 16, "o": 32}, {"left": 2, "right": 0}),
    "transposed": ({"i": 16, "o": 32}, {"transposed": True}),
    "transposed, stride": ({"i": 16, "o": 32}, {"transposed": True, "stride": 2}),
    "transposed, cut": (
        {"i": 16, "o": 32},
        {"transposed": True, "stride": 2, "left": 2, "right": 0},
    ),
}


@pytest.mark.parametrize("channels_last", [False, True], ids=["row-major", "channels-last"])
@pytest.mark.parametrize("axes", LENGTHS)
@pytest.mark.parametrize("name", SHAPES)
def test_memory_and_operations(name: str, axes: int, channels_last: bool) -> None:
    sizes, options = SHAPES[name]
    if name == "depthwise" and axes == 3:
        pytest.skip("oneDNN has no kernel of its own for it, and allocates as it likes")
    if NARROW and axes == 3 and (channels_last or name == "grouped"):
        pytest.skip("oneDNN has no kernel for these gradients with AVX2")
    network = convolution(sizes, windows(axes, **options))
    check(network, layout(sizes, channels_last), 16)


@pytest.mark.parametrize("axes", LENGTHS)
@pytest.mark.parametrize("name", ["dense", "circular", "transposed"])
def test_a_small_image_is_a_product_of_matrices(name: str, axes: int) -> None:
    sizes, options = SHAPES[name]
    check(convolution(sizes, windows(axes, **options)), layout(sizes, False), 1)


@pytest.mark.parametrize("axes", LENGTHS)
def test_double_precision(axes: int) -> None:
    sizes, options = SHAPES["dense"]
    check(convolution(sizes, windows(axes, **options)), layout(sizes, False), 16, width=8)


# ── formats ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("axes", LENGTHS)
@pytest.mark.parametrize("groups", [1, 8])
@pytest.mark.parametrize("last", [(False, False), (False, True), (True, False), (True, True)])
def test_the_format_of_a_result_is_that_of_torch(
    axes: int, groups: int, last: tuple[bool, bool]
) -> None:
    image, weight = (
        tensor.movedim(1, -1).contiguous().movedim(-1, 1) if wanted else tensor
        for tensor, wanted in zip(
            (torch.zeros(4, 8, *LENGTHS[axes]), torch.zeros(8, 8 // groups, *[3] * axes)),
            last,
            strict=True,
        )
    )
    made = torch.ops.aten.convolution(
        image, weight, None, [1] * axes, [1] * axes, [1] * axes, False, [0] * axes, groups
    )
    found = convolves_channels_last(image.shape, image.stride(), weight.shape, weight.stride())
    assert found == (not made.is_contiguous())
    assert not found or made.movedim(1, -1).is_contiguous()


def test_multiply_adds_of_sizes() -> None:
    sizes = Convolution(2, 4, 3, 5, (3, 3), (8, 8), (4, 4))
    assert sizes.multiply_adds == 2 * 4 * 3 * 5 * 9 * 16
    mirrored = Convolution(2, 4, 5, 3, (3, 3), (4, 4), (8, 8), transposed=True)
    assert mirrored.mirrored.multiply_adds == mirrored.multiply_adds == sizes.multiply_adds


# ── the dense layer ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("axes", LENGTHS)
@pytest.mark.parametrize("name", SHAPES)
def test_the_dense_layer_is_a_convolution_of_torch(name: str, axes: int) -> None:
    sizes, options = SHAPES[name]
    network = convolution(sizes, windows(axes, **options))
    lengths = {w.input_leg: n for w, n in zip(network.windows, LENGTHS[axes], strict=True)}
    runtime = network.with_window_sizes({"...": 16} | lengths)
    twin = dense_twin(network, runtime)
    assert isinstance(twin, ConvolutionTwin)
    assert twin.kind == f"nn.Conv{'Transpose' if options.get('transposed') else ''}{axes}d"
    assert twin.weight == dense_parameters(network) == network.parameter_count
    for training in (False, True):
        with FlopCounterMode(display=False) as counter:
            dense_layer(twin, "training" if training else "inference")()
        times = passes_counted(twin.groups) if training else 1
        assert twin.flops(training=False) * times == counter.get_total_flops()
        assert twin.flops(training=training) == twin.flops(training=False) * (3 if training else 1)
        run = dense_run(network, runtime, BUILTIN, training=training)
        assert run is not None
        assert run.seconds > 0
    positions = math.prod(runtime[w.output_leg] for w in network.windows)
    channels = sizes.get("g", 1) * sizes.get("o", 1)
    assert twin.largest(training=False) >= 16 * channels * positions


def test_networks_that_no_convolution_is_like() -> None:
    mixed = convolution({"i": 4, "o": 4}, [*windows(1), *windows(2, transposed=True)[1:]])
    twin = dense_twin(mixed, mixed.with_window_sizes({"...": 2, "h.in": 8, "w.out": 8}))
    assert isinstance(twin, str)
    assert "transposed" in twin
