"""The text of a sharded module: its `forward`, and the `ParallelStyle` that splits it."""

from __future__ import annotations

import math

from tncompile.emission.module.dispatch import Dispatch
from tncompile.emission.module.forward import write_forward
from tncompile.emission.sharding.functions import bound_sizes, local_members
from tncompile.emission.sharding.split import Place, Sharding
from tncompile.emission.text.identifiers import Names, class_name
from tncompile.emission.text.members import ParameterAccess
from tncompile.emission.text.writer import (
    WIDTH,
    call,
    docstring,
    filled,
    indented,
    string,
    string_lines,
)
from tncompile.network.model import DOTS, Axis, TensorNetwork

ATTRIBUTE = "parallel_style"
"""The attribute of a sharded module that is its style."""

IMPORTS = (
    "from torch.distributed.device_mesh import DeviceMesh",
    "from torch.distributed.tensor import (",
    "    DTensor,",
    "    Partial,",
    "    Placement,",
    "    Replicate,",
    "    Shard,",
    "    distribute_module,",
    "    distribute_tensor,",
    ")",
    "from torch.distributed.tensor.parallel import ParallelStyle",
)


def style_name(network: TensorNetwork) -> str:
    """The class of the style of a network."""
    return f"{class_name(network.name)}Parallel"


def write_sharded_forward(
    sharding: Sharding, chosen: Dispatch, members: ParameterAccess
) -> tuple[list[str], ...]:
    """The method `forward`, for any size of the leg."""
    bound = bound_sizes(sharding, members)
    return write_forward(sharding.opened, chosen, local_members(sharding, members), bound)


# ── the style ──────────────────────────────────────────────────────────────────────────────────


def write_style(sharding: Sharding) -> list[str]:
    """The class that splits a module over the ranks of a mesh."""
    methods = [_init(sharding), _apply(sharding), _split(sharding), _taken(sharding)]
    methods.append(_given(sharding))
    body = _docstring(sharding)
    for method in filter(None, methods):
        body += ["", *method]
    return [f"class {style_name(sharding.network)}(ParallelStyle):", *indented(body)]


def write_attribute(sharding: Sharding) -> list[str]:
    """Where a module has its style at hand, unless a tensor is called so."""
    if any(one.family == ATTRIBUTE for one in sharding.network.parameters):
        return []
    return ["", f"{ATTRIBUTE} = {style_name(sharding.network)}"]


def _init(sharding: Sharding) -> list[str]:
    count = len(sharding.inputs)
    given = "Placement | None" if count == 1 else "Placement | tuple[Placement, ...] | None"
    items = ["self", "*"]
    items += [f"input_layouts: {given} = None"] if count else []
    items += ["output_layouts: Placement | None = None", "use_local_output: bool = True"]
    body = ["super().__init__()"]
    match count:
        case 0:
            pass
        case 1:
            body.append("self.input_layouts = (input_layouts or Replicate(),)")
        case _:
            body += [
                "if not isinstance(input_layouts, tuple):",
                f"    input_layouts = (input_layouts or Replicate(),) * {count}",
                f"if len(input_layouts) != {count}:",
                f'    raise ValueError(f"input_layouts: one for each of {count} inputs, '
                'got {len(input_layouts)}")',
                "self.input_layouts = input_layouts",
            ]
    body += ["self.output_layouts = output_layouts or Replicate()"]
    body += ["self.use_local_output = use_local_output"]
    return [*call("def __init__(", items, ") -> None:", indent=4), *indented(body)]


def _apply(sharding: Sharding) -> list[str]:
    name = class_name(sharding.network.name)
    size = sharding.size
    takes = bool(sharding.inputs)
    body = [
        f"if not isinstance(module, {name}):",
        f'    raise TypeError(f"{style_name(sharding.network)} splits {name}, '
        'not {type(module).__name__}")',
        "ranks = device_mesh.size()",
        f"if {size} % ranks:",
        f'    wrong = f"{size} entries, which {{ranks}} ranks cannot share evenly"',
        f"    raise ValueError({' '.join(string_lines(f'`{sharding.leg}` has ', '{wrong}'))})",
        "",
    ]
    if takes:
        body += [
            "def take(",
            "    _: nn.Module, args: tuple[Tensor, ...], named: dict[str, Tensor]",
            ") -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:",
            "    return self._taken(args, named, device_mesh)",
            "",
        ]
    body += [
        "def give(_: nn.Module, args: tuple[Tensor, ...], y: Tensor) -> Tensor:",
        "    return self._given(y, device_mesh)",
        "",
        "distribute_module(module, device_mesh, self._split)",
    ]
    if takes:
        body.append("module.register_forward_pre_hook(take, with_kwargs=True)")
    body += ["module.register_forward_hook(give)", "return module"]
    head = "def _apply(self, module: nn.Module, device_mesh: DeviceMesh) -> nn.Module:"
    return [head, *indented(body)]


