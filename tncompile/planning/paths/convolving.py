"""Trees named after their convolutions: along which windows at once, with what, in which order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from tncompile.network.contraction import ContractionTree
from tncompile.network.model import TensorNetwork
from tncompile.planning.paths.exhaustive import EVERY_SUBSET, convolution_paths
from tncompile.planning.paths.optimizers import LARGEST, quick_path
from tncompile.planning.paths.problem import NamedPath, PathBuilder, Problem, WindowLegs, price_path

NAMED = 8  # the most tensors that the name of a tree lists


def paths(problem: Problem) -> Iterator[NamedPath]:
    """Paths that convolve in different ways; all carriers of a kernel are merged already."""
    if not problem.windows or len(problem.terms) > LARGEST:
        return
    if len(problem.terms) <= EVERY_SUBSET:
        for path in convolution_paths(problem):
            yield NamedPath(0, "search (convolutions)", price_path(problem, path)[0], path)
        return
    orders = {
        "windows as declared": problem.windows,
        "windows backward": problem.windows[::-1],
        "shortened windows first": tuple(sorted(problem.windows, key=lambda w: _kept(problem, w))),
    }
    for (name, windows), reduced in product(orders.items(), (True, False)):
        builder = PathBuilder(problem)
        if _convolved(builder, windows, reduced=reduced):
            rest = tuple(builder.alive)
            builder.follow(rest, quick_path(builder.part(rest)))
            yield builder.named(f"{name}, channels {'before' if reduced else 'after'}")


def _kept(problem: Problem, window: WindowLegs) -> float:
    """The share of positions that is left after the convolution along a window."""
    return problem.sizes[window.result] / problem.sizes[window.image]


def _convolved(builder: PathBuilder, windows: tuple[WindowLegs, ...], *, reduced: bool) -> bool:
    """Convolve along one window after the other; False where that is no single convolution.

    With `reduced` the image meets what makes it smaller before.
    """
    for window in windows:
        image = _holder(builder, window.image)
        kernel = _holder(builder, window.kernel)
        if image is None or kernel is None:
            continue  # convolved along, together with another one
        if reduced:
            image = _made_smaller(builder, image)
        if not builder.joins(image, kernel):
            return False
        builder.join(image, kernel)
    return True


def _holder(builder: PathBuilder, leg: int) -> int | None:
    return next((term for term in builder.alive if leg in builder.legs[term]), None)


def _made_smaller(builder: PathBuilder, image: int) -> int:
    """The image, contracted with what it shares an index with as long as that makes it smaller."""
    kernels = {window.kernel for window in builder.windows}
    while True:
        own = set(builder.legs[image])
        sizes = [
            (builder.problem.count(builder.result_legs(image, term)), term)
            for term in builder.alive
            if term != image
            and own.intersection(builder.legs[term])
            and not kernels.intersection(builder.legs[term])
            and builder.joins(image, term)
        ]
        size, term = min(sizes, default=(0, image))
        if term == image or size >= builder.size(image):
            return image
        image = builder.join(image, term)


# ── names ───────────────────────────────────────────────────────────────────────────────────────


def described(network: TensorNetwork, tree: ContractionTree) -> tuple[str, ...]:
    """The name of a tree with convolutions: what the image meets, one after the other.

    `U, convolution with K along h and w, V`; of many tensors only convolutions are named.
    """
    if not any(step.windows for step in tree.steps):
        return ()
    count = len(tree.operands)
    names = [[network.tensors[operand.tensor].name] for operand in tree.operands]
    for step in tree.steps:
        names.append(names[step.left] + names[step.right])
    images = {window.input_leg for window in network.windows}
    legs = tree.legs
    parts: list[str] = []
    held = [any(leg in images for leg in own) for own in tree.legs]
    for step in tree.steps:
        held[step.result] = held[step.left] or held[step.right] or bool(step.windows)
    short = count - 1 <= NAMED
    for step in tree.steps:
        if step.windows:
            image = network.window[f"{step.windows[0]}.kernel"].input_leg
            other = step.right if image in legs[step.left] else step.left
            with_ = " ".join(names[other]) if short else f"{len(names[other])} tensors"
            along = " and ".join(step.windows)
            parts.append(f"convolution with {with_} along {along}")
        elif short and held[step.result]:
            other = step.right if held[step.left] else step.left
            parts.append(" ".join(names[other]))
    return (", ".join(parts),)
