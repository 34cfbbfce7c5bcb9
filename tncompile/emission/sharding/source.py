"""The text of a sharded module: how `forward` reads what ranks share, the style that splits it."""

from __future__ import annotations

import math
from dataclasses import replace

from tncompile.emission.module.arguments import argument_names
from tncompile.emission.sharding.split import Sharding
from tncompile.emission.text import writer
from tncompile.emission.text.identifiers import Names, identifier
from tncompile.emission.text.members import ParameterAccess
from tncompile.emission.text.writer import WIDTH, filled, function, string
from tncompile.network.model import DOTS, Axis, TensorNetwork

ATTRIBUTE = "parallel_style"
"""The attribute of a sharded module that is its style."""

IMPORTS = {
    ("torch.distributed.device_mesh", "DeviceMesh"),
    ("torch.distributed.tensor", "DTensor"),
    ("torch.distributed.tensor", "Partial"),
    ("torch.distributed.tensor", "Placement"),
    ("torch.distributed.tensor", "Replicate"),
    ("torch.distributed.tensor", "Shard"),
    ("torch.distributed.tensor", "distribute_module"),
    ("torch.distributed.tensor", "distribute_tensor"),
    ("torch.distributed.tensor.parallel", "ParallelStyle"),
}


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
    around = {
        parameter.key: special.get(parameter.key, "_local") for parameter in members.parameters
    }
    return replace(members, around=around)


def own(key: str) -> str:
    """The function that takes a rank's entries out of a bias that it holds whole."""
    return f"_own_{identifier(key)}"


def whole_members(members: ParameterAccess) -> ParameterAccess:
    """The parameters as `fold` reads them: put together."""
    return replace(members, around={parameter.key: "_whole" for parameter in members.parameters})


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


# ── the style ────────────────────────────────────────────────────────────────────────────────────


def style_name(network: TensorNetwork) -> str:
    """The class of the style of a network."""
    return f"{identifier(network.name)}Parallel"


def write_style(sharding: Sharding) -> list[str]:
    """The class that splits a module over the ranks of a mesh."""
    methods = [_init(sharding), _apply(sharding), _split(sharding)]
    methods += [_local_inputs(sharding)] if sharding.inputs else []
    methods.append(_output(sharding))
    head = f"{style_name(sharding.network)}(ParallelStyle)"
    return writer.class_(head, _docstring(sharding), methods)


def write_attribute(sharding: Sharding) -> list[str]:
    """Where a module has its style at hand, unless a tensor is called so."""
    if any(parameter.family == ATTRIBUTE for parameter in sharding.network.parameters):
        return []
    return ["", f"{ATTRIBUTE} = {style_name(sharding.network)}"]


def _init(sharding: Sharding) -> list[str]:
    count = len(sharding.inputs)
    layouts = "Placement | None" if count == 1 else "Placement | tuple[Placement, ...] | None"
    parameters = ["self", "*", *[f"input_layouts: {layouts} = None"] * (count > 0)]
    parameters += ["output_layouts: Placement | None = None", "use_local_output: bool = True"]
    body = ["super().__init__()"]
    if count == 1:
        body.append("self.input_layouts = (input_layouts or Replicate(),)")
    elif count:
        body += [
            "if not isinstance(input_layouts, tuple):",
            f"    input_layouts = (input_layouts or Replicate(),) * {count}",
            f"if len(input_layouts) != {count}:",
            f'    raise ValueError(f"input_layouts: one for each of {count} inputs, '
            'got {len(input_layouts)}")',
            "self.input_layouts = input_layouts",
        ]
    body.append("self.output_layouts = output_layouts or Replicate()")
    body.append("self.use_local_output = use_local_output")
    return function("__init__", parameters, "None", body)


