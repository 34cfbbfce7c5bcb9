"""Calls of every function of models: arguments drawn so that they fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.support.typed_calls import Calls, kept
from tncompile.language.typing.sizes import Size, product
from tncompile.language.typing.values import Kind, Numbers, Shape, Term, Tuple, Value

Arguments = tuple[tuple[Term, ...], dict[str, Term]]
Draw = Callable[[Calls, Kind], Arguments]


def entries(calls: Calls, kind: Kind) -> Arguments:
    return (calls.of(calls.shape(), kind),), {}


def stretched(calls: Calls, shape: Shape) -> Shape:
    """A shape that broadcasts with this one, and has no axis that it lacks."""
    sizes = [calls.random.choice([size, size, Size.number(1)]) for size in shape.sizes]
    if calls.random.random() < 0.5:
        return Shape(tuple(sizes), shape.dots)
    return Shape(tuple(sizes[calls.random.randint(0, len(sizes)) :]))


def pair(calls: Calls, kind: Kind) -> Arguments:
    shape = calls.shape()
    values = [calls.of(shape, kind), calls.of(stretched(calls, shape), kind)]
    calls.random.shuffle(values)
    return tuple(values), {}


def choice(calls: Calls, kind: Kind) -> Arguments:
    shape = calls.shape()
    others = [calls.of(stretched(calls, shape), each) for each in (kind, "bool")]
    return (calls.of(shape, "bool"), *others), {}


def clamped(calls: Calls, kind: Kind) -> Arguments:
    shape = calls.shape()
    x, low = calls.of(shape, kind), calls.of(stretched(calls, shape), kind)
    high = calls.of(stretched(calls, shape), kind)
    given = calls.random.choice(
        [{"min": -0.5}, {"min": 0, "max": 1}, {"max": low}, {"min": low, "max": high}, {"min": 0.5}]
    )
    return (x,), dict(given)


def chosen_axis(calls: Calls, shape: Shape, *, more: int = 0) -> Term:
    """An axis in one of the ways to write it."""
    axis = calls.random.randrange(len(shape.sizes) + more)
    named = shape.sizes[axis] if axis < len(shape.sizes) and not more else None
    alone = named is not None and named.value is None and shape.sizes.count(named) == 1
    if alone and calls.random.random() < 0.5:
        return named
    if not shape.dots and calls.random.random() < 0.5:
        return axis
    return axis - len(shape.sizes) - more


def along(calls: Calls, kind: Kind) -> Arguments:
    x = calls.of(calls.shape(least=1), kind)
    return (x, chosen_axis(calls, x.shape)), {}


def over(calls: Calls, kind: Kind) -> Arguments:
    (x, dim), _ = along(calls, kind)
    assert isinstance(x, Value)
    axes = list(range(-len(x.shape.sizes), 0))
    several = tuple(calls.random.sample(axes, calls.random.randint(1, len(axes))))
    return (x,), {"dim": calls.random.choice([dim, several]), **keeping(calls)}


def over_one(calls: Calls, kind: Kind) -> Arguments:
    values, _ = along(calls, kind)
    return values, keeping(calls)


def keeping(calls: Calls) -> dict[str, Term]:
    return calls.random.choice([{}, {"keepdim": True}, {"keepdim": False}])


def largest(calls: Calls, kind: Kind) -> Arguments:
    (x, dim), _ = along(calls, kind)
    return (x, 1), calls.random.choice([{}, {"dim": dim}])


def reshaped(calls: Calls, kind: Kind) -> Arguments:
    x = calls.of(calls.shape(), kind)
    sizes = list(x.shape.sizes)
    calls.random.shuffle(sizes)
    if len(sizes) > 1 and calls.random.random() < 0.5:
        sizes[:2] = [product(sizes[:2])]
    shape = kept(x.shape, sizes)
    return (x, shape if shape.dots else Tuple(shape.sizes)), {}


def flattened(calls: Calls, kind: Kind) -> Arguments:
    x = calls.of(calls.shape(least=1), kind)
    start = calls.random.randrange(len(x.shape.sizes))
    end = calls.random.randrange(start, len(x.shape.sizes))
    axes = [axis - len(x.shape.sizes) for axis in (start, end)]
    return (x, axes[0]), calls.random.choice([{}, {"end_dim": axes[1]}])


def transposed(calls: Calls, kind: Kind) -> Arguments:
    x = calls.of(calls.shape(least=1), kind)
    return (x, chosen_axis(calls, x.shape), chosen_axis(calls, x.shape)), {}


def permuted(calls: Calls, kind: Kind) -> Arguments:
    x = calls.of(calls.shape(least=1), kind)
    axes = list(range(-len(x.shape.sizes), 0))
    calls.random.shuffle(axes)
    return (x, tuple(axes)), {}


def expanded(calls: Calls, kind: Kind) -> Arguments:
    shape = calls.shape(least=1)
    x = calls.of(stretched(calls, shape), kind)
    return (x, shape if shape.dots else Tuple(shape.sizes)), {}


def concatenated(calls: Calls, kind: Kind) -> Arguments:
    shape = calls.shape(least=1)
    axis = calls.random.randrange(len(shape.sizes)) - len(shape.sizes)
    kinds = calls.random.choices([kind, "int"], k=calls.random.randint(0, 2))
    others = [calls.of(shape.replaced(axis, calls.size()), each) for each in kinds]
    return (calls.of(shape, kind), *others), {"dim": axis}


def stacked(calls: Calls, kind: Kind) -> Arguments:
    shape = calls.shape()
    values = [calls.of(shape, kind) for _ in range(calls.random.randint(1, 3))]
    return tuple(values), {"dim": chosen_axis(calls, shape, more=1)}


def split(calls: Calls, kind: Kind) -> Arguments:
    sizes = tuple(calls.size() for _ in range(calls.random.randint(1, 3)))
    total = sum(sizes, start=Size.number(0))
    x = calls.value(total, 2, kind=kind, dots=calls.random.random() < 0.5)
    pieces: Term = Tuple(sizes)
    if all(size.value is not None for size in sizes):
        pieces = tuple(size.value or 0 for size in sizes)
    return (x, pieces, -2), {}


def chunked(calls: Calls, kind: Kind) -> Arguments:
    n = calls.random.randint(1, 3)
    return (calls.of(Shape((calls.size() * n, calls.size()), True), kind), n, -2), {}


def rolled(calls: Calls, kind: Kind) -> Arguments:
    x = calls.of(calls.shape(least=2), kind)
    shift: Term = calls.random.choice([1, -2, calls.size()])
    return calls.random.choice([((x, shift, -1), {}), ((x, (1, -1), (-1, -2)), {})])


def padded(calls: Calls, kind: Kind) -> Arguments:
    x = calls.of(Shape((calls.size(3), calls.size(3)), calls.random.random() < 0.5), kind)
    modes: list[dict[str, Term]] = [{}, {"value": 1}, {"mode": "circular"}]
    modes += [{"mode": mode} for mode in ("reflect", "replicate") if kind != "bool"]
    return (x, 2, 1), {"dim": chosen_axis(calls, x.shape), **calls.random.choice(modes)}


def interpolated(calls: Calls, kind: Kind) -> Arguments:
    count, dots = calls.random.randint(1, 3), calls.random.random() < 0.5
    shape = calls.shape(least=count + 1, most=count + 2, dots=dots)
    smooth = ["linear", "bilinear", "trilinear"][count - 1]
    mode = calls.random.choice(["nearest", "area", "nearest-exact", smooth])
    scales: Numbers | tuple[int, ...] = (2, 3, 1)[:count]
    if calls.random.random() < 0.3:
        scales = Numbers((1.5, 2.5, 1.25)[:count])
    sizes = Tuple(tuple(calls.size() for _ in range(count)))
    wanted: dict[str, Term] = calls.random.choice([{"scale": scales}, {"size": sizes}])
    return (calls.of(shape, kind),), {**wanted, "mode": mode}


def taken(calls: Calls, kind: Kind) -> Arguments:
    if calls.random.random() < 0.4:  # along an axis
        shape = calls.shape()
        x = calls.of(Shape((*shape.sizes, Size.number(3)), shape.dots), kind)
        return (x, calls.of(Shape((calls.size(),)), "int", 3)), {"dim": -1}
    table = calls.of(Shape((Size.number(3), *calls.shape(dots=False).sizes)), kind)
    return (table, calls.of(calls.shape(), "int", 3)), {}


def gathered(calls: Calls, kind: Kind) -> Arguments:
    x = calls.of(Shape((Size.number(4), *calls.shape().sizes), calls.random.random() < 0.5), kind)
    dim = -len(x.shape.sizes)
    return (x, calls.of(x.shape.replaced(dim, calls.size()), "int", 4), dim), {}


def hot(calls: Calls, kind: Kind) -> Arguments:
    return (calls.of(calls.shape(), "int", 3), calls.size(3)), {}


def segments(calls: Calls, kind: Kind) -> Arguments:
    rest = calls.shape(dots=False).sizes
    offsets = calls.value(calls.size(), kind="int", most=1)
    return (calls.of(Shape((calls.size(), *rest)), kind), offsets), {}


def scattered(calls: Calls, kind: Kind) -> Arguments:
    rows, rest = calls.size(), calls.shape(dots=False).sizes
    return (calls.of(Shape((rows, *rest)), kind), calls.value(rows, kind="int"), calls.size(3)), {}


def made(*arguments: Term) -> Draw:
    return lambda calls, kind: (arguments, {})


def filled(*more: Term) -> Draw:
    def draw(calls: Calls, kind: Kind) -> Arguments:
        shape = calls.shape()
        return (shape if shape.dots else Tuple(shape.sizes), *more), {}

    return draw


def transformed(calls: Calls, kind: Kind) -> Arguments:
    x = calls.of(calls.shape(least=1), kind)
    length: dict[str, Term] = calls.random.choice([{}, {"n": calls.size()}])
    return (x,), {**length, "dim": chosen_axis(calls, x.shape)}


def back(calls: Calls, kind: Kind) -> Arguments:
    x = calls.of(calls.shape(least=1), kind)
    return (x, calls.size()), {"dim": chosen_axis(calls, x.shape)}


_ENTRYWISE = (
    "relu relu6 gelu silu mish elu leaky_relu selu softplus tanh sigmoid log_sigmoid hardswish "
    "hardsigmoid sin cos tan exp expm1 log log1p sqrt rsqrt erf abs sign square floor ceil "
    "round detach real imag angle conj"
)
_REDUCTIONS = "sum amax amin any all mean logsumexp var std norm"

DRAWS: Mapping[str, Draw] = {
    **dict.fromkeys(
        _ENTRYWISE.split(),
        entries,
    ),
    "clamp": clamped,
    "where": choice,
    **dict.fromkeys(("maximum", "minimum", "complex"), pair),
    **dict.fromkeys(["softmax", "log_softmax", "cumsum", "normalize"], along),
    **dict.fromkeys(_REDUCTIONS.split(), over),
    **dict.fromkeys(["prod", "argmax", "argmin"], over_one),
    "topk": largest,
    "reshape": reshaped,
    "flatten": flattened,
    "transpose": transposed,
    "permute": permuted,
    "expand": expanded,
    "concat": concatenated,
    "stack": stacked,
    "split": split,
    "chunk": chunked,
    "flip": along,
    "roll": rolled,
    "pad": padded,
    "interpolate": interpolated,
    "take": taken,
    "gather": gathered,
    "onehot": hot,
    "segment_sum": segments,
    "scatter_sum": scattered,
    "arange": made(Size.name("t")),
    "linspace": made(0, 1.5, Size.name("t")),
    "eye": made(4),
    **dict.fromkeys(("zeros", "ones"), filled()),
    "full": filled(2),
    **dict.fromkeys(("fft", "ifft", "rfft"), transformed),
    "irfft": back,
}
"""For each function, arguments of which the main one has this kind."""
