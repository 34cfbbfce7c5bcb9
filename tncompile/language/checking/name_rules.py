"""The rules on names in a network block: unknown, repeated, of the wrong kind, never used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tncompile.language.checking.declaration_hints import (
    BlockDeclarations,
    for_all_members,
    missing_leg,
)
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

_READABLE = {
    "parameter": "parameter",
    "length": "length of a list",
    "let": "value",
    "subscript": "subscript",
}


def kind_text(declared: Declared) -> str:
    """What a name is, with its article: `a parameter`, `an index`."""
    return with_article(_READABLE.get(declared.kind, declared.kind))


def _first_uses(uses: Iterable[Use]) -> Iterator[tuple[Use, tuple[Label, ...]]]:
    """Each wrong name once: where it is used first, and labels for the next few uses."""
    grouped: dict[str, list[Use]] = {}
    for use in uses:
        grouped.setdefault(use.name.text, []).append(use)
    for first, *others in grouped.values():
        yield first, tuple(Label(use.name.span, "and here") for use in others[:3])


def _of_kinds(names: BlockNames, kinds: Iterable[str]) -> list[str]:
    wanted = set(kinds)
    return [name for name, declared in names.scope.items() if declared.kind in wanted]


def unknown_value(names: BlockNames) -> Iterator[Diagnostic]:
    """TN201: an expression uses parameters, lengths, `let` values and subscripts."""
    wrong = (
        use
        for use in names.values
        if not (use.declared is not None and use.declared.kind in VALUE_KINDS)
        and not names.ambiguous(use.name)
    )
    values = _of_kinds(names, VALUE_KINDS)
    declarations = BlockDeclarations(names)
    subscripts = {
        node.name.span: each
        for each in names.legs
        for node in each.leg.subscripts
        if isinstance(node, Reference) and not each.on_family
    }
    for use, others in _first_uses(wrong):
        if use.declared is not None:
            note = "expressions use parameters and `let`s"
            hint = declarations.size_of(use.declared) or "use a value here"
            yield _wrong_kind(use, "a value", note, hint, others)
        elif use.name.text in FUNCTIONS and use.name.text not in names.scope:
            yield _function_as_value(use.name, others)
        else:
            candidates = [*use.local, *values]
            leg = subscripts.get(use.name.span)
            hint = foreign_constant(use.name.text) or (
                for_all_members(leg, use.name.text)
                if leg is not None
                else declarations.range_for(use.name) or "declare it with `let`, or as a parameter"
            )
            yield _unknown(use.name, names, candidates, "value", hint, others)


def foreign_constant(name: str) -> str | None:
    """What to write for `True`, `False` and the words for nothing."""
    match name.casefold():
        case "true" | "false" as truth:
            return f"did you mean `{truth}`?"
        case "none" | "null" | "nil":
            return "nothing is no value: leave out with `if` what may be absent"
        case _:
            return None


def _function_as_value(name: Name, others: tuple[Label, ...]) -> Diagnostic:
    return problem(
        Code.UNKNOWN_NAME,
        f"`{name.text}` is a function",
        name.span,
        "a function is no value",
        secondary=others,
        notes=("functions are called, they cannot be passed on",),
        hint=f"call it: `{FUNCTIONS[name.text].signature}`",
    )


def unknown_leg(names: BlockNames) -> Iterator[Diagnostic]:
    """TN201: a leg is an index, a bond, a hyper, a batch axis or a window."""
    wrong = (
        Use(use.leg.name, use.declared)
        for use in names.legs
        if not (use.declared is not None and use.declared.kind in LEG_KINDS)
        and not names.ambiguous(use.leg.name)
    )
    uses: dict[str, list[LegUse]] = {}
    for each in names.legs:
        uses.setdefault(each.leg.name.text, []).append(each)
    candidates = _of_kinds(names, LEG_KINDS)
    declarations = BlockDeclarations(names)
    for use, others in _first_uses(wrong):
        if use.declared is not None:
            note = "legs are indices, bonds, hypers and batch axes"
            hint = declarations.sized_leg(use.declared, uses[use.name.text]) or "use a leg here"
            yield _wrong_kind(use, "a leg", note, hint, others)
        else:
            hint = missing_leg(uses[use.name.text])
            beside = frozenset[str]().union(*map(declarations.beside, uses[use.name.text]))
            yield _unknown(use.name, names, candidates, "index", hint, others, beside)


def unknown_tie(names: BlockNames) -> Iterator[Diagnostic]:
    """TN201: `tie` names a tensor that is declared before."""
    for use in names.ties:
        name = use.tie.name
        if names.ambiguous(name):
            continue
        if use.declared is not None and use.declared.kind != "tensor":
            note = "a tensor is tied to a tensor"
            yield _wrong_kind(Use(name, use.declared), "a tensor", note, "use a tensor here", ())
        elif use.declared is None and name.text == use.tensor.name.text:
            yield problem(
                Code.UNKNOWN_NAME,
                f"`{name.text}` cannot be tied to itself",
                name.span,
                "this is the tensor itself",
                notes=("a tensor is tied to one that is declared before it",),
                hint="`share k` makes the members of one family one parameter",
            )
        elif use.declared is None:
            candidates = _of_kinds(names, ("tensor",))
            hint = "declare the tensor before the one that is tied to it"
            yield _unknown(name, names, candidates, "tensor", hint, ())


def unknown_share(names: BlockNames) -> Iterator[Diagnostic]:
    """TN201: `share` names a subscript of its own tensor."""
    for use in names.shares:
        if use.declared is not None:
            continue
        other = names.scope.get(use.name.text)
        close = names.suggestions.closest(use.name.text, use.local)
        what = f"`{use.name.text}` is no subscript of this tensor"
        yield problem(
            Code.UNKNOWN_NAME,
            what if other is None else f"{what}, it is {kind_text(other)}",
            use.name.span,
            "not a subscript here",
            notes=(
                "`share k` makes one parameter of all values of the tensor's own subscript `k`",
            ),
            hint=f"did you mean `{close}`?"
            if close
            else "name a subscript of the tensor: `tensor G[k in 0..n](…) share k`",
        )


def declared_twice(names: BlockNames) -> Iterator[Diagnostic]:
    """TN202: one scope a block, and no shadowing."""
    outputs = {id(output.name) for output in _outputs(names)}
    for later, earlier in names.repeated:
        if earlier.kind == "output" and id(later) in outputs:
            continue  # TN406
        yield problem(
            Code.DECLARED_TWICE,
            f"`{later.text}` is declared twice",
            later.span,
            "again here",
            secondary=(Label(earlier.name.span, f"first here, as {kind_text(earlier)}"),),
            notes=("a block has one scope, and nothing in it hides another name",),
            hint="rename one of the two",
        )


def never_used(names: BlockNames) -> Iterator[Diagnostic]:
    """TN204: a parameter or a `let` that nothing reads; a list that binds a used length counts."""
    used = names.used
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
        if declared.kind not in ("parameter", "let") or name in used:
            continue
        if bound.get(name) in used:
            continue
        what = "parameter" if declared.kind == "parameter" else "value"
        yield problem(
            Code.NEVER_USED,
            f"the {what} `{name}` is never used",
            declared.name.span,
            "never used",
            notes=(f"a {what} that changes nothing is often a typo elsewhere",),
            hint="use it, or remove it",
        )


def _wrong_kind(
    use: Use, wanted: str, note: str, hint: str, others: tuple[Label, ...]
) -> Diagnostic:
    declared = use.declared
    assert declared is not None
    return problem(
        Code.UNKNOWN_NAME,
        f"`{use.name.text}` is {kind_text(declared)}, not {wanted}",
        use.name.span,
        kind_text(declared),
        secondary=(Label(declared.name.span, "declared here"), *others),
        notes=(note,),
        hint=hint,
    )


def _unknown(
    name: Name,
    names: BlockNames,
    candidates: list[str],
    what: str,
    hint: str,
    others: tuple[Label, ...],
    excluded: frozenset[str] = frozenset(),
) -> Diagnostic:
    later = names.scope.get(name.text)
    if later is not None:
        return problem(
            Code.UNKNOWN_NAME,
            f"`{name.text}` is used before it is declared",
            name.span,
            "not declared yet",
            secondary=(Label(later.name.span, "declared here"), *others),
            notes=("every name is declared before it is used",),
            hint="move the declaration up",
        )
    close = names.suggestions.closest(name.text, candidates)
    close = None if close in excluded else close
    if close is not None and _is_later(close, name, names):
        own = names.scope[close].name.span.start < name.span.start
        if not own:
            hint = f"did you mean `{close}`? Its declaration has to stand before"
        close = None
    known = f"known here: {listed(candidates)}" if candidates else f"no {what} is declared here"
    return problem(
        Code.UNKNOWN_NAME,
        f"there is no {what} `{name.text}`",
        name.span,
        "unknown name",
        secondary=others,
        notes=(known,),
        hint=f"did you mean `{close}`?" if close else hint,
    )


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
        yield problem(
            Code.ONE_OUTPUT,
            f"the network `{names.block.name.text}` has no output",
            names.block.name.span,
            "no output",
            notes=(note,),
            hint="add `output y(…)` with the legs of the result",
        )
    for later in outputs[1:]:
        yield problem(
            Code.ONE_OUTPUT,
            "a network has one output",
            later.name.span,
            "another output",
            secondary=(Label(outputs[0].name.span, "the first output"),),
            notes=(note,),
            hint="remove one of them, or write a network for each",
        )


RULES: tuple[Rule, ...] = (
    unknown_value,
    unknown_leg,
    unknown_tie,
    unknown_share,
    declared_twice,
    no_output,
    never_used,
)