def _apply(sharding: Sharding) -> list[str]:
    name, size = identifier(sharding.network.name), sharding.size
    message = writer.string_lines(f"`{sharding.leg}` has ", "{wrong}")
    body = [
        f"if not isinstance(module, {name}):",
        f'    raise TypeError(f"{style_name(sharding.network)} splits {name}, '
        'not {type(module).__name__}")',
        "ranks = device_mesh.size()",
        f"if {size} % ranks:",
        f'    wrong = f"{size} entries, which {{ranks}} ranks cannot share evenly"',
        f"    raise ValueError({' '.join(message)})",
        "",
    ]
    if sharding.inputs:
        body += [
            "def take(",
            "    _: nn.Module, args: tuple[Tensor, ...], named: dict[str, Tensor]",
            ") -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:",
            "    return self._local_inputs(args, named, device_mesh)",
            "",
        ]
    body += [
        "def give(_: nn.Module, args: tuple[Tensor, ...], y: Tensor) -> Tensor:",
        "    return self._output(y, device_mesh)",
        "",
        "distribute_module(module, device_mesh, self._split)",
    ]
    if sharding.inputs:
        body.append("module.register_forward_pre_hook(take, with_kwargs=True)")
    body += ["module.register_forward_hook(give)", "return module"]
    parameters = ["self", "module: nn.Module", "device_mesh: DeviceMesh"]
    return function("_apply", parameters, "nn.Module", body)


def _split(sharding: Sharding) -> list[str]:
    body = [
        '"""Split the tensors of the module called `name` that carry the leg."""',
        *writer.call("axes = {", [f"{string(k)}: {n}" for k, n in sharding.split.items()], "}"),
        'prefix = f"{name}." if name else ""',
        "for key, axis in axes.items():",
        "    last = key.removeprefix(prefix)",
        '    if not key.startswith(prefix) or "." in last:',
        "        continue",
        "    parameter, buffer = owner._parameters.get(last), owner._buffers.get(last)",
        "    if parameter is not None:",
        "        split = distribute_tensor(parameter.detach(), mesh, [Shard(axis)])",
        "        owner._parameters[last] = nn.Parameter(split, parameter.requires_grad)",
        "    elif buffer is not None:",
        "        owner._buffers[last] = distribute_tensor(buffer, mesh, [Shard(axis)])",
    ]
    parameters = ["name: str", "owner: nn.Module", "mesh: DeviceMesh"]
    return ["@staticmethod", *function("_split", parameters, "None", body)]


def _local_inputs(sharding: Sharding) -> list[str]:
    """The hook before `forward`."""
    names = argument_names(sharding.network, Names(["self"]))
    listed = [string(name) for name in names.values()]
    listed[-1] += "," * (len(names) == 1)
    places = [
        f"{string(names[name])}: ({place.axis}, {place.before}, {place.size}, {place.after})"
        for name, place in sharding.inputs.items()
        if place is not None
    ]
    alike = "inputs[name] = _alike(inputs[name], mesh, layout)"
    part = "inputs[name] = _part(inputs[name], mesh, layout, places[name], name)"
    choice = ["if name in places:", f"    {part}", "else:", f"    {alike}"]
    if len(places) in (0, len(names)):
        choice = [part if places else alike]
    body = [
        '"""The inputs as this rank needs them, all by name."""',
        *writer.call("names = (", listed),
        *(writer.call("places = {", places, "}") if places else []),
        "inputs = {**dict(zip(names, args, strict=False)), **named}",
        "for name, layout in zip(names, self.input_layouts, strict=True):",
        "    if not isinstance(inputs.get(name), Tensor):",
        "        continue  # `forward` says what is wrong",
        *writer.indented(choice),
        f"return args[{len(names)}:], inputs",
    ]
    arguments = ["args: tuple[Tensor, ...]", "named: dict[str, Tensor]"]
    parameters = ["self", *arguments, "mesh: DeviceMesh"]
    returned = "tuple[tuple[Tensor, ...], dict[str, Tensor]]"
    return function("_local_inputs", parameters, returned, body)


