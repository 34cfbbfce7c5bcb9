"""Networks from networks: remove a tensor, join two, conjugate, open or close an index, resize one.

Every function returns a new network that `verify_network` accepts (`resize` to run time excepted)
and leaves its arguments as they are. Kinds of indices follow from their ends, and what nothing
carries any more is gone. So is a window without its input: its kernel leg is an ordinary one then.
`ValueError` says what cannot be edited so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from tncompile.network import model
from tncompile.network.model import RUN_TIME, Axis, Index, Output, Tensor, TensorNetwork, axis_size
from tncompile.network.verifying import verify_network
from tncompile.network.windows import Window

Model = TypeVar("Model", bound=BaseModel)


def remove(network: TensorNetwork, *names: str) -> TensorNetwork:
    """The environment of some tensors: the network without them, their legs open.

    The output keeps its axes, less the indices that nothing carries any more, and gains one axis
    for each leg of the removed tensors that another tensor carries, in order of declaration: joined
    with the removed tensors again, it is the network. Of an input all slices go, or none. Biases
    are left out, since they are added to the product and not part of it. Without the input of a
    window its kernel leg takes the place of the other two: what is left is the kernel itself.
    """
    by_name = {tensor.name: tensor for tensor in network.tensors}
    for name in names:
        if name not in by_name:
            raise ValueError(f"{network.target} has no tensor `{name}`")
    removed = [by_name[name] for name in dict.fromkeys(names)]
    others = tuple(tensor for tensor in network.tensors if tensor.name not in names)
    for tensor in removed:
        if tensor.role == "input" and any(t.source == tensor.source for t in others):
            raise ValueError(f"`{tensor.name}` is one slice of `{tensor.source}`: remove all of it")
    carried = {leg for tensor in others for leg in tensor.legs}
    gone = {leg for tensor in removed for leg in tensor.legs}
    for window in network.windows:
        if window.input_leg in gone:
            gone.add(window.kernel_leg)
        elif window.kernel_leg in gone:
            raise ValueError(f"`{window.name}` is convolved along: remove its input, too")
        else:
            carried.add(window.output_leg)
    axes: list[Axis] = []
    for axis in network.output.axes:
        whole = carried.issuperset(axis.indices)
        left = (_axis(network.index[leg]) for leg in axis.indices if leg in carried)
        axes += [axis] if whole else left
    cut = gone & carried - {*network.output.legs}
    axes += [_axis(index) for index in network.indices if index.name in cut]
    return assemble(network, others, _output(network, axes))


def join(
    first: TensorNetwork, second: TensorNetwork, *, keep: Collection[str] = ()
) -> TensorNetwork:
    """The product of two networks, summed over the indices that are on both outputs.

    Those that `keep` names stay on the output instead. Indices of one name on both outputs are one
    index and must be of one size; parameters of one key are one parameter and must be of one shape.
    Run-time axes stay on the output. Whatever else of the second network has a name of the first
    gets a prime. The output has the axes of the first, then those of the second. Neither may have
    biases or `log`, and not both an input or a window of one name.
    """
    for network in (first, second):
        _require_product(network)
    for name in first.input.keys() & second.input.keys():
        raise ValueError(f"both networks have an input `{name}`: remove that of one of them")
    for window in second.windows:
        if any(window.name == other.name for other in first.windows):
            raise ValueError(f"both networks have a window `{window.name}`")
    shared = [leg for leg in first.output.legs if leg in second.output.legs]
    for leg in shared:
        size, other_size = first.index[leg].size, second.index[leg].size
        if size != other_size:
            raise ValueError(f"`{leg}` is of size {size} and of size {other_size}")
    for key, parameter in first.parameter.items():
        other = second.parameter.get(key, parameter)
        if other.shape != parameter.shape:
            raise ValueError(f"`{key}` is of shape {parameter.shape} and of shape {other.shape}")
    legs = _primes(second.index, first.index, shared)
    names = _primes([t.name for t in second.tensors], {t.name for t in first.tensors})
    indices = [*first.indices, *(prime(i, legs) for i in second.indices if i.name not in shared)]
    closed = [leg for leg in shared if leg not in keep and first.index[leg].kind not in RUN_TIME]
    axes = [
        part
        for network, gone, new in ((first, closed, {}), (second, shared, legs))
        for axis in network.output.axes
        for part in _without(indices, axis, gone, new)
    ]
    inputs = [*first.inputs]
    for declared in second.inputs:
        renames = [part for axis in declared.axes for part in _without(indices, axis, (), legs)]
        inputs.append(edited(declared, axes=tuple(renames)))
    return assemble(
        first,
        (*first.tensors, *(renamed(t, names[t.name], legs) for t in second.tensors)),
        _output(first, axes),
        indices=indices,
        inputs=inputs,
        parameters={**second.parameter, **first.parameter}.values(),
        windows=(*first.windows, *second.windows),
    )


def conjugate(network: TensorNetwork) -> TensorNetwork:
    """The complex conjugate, of the same indices; of a network without inputs."""
    if network.inputs:
        raise ValueError("inputs are not conjugated: remove them, or conjugate what is passed")
    tensors = tuple(
        tensor if tensor.role == "mask" else edited(tensor, conjugate=not tensor.conjugate)
        for tensor in network.tensors
    )
    return edited(network, tensors=tensors)


def open_index(network: TensorNetwork, name: str) -> TensorNetwork:
    """The network with an index that it sums over as the last axis of its output."""
    _require_product(network)
    index = _index(network, name)
    if name in network.window:
        raise ValueError(f"`{name}` is convolved along")
    if name in network.output.legs:
        raise ValueError(f"`{name}` is on the output already")
    output = _output(network, (*network.output.axes, _axis(index)))
    return assemble(network, network.tensors, output)


def close_index(network: TensorNetwork, name: str) -> TensorNetwork:
    """The network summed over an index of its output; other indices of the axis stay flattened."""
    _require_product(network)
    if name not in network.output.legs:
        raise ValueError(f"`{name}` is not on the output")
    size = _index(network, name).size
    if size is None:
        raise ValueError(f"`{name}` has no size before run time: it can't be summed over")
    tensors = network.tensors
    if sum(name in tensor.legs for tensor in tensors) == 1:  # a sum takes a second end: ones
        ones = Tensor(name=f"ones[{name}]", role="mask", source=str(size), axes=((name,),))
        tensors = (*tensors, ones)
    indices, outside = network.indices, network.output.axes
    axes = [part for axis in outside for part in _without(indices, axis, [name])]
    return assemble(network, tensors, _output(network, axes))


def resize(network: TensorNetwork, name: str, size: int | None) -> TensorNetwork:
    """The network with another size of an index; None for one that is known at run time only.

    Parameters get the shapes of the new size. At run time they have no shape of their own: they
    keep the old one, and whoever runs the network passes the part that is there.
    """
    if size is not None and size < 1:
        raise ValueError(f"a size is at least 1, not {size}")
    _index(network, name)
    if name in network.window:
        raise ValueError(f"`{name}` has the size of its window")
    sizes = _sizes(network.indices) | {name: size}
    for tensor in network.tensors:
        if tensor.role == "mask" and name in tensor.legs:
            raise ValueError(f"`{name}` is masked by `{tensor.name}`")

    def axis(old: Axis) -> Axis:
        if name not in old.indices:
            return old
        if old.width not in (None, old.size):
            raise ValueError(f"`{name}` is on an axis that `as` cuts off")
        return edited(old, size=axis_size(sizes[leg] for leg in old.indices), width=None)

    def shape(parameter: model.Parameter) -> tuple[int, ...]:
        lengths = (axis_size(sizes[leg] for leg in legs) for legs in parameter.axes)
        return tuple(n or old for n, old in zip(lengths, parameter.shape, strict=True))

    return edited(
        network,
        indices=tuple(edited(i, size=sizes[i.name]) for i in network.indices),
        inputs=tuple(edited(x, axes=tuple(map(axis, x.axes))) for x in network.inputs),
        parameters=tuple(edited(p, shape=shape(p)) for p in network.parameters),
        output=edited(network.output, axes=tuple(map(axis, network.output.axes))),
    )


# ── what they are made of ──────────────────────────────────────────────────────────────────────


def assemble(
    network: TensorNetwork,
    tensors: Sequence[Tensor],
    output: Output,
    *,
    indices: Iterable[Index] | None = None,
    inputs: Iterable[model.Input] | None = None,
    parameters: Iterable[model.Parameter] | None = None,
    windows: Iterable[Window] | None = None,
) -> TensorNetwork:
    """The product of `tensors`; whatever else it is made of is taken from `network`.

    What no tensor uses is left out, windows among it that lack one of their legs, and indices are
    of the kind that their ends make them. `ValueError` where that is no network.
    """
    ends = Counter(leg for tensor in tensors for leg in tensor.legs)
    seen = {*output.legs, *(leg for t in tensors if t.role == "input" for leg in t.legs)}
    first_use: dict[str, tuple[tuple[str, ...], ...]] = {}
    for tensor in tensors:
        first_use.setdefault(tensor.source, tensor.axes)
    legs = {*ends, *output.legs}
    whole = tuple(
        window
        for window in (network.windows if windows is None else windows)
        if legs.issuperset((window.input_leg, window.kernel_leg, window.output_leg))
    )
    tied = {leg for w in whole for leg in (w.input_leg, w.kernel_leg, w.output_leg)}
    carried: list[Index] = []
    for index in network.indices if indices is None else indices:
        count = ends[index.name]
        kind: model.Kind = "index" if index.name in seen else "bond" if count == 2 else "hyper"
        if index.name in tied:
            carried.append(index)
        elif count:
            carried.append(index if index.kind in RUN_TIME else edited(index, kind=kind))
    inputs = network.inputs if inputs is None else inputs
    parameters = network.parameters if parameters is None else parameters
    result = TensorNetwork(
        name=network.name,
        target=network.target,
        indices=tuple(carried),
        inputs=tuple(each for each in inputs if each.name in first_use),
        parameters=tuple(
            edited(p, axes=first_use[p.key]) for p in parameters if p.key in first_use
        ),
        tensors=tuple(tensors),
        windows=whole,
        output=output,
    )
    if problem := next(verify_network(result), None):
        raise ValueError(problem)
    return result


def renamed(tensor: Tensor, name: str, legs: Mapping[str, str]) -> Tensor:
    """The tensor under another name, on other indices of the same sizes."""
    axes = tuple(tuple(legs.get(leg, leg) for leg in axis) for axis in tensor.axes)
    return edited(tensor, name=name, axes=axes)


def prime(index: Index, legs: Mapping[str, str]) -> Index:
    """The index under the name that `legs` gives it, of a family of its own where that is new."""
    name = legs[index.name]
    return index if name == index.name else edited(index, name=name, family=f"{index.family}'")


def edited(part: Model, **fields: Any) -> Model:
    """A copy with other fields; not `model_copy`, which keeps what the old one has cached."""
    old = {name: getattr(part, name) for name in type(part).model_fields}
    return part if old | fields == old else type(part).model_validate(old | fields)


def _output(network: TensorNetwork, axes: Iterable[Axis]) -> Output:
    """The output of a product with these axes."""
    return edited(network.output, axes=tuple(axes), log=False)


def _axis(index: Index) -> Axis:
    legs, kind = (index.name,), index.kind
    return Axis(kind="dots" if kind == "dots" else "legs", indices=legs, size=index.size)


def _without(
    indices: Iterable[Index], axis: Axis, legs: Collection[str], names: Mapping[str, str] = {}
) -> list[Axis]:
    """An axis without some of its indices, the others renamed: none where there are no others."""
    left = tuple(names.get(leg, leg) for leg in axis.indices if leg not in legs)
    if len(left) == len(axis.indices):
        return [edited(axis, indices=left)]
    if axis.width not in (None, axis.size):
        raise ValueError(f"the axis ({' '.join(axis.indices)}) is cut off by `as`")
    sizes = _sizes(indices)
    size = axis_size(sizes[leg] for leg in left)
    return [edited(axis, indices=left, size=size, width=None)] if left else []


def _primes(
    names: Iterable[str], others: Collection[str], shared: Collection[str] = ()
) -> dict[str, str]:
    """Each name, unless it is shared with as many primes as no other name has."""
    fresh = {name: name for name in names}
    used = {*others, *fresh}
    for name in fresh:
        if name in others and name not in shared:
            while fresh[name] in used:
                fresh[name] += "'"
            used.add(fresh[name])
    return fresh


def _sizes(indices: Iterable[Index]) -> dict[str, int | None]:
    return {index.name: index.size for index in indices}


def _index(network: TensorNetwork, name: str) -> Index:
    if name not in network.index:
        raise ValueError(f"{network.target} has no index `{name}`")
    return network.index[name]


def _require_product(network: TensorNetwork) -> None:
    """Biases and logarithms are not part of a product of tensors."""
    if network.biases or network.output.log:
        what = "a bias" if network.biases else "a logarithm as output"
        raise ValueError(f"{network.target} has {what}: edit the network without it")
