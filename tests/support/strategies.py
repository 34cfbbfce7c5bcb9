"""Networks made at random: hyperedges, shared and open indices, size 1, ids, several inputs."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from hypothesis import strategies as st

from tncompile.network.contraction import ContractionTree, build_tree, operands
from tncompile.network.model import (
    DOTS,
    Axis,
    Bias,
    Index,
    Init,
    Input,
    Output,
    Parameter,
    Tensor,
    TensorNetwork,
)


@dataclass(frozen=True)
class Sketch:
    """A network in brief: sizes by index (None at run time), legs by name, legs of the output.

    `ids` names the inputs that hold integers, with the legs that these run over.
    """

    sizes: dict[str, int | None]
    inputs: dict[str, tuple[str, ...]]
    weights: dict[str, tuple[str, ...]]
    output: tuple[str, ...]
    ids: dict[str, tuple[str, ...]]
    bias: tuple[str, ...] = ()


def network(sketch: Sketch, *, log: bool = False) -> TensorNetwork:
    """The whole network of a sketch."""

    def axis(leg: str) -> Axis:
        kind = "dots" if leg == DOTS else "legs"
        return Axis(kind=kind, indices=(leg,), size=sketch.sizes[leg])

    def given(name: str, legs: tuple[str, ...]) -> Input:
        onehot = sketch.ids.get(name, ())
        axes = [axis(leg) for leg in legs if leg not in onehot]
        if onehot:
            classes = math.prod(sketch.sizes[leg] or 1 for leg in onehot)
            axes.append(Axis(kind="onehot", indices=onehot, size=classes))
        return Input(name=name, family=name, axes=tuple(axes), written=name)

    def parameter(name: str, legs: tuple[str, ...]) -> Parameter:
        return Parameter(
            key=name,
            family=name,
            axes=tuple((leg,) for leg in legs),
            shape=tuple(sketch.sizes[leg] or 1 for leg in legs),
            init=Init(scheme="auto"),
            written=name,
        )

    def kind(leg: str) -> str:
        if leg == DOTS:
            return "dots"
        if sketch.sizes[leg] is None:
            return "batch"
        outside = [*sketch.inputs.values(), sketch.output]
        return "index" if any(leg in legs for legs in outside) else "hyper"

    tensors = []
    for name, legs in sketch.inputs.items():
        onehot = sketch.ids.get(name, ())
        axes = [(leg,) for leg in legs if leg not in onehot] + ([onehot] if onehot else [])
        tensors.append(Tensor(name=name, role="input", source=name, axes=tuple(axes)))
    for name, legs in sketch.weights.items():
        axes = tuple((leg,) for leg in legs)
        tensors.append(Tensor(name=name, role="parameter", source=name, axes=axes))
    weights = dict(sketch.weights)
    biases: tuple[Bias, ...] = ()
    if sketch.bias:
        weights["beta"] = sketch.bias
        biases = (Bias(parameter="beta", axes=tuple((leg,) for leg in sketch.bias)),)
    return TensorNetwork(
        name="Random",
        target="Random",
        indices=tuple(
            Index(name=leg, kind=kind(leg), size=size, family=leg)
            for leg, size in sketch.sizes.items()
        ),
        inputs=tuple(given(name, legs) for name, legs in sketch.inputs.items()),
        parameters=tuple(parameter(name, legs) for name, legs in weights.items()),
        tensors=tuple(tensors),
        biases=biases,
        output=Output(
            name="y", axes=tuple(axis(leg) for leg in sketch.output), log=log, written="y"
        ),
    )


def random_sketch(seed: int) -> Sketch:
    """One to six tensors over up to eight indices of sizes 1 to 4; every index ends somewhere."""
    rng = random.Random(seed)
    names = [f"i{k}" for k in range(rng.randint(1, 8))]
    sizes: dict[str, int | None] = {name: rng.choice([1, 2, 2, 3, 4]) for name in names}
    weights = {f"W{k}": tuple(rng.sample(names, rng.randint(0, min(4, len(names)))))
               for k in range(rng.randint(0, 4))}  # fmt: skip
    inputs = {f"x{k}": tuple(rng.sample(names, rng.randint(0, min(3, len(names)))))
              for k in range(rng.randint(0 if weights else 1, 3))}  # fmt: skip
    ids: dict[str, tuple[str, ...]] = {}
    for name, legs in inputs.items():
        if legs and rng.random() < 0.25:
            ids[name] = inputs[name] = tuple(rng.sample(legs, rng.randint(1, len(legs))))
    runtime = [leg for leg in (DOTS, "n", "m") if inputs and rng.random() < 0.5]
    for leg in runtime:
        carriers = rng.sample(sorted(inputs), rng.randint(1, len(inputs)))
        for name in carriers:
            place = 0 if leg == DOTS else rng.randint(0, len(inputs[name]))
            legs = inputs[name]
            if legs[:1] == (DOTS,):
                place = max(place, 1)
            inputs[name] = (*legs[:place], leg, *legs[place:])
        sizes[leg] = None
    for name, onehot in ids.items():
        inputs[name] = (*(leg for leg in inputs[name] if leg not in onehot), *onehot)
    carried = {leg for legs in (*weights.values(), *inputs.values()) for leg in legs}
    present = [leg for leg in sizes if leg in carried]
    dangling = [
        leg
        for leg in present
        if sum(leg in legs for legs in (*weights.values(), *inputs.values())) == 1
    ]
    static = [leg for leg in present if sizes[leg] is not None]
    chosen = {leg for leg in static if leg in dangling or rng.random() < 0.3}
    order = [leg for leg in present if leg != DOTS and (leg in chosen or sizes[leg] is None)]
    rng.shuffle(order)
    output = (*([DOTS] if DOTS in runtime else []), *order)
    fixed = [leg for leg in output if sizes[leg] is not None]
    bias = (
        tuple(rng.sample(fixed, rng.randint(1, len(fixed)))) if fixed and rng.random() < 0.3 else ()
    )
    kept = {leg: size for leg, size in sizes.items() if leg in carried}
    return Sketch(kept, inputs, weights, output, ids, bias)


def random_tree(net: TensorNetwork, seed: int) -> ContractionTree:
    """Any tree over the operands of a network."""
    rng = random.Random(seed)
    given = operands(net)
    alive = list(range(len(given)))
    pairs: list[tuple[int, int]] = []
    while len(alive) > 1:
        left, right = rng.sample(alive, 2)
        alive = [side for side in alive if side not in (left, right)]
        alive.append(len(given) + len(pairs))
        pairs.append((left, right))
    return build_tree(net, given, tuple(pairs))


sketches = st.integers(0, 2**32).map(random_sketch)
