"""The syntax tree: a program as written, each node with its span.

Spans take no part in equality, so two trees are equal when they mean the same text up to layout.
"""

from __future__ import annotations

from dataclasses import field

from tncompile.language.syntax.expressions import (
    Argument as Argument,
)
from tncompile.language.syntax.expressions import (
    Binary as Binary,
)
from tncompile.language.syntax.expressions import (
    Boolean as Boolean,
)
from tncompile.language.syntax.expressions import (
    Call as Call,
)
from tncompile.language.syntax.expressions import (
    Conditional as Conditional,
)
from tncompile.language.syntax.expressions import (
    Dots as Dots,
)
from tncompile.language.syntax.expressions import (
    Expression as Expression,
)
from tncompile.language.syntax.expressions import (
    GroupLeg as GroupLeg,
)
from tncompile.language.syntax.expressions import (
    IndexLeg as IndexLeg,
)
from tncompile.language.syntax.expressions import (
    Item as Item,
)
from tncompile.language.syntax.expressions import (
    Leaf as Leaf,
)
from tncompile.language.syntax.expressions import (
    Leg as Leg,
)
from tncompile.language.syntax.expressions import (
    ListOf as ListOf,
)
from tncompile.language.syntax.expressions import (
    Name as Name,
)
from tncompile.language.syntax.expressions import (
    Named as Named,
)
from tncompile.language.syntax.expressions import (
    NetworkExpression as NetworkExpression,
)
from tncompile.language.syntax.expressions import (
    Node as Node,
)
from tncompile.language.syntax.expressions import (
    Number as Number,
)
from tncompile.language.syntax.expressions import (
    Operand as Operand,
)
from tncompile.language.syntax.expressions import (
    Pipe as Pipe,
)
from tncompile.language.syntax.expressions import (
    Reference as Reference,
)
from tncompile.language.syntax.expressions import (
    Repeat as Repeat,
)
from tncompile.language.syntax.expressions import (
    Slice as Slice,
)
from tncompile.language.syntax.expressions import (
    Star as Star,
)
from tncompile.language.syntax.expressions import (
    String as String,
)
from tncompile.language.syntax.expressions import (
    Subscript as Subscript,
)
from tncompile.language.syntax.expressions import (
    TupleOf as TupleOf,
)
from tncompile.language.syntax.expressions import (
    Unary as Unary,
)
from tncompile.language.syntax.source import SourceFile, Span
from tncompile.language.syntax.structure import Structure

# ── statements of a network ────────────────────────────────────────────────────────────────────


class Let(Named):
    """`let n = value` or, in a model, `let h[k in 0..n] = value`."""

    value: Expression
    subscripts: tuple[Subscript, ...] = ()


class Require(Node):
    """`require condition, "reason"`."""

    condition: Expression
    reason: String | None


class IndexDeclaration(Named):
    """One `name[subscripts] = size if condition` of an `index`, `bond` or `hyper` statement."""

    subscripts: tuple[Subscript, ...]
    size: Expression
    condition: Expression | None = None


class IndexStatement(Node):
    """`index`, `bond` or `hyper` (the `kind`) with its declarations."""

    kind: str
    declarations: tuple[IndexDeclaration, ...]


class BatchDeclaration(Named):
    """One `name = usual causal if condition` of a `batch` statement; `causal` holds the word.

    With the word, the condition says whether the size is causal; else whether there is one.
    """

    usual: Expression | None = None
    causal: Name | None = None
    condition: Expression | None = None


class BatchStatement(Node):
    """`batch s, t = 128`."""

    declarations: tuple[BatchDeclaration, ...]


class WindowDeclaration(Named):
    """One `name[subscripts] = function(arguments)` of a `window` statement."""

    subscripts: tuple[Subscript, ...]
    function: Name
    arguments: tuple[Argument, ...]


class WindowStatement(Node):
    """`window h = conv(size = 3, …), w = conv(size = 3)`."""

    declarations: tuple[WindowDeclaration, ...]


class InputStatement(Named):
    """`input x[subscripts](legs) if condition`, and in a model `kind` (`int`) before the `if`."""

    subscripts: tuple[Subscript, ...]
    legs: tuple[Leg, ...]
    condition: Expression | None = None
    kind: Name | None = None


class Scheme(Named):
    """`init name(arguments)`."""

    arguments: tuple[Argument, ...]


class Frozen(Node):
    """`frozen`."""


class Complex(Node):
    """`complex`."""


class Int(Node):
    """`int`, of a tensor of a model."""


class Share(Node):
    """`share k, l`."""

    names: tuple[Name, ...]


class Member(Named):
    """`h[0]`, a step of a place inside parts."""

    subscripts: tuple[Expression, ...]


