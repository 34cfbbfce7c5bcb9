"""The rules on legs in a network block: subscripts, repetitions, what belongs where."""

from __future__ import annotations

from collections.abc import Iterator

from tncompile.language.checking.name_rules import kind_text
from tncompile.language.checking.symbols import (
    LEG_KINDS,
    BlockNames,
    Declared,
    LegUse,
    Rule,
    TieUse,
)
from tncompile.language.checking.usage_rules import misplaced
from tncompile.language.diagnostics.collector import problem, with_article
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.parsing.lexer import one_line
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span

_FACES = {"in": "input", "kernel": "tensor", "out": "output"}


def _leg_problem(use: LegUse, declared: Declared, message: str, note: str, hint: str) -> Diagnostic:
    return problem(
        Code.NO_SUCH_MEMBER,
        message,
        use.leg.span,
        "this leg",
        secondary=(Label(declared.name.span, f"`{declared.name.text}` is declared here"),),
        notes=(note,),
        hint=hint,
    )


def wrong_subscripts(names: BlockNames) -> Iterator[Diagnostic]:
    """TN205: a leg has as many subscripts as its declaration, with `*` for the last ones."""
    for use in names.legs:
        declared = use.declared
        if declared is None or declared.kind not in LEG_KINDS or names.ambiguous(use.leg.name):
            continue
        name, count = declared.name.text, len(use.leg.subscripts)
        star = bool(count) and isinstance(use.leg.subscripts[-1], tree.Star)
        if declared.arity == 0 and count:
            message = f"`{name}` is no family"
            note = f"{kind_text(declared)} without subscripts is one index"
            hint = f"write `{name}`"
            if use.leg.optional and use.on_family and not star:
                alone = f"{declared.kind} {name}[{', '.join(['k in 2..3'] * count)}] = …"
                hint = f"{hint}; what one member alone has is a family of one: `{alone}`"
            yield _leg_problem(use, declared, message, note, hint)
        elif declared.arity and not count:
            message = f"`{name}` is a family, one of its members is needed"
            hint = f"write `{name}[…]` for one member, `{name}[*]` for all of them"
            yield _leg_problem(use, declared, message, "a family is not a leg by itself", hint)
        elif count > declared.arity or (count < declared.arity and not star):
            message = f"`{name}` takes {_subscripts(declared.arity)}, not {count}"
            note = "a leg has the subscripts of its declaration"
            yield _leg_problem(use, declared, message, note, f"write {_subscripts(declared.arity)}")


def wrong_tie_subscripts(names: BlockNames) -> Iterator[Diagnostic]:
    """TN205: families are tied by equal subscripts, or to one member."""
    for use in names.ties:
        if use.declared is None or use.declared.kind != "tensor":
            continue
        count = len(use.tie.subscripts) or use.tensor.arity
        if count != use.declared.arity:
            yield _tie_problem(use, use.declared)


def _tie_problem(use: TieUse, declared: Declared) -> Diagnostic:
    name = declared.name.text
    takes = f"takes {_subscripts(declared.arity)}" if declared.arity else "is no family"
    return problem(
        Code.NO_SUCH_MEMBER,
        f"`{name}` {takes}",
        use.tie.name.span,
        "the subscripts do not fit",
        secondary=(Label(declared.name.span, f"`{name}` is declared here"),),
        notes=("families are tied by equal subscripts; a single tensor to one member",),
        hint=f"name the member: `tie {name}[…]`" if declared.arity else f"write `tie {name}`",
    )


def _subscripts(count: int) -> str:
    return "one subscript" if count == 1 else f"{count} subscripts"


def face_of_no_window(names: BlockNames) -> Iterator[Diagnostic]:
    """TN408: `h.in`, `h.kernel` and `h.out` are the legs of a window, and of nothing else."""
    for use in names.legs:
        if use.declared is None or use.declared.kind not in LEG_KINDS:
            continue
        if message := _face_message(use.leg, use.declared, use.where):
            yield problem(
                Code.WINDOW_FACE,
                message,
                use.leg.span,
                "this leg",
                secondary=(Label(use.declared.name.span, "declared here"),),
                notes=(
                    "a window has `.in` on an input, `.kernel` on tensors, `.out` on the output",
                ),
                hint="write the face that belongs here",
            )


def _face_message(leg: tree.IndexLeg, declared: Declared, where: str) -> str | None:
    name = leg.name.text
    if declared.kind != "window":
        return f"`{name}` is {kind_text(declared)}, it has no faces" if leg.face else None
    if leg.face is None:
        return f"the window `{name}` needs a face here"
    if leg.face.text not in _FACES:
        return f"a window has no face `{leg.face.text}`"
    if where != _FACES[leg.face.text]:
        return f"`{name}.{leg.face.text}` cannot be on {with_article(where)}"
    return None


def repeated_legs(names: BlockNames) -> Iterator[Diagnostic]:
    """TN203: the same leg written twice on one tensor."""
    for legs in names.leg_lists():
        seen: dict[str, Span] = {}
        written = [(_text(leg), leg.span) for leg in legs.indices()]
        written += [("...", leg.span) for leg in legs.legs if isinstance(leg, tree.DotsLeg)]
        for text, span in written:
            if text in seen:
                yield repeated_leg(text, legs.owner, span, seen[text])
            seen.setdefault(text, span)


def repeated_leg(name: str, owner: str, later: Span, earlier: Span) -> Diagnostic:
    """TN203 at the later leg."""
    return problem(
        Code.REPEATED_LEG,
        f"`{name}` is twice on `{owner}`",
        later,
        "again here",
        secondary=(Label(earlier, "first here"),),
        notes=("a trace or a diagonal of one tensor is not a network: a leg joins two things",),
        hint="use another index; for a diagonal, keep the leg once",
    )


def _text(leg: tree.IndexLeg) -> str:
    """The leg without layout and `?`; members that are equal are seen when families unroll."""
    return one_line(leg.span).replace(" ", "").rstrip("?")


def misplaced_leg(names: BlockNames) -> Iterator[Diagnostic]:
    """TN207: `onehot` and `p in` are for inputs, `as` for inputs and the output."""
    for legs in names.leg_lists():
        for leg in legs.legs:
            yield from _leg_problems(leg, legs.where)


def _leg_problems(leg: tree.Leg, where: str) -> Iterator[Diagnostic]:
    match leg:
        case tree.GroupLeg(onehot=True) if where != "input":
            note = "ids come in with an input"
            hint = "write the legs without `onehot`"
            yield misplaced("`onehot` is for inputs", leg.span, "not here", note, hint)
        case tree.GroupLeg(width=width) if width is not None and where in ("tensor", "bias"):
            note = "inputs are padded and outputs are cut; a parameter has the size of its legs"
            message = "`as` is for inputs and the output"
            yield misplaced(message, width.span, "not here", note, "remove the width")
        case tree.SlicesLeg() if where != "input":
            note = "an axis of slices is an axis of an input"
            hint = "write all members: `f[*]`"
            message = "`p in a..b` is for inputs"
            yield misplaced(message, leg.span, "not here", note, hint)
        case _:
            pass


RULES: tuple[Rule, ...] = (
    wrong_subscripts,
    wrong_tie_subscripts,
    face_of_no_window,
    repeated_legs,
    misplaced_leg,
)
