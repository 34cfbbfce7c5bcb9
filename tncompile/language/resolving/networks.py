"""One network block with its arguments, statement by statement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NoReturn

import tncompile.language.resolving.declarations as declarations
from tncompile.language import resolved
from tncompile.language.checking import check_network
from tncompile.language.checking.capacity_rules import oversized_bonds
from tncompile.language.diagnostics.collector import Problems
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.diagnostics.errors import CompileError, InternalError
from tncompile.language.evaluating.scope import Scope
from tncompile.language.linked import ArgumentValue
from tncompile.language.resolved import ResolvedNetwork, value_text
from tncompile.language.resolving.binding import bind
from tncompile.language.resolving.inputs import resolve_input, resolve_output
from tncompile.language.resolving.resolution import Resolution
from tncompile.language.resolving.tensors import TensorResolver
from tncompile.language.resolving.windows import directed, resolve_window
from tncompile.language.syntax import tree


def resolve_network(
    block: tree.Block,
    arguments: Mapping[str, ArgumentValue],
    name: str,
    doc: str | None,
    *,
    instance: bool = False,
) -> ResolvedNetwork:
    """The network that `block` is with these arguments; `name` is what it is called by.

    The arguments are part of what calls it, except where `name` is that of a named instance.

    Raises `CompileError` with everything that is wrong in the first stage that fails: arguments,
    `let` and `require`; sizes and families; structure.
    """
    problems = Problems()
    state = Resolution(problems, Scope())
    bind(block, arguments, state.scope, problems)
    problems.raise_errors()
    values = {p.name.text: state.scope.values[p.name.text] for p in block.parameters}
    for statement in block.statements:
        if isinstance(statement, tree.Let):
            declarations.resolve_let(statement, state)
        elif isinstance(statement, tree.Require):
            declarations.resolve_require(statement, state)
    if any(error.code is Code.REQUIREMENT_FAILED for error in problems.errors):
        problems.raise_errors()  # what it would have ruled out is not looked at
    tensors = TensorResolver(state)
    inputs: list[resolved.ResolvedInput] = []
    output: resolved.ResolvedOutput | None = None
    for statement in block.statements:
        match statement:
            case tree.IndexStatement(kind, indices):
                for declaration in indices:
                    declarations.resolve_index(declaration, kind, state)
            case tree.BatchStatement():
                declarations.resolve_batch(statement, state)
            case tree.WindowStatement(windows):
                for window in windows:
                    resolve_window(window, state)
            case tree.InputStatement():
                inputs.extend(resolve_input(statement, state))
            case tree.TensorStatement():
                tensors.tensor(statement)
            case tree.BiasStatement():
                tensors.bias(statement)
            case tree.OutputStatement():
                output = resolve_output(statement, state)
            case _:
                pass
    problems.raise_errors()
    if output is None:
        raise InternalError(f"the output of `{name}` failed without a diagnostic")
    leading = any(axis.kind == "dots" for axis in output.axes)
    dots = resolved.ResolvedIndex(resolved.DOTS, "dots", None, resolved.DOTS)
    written = ", ".join(f"{key} = {value_text(values[key])}" for key in values if key in arguments)
    network = ResolvedNetwork(
        name=name,
        target=name if instance or not written else f"{name}({written})",
        doc=doc,
        values=values,
        indices=(dots, *state.indices) if leading else tuple(state.indices),
        windows=directed(state.windows, inputs, output),
        inputs=tuple(inputs),
        parameters=tuple(tensors.parameters.values()),
        tensors=tuple(tensors.tensors),
        biases=tuple(tensors.biases),
        output=output,
        block=block,
        uniform=frozenset(state.scope.uniform),
    )
    problems.extend(check_network(network))
    problems.raise_errors()
    defaults = values.keys() - arguments.keys() if arguments else set[str]()

    def origin(family: str) -> tuple[Label, ...] | None:
        """Where a size comes from; None where it is a default that the arguments left alone."""
        declaration = state.families[family].declaration
        if declaration is None:
            return ()
        if not defaults.isdisjoint(state.scope.traced(declaration.size)):
            return None
        return state.scope.origin(declaration.size)

    problems.extend(oversized_bonds(network, origin))
    return replace(network, warnings=problems.warnings)


def raise_one(diagnostic: Diagnostic) -> NoReturn:
    """End the stage with this one diagnostic."""
    raise CompileError((diagnostic,))
