"""A convolution axis of a network: its numbers, the names of its indices, the lengths it gives."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

PaddingMode = Literal["zeros", "circular", "reflect", "replicate"]


class FrozenModel(BaseModel):
    """A pydantic model whose fields are fixed and known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Window(FrozenModel):
    """A convolution axis, which ties three indices as a hyperedge does.

    The entry of the output at q is the sum over k of (input at q · stride + k · dilation − left) ·
    (tensors at k), as of `torch.nn.Conv2d`; of a transposed one the input at p adds to the entry
    p · stride + k · dilation − left. `h.kernel` is of kind `kernel`, the other two are of kind
    `window`: `h.in` is on one input and `h.out` on the output, or the other way round.
    """

    name: str  # `h`, `h[0]`
    family: str
    subscripts: tuple[int, ...] = ()
    size: int  # of the kernel
    stride: int = 1
    dilation: int = 1
    left: int = 0  # entries of padding before the first one
    right: int = 0
    mode: PaddingMode = "zeros"
    transposed: bool = False
    extra: int = 0  # entries that a transposed one has more at the end
    line: int | None = None

    @property
    def input_leg(self) -> str:
        """The index of the input."""
        return f"{self.name}.{'out' if self.transposed else 'in'}"

    @property
    def output_leg(self) -> str:
        """The index of the output."""
        return f"{self.name}.{'in' if self.transposed else 'out'}"

    @property
    def kernel_leg(self) -> str:
        """The index of the tensors."""
        return f"{self.name}.kernel"

    @property
    def size_name(self) -> str:
        """What the size of the input leg is asked for by: `h`, `h.0` in a family."""
        return ".".join([self.family, *map(str, self.subscripts)])

    @property
    def padded_leg(self) -> str:
        """The name of the length of the input with its padding, where that takes a copy.

        Of a transposed one it is that of the output before anything is cut off.
        """
        return f"{self.name}.padded"

    @property
    def padding(self) -> int | None:
        """The padding of the call of `torch.nn.functional`; None where it must be added before.

        That of a transposed one cuts entries off, those of `crop` are cut off after the call.
        """
        if not self.transposed:
            alike = self.left == self.right and (self.mode == "zeros" or not self.left)
            return self.left if alike else None
        if self.output_padding >= 0:
            return self.left
        return max(0, min(self.left, self.right - self.extra))

    @property
    def output_padding(self) -> int:
        """That of a transposed one; negative where the call cannot give as many entries."""
        missing = self.left - self.right + self.extra
        return missing if 0 <= missing < max(self.stride, self.dilation) else -1

    @property
    def crop(self) -> tuple[int, int]:
        """What is left to cut off a transposed one at both ends; zeros to append if negative."""
        if not self.transposed or self.output_padding >= 0:
            return 0, 0
        padding = self.padding or 0
        return self.left - padding, self.right - self.extra - padding

    @property
    def reach(self) -> int:
        """How far the last entry of the kernel is from the first one, in entries of the input."""
        return self.dilation * (self.size - 1)

    @property
    def least_length(self) -> int:
        """The shortest input: one that something comes out of, and that can be padded.

        Torch reflects all but the first and the last entry, and wraps around once at most.
        """
        if self.transposed:
            missing = self.left + self.right - self.reach - self.extra
            before, after = self.crop
            if after < 0:  # zeros are appended to what is left, so so many must be there to be cut
                missing = max(missing, before - self.reach - 1)
            return max(1, 1 - -missing // self.stride)
        longest = max(self.left, self.right)
        padded = {"reflect": longest + 1, "circular": longest}.get(self.mode, 0)
        return max(1, padded, self.reach + 1 - self.left - self.right)

    def output_length(self, length: int) -> int:
        """How many entries come out of `length`; fewer than one where the input is too short.

        >>> Window(name="h", family="h", size=3, stride=2, left=1, right=1).output_length(56)
        28
        """
        outside = self.left + self.right
        if self.transposed:
            return (length - 1) * self.stride - outside + self.reach + 1 + self.extra
        return (length + outside - self.reach - 1) // self.stride + 1
