"""Networks with windows made by hand, what they mean by brute force, and their modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tests.support.oracle import contract
from tests.support.small_networks import low_rank, make_network
from tncompile.compiler import plan_network, weight_program
from tncompile.emission import GeneratedModule, emit
from tncompile.initialization.draws import Initialization, Normal
from tncompile.lowering import lower
from tncompile.network.contraction import ContractionTree, build_tree, operands
from tncompile.network.editing import edited
from tncompile.network.model import DOTS, Bias, Init, Parameter, TensorNetwork
from tncompile.network.windows import Window
from tncompile.planning.request import plan_request
from tncompile.program.program import TensorProgram
from tncompile.program.variants import Branches

Pairs = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Convolution:
    """A network with windows, and orders of contraction that mean the same."""

    network: TensorNetwork
    orders: tuple[Pairs, ...]

    def trees(self) -> list[ContractionTree]:
        """The orders as trees."""
        given = operands(self.network)
        return [build_tree(self.network, given, tuple(order)) for order in self.orders]

    def programs(self) -> list[TensorProgram]:
        """What they are lowered to."""
        return [lower(self.network, tree) for tree in self.trees()]


def window(name: str, size: int, **options: object) -> Window:
    """A window of this name; `padding` is on both sides."""
    if "padding" in options:
        options["left"] = options["right"] = options.pop("padding")
    return Window.model_validate({"name": name, "family": name, "size": size, **options})


def biased(network: TensorNetwork, *legs: str) -> TensorNetwork:
    """The network with a bias `c` along these legs of the output."""
    axes = tuple((leg,) for leg in legs)
    shape = tuple(network.index[leg].size or 0 for leg in legs)
    init = Init(scheme="linear")
    c = Parameter(key="c", family="c", axes=axes, shape=shape, init=init, written="c(…)")
    biases = (Bias(parameter="c", axes=axes),)
    return edited(network, parameters=(*network.parameters, c), biases=biases)


# ── the usual ones ──────────────────────────────────────────────────────────────────────────────


def tucker2(
    windows: Sequence[Window], channels: tuple[int, int, int, int] = (4, 3, 5, 6)
) -> Convolution:
    """Channels reduced to `a`, convolved to `b`, and expanded, as planners like it best."""
    i, a, b, o = channels
    network = make_network(
        {DOTS: None, "i": i, "o": o, "a": a, "b": b},
        {"x": [DOTS, "i", *(each.input_leg for each in windows)]},
        {"U": ["i", "a"], "K": ["a", "b", *(k.kernel_leg for k in windows)], "V": ["b", "o"]},
        [DOTS, "o", *(each.output_leg for each in windows)],
        windows=windows,
    )
    orders = ((0, 1), (2, 4), (3, 5)), ((1, 2), (3, 4), (0, 5)), ((0, 1), (2, 3), (4, 5))
    return Convolution(network, orders)


def cp(windows: Sequence[Window], channels: tuple[int, int, int] = (4, 3, 6)) -> Convolution:
    """One factor for each window, all of them depthwise in the rank."""
    i, r, o = channels
    count = len(windows)
    network = make_network(
        {DOTS: None, "i": i, "o": o, "r": r},
        {"x": [DOTS, "i", *(each.input_leg for each in windows)]},
        {
            "A": ["i", "r"],
            **{f"K{k}": [each.kernel_leg, "r"] for k, each in enumerate(windows)},
            "D": ["r", "o"],
        },
        [DOTS, "o", *(each.output_leg for each in windows)],
        windows=windows,
    )
    first = count + 3  # the result of the first contraction
    along = [(first + k, 2 + k) for k in range(count)]
    small = [(1, 2), *((first + k - 1, 2 + k) for k in range(1, count + 1))]
    orders = [(0, 1), *along, (first + count, count + 2)], [*small, (0, first + count)]
    return Convolution(network, tuple(orders))


def depthwise(windows: Sequence[Window], channels: int = 4) -> Convolution:
    """Every channel by itself."""
    network = make_network(
        {DOTS: None, "i": channels},
        {"x": [DOTS, "i", *(each.input_leg for each in windows)]},
        {"K": ["i", *(each.kernel_leg for each in windows)]},
        [DOTS, "i", *(each.output_leg for each in windows)],
        windows=windows,
    )
    return Convolution(network, (((0, 1),),))


def grouped(windows: Sequence[Window], channels: tuple[int, int, int] = (2, 3, 4)) -> Convolution:
    """Groups of channels, which are axes of their own outside."""
    g, i, o = channels
    network = make_network(
        {DOTS: None, "g": g, "i": i, "o": o},
        {"x": [DOTS, "g", "i", *(each.input_leg for each in windows)]},
        {"K": ["g", "o", "i", *(each.kernel_leg for each in windows)]},
        [DOTS, "g", "o", *(each.output_leg for each in windows)],
        windows=windows,
    )
    return Convolution(network, (((0, 1),),))


def dense(windows: Sequence[Window], channels: tuple[int, int] = (4, 6)) -> Convolution:
    """One tensor."""
    i, o = channels
    network = make_network(
        {DOTS: None, "i": i, "o": o},
        {"x": [DOTS, "i", *(each.input_leg for each in windows)]},
        {"K": ["o", "i", *(each.kernel_leg for each in windows)]},
        [DOTS, "o", *(each.output_leg for each in windows)],
        windows=windows,
    )
    return Convolution(network, (((0, 1),),))


def train(windows: Sequence[Window], channels: tuple[int, int, int] = (4, 3, 6)) -> Convolution:
    """A tensor train: input channels, one tensor a window, output channels."""
    i, r, o = channels
    count = len(windows)
    tensors = {"A": ["i", "b[0]"]}
    for k, each in enumerate(windows):
        tensors[f"G{k}"] = [f"b[{k}]", each.kernel_leg, f"b[{k + 1}]"]
    tensors["D"] = [f"b[{count}]", "o"]
    network = make_network(
        {DOTS: None, "i": i, "o": o, **{f"b[{k}]": r + k for k in range(count + 1)}},
        {"x": [DOTS, "i", *(each.input_leg for each in windows)]},
        tensors,
        [DOTS, "o", *(each.output_leg for each in windows)],
        windows=windows,
    )
    first = count + 3
    along = [(first + k, 2 + k) for k in range(count)]
    small = [(1, 2), *((first + k - 1, 2 + k) for k in range(1, count + 1))]
    orders = [(0, 1), *along, (first + count, count + 2)], [*small, (0, first + count)]
    return Convolution(network, tuple(orders))


# ── what they mean ──────────────────────────────────────────────────────────────────────────────


def window_tensor(window: Window, length: int) -> Tensor:
    """One where an entry of the input meets one of the kernel in one of the output, else zero.

    Its axes are the input of this length, the kernel and the output.
    """
    tensor = torch.zeros(length, window.size, window.output_length(length), dtype=torch.float64)
    for k in range(window.size):
        if window.transposed:
            for p in range(length):
                q = p * window.stride + k * window.dilation - window.left
                if 0 <= q < tensor.shape[2]:
                    tensor[p, k, q] = 1
            continue
        for q in range(tensor.shape[2]):
            p = q * window.stride + k * window.dilation - window.left
            match window.mode:
                case "circular":
                    p %= length
                case "reflect":
                    p = abs(p) if p < length else 2 * (length - 1) - p
                case "replicate":
                    p = min(max(p, 0), length - 1)
            if 0 <= p < length:
                tensor[p, k, q] = 1
    return tensor


def meaning(network: TensorNetwork, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """The output by brute force; `...` of the one input may be several axes, or none."""
    (source,) = network.inputs
    own = [axis.indices[0] for axis in source.axes if axis.kind == "legs"]
    lead = x.shape[: x.dim() - len(own)]
    inputs = x.reshape(-1, *x.shape[len(lead) :])
    factors = [(inputs, [DOTS, *own])]
    for each in network.windows:
        length = x.shape[own.index(each.input_leg) - len(own)]
        legs = [each.input_leg, each.kernel_leg, each.output_leg]
        factors.append((window_tensor(each, length), legs))
    factors += [
        (parameters[tensor.source], tensor.legs)
        for tensor in network.tensors
        if tensor.role == "parameter"
    ]
    output = [index for axis in network.output.axes for index in axis.indices]
    made = _contracted(factors, output)
    for bias in network.biases:
        legs = [leg for axis in bias.axes for leg in axis]
        wide = [made.shape[output.index(leg)] if leg in legs else 1 for leg in output]
        order = [legs.index(leg) for leg in output if leg in legs]
        made = made + parameters[bias.parameter].permute(order).reshape(wide)
    return made.reshape(*lead, *made.shape[1:])


def _contracted(factors: Sequence[tuple[Tensor, Sequence[str]]], output: Sequence[str]) -> Tensor:
    """The product of all, one factor after another: what no later one has is summed at once."""
    made, legs = factors[0]
    for k, (tensor, own) in enumerate(factors[1:], 2):
        later = {leg for _, others in factors[k:] for leg in others}.union(output)
        kept = [leg for leg in dict.fromkeys([*legs, *own]) if leg in later]
        made, legs = contract([(made, legs), (tensor, own)], kept), kept
    return contract([(made, legs)], output)


# ── their modules ───────────────────────────────────────────────────────────────────────────────


def generated(network: TensorNetwork, program: TensorProgram) -> GeneratedModule:
    """The source of a program; plan and start are such as do not look at windows."""
    other = low_rank(4, 4, 2)
    planned = plan_network(other, plan_request(other, search="fast"))
    draws = {parameter.key: Normal(1.0) for parameter in network.parameters}
    start = Initialization(draws, (), None, "Draw the parameters.")
    return emit(network, planned, Branches.single(program), start, weigh=weight_program)
