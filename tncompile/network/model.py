"""The tensor network itself: indices, inputs, parameters, tensors, output; frozen pydantic models.

A network means one sum of products: multiply all `tensors`, sum every index that the output does
not carry, add the biases. Everything is by name, so that a network can be read, compared and stored
as JSON. Order is the order of declaration.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from tncompile.network.windows import FrozenModel, Window
from tncompile.notebook import as_html

if TYPE_CHECKING:
    import networkx as nx

DOTS = "..."
"""The name of the index that stands for any number of leading batch axes, flattened."""

RUN_TIME = ("batch", "dots", "window")
"""The kinds of index whose size is known at run time; no tensor but inputs carries them."""

MEMBER = re.compile(r"([^][]+)\[([0-9]{1,9}(?:, ?[0-9]{1,9})*)\]")
"""The name of a member of a family."""

MOST_SHOWN = 40
"""Tensors that a notebook shows of a network."""

Kind = Literal["index", "bond", "hyper", "batch", "dots", "window", "kernel"]


def axis_size(sizes: Iterable[int | None]) -> int | None:
    """The size of an axis over indices of these sizes; None where one is known at run time only."""
    size = 1
    for each in sizes:
        if each is None:
            return None
        size *= each
    return size


class Index(FrozenModel):
    """A dimension; its size is the same wherever it occurs, None where it is known at run time."""

    name: str  # `i`, `i[0]`, `v[2, 5]`, or `...`
    kind: Kind
    size: int | None
    usual: int | None = None  # what a `batch` axis is planned for where nobody says another size
    family: str  # `v` of `v[2, 5]`
    subscripts: tuple[int, ...] = ()
    line: int | None = None


class Axis(FrozenModel):
    """One axis of an input or the output, as `forward` sees it.

    kind     shape it takes                          indices
    legs     one axis: `width`, else their product   one index, or several flattened row major
    onehot   none: the values are ids < `width`      the indices that the ids run over, row major
    slices   one axis of `length`                    none; slice k is a tensor of its own
    dots     any number of leading axes              the index `...`

    On an input with `slices` the indices are those of its first slice; its tensors know the others.
    `size` is the size of the flattened axis (None at run time), `width` what is left of it by `as`.
    """

    kind: Literal["legs", "onehot", "slices", "dots"]
    indices: tuple[str, ...] = ()
    size: int | None = None
    width: int | None = None

    @property
    def length(self) -> int | None:
        """What the user's tensor has along this axis (the number of classes for `onehot`)."""
        return self.size if self.width is None else self.width


class Input(FrozenModel):
    """An argument of `forward`; `x[0]`, `x[1]` are members of an input family."""

    name: str
    family: str
    subscripts: tuple[int, ...] = ()
    axes: tuple[Axis, ...]
    written: str  # the declaration as in the source, for messages: `x(..., (i[*]))`
    line: int | None = None

    @property
    def integer(self) -> bool:
        """Whether it holds ids."""
        return any(axis.kind == "onehot" for axis in self.axes)


class Init(FrozenModel):
    """How a parameter starts: a scheme of the language, or `linear` for a bias without one."""

    scheme: Literal[
        "auto", "normal", "uniform", "orthogonal", "eye", "ones", "zeros", "constant", "linear",
        "arange",
    ]  # fmt: skip
    argument: float | None = None  # the std of `normal`, the bound of `uniform`, the `constant`


class Parameter(FrozenModel):
    """A stored tensor under its state-dict key (`A`, `G.0`, `V.2.5`); a buffer if frozen."""

    key: str
    family: str
    subscripts: tuple[int, ...] = ()
    axes: tuple[tuple[str, ...], ...]  # the indices of each axis at its first use
    shape: tuple[int, ...]
    init: Init
    frozen: bool = False
    complex: bool = False
    written: str
    line: int | None = None


