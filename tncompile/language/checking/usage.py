"""The rules on what may stand where in a network block: functions, schemes, attributes, legs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tncompile.language.checking.names import BlockNames
from tncompile.language.diagnostics import Code, Diagnostic, Label
from tncompile.language.evaluating.functions import FUNCTIONS, Function
from tncompile.language.expressions import walk
from tncompile.language.problems import Suggestions, listed, problem
from tncompile.language.source import Span
from tncompile.language.syntax import (
    Attribute,
    BiasStatement,
    Binary,
    Call,
    Dots,
    DotsLeg,
    Expression,
    ExpressionLeg,
    Frozen,
    GroupLeg,
    If,
    IndexLeg,
    InputStatement,
    Item,
    Leg,
    Let,
    OutputStatement,
    Pipe,
    Reference,
    Repeat,
    Scheme,
    Share,
    SlicesLeg,
    String,
    TensorStatement,
    Tie,
    TupleOf,
    UnknownAttribute,
    WindowStatement,
)

SCHEMES = {
    "auto": "auto",
    "normal": "normal(std)",
    "uniform": "uniform(bound)",
    "orthogonal": "orthogonal",
    "eye": "eye",
    "ones": "ones",
    "zeros": "zeros",
}
ATTRIBUTES = ("init", "frozen", "share", "tie", "if")
_CONVOLUTION = "conv"

Rule = Callable[[BlockNames, Suggestions], Iterator[Diagnostic]]


@dataclass(frozen=True, slots=True)
class LegList:
    """The legs of one statement."""

    where: str
    owner: str
    legs: tuple[Leg, ...]

    def indices(self) -> Iterator[IndexLeg]:
        """The single legs, those in groups included."""
        for leg in self.legs:
            if isinstance(leg, IndexLeg):
                yield leg
            elif isinstance(leg, GroupLeg):
                yield from leg.legs


def leg_lists(names: BlockNames) -> Iterator[LegList]:
    """The legs of every statement that has some."""
    for statement in names.block.statements:
        match statement:
            case InputStatement(name, _, legs):
                yield LegList("input", name.text, legs)
            case TensorStatement(name, _, legs):
                yield LegList("tensor", name.text, legs)
            case BiasStatement(name, legs):
                yield LegList("bias", name.text, legs)
            case OutputStatement(name, legs):
                yield LegList("output", name.text, legs)
            case _:
                pass


def _misplaced(message: str, span: Span, label: str, note: str, hint: str) -> Diagnostic:
    return problem(Code.MISPLACED, message, span, label, notes=(note,), hint=hint)


# ── expressions ────────────────────────────────────────────────────────────────────────────────


def unknown_function(names: BlockNames, suggestions: Suggestions) -> Iterator[Diagnostic]:
    """TN207: the functions of expressions are few, and all about sizes."""
    for node in walk(*names.expressions):
        if isinstance(node, Call):
            yield from function_problems(node, suggestions)


def function_problems(node: Call, suggestions: Suggestions) -> Iterator[Diagnostic]:
    """TN207 where the function is unknown, TN208 where its arguments do not fit."""
    name = node.function.name.text if isinstance(node.function, Reference) else None
    if name is not None and name in FUNCTIONS:
        yield from _argument_problems(node, name, FUNCTIONS[name])
        return
    if isinstance(node.function, Call):
        return  # the call inside is the mistake
    close = suggestions.closest(name, tuple(FUNCTIONS)) if name else None
    yield _misplaced(
        f"there is no function `{name}`" if name else "only functions can be called",
        node.function.span,
        "unknown function",
        f"the functions of expressions: {listed(FUNCTIONS, most=20)}",
        f"did you mean `{close}`?" if close else "use one of these, or compute it before",
    )


def _argument_problems(node: Call, name: str, function: Function) -> Iterator[Diagnostic]:
    def wrong(message: str, span: Span, label: str) -> Diagnostic:
        note = f"it is called as `{function.signature}`"
        hint = f"write `{function.signature}`"
        return problem(Code.WRONG_ARGUMENT, message, span, label, notes=(note,), hint=hint)

    taken: list[str] = []
    named = False
    for k, argument in enumerate(node.arguments):
        if argument.name is None:
            if named:
                yield wrong("arguments by position come first", argument.span, "after a named one")
                return
            if function.most is not None and k >= function.most:
                count = "one argument" if function.most == 1 else f"{function.most} arguments"
                yield wrong(f"`{name}` takes {count}", argument.span, "one too many")
                return
            taken.append(function.names[k] if function.names else str(k))
            continue
        named = True
        if argument.name.text not in function.names:
            message = f"`{name}` has no argument `{argument.name.text}`"
            yield wrong(message, argument.name.span, "unknown argument")
            return
        if argument.name.text in taken:
            message = f"`{argument.name.text}` is given twice"
            yield wrong(message, argument.name.span, "again here")
            return
        taken.append(argument.name.text)
    if len(taken) < function.least:
        count = "an argument" if function.least == 1 else f"{function.least} arguments"
        yield wrong(f"`{name}` needs {count}", node.function.span, "too few arguments")


def foreign_expression(names: BlockNames, suggestions: Suggestions) -> Iterator[Diagnostic]:
    """TN207, TN305, TN205: what only models have, text, and items with several subscripts."""
    for node in walk(*names.expressions):
        yield from foreign_problems(node)


def foreign_problems(node: Expression) -> Iterator[Diagnostic]:
    """What is wrong with this node alone where an integer expression belongs."""
    note = "the expressions of a network are about sizes; tensors flow in models only"
    match node:
        case Binary("@"):
            hint = "`*` multiplies numbers"
            yield _misplaced("`@` is for models", node.operator_span, "not here", note, hint)
        case Pipe() | Repeat() | TupleOf() | Dots():
            hint = "write an expression of numbers"
            yield _misplaced("this is for models", node.span, "not here", note, hint)
        case String():
            yield problem(
                Code.WRONG_TYPE,
                "text is no value",
                node.span,
                "this is text",
                notes=("values are int, float, bool or lists of int",),
                hint="remove the quotes",
            )
        case Item(_, subscripts) if len(subscripts) != 1:
            yield problem(
                Code.NO_SUCH_MEMBER,
                "a list has one subscript",
                node.span,
                f"{len(subscripts)} subscripts",
                notes=("lists hold ints; there are no lists of lists",),
                hint="write `a[k]`",
            )
        case _:
            pass


def one_name_a_let(names: BlockNames, suggestions: Suggestions) -> Iterator[Diagnostic]:
    """TN207: only models take tuples apart."""
    for statement in names.block.statements:
        if isinstance(statement, Let) and len(statement.names) != 1:
            note = "values of a network are numbers and lists, not tuples"
            hint = "write a `let` for each name"
            message = "`let (…)` is for models"
            yield _misplaced(message, statement.names[1].span, "one name a `let`", note, hint)


def unknown_window_function(names: BlockNames, suggestions: Suggestions) -> Iterator[Diagnostic]:
    """TN207: a window is a `conv`."""
    for statement in names.block.statements:
        if isinstance(statement, WindowStatement) and statement.function.text != _CONVOLUTION:
            yield _misplaced(
                f"there is no window `{statement.function.text}`",
                statement.function.span,
                "unknown function",
                "a window is a convolution axis",
                "write `conv(size = 3, stride = 1, padding = 1)`",
            )


# ── attributes ─────────────────────────────────────────────────────────────────────────────────


def unknown_scheme(names: BlockNames, suggestions: Suggestions) -> Iterator[Diagnostic]:
    """TN207 for a scheme that there is not; TN208 for its arguments."""
    for statement in names.block.statements:
        if not isinstance(statement, TensorStatement | BiasStatement):
            continue
        for attribute in statement.attributes:
            if isinstance(attribute, Scheme):
                yield from _scheme_problems(attribute, suggestions)


def _scheme_problems(scheme: Scheme, suggestions: Suggestions) -> Iterator[Diagnostic]:
    name = scheme.name.text
    if name not in SCHEMES:
        close = suggestions.closest(name, tuple(SCHEMES))
        yield _misplaced(
            f"there is no scheme `{name}`",
            scheme.name.span,
            "unknown scheme",
            f"the schemes: {listed(SCHEMES.values(), most=20)}",
            f"did you mean `{close}`?" if close else "use one of these",
        )
        return
    written = SCHEMES[name]
    wanted = written[len(name) + 1 : -1]
    takes = f"`{name}` takes one argument" if wanted else f"`{name}` takes no argument"

    def wrong(message: str, span: Span) -> Diagnostic:
        hint = f"write `init {written}`"
        return problem(Code.WRONG_ARGUMENT, message, span, "this", notes=(takes,), hint=hint)

    for k, argument in enumerate(scheme.arguments):
        if argument.name is not None and argument.name.text != wanted:
            yield wrong(f"`{name}` has no argument `{argument.name.text}`", argument.name.span)
        elif k >= bool(wanted):
            yield wrong(takes, argument.span)
    if wanted and not scheme.arguments:
        yield wrong(f"`{name}` needs its `{wanted}`", scheme.name.span)


def misplaced_attribute(names: BlockNames, suggestions: Suggestions) -> Iterator[Diagnostic]:
    """TN207: attributes that are unknown, twice there, or do not belong on this statement."""
    for statement in names.block.statements:
        match statement:
            case TensorStatement(name, _, _, attributes):
                yield from _attributes(attributes, "tensor", ATTRIBUTES, suggestions)
                yield from _against_tie(attributes, name.text)
            case BiasStatement(_, _, attributes):
                yield from _attributes(attributes, "bias", ("init", "if"), suggestions)
            case OutputStatement(_, _, _, attributes):
                yield from _attributes(attributes, "output", (), suggestions)
            case _:
                pass


def _word(attribute: Attribute) -> str:
    match attribute:
        case Scheme():
            return "init"
        case Frozen():
            return "frozen"
        case Share():
            return "share"
        case Tie():
            return "tie"
        case If():
            return "if"
        case UnknownAttribute(name):
            return name.text


def _attributes(
    attributes: Sequence[Attribute],
    statement: str,
    allowed: tuple[str, ...],
    suggestions: Suggestions,
) -> Iterator[Diagnostic]:
    known = (*allowed, "log") if statement == "output" else allowed
    note = f"after the legs of a `{statement}`: {listed(known)}"
    seen: set[str] = set()
    for attribute in attributes:
        word = _word(attribute)
        if isinstance(attribute, UnknownAttribute):
            close = suggestions.closest(word, known)
            hint = f"did you mean `{close}`?" if close else "remove it, or start a new line"
            message = f"there is no attribute `{word}`"
            yield _misplaced(message, attribute.name.span, "unknown attribute", note, hint)
        elif word not in allowed:
            message = f"`{word}` does not belong on a `{statement}`"
            yield _misplaced(message, _start(attribute, word), "not here", note, "remove it")
        elif word in seen:
            message = f"`{word}` is there twice"
            yield _misplaced(message, _start(attribute, word), "again here", note, "keep one")
        seen.add(word)


def _start(attribute: Attribute, word: str) -> Span:
    """The word itself, where the attribute starts with it."""
    span = attribute.span
    if span.text.startswith(word):
        return Span(span.source, span.start, span.start + len(word))
    return span


def _against_tie(attributes: Sequence[Attribute], tensor: str) -> Iterator[Diagnostic]:
    """A tied tensor is another's parameter: it cannot start, be shared or be frozen by itself."""
    tie = next((attribute for attribute in attributes if isinstance(attribute, Tie)), None)
    for attribute in attributes if tie is not None else ():
        if isinstance(attribute, Scheme | Frozen | Share):
            word = _word(attribute)
            yield _misplaced(
                f"`{word}` cannot go with `tie`",
                _start(attribute, word),
                "decided by the other tensor",
                f"`{tensor}` has no parameter of its own",
                f"write `{word}` on the tensor that it is tied to",
            )