def _split(sharding: Sharding) -> list[str]:
    axes = _mapping("axes = ", [(string(k), str(axis)) for k, axis in sharding.split.items()])
    body = [
        '"""Split the tensors of the module called `name` that carry the leg."""',
        *axes,
        'prefix = f"{name}." if name else ""',
        "for key, axis in axes.items():",
        "    last = key.removeprefix(prefix)",
        '    if not key.startswith(prefix) or "." in last:',
        "        continue",
        "    parameter, buffer = held._parameters.get(last), held._buffers.get(last)",
        "    if parameter is not None:",
        "        made = distribute_tensor(parameter.detach(), mesh, [Shard(axis)])",
        "        held._parameters[last] = nn.Parameter(made, parameter.requires_grad)",
        "    elif buffer is not None:",
        "        held._buffers[last] = distribute_tensor(buffer, mesh, [Shard(axis)])",
    ]
    head = "def _split(name: str, held: nn.Module, mesh: DeviceMesh) -> None:"
    return ["@staticmethod", head, *indented(body)]


def _taken(sharding: Sharding) -> list[str]:
    """The hook before `forward`; nothing where there are no inputs."""
    names = _argument_names(sharding.network)
    if not names:
        return []
    listed = ", ".join(map(string, names.values())) + ("," if len(names) == 1 else "")
    body = [
        '"""The inputs as this rank needs them, all by name."""',
        *call("names = (", listed.split(", "), ")", indent=8),
        "given = {**dict(zip(names, args, strict=False)), **named}",
        "for name, layout in zip(names, self.input_layouts, strict=True):",
        "    if not isinstance(given.get(name), Tensor):",
        "        continue  # `forward` says what is wrong",
    ]
    places = {names[name]: place for name, place in sharding.inputs.items() if place is not None}
    alike = "given[name] = _alike(given[name], mesh, layout)"
    part = "given[name] = _part(given[name], mesh, layout, places[name], name)"
    if not places:
        body.append(f"    {alike}")
    else:
        items = [(string(name), _place_text(place)) for name, place in places.items()]
        body[2:2] = _mapping("places = ", items)
        if len(places) == len(names):
            body.append(f"    {part}")
        else:
            body += ["    if name in places:", f"        {part}", "    else:", f"        {alike}"]
    body.append(f"return args[{len(names)}:], given")
    return [
        "def _taken(",
        "    self, args: tuple[Tensor, ...], named: dict[str, Tensor], mesh: DeviceMesh",
        ") -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:",
        *indented(body),
    ]


def _given(sharding: Sharding) -> list[str]:
    """The hook behind `forward`."""
    place = sharding.output
    if place is None:
        body = [
            '"""The sum over all ranks, laid out as wanted."""',
            "y = DTensor.from_local(y, mesh, [Partial()], run_check=False)",
        ]
    else:
        axis, before, after = place.axis, place.before, place.after
        splits = f"_splits(self.output_layouts, {axis}, y.dim())"
        body = ['"""The parts of all ranks as one, or this one alone, laid out as wanted."""']
        if before == 1:
            body += [
                f"if {splits}:",
                "    split = DTensor.from_local(y, mesh, [self.output_layouts], run_check=False)",
                "    return y if self.use_local_output else split",
            ]
        else:  # a DTensor split along that axis would hold other entries
            body += [f"if self.use_local_output and {splits}:", "    return y"]
        body += [
            f"y = _joined(y, mesh, {axis}, {before}, {after})",
            "y = DTensor.from_local(y, mesh, [Replicate()], run_check=False)",
        ]
    body += [
        "y = y.redistribute(placements=[self.output_layouts])",
        "return y.to_local() if self.use_local_output else y",
    ]
    return ["def _given(self, y: Tensor, mesh: DeviceMesh) -> Tensor:", *indented(body)]


