"""What `forward` does first: it checks its inputs, finds the run-time sizes and flattens `...`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tncompile.emission.module.ids import SINGLE, single_ids
from tncompile.emission.text import writer
from tncompile.emission.text.identifiers import Names, batch_name
from tncompile.emission.text.writer import INDENT, TAB, WIDTH, call, indented
from tncompile.network.model import DOTS, Axis, Input, TensorNetwork
from tncompile.network.windows import Window

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

CHECKED_PRECISION = '''\
def _check_precision(x: Tensor, module: nn.Module | None, key: str, declared: str) -> None:
    """Raise TypeError unless `x`, real or complex, has the precision of the module.

    Autocast may convert floats.
    """
    own: Tensor | None = None if module is None else module._parameters.get(key)
    if own is not None and x.dtype is own.dtype:
        return
    if own is None and module is not None:
        own = module._buffers.get(key)
    if own is None:
        return  # a parametrization computes the tensor of this key at each call
    real = own.real.dtype
    if x.dtype is real or x.dtype is _COMPLEX[real]:
        return
    floating, kind = x.is_floating_point(), x.device.type
    if floating and kind != "meta" and torch.is_autocast_enabled(kind):
        return
    fix = f"x.to({_COMPLEX[real] if x.is_complex() else real})"
    if (floating or x.is_complex()) and x.real.dtype in _COMPLEX:
        fix += f" or module.to({x.real.dtype})"
    expected = f"{real} or {_COMPLEX[real]}"
    raise TypeError(f"{declared}: expected {expected} as the module has, got {x.dtype}: {fix}")
'''

COMMON_DTYPE = '''\
def _common_dtype(*inputs: Tensor) -> torch.dtype:
    """What torch promotes the inputs to: complex where one is, since no tensor says otherwise."""
    kind = inputs[0].dtype
    for x in inputs[1:]:
        kind = torch.promote_types(kind, x.dtype)
    return kind
'''

BROADCAST = '''\
def _broadcast(**leads: torch.Size) -> tuple[int, ...]:
    """Broadcast the leading axes of several inputs."""
    common = [1] * max(len(lead) for lead in leads.values())
    for lead in leads.values():
        for axis in range(-len(lead), 0):
            if lead[axis] != 1 and common[axis] != 1 and lead[axis] != common[axis]:
                shapes = ", ".join(f"{tuple(lead)} of {name}" for name, lead in leads.items())
                raise ValueError(f"the leading axes (...) do not broadcast: {shapes}")
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
    `lead` holds the leading axes where there are any. Ids without axes are a tensor or an int as
    they come; those of `numbers` may be ints to the end.
    """

    parameters: dict[str, str]
    expressions: dict[str, str]
    lines: list[str] = field(default_factory=list)
    sizes: dict[str, str] = field(default_factory=dict)
    lead: str | None = None
    single: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()

    def signature(self) -> list[str]:
        """The arguments of `forward` with their types."""
        return [
            f"{name}: {SINGLE if source in self.single else 'Tensor'}"
            for source, name in self.parameters.items()
        ]

    def types(self) -> dict[str, str]:
        """The types of the checked arguments, by argument."""
        return {
            name: SINGLE if source in self.numbers else "Tensor"
            for source, name in self.parameters.items()
        }