def _output(sharding: Sharding) -> list[str]:
    """The hook behind `forward`."""
    place = sharding.output
    if place is None:
        body = [
            '"""The sum over all ranks, laid out as wanted."""',
            "y = DTensor.from_local(y, mesh, [Partial()], run_check=False)",
        ]
    else:
        splits = f"_splits(self.output_layouts, {place.axis}, y.dim())"
        body = ['"""The parts of all ranks as one, or this one alone, laid out as wanted."""']
        if place.before == 1:
            body += [
                f"if {splits}:",
                "    split = DTensor.from_local(y, mesh, [self.output_layouts], run_check=False)",
                "    return y if self.use_local_output else split",
            ]
        else:  # a DTensor split along that axis would hold other entries
            body += [f"if self.use_local_output and {splits}:", "    return y"]
        body += [
            f"y = _joined(y, mesh, {place.axis}, {place.before}, {place.after})",
            "y = DTensor.from_local(y, mesh, [Replicate()], run_check=False)",
        ]
    body += [
        "y = y.redistribute(placements=[self.output_layouts])",
        "return y.to_local() if self.use_local_output else y",
    ]
    return function("_output", ["self", "y: Tensor", "mesh: DeviceMesh"], "Tensor", body)


def _docstring(sharding: Sharding) -> list[str]:
    """What is split, what is sent, what layouts mean."""
    network = sharding.network
    split = [f"{key} (axis {axis})" for key, axis in sharding.split.items()]
    whole = [
        parameter.key for parameter in network.parameters if parameter.key not in sharding.split
    ]
    tensors = f"Split: {_some(split)}."
    tensors += f" Whole on every rank: {_some(whole)}." if whole else ""
    layouts = "`output_layouts` how the output is to be laid out (`Replicate()`)"
    layouts += "; without `use_local_output` it is a DTensor."
    if count := len(sharding.inputs):
        inputs = "it" if count == 1 else "each input, or all of them,"
        layouts = f"how {inputs} comes (`Replicate()`: whole on every rank), {layouts}"
        layouts = f"`input_layouts` says {layouts}"
    style = style_name(network)
    lines = [
        f"Shares the {sharding.size} entries of leg `{sharding.leg}` evenly among ranks.",
        "",
        f'    parallelize_module(model, mesh, {{"layer": {style}()}})',
    ]
    for text in (tensors, _sent(sharding), layouts):
        lines += ["", *filled(text, WIDTH - 4)]
    return writer.docstring(lines)


def _some(names: list[str]) -> str:
    return ", ".join(names if len(names) <= 12 else [*names[:8], "…", *names[-2:]])


def _sent(sharding: Sharding) -> str:
    """What ranks send each other: bytes of the tensors concerned."""
    network, place = sharding.network, sharding.output
    dotted = any(axis.kind == "dots" for axis in network.output.axes)
    unit = "a token (one entry of the leading axes)" if dotted else "a call"
    size = _bytes(network, network.output.axes)
    kind = "gathered" if place else "summed over the ranks"
    text = f"Sent, in bytes of float32 {unit}: forward, {network.output.name} is {kind}, {size}"
    text += f" (nothing with `output_layouts=Shard({place.axis})`)" if place else ""
    back: list[str] = []
    for source in network.inputs:
        place = sharding.inputs[source.name]
        kind = "gathered" if place else "summed"
        free = f" (nothing with `input_layouts=Shard({place.axis})`)" if place else ""
        if not source.integer:
            back.append(f"that of {source.name} is {kind}, {_bytes(network, source.axes)}{free}")
    text += f"; backward, where it has a gradient, {'; '.join(back)}" if back else ""
    if whole := sum(
        math.prod(parameter.shape) for parameter in sharding.whole if not parameter.frozen
    ):
        text += f". A backward pass sums the gradients of what is whole, {4 * whole:,} bytes"
        text += ", whatever the batch"
    return f"{text}."


def _bytes(network: TensorNetwork, axes: tuple[Axis, ...]) -> str:
    """The size of an entry of the leading axes, in float32."""
    names = [name for axis in axes for name in axis.indices if name != DOTS]
    lengths = [axis.length for axis in axes if axis.length is not None and axis.kind != "onehot"]
    runtime = [name for name in names if network.index[name].size is None]
    return " · ".join([f"{4 * math.prod(lengths):,}", *runtime])
