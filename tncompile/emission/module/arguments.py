"""What `forward` does first: it checks its inputs, finds the run-time sizes and flattens `...`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tncompile.emission.text.identifiers import Names, batch_name
from tncompile.emission.text.writer import WIDTH, call, compact, indented, string, string_lines
from tncompile.network.model import DOTS, Axis, Input, TensorNetwork

CHECKED_IDS = '''\
def _under_vmap(ids: Tensor) -> bool:
    """Whether `vmap` hides the values of a tensor."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(ids):
        if functorch.is_batchedtensor(ids):
            return True
        ids = functorch.get_unwrapped(ids)
    return False


def _checked_ids(ids: Tensor, classes: int, leg: str) -> Tensor:
    """The ids as int64; an IndexError names the leg where one is not in [0, classes)."""
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise TypeError(f"{leg}: ids must be integers, got {ids.dtype}")
    if torch.compiler.is_compiling():
        inside = ((ids >= 0) & (ids < classes)).all()
        torch._assert_async(inside, f"{leg}: ids must be in [0, {classes})")
    elif ids.numel() and not ids.is_meta and not _under_vmap(ids):
        low, high = (int(end) for end in ids.aminmax())
        if low < 0 or high >= classes:
            wrong = low if low < 0 else high
            raise IndexError(f"{leg}: ids must be in [0, {classes}), got {wrong}")
    return ids.long()
'''

CHECKED_DTYPE = '''\
def _check_dtype(x: Tensor, module: nn.Module | None, key: str, declared: str) -> None:
    """Raise TypeError unless `x` has the dtype of the module; autocast may convert floats."""
    own: Tensor | None = None if module is None else module._parameters.get(key)
    if own is not None and x.dtype is own.dtype:
        return
    if own is None and module is not None:
        own = module._buffers.get(key)
    if own is None or x.dtype is own.dtype:
        return  # a parametrization computes the tensor of this key at each call
    floating, kind = x.is_floating_point(), x.device.type
    if floating and kind != "meta" and torch.is_autocast_enabled(kind):
        return
    fix = f"x.to({own.dtype})"
    if x.is_complex() or (floating and not own.is_complex()):
        fix += f" or module.to({x.dtype})"
    raise TypeError(f"{declared}: expected {own.dtype} as the module has, got {x.dtype}: {fix}")
'''

BROADCAST = '''\
def _broadcast(**leads: torch.Size) -> tuple[int, ...]:
    """Broadcast the leading axes of several inputs."""
    common = [1] * max(len(lead) for lead in leads.values())
    for lead in leads.values():
        for axis in range(-len(lead), 0):
            if lead[axis] != 1 and common[axis] != 1 and lead[axis] != common[axis]:
                given = ", ".join(f"{tuple(lead)} of {name}" for name, lead in leads.items())
                raise ValueError(f"the leading axes (...) do not broadcast: {given}")
            if lead[axis] != 1:
                common[axis] = lead[axis]
    return tuple(common)
