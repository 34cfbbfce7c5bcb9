"""The rules on names in a network block: unknown, repeated, of the wrong kind, never used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tncompile.language.checking import declaration_hints
from tncompile.language.checking.symbols import (
    LEG_KINDS,
    VALUE_KINDS,
    BlockNames,
    Declared,
    LegUse,
    Rule,
    Use,
)
from tncompile.language.diagnostics.collector import listed, problem, with_article
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.evaluating.functions import FUNCTIONS
from tncompile.language.syntax.tree import Name, OutputStatement, Reference

_READABLE = {"length": "length of a list", "let": "value"}


def kind_text(declared: Declared) -> str:
    """What a name is, with its article: `a parameter`, `an index`."""
    return with_article(_READABLE.get(declared.kind, declared.kind))


def _wrong_uses(
    names: BlockNames, uses: Iterable[Use], kinds: tuple[str, ...]
) -> Iterator[tuple[Use, tuple[Label, ...]]]:
    """Each name of none of the kinds once: where it is first, and labels for the next few uses."""
    grouped: dict[str, list[Use]] = {}
    for use in uses:
        fits = use.declared is not None and use.declared.kind in kinds
        if not fits and not names.ambiguous(use.name):
            grouped.setdefault(use.name.text, []).append(use)
    for first, *others in grouped.values():
        yield first, tuple(Label(use.name.span, "and here") for use in others[:3])


def _of_kinds(names: BlockNames, kinds: tuple[str, ...]) -> list[str]:
    return [name for name, declared in names.scope.items() if declared.kind in kinds]


def unknown_value(names: BlockNames) -> Iterator[Diagnostic]:
    """TN201: an expression uses parameters, lengths, `let` values and subscripts."""
    values = _of_kinds(names, VALUE_KINDS)
    subscripts = {
        node.name.span: leg_use
        for leg_use in names.legs
        for node in leg_use.leg.subscripts
        if isinstance(node, Reference) and not leg_use.on_family
    }
    for use, others in _wrong_uses(names, names.values, VALUE_KINDS):
        name = use.name.text
        if use.declared is not None:
            note = "expressions use parameters and `let`s"
            hint = declaration_hints.size_of(use.declared) or "use a value here"
            yield _wrong_kind(use.name, use.declared, "a value", note, hint, others)
        elif name in FUNCTIONS and name not in names.scope:
            message, label = f"`{name}` is a function", "a function is no value"
            note = "functions are called, they cannot be passed on"
            hint = f"call it: `{FUNCTIONS[name].signature}`"
            yield problem(Code.UNKNOWN_NAME, message, use.name.span, label, note, hint, others)
        else:
            hint = "declare it with `let`, or as a parameter"
            if (constant := foreign_constant(name)) is not None:
                hint = constant
            elif (leg := subscripts.get(use.name.span)) is not None:
                hint = declaration_hints.for_all_members(leg, name)
            elif (family := declaration_hints.range_for(use, names)) is not None:
                hint = family
            yield _unknown(use.name, names, [*use.local, *values], "value", hint, others)


def foreign_constant(name: str) -> str | None:
    """What to write for `True`, `False` and the words for nothing."""
    match name.casefold():
        case "true" | "false" as truth:
            return f"did you mean `{truth}`?"
        case "none" | "null" | "nil":
            return "nothing is no value: leave out with `if` what may be absent"
        case _:
            return None


def unknown_leg(names: BlockNames) -> Iterator[Diagnostic]:
    """TN201: a leg is an index, a bond, a hyper, a batch axis or a window."""
    leg_uses: dict[str, list[LegUse]] = {}
    for leg_use in names.legs:
        leg_uses.setdefault(leg_use.leg.name.text, []).append(leg_use)
    candidates = _of_kinds(names, LEG_KINDS)
    written = (Use(use.leg.name, use.declared) for use in names.legs)
    for use, others in _wrong_uses(names, written, LEG_KINDS):
        uses = leg_uses[use.name.text]
        if use.declared is not None:
            note = "legs are indices, bonds, hypers and batch axes"
            hint = declaration_hints.sized_leg(use.declared, uses, names.scope) or "use a leg here"
            yield _wrong_kind(use.name, use.declared, "a leg", note, hint, others)
        else:
            hint = declaration_hints.missing_leg(uses)
            beside = frozenset[str]().union(*(leg_use.statement.single for leg_use in uses))
            yield _unknown(use.name, names, candidates, "index", hint, others, beside)


def unknown_tie(names: BlockNames) -> Iterator[Diagnostic]:
    """TN201: `tie` names a tensor that is declared before."""
    for use in names.ties:
        name = use.tie.name
        if names.ambiguous(name):
            continue
        if use.declared is not None and use.declared.kind != "tensor":
            note = "a tensor is tied to a tensor"
            yield _wrong_kind(name, use.declared, "a tensor", note, "use a tensor here")
        elif use.declared is None and name.text == use.tensor.name.text:
            message, label = f"`{name.text}` cannot be tied to itself", "this is the tensor itself"
            note = "a tensor is tied to one that is declared before it"
            hint = "`share k` makes the members of one family one parameter"
            yield problem(Code.UNKNOWN_NAME, message, name.span, label, note, hint)
        elif use.declared is None:
            hint = "declare the tensor before the one that is tied to it"
            yield _unknown(name, names, _of_kinds(names, ("tensor",)), "tensor", hint)


def unknown_share(names: BlockNames) -> Iterator[Diagnostic]:
    """TN201: `share` names a subscript of its own tensor."""
    for use in names.shares:
        if use.declared is not None:
            continue
        message = f"`{use.name.text}` is no subscript of this tensor"
        if (other := names.scope.get(use.name.text)) is not None:
            message += f", it is {kind_text(other)}"
        note = "`share k` makes one parameter of all values of the tensor's own subscript `k`"
        hint = "name a subscript of the tensor: `tensor G[k in 0..n](…) share k`"
        if close := names.suggestions.closest(use.name.text, use.local):
            hint = f"did you mean `{close}`?"
        span, label = use.name.span, "not a subscript here"
        yield problem(Code.UNKNOWN_NAME, message, span, label, note, hint)


def declared_twice(names: BlockNames) -> Iterator[Diagnostic]:
    """TN202: one scope a block, and no shadowing."""
    outputs = {id(output.name) for output in _outputs(names)}
    for later, earlier in names.repeated:
        if earlier.kind == "output" and id(later) in outputs:
            continue  # TN406
        message = f"`{later.text}` is declared twice"
        note = "a block has one scope, and nothing in it hides another name"
        hint = "rename one of the two"
        first = Label(earlier.name.span, f"first here, as {kind_text(earlier)}")
        yield problem(Code.DECLARED_TWICE, message, later.span, "again here", note, hint, first)


def never_used(names: BlockNames) -> Iterator[Diagnostic]:
    """TN204: a parameter or a `let` that nothing reads; a list that binds a used length counts."""
    used = {use.name.text for use in names.values}
    lengths = {
        declared.name.span: name
        for name, declared in names.scope.items()
        if declared.kind == "length"
    }
    bound = {
        parameter.name.text: lengths.get(parameter.type.length.span)
        for parameter in names.block.parameters
        if parameter.type.length is not None
    }
    for name, declared in names.scope.items():
        what = {"parameter": "parameter", "let": "value"}.get(declared.kind)
        if what is None or name in used or bound.get(name) in used:
            continue
        message, hint = f"the {what} `{name}` is never used", "use it, or remove it"
        note = f"a {what} that changes nothing is often a typo elsewhere"
        yield problem(Code.NEVER_USED, message, declared.name.span, "never used", note, hint)


def _wrong_kind(
    name: Name,
    declared: Declared,
    wanted: str,
    note: str,
    hint: str,
    others: tuple[Label, ...] = (),
) -> Diagnostic:
    kind = kind_text(declared)
    message = f"`{name.text}` is {kind}, not {wanted}"
    labels = (Label(declared.name.span, "declared here"), *others)
    return problem(Code.UNKNOWN_NAME, message, name.span, kind, note, hint, labels)


def _unknown(
    name: Name,
    names: BlockNames,
    candidates: list[str],
    what: str,
    hint: str,
    others: tuple[Label, ...] = (),
    excluded: frozenset[str] = frozenset(),
) -> Diagnostic:
    if (later := names.scope.get(name.text)) is not None:
        message = f"`{name.text}` is used before it is declared"
        label, note = "not declared yet", "every name is declared before it is used"
        hint, labels = "move the declaration up", (Label(later.name.span, "declared here"), *others)
        return problem(Code.UNKNOWN_NAME, message, name.span, label, note, hint, labels)
    close = names.suggestions.closest(name.text, candidates)
    if close is not None and close not in excluded:
        if not _is_later(close, name, names):
            hint = f"did you mean `{close}`?"
        elif names.scope[close].name.span.start >= name.span.start:
            hint = f"did you mean `{close}`? Its declaration has to stand before"
    message, label = f"there is no {what} `{name.text}`", "unknown name"
    note = f"known here: {listed(candidates)}" if candidates else f"no {what} is declared here"
    return problem(Code.UNKNOWN_NAME, message, name.span, label, note, hint, others)


def _is_later(candidate: str, name: Name, names: BlockNames) -> bool:
    """Whether a candidate is declared behind the place of the name, or by what the name is in."""
    declared = names.scope.get(candidate)
    if declared is None:
        return False
    start = name.span.start
    return declared.name.span.start > start or any(
        parameter.name.text == candidate and parameter.span.start <= start < parameter.span.end
        for parameter in names.block.parameters
    )


def _outputs(names: BlockNames) -> list[OutputStatement]:
    return [s for s in names.block.statements if isinstance(s, OutputStatement)]


def no_output(names: BlockNames) -> Iterator[Diagnostic]:
    """TN406: exactly one output."""
    outputs = _outputs(names)
    note = "a network is one sum of products, with one result"
    if not outputs:
        name = names.block.name
        message = f"the network `{name.text}` has no output"
        hint = "add `output y(…)` with the legs of the result"
        yield problem(Code.ONE_OUTPUT, message, name.span, "no output", note, hint)
    for later in outputs[1:]:
        message, label = "a network has one output", "another output"
        hint = "remove one of them, or write a network for each"
        first = Label(outputs[0].name.span, "the first output")
        yield problem(Code.ONE_OUTPUT, message, later.name.span, label, note, hint, first)


RULES: tuple[Rule, ...] = (
    unknown_value,
    unknown_leg,
    unknown_tie,
    unknown_share,
    declared_twice,
    no_output,
    never_used,
)