def write_arguments(
    network: TensorNetwork,
    names: Names,
    *,
    bound: Mapping[str, tuple[str, str]] | None = None,
    holder: tuple[str, str] | None = None,
    numbers: frozenset[str] = frozenset(),
    like: str | None = None,
) -> Arguments:
    """The checks and views of all inputs, in order; every run-time size gets a name.

    Sizes that are `bound` are read from an expression; its declaration stands beside it. Inputs
    must have the dtype of a tensor of the module: `holder` is what holds it, and under which key.
    Ids without axes that are an int become a tensor beside `like`, or beside the first input of
    floats; those of `numbers` stay what they are.
    """
    parameters = argument_names(network, names)
    arguments = Arguments(parameters, dict(parameters))
    arguments.single = single_ids(network)
    arguments.numbers = arguments.single & numbers
    beside = like or next((parameters[x.name] for x in network.inputs if not x.integer), "")
    for index in network.indices:
        if index.kind == "batch":
            arguments.sizes[index.name] = names.fresh(index.name)
    for window in network.windows:
        arguments.sizes[window.input_leg] = names.fresh(window.name)
    dotted = [source for source in network.inputs if _dotted(source)]
    if dotted:
        arguments.lead = names.exactly("lead")
        arguments.sizes[DOTS] = names.exactly(batch_name(network))
    known: dict[str, str] = {}
    for leg, (expression, written) in (bound or {}).items():
        arguments.sizes[leg], known[leg] = names.fresh(leg), written
        arguments.lines.append(f"{arguments.sizes[leg]} = {expression}")
    for source in network.inputs:
        name = parameters[source.name]
        if source.name in arguments.single - arguments.numbers:
            made = f"{name} = torch.full((), {name}, device={beside}.device)"
            arguments.lines += [f"if not isinstance({name}, Tensor):", *indented([made])]
        arguments.lines += _check(network, source, name, given=source.name in arguments.numbers)
        if holder is not None and not source.integer:
            items = [name, holder[0], writer.string(holder[1])]
            items += writer.string_lines(declared(source), indent=INDENT + 4)
            check = "_check_precision(" if network.complex else "_check_dtype("
            arguments.lines += call(check, items)
        arguments.lines += _sizes(network, source, arguments, known)
    if differ_in_dtype(network):
        given = [parameters[source.name] for source in network.inputs if not source.integer]
        kind = names.fresh("kind")
        arguments.lines += call(f"{kind} = _common_dtype(", given)
        arguments.lines += [f"{name} = {name}.to({kind})" for name in given]
    for window in network.windows:
        arguments.lines += _lengths(window, names, arguments.sizes)
    if dotted:
        leads: dict[str, str] = {}
        for source in dotted:
            behind = f"[:-{len(_axes(source))}]" if _axes(source) else ""
            leads[parameters[source.name]] = f"{parameters[source.name]}.shape{behind}"
        if len(dotted) == 1:
            arguments.lines += [f"{arguments.lead} = {lead}" for lead in leads.values()]
        else:
            items = [f"{name}={lead}" for name, lead in leads.items()]
            arguments.lines += call(f"{arguments.lead} = _broadcast(", items)
        arguments.lines.append(f"{arguments.sizes[DOTS]} = math.prod({arguments.lead})")
    for source in network.inputs:
        arguments.lines += _flatten(network, source, arguments, several=len(dotted) > 1)
    return arguments


def differ_in_dtype(network: TensorNetwork) -> bool:
    """Whether inputs may, real beside complex: there are several, and no tensor has a dtype."""
    return not network.parameters and sum(not source.integer for source in network.inputs) > 1


def _axes(source: Input) -> list[Axis]:
    """The axes with a length, in order: all but `...` and the one that ids stand for."""
    return [axis for axis in source.axes if axis.kind in ("legs", "slices")]


def _dotted(source: Input) -> bool:
    return any(axis.kind == "dots" for axis in source.axes)


def _factors(network: TensorNetwork, axis: Axis) -> tuple[int, list[str]]:
    """Of a flattened axis: the product of the sizes known at compile time, the run-time indices."""
    known = math.prod(network.index[name].size or 1 for name in axis.indices)
    return known, [name for name in axis.indices if network.index[name].size is None]


# ── checks ─────────────────────────────────────────────────────────────────────────────────────