def log_with_bias(names: BlockNames, suggestions: Suggestions) -> Iterator[Diagnostic]:
    """TN207: a bias cannot be added to a logarithm."""
    biases = [s for s in names.block.statements if isinstance(s, BiasStatement)]
    for statement in names.block.statements:
        if isinstance(statement, OutputStatement) and statement.log is not None and biases:
            yield problem(
                Code.MISPLACED,
                "`log` and a bias exclude each other",
                statement.log.span,
                "the output is a logarithm",
                secondary=(Label(biases[0].name.span, "this bias would be added to it"),),
                notes=("with `log` the result is a sign and a logarithm, which have no sum",),
                hint="remove `log` or the bias",
            )


# ── legs ───────────────────────────────────────────────────────────────────────────────────────


def repeated_legs(names: BlockNames, suggestions: Suggestions) -> Iterator[Diagnostic]:
    """TN203: the same leg written twice on one tensor."""
    for legs in leg_lists(names):
        seen: dict[str, Span] = {}
        written: list[tuple[str, Span]] = [(_text(leg), leg.span) for leg in legs.indices()]
        written += [("...", leg.span) for leg in legs.legs if isinstance(leg, DotsLeg)]
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


def _text(leg: IndexLeg) -> str:
    """The leg without layout and `?`; what only means the same is found when families unroll."""
    return "".join(leg.span.text.split()).rstrip("?")