'''


def declared(source: Input) -> str:
    """What messages call an input: as it is declared, and which one it is of a family."""
    return f"{source.name} of {source.written}" if source.subscripts else source.written


def argument_names(network: TensorNetwork, names: Names) -> dict[str, str]:
    """The arguments of `forward` by input."""
    return {
        source.name: names.fresh("_".join((source.family, *map(str, source.subscripts))))
        for source in network.inputs
    }


@dataclass
class Arguments:
    """The head of a `forward`: `parameters` of its signature, `lines`, and what they define.

    `expressions` are the checked, flattened inputs by name, `sizes` the run-time sizes by index;
    `lead` holds the leading axes where there are any.
    """

    parameters: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    expressions: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, str] = field(default_factory=dict)
    lead: str | None = None


def write_arguments(
    network: TensorNetwork,
    names: Names,
    *,
    indent: int = 8,
    bound: Mapping[str, tuple[str, str]] | None = None,
    holder: tuple[str, str] | None = None,
) -> Arguments:
    """The checks and views of all inputs, in order; every run-time size gets a name.

    Sizes that are `bound` are read from an expression; its declaration stands beside it. Inputs
    must have the dtype of a tensor of the module: `holder` is what holds it, and under which key.
    """
    arguments = Arguments()
    arguments.parameters = argument_names(network, names)
    arguments.expressions.update(arguments.parameters)
    for index in network.indices:
        if index.kind == "batch":
            arguments.sizes[index.name] = names.fresh(index.name)
    if any(_dotted(source) for source in network.inputs):
        arguments.lead, arguments.sizes[DOTS] = (
            names.exactly("lead"),
            names.exactly(batch_name(network)),
        )
    known: dict[str, str] = {}
    for leg, (expression, written) in (bound or {}).items():
        arguments.sizes[leg], known[leg] = names.fresh(leg), written
        arguments.lines.append(f"{arguments.sizes[leg]} = {expression}")
    for source in network.inputs:
        arguments.lines += _check(network, source, arguments.parameters[source.name], indent)
        if holder is not None and not source.integer:
            items = [arguments.parameters[source.name], holder[0], string(holder[1])]
            items += string_lines(declared(source), indent=indent + 4)
            arguments.lines += call("_check_dtype(", items, indent=indent)
        arguments.lines += _sizes(network, source, arguments, known, indent)
    arguments.lines += _lead(network, arguments, indent)
    for source in network.inputs:
        arguments.lines += _flatten(network, source, arguments, indent)
    return arguments


def _axes(source: Input) -> list[Axis]:
    """The axes with a length, in order: all but `...` and the one that ids stand for."""
    return [axis for axis in source.axes if axis.kind in ("legs", "slices")]


def _dotted(source: Input) -> bool:
    return any(axis.kind == "dots" for axis in source.axes)


def _known_part(network: TensorNetwork, axis: Axis) -> int:
    """The product of the sizes known at compile time of a flattened axis."""
    return math.prod(network.index[name].size or 1 for name in axis.indices)


def _unknown(network: TensorNetwork, axis: Axis) -> list[str]:
    """The run-time indices of an axis."""
    return [name for name in axis.indices if network.index[name].size is None]


# ── checks ─────────────────────────────────────────────────────────────────────────────────────


def _check(network: TensorNetwork, source: Input, name: str, indent: int) -> list[str]:
    """A ValueError unless the trailing axes have the lengths of the spec."""
    axes = _axes(source)
    count = len(axes)
    dotted = _dotted(source)
    wrong: list[str] = []
    if all(axis.length is not None for axis in axes) and count and not dotted:
        lengths = ", ".join(str(axis.length) for axis in axes)
        wrong.append(f"{name}.shape != ({lengths}{',' if count == 1 else ''})")
    else:
        if count or not dotted:
            wrong.append(f"{name}.dim() {'<' if dotted else '!='} {count}")
        for position, axis in enumerate(axes):
            length = f"{name}.shape[{position - count}]"
            if axis.length is not None:
                wrong.append(f"{length} != {axis.length}")
            elif _known_part(network, axis) != 1:
                wrong.append(f"{length} % {_known_part(network, axis)} != 0")
    if not wrong:
        return []
    message = f"{declared(source)}: {_expected(network, source)}, got shape "
    got = f"{{tuple({name}.shape)}}"
    return [*_condition(wrong, indent), *indented(_raise(message, got, indent + 4))]


def _condition(wrong: list[str], indent: int) -> list[str]:
    text = f"if {' or '.join(wrong)}:"
    if len(text) + indent <= WIDTH:
        return [text]
    if len(wrong) == 1:
        head, _, lengths = wrong[0].partition("(")
        return call(f"if {head}(", lengths.removesuffix(")").split(", "), "):", indent=indent)
    return ["if (", *indented([wrong[0], *(f"or {part}" for part in wrong[1:])]), "):"]


def _raise(message: str, got: str, indent: int) -> list[str]:
    """`raise ValueError(…)` with a message that ends in a replacement field."""
    one = string_lines(message, got, indent=indent + len("raise ValueError("))
    if len(one) == 1 and len(one[0]) + len("raise ValueError()") + indent <= WIDTH:
        return [f"raise ValueError({one[0]})"]
    return ["raise ValueError(", *indented(string_lines(message, got, indent=indent + 4)), ")"]


def _expected(network: TensorNetwork, source: Input) -> str:
    """What the trailing axes must be, in the words of the spec."""
    axes = _axes(source)
    if not axes:
        return "it must be a scalar"
    if len(axes) == 1 and axes[0].length is not None:
        which = "the last axis" if _dotted(source) else "its only axis"
        length, legs = _entries(network, axes[0])
        if not legs:  # a group over an empty family
            return f"{which} must have 1 entry"
        return f"{which} must have {length} entries ({legs})"
    which = f"the last {len(axes)} axes" if _dotted(source) else f"its {len(axes)} axes"
    if len(axes) == 1:
        which = "its only axis"
    texts = (" ".join(filter(None, (length, legs and f"({legs})"))) for length, legs in
             (_entries(network, axis) for axis in axes))  # fmt: skip
    return f"{which} must be {', '.join(texts)}"


def _entries(network: TensorNetwork, axis: Axis) -> tuple[str, str]:
    """The length of an axis, and its legs: `60 = 4·5·3`, `i[0], i[1], i[2]`."""
    names = list(axis.indices) if len(axis.indices) <= 4 else compact(axis.indices)
    legs = ", ".join(names)
    if axis.kind == "slices":
        return str(axis.length), "slices"
    if axis.length is None:
        return "", f"{legs}: any size"
    product = f" = {_product(network, axis)}" if len(axis.indices) > 1 else ""
    if axis.width is not None and axis.width != axis.size:
        return str(axis.width), f"the first of {axis.size}{product}: {legs}"
    return f"{axis.length}{product}", legs


def _product(network: TensorNetwork, axis: Axis) -> str:
    sizes = [str(network.index[name].size) for name in axis.indices]
    return "·".join(sizes) if len(sizes) <= 8 else f"{'·'.join(sizes[:4])}·…·{sizes[-1]}"


# ── sizes and views ────────────────────────────────────────────────────────────────────────────


def _sizes(
    network: TensorNetwork, source: Input, arguments: Arguments, known: dict[str, str], indent: int
) -> list[str]:
    """Run-time sizes from the shape of one input: named where they are new, else compared."""
    lines: list[str] = []
    axes = _axes(source)
    name = arguments.parameters[source.name]
    for position, axis in enumerate(axes):
        unknown = _unknown(network, axis)
        if not unknown:
            continue
        new = [index for index in unknown if index not in known]
        others = [str(_known_part(network, axis))] if _known_part(network, axis) != 1 else []
        others += [arguments.sizes[index] for index in unknown if index in known]
        length = f"{name}.shape[{position - len(axes)}]"
        if len(new) == 1:
            by = f" // {others[0]}" if len(others) == 1 else f" // ({' * '.join(others)})"
            lines.append(f"{arguments.sizes[new[0]]} = {length}{by if others else ''}")
            known[new[0]] = declared(source)
        elif not new:
            lines.append(f"if {length} != {' * '.join(others)}:")
            size = unknown[0]
            message = (
                f"{declared(source)}: {', '.join(unknown)} must be as in {known[size]}, got shape "
            )
            lines += indented(_raise(message, f"{{tuple({name}.shape)}}", indent + 4))
        else:
            raise AssertionError(f"{source.written}: two sizes known at run time on one axis")
    return lines


def _lead(network: TensorNetwork, arguments: Arguments, indent: int) -> list[str]:
    """The leading axes, and their product `B`."""
    if arguments.lead is None:
        return []
    dotted = [source for source in network.inputs if _dotted(source)]
    shapes = {arguments.parameters[source.name]: _leading(source, arguments) for source in dotted}
    if len(dotted) == 1:
        (lead,) = shapes.values()
        lines = [f"{arguments.lead} = {lead}"]
    else:
        items = [f"{name}={lead}" for name, lead in shapes.items()]
        lines = call(f"{arguments.lead} = _broadcast(", items, indent=indent)
    return [*lines, f"{arguments.sizes[DOTS]} = math.prod({arguments.lead})"]


def _leading(source: Input, arguments: Arguments) -> str:
    count = len(_axes(source))
    return f"{arguments.parameters[source.name]}.shape" + (f"[:-{count}]" if count else "")


def _flatten(network: TensorNetwork, source: Input, arguments: Arguments, indent: int) -> list[str]:
    """One axis for `...`, broadcast where several inputs have it; ids checked."""
    name = arguments.parameters[source.name]
    lines: list[str] = []
    if source.integer:
        onehot = next(axis for axis in source.axes if axis.kind == "onehot")
        items = [name, str(onehot.length), string(declared(source))]
        lines += call(f"{name} = _checked_ids(", items, indent=indent)
    if not _dotted(source):
        return lines
    lengths = [_length(network, axis, arguments) for axis in _axes(source)]
    flat = [arguments.sizes[DOTS], *lengths]
    if sum(map(_dotted, network.inputs)) > 1:
        common = [f"*{arguments.lead}", *lengths] if lengths else [f"{arguments.lead}"]
        both = f"{name} = {name}.expand({', '.join(common)}).reshape({', '.join(flat)})"
        if len(both) + indent <= WIDTH:
            return [*lines, both]
        lines += call(f"{name} = {name}.expand(", common, indent=indent)
        return [*lines, *call(f"{name} = {name}.reshape(", flat, indent=indent)]
    # Two calls that change nothing, here and at the end, show in the time of small modules.
    lines.append(f"if {name}.dim() != {len(flat)}:")
    shaped = call(f"{name} = {name}.reshape(", flat, indent=indent + 4)
    return [*lines, *indented(shaped)]


def _length(network: TensorNetwork, axis: Axis, arguments: Arguments) -> str:
    if axis.length is not None:
        return str(axis.length)
    factors = [arguments.sizes[index] for index in _unknown(network, axis)]
    known = _known_part(network, axis)
    return " * ".join(factors + ([str(known)] if known != 1 else []))