def _check(network: TensorNetwork, source: Input, name: str, *, given: bool) -> list[str]:
    """A ValueError unless the trailing axes have the lengths of the spec; a number has no axes."""
    axes, dotted = _axes(source), _dotted(source)
    count = len(axes)
    wrong: list[str] = []
    if all(axis.length is not None for axis in axes) and count and not dotted:
        lengths = ", ".join(str(axis.length) for axis in axes)
        wrong.append(f"{name}.shape != ({lengths}{',' if count == 1 else ''})")
    else:
        if count or not dotted:
            wrong.append(f"{name}.dim() {'<' if dotted else '!='} {count}")
        for position, axis in enumerate(axes):
            length, (known, _) = f"{name}.shape[{position - count}]", _factors(network, axis)
            if axis.length is not None:
                wrong.append(f"{length} != {axis.length}")
            elif (window := network.window.get(axis.indices[0])) is not None:
                wrong.append(f"{length} < {window.least_length}")
            elif known != 1:
                wrong.append(f"{length} % {known} != 0")
    if not wrong:
        return []
    if given:
        wrong = [f"isinstance({name}, Tensor) and {each}" for each in wrong]
    lines = [f"if {' or '.join(wrong)}:"]
    if len(lines[0]) + INDENT > WIDTH:
        lines = ["if (", *indented([wrong[0], *(f"or {part}" for part in wrong[1:])]), "):"]
        if len(wrong) == 1:
            head, _, lengths = wrong[0].partition("(")
            lines = call(f"if {head}(", lengths.removesuffix(")").split(", "), "):")
    return lines + _raise(f"{declared(source)}: {_expected(network, source)}", name)


def _raise(message: str, name: str) -> list[str]:
    """`raise ValueError(…)` below an `if`; the message ends with the shape of an argument."""
    text, shape = f"{message}, got shape ", f"{{tuple({name}.shape)}}"
    head, indent = "raise ValueError(", INDENT + len(TAB)
    lines = writer.string_lines(text, shape, indent=indent + len(head))
    if len(lines) == 1 and indent + len(head) + len(lines[0]) + len(")") <= WIDTH:
        return indented([f"{head}{lines[0]})"])
    return indented(
        [head, *indented(writer.string_lines(text, shape, indent=indent + len(TAB))), ")"]
    )


def _expected(network: TensorNetwork, source: Input) -> str:
    """What the trailing axes must be, in the words of the spec."""
    axes, dotted = _axes(source), _dotted(source)
    if not axes:
        return "it must be a scalar"
    entries = [_entries(network, axis) for axis in axes]
    if len(axes) == 1 and axes[0].length is not None:
        which = "the last axis" if dotted else "its only axis"
        length, legs = entries[0]
        # An empty group, over an empty family, has no legs.
        return f"{which} must have {f'{length} entries ({legs})' if legs else '1 entry'}"
    which = f"the last {len(axes)} axes" if dotted else f"its {len(axes)} axes"
    if len(axes) == 1:
        which = "its only axis"
    texts = [" ".join(filter(None, (length, legs and f"({legs})"))) for length, legs in entries]
    return f"{which} must be {', '.join(texts)}"


def _entries(network: TensorNetwork, axis: Axis) -> tuple[str, str]:
    """The length of an axis, and its legs: `60 = 4·5·3`, `i[0], i[1], i[2]`."""
    if axis.kind == "slices":
        return str(axis.length), "slices"
    legs = ", ".join(axis.indices if len(axis.indices) <= 4 else writer.compact(axis.indices))
    if (window := network.window.get(legs)) is not None:
        return f"at least {window.least_length}", f"window {window.name}"
    if axis.length is None:
        return "", f"{legs}: any size"
    sizes = [str(network.index[name].size) for name in axis.indices]
    sizes = sizes if len(sizes) <= 8 else [*sizes[:4], "…", sizes[-1]]
    product = f" = {'·'.join(sizes)}" if len(sizes) > 1 else ""
    if axis.width is not None and axis.width != axis.size:
        return str(axis.width), f"the first of {axis.size}{product}: {legs}"
    return f"{axis.length}{product}", legs


# ── sizes and views ────────────────────────────────────────────────────────────────────────────


