"""What a network means, written out: any `TensorNetwork`, windows included, in float64.

A window is a tensor of zeros and ones with its three indices, so that the whole network is one sum
of products; no convolution is called and nothing of what is tested is used.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import opt_einsum
import torch
from torch import Tensor

from tncompile.network.model import DOTS, Axis, TensorNetwork
from tncompile.network.windows import Window


def place(window: Window, position: int, length: int) -> int | None:
    """The entry of the input at a position that may be outside of it; None for a zero."""
    if 0 <= position < length:
        return position
    match window.mode:
        case "zeros":
            return None
        case "circular":
            return position % length
        case "replicate":
            return 0 if position < 0 else length - 1
        case "reflect":
            period = max(1, 2 * (length - 1))
            return min(position % period, period - position % period)


def delta(window: Window, length: int) -> Tensor:
    """The window as a tensor over the input of that length, the kernel and the output."""
    out = window.output_length(length)
    made = torch.zeros(length, window.size, out, dtype=torch.float64)
    if window.transposed:
        for p in range(length):
            for k in range(window.size):
                q = p * window.stride + k * window.dilation - window.left
                if 0 <= q < out:
                    made[p, k, q] += 1
        return made
    for q in range(out):
        for k in range(window.size):
            p = place(window, q * window.stride + k * window.dilation - window.left, length)
            if p is not None:
                made[p, k, q] += 1
    return made


def shortest(window: Window) -> int:
    """The shortest input that the window takes and torch can pad."""
    length = 1
    if window.mode == "circular":
        length = max(1, window.left, window.right)
    if window.mode == "reflect":
        length = 1 + max(window.left, window.right)
    while window.output_length(length) < 1:
        length += 1
    return length


def runtime_lengths(network: TensorNetwork, more: int = 3) -> dict[str, int]:
    """A size for every run-time index of the inputs but `...`: small, and all windows fit."""
    lengths = {window.input_leg: shortest(window) + more for window in network.windows}
    named = [index.name for index in network.indices if index.kind == "batch"]
    return lengths | {name: 2 + k for k, name in enumerate(named)}


def random_tensors(
    network: TensorNetwork,
    seed: int,
    lengths: Mapping[str, int] | None = None,
    leading: Sequence[int] = (2, 3),
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Parameters by key and inputs by name: float64, complex128 where they are complex, ids."""
    rng = torch.Generator().manual_seed(seed)
    sizes = runtime_lengths(network) | dict(lengths or {})

    def drawn(shape: Sequence[int], *, complex_numbers: bool = False) -> Tensor:
        dtype = torch.complex128 if complex_numbers else torch.float64
        return torch.randn(tuple(shape), generator=rng, dtype=dtype)

    parameters = {
        parameter.key: drawn(parameter.shape, complex_numbers=parameter.complex)
        for parameter in network.parameters
    }
    inputs: dict[str, Tensor] = {}
    for given in network.inputs:
        shape: list[int] = []
        classes = None
        for axis in given.axes:
            if axis.kind == "dots":
                shape += leading
            elif axis.kind == "onehot":
                classes = axis.length
            else:
                shape.append(sizes[axis.indices[0]] if axis.length is None else axis.length)
        if classes is None:
            inputs[given.name] = drawn(shape)
        else:
            inputs[given.name] = torch.randint(classes, shape, generator=rng)
    return parameters, inputs


def sum_of_products(
    network: TensorNetwork, parameters: Mapping[str, Tensor], inputs: Mapping[str, Tensor]
) -> Tensor:
    """What `forward` returns, differentiable; with `log` the value before its logarithm is taken.

    The tensors are those of `random_tensors`, or others of the same kinds.
    """
    return _SumOfProducts(network, parameters, inputs).value()


