"""Functions along axes: reductions, and those that keep the shape.

The option `dim` is a tuple of axes for `sum amax amin any all mean logsumexp var std norm`, one
axis for all others; `keepdim` is a bool. `correction`, `p` and `eps` are numbers, `k` is a size.
"""

from __future__ import annotations

from tncompile.language.diagnostics.diagnostic import Label
from tncompile.language.typing.functions.declaring.arguments import count, flag, real
from tncompile.language.typing.functions.declaring.axes import without
from tncompile.language.typing.functions.declaring.binding import (
    AXES,
    Bound,
    Function,
    Parameter,
    Types,
    X,
    axis,
    option,
)
from tncompile.language.typing.functions.declaring.kinds import (
    FLOATS,
    NUMBERS,
    REAL,
    REAL_FLOATS,
    REAL_NUMBERS,
    Kinds,
)
from tncompile.language.typing.state import Misfit
from tncompile.language.typing.values import Shape


def _same(bound: Bound) -> Shape:
    return bound.x.shape


def _reduced(bound: Bound) -> Shape:
    return without(bound.x.shape, bound.axes(), keep=bound.options["keepdim"] is True)


def _reduced_once(bound: Bound) -> Shape:
    return without(bound.x.shape, [bound.axis()], keep=bound.options["keepdim"] is True)


def _topk(bound: Bound) -> Types:
    k, dim, x = bound.size("k"), bound.axis(), bound.x
    most = x.shape.axis(dim)
    message = f"there are no {k} largest of {most}: `{x.shape}` has {most} entries on axis {dim}"
    there = Label(bound.operands[0].place, f"this is `{x.shape}`")
    note, hint = "`topk` takes at most all entries of the axis", f"at most {most} here"
    label = f"more than {most}"
    misfit = Misfit(message, bound.place("k"), label, (there,), note, hint)
    bound.typing.at_most(k, most, misfit)
    shape = x.shape.replaced(dim, k)
    return [(bound.kind, shape), ("int", shape)]


KEEP = option("keepdim", flag, False)
ROOT_OF_SQUARES = option("p", real, 2.0)


def _along(name: str, kinds: Kinds, *parameters: Parameter) -> Function:
    return Function(name, (X, axis(), *parameters), kinds, _same)


def _over(name: str, kinds: Kinds, *parameters: Parameter) -> Function:
    return Function(name, (X, AXES, *parameters), kinds, _reduced)


def _over_one(name: str, kinds: Kinds) -> Function:
    return Function(name, (X, axis(), KEEP), kinds, _reduced_once)


FUNCTIONS = (
    _along("softmax", REAL_FLOATS),
    _along("log_softmax", REAL_FLOATS),
    _along("cumsum", NUMBERS),
    _along("normalize", FLOATS, ROOT_OF_SQUARES, option("eps", real, 1e-12)),
    _over("sum", NUMBERS, KEEP),
    _over_one("prod", NUMBERS),
    _over("amax", REAL, KEEP),
    _over("amin", REAL, KEEP),
    _over("any", Kinds(gives="bool"), KEEP),
    _over("all", Kinds(gives="bool"), KEEP),
    _over("mean", FLOATS, KEEP),
    _over("logsumexp", FLOATS, KEEP),
    _over("var", Kinds("float", real=True), KEEP, option("correction", real, 1)),
    _over("std", Kinds("float", real=True), KEEP, option("correction", real, 1)),
    _over("norm", Kinds("float", real=True), ROOT_OF_SQUARES, KEEP),
    _over_one("argmax", Kinds("int", "float", gives="int")),
    _over_one("argmin", Kinds("int", "float", gives="int")),
    Function("topk", (X, option("k", count), axis(default=-1)), REAL_NUMBERS, _topk),
)
