"""What functions of torch are called here: hints for habits from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_PRODUCT = "write `a @ b`, or `network { … }` with a name for each axis"
_SHAPE = "write `reshape(x, (…))` with all sizes"
_NOISE = "random numbers come in as an `input`; `Dropout` is a layer"
_HINTS: Mapping[str, str] = {
    "write `concat(a, b, dim = …)`": "cat concatenate hstack vstack",
    _SHAPE: "view squeeze unsqueeze unflatten ravel rearrange",
    _PRODUCT: "einsum matmul mm bmm mv dot outer tensordot inner kron",
    _NOISE: "rand randn randint rand_like randn_like bernoulli multinomial",
    "write `a ** b`": "pow",
    "write `a + b`": "add",
    "write `a - b`": "sub subtract",
    "write `a * b`": "mul multiply",
    "write `a / b`": "div divide",
    "write `where(mask, value, x)`": "masked_fill",
    "write `take(table, ids)`": "index_select embedding",
    "write `scatter_sum(x, to, size)`": "scatter_add index_add scatter",
    "write `silu`": "swish",
    "write `attention(q, k, v)`": "scaled_dot_product_attention sdpa",
    "write `expand(x, (…))`": "broadcast_to repeat_interleave tile",
    "write `zeros((…))`": "zeros_like empty empty_like",
    "write `ones((…))`": "ones_like",
    "declare a part, `part p = Dropout(0.1)`, and call it": "dropout",
    "declare a part, `part p = Linear(…)`, and call it": "linear",
    "declare a part, `part p = LayerNorm(…)`, and call it": "layer_norm",
    "declare a part, `part p = RMSNorm(…)`, and call it": "rms_norm",
    "declare a part, `part p = BatchNorm2d(…)`, and call it": "batch_norm",
    "declare a part, `part p = Conv1d(…)`, and call it": "conv1d",
    "declare a part, `part p = Conv2d(…)`, and call it": "conv2d",
    "declare a part, `part p = MaxPool2d(…)`, and call it": "max_pool2d",
    "declare a part, `part p = AvgPool2d(…)`, and call it": "avg_pool2d",
}
OF_VALUES: Mapping[str, str] = {
    "max": "of values: `amax(x, dim)` along an axis, `maximum(a, b)` entry by entry",
    "min": "of values: `amin(x, dim)` along an axis, `minimum(a, b)` entry by entry",
    "log2": "of values: `log(x) / log(2)`",
    "len": "the length of an axis is its number, or its name after `batch`",
}
"""What to write where a function of numbers is given a value."""

_BY_NAME = {name: hint for hint, names in _HINTS.items() for name in names.split()}


_CLASSES: Mapping[str, str] = {
    "Sequential": "join the stages by pipes: `x |> a |> b`",
    "ModuleList": "declare a family: `part p[k in 0..n] = …`",
    "ModuleDict": "declare a part for each entry",
    "Module": "declare a `model`, and a part of it",
    "Parameter": "declare a tensor: `tensor w(4, 8) init normal(0.02)`",
    "Upsample": "call the function: `interpolate(x, scale = [2, 2])`",
    "Unflatten": "call the function: `reshape(x, (…))`",
    "ZeroPad2d": "call the function: `pad(x, left, right, dim)`",
}


def made_otherwise(name: str, functions: Iterable[str]) -> str | None:
    """What to write for a class of torch that is no layer here.

    >>> made_otherwise("LeakyReLU", ["relu", "leaky_relu"])
    'it has no weights, so it is a function: `x |> leaky_relu`'
    """
    for function in functions:
        if function.replace("_", "") == name.lower():
            return f"it has no weights, so it is a function: `x |> {function}`"
    return _CLASSES.get(name)


def elsewhere(name: str) -> str | None:
    """What to write for a function that has another name in torch or NumPy.

    >>> elsewhere("cat"), elsewhere("softmax")
    ('write `concat(a, b, dim = …)`', None)
    """
    return _BY_NAME.get(name)