class Tensor(FrozenModel):
    """One factor of the product: a use of a parameter, or (one slice of) an input.

    A `mask` is a constant (only in networks that the compiler makes itself): 1 for the first
    `source` entries of its one flattened axis, 0 beyond.
    """

    name: str  # `A`, `G[1]`, `x`, `x@3` for slice 3, `x@1,2`
    role: Literal["parameter", "input", "mask"]
    source: str  # the parameter's key or the input's name
    axes: tuple[tuple[str, ...], ...]  # the indices of each axis (`slices` axes left out)
    position: tuple[int, ...] = ()  # which slice, one number a `slices` axis
    conjugate: bool = False
    line: int | None = None

    @cached_property
    def legs(self) -> tuple[str, ...]:
        """Its indices in order, groups flattened."""
        return tuple(index for axis in self.axes for index in axis)

    @cached_property
    def family(self) -> str:
        """`V` of `V[2, 5]`."""
        matched = MEMBER.fullmatch(self.name)
        return matched[1] if matched else self.name

    @cached_property
    def subscripts(self) -> tuple[int, ...]:
        """`(2, 5)` of `V[2, 5]`, empty for a tensor that is no member of a family."""
        matched = MEMBER.fullmatch(self.name)
        return tuple(map(int, matched[2].split(","))) if matched else ()


class Bias(FrozenModel):
    """A parameter that is added to the output along some of its indices."""

    parameter: str
    axes: tuple[tuple[str, ...], ...]


class Output(FrozenModel):
    """The result of `forward`; with `log`, its sign and the logarithm of its magnitude."""

    name: str
    axes: tuple[Axis, ...]
    log: bool = False
    written: str
    line: int | None = None

    @cached_property
    def legs(self) -> tuple[str, ...]:
        """Its indices in order, groups flattened."""
        return tuple(index for axis in self.axes for index in axis.indices)


