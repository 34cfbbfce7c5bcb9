"""The weight and the bias of a layer, taken out of what `forward` makes of unit vectors."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tncompile.emission.text.writer import INDENT, call
from tncompile.network.features import Features
from tncompile.network.model import TensorNetwork
from tncompile.network.windows import Window


@dataclass(frozen=True)
class Probe:
    """How `forward` of the network of a layer is called with many unit vectors at once.

    `like` is the text of a tensor of their dtype. Named batch axes get the size 1; where the
    network has no leading axes, the unit vectors lie along an axis that is mapped.
    """

    network: TensorNetwork
    layer: Features
    like: str

    @property
    def _options(self) -> str:
        return f"dtype={self.like}.dtype, device={self.like}.device"

    @property
    def _lead(self) -> list[str]:
        """The sizes of the batch axes that have a name."""
        after = 1 + len(self.layer.windows)
        return ["1" for axis in self.network.output.axes[:-after] if axis.kind != "dots"]

    @property
    def _dotted(self) -> bool:
        return self.network.output.axes[0].kind == "dots"

    @property
    def _forward(self) -> str:
        if self._dotted:
            return "self.forward"
        if self.layer.kind == "bilinear":
            return "torch.func.vmap(torch.func.vmap(self.forward, (None, 0)), (0, None))"
        return "torch.func.vmap(self.forward)"

    def weight(self, bias: str | None) -> tuple[list[str], str]:
        """The statements that ask `forward`, and the weight; `bias` is the text of what it adds."""
        if self.layer.windows:
            return self._kernel(bias)
        shape = self.layer.shape
        ids = self.layer.kind == "embedding"
        sizes, out = (shape[:1], shape[1]) if ids else (shape[1:], shape[0])
        inputs: list[str] = []
        for k, size in enumerate(sizes):
            unit = f"torch.eye({size}, {self._options})"
            if ids:
                unit = f"torch.arange({size}, device={self.like}.device)"
            others = ["1"] * (self._dotted and k + 1 < len(sizes))  # where the next input has units
            if lead := [*others, *self._lead]:
                unit += f".reshape({', '.join([str(size), *lead, *[str(size)] * (not ids)])})"
            inputs.append(unit)
        lines = call(f"y = {self._forward}(", inputs, indent=INDENT + 4)
        result = "y" if bias is None else f"(y - {bias})"
        if self._lead:
            result += f".reshape({_joined([*sizes, out])})"
        return lines, result if ids else f"{result}.movedim(-1, 0)"

    def bias(self) -> tuple[list[str], str]:
        """The statements that ask `forward` for what it makes of zeros, and the bias."""
        lengths = [str(_length(window)) for window in self.layer.windows]
        features = [axis.length or 0 for axis in self.layer.inputs]
        zeros = [
            f"torch.zeros({', '.join([*self._lead, str(size), *lengths])}, {self._options})"
            for size in features
        ]
        lines = call("y = self.forward(", zeros, indent=INDENT + 4)
        out = self.layer.output.length
        if self.layer.windows:
            return lines, f"y.reshape({out}, -1)[:, 0]"
        return lines, f"y.reshape({out})" if self._lead else "y"

    def _kernel(self, bias: str | None) -> tuple[list[str], str]:
        """The weight of a convolution: channels of one group are unit vectors, alike in all groups.

        Each channel of `y` has the entries of the kernel along its last axis.
        """
        shape = self.layer.shape
        transposed = self.layer.kind == "conv_transpose"
        channels, out = self.layer.inputs[0].length or 0, self.layer.output.length or 0
        groups = (out if transposed else channels) // (shape[1] or 1)
        own = channels // groups
        shaped = [str(own), *self._lead, str(channels), *("1" for _ in self.layer.windows)]
        repeated = f".repeat(1, {groups})" if groups > 1 else ""
        lines = self._made("units = torch.eye(", [own])
        lines.append(f"units = units{repeated}.reshape({_joined(shaped)})")
        lines += self._responses() if transposed else self._readings()
        result = "y" if bias is None else f"(y - {bias}[:, None])"
        if groups > 1 or not transposed:
            split = [own, groups, out // groups] if transposed else [own, out]
            result += f".reshape({_joined([*split, -1])}).transpose(0, 1)"
        return lines, f"{result}.reshape({_joined(shape)})"

    def _made(self, head: str, sizes: Iterable[int], tail: str = ")") -> list[str]:
        """A tensor like those of the module."""
        options = [f"dtype={self.like}.dtype", f"device={self.like}.device"]
        return call(head, [*map(str, sizes), *options], tail, indent=INDENT + 4)

    def _responses(self) -> list[str]:
        """What a transposed convolution makes of one entry: it adds all of the kernel there."""
        windows = self.layer.windows
        return [
            *self._made("place = torch.zeros(", map(_length, windows)),
            f"place[{_joined(map(_first, windows))}] = 1",
            f"y = {self._forward}(units * place)[..., {_joined(map(_entries, windows))}]",
            f"y = y.flatten({-len(windows)})",
        ]

    def _readings(self) -> list[str]:
        """One entry of the output, where the image has a one for each entry of the kernel."""
        windows = self.layer.windows
        kernel, lengths = [window.size for window in windows], [*map(_length, windows)]
        first, count = _joined(map(_first, windows)), math.prod(kernel)
        lines = self._made("places = torch.eye(", [count], f").reshape({_joined([-1, *kernel])})")
        if lengths != kernel or any(map(_first, windows)):
            lines += self._made("images = torch.zeros(", [count, *lengths])
            lines.append(f"images[:, {_joined(map(_entries, windows))}] = places")
        image = "image" if lines[-1].endswith("= places") else "place"
        read = f"[{self._forward}(units * {image})[..., {first}] for {image} in {image}s]"
        return lines + call("y = torch.stack(", [read, "-1"], indent=INDENT + 4)


def _first(window: Window) -> int:
    """The first position of the output (the input, if transposed) that needs no border."""
    return -(-window.left // window.stride)


def _length(window: Window) -> int:
    """The length of an image that has all that this position meets."""
    first, stride = _first(window), window.stride
    least = first * stride - window.left + window.reach + 1
    if window.transposed:
        least = first + 1 + max(0, -((window.extra - window.right) // stride))
    return max(least, window.least_length)


def _entries(window: Window) -> str:
    """The positions that the entries of the kernel then have: of the input, or of the output."""
    start = _first(window) * window.stride - window.left
    text = f"{start}:{start + window.reach + 1}"
    return text if window.dilation == 1 else f"{text}:{window.dilation}"


def _joined(items: Iterable[object]) -> str:
    return ", ".join(map(str, items))
