"""The rules on legs in a network block: subscripts, repetitions, what belongs where."""

from __future__ import annotations

from collections.abc import Iterator

from tncompile.language.checking.name_rules import kind_text
from tncompile.language.checking.symbols import LEG_KINDS, BlockNames, Rule
from tncompile.language.checking.usage_rules import misplaced
from tncompile.language.diagnostics.collector import problem
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.parsing.lexer import one_line
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span


def no_such_member(
    family: tree.Name, span: Span, label: str, message: str, note: str, hint: str
) -> Diagnostic:
    """TN205 at `span`, where a member is used that the family does not have."""
    declared = Label(family.span, f"`{family.text}` is declared here")
    return problem(Code.NO_SUCH_MEMBER, message, span, label, note, hint, declared)


def wrong_subscripts(names: BlockNames) -> Iterator[Diagnostic]:
    """TN205: a leg has as many subscripts as its declaration, with `*` for the last ones."""
    for use in names.legs:
        declared = use.declared
        if declared is None or declared.kind not in LEG_KINDS or names.ambiguous(use.leg.name):
            continue
        name, count = declared.name.text, len(use.leg.subscripts)
        face = f".{use.leg.face.text}" if use.leg.face else ""
        star = bool(count) and isinstance(use.leg.subscripts[-1], tree.Star)
        if declared.arity == 0 and count:
            message = f"`{name}` is no family"
            one = "window" if declared.kind == "window" else "index"
            note = f"{kind_text(declared)} without subscripts is one {one}"
            hint = f"write `{name}{face}`"
            if use.leg.optional and use.on_family and not star:
                alone = f"{declared.kind} {name}[{', '.join(['k in 2..3'] * count)}] = …"
                hint = f"{hint}; what one member alone has is a family of one: `{alone}`"
        elif declared.arity and not count:
            message = f"`{name}` is a family, one of its members is needed"
            note = "a family is not a leg by itself"
            hint = f"write `{name}[…]{face}` for one member, `{name}[*]{face}` for all of them"
        elif count > declared.arity or (count < declared.arity and not star):
            message = f"`{name}` takes {_subscripts(declared.arity)}, not {count}"
            note = "a leg has the subscripts of its declaration"
            hint = f"write {_subscripts(declared.arity)}"
        else:
            continue
        yield no_such_member(declared.name, use.leg.span, "this leg", message, note, hint)


def wrong_tie_subscripts(names: BlockNames) -> Iterator[Diagnostic]:
    """TN205: families are tied by equal subscripts, or to one member."""
    for use in names.ties:
        declared = use.declared
        if declared is None or declared.kind != "tensor":
            continue
        if (len(use.tie.subscripts) or use.tensor.arity) == declared.arity:
            continue
        name, arity = declared.name.text, declared.arity
        message = f"`{name}` takes {_subscripts(arity)}" if arity else f"`{name}` is no family"
        label = "the subscripts do not fit"
        note = "families are tied by equal subscripts; a single tensor to one member"
        hint = f"name the member: `tie {name}[…]`" if arity else f"write `tie {name}`"
        yield no_such_member(declared.name, use.tie.name.span, label, message, note, hint)


def _subscripts(count: int) -> str:
    return "one subscript" if count == 1 else f"{count} subscripts"


def repeated_legs(names: BlockNames) -> Iterator[Diagnostic]:
    """TN203: the same leg written twice on one tensor."""
    for legs in names.leg_lists:
        seen: dict[str, Span] = {}
        # Without layout and `?`; members that are equal are seen when families unroll.
        written = [
            (one_line(leg.span).replace(" ", "").rstrip("?"), leg.span) for leg in legs.indices()
        ]
        written += [("...", leg.span) for leg in legs.legs if isinstance(leg, tree.Dots)]
        for text, span in written:
            if text in seen:
                yield repeated_leg(text, legs.owner, span, seen[text])
            seen.setdefault(text, span)


def repeated_leg(name: str, owner: str, later: Span, earlier: Span) -> Diagnostic:
    """TN203 at the later leg."""
    message = f"`{name}` is twice on `{owner}`"
    note = "a trace or a diagonal of one tensor is not a network: a leg joins two things"
    hint = "use another index; for a diagonal, keep the leg once"
    if "." in name.replace("...", ""):
        note = "a face of a window is one leg of what it is on"
        hint = "keep it once, or use another window"
    first = Label(earlier, "first here")
    return problem(Code.REPEATED_LEG, message, later, "again here", note, hint, first)


def misplaced_leg(names: BlockNames) -> Iterator[Diagnostic]:
    """TN207: `onehot` and `p in` are for inputs, `as` for inputs and the output."""
    for where, leg in ((legs.where, leg) for legs in names.leg_lists for leg in legs.legs):
        span = leg.span
        match leg:
            case tree.GroupLeg(onehot=True) if where != "input":
                message, note = "`onehot` is for inputs", "ids come in with an input"
                hint = "write the legs without `onehot`"
            case tree.GroupLeg(width=width) if width and where in ("tensor", "bias"):
                message, span = "`as` is for inputs and the output", width.span
                note = "inputs are padded and outputs are cut; a parameter has the size of its legs"
                hint = "remove the width"
            case tree.Subscript() if where != "input":
                message, hint = "`p in a..b` is for inputs", "write all members: `f[*]`"
                note = "an axis of slices is an axis of an input"
            case _:
                continue
        yield misplaced(message, span, "not here", note, hint)


RULES: tuple[Rule, ...] = (
    wrong_subscripts,
    wrong_tie_subscripts,
    repeated_legs,
    misplaced_leg,
)
