"""Functions of modules whose weights are integers times scales, and what is said of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from tncompile.network.model import TensorNetwork
from tncompile.network.packing import Packing
from tncompile.program import operations as op
from tncompile.program.program import TensorProgram

INT4 = '''\
def _int4(packed: Tensor) -> Tensor:
    """Integers from -8 to 7: the low halves of bytes along the last axis, then the high ones."""
    return torch.cat([packed & 15, packed >> 4], -1).to(torch.int8) - 8
'''

STORE_SLICES = '''\
def _store(tensor: Tensor, codes: Tensor, scale: Tensor) -> None:
    """Keep a tensor as integers from -127 to 127 with a scale for each slice along one axis."""
    axes = [k for k, length in enumerate(scale.shape) if length == 1]
    scale.copy_(tensor.abs().amax(axes, keepdim=True) / 127)
    codes.copy_((tensor / torch.where(scale == 0, 1, scale)).round().clamp(-127, 127))
'''

_GROUPED = '''\
def {name}(tensor: Tensor, codes: Tensor, scale: Tensor) -> None:
    """Keep a tensor as integers from -{most} to {most} with a scale for each group of neighbors."""
    rows, groups, size = *scale.shape[:2], {size}
    flat = tensor.reshape(rows, -1)
    flat = nn.functional.pad(flat, (0, groups * size - flat.shape[1]))
    flat = flat.reshape(rows, groups, size)
    scale.copy_(flat.abs().amax(-1, keepdim=True) / {most})
    flat = (flat / torch.where(scale == 0, 1, scale)).round().clamp(-{most}, {most})
'''

STORE_GROUPS = (
    _GROUPED.format(name="_store", most=127, size="codes.shape[2]") + "    codes.copy_(flat)\n"
)

STORE_HALVES = (
    _GROUPED.format(name="_store", most=7, size="2 * codes.shape[2]")
    + """\
    low, high = (flat + 8).to(torch.uint8).chunk(2, -1)
    codes.copy_(low | high << 4)
"""
)


def write_functions(packed: Iterable[Packing], programs: Sequence[TensorProgram]) -> list[str]:
    """The functions that dequantize and those that store what `reset_parameters` draws."""
    found = next(iter(packed), None)
    if found is None:
        return []
    unpacks = any(isinstance(step.operation, op.Unpack) for p in programs for step in p.steps)
    store = STORE_SLICES if found.group is None else STORE_GROUPS
    return [INT4] * unpacks + [STORE_HALVES if found.bits == 4 else store]


_SLICES = '''\
def _dequantized(codes: Tensor, scale: Tensor) -> Tensor:
    """A tensor of integers times the scales of its slices."""
    return codes * scale
'''

_GROUPS = '''\
def _dequantized(codes: Tensor, scale: Tensor, rows: int, *shape: int) -> Tensor:
    """A tensor of integers times the scales of their groups, of which the last is filled up."""
    wide = ({codes} * scale).reshape(rows, -1)
    return wide[:, : math.prod(shape) // rows].reshape(shape)
'''


def write_dequantizing(packed: Collection[Packing]) -> list[str]:
    """The functions of a module that dequantizes tensors by itself, without a program."""
    found = next(iter(packed), None)
    if found is None:
        return []
    unpacks = found.bits == 4
    dequantized = _SLICES
    if found.group is not None:
        dequantized = _GROUPS.format(codes="_int4(codes)" if unpacks else "codes")
    return [*[INT4] * unpacks, dequantized, *write_functions(packed, ())]


def count_text(network: TensorNetwork, packed: Mapping[str, Packing]) -> str:
    """How many parameters a module has, and how many of them are integers."""
    text = f"{network.parameter_count:,} parameters"
    if not packed:
        return text
    count = sum(math.prod(packing.parameter.shape) for packing in packed.values())
    bits = next(iter(packed.values())).bits
    return f"{text}, {count:,} of them in {bits} bits"


def described(packed: Sequence[Packing]) -> str:
    """What a docstring says of how weights are stored."""
    if not packed:
        return ""
    bits = "eight" if packed[0].bits == 8 else "four"
    sizes = {packing.group for packing in packed}
    where = "each slice along one axis"
    if None not in sizes:
        where = "each group of neighbors"
    halves = ", two in a byte" if packed[0].bits == 4 else ""
    return (
        f"Weights are integers of {bits} bits{halves}, times a floating scale for {where}:"
        " buffers, which are not trained."
    )
