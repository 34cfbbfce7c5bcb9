"""The operations of models on tensors of float64, one after another, as plain calls of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tncompile.language.typing.functions import operand_kinds
from tncompile.language.typing.operations import Apply, Literal, Operation, SizeValue
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Kind, Numbers, Shape, Value

DTYPES: Mapping[Kind, torch.dtype] = {
    "bool": torch.bool,
    "int": torch.int64,
    "float": torch.float64,
    "complex": torch.complex128,
}


@dataclass
class Oracle:
    """Computes operations where run-time sizes and the axes of `...` are these.

    `results` holds what each operation gave; what is not applied, such as an input, is put there.
    """

    sizes: Mapping[str, int]
    lead: tuple[int, ...] = ()
    results: dict[Operation, tuple[Tensor, ...]] = field(default_factory=dict)

    def run(self, operations: Iterable[Operation]) -> None:
        """Compute the operations in order, but for those that have results."""
        for operation in operations:
            if operation not in self.results:
                result = self._result(operation)
                self.results[operation] = result if isinstance(result, tuple) else (result,)

    def tensor(self, value: Value) -> Tensor:
        """What a value is."""
        return self.results[value.operation][value.position or 0]

    def shape(self, shape: Shape) -> tuple[int, ...]:
        """The numbers of a shape."""
        return (*(self.lead if shape.dots else ()), *(size.at(self.sizes) for size in shape.sizes))

    def _result(self, operation: Operation) -> Tensor | tuple[Tensor, ...]:
        match operation:
            case Literal(number=number):
                items = number.items if isinstance(number, Numbers) else number
                floats = any(isinstance(each, float) for each in _items(items))
                return torch.tensor(items, dtype=torch.float64 if floats or items == () else None)
            case SizeValue(size=size):
                return torch.tensor(size.at(self.sizes))
            case Apply():
                kinds = operand_kinds(operation)
                tensors = [
                    self.tensor(operand).to(DTYPES[kind])
                    for operand, kind in zip(operation.operands, kinds, strict=True)
                ]
                return CALLS[operation.function](*tensors, o=self.options(operation))
        raise NotImplementedError(type(operation).__name__)

    def options(self, operation: Apply) -> Any:
        """The options of an operation as torch takes them, by name."""
        return SimpleNamespace(**{name: self._plain(o) for name, o in operation.options.items()})

    def _plain(self, option: object) -> object:
        match option:
            case Size():
                return option.at(self.sizes)
            case Shape():
                return self.shape(option)
            case Numbers(items):
                return list(items)
            case tuple():
                return [self._plain(each) for each in option]
            case _:
                return option


def _items(number: object) -> tuple[object, ...]:
    return number if isinstance(number, tuple) else (number,)


def _clamp(x: Tensor, *bounds: Tensor, o: Any) -> Tensor:
    if not bounds:
        return x.clamp(o.min, o.max)
    return x.clamp(**dict(zip(o.bounds.split(), bounds, strict=True)))


def _permute(x: Tensor, o: Any) -> Tensor:
    lead = x.ndim - len(o.dim)
    return x.permute([*range(lead), *(axis % x.ndim for axis in o.dim)])


def _pad(x: Tensor, o: Any) -> Tensor:
    lines = x.movedim(o.dim, -1)
    rows = lines.reshape(-1, 1, lines.shape[-1])
    fill = {"value": o.value} if o.mode == "constant" else {}
    padded = functional.pad(rows, (o.left, o.right), o.mode, **fill)
    return padded.reshape(*lines.shape[:-1], padded.shape[-1]).movedim(-1, o.dim)


def _interpolate(x: Tensor, o: Any) -> Tensor:
    count = len(o.scale or o.size)
    split = x.ndim - count
    images = x.reshape(-1, *x.shape[split - 1 :])
    done = functional.interpolate(images, o.size, o.scale and [*map(float, o.scale)], o.mode)
    return done.reshape(*x.shape[:split], *done.shape[2:])


def _segment_sum(x: Tensor, offsets: Tensor, o: Any) -> Tensor:
    ends = [*offsets.tolist()[1:], len(x)]
    rows = [x[a:b].sum(0) for a, b in zip(offsets.tolist(), ends, strict=True)]
    return torch.stack(rows)


def _fft(name: str) -> Callable[..., Tensor]:
    transform = getattr(torch.fft, name)
    return lambda x, o: transform(x, o.n, o.dim)


def _kept(name: str) -> Callable[..., Tensor]:
    return lambda x, o: getattr(x, name)(o.dim, keepdim=o.keepdim)


_OF_TORCH = (
    "relu selu tanh sigmoid sin cos tan exp expm1 log log1p sqrt rsqrt erf abs sign square "
    "floor ceil round real imag angle detach"
)
_OF_FUNCTIONAL = "silu relu6 mish softplus hardswish hardsigmoid"
_REDUCTIONS = "sum prod amax amin any all mean logsumexp argmax argmin"

CALLS: Mapping[str, Callable[..., Any]] = {
    **{name: lambda x, o, name=name: getattr(torch, name)(x) for name in _OF_TORCH.split()},
    **{
        name: lambda x, o, name=name: getattr(functional, name)(x)
        for name in _OF_FUNCTIONAL.split()
    },
    "log_sigmoid": lambda x, o: functional.logsigmoid(x),
    "gelu": lambda x, o: functional.gelu(x, approximate=o.approximate),
    "elu": lambda x, o: functional.elu(x, o.alpha),
    "leaky_relu": lambda x, o: functional.leaky_relu(x, o.negative_slope),
    "conj": lambda x, o: x.conj().resolve_conj(),
    "clamp": _clamp,
    "maximum": lambda a, b, o: torch.maximum(a, b),
    "minimum": lambda a, b, o: torch.minimum(a, b),
    "where": lambda c, a, b, o: torch.where(c, a, b),
    "complex": lambda a, b, o: torch.complex(a, b),
    "softmax": lambda x, o: x.softmax(o.dim),
    "log_softmax": lambda x, o: x.log_softmax(o.dim),
    "cumsum": lambda x, o: x.cumsum(o.dim),
    "normalize": lambda x, o: functional.normalize(x, o.p, o.dim, o.eps),
    **{name: _kept(name) for name in _REDUCTIONS.split()},
    "var": lambda x, o: x.var(o.dim, correction=o.correction, keepdim=o.keepdim),
    "std": lambda x, o: x.std(o.dim, correction=o.correction, keepdim=o.keepdim),
    "norm": lambda x, o: torch.linalg.vector_norm(x, o.p, o.dim, o.keepdim),
    "topk": lambda x, o: tuple(x.topk(o.k, o.dim)),
    "reshape": lambda x, o: x.reshape(o.shape),
    "flatten": lambda x, o: x.flatten(o.start_dim, o.end_dim),
    "transpose": lambda x, o: x.transpose(o.dim0, o.dim1),
    "permute": _permute,
    "expand": lambda x, o: x.expand(o.size),
    "concat": lambda *xs, o: torch.cat(xs, o.dim),
    "stack": lambda *xs, o: torch.stack(xs, o.dim),
    "split": lambda x, o: x.split(o.sizes, o.dim),
    "chunk": lambda x, o: x.chunk(o.n, o.dim),
    "flip": lambda x, o: x.flip(o.dim),
    "roll": lambda x, o: x.roll(o.shifts, o.dim),
    "pad": _pad,
    "interpolate": _interpolate,
    "take": lambda table, ids, o: table[ids] if o.dim is None else table.index_select(o.dim, ids),
    "gather": lambda x, ids, o: x.gather(o.dim, ids),
    "onehot": lambda ids, o: functional.one_hot(ids, o.n).double(),
    "segment_sum": _segment_sum,
    "scatter_sum": lambda x, to, o: x.new_zeros(o.size, *x.shape[1:]).index_add(0, to, x),
    "arange": lambda o: torch.arange(o.n),
    "linspace": lambda o: torch.linspace(o.start, o.end, o.n, dtype=torch.float64),
    "zeros": lambda o: torch.zeros(o.size, dtype=torch.float64),
    "ones": lambda o: torch.ones(o.size, dtype=torch.float64),
    "full": lambda o: torch.tensor(o.fill_value, dtype=_dtype(o.fill_value)).expand(o.size),
    "eye": lambda o: torch.eye(o.n, dtype=torch.float64),
    **{name: _fft(name) for name in ("fft", "ifft", "rfft", "irfft")},
    "add": lambda a, b, o: a + b,
    "sub": lambda a, b, o: a - b,
    "mul": lambda a, b, o: a * b,
    "div": lambda a, b, o: a / b,
    "floordiv": lambda a, b, o: a // b,
    "mod": lambda a, b, o: a % b,
    "pow": lambda a, b, o: a**b,
    "matmul": lambda a, b, o: a @ b,
    "eq": lambda a, b, o: a == b,
    "ne": lambda a, b, o: a != b,
    "lt": lambda a, b, o: a < b,
    "le": lambda a, b, o: a <= b,
    "gt": lambda a, b, o: a > b,
    "ge": lambda a, b, o: a >= b,
    "and": lambda a, b, o: a & b,
    "or": lambda a, b, o: a | b,
    "neg": lambda a, o: -a,
    "not": lambda a, o: ~a,
}
"""What each function and operator is: operands, converted, by position, then the options."""


def _dtype(number: object) -> torch.dtype:
    return DTYPES[{bool: "bool", int: "int", float: "float"}[type(number)]]