def _sizes(
    network: TensorNetwork, source: Input, arguments: Arguments, known: dict[str, str]
) -> list[str]:
    """Run-time sizes from the shape of one input: named where they are new, else compared."""
    lines: list[str] = []
    axes = _axes(source)
    name = arguments.parameters[source.name]
    for position, axis in enumerate(axes):
        factor, runtime = _factors(network, axis)
        if not runtime:
            continue
        new = [index for index in runtime if index not in known]
        others = [str(factor)] if factor != 1 else []
        others += [arguments.sizes[index] for index in runtime if index in known]
        product = " * ".join(others)
        length = f"{name}.shape[{position - len(axes)}]"
        if not new:
            message = f"{declared(source)}: {', '.join(runtime)} must be as in {known[runtime[0]]}"
            lines += [f"if {length} != {product}:", *_raise(message, name)]
            continue
        assert len(new) == 1, f"{source.written}: two sizes known at run time on one axis"
        by = f" // {product if len(others) == 1 else f'({product})'}" if others else ""
        lines.append(f"{arguments.sizes[new[0]]} = {length}{by}")
        known[new[0]] = declared(source)
    return lines


def _lengths(window: Window, names: Names, sizes: dict[str, str]) -> list[str]:
    """The sizes that follow from the length of what a window is slid over, named where they differ.

    That is the length of the result, and of what has borders added or not yet cut off.
    """
    length, outside = sizes[window.input_leg], window.left + window.right
    if window.transposed:
        shift = window.reach + 1 + window.extra - outside - window.stride
        scaled = f"{length} * {window.stride}" if window.stride > 1 else length
        result = _shifted(scaled, shift)
        padded = _shifted(scaled, shift + sum(window.crop))
    else:
        shift = outside - window.reach - 1
        result = _shifted(length, shift + 1)
        if window.stride > 1:
            whole = f"({_shifted(length, shift)})" if shift else length
            result = f"{whole} // {window.stride} + 1"
        padded = _shifted(length, outside)
    lines: list[str] = []
    for leg, name, text in (
        (window.output_leg, f"{window.name}_out", result),
        (window.padded_leg, f"{window.name}_padded", padded),
    ):
        sizes[leg] = length if text == length else names.fresh(name)
        lines += [f"{sizes[leg]} = {text}"] if text != length else []
    return lines


def _shifted(length: str, shift: int) -> str:
    return f"{length} {'+' if shift > 0 else '-'} {abs(shift)}" if shift else length


def _flatten(
    network: TensorNetwork, source: Input, arguments: Arguments, *, several: bool
) -> list[str]:
    """One axis for `...`, broadcast where several inputs have it; ids checked."""
    name = arguments.parameters[source.name]
    lines: list[str] = []
    if source.integer:
        onehot = next(axis for axis in source.axes if axis.kind == "onehot")
        items = [name, str(onehot.length), writer.string(declared(source))]
        check = "_checked_id" if source.name in arguments.numbers else "_checked_ids"
        lines += call(f"{name} = {check}(", items)
    if not _dotted(source):
        return lines
    lengths = [_length(network, axis, arguments) for axis in _axes(source)]
    flat = [arguments.sizes[DOTS], *lengths]
    if several:
        common = [f"*{arguments.lead}", *lengths] if lengths else [f"{arguments.lead}"]
        line = f"{name} = {name}.expand({', '.join(common)}).reshape({', '.join(flat)})"
        if len(line) + INDENT <= WIDTH:
            return [*lines, line]
        lines += call(f"{name} = {name}.expand(", common)
        return [*lines, *call(f"{name} = {name}.reshape(", flat)]
    # Two calls that change nothing, here and at the end, show in the time of small modules.
    reshaped = call(f"{name} = {name}.reshape(", flat, indent=INDENT + 4)
    return [*lines, f"if {name}.dim() != {len(flat)}:", *indented(reshaped)]


def _length(network: TensorNetwork, axis: Axis, arguments: Arguments) -> str:
    if axis.length is not None:
        return str(axis.length)
    factor, runtime = _factors(network, axis)
    return " * ".join([arguments.sizes[index] for index in runtime] + [str(factor)] * (factor != 1))
