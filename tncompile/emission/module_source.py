"""A whole file: header, imports, helper functions and the class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from tncompile.emission.arguments import BROADCAST, CHECKED_IDS, Arguments, write_arguments
from tncompile.emission.declaring import (
    write_accessors,
    write_annotations,
    write_family_class,
    write_init,
)
from tncompile.emission.documenting import write_docstring, write_header
from tncompile.emission.generated import Declared, GeneratedModule
from tncompile.emission.initialization import Estimate, Initialization
from tncompile.emission.naming import Members, Names, class_name, stackable
from tncompile.emission.operations import Scope
from tncompile.emission.resetting import write_estimate, write_functions, write_reset_parameters
from tncompile.emission.statements import Written, write_steps
from tncompile.emission.writer import WIDTH, call, indented, string_lines
from tncompile.lowering.program import OneHot, Rescale, TensorProgram
from tncompile.network.model import TensorNetwork
from tncompile.planning.plans import ContractionPlan

INDENT = 8

RESCALED = '''\
def _rescaled(t: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """`t` divided by its largest magnitude over some axes, and the logarithm of that."""
    size = t.detach().abs()
    size = size.amax(axes, keepdim=True) if axes else size
    size = size.to(torch.promote_types(size.dtype, torch.float32))
    size = torch.where((size > 0) & size.isfinite(), size, 1)
    return t / size.to(t.real.dtype), size.log().squeeze(axes) if axes else size.log()
'''


ONE_HOT = '''\
def _one_hot(ids: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """The ids as vectors along a new last axis: one at the id, else zero."""
    return (ids.unsqueeze(-1) == torch.arange(classes, device=ids.device)).to(dtype)
'''

LOG = '''\
def _log(t: Tensor) -> Tensor:
    """The logarithm of the magnitude; that of zero is minus infinity, and has no gradient."""
    return torch.where(t == 0, -math.inf, torch.where(t == 0, 1, t).abs().log())
'''

TRAINING = '''\
def __setattr__(self, name: str, value: Tensor | nn.Module) -> None:
    """`training` is the flag of `nn.Module` still, beside the tensor of that name."""
    if name == "training" and isinstance(value, bool):
        self.__dict__[name] = value
    else:
        super().__setattr__(name, value)
'''

HELPERS: dict[type, str] = {Rescale: RESCALED, OneHot: ONE_HOT}
"""Functions of an emitted file that some operations call."""


def emit(
    network: TensorNetwork,
    plan: ContractionPlan,
    program: TensorProgram,
    initialization: Initialization,
    *,
    stacked: bool = False,
) -> GeneratedModule:
    """The PyTorch source of a network; equal arguments give equal bytes.

    `stacked` keeps a family of equal shapes as one parameter with a first axis over its members.
    """
    name = class_name(network.name)
    members = Members(network.parameters, stackable(network.parameters) if stacked else {})
    norm = _norm_program(initialization)
    blocks = [write_family_class(members)]
    if any(given.integer for given in network.inputs):
        blocks.append(CHECKED_IDS.splitlines())
    if sum(any(a.kind == "dots" for a in given.axes) for given in network.inputs) > 1:
        blocks.append(BROADCAST.splitlines())
    used = _operations(program, *([] if norm is None else [norm]))
    blocks += [text.splitlines() for kind, text in HELPERS.items() if kind in used]
    if network.output.log:
        blocks.append(LOG.splitlines())
    blocks.append(write_functions(initialization))
    bare = _needs_like(network)
    methods = [write_init(members, like=bare)]
    methods.append(write_reset_parameters(initialization, members))
    if norm is not None:
        methods.append(write_norm(norm, members))
    elif initialization.rescaling is not None:
        methods.append(write_estimate(initialization.rescaling, members))
    if any(parameter.family == "training" for parameter in network.parameters):
        methods.append(TRAINING.splitlines())
    methods += write_accessors(members)
    methods.append(_write_repr(network))
    methods.append(write_forward(network, program, members))
    body = write_docstring(network, plan, program, members)
    if annotations := [*write_annotations(members), *(["_like: Tensor"] if bare else [])]:
        body += ["", *annotations]
    for method in methods:
        body += ["", *method]
    blocks.append([f"class {name}(nn.Module):", *indented(body)])
    written = [line for block in blocks if block for line in ("", "", *block)]
    imports = ["import torch", "from torch import Tensor, nn"]
    if any("math." in line for line in written):
        imports = ["import math", "", *imports]
    lines = [*write_header(network, plan), "", *imports, *written]
    return GeneratedModule("\n".join(lines) + "\n", name, _declared(members))


def _write_repr(network: TensorNetwork) -> list[str]:
    """The method behind `print(module)`: what goes in, what comes out, how many numbers."""
    text = (
        f"{_given(network)} -> {network.output.written}"
        if network.inputs
        else (network.output.written)
    )
    text += f", {network.parameter_count:,} parameters"
    lines = string_lines(text, indent=INDENT + len("return "))
    if len(lines) == 1:
        returned = [f"return {lines[0]}"]
    else:
        returned = ["return (", *indented(string_lines(text, indent=INDENT + 4)), ")"]
    return ["def extra_repr(self) -> str:", *indented(returned)]


def _given(network: TensorNetwork) -> str:
    """The declarations of the inputs, at most four of them."""
    given = [held.written for held in network.inputs[:4]]
    return ", ".join([*given, *(["…"] if len(network.inputs) > 4 else [])])


def _declared(members: Members) -> tuple[Declared, ...]:
    """The entries of the state dict, stacked families as one."""
    found: dict[str, Declared] = {}
    for parameter in members.parameters:
        stack = members.stacked.get(parameter.family)
        if stack is None:
            found[parameter.key] = Declared(parameter.key, parameter.shape, parameter.frozen)
        else:
            shape = stack.counts + parameter.shape
            found[parameter.family] = Declared(parameter.family, shape, parameter.frozen)
    return tuple(found.values())


def _norm_program(initialization: Initialization) -> TensorProgram | None:
    """The network contracted with itself, where the initialization does that."""
    rescaling = initialization.rescaling
    if rescaling is None or isinstance(rescaling.measure, Estimate):
        return None
    return rescaling.measure


def _operations(*programs: TensorProgram) -> set[type]:
    """The kinds of operations that the programs use."""
    return {type(step.operation) for program in programs for step in program.steps}


def write_norm(program: TensorProgram, members: Members) -> list[str]:
    """The method that contracts the network with itself, in float32 at least."""
    names = Names(["self", "dtype"])
    like = members.read(members.parameters[0].key)
    cast = replace(members, cast=".to(dtype)")
    scope = Scope(names, cast, {}, {}, "dtype", f"{like}.device")
    written = write_steps(program, scope)
    added = f" + {written.log}" if written.log else ""
    body = [
        '"""The logarithm of the squared norm of the whole map, by contracting it with itself."""',
        f"dtype = torch.promote_types({like}.dtype, torch.float32)",
        *written.lines,
        f"return {written.result}.abs().log(){added}",
    ]
    return ["def _log_square_norm(self) -> Tensor:", *indented(body)]


# ── forward ────────────────────────────────────────────────────────────────────────────────────


def write_forward(network: TensorNetwork, program: TensorProgram, members: Members) -> list[str]:
    """The method: checks, steps, and `...` as the user gave it."""
    names = Names(["self"])
    arguments = write_arguments(network, names)
    like = _like(network, arguments, members)
    device = like or next(iter(arguments.expressions.values()), None)
    scope = Scope(
        names,
        members,
        arguments.expressions,
        arguments.sizes,
        f"{like}.dtype" if like else "torch.get_default_dtype()",
        f"{device}.device" if device else "None",
    )
    written = write_steps(program, scope, numbered=True)
    signature = ["self", *(f"{name}: Tensor" for name in arguments.parameters.values())]
    returned = "tuple[Tensor, Tensor]" if network.output.log else "Tensor"
    head = call("def forward(", signature, f") -> {returned}:", indent=4)
    body = [*_docstring(network), *arguments.lines, *written.lines]
    body += _returned(network, program, scope, arguments.lead, written)
    return [*head, *indented(_without_unused(body, arguments.sizes.values()))]


def _docstring(network: TensorNetwork) -> list[str]:
    text = network.output.written + (f" of {_given(network)}." if network.inputs else ".")
    return [f'"""{text}"""'] if len(text) <= 85 else [f'"""{network.output.written}."""']


def _needs_like(network: TensorNetwork) -> bool:
    """Whether neither a parameter nor an input says which dtype results have."""
    return not network.parameters and all(given.integer for given in network.inputs)


def _like(network: TensorNetwork, arguments: Arguments, members: Members) -> str | None:
    """A tensor that constants take their dtype and device from."""
    for parameter in network.parameters:
        return members.read(parameter.key)
    if _needs_like(network):
        return "self._like"
    floats = (held.name for held in network.inputs if not held.integer)
    return next((arguments.expressions[name] for name in floats), None)


def _returned(
    network: TensorNetwork,
    program: TensorProgram,
    scope: Scope,
    lead: str | None,
    written: Written,
) -> list[str]:
    """The end of `forward`: the result with its leading axes."""
    dotted = lead is not None and any(axis.kind == "dots" for axis in network.output.axes)
    rest = scope.shape(program.values[program.result])[1:]
    lengths = [f"*{lead}", *rest] if rest else [f"{lead}"]
    lines: list[str] = []
    if network.output.log:
        result = written.result
        if not result.isidentifier():
            result = scope.names.fresh("t")
            lines.append(f"{result} = {written.result}")
        sign, log = scope.names.fresh("sign"), scope.names.fresh("log")
        added = f" + {written.log}" if written.log else ""
        # The derivative of `sgn` reads sizes, which would fix the batch of a compiled module.
        lines.append(f"{sign} = {result}.sgn() if {result}.is_complex() else {result}.sign()")
        lines.append(f"{log} = _log({result}){added}")
        if dotted:
            lines += call(f"{sign} = {sign}.reshape(", lengths, indent=INDENT)
            lines += call(f"{log} = {log}.reshape(", lengths, indent=INDENT)
        return [*lines, f"return {sign}, {log}"]
    text = written.unshaped if dotted else written.result
    flat = f"{text}.reshape({', '.join(lengths)})" if dotted else text
    if len(f"return {flat}") + INDENT <= WIDTH:
        return [f"return {flat}"]
    name = scope.names.fresh("y")
    lines = call(f"{name} = {name}.reshape(", lengths, indent=INDENT)
    return [f"{name} = {text}", *lines, f"return {name}"]


def _without_unused(lines: list[str], sizes: Iterable[str]) -> list[str]:
    """The lines without those that name a run-time size which no other line uses."""
    used = Counter(word for line in lines for word in _words(line))
    unused = tuple(f"{size} = " for size in sizes if used[size] == 1)
    return [line for line in lines if not (unused and line.startswith(unused))]


def _words(line: str) -> list[str]:
    """The words of a line of code, those of strings and comments left out."""
    code = re.sub(r'"[^"]*"', "", line.split("  # ")[0])
    return [] if code.startswith("#") else re.findall(r"\w+", code)
