"""Layers with windows: convolutions and pooling, with torch's formulas for sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tncompile.language.resolved import LARGEST_SIZE
from tncompile.language.typing.layers.entry import (
    ANY,
    AXES,
    BIAS,
    Argument,
    Complaint,
    Entry,
    LayerCall,
    Settings,
    Shapes,
    flag,
    size,
    spatial,
)
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Shape

_KERNEL = Argument("kernel_size", "each", needed=True, least=1)
_DILATION = Argument("dilation", "each", 1, least=1)
_PADDING = Argument("padding", "each", 0, least=0)


def _stride(default: int | None) -> Argument:
    return Argument("stride", "each", default, least=1)


def _named(axes: int, sizes: tuple[int, ...]) -> Mapping[str, int]:
    return dict(zip(AXES[axes], sizes, strict=True))


def _along(axes: int, new: Callable[[int, Size], Size], bound: LayerCall) -> tuple[Size, ...]:
    """The new sizes of the axes of the windows."""
    return tuple(new(k, bound.sizes[name]) for k, name in enumerate(AXES[axes]))


# ── convolutions ───────────────────────────────────────────────────────────────────────────────


def padded(s: Settings) -> tuple[tuple[int, int], ...]:
    """The padding of a convolution, left and right on each axis."""
    reach = tuple(
        d * (k - 1) for d, k in zip(s.each("dilation"), s.each("kernel_size"), strict=True)
    )
    match s.values["padding"]:
        case "same":
            return tuple((total // 2, total - total // 2) for total in reach)
        case "valid":
            return ((0, 0),) * s.axes
        case _:
            return tuple((each, each) for each in s.each("padding"))


def _too_long(s: Settings) -> Complaint | None:
    if "dilation" in s.values and max(s.each("dilation")) > 1:
        for k, d in zip(s.each("kernel_size"), s.each("dilation"), strict=True):
            if d * (k - 1) > LARGEST_SIZE:
                return Complaint(
                    "dilation", "a window spans at most 2**40 entries", "make it smaller"
                )
    return None


def _group_misfit(s: Settings) -> Complaint | None:
    if too_long := _too_long(s):
        return too_long
    groups = s.number("groups")
    for name in ("in_channels", "out_channels"):
        if s.number(name) % groups:
            message = f"`groups` divides `{name}`; {groups} does not divide {s.number(name)}"
            return Complaint("groups", message, "write a divisor of both numbers of channels")
    return None


def _convolution_misfit(s: Settings) -> Complaint | None:
    if s.values["padding"] == "same" and max(s.each("stride")) > 1:
        return Complaint("stride", '`stride` is 1 with `padding = "same"`', "remove one of the two")
    return _group_misfit(s)


def _convolution_least(s: Settings) -> Mapping[str, int]:
    mode = s.values["padding_mode"]
    least = []
    for k, d, sides in zip(s.each("kernel_size"), s.each("dilation"), padded(s), strict=True):
        wrapped = {"reflect": max(sides) + 1, "circular": max(sides)}.get(str(mode), 1)
        least.append(max(d * (k - 1) + 1 - sum(sides), wrapped, 1))
    return _named(s.axes, tuple(least))


def _convolved(s: Settings, bound: LayerCall) -> tuple[Shape, ...]:
    kernel, stride, dilation = s.each("kernel_size"), s.each("stride"), s.each("dilation")
    sides = padded(s)

    def new(k: int, n: Size) -> Size:
        fixed = sum(sides[k]) - dilation[k] * (kernel[k] - 1) - 1
        return (n + fixed) // stride[k] + 1

    return (bound.shape(ANY, s.number("out_channels"), *_along(s.axes, new, bound)),)


def _convolution(axes: int) -> Entry:
    modes = ("zeros", "reflect", "replicate", "circular")
    arguments = (
        size("in_channels"),
        size("out_channels"),
        _KERNEL,
        _stride(1),
        Argument("padding", "padding", 0, least=0, words=("same", "valid")),
        _DILATION,
        size("groups", 1),
        BIAS,
        Argument("padding_mode", "word", "zeros", words=modes),
    )

    def weights(s: Settings) -> Shapes:
        outs, ins = s.number("out_channels"), s.number("in_channels") // s.number("groups")
        bias = {"bias": (outs,)} if s.flag("bias") else {}
        return {"weight": (outs, ins, *s.each("kernel_size")), **bias}

    return Entry(
        arguments,
        takes=spatial(axes, "in_channels"),
        gives=_convolved,
        parameters=weights,
        wrong=_convolution_misfit,
        least=_convolution_least,
        axes=axes,
        behind=axes + 1,
    )


# ── transposed convolutions ────────────────────────────────────────────────────────────────────


def _surplus(s: Settings) -> tuple[int, ...]:
    """What a transposed convolution gives beside `(n - 1) * stride`."""
    kernel, dilation = s.each("kernel_size"), s.each("dilation")
    padding, more = s.each("padding"), s.each("output_padding")
    return tuple(
        dilation[k] * (kernel[k] - 1) + more[k] + 1 - 2 * padding[k] for k in range(s.axes)
    )


def _transposed_misfit(s: Settings) -> Complaint | None:
    steps = zip(s.each("output_padding"), s.each("stride"), s.each("dilation"), strict=True)
    if any(more >= max(stride, dilation) for more, stride, dilation in steps):
        message = "`output_padding` is less than `stride` or `dilation`"
        return Complaint("output_padding", message, "make it smaller, or `stride` larger")
    return _group_misfit(s)


def _transposed_least(s: Settings) -> Mapping[str, int]:
    steps = zip(_surplus(s), s.each("stride"), strict=True)
    return _named(s.axes, tuple(max(1, 1 - (more - 1) // stride) for more, stride in steps))


def _grown(s: Settings, bound: LayerCall) -> tuple[Shape, ...]:
    stride, surplus = s.each("stride"), _surplus(s)

    def new(k: int, n: Size) -> Size:
        return n * stride[k] + (surplus[k] - stride[k])

    return (bound.shape(ANY, s.number("out_channels"), *_along(s.axes, new, bound)),)


def _transposed(axes: int) -> Entry:
    arguments = (
        size("in_channels"),
        size("out_channels"),
        _KERNEL,
        _stride(1),
        _PADDING,
        Argument("output_padding", "each", 0, least=0),
        size("groups", 1),
        BIAS,
        _DILATION,
        Argument("padding_mode", "word", "zeros", words=("zeros",)),
    )

    def weights(s: Settings) -> Shapes:
        outs, groups = s.number("out_channels"), s.number("groups")
        bias = {"bias": (outs,)} if s.flag("bias") else {}
        shape = (s.number("in_channels"), outs // groups, *s.each("kernel_size"))
        return {"weight": shape, **bias}

    return Entry(
        arguments,
        takes=spatial(axes, "in_channels"),
        gives=_grown,
        parameters=weights,
        wrong=_transposed_misfit,
        least=_transposed_least,
        axes=axes,
        behind=axes + 1,
    )


# ── pooling ────────────────────────────────────────────────────────────────────────────────────


def _pool_misfit(s: Settings) -> Complaint | None:
    if all(p <= k // 2 for p, k in zip(s.each("padding"), s.each("kernel_size"), strict=True)):
        return _too_long(s)
    message = "`padding` of a pool is at most half of its `kernel_size`"
    return Complaint("padding", message, "make it smaller, or `pad` the value before")


def _windows(s: Settings) -> tuple[tuple[int, int], ...]:
    """For each axis the number f and the stride of `(n + f) // stride + 1`, torch's formula.

    With `ceil_mode` the last window may reach over the end, but begins inside or on the left
    padding: the lesser of two quotients, whose numerators differ by a number.
    """
    dilation = s.each("dilation") if "dilation" in s.values else (1,) * s.axes
    found = []
    for k, step in enumerate(s.each("stride", "kernel_size")):
        padding = s.each("padding")[k]
        fixed = 2 * padding - dilation[k] * (s.each("kernel_size")[k] - 1) - 1
        if s.flag("ceil_mode"):
            fixed = min(fixed + step - 1, padding - 1)
        found.append((fixed, step))
    return tuple(found)


def _pooled(s: Settings, bound: LayerCall) -> tuple[Shape, ...]:
    windows = _windows(s)

    def new(k: int, n: Size) -> Size:
        fixed, stride = windows[k]
        return (n + fixed) // stride + 1

    return (bound.shape(ANY, "c", *_along(s.axes, new, bound)),)


_CEIL = flag("ceil_mode", False)
_INDICES = flag("return_indices", False, False, "a pool gives one value")


def _pool(axes: int, arguments: tuple[Argument, ...], *, whole: bool = False) -> Entry:
    """A pool; `whole`: torch wants room for a window without the padding, too."""

    def least(s: Settings) -> Mapping[str, int]:
        kernel = s.each("kernel_size") if whole else (1,) * axes
        windows = zip(kernel, _windows(s), strict=True)
        return _named(axes, tuple(max(room, -fixed) for room, (fixed, _) in windows))

    return Entry(
        (_KERNEL, _stride(None), _PADDING, *arguments),
        takes=spatial(axes),
        gives=_pooled,
        wrong=_pool_misfit,
        least=least,
        axes=axes,
        behind=axes + 1,
    )


def _average(axes: int) -> Entry:
    divisor = () if axes == 1 else (Argument("divisor_override", "int", least=1),)
    return _pool(axes, (_CEIL, flag("count_include_pad", True), *divisor), whole=axes == 3)


def _adaptive(axes: int, arguments: tuple[Argument, ...] = ()) -> Entry:
    return Entry(
        (Argument("output_size", "each", needed=True, least=1), *arguments),
        takes=spatial(axes),
        gives=lambda s, bound: (bound.shape(ANY, "c", *s.each("output_size")),),
        axes=axes,
        behind=axes + 1,
    )


WINDOWS: Mapping[str, Entry] = {
    **{f"Conv{axes}d": _convolution(axes) for axes in (1, 2, 3)},
    **{f"ConvTranspose{axes}d": _transposed(axes) for axes in (1, 2)},
    **{f"MaxPool{axes}d": _pool(axes, (_DILATION, _INDICES, _CEIL)) for axes in (1, 2, 3)},
    **{f"AvgPool{axes}d": _average(axes) for axes in (1, 2, 3)},
    **{f"AdaptiveAvgPool{axes}d": _adaptive(axes) for axes in (1, 2)},
    "AdaptiveMaxPool2d": _adaptive(2, (_INDICES,)),
}
