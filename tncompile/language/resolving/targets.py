"""A TARGET and Python arguments to the network that they ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from tncompile.language.diagnostics.collector import (
    Problems,
    Suggestions,
    listed,
    problem,
    with_article,
)
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.diagnostics.errors import CompileError, InternalError
from tncompile.language.linked import (
    ArgumentValue,
    LinkedBlock,
    LinkedProgram,
    called_from,
    can_be_compiled,
)
from tncompile.language.parsing import parse_target
from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.resolving.arguments import Matched, called_name, match_call, match_values
from tncompile.language.resolving.networks import raise_one, resolve_network
from tncompile.language.syntax.source import Span
from tncompile.language.syntax.tree import Block, Call

_DECLARE = "declare a block: `network N(d: int = 4) { … }`"


def resolve(
    linked: LinkedProgram, target: str, arguments: Mapping[str, object] | None = None
) -> ResolvedNetwork:
    """The network that `target` names: a name, or a call in the language (`MPO(ins = [4, 8])`).

    An empty target means the file's only block. `arguments` are Python values by parameter.
    Problems with arguments are reported at the parameters' declarations; a target that names
    nothing, in the target itself. Raises `CompileError`.
    """
    call = parse_target(target) if target.strip() else None
    block = _only_block(linked) if call is None else _named_block(linked, call)
    _require_network(block, linked)
    written = call.arguments if call is not None else ()
    if block.name in linked.instances and not written and not arguments:
        return linked.instances[block.name]
    definition = _definition(block)
    if block.arguments is not None:
        if written or arguments:
            _refuse_arguments(block)
        try:
            return resolve_network(
                definition, block.arguments, block.name, block.doc, instance=True
            )
        except CompileError as error:
            raise _labelled(error, block.declared, block.arguments) from None
    problems = Problems()
    matched = Matched(definition, None, problems, Suggestions())
    try:
        match_call(matched, written)
        match_values(matched, arguments or {})
        matched.check_missing()
        problems.raise_errors()
        return resolve_network(definition, matched.arguments, block.name, block.doc)
    except CompileError as error:
        if call is None or not block.imported:
            raise
        raise _labelled(error, call.span, matched.arguments) from None


def _labelled(
    error: CompileError, caller: Span, arguments: Mapping[str, ArgumentValue]
) -> CompileError:
    """The error with labels where the block is called."""
    return CompileError(tuple(called_from(caller, arguments, error.diagnostics)))


def _definition(block: LinkedBlock) -> Block:
    if isinstance(block.definition, Block):
        return block.definition
    raise InternalError(f"`{block.name}` is a network without a definition")


def _refuse_arguments(block: LinkedBlock) -> NoReturn:
    raise_one(
        problem(
            Code.WRONG_ARGUMENT,
            f"`{block.name}` is a named instance and takes no arguments",
            block.declared,
            "its arguments are given here",
            notes=("a named instance is itself without parameters",),
            hint="name the block behind it instead",
        )
    )


def _only_block(linked: LinkedProgram) -> LinkedBlock:
    own = [block for block in linked.blocks.values() if not block.imported]
    if len(own) == 1:
        return own[0]
    names = [block.name for block in own]
    span = own[0].declared if own else Span(linked.source, 0, 0)
    message = (
        "several blocks: one of them has to be named" if own else "there is no block to compile"
    )
    hint = _DECLARE
    if ready := [block for block in own if can_be_compiled(block)]:
        hint = f"name it: `{_suggested(ready)}`"
    elif ready := [block for block in linked.blocks.values() if can_be_compiled(block)]:
        hint = f"name an imported block: `{_suggested(ready)}`"
    raise_one(
        problem(
            Code.UNKNOWN_NAME,
            message,
            span,
            "the first one" if own else "",
            notes=(
                f"the blocks of this file: {listed(names)}" if own else "the file declares none",
            ),
            hint=hint,
        )
    )


def _suggested(blocks: Sequence[LinkedBlock]) -> str:
    """A target to begin with: what needs no arguments before what does."""

    def order(block: LinkedBlock) -> tuple[bool, bool]:
        return bool(_needed(block)), block.arguments is None

    first = min(blocks, key=order)
    needed = ", ".join(f"{name} = …" for name in _needed(first))
    return f"{first.name}({needed})" if needed else first.name


def _needed(block: LinkedBlock) -> list[str]:
    """The parameters without a default."""
    return [parameter.name for parameter in block.parameters if parameter.default is None]


def _named_block(linked: LinkedProgram, call: Call) -> LinkedBlock:
    name = called_name(call)
    text = name.name.text if name is not None else call.function.span.text
    if text in linked.blocks:
        return linked.blocks[text]
    ready = [name for name, block in linked.blocks.items() if can_be_compiled(block)]
    close = Suggestions().closest(text, ready)
    known, hint = "the file has no networks", _DECLARE
    if ready:
        known = f"known here: {listed(ready)}"
        hint = f"did you mean `{close}`?" if close else "name one of these"
    raise_one(
        problem(
            Code.UNKNOWN_NAME,
            f"there is no block `{text}` in `{linked.source.name}`",
            call.function.span,
            "unknown name",
            notes=(known,),
            hint=hint,
        )
    )


def _require_network(block: LinkedBlock, linked: LinkedProgram) -> None:
    if block.kind == "network":
        return
    ready = [name for name, each in linked.blocks.items() if can_be_compiled(each)]
    raise_one(
        problem(
            Code.UNKNOWN_NAME,
            f"`{block.name}` is {with_article(block.kind)}; {block.kind}s cannot be compiled yet",
            block.declared,
            f"this is {with_article(block.kind)}",
            notes=(f"this version parses and formats {block.kind} blocks, and compiles networks",),
            hint=f"compile a network: {listed(ready)}" if ready else _DECLARE,
        )
    )
