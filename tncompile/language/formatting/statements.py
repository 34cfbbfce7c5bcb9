"""Statements and blocks' heads as documents to lay out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from tncompile.language.formatting.layout import (
    LINE,
    Doc,
    concat,
    group,
    joined,
    lay_out,
    nest,
)
from tncompile.language.formatting.notation import OR, Notation, quoted
from tncompile.language.syntax.tree import (
    Argument,
    Attribute,
    BatchStatement,
    BiasStatement,
    Block,
    Expression,
    Extern,
    Frozen,
    If,
    Import,
    IndexDeclaration,
    IndexStatement,
    InputStatement,
    Instance,
    Let,
    ModelOutput,
    Name,
    OutputStatement,
    Parameter,
    PartStatement,
    Require,
    Rewrite,
    RewriteRule,
    Scheme,
    Share,
    Statement,
    TensorStatement,
    Tie,
    UnknownAttribute,
    WindowStatement,
)

_INDENT = 2
_UNBOUNDED = 1_000_000
_KEYWORD = len("tensor")
"""Declarations are set in columns: names begin after the longest keyword."""


class Statements:
    """Writes statements, one at a time."""

    def __init__(self, notation: Notation) -> None:
        self.notation = notation

    def statement(self, statement: Statement, width: int = 0) -> Doc:
        """A statement of a network or a model; the head of a `part` is padded to `width`."""
        expression = self.notation.expression
        match statement:
            case Let(names, value):
                words = ", ".join(name.text for name in names)
                head = words if len(names) == 1 else f"({words})"
                return concat(f"let {head} = ", expression(value))
            case Require():
                return self._require(statement)
            case IndexStatement():
                return self._index(statement)
            case BatchStatement(names):
                docs = [group(LINE if k else "", name.text) for k, name in enumerate(names)]
                return concat(_keyword("batch"), nest(_KEYWORD + 1, joined(",", docs)))
            case WindowStatement():
                arguments = self.notation.arguments(
                    statement.arguments, statement.function.span.end, statement.span.end
                )
                head = f"{statement.name.text} = {statement.function.text}"
                return concat(_keyword("window"), head, arguments)
            case InputStatement() | TensorStatement() | BiasStatement() | OutputStatement():
                return self._carrier(statement)
            case PartStatement():
                return self._part(statement, width)
            case ModelOutput(value):
                return concat("output ", expression(value))
            case _:
                assert_never(statement)

    def rule(self, rule: RewriteRule, kind_width: int, pattern_width: int) -> Doc:
        """A rule of a rewrite, its kind and its pattern padded."""
        pattern = quoted(rule.pattern.value).ljust(pattern_width)
        head = f"{rule.kind.ljust(kind_width)} {pattern} -> "
        return concat(head, self.notation.expression(rule.target) if rule.target else "keep")

    def import_file(self, statement: Import) -> Doc:
        """`import "file.tn" { A, B }`."""
        head = f"import {quoted(statement.path.value)}"
        if statement.names is None:
            return head
        names = [name.text for name in statement.names]
        return concat(
            f"{head} ", self.notation.listed("{}", statement.names, names, statement.span.start)
        )

    def instance(self, statement: Instance) -> Doc:
        """`network N = M(…)`."""
        head = f"{statement.kind} {statement.name.text} = "
        return concat(head, self.notation.expression(statement.target))

    def head(self, block: Block | Rewrite) -> Doc:
        """A block up to its opening brace."""
        if isinstance(block, Rewrite):
            return f"rewrite {block.name.text} {{"
        docs = [self._parameter(parameter) for parameter in block.parameters]
        parameters = self.notation.listed("()", block.parameters, docs, block.name.span.end)
        return concat(f"{block.kind} {block.name.text}", parameters, " {")

    def part_head(self, part: PartStatement) -> str:
        """`p[k in 0..n]`, or nothing where comments stay in it: those inside its brackets."""
        comments, end = self.notation.comments, part.name.span.end
        inside = part.subscripts and comments.some(end, part.value.span.start)
        if inside and comments.some(*comments.bracket(end)):
            return ""
        return " ".join(lay_out(self._subscripted(part.name, part), width=_UNBOUNDED))

    def _parameter(self, parameter: Parameter) -> Doc:
        kind: Doc = parameter.type.name.text
        if parameter.type.length is not None:
            kind = concat(kind, "[", self.notation.expression(parameter.type.length), "]")
        default: Doc = ""
        if parameter.default is not None:
            default = concat(" = ", self.notation.expression(parameter.default))
        return concat(f"{parameter.name.text}: ", kind, default)

    def _require(self, statement: Require) -> Doc:
        condition = self.notation.expression(statement.condition)
        if statement.reason is None:
            return concat("require ", condition)
        reason = quoted(statement.reason.value)
        return group(nest(_INDENT, "require ", condition, ",", LINE, reason))

    def _index(self, statement: IndexStatement) -> Doc:
        docs: list[Doc] = []
        for k, declaration in enumerate(statement.declarations):
            docs.append(group(LINE if k else "", self._declaration(declaration)))
        return concat(_keyword(statement.kind), nest(_KEYWORD + 1, joined(",", docs)))

    def _declaration(self, declaration: IndexDeclaration) -> Doc:
        name = declaration.name
        subscripts = self.notation.subscripts(declaration.subscripts, name.span.end)
        size = self.notation.expression(declaration.size)
        return concat(name.text, subscripts, " = ", size, self._condition(declaration.condition))

    def _condition(self, condition: Expression | None) -> Doc:
        return concat(" if ", self.notation.expression(condition, OR)) if condition else ""

    def _carrier(
        self, statement: InputStatement | TensorStatement | BiasStatement | OutputStatement
    ) -> Doc:
        """What has legs."""
        name = statement.name
        offset = name.span.end
        head: Doc = name.text
        if isinstance(statement, InputStatement | TensorStatement) and statement.subscripts:
            head = self._subscripted(name, statement)
            offset = statement.subscripts[-1].span.end
        legs = self.notation.legs(statement.legs, offset)
        match statement:
            case InputStatement():
                return concat(_keyword("input"), head, legs, self._condition(statement.condition))
            case TensorStatement():
                return concat(
                    _keyword("tensor"), head, legs, self._attributes(statement.attributes)
                )
            case BiasStatement():
                return concat(_keyword("bias"), head, legs, self._attributes(statement.attributes))
            case OutputStatement():
                log = " log" if statement.log else ""
                attributes = self._attributes(statement.attributes)
                return concat(_keyword("output"), head, legs, log, attributes)
            case _:
                assert_never(statement)

    def _subscripted(
        self, name: Name, statement: InputStatement | TensorStatement | PartStatement
    ) -> Doc:
        return concat(name.text, self.notation.subscripts(statement.subscripts, name.span.end))

    def _part(self, part: PartStatement, width: int) -> Doc:
        flat = self.part_head(part)
        head: Doc = flat.ljust(width) if flat else self._subscripted(part.name, part)
        value = part.value
        if isinstance(value, Extern):
            layer = self._extern(value)
        else:
            layer = self.notation.expression(value)
        return concat("part ", head, " = ", layer, self._attributes(part.attributes))

    def _extern(self, extern: Extern) -> Doc:
        offset = extern.path.span.end
        arguments = self.notation.arguments(extern.arguments, offset, extern.span.end)
        shape: Doc = ""
        if extern.shape is not None:
            after = self.notation.comments.after_bracket(offset)
            shape = concat(" -> ", self.notation.legs(extern.shape, after))
        return concat(f"extern {quoted(extern.path.value)}", arguments, shape)

    def _attributes(self, attributes: Sequence[Attribute]) -> Doc:
        """Attributes in the order written; an unknown word stays on its line, or it is TN101."""
        docs = [
            group(" " if isinstance(each, UnknownAttribute) else LINE, self._attribute(each))
            for each in attributes
        ]
        return nest(2 * _INDENT, *docs)

    def _attribute(self, attribute: Attribute) -> Doc:
        match attribute:
            case Scheme(name, arguments):
                return concat("init ", self._word(name, arguments or None, attribute.span.end))
            case Frozen():
                return "frozen"
            case Share(names):
                return "share " + ", ".join(name.text for name in names)
            case Tie(name, subscripts, conjugate):
                members = self.notation.members(subscripts, name.span.end)
                return concat(f"tie {name.text}", members, " conj" if conjugate else "")
            case If(condition):
                return concat("if ", self.notation.expression(condition, OR))
            case UnknownAttribute(name, arguments, rest):
                word = self._word(name, arguments, attribute.span.end)
                return joined(" ", [word, *(self._attribute(each) for each in rest)])
            case _:
                assert_never(attribute)

    def _word(self, name: Name, arguments: Sequence[Argument] | None, end: int) -> Doc:
        if arguments is None:
            return name.text
        return concat(name.text, self.notation.arguments(arguments, name.span.end, end))


def _keyword(word: str) -> str:
    return word.ljust(_KEYWORD + 1)
