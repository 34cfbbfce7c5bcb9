"""The functions of a sharded module: how its `forward` and its style read what ranks share."""

from __future__ import annotations

import math
from dataclasses import replace

from tncompile.emission.sharding.split import Sharding
from tncompile.emission.text.identifiers import identifier
from tncompile.emission.text.members import ParameterAccess

LOCAL = '''\
def _local(t: Tensor) -> Tensor:
    """What this rank holds of a tensor; ranks add up their gradients of one that all hold whole."""
    if not isinstance(t, DTensor):
        return t
    part: Tensor = t.to_local()
    if not isinstance(t.placements[0], Replicate):
        return part
    whole = DTensor.from_local(part, t.device_mesh, [Replicate()], run_check=False)
    return whole.to_local(grad_placements=[Partial()])
'''

ONCE = '''\
def _once(t: Tensor) -> Tensor:
    """A bias, zero on all ranks but the first; each of them sees its whole gradient."""
    if not isinstance(t, DTensor):
        return t
    part: Tensor = t.to_local()
    return part if t.device_mesh.get_local_rank() == 0 else part - part.detach()
'''

WHOLE = '''\
def _whole(t: Tensor) -> Tensor:
    """A tensor that ranks may share, put together."""
    return t.full_tensor() if isinstance(t, DTensor) else t
'''

OWN = '''\
def _own(t: Tensor, axis: int, before: int, size: int, after: int) -> Tensor:
    """This rank's entries of a tensor that all hold whole, along a leg inside of an axis."""
    part = _local(t)
    if not isinstance(t, DTensor):
        return part
    k = part.dim() + axis
    parts = part.unflatten(k, (before, size, after)).chunk(t.device_mesh.size(), k + 1)
    return parts[t.device_mesh.get_local_rank()].flatten(k, k + 2)
'''

ALIKE = '''\
def _alike(x: Tensor, mesh: DeviceMesh, layout: Placement) -> Tensor:
    """An input that every rank uses whole; the ranks add up their gradients of it."""
    if not isinstance(x, DTensor):
        x = DTensor.from_local(x, mesh, [layout], run_check=False)
    return x.redistribute(placements=[Replicate()]).to_local(grad_placements=[Partial()])
'''

SPLITS = '''\
def _splits(layout: Placement, axis: int, dim: int) -> bool:
    """Whether a layout splits this axis (counted from the last) of `dim` axes."""
    return isinstance(layout, Shard) and layout.dim % dim == axis % dim
'''

PART = '''\
def _part(
    x: Tensor, mesh: DeviceMesh, layout: Placement, place: tuple[int, int, int, int], name: str
) -> Tensor:
    """This rank's entries of an input along the leg, unless they come alone.

    `place` is the axis that the leg is on, and what is before, in and behind it there.
    """
    axis, before, size, after = place
    if isinstance(x, DTensor):
        if before == 1 and _splits(x.placements[0], axis, x.dim()):
            part: Tensor = x.to_local()
            return part
        x = x.redistribute(placements=[Replicate()]).to_local()
    elif _splits(layout, axis, x.dim()):
        return x
    elif not isinstance(layout, Replicate):
        laid_out = DTensor.from_local(x, mesh, [layout], run_check=False)
        x = laid_out.redistribute(placements=[Replicate()]).to_local()
    if x.dim() < -axis or x.shape[axis] != before * size * after:
        wanted = f"axis {axis} must have all {before * size * after} entries"
        hint = f"with input_layouts=Shard({axis}) it has this rank's"
        raise ValueError(f"{name}: {wanted}, got shape {tuple(x.shape)}; {hint}")
    k = x.dim() + axis
    x = x.reshape(*x.shape[:k], before, size, after, *x.shape[k + 1 :])
    whole = DTensor.from_local(x, mesh, [Replicate()], run_check=False)
    split: Tensor = whole.redistribute(placements=[Shard(k + 1)]).to_local()
    return split.flatten(k, k + 2)
'''

JOINED = '''\
def _joined(y: Tensor, mesh: DeviceMesh, axis: int, before: int, after: int) -> Tensor:
    """The parts of all ranks, side by side along the leg, which is inside an axis of the output."""
    k = y.dim() + axis
    y = y.reshape(*y.shape[:k], before, y.shape[k] // (before * after), after, *y.shape[k + 1 :])
    split = DTensor.from_local(y, mesh, [Shard(k + 1)], run_check=False)
    whole: Tensor = split.redistribute(placements=[Replicate()]).to_local()
    return whole.flatten(k, k + 2)
'''


def local_members(sharding: Sharding, members: ParameterAccess) -> ParameterAccess:
    """The parameters as `forward` reads them: this rank's part of each."""
    special = dict.fromkeys(sharding.once, "_once") | {key: own(key) for key in sharding.inside}
    around = {one.key: special.get(one.key, "_local") for one in members.parameters}
    return replace(members, around=around)


def own(key: str) -> str:
    """The function that takes a rank's entries out of a bias that it holds whole."""
    return f"_own_{identifier(key)}"


def whole_members(members: ParameterAccess) -> ParameterAccess:
    """The parameters as `fold` reads them: put together."""
    return replace(members, around={one.key: "_whole" for one in members.parameters})


def bound_size(sharding: Sharding, members: ParameterAccess) -> dict[str, tuple[str, str]]:
    """What the size of the leg is read from: an expression, and the declaration it stands in.

    `members` are read as `forward` reads them.
    """
    first = sharding.network.parameter[next(iter(sharding.split))]
    axis = sharding.split[first.key]
    text = f"{members.read(first.key)}.shape[{axis}]"
    others = math.prod(sharding.network.index[name].size or 1 for name in first.axes[axis][1:])
    return {sharding.leg: (text + (f" // {others}" if others > 1 else ""), first.written)}


def write_local_functions(sharding: Sharding) -> list[str]:
    """The functions that `forward`, `fold` and the style call."""
    places = sharding.inputs.values()
    texts = [LOCAL] + [ONCE] * bool(sharding.once) + [OWN] * bool(sharding.inside)
    for key, place in sharding.inside.items():
        numbers = f"{place.axis}, {place.before}, {place.size}, {place.after}"
        texts.append(f"def {own(key)}(t: Tensor) -> Tensor:\n    return _own(t, {numbers})\n")
    texts += [WHOLE] + [ALIKE] * (None in places)
    texts += [SPLITS] * bool(sharding.output or any(places)) + [PART] * any(places)
    return texts + [JOINED] * bool(sharding.output)
