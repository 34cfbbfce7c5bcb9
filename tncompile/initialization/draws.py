"""How a module's parameters start: a draw for each, and one factor that rescales them together.

`auto` makes the whole map as large as the layer that it stands for. Each parameter is drawn with a
deviation that is right on average; a single draw of a product of many is not the average, so the
map is then contracted with itself (`norm_network`) and all `auto` parameters are multiplied by
one number that makes its mean square exact. Where that contraction costs too much, the mean square
is estimated from random inputs. Long chains start near the identity instead and need neither.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tncompile.initialization.chains import Chain, identity_legs, long_chains
from tncompile.initialization.estimates import Estimate, estimate_of
from tncompile.initialization.norm import LinearMap, linear_map, norm_network
from tncompile.network.model import Init, Parameter, TensorNetwork
from tncompile.network.windows import Window
from tncompile.program.program import TensorProgram

LINEAR = 1 / 3  # mean square of an output of `nn.Linear` without its bias, at unit variance

NOISE = 0.25
"""How much the noise of a long chain adds to its square norm, about: small, so that every image is
handed through, and enough to tell the directions of the bonds apart."""

MOST = 256  # a product of more factors is not contracted with itself: the source would be long


@dataclass(frozen=True, slots=True)
class Normal:
    """Independent normal numbers."""

    std: float


@dataclass(frozen=True, slots=True)
class Uniform:
    """Independent numbers between -bound and bound."""

    bound: float


@dataclass(frozen=True, slots=True)
class Constant:
    """Every entry is this number."""

    value: float


@dataclass(frozen=True, slots=True)
class Counting:
    """0, 1, … along the last axis."""

    length: int


@dataclass(frozen=True, slots=True)
class Matrix:
    """An orthogonal matrix or the identity, the first `split` axes against the rest.

    The split is where the two sides are nearest in size, the later one in a tie: the isometry
    `w(a, b, c)` maps c into (a b), the disentangler `u(a, b, c, d)` is a square matrix.
    """

    orthogonal: bool
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class IdentityKernel:
    """The identity at the middle entry of a kernel and zeros elsewhere, as of `nn.init.dirac_`.

    `middle` has that entry for each axis of the tensor that is a window's, None for the others.
    These have the sizes `legs`, 1 for those that the identity is repeated along.
    """

    middle: tuple[int | None, ...]
    legs: tuple[int, ...]
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class NearIdentity:
    """Every slice `scale` times the identity along the bonds, plus noise of deviation `std`.

    `bonds` are one or two axes of the tensor seen in the shape `legs`; with one bond each slice is
    `scale` times the first unit vector.
    """

    legs: tuple[int, ...]
    bonds: tuple[int, ...]
    scale: float
    std: float


Draw = Normal | Uniform | Constant | Counting | Matrix | IdentityKernel | NearIdentity


@dataclass(frozen=True, slots=True)
class Rescaling:
    """Multiply `keys` by exp((log_wanted - measured) / (2 uses)).

    `measured` is log |W|² by `measure`, a program of the network contracted with itself, or the
    logarithm of an estimated mean square.
    """

    keys: tuple[str, ...]
    uses: int
    log_wanted: float
    measure: TensorProgram | Estimate


@dataclass(frozen=True, slots=True)
class Initialization:
    """A draw for every parameter by key, biases among them, and what makes the whole right.

    `aim` says in words what the draws are for: the docstring of `reset_parameters`.
    """

    draws: Mapping[str, Draw]
    biases: tuple[str, ...]
    rescaling: Rescaling | None
    aim: str

    @property
    def chained(self) -> bool:
        """Whether parameters start near the identity, as those of long chains do."""
        return any(isinstance(draw, NearIdentity) for draw in self.draws.values())


MakeProgram = Callable[[TensorNetwork], TensorProgram | None]
"""Plans and lowers a scalar network in logarithms; None where it costs too much."""


def initialize(network: TensorNetwork, make_program: MakeProgram) -> Initialization:
    """The start of every parameter of the network, and the rescaling that makes `auto` exact."""
    linear = linear_map(network)
    chains = long_chains(linear)
    scheme = {parameter.key: parameter.init.scheme for parameter in network.parameters}
    biases = tuple(bias.parameter for bias in network.biases)
    bonds = identity_legs(linear, chains)
    bonds = {key: legs for key, legs in bonds.items() if scheme[key] == "auto"}
    # A parameter that many sites share repeats its noise, which then adds up in amplitude.
    uses = Counter(tensor.source for tensor in linear.tensors)
    noise: dict[str, float] = {}
    for chain in chains:
        for key in {linear.tensors[k].source for k in chain.tensors} & bonds.keys():
            noise[key] = math.sqrt(NOISE / (len(chain.tensors) * chain.widest * uses[key]))
    drawn = [tensor.source for tensor in linear.tensors if scheme[tensor.source] == "auto"]
    log_target, aim = _aim(network, linear)
    spread = _spread(linear)
    scale = 1.0
    if drawn:
        expected = _log_expected(linear, chains, noise, spread)
        scale = math.exp((log_target - expected) / (2 * len(drawn)))
        aim = f"Start near the identity: {aim}." if bonds else f"Draw the parameters for {aim}."
    else:
        aim = "Start the parameters as declared."
    draws: dict[str, Draw] = {}
    for parameter in network.parameters:
        key = parameter.key
        match parameter.init.scheme:
            case "auto" if key in bonds:
                sizes = tuple(_size(network, leg) for axis in parameter.axes for leg in axis)
                draws[key] = NearIdentity(sizes, bonds[key], scale, scale * noise[key])
            case "auto" | "linear" if key in biases:
                draws[key] = Uniform(1 / math.sqrt(_fan_in(network)))
            case "auto" | "linear":
                draws[key] = Normal(scale * math.exp(spread.get(key, 0.0)))
            case "orthogonal":
                draws[key] = Matrix(True, *_matrix(network, parameter))
            case "eye":
                draws[key] = _identity(network, parameter)
            case _:
                draws[key] = start(parameter.shape, parameter.init)
    rescaling = None
    if any(key not in bonds for key in drawn):
        keys, count = tuple(dict.fromkeys(drawn)), len(drawn)
        program = make_program(norm_network(linear)) if len(linear.tensors) <= MOST else None
        if program is not None:
            rescaling = Rescaling(keys, count, log_target, program)
        elif linear.complete:  # else no input gets through: the draws stand
            log_wanted = log_target - linear.log_divisor
            rescaling = Rescaling(keys, count, log_wanted, estimate_of(network))
    return Initialization(draws, biases, rescaling, aim)


def start(shape: tuple[int, ...], init: Init) -> Draw:
    """How a tensor starts by itself, by a scheme that is not `auto`."""
    argument = init.argument or 0.0
    match init.scheme:
        case "normal":
            return Normal(argument)
        case "uniform":
            return Uniform(argument)
        case "ones":
            return Constant(1.0)
        case "arange":
            return Counting(shape[-1] if shape else 1)
        case "orthogonal" | "eye":
            return Matrix(init.scheme == "orthogonal", *_split(shape, range(1, len(shape))))
        case _:
            return Constant(argument)


def _aim(network: TensorNetwork, linear: LinearMap) -> tuple[float, str]:
    """The logarithm that |W|² should have, and what it stands for in words."""
    if not network.inputs:
        return 0.0, "a contracted tensor of norm 1"
    if all(x.integer for x in network.inputs):
        return linear.log_divisor, "outputs of mean square 1, as nn.Embedding's"
    sliced = any(axis.kind == "slices" for x in network.inputs for axis in x.axes)
    inputs = "features of norm 1" if sliced else "inputs of unit variance"
    inside = ", away from the borders" if network.windows else ""
    return linear.log_divisor + math.log(LINEAR), f"outputs of mean square 1/3 on {inputs}{inside}"


def _matrix(network: TensorNetwork, parameter: Parameter) -> tuple[int, int]:
    """The rows and columns that a parameter has as a matrix.

    The kernel legs of windows stay on one side, with another leg where there is one on each.
    """
    kernels = [_window(network, axis) is not None for axis in parameter.axes]

    def divides_kernels(place: int) -> tuple[bool, bool]:
        sides = kernels[:place], kernels[place:]
        return all(map(any, sides)), any(map(all, sides))

    places = list(range(1, len(kernels)))
    if any(kernels):
        best = min(map(divides_kernels, places), default=None)
        places = [place for place in places if divides_kernels(place) == best]
    return _split(parameter.shape, places)


def _split(shape: tuple[int, ...], places: Iterable[int]) -> tuple[int, int]:
    """Rows and columns at the place where they are nearest in size, the later one in a tie."""
    splits = [(math.prod(shape[:k]), math.prod(shape[k:])) for k in places]
    splits = splits or [(math.prod(shape), 1)]
    return min(reversed(splits), key=lambda split: max(split) / min(split))


def _window(network: TensorNetwork, axis: tuple[str, ...]) -> Window | None:
    """The window whose leg an axis is."""
    return network.window.get(axis[0]) if len(axis) == 1 else None


def _identity(network: TensorNetwork, parameter: Parameter) -> Matrix | IdentityKernel:
    """What `eye` is: of a kernel, the identity between its other legs at the middle entry.

    Legs that an input shares with the output are groups: each has an identity of its own. So has
    each entry of a leg that is the only one.
    """
    windows = [_window(network, axis) for axis in parameter.axes]
    if not any(windows):
        return Matrix(False, *_matrix(network, parameter))
    middle = tuple(window.size // 2 if window else None for window in windows)
    on_inputs = {leg for tensor in network.tensors if tensor.role == "input" for leg in tensor.legs}
    groups = on_inputs.intersection(network.output.legs)
    sides = [
        (size, groups.issuperset(axis))
        for size, axis, entry in zip(parameter.shape, parameter.axes, middle, strict=True)
        if entry is None
    ]
    alone = sum(not is_group for _, is_group in sides) == 1
    legs = tuple(1 if is_group or alone else size for size, is_group in sides)
    return IdentityKernel(middle, legs, *_split(legs, range(1, len(legs))))


def _fan_in(network: TensorNetwork) -> float:
    """The features that one output sums over: of the widest input, groups left out.

    Along a window they are those under its kernel; the entries that a transposed one makes share
    them.
    """
    shared = set(network.output.legs)
    widest = 1.0
    for source in network.inputs:
        features = 1.0
        for axis in source.axes:
            if window := _window(network, axis.indices):
                features *= window.size / (window.stride if window.transposed else 1)
            if axis.kind in ("legs", "slices") and axis.length is not None:
                groups = math.prod(_size(network, leg) for leg in axis.indices if leg in shared)
                features *= axis.length / groups
        widest = max(widest, features)
    return widest


def _spread(linear: LinearMap) -> dict[str, float]:
    """Parameter key -> log of its deviation relative to the others': inner indices cost evenly.

    An inner index of size r that k tensors carry takes a factor of r ** (1 / k) from the variance
    of each, so that the products between any two parts of the network stay alike in size.
    """
    ends = Counter(leg for tensor in linear.tensors for leg in tensor.legs)
    spread: dict[str, float] = {}
    for tensor in linear.tensors:
        inner = (leg for leg in tensor.legs if leg not in linear.outside)
        logs = (math.log(_size(linear.network, leg)) / ends[leg] for leg in inner)
        spread.setdefault(tensor.source, -sum(logs) / 2)
    return spread


def _log_expected(
    linear: LinearMap,
    chains: tuple[Chain, ...],
    noise: Mapping[str, float],
    spread: Mapping[str, float],
) -> float:
    """Logarithm of the mean of |W|² over draws at scale 1 of everything that is `auto`."""
    network = linear.network
    bonds = {leg for chain in chains for leg in chain.bonds}
    total = sum(math.log(index.size or 1) for index in linear.carried if index.name not in bonds)
    for mask in linear.masks:
        total += math.log(int(mask.source))
        total -= sum(math.log(_size(network, leg)) for leg in mask.legs)
    for tensor in linear.tensors:
        parameter = network.parameter[tensor.source]
        match parameter.init.scheme:
            case "auto" | "linear":
                total += 0.0 if tensor.source in noise else 2 * spread[tensor.source]
            case "normal":
                total += 2 * math.log(parameter.init.argument or 1.0)
            case "uniform":
                total += 2 * math.log(parameter.init.argument or 1.0) - math.log(3)
                total += math.log(2) if parameter.complex else 0.0  # each part is drawn so
            case "constant":
                total += 2 * math.log(abs(parameter.init.argument or 1.0))
            case "orthogonal":
                total -= math.log(max(_matrix(network, parameter)))
            case "eye":
                identity = _identity(network, parameter)
                total -= math.log(max(identity.rows, identity.columns))
                if isinstance(identity, IdentityKernel):
                    held = zip(parameter.shape, identity.middle, strict=True)
                    total -= sum(math.log(size) for size, entry in held if entry is not None)
    for chain in chains:
        length, widest = len(chain.tensors), chain.widest
        identities = 2 * chain.traced + (chain.open == 2)
        total += identities * math.log(widest)
        if not identities:  # what the noise of a row adds to its first entry
            grown = (1 + NOISE / (length * widest)) ** length
            total += math.log1p((grown - 1) / widest)
    return total


def _size(network: TensorNetwork, name: str) -> int:
    size = network.index[name].size
    assert size is not None
    return size
