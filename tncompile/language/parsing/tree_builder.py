"""The syntax tree, bottom up: for each rule of the grammar the function that makes its node.

A function is called with the span of what was parsed and the values of the rule's symbols:
`Token` for words and operators, None for an optional part that is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby

from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span
from tncompile.language.syntax.tree import Name

NESTING = frozenset(
    {"binary", "unary", "conditional", "call", "item", "pipe", "repeat", "list_of", "tuple_of"}
)
"""The functions whose nodes count as a level of nesting."""

Builder = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Token:
    """A keyword or an operator as written."""

    text: str
    span: Span

    @property
    def name(self) -> Name:
        """The word as a name."""
        return Name(self.text, span=self.span)


def terminal_value(terminal: str, text: str, span: Span) -> object:
    """What the functions below are given for a token."""
    match terminal:
        case "NAME":
            return Name(text, span=span)
        case "NUMBER":
            return tree.Number(text, span=span)
        case "STRING":
            return tree.String(re.sub(r"\\(.)", r"\1", text[1:-1]), span=span)
        case "DOC":
            return text[3:-3].replace("\r\n", "\n")
        case _:
            return Token(text, span)


def _name(word: Name | Token) -> Name:
    """A word as a name, a keyword included."""
    return word if isinstance(word, Name) else word.name


def _reference(word: Name | Token) -> tree.Reference:
    name = _name(word)
    return tree.Reference(name, span=name.span)


def _node(node: Callable[..., tree.Node], *lists: int) -> Builder:
    """The node of the values in order; a list at one of the positions `lists` may be missing."""
    if not lists:
        return lambda span, *values: node(*values, span=span)

    def build(span: Span, *values: object) -> tree.Node:
        filled = (() if v is None and k in lists else v for k, v in enumerate(values))
        return node(*filled, span=span)

    return build


def _node_of_all(node: Callable[..., tree.Node]) -> Builder:
    """The node of one list that holds all values."""
    return lambda span, *values: node(values, span=span)


def _block(kind: str) -> Builder:
    return lambda span, doc, name, parameters, statements: tree.Block(
        kind, name, parameters, statements, doc, span=span
    )


def _instance(kind: str) -> Builder:
    return lambda span, doc, name, target: tree.Instance(kind, name, target, doc, span=span)


def _let_tuple(span: Span, *parts: Name | tree.Expression) -> tree.Let:
    *names, value = parts
    assert not isinstance(value, Name), "names become references where values stand"
    return tree.Let(tuple(n for n in names if isinstance(n, Name)), value, span=span)


def _output(
    span: Span,
    name: Name,
    legs: tuple[tree.Leg, ...],
    log: Token | None,
    attributes: tuple[tree.Attribute, ...],
) -> tree.OutputStatement:
    return tree.OutputStatement(name, legs, log.name if log else None, attributes, span=span)


def _attributes(span: Span, *attributes: tree.Attribute) -> tuple[tree.Attribute, ...]:
    """The attributes in order; unknown words that follow each other are one mistake."""
    merged: list[tree.Attribute] = []
    for unknown, run in groupby(attributes, lambda each: isinstance(each, tree.UnknownAttribute)):
        if not unknown:
            merged.extend(run)
            continue
        first, *rest = (each for each in run if isinstance(each, tree.UnknownAttribute))
        words = first.span.to((rest or [first])[-1].span)
        merged.append(tree.UnknownAttribute(first.name, first.arguments, tuple(rest), span=words))
    return tuple(merged)


def _index_leg(
    span: Span,
    name: Name,
    subscripts: tuple[tree.Expression | tree.Star, ...] | None,
    face: Name | None,
    optional: Token | None,
) -> tree.IndexLeg:
    return tree.IndexLeg(name, subscripts or (), face, optional is not None, span=span)


def _group_leg(*, onehot: bool) -> Builder:
    return lambda span, legs, width: tree.GroupLeg(legs, onehot, width, span=span)


def _model_leg(span: Span, size: tree.Expression) -> tree.IndexLeg | tree.ExpressionLeg:
    if isinstance(size, tree.Reference):
        return tree.IndexLeg(size.name, span=span)
    return tree.ExpressionLeg(size, span=span)


BUILDERS: Mapping[str, Builder] = {
    "items": lambda span, *items: items,
    "word": lambda span, word: word.name,
    # expressions
    "conditional": _node(tree.Conditional),
    "pipe": _node(tree.Pipe),
    "repeat": _node(tree.Repeat),
    "binary": lambda span, left, operator, right: tree.Binary(
        operator.text, left, right, operator_span=operator.span, span=span
    ),
    "unary": lambda span, operator, operand: tree.Unary(operator.text, operand, span=span),
    "call": _node(tree.Call),
    "item": lambda span, value, *subscripts: tree.Item(value, subscripts, span=span),
    "reference": lambda span, word: _reference(word),
    "boolean": lambda span, word: tree.Boolean(word.text == "true", span=span),
    "list_of": _node_of_all(tree.ListOf),
    "tuple_of": _node_of_all(tree.TupleOf),
    "dots": _node(tree.Dots),
    "positional": lambda span, value: tree.Argument(None, value, span=span),
    "named": lambda span, word, value: tree.Argument(_name(word), value, span=span),
    # blocks
    "program": lambda span, *declarations: declarations,
    "import_file": _node(tree.Import),
    "network_block": _block("network"),
    "model_block": _block("model"),
    "network_instance": _instance("network"),
    "model_instance": _instance("model"),
    "target": lambda span, name, arguments: tree.Call(_reference(name), arguments or (), span=span),
    "parameter": _node(tree.Parameter),
    "scalar_type": lambda span, word: tree.Type(word.name, span=span),
    "list_type": lambda span, word, length: tree.Type(word.name, length, span=span),
    # statements
    "let": lambda span, name, value: tree.Let((name,), value, span=span),
    "let_tuple": _let_tuple,
    "require": _node(tree.Require),
    "index_statement": lambda span, kind, *declarations: tree.IndexStatement(
        kind.text, declarations, span=span
    ),
    "index_declaration": _node(tree.IndexDeclaration, 1),
    "batch": _node_of_all(tree.BatchStatement),
    "window": _node(tree.WindowStatement),
    "input_statement": _node(tree.InputStatement, 1),
    "tensor": _node(tree.TensorStatement, 1),
    "bias": _node(tree.BiasStatement),
    "network_output": _output,
    "subscript": _node(tree.Subscript),
    # attributes
    "attributes": _attributes,
    "scheme": _node(tree.Scheme, 1),
    "frozen": _node(tree.Frozen),
    "share": _node_of_all(tree.Share),
    "tie": lambda span, name, members, conj: tree.Tie(
        name, members or (), conj is not None, span=span
    ),
    "if_attribute": _node(tree.If),
    "unknown_attribute": _node(tree.UnknownAttribute),
    # legs
    "dots_leg": _node(tree.DotsLeg),
    "index_leg": _index_leg,
    "slices_leg": lambda span, name, start, stop: tree.SlicesLeg(
        tree.Subscript(name, start, stop, span=span), span=span
    ),
    "group_leg": _group_leg(onehot=False),
    "onehot_leg": _group_leg(onehot=True),
    "star": _node(tree.Star),
    "model_leg": _model_leg,
    # models and rewrites
    "layer": lambda span, word, arguments: tree.Call(_reference(word), arguments, span=span),
    "extern": _node(tree.Extern),
    "part": _node(tree.PartStatement, 1),
    "model_output": _node(tree.ModelOutput),
    "rewrite": lambda span, doc, name, rules: tree.Rewrite(name, rules, doc, span=span),
    "rewrite_rule": lambda span, kind, pattern, target: tree.RewriteRule(
        kind.text, pattern, target, span=span
    ),
    "keep_rule": lambda span, kind, pattern: tree.RewriteRule(kind.text, pattern, None, span=span),
}
