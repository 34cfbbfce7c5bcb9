"""Statements and the heads of blocks as documents to lay out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from tncompile.language.formatting.expressions import OR, ExpressionPrinter, quoted
from tncompile.language.formatting.layout import LINE, Doc, concat, group, joined, lay_out, nest
from tncompile.language.syntax import tree

_INDENT = 2
_UNBOUNDED = 1_000_000
_KEYWORD = len("tensor")
"""Declarations are set in columns: names begin after the longest keyword."""


class StatementPrinter(ExpressionPrinter):
    """Writes statements, one at a time."""

    def statement(self, statement: tree.Statement, width: int = 0) -> Doc:
        """A statement of a network or a model; the head of a `part` is padded to `width`."""
        match statement:
            case tree.Let(names, value):
                words = ", ".join(name.text for name in names)
                head = words if len(names) == 1 else f"({words})"
                return concat(f"let {head} = ", self.expression(value))
            case tree.Require(condition, reason):
                required = concat("require ", self.expression(condition))
                if reason is None:
                    return required
                return group(nest(_INDENT, required, ",", LINE, quoted(reason.value)))
            case tree.IndexStatement(kind, declarations):
                return _list(kind, [self._declaration(each) for each in declarations])
            case tree.BatchStatement(names):
                return _list("batch", [name.text for name in names])
            case tree.WindowStatement(name, function, arguments):
                written = self.arguments(arguments, function.span.end, statement.span.end)
                return concat(_keyword("window"), f"{name.text} = {function.text}", written)
            case tree.InputStatement(name, subscripts, legs, condition):
                shape = self._shape(name, legs, subscripts)
                return concat(_keyword("input"), shape, self._condition(condition))
            case tree.TensorStatement(name, subscripts, legs, attributes):
                shape = self._shape(name, legs, subscripts)
                return concat(_keyword("tensor"), shape, self._attributes(attributes))
            case tree.BiasStatement(name, legs, attributes):
                shape = self._shape(name, legs)
                return concat(_keyword("bias"), shape, self._attributes(attributes))
            case tree.OutputStatement(name, legs, log, attributes):
                shape = concat(self._shape(name, legs), " log" if log else "")
                return concat(_keyword("output"), shape, self._attributes(attributes))
            case tree.PartStatement():
                return self._part(statement, width)
            case tree.ModelOutput(value):
                return concat("output ", self.expression(value))
            case _:
                assert_never(statement)

    def rule(self, rule: tree.RewriteRule, kind_width: int, pattern_width: int) -> Doc:
        """A rule of a rewrite, its kind and its pattern padded."""
        pattern = quoted(rule.pattern.value).ljust(pattern_width)
        head = f"{rule.kind.ljust(kind_width)} {pattern} -> "
        return concat(head, self.expression(rule.target) if rule.target else "keep")

    def import_file(self, statement: tree.Import) -> Doc:
        """`import "file.tn" { A, B }`."""
        head = f"import {quoted(statement.path.value)}"
        if statement.names is None:
            return head
        names = [name.text for name in statement.names]
        return concat(f"{head} ", self.listed("{}", statement.names, names, statement.span.start))

    def instance(self, statement: tree.Instance) -> Doc:
        """`network N = M(…)`."""
        head = f"{statement.kind} {statement.name.text} = "
        return concat(head, self.expression(statement.target))

    def head(self, block: tree.Block | tree.Rewrite) -> Doc:
        """A block up to its opening brace."""
        if isinstance(block, tree.Rewrite):
            return f"rewrite {block.name.text} {{"
        docs = [self._parameter(parameter) for parameter in block.parameters]
        parameters = self.listed("()", block.parameters, docs, block.name.span.end)
        return concat(f"{block.kind} {block.name.text}", parameters, " {")

    def part_head(self, part: tree.PartStatement) -> str:
        """`p[k in 0..n]`, or nothing where comments stay in it: those inside its brackets."""
        end = part.name.span.end
        inside = part.subscripts and self.comments.exist(end, part.value.span.start)
        if inside and self.comments.exist(*self.comments.bracket(end)):
            return ""
        return " ".join(lay_out(self._family(part.name, part.subscripts), width=_UNBOUNDED))

    def _parameter(self, parameter: tree.Parameter) -> Doc:
        length, default = parameter.type.length, parameter.default
        return concat(
            f"{parameter.name.text}: {parameter.type.name.text}",
            concat("[", self.expression(length), "]") if length else "",
            concat(" = ", self.expression(default)) if default else "",
        )

    def _declaration(self, declaration: tree.IndexDeclaration) -> Doc:
        family = self._family(declaration.name, declaration.subscripts)
        size = self.expression(declaration.size)
        return concat(family, " = ", size, self._condition(declaration.condition))

    def _condition(self, condition: tree.Expression | None) -> Doc:
        return concat(" if ", self.expression(condition, OR)) if condition else ""

    def _family(self, name: tree.Name, subscripts: Sequence[tree.Subscript]) -> Doc:
        return concat(name.text, self.subscripts(subscripts, name.span.end))

    def _shape(
        self, name: tree.Name, legs: Sequence[tree.Leg], subscripts: Sequence[tree.Subscript] = ()
    ) -> Doc:
        end = subscripts[-1].span.end if subscripts else name.span.end
        return concat(self._family(name, subscripts), self.legs(legs, end))

    def _part(self, part: tree.PartStatement, width: int) -> Doc:
        flat = self.part_head(part)
        head: Doc = flat.ljust(width) if flat else self._family(part.name, part.subscripts)
        if isinstance(part.value, tree.Extern):
            layer = self._extern(part.value)
        else:
            layer = self.expression(part.value)
        return concat("part ", head, " = ", layer, self._attributes(part.attributes))

    def _extern(self, extern: tree.Extern) -> Doc:
        offset = extern.path.span.end
        arguments = self.arguments(extern.arguments, offset, extern.span.end)
        shape: Doc = ""
        if extern.shape is not None:
            shape = concat(" -> ", self.legs(extern.shape, self.comments.after_bracket(offset)))
        return concat(f"extern {quoted(extern.path.value)}", arguments, shape)

    def _attributes(self, attributes: Sequence[tree.Attribute]) -> Doc:
        """Attributes in the order written; an unknown word stays on its line, or it is TN101."""
        docs = [
            group(" " if isinstance(each, tree.UnknownAttribute) else LINE, self._attribute(each))
            for each in attributes
        ]
        return nest(2 * _INDENT, *docs)

    def _attribute(self, attribute: tree.Attribute) -> Doc:
        match attribute:
            case tree.Scheme(name, arguments):
                return concat("init ", self._word(name, arguments or None, attribute.span.end))
            case tree.Frozen():
                return "frozen"
            case tree.Share(names):
                return "share " + ", ".join(name.text for name in names)
            case tree.Tie(name, subscripts, conjugate):
                members = self.members(subscripts, name.span.end)
                return concat(f"tie {name.text}", members, " conj" if conjugate else "")
            case tree.If(condition):
                return concat("if ", self.expression(condition, OR))
            case tree.UnknownAttribute(name, arguments, rest):
                word = self._word(name, arguments, attribute.span.end)
                return joined(" ", [word, *(self._attribute(each) for each in rest)])
            case _:
                assert_never(attribute)

    def _word(self, name: tree.Name, arguments: Sequence[tree.Argument] | None, end: int) -> Doc:
        if arguments is None:
            return name.text
        return concat(name.text, self.arguments(arguments, name.span.end, end))


def _keyword(word: str) -> str:
    return word.ljust(_KEYWORD + 1)


def _list(keyword: str, items: Sequence[Doc]) -> Doc:
    """A statement with a list; its lines are indented to the first item."""
    docs = [group(LINE if k else "", item) for k, item in enumerate(items)]
    return concat(_keyword(keyword), nest(_KEYWORD + 1, joined(",", docs)))