class TensorNetwork(FrozenModel):
    """A whole network, ready to be planned."""

    name: str
    target: str  # the call that made it, in the language: `MPO(ins = [4, 8], …)`
    doc: str | None = None
    indices: tuple[Index, ...]
    inputs: tuple[Input, ...]
    parameters: tuple[Parameter, ...]
    tensors: tuple[Tensor, ...]
    biases: tuple[Bias, ...] = ()
    windows: tuple[Window, ...] = ()
    output: Output
    channels_last: bool = False  # whether images come and go with their channels innermost

    def __repr__(self) -> str:
        return f"TensorNetwork({self.target})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """Its tensors with the sizes of their legs, the first ones of many."""
        size = {index.name: index.size for index in self.indices}
        lines = [f"network {self.target}"]
        for tensor in self.tensors[:MOST_SHOWN]:
            legs = ", ".join(f"{leg} {size[leg] or 'any'}" for leg in tensor.legs)
            lines.append(f"  {tensor.role:9} {tensor.name}({legs})")
        if (more := len(self.tensors) - MOST_SHOWN) > 0:
            lines.append(f"  … {more:,} more")
        return as_html("\n".join([*lines, f"  output    {self.output.written}"]))

    def shape(self, axes: Iterable[Iterable[str]]) -> tuple[int | None, ...]:
        """The size of each axis over some indices; None where it is known at run time only."""
        return tuple(axis_size(self.index[leg].size for leg in axis) for axis in axes)

    @cached_property
    def index(self) -> dict[str, Index]:
        """The indices by name."""
        return {index.name: index for index in self.indices}

    @cached_property
    def parameter(self) -> dict[str, Parameter]:
        """The parameters by key."""
        return {parameter.key: parameter for parameter in self.parameters}

    @cached_property
    def input(self) -> dict[str, Input]:
        """The inputs by name."""
        return {each.name: each for each in self.inputs}

    @cached_property
    def window(self) -> dict[str, Window]:
        """The windows by each of their three indices."""
        return {
            leg: window
            for window in self.windows
            for leg in (window.input_leg, window.kernel_leg, window.output_leg)
        }

    @cached_property
    def leading(self) -> str | None:
        """The run-time index that decides between variants: `...`, else the first `batch` axis."""
        kinds = {index.name: index.kind for index in self.indices}
        return DOTS if DOTS in kinds else next((n for n, k in kinds.items() if k == "batch"), None)

    @cached_property
    def complex(self) -> bool:
        """Whether a parameter is complex; then so is the result."""
        return any(parameter.complex for parameter in self.parameters)

    def channel_axis(self, axes: Sequence[tuple[str, ...]]) -> int | None:
        """The axis of channels of an image (…, channels, lengths…); None where there is none."""
        lengths = [any(leg in self.window for leg in axis) for axis in axes]
        first = lengths.index(True) if True in lengths else 0
        if not first or not all(lengths[first:]):
            return None
        batches = {index.name for index in self.indices if index.size is None}
        return None if batches.intersection(axes[first - 1]) else first - 1

    @property
    def maps_images(self) -> bool:
        """Whether the output and an input are images."""
        inputs = (self.channel_axis([axis.indices for axis in each.axes]) for each in self.inputs)
        output = self.channel_axis([axis.indices for axis in self.output.axes])
        return output is not None and any(axis is not None for axis in inputs)

    def with_window_sizes(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Run-time sizes by index: the size of a window is that of its input leg, others follow.

        Raises ValueError for an input that is too short for a window.
        """
        names = {window.size_name for window in self.windows}
        complete = {name: size for name, size in sizes.items() if name not in names}
        for window in self.windows:
            length = sizes.get(window.input_leg, sizes.get(window.size_name))
            if length is None:
                raise ValueError(f"window `{window.name}` has no size")
            if length < (least := window.least_length):
                along = f"the input along window `{window.name}`"
                raise ValueError(f"{along} must be at least {least} long, not {length}")
            complete[window.input_leg] = length
            complete[window.output_leg] = out = window.output_length(length)
            borders = window.crop if window.transposed else (window.left, window.right)
            complete[window.padded_leg] = sum(borders, out if window.transposed else length)
        return complete

    def default_sizes(self, batch: int, length: int) -> dict[str, int]:
        """A size for each of `size_names`: `length` along windows, more where they need more."""
        sizes = dict.fromkeys(self.size_names, batch)
        sizes |= {w.size_name: max(length, w.least_length) for w in self.windows}
        return sizes

    @cached_property
    def size_names(self) -> tuple[str, ...]:
        """The names of run-time sizes: of batch axes by index, then of windows."""
        batches = (index.name for index in self.indices if index.kind in ("batch", "dots"))
        return (*batches, *(window.size_name for window in self.windows))

    def slice_number(self, tensor: Tensor) -> int:
        """Which of all slices of its input a tensor is, row major over several `slices` axes."""
        number = 0
        slices = (axis for axis in self.input[tensor.source].axes if axis.kind == "slices")
        for axis, at in zip(slices, tensor.position, strict=True):
            number = number * (axis.length or 0) + at
        return number

    @property
    def parameter_count(self) -> int:
        """Stored numbers, frozen ones included."""
        return sum(math.prod(parameter.shape) for parameter in self.parameters)

    def graph(self) -> nx.Graph[tuple[str, str]]:
        """A bipartite networkx graph: tensors on one side, indices on the other, an edge a leg.

        Nodes are `("tensor", name)`, the output among them, and `("index", name)`, so that
        hyperedges are exact. A window is a node `("window", name)` beside the tensors, for it joins
        its three indices as a tensor of zeros and ones does; it carries `role` and the numbers of
        the convolution. Others carry `bipartite` (0 for tensors, 1 for indices, as networkx has
        it); tensors, inputs and the output carry `role`, `source` and `shape`, indices `kind` and
        `size`; an edge carries `axis`, the axis of the tensor that the index runs over.
        """
        import networkx as nx  # takes longer than everything that most commands do

        graph: nx.Graph[tuple[str, str]] = nx.Graph(name=self.name)
        for index in self.indices:
            graph.add_node(("index", index.name), bipartite=1, kind=index.kind, size=index.size)
        result = self.output.name
        outputs = tuple(axis.indices for axis in self.output.axes)
        factors = [(t.name, t.role, t.source, t.axes) for t in self.tensors]
        for name, role, source, axes in [*factors, (result, "output", result, outputs)]:
            shape = tuple(tuple(self.index[leg].size for leg in axis) for axis in axes)
            node = ("tensor", name)
            graph.add_node(node, bipartite=0, role=role, source=source, shape=shape)
            for position, axis in enumerate(axes):
                graph.add_edges_from(((node, ("index", leg)) for leg in axis), axis=position)
        for window in self.windows:
            node = ("window", window.name)
            numbers = window.model_dump(exclude={"name", "family", "subscripts", "line"})
            graph.add_node(node, bipartite=0, role="window", **numbers)
            faces = window.input_leg, window.kernel_leg, window.output_leg
            for position, leg in enumerate(faces):
                graph.add_edge(node, ("index", leg), axis=position)
        return graph

    def to_json(self) -> str:
        """The network as JSON; `from_json` reads it back to an equal network."""
        return self.model_dump_json(indent=2)

    @classmethod
    def from_json(cls, text: str) -> TensorNetwork:
        """The network that `to_json` wrote; `ValueError` where the text does not fit the schema."""
        return cls.model_validate_json(text)

    @classmethod
    def json_schema(cls) -> dict[str, object]:
        """The JSON schema of what `to_json` writes."""
        return cls.model_json_schema()
