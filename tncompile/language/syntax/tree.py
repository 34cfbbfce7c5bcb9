"""The syntax tree: a program as written, each node with its span.

Spans take no part in equality, so two trees are equal when they mean the same text up to layout.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass

from tncompile.language.syntax.source import SourceFile, Span


def _equal(self: object, other: object) -> bool:
    """Equality of expressions without recursion: a sum may have thousands of terms."""
    pairs = [(self, other)]
    while pairs:
        left, right = pairs.pop()
        if left is right:
            continue
        if type(left) is not type(right):
            return False
        if isinstance(left, tuple) and isinstance(right, tuple):
            if len(left) != len(right):
                return False
            pairs.extend(zip(left, right, strict=True))
        elif is_dataclass(left):
            for each in fields(left):
                if each.compare:
                    pairs.append((getattr(left, each.name), getattr(right, each.name)))
        elif left != right:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Node:
    """A part of the tree and its place in the text."""

    span: Span = field(kw_only=True, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Name(Node):
    """An identifier where it is declared or used."""

    text: str


@dataclass(frozen=True, slots=True)
class String(Node):
    """A string literal; `value` has its escapes resolved, the span includes the quotes."""

    value: str


# ── expressions ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Number(Node):
    """An integer or a float literal; `text` is as written (`1e-3`)."""

    text: str

    @property
    def value(self) -> int | float:
        """The number: an `int` where only digits were written."""
        return int(self.text) if self.text.isdigit() else float(self.text)


@dataclass(frozen=True, slots=True)
class Boolean(Node):
    """`true` or `false`."""

    value: bool


@dataclass(frozen=True, slots=True)
class Reference(Node):
    """A name used as a value."""

    name: Name


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    """`[a, b, c]`."""

    items: tuple[Expression, ...]
    __eq__ = _equal


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`-a` or `not a`."""

    operator: str
    operand: Expression
    __eq__ = _equal


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """`left operator right`, with `operator` one of `+ - * / // % ** @ == != < <= > >= and or`."""

    operator: str
    left: Expression
    right: Expression
    operator_span: Span = field(kw_only=True, compare=False, repr=False)
    __eq__ = _equal


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    """`if condition then chosen else otherwise`."""

    condition: Expression
    chosen: Expression
    otherwise: Expression
    __eq__ = _equal


@dataclass(frozen=True, slots=True)
class Argument(Node):
    """`name = value`, or a positional `value` when `name` is None."""

    name: Name | None
    value: Expression


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`function(arguments)`."""

    function: Expression
    arguments: tuple[Argument, ...]
    __eq__ = _equal


@dataclass(frozen=True, slots=True)
class Item(Node):
    """`value[subscripts]`."""

    value: Expression
    subscripts: tuple[Expression, ...]
    __eq__ = _equal


@dataclass(frozen=True, slots=True)
class Pipe(Node):
    """`value |> stage`; values of models only."""

    value: Expression
    stage: Expression
    __eq__ = _equal


@dataclass(frozen=True, slots=True)
class Repeat(Node):
    """`repeat v in a..b { stage }`, a stage of a pipeline."""

    subscript: Subscript
    stage: Expression
    __eq__ = _equal


@dataclass(frozen=True, slots=True)
class TupleOf(Node):
    """`(a, b)`: the values of an `output`, or the legs given to `reshape`."""

    items: tuple[Expression, ...]
    __eq__ = _equal


@dataclass(frozen=True, slots=True)
class Dots(Node):
    """`...` in the legs given to `reshape`."""


Expression = (
    Number
    | String
    | Boolean
    | Reference
    | ListOf
    | Unary
    | Binary
    | Conditional
    | Call
    | Item
    | Pipe
    | Repeat
    | TupleOf
    | Dots
)


# ── legs ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Subscript(Node):
    """`k in start..stop`, a half-open range that declares `k`."""

    name: Name
    start: Expression
    stop: Expression


@dataclass(frozen=True, slots=True)
class Star(Node):
    """`*` as the last subscript of a leg: all members."""


@dataclass(frozen=True, slots=True)
class IndexLeg(Node):
    """`i`, `b[k - 1]?`, `v[l, *]` or a window's face `h.kernel`."""

    name: Name
    subscripts: tuple[Expression | Star, ...] = ()
    face: Name | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class GroupLeg(Node):
    """`(a b)`, or `onehot(a, b)`, one flattened axis, cut to `width` entries where `as` says so."""

    legs: tuple[IndexLeg, ...]
    onehot: bool = False
    width: Expression | None = None


@dataclass(frozen=True, slots=True)
class DotsLeg(Node):
    """`...`: any number of leading batch axes."""


@dataclass(frozen=True, slots=True)
class SlicesLeg(Node):
    """`p in a..b`: one axis whose slice `p` carries the legs that use `p`."""

    subscript: Subscript


@dataclass(frozen=True, slots=True)
class ExpressionLeg(Node):
    """An axis of a model's input given by an expression that is not a plain name (`2 * d`)."""

    size: Expression


Leg = IndexLeg | GroupLeg | DotsLeg | SlicesLeg | ExpressionLeg


# ── statements of a network ────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Let(Node):
    """`let n = value` or, in a model, `let (y, h) = value`."""

    names: tuple[Name, ...]
    value: Expression


@dataclass(frozen=True, slots=True)
class Require(Node):
    """`require condition, "reason"`."""

    condition: Expression
    reason: String | None


