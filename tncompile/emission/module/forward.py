"""`forward`: it checks the arguments and runs one program, or the method that is right for them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from tncompile.emission.module.arguments import Arguments, write_arguments
from tncompile.emission.module.contraction_order import write_order
from tncompile.emission.module.dispatch import Case, Dispatch, Method
from tncompile.emission.module.ids import single_ids
from tncompile.emission.module.repetition import write_repeats
from tncompile.emission.steps.expressions import Scope
from tncompile.emission.steps.statements import Written, write_steps
from tncompile.emission.text import writer
from tncompile.emission.text.identifiers import Names
from tncompile.emission.text.members import ParameterAccess
from tncompile.emission.text.writer import INDENT, WIDTH, call, indented
from tncompile.network.model import Axis, TensorNetwork
from tncompile.program import queries


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
    converted = tuple(
        parameter for parameter in members.parameters if parameter.key not in logarithms
    )
    holder = replace(members, parameters=converted).holder
    numbers = frozenset(
        name
        for name in single_ids(network)
        if all(queries.takes_number(method.program, name) for method in chosen.methods)
    )
    has_like = bool(members.parameters) or needs_like(network, members)
    arguments = write_arguments(
        network,
        names,
        bound=bound,
        holder=holder,
        numbers=numbers,
        like=like(network, members) if has_like else None,
    )
    output = f"{network.output.written}."
    text = output[:-1] + f" of {given_text(network)}." if network.inputs else output
    body = writer.docstring([text if len(text) <= 85 else output]) + arguments.lines
    methods: list[list[str]] = []
    if chosen.branching:
        calls: list[str] = []
        for method in chosen.methods:
            used, lines = _method(network, method, arguments, members)
            calls.append(f"return self.{method.name}({', '.join(used)})")
            methods.append(lines)
        compiling = "if self.batch_invariant or torch.compiler.is_compiling():"
        body += [compiling, *indented([calls[0]])]
        if chosen.repeats:
            once, by_size = write_repeats(network, chosen, arguments, _by_mode(chosen, calls))
            body += once
            methods.insert(0, by_size)
        else:
            body += _by_mode(chosen, calls)
    else:
        body += _run(network, chosen.methods[0], names, arguments, members)
    signature = ["self", *arguments.signature()]
    body = without_unused(body, arguments.sizes.values())
    return writer.function("forward", signature, _returns(network), body), *methods


def like(
    network: TensorNetwork, members: ParameterAccess, arguments: Arguments | None = None
) -> str:
    """A tensor that constants take their dtype and device from; `self._like` where none has it."""
    if members.parameters:
        return replace(members, around={}).real
    floats = [source.name for source in network.inputs if not source.integer]
    return arguments.expressions[floats[0]] if floats and arguments is not None else "self._like"


def needs_like(network: TensorNetwork, members: ParameterAccess) -> bool:
    """Whether neither a parameter nor an input says which dtype results have."""
    return not members.parameters and all(source.integer for source in network.inputs)


def given_text(network: TensorNetwork) -> str:
    """The declarations of the inputs, the first of many; the members of a family by name."""
    return _few([source.name if source.subscripts else source.written for source in network.inputs])


def shapes_text(network: TensorNetwork) -> str:
    """What goes in and what comes out: `(..., 64, 2) -> (..., 10)`."""
    inputs = _few([_shape_text(source.axes) for source in network.inputs])
    return f"{inputs} -> {_shape_text(network.output.axes)}".removeprefix(" -> ")


def _few(texts: list[str]) -> str:
    return ", ".join(texts if len(texts) <= 4 else [*texts[:2], "…"])


def _shape_text(axes: Sequence[Axis]) -> str:
    """The lengths of axes; those known at run time only by name."""
    shown = [axis for axis in axes if axis.kind != "onehot"]
    lengths = [
        " ".join(axis.indices) if axis.length is None else str(axis.length) for axis in shown
    ]
    if len(lengths) > 8:
        lengths = [*lengths[:3], "…", lengths[-1]]
    return f"({', '.join(lengths)}{',' if len(lengths) == 1 and lengths != ['...'] else ''})"


def _returns(network: TensorNetwork) -> str:
    return "tuple[Tensor, Tensor]" if network.output.log else "Tensor"


def _by_mode(chosen: Dispatch, calls: Sequence[str]) -> list[str]:
    """Which method runs where nothing is compiled: by mode and batch size, whatever the reasons."""
    lines: list[str] = []
    training, inference = (
        [(case.method, case.up_to) for case in mode] for mode in (chosen.training, chosen.inference)
    )
    if training != inference:
        by_size = _by_size(chosen.training, chosen.size, calls, INDENT + 4)
        lines += ["if torch.is_grad_enabled():", *indented(by_size)]
    return lines + _by_size(chosen.inference, chosen.size, calls, INDENT)


def _by_size(cases: Sequence[Case], size: str, calls: Sequence[str], indent: int) -> list[str]:
    lines: list[str] = []
    for case in cases[:-1]:
        lines += writer.statement(f"if {size} <= {case.up_to}:", case.reason, indent=indent)
        lines += indented([calls[case.method]])
    return lines + writer.statement(calls[cases[-1].method], cases[-1].reason, indent=indent)


def _method(
    network: TensorNetwork, method: Method, arguments: Arguments, members: ParameterAccess
) -> tuple[list[str], list[str]]:
    """The method of one program: what it is called with, and its lines."""
    types = arguments.types()
    types |= {} if arguments.lead is None else {arguments.lead: "tuple[int, ...]"}
    types |= dict.fromkeys(arguments.sizes.values(), "int")
    body = _run(network, method, Names(["self", *types]), arguments, members)
    words = {word for line in body for word in _words(line)}
    used = [name for name in types if name in words]
    room = WIDTH - INDENT
    uses = writer.filled(f"Runs {'; '.join(method.uses)}.", room - 3, before=3)
    order = write_order(method, arguments.sizes, room)
    text = writer.docstring([*uses, *(["", *order] if order else [])])
    signature = ["self", *(f"{name}: {types[name]}" for name in used)]
    return used, writer.function(method.name, signature, _returns(network), [*text, *body])


def _run(
    network: TensorNetwork,
    method: Method,
    names: Names,
    arguments: Arguments,
    members: ParameterAccess,
) -> list[str]:
    """The steps of a program and what they return."""
    tensor = like(network, members, arguments)
    dtype, device = f"{tensor}.dtype", f"{tensor}.device"
    scope = Scope(names, members, arguments.expressions, arguments.sizes, dtype, device)
    written = write_steps(method.program, scope, origin=method.origin, owned=not network.output.log)
    shape = scope.shape(method.program.values[method.program.returns[0]])
    lengths: list[str] = []
    if any(axis.kind == "dots" for axis in network.output.axes):
        lengths = [f"*{arguments.lead}", *shape[1:]] if shape[1:] else [f"{arguments.lead}"]
    if network.output.log:
        ending = _sign_and_logarithm(names, lengths, shape, written)
    elif lengths:
        ending = _with_lead(names, f"{arguments.lead}", lengths, written)
    else:
        ending = _laid_out("return ", written, shape)
    return [*written.lines, *ending]


def _with_lead(names: Names, lead: str, lengths: list[str], written: Written) -> list[str]:
    """The end of a `forward` whose result gets its leading axes back, unless they are one."""
    text = written.unshaped[0]
    if text == written.results[0]:
        name = text if text.isidentifier() else names.fresh("y")
        lines = [] if text.isidentifier() else [f"{name} = {text}"]
        shaped = f"return {name} if len({lead}) == 1 else {name}.reshape({', '.join(lengths)})"
        if len(shaped) + INDENT <= WIDTH:
            return [*lines, shaped]
    flat = f"return {text}.reshape({', '.join(lengths)})"
    if len(flat) + INDENT <= WIDTH:
        return [flat]
    name = names.fresh("y")
    lines = call(f"{name} = {name}.reshape(", lengths)
    return [f"{name} = {text}", *lines, f"return {name}"]


def _sign_and_logarithm(
    names: Names, lengths: list[str], shape: tuple[str, ...], written: Written
) -> list[str]:
    """The end of a `forward` that returns a sign and a logarithm."""
    lines: list[str] = []
    result, *logarithms = written.results
    if not result.isidentifier():
        result = names.fresh("t")
        lines += _laid_out(f"{result} = ", written, shape)
    sign, log = names.fresh("sign"), names.fresh("log")
    added = "".join(f" + {logarithm}" for logarithm in logarithms)
    # The derivative of `sgn` reads sizes, which would fix the batch of a compiled module.
    lines.append(f"{sign} = {result}.sgn() if {result}.is_complex() else {result}.sign()")
    lines.append(f"{log} = _log({result}){added}")
    for name in (sign, log) if lengths else ():
        lines += call(f"{name} = {name}.reshape(", lengths)
    return [*lines, f"return {sign}, {log}"]


def _laid_out(head: str, written: Written, shape: tuple[str, ...]) -> list[str]:
    """`head` and the result, of this shape; what makes it long is a `reshape` at its end."""
    result, unshaped = written.results[0], written.unshaped[0]
    if unshaped == result or len(head + result) + INDENT <= WIDTH:
        return [head + result]
    return call(f"{head}{unshaped}.reshape(", shape)


def without_unused(lines: list[str], sizes: Iterable[str]) -> list[str]:
    """The lines without those that name a run-time size which no other line uses."""
    while True:  # a size may be there for another one alone
        used = Counter(word for line in lines for word in _words(line))
        unused = tuple(f"{size} = " for size in sizes if used[size] == 1)
        kept = [line for line in lines if not (unused and line.startswith(unused))]
        if len(kept) == len(lines):
            return lines
        lines = kept


_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def _words(line: str) -> list[str]:
    """The words of a line of code, those of strings and comments left out."""
    code = _STRING.sub("", line).split("  # ")[0]
    return [] if code.startswith("#") else re.findall(r"\w+", code)
