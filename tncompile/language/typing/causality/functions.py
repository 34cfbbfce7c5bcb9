"""What functions and operators do with the causal axis: where their result has it, or TN609.

A rule is asked where an operand has the axis. What no table has works along it: TN609.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tncompile.language.typing.causality.following import PAIRS, Axis, Following
from tncompile.language.typing.functions import elementwise
from tncompile.language.typing.functions.operators import BINARY, UNARY
from tncompile.language.typing.operations import Apply, Option
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Numbers, Shape

FunctionRule = Callable[[Following, Apply], int]


def function_axis(following: Following, operation: Apply) -> Axis:
    """Where the results of a function have the causal axis; all of them have it there."""
    name = operation.function
    _check_options(following, operation)
    if all(axis is None for axis in following.axes):
        return None if name not in MAKERS else _made(following, operation)
    return RULES.get(name, _sums)(following, operation)


# ── options that are sizes ────────────────────────────────────────────────────────────────────────

MAKERS = {"arange": "n", "zeros": "size", "ones": "size", "full": "size", "expand": "size"}
"""What makes an axis of the causal size, entry by entry, and the option that says so."""

_BY_SHAPE = {*MAKERS, "reshape", "attention"}


def _check_options(following: Following, operation: Apply) -> None:
    """TN609 where the causal size is a number for a function."""
    if operation.function in _BY_SHAPE:
        return
    for option in operation.options.values():
        if any(following.size.within(size) for size in _sizes(option)):
            raise _as_number(following)


def _made(following: Following, operation: Apply) -> Axis:
    sizes = _sizes(operation.options[MAKERS[operation.function]])
    axes = following.size.axes(Shape(sizes))
    others = [size for size in sizes if not following.size.equals(size)]
    if len(axes) > 1 or any(following.size.within(size) for size in others):
        raise _as_number(following)
    return axes[0] if axes else None


def _sizes(option: Option) -> tuple[Size, ...]:
    match option:
        case Size():
            return (option,)
        case Shape(sizes):
            return sizes
        case tuple():
            return tuple(each for each in option if isinstance(each, Size))
    return ()


def _as_number(following: Following) -> Exception:
    name = following.size.name
    return following.wrong(
        f"`{name}` is used as a number: it grows with every step",
        f"as an axis of its own it may be in `arange({name})`, `zeros`, `ones`, `full`, `expand`",
    )


# ── rules ─────────────────────────────────────────────────────────────────────────────────────────


def _sums(following: Following, operation: Apply) -> int:
    raise following.along(f"`{operation.function}`")


def _aligned(following: Following, operation: Apply) -> int:
    return following.aligned()


def _elsewhere(following: Following, operation: Apply) -> int:
    """Along one axis or several, none of them the causal one."""
    if following.first in _axes(operation.options["dim"]):
        raise following.along(f"`{operation.function}`")
    return following.aligned()


def _axes(option: Option) -> tuple[int, ...]:
    if isinstance(option, tuple):
        return tuple(each for each in option if isinstance(each, int))
    assert isinstance(option, int)
    return (option,)


def _reduced(following: Following, operation: Apply) -> int:
    axis, gone = _elsewhere(following, operation), _axes(operation.options["dim"])
    return axis if operation.options["keepdim"] else axis + sum(dim > axis for dim in gone)


def _matmul(following: Following, operation: Apply) -> int:
    left, right = following.axes
    vector = len(following.shape(1).sizes) == 1
    if left == -1 or right == -2 or (vector and right is not None):
        raise following.along("`@`")
    if vector:
        return following.first + 1
    if right is None and (left == -2 or len(following.shape(1).sizes) == 2):
        return following.first
    if left is None and right == -1:
        return -1
    if following.aligned() >= -2:
        raise following.wrong(f"`{following.size.name}` is on both sides of the product", PAIRS)
    return following.first


def _reshape(following: Following, operation: Apply) -> int:
    old, new = following.shape(0), operation.options["shape"]
    assert isinstance(new, Shape)
    axis = following.first
    for place in following.size.axes(new):
        before = Shape(old.sizes[: len(old.sizes) + axis])
        if following.equal(before, Shape(new.sizes[: len(new.sizes) + place])):
            return place
    name = following.size.name
    message = f"`reshape` of {old} to {new} does not keep the axis `{name}`"
    hint = f"keep `{name}` as an axis, with equally many entries left of it"
    raise following.wrong(message, hint)


def flattened(following: Following, start: int, end: int) -> int:
    """The axis after those from `start` to `end` are joined."""
    axis = following.first
    if axis > end:
        return axis
    if axis < start:
        return axis + end - start
    sizes = following.shape(0).sizes
    others = [sizes[k] for k in range(start, end + 1) if k != axis]
    if any(size.value != 1 for size in others):
        raise following.wrong(f"`{following.size.name}` is joined with other axes")
    return end


def _flatten(following: Following, operation: Apply) -> int:
    (start,), (end,) = (_axes(operation.options[name]) for name in ("start_dim", "end_dim"))
    return flattened(following, start, end)


def _transpose(following: Following, operation: Apply) -> int:
    (one,), (other,) = (_axes(operation.options[name]) for name in ("dim0", "dim1"))
    return {one: other, other: one}.get(following.first, following.first)


def _permute(following: Following, operation: Apply) -> int:
    order = _axes(operation.options["dim"])
    return order.index(following.first) - len(order)


def _expand(following: Following, operation: Apply) -> int:
    made = _made(following, operation)
    if made != following.first:
        raise _as_number(following)
    return following.first


def _stack(following: Following, operation: Apply) -> int:
    (new,) = _axes(operation.options["dim"])
    axis = following.aligned()
    return axis if axis > new else axis - 1


def _interpolate(following: Following, operation: Apply) -> int:
    scale, size = operation.options["scale"], operation.options["size"]
    grown = scale.items if isinstance(scale, Numbers) else scale or size
    if isinstance(grown, tuple) and following.first >= -len(grown):
        raise following.along("`interpolate`")
    return following.first


def _take(following: Following, operation: Apply) -> int:
    table, ids = following.axes
    if (dim := operation.options["dim"]) is not None and ids is None and table not in (None, dim):
        return table
    if table is not None or ids is None or dim is not None:
        raise following.wrong("every entry is looked up by `take`, later ones as well")
    return ids - (len(following.shape(0).sizes) - 1)


def _gather(following: Following, operation: Apply) -> int:
    if following.axes[0] == operation.options["dim"]:
        raise following.along("`gather`")
    return following.aligned()


def _onehot(following: Following, operation: Apply) -> int:
    return following.first - 1


def _rows(following: Following, operation: Apply) -> int:
    """Sums over the first axis, by where the second operand points."""
    axis, where = following.axes
    if axis is None or where is not None or axis == -len(following.shape(0).sizes):
        raise following.along(f"`{operation.function}`")
    return axis


def _attention(following: Following, operation: Apply) -> int:
    """Queries, keys and values have it, or queries alone; a mask may, for queries or for keys."""
    query, key, value = following.axes[:3]
    name = following.size.name
    if operation.options["relative"] and following.axes[-1] is not None:
        message = f"the distances of `relative` depend on `{name}`"
        hint = "make it for the largest distance: what is farther takes its last entry"
        raise following.wrong(message, hint)
    if query == -2 and key is None and value is None:
        if operation.options["causal"]:
            message = "with `causal`, what a query sees is counted from the last query"
            hint = "leave out `causal`: the keys are the same in every step"
            raise following.wrong(message, hint)
    elif query == key == value == -2:
        if not operation.options["causal"]:
            message = f"`attention` looks at later keys along `{name}`"
            raise following.wrong(message, "write `causal = true`")
    elif query is None or query >= -2 or any(axis not in (None, query) for axis in following.axes):
        hint = "queries, keys and values have it on axis -2, with `causal = true`"
        raise following.wrong(f"`attention` does not keep the axis `{name}`", hint)
    return query


_ENTRIES = {
    *(function.name for function in elementwise.FUNCTIONS),
    *(operator.function for operator in (*BINARY.values(), *UNARY.values())),
}
_REDUCTIONS = ("sum", "prod", "amax", "amin", "any", "all", "mean", "logsumexp", "var", "std")
_ELSEWHERE = ("softmax", "log_softmax", "normalize", "topk", "split", "chunk", "concat", "pad")
_SPECTRA = ("fft", "ifft", "rfft", "irfft")

RULES: Mapping[str, FunctionRule] = {
    **dict.fromkeys(_ENTRIES, _aligned),
    **dict.fromkeys((*_REDUCTIONS, "norm", "argmax", "argmin"), _reduced),
    **dict.fromkeys((*_ELSEWHERE, *_SPECTRA, "flip", "roll"), _elsewhere),
    "cumsum": _aligned,
    "matmul": _matmul,
    "reshape": _reshape,
    "flatten": _flatten,
    "transpose": _transpose,
    "permute": _permute,
    "expand": _expand,
    "stack": _stack,
    "interpolate": _interpolate,
    "take": _take,
    "gather": _gather,
    "onehot": _onehot,
    "segment_sum": _rows,
    "scatter_sum": _rows,
    "attention": _attention,
}