class _SumOfProducts:
    """The operands with their labels; axes of `...` are labeled by their place from the right."""

    def __init__(
        self,
        network: TensorNetwork,
        parameters: Mapping[str, Tensor],
        inputs: Mapping[str, Tensor],
    ) -> None:
        self.network = network
        self.parameters = parameters
        self.inputs = inputs
        self.sizes: dict[str, int] = {
            index.name: index.size for index in network.indices if index.size is not None
        }
        leading = []
        for given in network.inputs:
            shape = tuple(inputs[given.name].shape)
            own = [axis for axis in given.axes if axis.kind in ("legs", "slices")]
            split = len(shape) - len(own)
            if any(axis.kind == "dots" for axis in given.axes):
                leading.append(shape[:split])
            for axis, length in zip(own, shape[split:], strict=True):
                if axis.kind == "legs" and axis.length is None:
                    self.sizes[axis.indices[0]] = length
        self.leading: tuple[int, ...] = tuple(torch.broadcast_shapes(*leading))

    def value(self) -> Tensor:
        """The whole sum, with biases, flattened and cut as the output says."""
        network = self.network
        operands: list[tuple[Tensor, list[str]]] = []
        for tensor in network.tensors:
            if tensor.role == "parameter":
                held = self.parameters[tensor.source]
                held = held.conj() if tensor.conjugate else held
                operands.append((self._split(held, tensor.axes), list(tensor.legs)))
            elif tensor.role == "input":
                operands.append(self._input(tensor.source, tensor.axes, tensor.position))
            else:
                (axis,) = tensor.axes
                kept = torch.zeros(math.prod(self.sizes[leg] for leg in axis))
                kept[: int(tensor.source)] = 1
                operands.append((self._split(kept, tensor.axes), list(axis)))
        for window in network.windows:
            made = delta(window, self.sizes[window.input_leg])
            self.sizes[window.output_leg] = made.shape[-1]
            legs = [window.input_leg, window.kernel_leg, window.output_leg]
            operands.append((made, legs))
        labels = self._labels(network.output.legs)
        total = self._contracted(operands, labels)
        for bias in network.biases:
            held = self._split(self.parameters[bias.parameter], bias.axes)
            legs = [leg for axis in bias.axes for leg in axis]
            order = [legs.index(label) for label in labels if label in legs]
            wide = [
                size if label in legs else 1
                for label, size in zip(labels, total.shape, strict=True)
            ]
            total = total + held.permute(order).reshape(wide)
        return self._joined(total)

    def _labels(self, legs: Iterable[str]) -> list[str]:
        """The legs with `...` taken apart."""
        made: list[str] = []
        for leg in legs:
            made += self._dots() if leg == DOTS else [leg]
        return made

    def _dots(self) -> list[str]:
        return [f"{DOTS}{k}" for k in range(len(self.leading), 0, -1)]

    def _split(self, tensor: Tensor, axes: Iterable[Iterable[str]]) -> Tensor:
        return tensor.reshape([self.sizes[leg] for axis in axes for leg in axis])

    def _input(
        self, name: str, axes: Sequence[Sequence[str]], position: tuple[int, ...]
    ) -> tuple[Tensor, list[str]]:
        """An input, or a slice of it, padded to its flattened axes, ids expanded to one-hot."""
        given = self.network.input[name]
        value = self.inputs[name]
        own = [axis for axis in given.axes if axis.kind in ("legs", "slices")]
        if any(axis.kind == "dots" for axis in given.axes):
            value = value.expand(*self.leading, *value.shape[value.dim() - len(own) :])
        start = value.dim() - len(own)
        sliced = [start + k for k, axis in enumerate(own) if axis.kind == "slices"]
        for dim, at in reversed([*zip(sliced, position, strict=True)]):
            value = value.select(dim, at)
        kept: list[Axis] = [axis for axis in given.axes if axis.kind != "slices"]
        plain = [axis for axis in kept if axis.kind != "dots"]
        onehot = next((axis for axis in plain if axis.kind == "onehot"), None)
        if onehot is not None:
            eye = torch.eye(onehot.size or 1, dtype=torch.float64)
            at = len(self.leading) if any(axis.kind == "dots" for axis in kept) else 0
            at += plain.index(onehot)
            value = eye[value].movedim(-1, at)
        shape: list[int] = [*value.shape[: value.dim() - len(plain)]]
        for axis, length in zip(plain, value.shape[len(shape) :], strict=True):
            if axis.kind == "legs" and axis.width is not None:
                missing = (axis.size or 0) - length
                zeros = list(value.shape)
                zeros[len(shape)] = missing
                value = torch.cat([value, value.new_zeros(zeros)], len(shape))
            shape.append(value.shape[len(shape)])
        legs = [leg for axis in axes for leg in axis]
        lengths = [
            length
            for leg in legs
            for length in (self.leading if leg == DOTS else [self.sizes[leg]])
        ]
        return value.reshape(lengths), self._labels(legs)

    def _contracted(
        self, operands: Sequence[tuple[Tensor, list[str]]], output: Sequence[str]
    ) -> Tensor:
        mixed = any(tensor.is_complex() for tensor, _ in operands)
        dtype = torch.complex128 if mixed else torch.float64
        numbers: dict[str, int] = {}
        interleaved: list[Any] = []
        for tensor, labels in operands:
            interleaved += [tensor.to(dtype), [numbers.setdefault(x, len(numbers)) for x in labels]]
        if not operands:
            return torch.ones((), dtype=dtype)
        made = opt_einsum.contract(*interleaved, [numbers[x] for x in output], optimize="greedy")
        assert isinstance(made, Tensor)
        return made

    def _joined(self, total: Tensor) -> Tensor:
        """The axes of the output flattened, and cut to their width."""
        shape: list[int] = []
        cuts: list[tuple[int, int]] = []
        sizes = iter(total.shape)
        for axis in self.network.output.axes:
            if axis.kind == "dots":
                shape += [next(sizes) for _ in self.leading]
                continue
            shape.append(math.prod([next(sizes) for _ in axis.indices]))
            if axis.width is not None:
                cuts.append((len(shape) - 1, axis.width))
        total = total.reshape(shape)
        for dim, width in cuts:
            total = total.narrow(dim, 0, width)
        return total
