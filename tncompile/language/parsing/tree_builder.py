"""The syntax tree, bottom up: for each rule of the grammar the function that makes its node.

A function is called with the span of what was parsed and the values of the rule's symbols:
`Token` for words and operators, None for an optional part that is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby

from tncompile.language.parsing.expression_builder import (
    EXPRESSION_BUILDERS,
    Token,
    name_of,
)
from tncompile.language.syntax.source import Span
from tncompile.language.syntax.tree import (
    Argument,
    Attribute,
    BatchStatement,
    BiasStatement,
    Block,
    Call,
    Declaration,
    DotsLeg,
    Expression,
    ExpressionLeg,
    Extern,
    Frozen,
    GroupLeg,
    If,
    Import,
    IndexDeclaration,
    IndexLeg,
    IndexStatement,
    InputStatement,
    Instance,
    Leg,
    Let,
    ModelOutput,
    Name,
    OutputStatement,
    Parameter,
    PartStatement,
    Reference,
    Require,
    Rewrite,
    RewriteRule,
    Scheme,
    Share,
    SlicesLeg,
    Star,
    Statement,
    String,
    Subscript,
    TensorStatement,
    Tie,
    Type,
    UnknownAttribute,
    WindowStatement,
)


def _items(span: Span, *items: object) -> tuple[object, ...]:
    return items


def _word(span: Span, word: Token) -> Name:
    return word.name


# ── blocks ───────────────────────────────────────────────────────────────────────────────────────


def _program(span: Span, *declarations: Declaration) -> tuple[Declaration, ...]:
    return declarations


def _import(span: Span, path: String, names: tuple[Name, ...] | None) -> Import:
    return Import(path, names, span=span)


def _block(kind: str) -> Callable[..., Block]:
    def build(
        span: Span,
        doc: str | None,
        name: Name,
        parameters: tuple[Parameter, ...],
        statements: tuple[Statement, ...],
    ) -> Block:
        return Block(kind, name, parameters, statements, doc, span=span)

    return build


def _instance(kind: str) -> Callable[..., Instance]:
    def build(span: Span, doc: str | None, name: Name, target: Call) -> Instance:
        return Instance(kind, name, target, doc, span=span)

    return build


def _target(span: Span, name: Name, arguments: tuple[Argument, ...] | None) -> Call:
    return Call(Reference(name, span=name.span), arguments or (), span=span)


def _parameter(span: Span, name: Name, type_: Type, default: Expression | None) -> Parameter:
    return Parameter(name, type_, default, span=span)


def _scalar_type(span: Span, word: Token) -> Type:
    return Type(word.name, span=span)


def _list_type(span: Span, word: Token, length: Expression) -> Type:
    return Type(word.name, length, span=span)


# ── statements ───────────────────────────────────────────────────────────────────────────────────


def _let(span: Span, name: Name, value: Expression) -> Let:
    return Let((name,), value, span=span)


def _let_tuple(span: Span, *parts: Name | Expression) -> Let:
    *names, value = parts
    return Let(tuple(n for n in names if isinstance(n, Name)), _expression(value), span=span)


def _expression(value: Name | Expression) -> Expression:
    assert not isinstance(value, Name), "names become references where values stand"
    return value


def _require(span: Span, condition: Expression, reason: String | None) -> Require:
    return Require(condition, reason, span=span)


def _index_statement(span: Span, kind: Token, *declarations: IndexDeclaration) -> IndexStatement:
    return IndexStatement(kind.text, declarations, span=span)


def _index_declaration(
    span: Span,
    name: Name,
    subscripts: tuple[Subscript, ...] | None,
    size: Expression,
    condition: Expression | None,
) -> IndexDeclaration:
    return IndexDeclaration(name, subscripts or (), size, condition, span=span)


def _batch(span: Span, *names: Name) -> BatchStatement:
    return BatchStatement(names, span=span)


def _window(
    span: Span, name: Name, function: Name, arguments: tuple[Argument, ...]
) -> WindowStatement:
    return WindowStatement(name, function, arguments, span=span)


def _input(
    span: Span,
    name: Name,
    subscripts: tuple[Subscript, ...] | None,
    legs: tuple[Leg, ...],
    condition: Expression | None,
) -> InputStatement:
    return InputStatement(name, subscripts or (), legs, condition, span=span)


def _tensor(
    span: Span,
    name: Name,
    subscripts: tuple[Subscript, ...] | None,
    legs: tuple[Leg, ...],
    attributes: tuple[Attribute, ...],
) -> TensorStatement:
    return TensorStatement(name, subscripts or (), legs, attributes, span=span)


def _bias(
    span: Span, name: Name, legs: tuple[Leg, ...], attributes: tuple[Attribute, ...]
) -> BiasStatement:
    return BiasStatement(name, legs, attributes, span=span)


def _output(
    span: Span,
    name: Name,
    legs: tuple[Leg, ...],
    log: Token | None,
    attributes: tuple[Attribute, ...],
) -> OutputStatement:
    return OutputStatement(name, legs, log.name if log else None, attributes, span=span)


def _subscript(span: Span, name: Name, start: Expression, stop: Expression) -> Subscript:
    return Subscript(name, start, stop, span=span)


# ── attributes ───────────────────────────────────────────────────────────────────────────────────


def _attributes(span: Span, *attributes: Attribute) -> tuple[Attribute, ...]:
    """The attributes in order; unknown words that follow each other are one mistake."""
    gathered: list[Attribute] = []
    for unknown, run in groupby(attributes, lambda each: isinstance(each, UnknownAttribute)):
        if not unknown:
            gathered.extend(run)
            continue
        first, *rest = (each for each in run if isinstance(each, UnknownAttribute))
        end = rest[-1] if rest else first
        gathered.append(
            UnknownAttribute(first.name, first.arguments, tuple(rest), span=first.span.to(end.span))
        )
    return tuple(gathered)


def _scheme(span: Span, name: Name, arguments: tuple[Argument, ...] | None) -> Scheme:
    return Scheme(name, arguments or (), span=span)


def _frozen(span: Span) -> Frozen:
    return Frozen(span=span)


def _share(span: Span, *names: Name) -> Share:
    return Share(names, span=span)


def _tie(span: Span, name: Name, members: tuple[Expression, ...] | None, conj: Token | None) -> Tie:
    return Tie(name, members or (), conj is not None, span=span)


def _if(span: Span, condition: Expression) -> If:
    return If(condition, span=span)


def _unknown(span: Span, name: Name, arguments: tuple[Argument, ...] | None) -> UnknownAttribute:
    return UnknownAttribute(name, arguments, span=span)


# ── legs ─────────────────────────────────────────────────────────────────────────────────────────


def _dots_leg(span: Span) -> DotsLeg:
    return DotsLeg(span=span)


def _index_leg(
    span: Span,
    name: Name,
    subscripts: tuple[Expression | Star, ...] | None,
    face: Name | None,
    optional: Token | None,
) -> IndexLeg:
    return IndexLeg(name, subscripts or (), face, optional is not None, span=span)


def _slices_leg(span: Span, name: Name, start: Expression, stop: Expression) -> SlicesLeg:
    return SlicesLeg(_subscript(span, name, start, stop), span=span)


def _group_leg(span: Span, legs: tuple[IndexLeg, ...], width: Expression | None) -> GroupLeg:
    return GroupLeg(legs, False, width, span=span)


def _onehot_leg(span: Span, legs: tuple[IndexLeg, ...], width: Expression | None) -> GroupLeg:
    return GroupLeg(legs, True, width, span=span)


def _star(span: Span) -> Star:
    return Star(span=span)


def _model_leg(span: Span, size: Expression) -> IndexLeg | ExpressionLeg:
    if isinstance(size, Reference):
        return IndexLeg(size.name, span=span)
    return ExpressionLeg(size, span=span)


# ── models and rewrites ──────────────────────────────────────────────────────────────────────────


def _layer(span: Span, word: Name | Token, arguments: tuple[Argument, ...]) -> Call:
    name = name_of(word)
    return Call(Reference(name, span=name.span), arguments, span=span)


def _extern(
    span: Span, path: String, arguments: tuple[Argument, ...], shape: tuple[Leg, ...] | None
) -> Extern:
    return Extern(path, arguments, shape, span=span)


def _part(
    span: Span,
    name: Name,
    subscripts: tuple[Subscript, ...] | None,
    value: Call | Extern,
    attributes: tuple[Attribute, ...],
) -> PartStatement:
    return PartStatement(name, subscripts or (), value, attributes, span=span)


def _model_output(span: Span, value: Expression) -> ModelOutput:
    return ModelOutput(value, span=span)


def _rewrite(span: Span, doc: str | None, name: Name, rules: tuple[RewriteRule, ...]) -> Rewrite:
    return Rewrite(name, rules, doc, span=span)


def _rewrite_rule(span: Span, kind: Token, pattern: String, target: Call) -> RewriteRule:
    return RewriteRule(kind.text, pattern, target, span=span)


def _keep_rule(span: Span, kind: Token, pattern: String) -> RewriteRule:
    return RewriteRule(kind.text, pattern, None, span=span)


BUILDERS: Mapping[str, Callable[..., object]] = {
    **EXPRESSION_BUILDERS,
    "items": _items,
    "word": _word,
    "program": _program,
    "import_file": _import,
    "network_block": _block("network"),
    "model_block": _block("model"),
    "network_instance": _instance("network"),
    "model_instance": _instance("model"),
    "target": _target,
    "parameter": _parameter,
    "scalar_type": _scalar_type,
    "list_type": _list_type,
    "let": _let,
    "let_tuple": _let_tuple,
    "require": _require,
    "index_statement": _index_statement,
    "index_declaration": _index_declaration,
    "batch": _batch,
    "window": _window,
    "input_statement": _input,
    "tensor": _tensor,
    "bias": _bias,
    "network_output": _output,
    "subscript": _subscript,
    "attributes": _attributes,
    "scheme": _scheme,
    "frozen": _frozen,
    "share": _share,
    "tie": _tie,
    "if_attribute": _if,
    "unknown_attribute": _unknown,
    "dots_leg": _dots_leg,
    "index_leg": _index_leg,
    "slices_leg": _slices_leg,
    "group_leg": _group_leg,
    "onehot_leg": _onehot_leg,
    "star": _star,
    "model_leg": _model_leg,
    "layer": _layer,
    "extern": _extern,
    "part": _part,
    "model_output": _model_output,
    "rewrite": _rewrite,
    "rewrite_rule": _rewrite_rule,
    "keep_rule": _keep_rule,
}
