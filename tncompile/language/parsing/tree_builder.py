"""The syntax tree, bottom up: for each rule of the grammar the function that makes its node.

A function is called with the span of what was parsed and the values of the rule's symbols:
a `Name` for words and operators, None for an optional part that is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import groupby

from tncompile.language.parsing.lexer import Token
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span
from tncompile.language.syntax.tree import Name

NESTING = frozenset(
    {"binary", "unary", "conditional", "call", "item", "pipe", "repeat", "list_of", "tuple_of"}
    | {"network_expression", "part_choice"}
)
"""The functions whose nodes count as a level of nesting."""

Builder = Callable[..., object]


def terminal_value(terminal: str, token: Token) -> object:
    """What the functions below are called with for a token."""
    match terminal:
        case "NUMBER":
            return tree.Number(token.text, span=token.span)
        case "STRING":
            return tree.String(re.sub(r"\\(.)", r"\1", token.text[1:-1]), span=token.span)
        case "DOC":
            return token.text[3:-3].replace("\r\n", "\n")
        case _:
            return Name(token.text, span=token.span)


def _node(node: Callable[..., tree.Node], *lists: int) -> Builder:
    """The node of the values in order; a list at one of the positions `lists` may be missing."""

    def build(span: Span, *values: object) -> tree.Node:
        filled = (() if v is None and k in lists else v for k, v in enumerate(values))
        return node(*filled, span=span)

    return build


def _node_of_all(node: Callable[..., tree.Node]) -> Builder:
    """The node of one list that holds all values."""
    return lambda span, *values: node(values, span=span)


def _reference(word: Name) -> tree.Reference:
    return tree.Reference(word, span=word.span)


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


BUILDERS: Mapping[str, Builder] = {
    "items": lambda span, *items: items,
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
    "slice": _node(tree.Slice),
    "reference": lambda span, word: _reference(word),
    "boolean": lambda span, word: tree.Boolean(word.text == "true", span=span),
    "list_of": _node_of_all(tree.ListOf),
    "tuple_of": _node_of_all(tree.TupleOf),
    "dots": _node(tree.Dots),
    "operand": _node(tree.Operand, 1),
    "network_expression": lambda span, *parts: tree.NetworkExpression(
        parts[:-1], parts[-1], span=span
    ),
    "argument": _node(tree.Argument),
    # blocks
    "program": lambda span, *declarations: declarations,
    "import_file": _node(tree.Import),
    "block": lambda span, doc, kind, name, parameters, statements: tree.Block(
        kind.text, name, parameters, statements, doc, span=span
    ),
    "instance": lambda span, doc, kind, name, target: tree.Instance(
        kind.text, name, target, doc, span=span
    ),
    "target": lambda span, name, arguments: tree.Call(_reference(name), arguments or (), span=span),
    "parameter": _node(tree.Parameter),
    "type": _node(tree.Type),
    "part_type": lambda span: tree.Type(Name(span.text, span=span), span=span),
    # statements
    "let": _node(tree.Let),
    "let_value": lambda span, name, subscripts, value: tree.Let(
        name, value, subscripts or (), span=span
    ),
    "names": lambda span, *names: (names, span),
    "let_tuple": lambda span, names, value: tree.LetTuple(
        names[0], value, parenthesis=names[1], span=span
    ),
    "require": _node(tree.Require),
    "index_statement": lambda span, kind, *declarations: tree.IndexStatement(
        kind.text, declarations, span=span
    ),
    "index_declaration": _node(tree.IndexDeclaration, 1),
    "batch": _node_of_all(tree.BatchStatement),
    "batch_declaration": _node(tree.BatchDeclaration),
    "window": _node_of_all(tree.WindowStatement),
    "window_declaration": _node(tree.WindowDeclaration, 1),
    "input_statement": _node(tree.InputStatement, 1),
    "tensor": _node(tree.TensorStatement, 1),
    "bias": _node(tree.BiasStatement),
    "network_output": _node(tree.OutputStatement),
    "subscript": _node(tree.Subscript),
    # attributes
    "attributes": _attributes,
    "scheme": _node(tree.Scheme, 1),
    "frozen": _node(tree.Frozen),
    "share": _node_of_all(tree.Share),
    "tie": lambda span, place, conj: tree.Tie(place, conj is not None, span=span),
    "inner_tie": lambda span, own, place: tree.Tie(place, False, own, span=span),
    "member": _node(tree.Member, 1),
    "complex_attribute": lambda span, word: tree.Complex(span=span),
    "int_attribute": lambda span, word: tree.Int(span=span),
    "if_attribute": _node(tree.If),
    "unknown_attribute": _node(tree.UnknownAttribute),
    # legs
    "dots_leg": _node(tree.Dots),
    "index_leg": lambda span, name, subscripts, face, optional: tree.IndexLeg(
        name, subscripts or (), face, optional is not None, span=span
    ),
    "slices_leg": _node(tree.Subscript),
    "group_leg": lambda span, onehot, legs, width: tree.GroupLeg(
        legs, onehot is not None, width, span=span
    ),
    "star": _node(tree.Star),
    # models and rewrites
    "extern": _node(tree.Extern),
    "typed_shape": _node(tree.TypedShape),
    "part": _node(tree.PartStatement, 1),
    "part_choice": _node(tree.PartChoice),
    "model_input": lambda span, name, subscripts, legs, kind, condition: tree.InputStatement(
        name, subscripts or (), legs, condition, kind, span=span
    ),
    "model_output": _node(tree.ModelOutput),
    "rewrite": lambda span, doc, name, rules: tree.Rewrite(name, rules, doc, span=span),
    "rewrite_rule": lambda span, kind, *parts: tree.RewriteRule(kind.text, *parts, span=span),
}
