"""Functions of each entry by itself.

Operands broadcast. Options are those of torch: numbers, and `approximate` of `gelu`. `clamp` has
the options `min` and `max`, numbers or None, where all bounds are numbers; else the bounds are
operands after `x`, and the option `bounds` says which they are: `min`, `max` or `min max`.
`complex` takes two operands, `where` three. Before each call operands are converted to the kind
that `operand_kinds` says.
"""

from __future__ import annotations

from tncompile.language.typing.functions.declaring.arguments import real, word
from tncompile.language.typing.functions.declaring.binding import (
    Bound,
    Function,
    Parameter,
    X,
    option,
    value,
)
from tncompile.language.typing.functions.declaring.broadcasting import broadcast_all
from tncompile.language.typing.functions.declaring.kinds import (
    ANY,
    FLOATS,
    NUMBERS,
    REAL,
    REAL_FLOATS,
    REAL_NUMBERS,
    Kinds,
)
from tncompile.language.typing.values import Shape


def _together(bound: Bound) -> Shape:
    return broadcast_all(bound.typing, bound.operands)


def _entries(name: str, kinds: Kinds, *parameters: Parameter) -> Function:
    return Function(name, parameters or (X,), kinds, _together)


A, B = value("a"), value("b")

FUNCTIONS = (
    _entries("relu", REAL_FLOATS),
    _entries("relu6", REAL_FLOATS),
    _entries("gelu", REAL_FLOATS, X, option("approximate", word("none", "tanh"), "none")),
    _entries("silu", FLOATS),
    _entries("mish", REAL_FLOATS),
    _entries("elu", REAL_FLOATS, X, option("alpha", real, 1.0)),
    _entries("leaky_relu", REAL_FLOATS, X, option("negative_slope", real, 0.01)),
    _entries("selu", REAL_FLOATS),
    _entries("softplus", REAL_FLOATS),
    _entries("tanh", FLOATS),
    _entries("sigmoid", FLOATS),
    _entries("log_sigmoid", REAL_FLOATS),
    _entries("hardswish", REAL_FLOATS),
    _entries("hardsigmoid", REAL_FLOATS),
    _entries("sin", FLOATS),
    _entries("cos", FLOATS),
    _entries("tan", FLOATS),
    _entries("exp", FLOATS),
    _entries("expm1", FLOATS),
    _entries("log", FLOATS),
    _entries("log1p", FLOATS),
    _entries("sqrt", FLOATS),
    _entries("rsqrt", FLOATS),
    _entries("erf", REAL_FLOATS),
    _entries("abs", Kinds("int", real=True)),
    _entries("sign", REAL_NUMBERS),
    _entries("square", NUMBERS),
    _entries("floor", REAL_NUMBERS),
    _entries("ceil", REAL_NUMBERS),
    _entries("round", REAL_NUMBERS),
    _entries(
        "clamp",
        REAL_NUMBERS,
        X,
        Parameter("min", "bound", needed=False),
        Parameter("max", "bound", needed=False),
    ),
    _entries("maximum", REAL, A, B),
    _entries("minimum", REAL, A, B),
    _entries("where", ANY, value("c", "bool"), A, B),
    _entries("detach", ANY),
    _entries("real", Kinds("float", real=True)),
    _entries("imag", Kinds(gives="float"), value("x", "complex")),
    _entries("angle", Kinds("float", gives="float")),
    _entries("conj", FLOATS),
    _entries("complex", Kinds("float", "float", gives="complex"), value("re"), value("im")),
)