def misplaced_leg(names: BlockNames, suggestions: Suggestions) -> Iterator[Diagnostic]:
    """TN207: `onehot` and `p in` are for inputs, `as` for inputs and the output."""
    for legs in leg_lists(names):
        for leg in legs.legs:
            yield from _leg_problems(leg, legs.where)


def _leg_problems(leg: Leg, where: str) -> Iterator[Diagnostic]:
    match leg:
        case GroupLeg(onehot=True) if where != "input":
            note = "ids come in with an input"
            hint = "write the legs without `onehot`"
            yield _misplaced("`onehot` is for inputs", leg.span, "not here", note, hint)
        case GroupLeg(width=width) if width is not None and where in ("tensor", "bias"):
            note = "inputs are padded and outputs are cut; a parameter has the size of its legs"
            message = "`as` is for inputs and the output"
            yield _misplaced(message, width.span, "not here", note, "remove the width")
        case SlicesLeg() if where != "input":
            note = "an axis of slices is an axis of an input"
            hint = "write all members: `f[*]`"
            message = "`p in a..b` is for inputs"
            yield _misplaced(message, leg.span, "not here", note, hint)
        case ExpressionLeg():
            yield problem(
                Code.WRONG_TYPE,
                "a leg is an index, not a size",
                leg.span,
                "this is a size",
                notes=("in a network every axis has a name, so that tensors can share it",),
                hint="declare an index of that size: `index i = …`",
            )
        case _:
            pass


RULES: tuple[Rule, ...] = (
    unknown_function,
    foreign_expression,
    one_name_a_let,
    unknown_window_function,
    unknown_scheme,
    misplaced_attribute,
    log_with_bias,
    repeated_legs,
    misplaced_leg,
)
