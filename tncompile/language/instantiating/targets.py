"""A TARGET and Python arguments to the network that they ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tncompile.language.diagnostics.collector import Problems, Suggestions, listed, problem
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic
from tncompile.language.diagnostics.errors import CompileError, InternalError
from tncompile.language.instantiating.instances import Instances
from tncompile.language.linked import LinkedBlock, LinkedProgram, called_from, can_be_compiled
from tncompile.language.parsing import parse_target
from tncompile.language.resolving.arguments import Matched, called_name, match_call, match_values
from tncompile.language.resolving.networks import raise_one
from tncompile.language.syntax.source import Span
from tncompile.language.syntax.tree import Block, Call
from tncompile.language.typing.model import Resolved

_DECLARE = "declare a block: `network N(d: int = 4) { … }`"


def resolve(
    linked: LinkedProgram, target: str, arguments: Mapping[str, object] | None = None
) -> Resolved:
    """What `target` names: a name, or a call in the language (`MPO(ins = [4, 8])`).

    An empty target means the file's only block. `arguments` are Python values by parameter.
    Problems with arguments are reported at the parameters' declarations; a target that names
    nothing, in the target itself. Raises `CompileError`.
    """
    call = parse_target(target) if target.strip() else None
    block = _only_block(linked) if call is None else _named_block(linked, call)
    if not can_be_compiled(block):
        raise_one(_refused(linked, block))
    written = call.arguments if call is not None else ()
    if block.name in linked.instances and not written and not arguments:
        return linked.instances[block.name]
    if not isinstance(block.definition, Block):
        raise InternalError(f"`{block.name}` is a {block.kind} without a definition")
    instantiate = Instances()
    if block.arguments is not None:
        if written or arguments:
            message = f"`{block.name}` is a named instance and takes no arguments"
            label, hint = "its arguments are given here", "name the block behind it instead"
            note = "a named instance is itself without parameters"
            raise_one(problem(Code.WRONG_ARGUMENT, message, block.declared, label, note, hint))
        try:
            return instantiate(block, block.arguments, {})
        except CompileError as error:
            diagnostics = called_from(block.declared, block.arguments, error.diagnostics)
            raise CompileError(tuple(diagnostics)) from None
    problems = Problems()
    matched = Matched(block.definition, None, problems, Suggestions())
    try:
        match_call(matched, written)
        match_values(matched, arguments or {})
        matched.check_missing()
        problems.raise_errors()
        return instantiate(block, matched.arguments, {})
    except CompileError as error:
        if call is None or not block.imported:
            raise
        diagnostics = called_from(call.span, matched.arguments, error.diagnostics)
        raise CompileError(tuple(diagnostics)) from None


def _refused(linked: LinkedProgram, block: LinkedBlock) -> Diagnostic:
    """What cannot be compiled by itself: rewrites (TN201), models that take parts (TN305)."""
    ready = [name for name, other in linked.blocks.items() if can_be_compiled(other)]
    hint = f"name a network or a model: {listed(ready)}" if ready else _DECLARE
    if block.kind == "model":
        message = f"`{block.name}` takes a part: it can only be a part itself"
        note = "the parts that a model is handed belong to the model that it is a part of"
        span, label = block.declared, "takes a part"
        return problem(Code.WRONG_TYPE, message, span, label, note, hint)
    message = f"`{block.name}` is a {block.kind}, which cannot be compiled"
    note, label = "networks and models can be compiled", f"this is a {block.kind}"
    return problem(Code.UNKNOWN_NAME, message, block.declared, label, note, hint)


def _only_block(linked: LinkedProgram) -> LinkedBlock:
    own = [block for block in linked.blocks.values() if not block.imported]
    if len(own) == 1:
        return own[0]
    hint = _DECLARE
    if ready := [block for block in own if can_be_compiled(block)]:
        hint = f"name it: `{_suggested(ready)}`"
    elif ready := [block for block in linked.blocks.values() if can_be_compiled(block)]:
        hint = f"name an imported block: `{_suggested(ready)}`"
    if own:
        message = "several blocks: one of them has to be named"
        note = f"the blocks of this file: {listed(block.name for block in own)}"
        raise_one(problem(Code.UNKNOWN_NAME, message, own[0].declared, "the first one", note, hint))
    message, span = "there is no block to compile", Span(linked.source, 0, 0)
    raise_one(problem(Code.UNKNOWN_NAME, message, span, "", "the file declares none", hint))


def _suggested(blocks: Sequence[LinkedBlock]) -> str:
    """A target to begin with: what needs no arguments before what does."""
    first = min(blocks, key=lambda block: (bool(_needed(block)), block.arguments is None))
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
    note, hint = "the file has no networks", _DECLARE
    if ready:
        note = f"known here: {listed(ready)}"
        hint = f"did you mean `{close}`?" if close else "name one of these"
    message, span = f"there is no block `{text}` in `{linked.source.name}`", call.function.span
    raise_one(problem(Code.UNKNOWN_NAME, message, span, "unknown name", note, hint))
