"""`forward`: it checks the arguments and runs one program, or the method that is right for them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from tncompile.emission.module.arguments import Arguments, write_arguments
from tncompile.emission.module.contraction_order import write_order
from tncompile.emission.module.dispatch import Case, Dispatch, Method
from tncompile.emission.steps.expressions import Scope
from tncompile.emission.steps.statements import Written, write_steps
from tncompile.emission.text.identifiers import Names
from tncompile.emission.text.members import ParameterAccess
from tncompile.emission.text.writer import WIDTH, call, docstring, filled, indented, statement
from tncompile.network.model import Axis, TensorNetwork
from tncompile.program.program import TensorProgram

INDENT = 8

COMPILING = "if self.batch_invariant or torch.compiler.is_compiling():"


def write_forward(
    network: TensorNetwork,
    chosen: Dispatch,
    members: ParameterAccess,
    bound: Mapping[str, tuple[str, str]] | None = None,
    logarithms: Collection[str] = (),
) -> tuple[list[str], ...]:
    """The method `forward` and those that it calls: none where there is one program.

    `bound` are run-time sizes that are read from parameters, as expression and declaration.
    `logarithms` are keys of members that do not have the dtype of the module.
    """
    names = Names(["self"])
    kept = tuple(one for one in members.parameters if one.key not in logarithms)
    holder = replace(members, parameters=kept).holder
    arguments = write_arguments(network, names, bound=bound, holder=holder)
    signature = ["self", *(f"{name}: Tensor" for name in arguments.parameters.values())]
    head = call("def forward(", signature, f") -> {_returns(network)}:", indent=4)
    body = [*_docstring(network), *arguments.lines]
    if not chosen.branching:
        scope = _scope(network, names, arguments, members)
        body += _run(network, chosen.methods[0], scope, arguments)
        return ([*head, *indented(_without_unused(body, arguments.sizes.values()))],)
    methods = [_method(network, method, arguments, members) for method in chosen.methods]
    calls = {
        method.name: f"return self.{method.name}({', '.join(given)})"
        for method, (given, _) in zip(chosen.methods, methods, strict=True)
    }
    body += _choice(chosen, calls)
    forward = [*head, *indented(_without_unused(body, arguments.sizes.values()))]
    return (forward, *(lines for _, lines in methods))


def like(
    network: TensorNetwork, members: ParameterAccess, arguments: Arguments | None = None
) -> str:
    """A tensor that constants take their dtype and device from; `self._like` where none has it."""
    for parameter in members.parameters:
        return replace(members, around={}).read(parameter.key)
    floats = [held.name for held in network.inputs if not held.integer]
    if floats and arguments is not None:
        return arguments.expressions[floats[0]]
    return "self._like"


def needs_like(network: TensorNetwork, members: ParameterAccess) -> bool:
    """Whether neither a parameter nor an input says which dtype results have."""
    return not members.parameters and all(given.integer for given in network.inputs)


def given_text(network: TensorNetwork) -> str:
    """The declarations of the inputs, the first of many; the members of a family by name."""
    given = [held.name if held.subscripts else held.written for held in network.inputs]
    return ", ".join(given if len(given) <= 4 else [*given[:2], "…"])


def shapes_text(network: TensorNetwork) -> str:
    """What goes in and what comes out: `(..., 64, 2) -> (..., 10)`."""
    shapes = [_shape_text(held.axes) for held in network.inputs]
    given = ", ".join(shapes if len(shapes) <= 4 else [*shapes[:2], "…"])
    return f"{given} -> {_shape_text(network.output.axes)}".removeprefix(" -> ")


def _shape_text(axes: Sequence[Axis]) -> str:
    """The lengths of axes; those known at run time only by name."""
    shown = [axis for axis in axes if axis.kind != "onehot"]
    lengths = [
        str(axis.length) if axis.length is not None else " ".join(axis.indices) for axis in shown
    ]
    if len(lengths) > 8:
        lengths = [*lengths[:3], "…", lengths[-1]]
    return f"({', '.join(lengths)}{',' if len(lengths) == 1 and lengths != ['...'] else ''})"


def _returns(network: TensorNetwork) -> str:
    return "tuple[Tensor, Tensor]" if network.output.log else "Tensor"


def _docstring(network: TensorNetwork) -> list[str]:
    text = network.output.written + (f" of {given_text(network)}." if network.inputs else ".")
    return docstring([text if len(text) <= 85 else f"{network.output.written}."])


def _scope(
    network: TensorNetwork, names: Names, arguments: Arguments, members: ParameterAccess
) -> Scope:
    """What steps may refer to."""
    tensor = like(network, members, arguments)
    return Scope(
        names, members, arguments.expressions, arguments.sizes, f"{tensor}.dtype",
        f"{tensor}.device",
    )  # fmt: skip


# ── the choice ─────────────────────────────────────────────────────────────────────────────────


def _choice(chosen: Dispatch, calls: dict[str, str]) -> list[str]:
    """Which method runs: one for compilers, else by mode and batch size."""
    lines = [COMPILING, *indented([calls[chosen.whole]])]
    if _ways(chosen.training) == _ways(chosen.inference):
        return lines + _by_size(chosen.inference, chosen.size, calls, INDENT)
    lines.append("if torch.is_grad_enabled():")
    lines += indented(_by_size(chosen.training, chosen.size, calls, INDENT + 4))
    return lines + _by_size(chosen.inference, chosen.size, calls, INDENT)


def _ways(cases: Sequence[Case]) -> list[tuple[str, int | None]]:
    """What runs at which sizes, whatever the reasons."""
    return [(case.method, case.up_to) for case in cases]


def _by_size(cases: Sequence[Case], size: str, calls: dict[str, str], indent: int) -> list[str]:
    lines: list[str] = []
    for case in cases[:-1]:
        lines += statement(f"if {size} <= {case.up_to}:", case.reason, indent=indent)
        lines += indented([calls[case.method]])
    return lines + statement(calls[cases[-1].method], cases[-1].reason, indent=indent)


def _method(
    network: TensorNetwork, method: Method, arguments: Arguments, members: ParameterAccess
) -> tuple[list[str], list[str]]:
    """The method of one program: what it is called with, and its lines."""
    inputs, sizes = arguments.parameters.values(), arguments.sizes.values()
    lead = [] if arguments.lead is None else [arguments.lead]
    scope = _scope(network, Names(["self", *inputs, *lead, *sizes]), arguments, members)
    body = _run(network, method, scope, arguments)
    words = {word for line in body for word in _words(line)}
    types = dict.fromkeys(inputs, "Tensor")
    types |= dict.fromkeys(lead, "tuple[int, ...]") | dict.fromkeys(sizes, "int")
    used = [name for name in types if name in words]
    signature = ["self", *(f"{name}: {types[name]}" for name in used)]
    head = call(f"def {method.name}(", signature, f") -> {_returns(network)}:", indent=4)
    room = WIDTH - INDENT
    uses = filled(f"Runs {'; '.join(method.uses)}.", room - 3, before=3)
    order = write_order(method.program, method.origin, arguments.sizes, room)
    text = docstring([*uses, *(["", *order] if order else [])])
    return used, [*head, *indented([*text, *body])]


# ── running a program ──────────────────────────────────────────────────────────────────────────


def _run(network: TensorNetwork, method: Method, scope: Scope, arguments: Arguments) -> list[str]:
    """The steps of a program and what they return."""
    written = write_steps(method.program, scope, origin=method.origin, owned=not network.output.log)
    ending = _returned(network, method.program, scope, arguments.lead, written)
    return [*written.lines, *ending]


def _returned(
    network: TensorNetwork,
    program: TensorProgram,
    scope: Scope,
    lead: str | None,
    written: Written,
) -> list[str]:
    """The end of `forward`: the result with its leading axes."""
    dotted = any(axis.kind == "dots" for axis in network.output.axes)
    shape = scope.shape(program.values[program.returns[0]])
    if not dotted:
        lead = None
    if network.output.log:
        return _sign_and_logarithm(scope, lead, shape, written)
    if lead is None:
        return _laid_out("return ", written, shape)
    lengths = [f"*{lead}", *shape[1:]] if shape[1:] else [lead]
    text = written.unshaped[0]
    if text == written.results[0]:
        name = text if text.isidentifier() else scope.names.fresh("y")
        lines = [] if text.isidentifier() else [f"{name} = {text}"]
        shaped = f"return {name} if len({lead}) == 1 else {name}.reshape({', '.join(lengths)})"
        if len(shaped) + INDENT <= WIDTH:
            return [*lines, shaped]
    flat = f"return {text}.reshape({', '.join(lengths)})"
    if len(flat) + INDENT <= WIDTH:
        return [flat]
    name = scope.names.fresh("y")
    lines = call(f"{name} = {name}.reshape(", lengths, indent=INDENT)
    return [f"{name} = {text}", *lines, f"return {name}"]


def _sign_and_logarithm(
    scope: Scope, lead: str | None, shape: tuple[str, ...], written: Written
) -> list[str]:
    """The end of a `forward` that returns a sign and a logarithm."""
    lines: list[str] = []
    result, *logarithms = written.results
    if not result.isidentifier():
        result = scope.names.fresh("t")
        lines += _laid_out(f"{result} = ", written, shape)
    sign, log = scope.names.fresh("sign"), scope.names.fresh("log")
    added = "".join(f" + {logarithm}" for logarithm in logarithms)
    # The derivative of `sgn` reads sizes, which would fix the batch of a compiled module.
    lines.append(f"{sign} = {result}.sgn() if {result}.is_complex() else {result}.sign()")
    lines.append(f"{log} = _log({result}){added}")
    if lead is not None:
        lengths = [f"*{lead}", *shape[1:]] if shape[1:] else [lead]
        lines += call(f"{sign} = {sign}.reshape(", lengths, indent=INDENT)
        lines += call(f"{log} = {log}.reshape(", lengths, indent=INDENT)
    return [*lines, f"return {sign}, {log}"]


def _laid_out(head: str, written: Written, shape: tuple[str, ...]) -> list[str]:
    """`head` and the result, of this shape; what makes it long is a `reshape` at its end."""
    result, unshaped = written.results[0], written.unshaped[0]
    if unshaped == result or len(head + result) + INDENT <= WIDTH:
        return [head + result]
    return call(f"{head}{unshaped}.reshape(", shape, indent=INDENT)


def _without_unused(lines: list[str], sizes: Iterable[str]) -> list[str]:
    """The lines without those that name a run-time size which no other line uses."""
    used = Counter(word for line in lines for word in _words(line))
    unused = tuple(f"{size} = " for size in sizes if used[size] == 1)
    return [line for line in lines if not (unused and line.startswith(unused))]


_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def _words(line: str) -> list[str]:
    """The words of a line of code, those of strings and comments left out."""
    code = _STRING.sub("", line).split("  # ")[0]
    return [] if code.startswith("#") else re.findall(r"\w+", code)