def _place_text(place: Place) -> str:
    return f"({place.axis}, {place.before}, {place.size}, {place.after})"


def _mapping(head: str, items: list[tuple[str, str]]) -> list[str]:
    """`head{…}` on a line, else an entry a line."""
    flat = f"{head}{{{', '.join(f'{key}: {value}' for key, value in items)}}}"
    if len(flat) + 8 <= WIDTH:
        return [flat]
    return [f"{head}{{", *(f"    {key}: {value}," for key, value in items), "}"]


def _argument_names(network: TensorNetwork) -> dict[str, str]:
    """The arguments of `forward` by input."""
    names = Names(["self"])
    return {
        one.name: names.fresh("_".join((one.family, *map(str, one.subscripts))))
        for one in network.inputs
    }


# ── what it says of itself ─────────────────────────────────────────────────────────────────────


def _docstring(sharding: Sharding) -> list[str]:
    """What is split, what is sent, what layouts mean."""
    network = sharding.network
    room = WIDTH - 4
    head = f"Shares the {sharding.size} entries of leg `{sharding.leg}` evenly among ranks."
    whole = [one.key for one in network.parameters if one.key not in sharding.split]
    split = [f"{key} (axis {axis})" for key, axis in sharding.split.items()]
    tensors = f"Split: {_some(split)}."
    if whole:
        tensors += f" Whole on every rank: {_some(whole)}."
    lines = [head, ""]
    style = style_name(network)
    lines += [f'    parallelize_module(model, mesh, {{"layer": {style}()}})', ""]
    lines += [*filled(tensors, room), "", *filled(_sent(sharding), room)]
    lines += ["", *filled(_layouts(sharding), room)]
    return docstring(lines)


def _some(names: list[str]) -> str:
    return ", ".join(names if len(names) <= 12 else [*names[:8], "…", *names[-2:]])


def _sent(sharding: Sharding) -> str:
    """What ranks send each other: bytes of the tensors concerned."""
    network = sharding.network
    dotted = any(axis.kind == "dots" for axis in network.output.axes)
    unit = "a token (one entry of the leading axes)" if dotted else "a call"
    output = _bytes(network, network.output.axes)
    kind = "gathered" if sharding.output else "summed over the ranks"
    text = f"Sent, in bytes of float32 {unit}: forward, {network.output.name} is {kind}, {output}"
    if sharding.output:
        text += f" (nothing with `output_layouts=Shard({sharding.output.axis})`)"
    back: list[str] = []
    for given in network.inputs:
        if given.integer:
            continue
        place = sharding.inputs[given.name]
        does = "gathered" if place else "summed"
        free = f" (nothing with `input_layouts=Shard({place.axis})`)" if place else ""
        back.append(f"that of {given.name} is {does}, {_bytes(network, given.axes)}{free}")
    if back:
        text += f"; backward, where it has a gradient, {'; '.join(back)}"
    whole = sum(math.prod(one.shape) for one in sharding.whole if not one.frozen)
    if whole:
        text += f". A backward pass sums the gradients of what is whole, {4 * whole:,} bytes"
        text += ", whatever the batch"
    return f"{text}."


def _bytes(network: TensorNetwork, axes: tuple[Axis, ...]) -> str:
    """The size of an entry of the leading axes, in float32."""
    names = [name for axis in axes for name in axis.indices if name != DOTS]
    lengths = [axis.length for axis in axes if axis.length is not None and axis.kind != "onehot"]
    runtime = [name for name in names if network.index[name].size is None]
    return " · ".join([f"{4 * math.prod(lengths):,}", *runtime])


def _layouts(sharding: Sharding) -> str:
    parts: list[str] = []
    if sharding.inputs:
        which = "it" if len(sharding.inputs) == 1 else "each input, or all of them,"
        parts.append(f"`input_layouts` says how {which} comes (`Replicate()`: whole on every rank)")
    parts.append("`output_layouts` how the output is to be laid out (`Replicate()`)")
    text = ", ".join(parts)
    return f"{text}; without `use_local_output` it is a DTensor."