class Tie(Node):
    """`tie OTHER`, `tie G[0]`, `tie OTHER conj`, of parts also `tie a.b[0]` and `tie own.c = a.b`.

    `place` is what is tied to, `own` what of this part is: nothing for all of it.
    """

    place: tuple[Member, ...]
    conjugate: bool
    own: tuple[Member, ...] = ()

    @property
    def name(self) -> Name:
        """The name that the place begins with: one of this block."""
        return self.place[0].name

    @property
    def subscripts(self) -> tuple[Expression, ...]:
        """Those of the first step."""
        return self.place[0].subscripts


class If(Node):
    """`if condition` after the legs of a tensor or a bias."""

    condition: Expression


class UnknownAttribute(Named):
    """A word after the legs that is no attribute (TN207); `rest` are the words that follow it."""

    arguments: tuple[Argument, ...] | None = None
    rest: tuple[UnknownAttribute, ...] = ()


Attribute = Scheme | Frozen | Complex | Int | Share | Tie | If | UnknownAttribute


class TensorStatement(Named):
    """`tensor A[subscripts](legs) attributes`, in the order written."""

    subscripts: tuple[Subscript, ...]
    legs: tuple[Leg, ...]
    attributes: tuple[Attribute, ...]


class BiasStatement(Named):
    """`bias c(legs) init SCHEME if condition`."""

    legs: tuple[Leg, ...]
    attributes: tuple[Attribute, ...]


class OutputStatement(Named):
    """`output y(legs) log`; `log` holds the word where it stands."""

    legs: tuple[Leg, ...]
    log: Name | None = None
    attributes: tuple[Attribute, ...] = ()


# ── statements of models and rewrites ──────────────────────────────────────────────────────────


class LetTuple(Node):
    """`let (y, h) = value`; `parenthesis` is where the names stand, brackets included."""

    names: tuple[Name, ...]
    value: Expression
    parenthesis: Span = field(kw_only=True)


class TypedShape(Node):
    """`(..., s, d) bool`, a value that an `extern` takes or gives."""

    legs: tuple[Expression, ...]
    kind: Name | None = None


class Extern(Node):
    """`extern "package.module.Class"(arguments) (takes) -> gives`; `function` holds the word."""

    function: Name | None
    path: String
    arguments: tuple[Argument, ...]
    takes: tuple[TypedShape, ...] | None = None
    gives: tuple[TypedShape, ...] | None = None


class PartChoice(Node):
    """`if condition then N(args) else M(args)`."""

    condition: Expression
    chosen: Choice
    otherwise: Choice


Choice = PartChoice | Call | Extern
"""What a part is made of."""


class PartStatement(Named):
    """`part p[subscripts] = N(args) tie q frozen if cond`."""

    subscripts: tuple[Subscript, ...]
    value: Choice
    attributes: tuple[Attribute, ...]


class ModelOutput(Node):
    """`output x + down(h)` or `output (y, h)` of a model."""

    value: Expression


class RewriteRule(Node):
    """`linear "glob" -> MPO(…)`; `target` is None for `keep`."""

    kind: str
    pattern: String
    target: Call | None = None


SharedStatement = Let | Require | BatchStatement | InputStatement | TensorStatement
NetworkStatement = IndexStatement | WindowStatement | BiasStatement
ModelStatement = LetTuple | PartStatement | ModelOutput
Statement = SharedStatement | NetworkStatement | OutputStatement | ModelStatement


# ── blocks ─────────────────────────────────────────────────────────────────────────────────────


class Type(Named):
    """`int`, `int[n]`, `bool`, `float` or `part`; `length` is what stands in the brackets."""

    length: Expression | None = None


class Parameter(Named):
    """`name: type = default`."""

    type: Type
    default: Expression | None = None


class Import(Node):
    """`import "file.tn" { A, B }`; `names` is None where the braces are missing: everything."""

    path: String
    names: tuple[Name, ...] | None


class Block(Node):
    """`network N(parameters) { statements }` or `model …` (the `kind`)."""

    kind: str
    name: Name
    parameters: tuple[Parameter, ...]
    statements: tuple[Statement, ...]
    doc: str | None = None


class Instance(Node):
    """`network N = Other(arguments)`, also `model …`; `target` is a call or a bare name."""

    kind: str
    name: Name
    target: Call
    doc: str | None = None


class Rewrite(Named):
    """`rewrite R { rules }`."""

    rules: tuple[RewriteRule, ...]
    doc: str | None = None


Declaration = Import | Block | Instance | Rewrite


class Comment(Node):
    """`# text`, for the formatter."""

    text: str


class Program(Structure):
    """A whole file in order; `comments` are for the formatter."""

    declarations: tuple[Declaration, ...]
    source: SourceFile = field(kw_only=True)
    comments: tuple[Comment, ...] = field(default=(), kw_only=True)
