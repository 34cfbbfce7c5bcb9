"""Functions of each entry by itself, with the names of torch."""

from __future__ import annotations

from tncompile.language.typing.values import higher
from tncompile.models.emission.expressions.conversion import Applied
from tncompile.models.emission.expressions.sources import helped
from tncompile.models.emission.expressions.text import Text, call

_CALLS = {
    "relu": "F.relu",
    "relu6": "F.relu6",
    "gelu": "F.gelu",
    "silu": "F.silu",
    "mish": "F.mish",
    "elu": "F.elu",
    "leaky_relu": "F.leaky_relu",
    "selu": "F.selu",
    "softplus": "F.softplus",
    "log_sigmoid": "F.logsigmoid",
    "hardswish": "F.hardswish",
    "hardsigmoid": "F.hardsigmoid",
}
_DEFAULTS: dict[str, dict[str, object]] = {
    "gelu": {"approximate": "none"},
    "elu": {"alpha": 1.0},
    "leaky_relu": {"negative_slope": 0.01},
}
_FLOAT_METHODS = (
    *("tanh", "sigmoid", "sin", "cos", "tan", "exp", "expm1", "log", "log1p"),
    *("sqrt", "rsqrt", "erf", "conj"),
)
_METHODS = ("abs", "sign", "square", "floor", "ceil", "round")


def _call(applied: Applied) -> Text:
    applied.context.use("F")
    keywords = applied.keywords(**_DEFAULTS.get(applied.name, {}))
    return call(_CALLS[applied.name], applied.tensor(0, "float"), *keywords)


def _silu(applied: Applied) -> Text:
    """Of complex numbers torch has the function without its gradient."""
    if applied.kind != "complex":
        return _call(applied)
    return helped(applied.context, "_silu", applied.tensor())


def _float_method(applied: Applied) -> Text:
    return applied.tensor(0, "float").method(applied.name)


def _method(applied: Applied) -> Text:
    return applied.tensor(0, "int").method(applied.name)


def _clamp(applied: Applied) -> Text:
    """Bounds are numbers, or all of them tensors."""
    kind = higher("int", applied.kind)
    names = [name for name in ("min", "max") if applied.option(name) is not None]
    bounds = [applied.text(name) for name in names]
    if applied.option("bounds") is not None:
        names = str(applied.option("bounds")).split()
        places = range(1, len(names) + 1)
        if all(applied.number(k) for k in places):
            bounds = [applied.texts[k] for k in places]
        else:
            bounds = [applied.tensor(k, kind) for k in places]
    arguments: list[object] = [*bounds]
    if names != ["min", "max"]:
        arguments = [f"{name}={bound}" for name, bound in zip(names, bounds, strict=True)]
    return applied.tensor(0, kind).method("clamp", *arguments)


def _extreme(applied: Applied) -> Text:
    """Against a number it is a bound: `x.clamp(min=0)`."""
    kind = applied.kind
    numbers = [k for k in (0, 1) if applied.number(k)]
    if len(numbers) == 1 and kind != "bool":
        bound = "min" if applied.name == "maximum" else "max"
        number = numbers[0]
        return applied.tensor(1 - number, kind).method("clamp", f"{bound}={applied.texts[number]}")
    return call(f"torch.{applied.name}", applied.tensor(0), applied.tensor(1))


def _where(applied: Applied) -> Text:
    """Torch would take the dtype of two numbers, and of integers beside one, from its default."""
    kinds = [applied.value(k).kind for k in (1, 2)]
    kind = higher(*kinds)
    texts = [applied.texts[1], applied.texts[2]]
    numbers = [applied.number(1), applied.number(2)]
    if kind == "float" and (all(numbers) or (any(numbers) and kinds[numbers.index(False)] != kind)):
        k = numbers.index(False) if False in numbers else 0
        texts[k] = applied.tensor(k + 1, kind)
    return call("torch.where", applied.tensor(0), *texts)


def _detach(applied: Applied) -> Text:
    return applied.tensor().method("detach")


def _real(applied: Applied) -> Text:
    tensor = applied.tensor(0, "float")
    return tensor.attribute("real") if applied.kind == "complex" else tensor


def _imag(applied: Applied) -> Text:
    return applied.tensor().attribute("imag")


def _angle(applied: Applied) -> Text:
    return applied.tensor(0, "float").method("angle")


def _complex(applied: Applied) -> Text:
    return call("torch.complex", applied.tensor(0, "float"), applied.tensor(1, "float"))


RULES = {
    **dict.fromkeys(_CALLS, _call),
    **dict.fromkeys(_FLOAT_METHODS, _float_method),
    **dict.fromkeys(_METHODS, _method),
    "silu": _silu,
    "clamp": _clamp,
    "maximum": _extreme,
    "minimum": _extreme,
    "where": _where,
    "detach": _detach,
    "real": _real,
    "imag": _imag,
    "angle": _angle,
    "complex": _complex,
}