@dataclass(frozen=True, slots=True)
class IndexDeclaration(Node):
    """One `name[subscripts] = size if condition` of an `index`, `bond` or `hyper` statement.

    `index a = p, b = q` is two of these in a `Declarations`.
    """

    name: Name
    subscripts: tuple[Subscript, ...]
    size: Expression
    condition: Expression | None = None


@dataclass(frozen=True, slots=True)
class IndexStatement(Node):
    """`index`, `bond` or `hyper` (the `kind`) with its declarations."""

    kind: str
    declarations: tuple[IndexDeclaration, ...]


@dataclass(frozen=True, slots=True)
class BatchStatement(Node):
    """`batch s, t`."""

    names: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class WindowStatement(Node):
    """`window h = conv(size = 3, …)`."""

    name: Name
    function: Name
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class InputStatement(Node):
    """`input x[subscripts](legs) if condition`."""

    name: Name
    subscripts: tuple[Subscript, ...]
    legs: tuple[Leg, ...]
    condition: Expression | None = None


@dataclass(frozen=True, slots=True)
class Scheme(Node):
    """`init name(arguments)`."""

    name: Name
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Frozen(Node):
    """`frozen`."""


@dataclass(frozen=True, slots=True)
class Share(Node):
    """`share k, l`."""

    names: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Tie(Node):
    """`tie OTHER`, `tie G[0]`, `tie OTHER conj`."""

    name: Name
    subscripts: tuple[Expression, ...]
    conjugate: bool


@dataclass(frozen=True, slots=True)
class If(Node):
    """`if condition` after the legs of a tensor or a bias."""

    condition: Expression


@dataclass(frozen=True, slots=True)
class UnknownAttribute(Node):
    """A word after the legs on the same line that is no attribute (TN207).

    `rest` holds the words that follow it: one mistake, and nothing of the text is lost.
    """

    name: Name
    arguments: tuple[Argument, ...] | None = None
    rest: tuple[UnknownAttribute, ...] = ()


Attribute = Scheme | Frozen | Share | Tie | If | UnknownAttribute


@dataclass(frozen=True, slots=True)
class TensorStatement(Node):
    """`tensor A[subscripts](legs) attributes`, in the order written."""

    name: Name
    subscripts: tuple[Subscript, ...]
    legs: tuple[Leg, ...]
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class BiasStatement(Node):
    """`bias c(legs) init SCHEME if condition`."""

    name: Name
    legs: tuple[Leg, ...]
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class OutputStatement(Node):
    """`output y(legs) log`; `log` holds the word where it stands."""

    name: Name
    legs: tuple[Leg, ...]
    log: Name | None = None
    attributes: tuple[Attribute, ...] = ()


# ── statements of models and rewrites ──────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Extern(Node):
    """`extern "package.module.Class"(arguments) -> (legs)`."""

    path: String
    arguments: tuple[Argument, ...]
    shape: tuple[Leg, ...] | None


@dataclass(frozen=True, slots=True)
class PartStatement(Node):
    """`part p[subscripts] = N(args) tie q frozen if cond`."""

    name: Name
    subscripts: tuple[Subscript, ...]
    value: Call | Extern
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class ModelOutput(Node):
    """`output x + down(h)` or `output (y, h)` of a model."""

    value: Expression


@dataclass(frozen=True, slots=True)
class RewriteRule(Node):
    """`linear "glob" -> MPO(…)`; `target` is None for `keep`."""

    kind: str
    pattern: String
    target: Call | None


Statement = (
    Let
    | Require
    | IndexStatement
    | BatchStatement
    | WindowStatement
    | InputStatement
    | TensorStatement
    | BiasStatement
    | OutputStatement
    | PartStatement
    | ModelOutput
)


# ── blocks ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Type(Node):
    """`int`, `int[n]`, `bool` or `float`; `length` is what stands in the brackets."""

    name: Name
    length: Expression | None = None


@dataclass(frozen=True, slots=True)
class Parameter(Node):
    """`name: type = default`."""

    name: Name
    type: Type
    default: Expression | None = None


@dataclass(frozen=True, slots=True)
class Import(Node):
    """`import "file.tn" { A, B }`; `names` is None where the braces are missing: everything."""

    path: String
    names: tuple[Name, ...] | None


@dataclass(frozen=True, slots=True)
class Block(Node):
    """`network N(parameters) { statements }` or `model …` (the `kind`)."""

    kind: str
    name: Name
    parameters: tuple[Parameter, ...]
    statements: tuple[Statement, ...]
    doc: str | None = None


@dataclass(frozen=True, slots=True)
class Instance(Node):
    """`network N = Other(arguments)`, also `model …`; `target` is a call or a bare name."""

    kind: str
    name: Name
    target: Call
    doc: str | None = None


@dataclass(frozen=True, slots=True)
class Rewrite(Node):
    """`rewrite R { rules }`."""

    name: Name
    rules: tuple[RewriteRule, ...]
    doc: str | None = None


Declaration = Import | Block | Instance | Rewrite


@dataclass(frozen=True, slots=True)
class Comment(Node):
    """`# text`, for the formatter."""

    text: str


@dataclass(frozen=True, slots=True)
class Program:
    """A whole file in order; `comments` are for the formatter."""

    declarations: tuple[Declaration, ...]
    source: SourceFile = field(kw_only=True, compare=False, repr=False)
    comments: tuple[Comment, ...] = field(default=(), kw_only=True, compare=False, repr=False)
