"""The rules on names in a network block: unknown, repeated, of the wrong kind, never used.

A hint says what to write in the place of a wrong name, so that it is not refused again.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

import tncompile.language.checking.symbols as symbols
from tncompile.language.checking.symbols import BlockNames, Declared, LegUse, Rule, Use
from tncompile.language.diagnostics.collector import listed, problem, with_article
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.evaluating.functions import FUNCTIONS
from tncompile.language.parsing.lexer import one_line
from tncompile.language.syntax import tree

_FREE = ("i", "j", "o", "p", "q", "r", "s")
_LONGEST_SIZE = 40
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
    values = _of_kinds(names, symbols.VALUE_KINDS)
    subscripts = {
        node.name.span: leg_use
        for leg_use in names.legs
        for node in leg_use.leg.subscripts
        if isinstance(node, tree.Reference) and not leg_use.on_family
    }
    for use, others in _wrong_uses(names, names.values, symbols.VALUE_KINDS):
        name = use.name.text
        if use.declared is not None:
            note = "expressions use parameters and `let`s"
            hint = _size_of(use.declared) or "use a value here"
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
            elif _in_a_window(use.name, names.block):
                hint = f'write it in quotes: `"{name}"`'
            elif (leg := subscripts.get(use.name.span)) is not None:
                hint = _for_all_members(leg, name)
            elif (family := _range_for(use, names)) is not None:
                hint = family
            yield _unknown(use.name, names, [*use.local, *values], "value", hint, others)


def _in_a_window(name: tree.Name, block: tree.Block) -> bool:
    """Whether a name is meant as a word that a window takes: `padding = same`."""
    windows = (each for each in block.statements if isinstance(each, tree.WindowStatement))
    inside = any(each.span.start < name.span.start < each.span.end for each in windows)
    return inside and any(name.text in words for words in symbols.WINDOW_WORDS.values())


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
    candidates = _of_kinds(names, symbols.LEG_KINDS)
    written = (Use(use.leg.name, use.declared) for use in names.legs)
    for use, others in _wrong_uses(names, written, symbols.LEG_KINDS):
        uses = leg_uses[use.name.text]
        if use.declared is not None:
            note = "legs are indices, bonds, hypers and batch axes"
            hint = _sized_leg(use.declared, uses, names.scope) or "use a leg here"
            yield _wrong_kind(use.name, use.declared, "a leg", note, hint, others)
        else:
            hint = _missing_leg(uses)
            what = "window" if uses[0].leg.face else "index"
            beside = frozenset[str]().union(*(leg_use.statement.single for leg_use in uses))
            yield _unknown(use.name, names, candidates, what, hint, others, beside)


def unknown_tie(names: BlockNames) -> Iterator[Diagnostic]:
    """TN201: `tie` names a tensor that is declared before."""
    for use in names.ties:
        name = use.tie.name
        if len(use.tie.place) > 1 or use.tie.own:
            message, label = "a network has no parts to tie inside of", "a place inside a part"
            note = "a tensor of a network is tied to one of the same network"
            hint = "tie the parts in the model: `part q = N() tie p.inner`"
            yield problem(Code.MISPLACED, message, use.tie.span, label, note, hint)
            continue
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
    name: tree.Name,
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
    name: tree.Name,
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
        start, declared = name.span.start, names.scope.get(close)
        if declared is not None and declared.name.span.start > start:
            hint = f"did you mean `{close}`? Its declaration has to stand before"
        elif not any(
            parameter.name.text == close and parameter.span.start <= start < parameter.span.end
            for parameter in names.block.parameters
        ):  # the name does not help to declare it
            hint = f"did you mean `{close}`?"
    message, label = f"there is no {what} `{name.text}`", "unknown name"
    note = f"known here: {listed(candidates)}" if candidates else f"no {what} is declared here"
    return problem(Code.UNKNOWN_NAME, message, name.span, label, note, hint, others)


def _outputs(names: BlockNames) -> list[tree.OutputStatement]:
    return [s for s in names.block.statements if isinstance(s, tree.OutputStatement)]


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


# ── hints ────────────────────────────────────────────────────────────────────────────────────────


def _for_all_members(use: LegUse, subscript: str) -> str:
    """What to write for `b[k]` on something that has no subscript `k`."""
    hint = f"write `{use.leg.name.text}[*]` for all members"
    if use.statement.where == "tensor":
        return f"{hint}, or make a family: `tensor A[{subscript} in 0..n](…)`"
    if use.statement.where == "input":
        return f"{hint}; for vectors that are stacked, write `{subscript} in 0..n` before it"
    return hint


def _missing_leg(uses: list[LegUse]) -> str:
    """What to declare for a name that is a leg; with one end alone it would be refused again."""
    name, kind, other = uses[0].leg.name.text, _leg_kind(uses), _other_end(uses)
    if uses[0].leg.face:
        written = f"{name}[a in 0..n]" if _arity(uses) else name
        return f"declare it before: `window {written} = conv(size = 3)`"
    also = f", and put it on {other}, too" if other else ""
    if kind == "batch":
        return f"declare it before: `batch {name}`{also}"
    ranges = ("", "[k in 0..n]", "[j in 0..m, k in 0..n]")[min(_arity(uses), 2)]
    return f"declare it before: `{kind} {name}{ranges} = …`{also}"


def _arity(uses: list[LegUse]) -> int:
    return max(len(use.leg.subscripts) for use in uses)


def _other_end(uses: list[LegUse]) -> str:
    """What a leg has to be on, too, where this is its only end."""
    places = [use.statement.where for use in uses if use.statement.where != "bias"]
    if len(places) > 1 or (places == ["tensor"] and uses[0].on_family):
        return ""
    return "an input or the output" if places == ["tensor"] else "a tensor"


def _leg_kind(uses: list[LegUse]) -> str:
    """What a leg has to be, told from where it is."""
    places = {use.statement.where for use in uses}
    arity = _arity(uses)
    if places == {"input", "output"} and not arity:
        return "batch"
    if places != {"tensor"}:
        return "index"
    if not arity and (len(uses) > 2 or any(use.on_family for use in uses)):
        return "hyper"
    return "bond" if len(uses) > 1 else "index"


def _range_for(use: Use, names: BlockNames) -> str | None:
    """What to write for `index o = 3 if k == 2` where `k` is a subscript elsewhere."""
    if use.size_of is None or use.name.text not in names.subscripts:
        return None
    kind, declaration = use.size_of
    if declaration.subscripts:
        return None
    written = f"{kind} {declaration.name.text}[{use.name.text} in 0..n] = …"
    return f"make it a family: `{written}`"


def _size_of(declared: Declared) -> str | None:
    """What to write for the size of an index: what its declaration says."""
    if not isinstance(declared.by, tree.IndexDeclaration) or declared.arity:
        return None
    size = one_line(declared.by.size.span)
    short = len(size) <= _LONGEST_SIZE and "#" not in size
    return f"write its size, `{size}`" if short else None


def _sized_leg(declared: Declared, uses: list[LegUse], scope: Container[str]) -> str | None:
    """An index whose size is the parameter or the value that is written as a leg."""
    value = declared.name.text
    parameter = declared.by if isinstance(declared.by, tree.Parameter) else None
    if declared.kind not in ("length", "let", "parameter"):
        return None
    if any(use.leg.subscripts or use.leg.face for use in uses):
        return None  # meant as something else
    if parameter is not None and parameter.type.name.text != "int":
        return None
    kind = _leg_kind(uses)
    kind = "index" if kind == "batch" else kind
    leg = next((name for name in _FREE if name not in scope), f"{value}_")
    other = _other_end(uses)
    here = f"here and on {other}" if other else "here"
    length = None if parameter is None else parameter.type.length
    if length is None:
        written = f"{kind} {leg} = {value}"
        return f"declare one of that size, `{written}`, and write `{leg}` {here}"
    count = one_line(length.span)
    written = f"{kind} {leg}[k in 0..{count}] = {value}[k]"
    return f"declare them with these sizes, `{written}`, and write `{leg}[*]` {here}"


RULES: tuple[Rule, ...] = (
    unknown_value,
    unknown_leg,
    unknown_tie,
    unknown_share,
    declared_twice,
    no_output,
    never_used,
)
