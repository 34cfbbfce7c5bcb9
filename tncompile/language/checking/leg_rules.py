"""The rules on legs in a network block: subscripts, repetitions, what belongs where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tncompile.language.checking.name_rules import kind_text
from tncompile.language.checking.symbols import LEG_KINDS, BlockNames, Declared, LegUse, TieUse
from tncompile.language.checking.usage_rules import misplaced
from tncompile.language.diagnostics.collector import Suggestions, problem, with_article
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.parsing.lexer import one_line
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span

_FACES = {"in": "input", "kernel": "tensor", "out": "output"}

Rule = Callable[[BlockNames, Suggestions], Iterator[Diagnostic]]


def _leg_problem(use: LegUse, found: Declared, message: str, note: str, hint: str) -> Diagnostic:
    return problem(
        Code.NO_SUCH_MEMBER,
        message,
        use.leg.span,
        "this leg",
        secondary=(Label(found.name.span, f"`{found.name.text}` is declared here"),),
        notes=(note,),
        hint=hint,
    )


def wrong_subscripts(names: BlockNames, suggestions: Suggestions) -> Iterator[Diagnostic]:
    """TN205: a leg has as many subscripts as its declaration, with `*` for the last ones."""
    for use in names.legs:
        found = use.found
        if found is None or found.kind not in LEG_KINDS or names.ambiguous(use.leg.name):
            continue
        name, count = found.name.text, len(use.leg.subscripts)
        star = bool(count) and isinstance(use.leg.subscripts[-1], tree.Star)
        if found.arity == 0 and count:
            message = f"`{name}` is no family"
            note = f"{kind_text(found)} without subscripts is one index"
            hint = f"write `{name}`"
            if use.leg.optional and use.on_family and not star:
                alone = f"{found.kind} {name}[{', '.join(['k in 2..3'] * count)}] = …"
                hint = f"{hint}; what one member alone has is a family of one: `{alone}`"
            yield _leg_problem(use, found, message, note, hint)
        elif found.arity and not count:
            message = f"`{name}` is a family, one of its members is needed"
            hint = f"write `{name}[…]` for one member, `{name}[*]` for all of them"
            yield _leg_problem(use, found, message, "a family is not a leg by itself", hint)
        elif count > found.arity or (count < found.arity and not star):
            message = f"`{name}` takes {_subscripts(found.arity)}, not {count}"
            note = "a leg has the subscripts of its declaration"
            yield _leg_problem(use, found, message, note, f"write {_subscripts(found.arity)}")


def wrong_tie_subscripts(names: BlockNames, suggestions: Suggestions) -> Iterator[Diagnostic]:
    """TN205: families are tied by equal subscripts, or to one member."""
    for use in names.ties:
        if use.found is None or use.found.kind != "tensor":
            continue
        count = len(use.tie.subscripts) or use.tensor.arity
        if count != use.found.arity:
            yield _tie_problem(use, use.found)


def _tie_problem(use: TieUse, found: Declared) -> Diagnostic:
    name = found.name.text
    takes = f"takes {_subscripts(found.arity)}" if found.arity else "is no family"
    return problem(
        Code.NO_SUCH_MEMBER,
        f"`{name}` {takes}",
        use.tie.name.span,
        "the subscripts do not fit",
        secondary=(Label(found.name.span, f"`{name}` is declared here"),),
        notes=("families are tied by equal subscripts; a single tensor to one member",),
        hint=f"name the member: `tie {name}[…]`" if found.arity else f"write `tie {name}`",
    )


def _subscripts(count: int) -> str:
    return "one subscript" if count == 1 else f"{count} subscripts"


def face_of_no_window(names: BlockNames, suggestions: Suggestions) -> Iterator[Diagnostic]:
    """TN408: `h.in`, `h.kernel` and `h.out` are the legs of a window, and of nothing else."""
    for use in names.legs:
        if use.found is None or use.found.kind not in LEG_KINDS:
            continue
        if message := _face_message(use.leg, use.found, use.where):
            yield problem(
                Code.WINDOW_FACE,
                message,
                use.leg.span,
                "this leg",
                secondary=(Label(use.found.name.span, "declared here"),),
                notes=(
                    "a window has `.in` on an input, `.kernel` on tensors, `.out` on the output",
                ),
                hint="write the face that belongs here",
            )


def _face_message(leg: tree.IndexLeg, found: Declared, where: str) -> str | None:
    name = leg.name.text
    if found.kind != "window":
        return f"`{name}` is {kind_text(found)}, it has no faces" if leg.face else None
    if leg.face is None:
        return f"the window `{name}` needs a face here"
    if leg.face.text not in _FACES:
        return f"a window has no face `{leg.face.text}`"
    if where != _FACES[leg.face.text]:
        return f"`{name}.{leg.face.text}` cannot be on {with_article(where)}"
    return None


@dataclass(frozen=True, slots=True)
class LegList:
    """The legs of one statement."""

    where: str
    owner: str
    legs: tuple[tree.Leg, ...]

    def indices(self) -> Iterator[tree.IndexLeg]:
        """The single legs, those in groups included."""
        for leg in self.legs:
            if isinstance(leg, tree.IndexLeg):
                yield leg
            elif isinstance(leg, tree.GroupLeg):
                yield from leg.legs


def leg_lists(names: BlockNames) -> Iterator[LegList]:
    """The legs of every statement that has some."""
    for statement in names.block.statements:
        match statement:
            case tree.InputStatement(name, _, legs):
                yield LegList("input", name.text, legs)
            case tree.TensorStatement(name, _, legs):
                yield LegList("tensor", name.text, legs)
            case tree.BiasStatement(name, legs):
                yield LegList("bias", name.text, legs)
            case tree.OutputStatement(name, legs):
                yield LegList("output", name.text, legs)
            case _:
                pass


def repeated_legs(names: BlockNames, suggestions: Suggestions) -> Iterator[Diagnostic]:
    """TN203: the same leg written twice on one tensor."""
    for legs in leg_lists(names):
        seen: dict[str, Span] = {}
        written: list[tuple[str, Span]] = [(_text(leg), leg.span) for leg in legs.indices()]
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
    """The leg without layout and `?`; what only means the same is found when families unroll."""
    return one_line(leg.span).replace(" ", "").rstrip("?")


def misplaced_leg(names: BlockNames, suggestions: Suggestions) -> Iterator[Diagnostic]:
    """TN207: `onehot` and `p in` are for inputs, `as` for inputs and the output."""
    for legs in leg_lists(names):
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
