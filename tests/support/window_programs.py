"""Programs with windows made at random: the text of a network, and valid trees over its operands.

Sizes, strides, dilations, paddings, modes, transposed windows, families of them, the same window on
several tensors, groups (an index that input, tensor and output share), hyperedges, several inputs
and leading axes, flattened axes cut to a width, ties, sharing, biases.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import tncompile
from tncompile.network.contraction import ContractionTree, build_tree, convolved, operands
from tncompile.network.model import TensorNetwork

_MODES = ("circular", "reflect", "replicate")


@dataclass
class _Sketch:
    """A program while it is written: legs by tensor and input, sizes by index."""

    rng: random.Random
    sizes: dict[str, int] = field(default_factory=dict)
    tensors: dict[str, list[str]] = field(default_factory=dict)
    inputs: dict[str, list[str]] = field(default_factory=dict)
    output: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def index(self, prefix: str, largest: int = 3) -> str:
        """A new index of a size from 1 on."""
        name = f"{prefix}{len(self.sizes)}"
        self.sizes[name] = self.rng.randint(1, largest)
        return name

    def on_a_tensor(self, leg: str, most: int = 1) -> None:
        """The leg on one to `most` tensors."""
        count = self.rng.randint(1, min(most, len(self.tensors)))
        for name in self.rng.sample(sorted(self.tensors), count):
            self.tensors[name].append(leg)


def random_program(
    seed: int, *, complex_numbers: bool = False, log: bool = False, transposed: bool | None = None
) -> str:
    """The text of a network `N` without parameters.

    With `complex_numbers` some tensors are complex; `transposed` says whether windows are, which
    is left to chance where it is None: all of a network or none.
    """
    rng = random.Random(seed)
    sketch = _Sketch(rng)
    chance = sketch.chance
    sketch.tensors = {f"A{k}": [] for k in range(rng.choice((1, 2, 2, 3, 4)))}
    sketch.inputs = {"x": []}
    if chance(0.25):
        sketch.inputs["z"] = []
    backward = chance(0.2) if transposed is None else transposed
    count = rng.choice((1, 1, 1, 2, 2, 3))
    faces = _windows(sketch, count, backward=backward)
    for _ in range(rng.randint(0, 2)):  # what comes in and is summed
        leg = sketch.index("i")
        rng.choice(list(sketch.inputs.values())).append(leg)
        sketch.on_a_tensor(leg, 2)
    for _ in range(rng.randint(0, 2)):  # what the tensors bring out
        leg = sketch.index("o")
        sketch.on_a_tensor(leg, 2)
        sketch.output.append(leg)
    for _ in range(rng.choice((0, 0, 1, 2))):  # groups, or what only passes by
        leg = sketch.index("g")
        for legs in sketch.inputs.values() if chance(0.3) else [sketch.inputs["x"]]:
            legs.append(leg)
        if chance(0.8):
            sketch.on_a_tensor(leg, 3)
        sketch.output.append(leg)
    names = sorted(sketch.tensors)
    for _ in range(rng.randint(0, 3) if len(names) > 1 else 0):
        leg = sketch.index("b")
        for name in rng.sample(names, rng.choice((2, 2, min(3, len(names))))):
            sketch.tensors[name].append(leg)
    ties = _copies(sketch)
    for leg_in, leg_kernel, leg_out in faces:
        rng.choice(list(sketch.inputs.values())).append(leg_in)
        for name in rng.sample(names, rng.choice((1, 1, min(2, len(names))))):
            sketch.tensors[name].append(leg_kernel)
            for copy in (copy for copy, other in ties.items() if other == name):
                sketch.tensors[copy].append(leg_kernel)
        sketch.output.append(leg_out)
    leading = _leading(sketch)
    return _written(sketch, ties, leading, complex_numbers=complex_numbers, log=log)


def _windows(sketch: _Sketch, count: int, *, backward: bool) -> list[tuple[str, str, str]]:
    """The declarations, and the faces for an input, for tensors and for the output."""
    rng, chance = sketch.rng, sketch.chance
    numbers: list[dict[str, str]] = []
    for _ in range(count):
        size, stride, dilation = rng.randint(1, 4), rng.choice((1, 1, 2, 3)), rng.choice((1, 1, 2))
        written = {"size": str(size)}
        paddings = ["0", str(rng.randint(0, 3)), f"[{rng.randint(0, 3)}, {rng.randint(0, 3)}]"]
        paddings += ['"valid"', '"causal"', *(['"same"'] * 2 if stride == 1 else [])]
        padding = rng.choice(paddings)
        if stride != 1:
            written["stride"] = str(stride)
        if dilation != 1:
            written["dilation"] = str(dilation)
        if padding != "0":
            written["padding"] = padding
        if backward:
            if chance(0.4):
                written["extra"] = str(rng.randint(0, 2))
        elif chance(0.4):
            written["mode"] = f'"{rng.choice(_MODES)}"'
        numbers.append(written)
    first, last = ("out", "in") if backward else ("in", "out")
    if count > 1 and chance(0.35):  # a family: what is not the size has one value
        sizes = ", ".join(each["size"] for each in numbers)
        rest = {key: value for key, value in numbers[0].items() if key != "size"}
        arguments = {"size": f"[{sizes}][a]", **rest}
        sketch.lines.append(f"window h[a in 0..{count}] = conv({_call(arguments)})")
        members = [f"h[{k}]" for k in range(count)]
    else:
        members = [("h", "w", "d")[k] for k in range(count)]
        pairs = zip(members, numbers, strict=True)
        written_all = [f"{name} = conv({_call(each)})" for name, each in pairs]
        if chance(0.5):
            sketch.lines.append(f"window {', '.join(written_all)}")
        else:
            sketch.lines += [f"window {each}" for each in written_all]
    return [(f"{name}.{first}", f"{name}.kernel", f"{name}.{last}") for name in members]


def _call(arguments: dict[str, str]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in arguments.items())


def _copies(sketch: _Sketch) -> dict[str, str]:
    """Now and then a tensor on the same legs as another, whose parameter it uses."""
    ties: dict[str, str] = {}
    if sketch.chance(0.2):
        other = sketch.rng.choice(sorted(sketch.tensors))
        sketch.tensors["C"] = list(sketch.tensors[other])
        ties["C"] = other
    return ties


def _leading(sketch: _Sketch) -> dict[str, list[str]]:
    """Batch axes that come first: on every input, or on some."""
    leading: dict[str, list[str]] = {name: [] for name in sketch.inputs}
    for axis in ("...", "t"):
        if sketch.chance(0.6 if axis == "..." else 0.25):
            names = sorted(sketch.inputs)
            for name in sketch.rng.sample(names, sketch.rng.randint(1, len(names))):
                leading[name].append(axis)
    return leading


def _written(
    sketch: _Sketch,
    ties: dict[str, str],
    leading: dict[str, list[str]],
    *,
    complex_numbers: bool,
    log: bool,
) -> str:
    """The text; indices that are on inputs or the output are so declared, others by their ends."""
    rng, chance = sketch.rng, sketch.chance
    for legs in (*sketch.tensors.values(), *sketch.inputs.values(), sketch.output):
        rng.shuffle(legs)
    for name, other in ties.items():
        sketch.tensors[name] = sketch.tensors[other]
    outside = {leg for legs in (*sketch.inputs.values(), sketch.output) for leg in legs}
    body = list(sketch.lines)
    for name, size in sketch.sizes.items():
        ends = sum(name in legs for legs in sketch.tensors.values())
        kind = "index" if name in outside else "bond" if ends == 2 else "hyper"
        body.append(f"{kind} {name} = {size}")
    batch = dict.fromkeys(axis for axes in leading.values() for axis in axes)
    if "t" in batch:
        body.append(f"batch t{' = 5' if chance(0.5) else ''}")
    for name, legs in sketch.inputs.items():
        body.append(f"input {name}({', '.join([*leading[name], *_grouped(sketch, legs)])})")
    for name, legs in sketch.tensors.items():
        attributes = ""
        if name in ties:
            attributes = f" tie {ties[name]}{' conj' if chance(0.5) else ''}"
        else:
            attributes = " frozen" * chance(0.1) + " complex" * (complex_numbers and chance(0.7))
        body.append(f"tensor {name}({', '.join(legs)}){attributes}")
    fixed = [leg for leg in sketch.output if leg in sketch.sizes]
    if fixed and not log and chance(0.4):
        body.append(f"bias c({', '.join(rng.sample(fixed, rng.randint(1, len(fixed))))})")
    axes = [*(axis for axis in ("...", "t") if axis in batch), *_grouped(sketch, sketch.output)]
    body.append(f"output y({', '.join(axes)}){' log' * log}")
    return "network N() {\n" + "".join(f"  {line}\n" for line in body) + "}\n"


def _grouped(sketch: _Sketch, legs: list[str]) -> list[str]:
    """The axes; now and then two legs that have a size are flattened to one, maybe cut."""
    axes = list(legs)
    sized = [leg for leg in legs if leg in sketch.sizes]
    if len(sized) > 1 and sketch.chance(0.4):
        pair = sketch.rng.sample(sized, 2)
        axis = f"({' '.join(pair)})"
        size = sketch.sizes[pair[0]] * sketch.sizes[pair[1]]
        if size > 1 and sketch.chance(0.4):
            axis += f" as {size - 1}"
        axes[axes.index(pair[0])] = axis
        axes.remove(pair[1])
    return axes


def network_of(text: str) -> TensorNetwork:
    """The network `N` of a text."""
    return tncompile.loads(text).instantiate("N").network


def random_valid_tree(network: TensorNetwork, seed: int) -> ContractionTree:
    """A tree over the operands of a network in which no kernel is incomplete when it is used."""
    rng = random.Random(seed)
    given = operands(network)
    for _ in range(100):
        if pairs := _random_path(network, [each.legs for each in given], rng):
            return build_tree(network, given, tuple(pairs))
        if len(given) < 2:
            return build_tree(network, given, ())
    raise AssertionError("no valid tree in a hundred tries")


def _complete(
    network: TensorNetwork, alive: list[set[str]], left: set[str], right: set[str]
) -> bool:
    """Whether all of the kernels is on one side, and on the other side are all the images."""
    windows = convolved(network, left, right)
    rest = [legs for legs in alive if legs is not left and legs is not right]
    return not any(window.kernel_leg in legs for window in windows for legs in rest) and (
        all(window.input_leg in left for window in windows)
        or all(window.input_leg in right for window in windows)
    )


def _random_path(
    network: TensorNetwork, legs: list[tuple[str, ...]], rng: random.Random
) -> list[tuple[int, int]]:
    """Pairs that merge all operands, chosen at random; empty where no pair is left to choose."""
    held = [set(each) for each in legs]
    alive = list(range(len(legs)))
    pairs: list[tuple[int, int]] = []
    while len(alive) > 1:
        choices = [
            (left, right)
            for k, left in enumerate(alive)
            for right in alive[k + 1 :]
            if _complete(network, [held[other] for other in alive], held[left], held[right])
        ]
        if not choices:
            return []
        left, right = rng.choice(choices)
        merged = held[left] | held[right]
        for window in convolved(network, held[left], held[right]):
            merged -= {window.input_leg, window.kernel_leg}
            merged.add(window.output_leg)
        alive = [other for other in alive if other not in (left, right)]
        alive.append(len(held))
        held.append(merged)
        pairs.append((left, right) if rng.random() < 0.5 else (right, left))
    return pairs
