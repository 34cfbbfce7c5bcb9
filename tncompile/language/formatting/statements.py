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
                return self._list(kind, declarations)
            case tree.BatchStatement(declarations):
                return self._list("batch", declarations)
            case tree.WindowStatement((window,)):
                return concat(_keyword("window"), self.part(window))
            case tree.WindowStatement(declarations):
                return self._list("window", declarations)
            case tree.InputStatement(name, subscripts, legs, condition):
                return concat(self._shape("input", name, legs, subscripts), self._if(condition))
            case tree.TensorStatement(name, subscripts, legs, attributes):
                shape = self._shape("tensor", name, legs, subscripts)
                return concat(shape, self._attributes(attributes))
            case tree.BiasStatement(name, legs, attributes):
                return concat(self._shape("bias", name, legs), self._attributes(attributes))
            case tree.OutputStatement(name, legs, log, attributes):
                shape = self._shape("output", name, legs)
                return concat(shape, " log" if log else "", self._attributes(attributes))
            case tree.PartStatement(name, subscripts, value, attributes):
                flat = self.part_head(statement)
                family = flat.ljust(width) if flat else self._family(name, subscripts)
                return concat(
                    "part ", family, " = ", self.part(value), self._attributes(attributes)
                )
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
        head, names = f"import {quoted(statement.path.value)}", statement.names
        if names is None:
            return head
        return concat(f"{head} ", self.listed("{}", names, statement.span.start, filled=False))

    def head(self, block: tree.Block | tree.Rewrite) -> Doc:
        """A block up to its opening brace."""
        if isinstance(block, tree.Rewrite):
            return f"rewrite {block.name.text} {{"
        parameters = self.listed("()", block.parameters, block.name.span.end, filled=False)
        return concat(f"{block.kind} {block.name.text}", parameters, " {")

    def part_head(self, part: tree.PartStatement) -> str:
        """`p[k in 0..n]`, or nothing where comments stay in it: those inside its brackets."""
        end = part.name.span.end
        inside = part.subscripts and self.comments.exist(end, part.value.span.start)
        if inside and self.comments.exist(*self.comments.bracket(end)):
            return ""
        return " ".join(lay_out(self._family(part.name, part.subscripts), width=_UNBOUNDED))

    def part(self, node: tree.Node) -> Doc:
        """A part of a statement: an attribute, a declaration, a layer, or an item of a list."""
        end = node.span.end
        match node:
            case tree.IndexDeclaration(name, subscripts, size, condition):
                head, sized = self._family(name, subscripts), self.expression(size)
                return concat(head, " = ", sized, self._if(condition))
            case tree.BatchDeclaration(name, usual, causal):
                sized = concat(" = ", self.expression(usual)) if usual else ""
                return concat(name.text, sized, " causal" if causal else "")
            case tree.WindowDeclaration(name, subscripts, function, arguments):
                written = self.arguments(arguments, function.span.end, end)
                return concat(self._family(name, subscripts), f" = {function.text}", written)
            case tree.Extern(function, path, arguments, shape):
                offset = path.span.end
                written = self.arguments(arguments, offset, end)
                word = "function " if function else ""
                head = concat(f"extern {word}{quoted(path.value)}", written)
                if shape is None:
                    return head
                return concat(
                    head, " -> ", self.listed("()", shape, self.comments.after_bracket(offset))
                )
            case tree.Scheme(name, arguments):
                written = self.arguments(arguments, name.span.end, end) if arguments else ""
                return concat(f"init {name.text}", written)
            case tree.Frozen():
                return "frozen"
            case tree.Complex():
                return "complex"
            case tree.Share(names):
                return "share " + ", ".join(name.text for name in names)
            case tree.Tie(name, subscripts, conjugate):
                members = self.members(subscripts, name.span.end)
                return concat(f"tie {name.text}", members, " conj" if conjugate else "")
            case tree.If(condition):
                return concat("if ", self.expression(condition, OR))
            case tree.UnknownAttribute(name, called, rest):
                written = "" if called is None else self.arguments(called, name.span.end, end)
                return joined(" ", [concat(name.text, written), *map(self.part, rest)])
            case _:
                return super().part(node)

    def _if(self, condition: tree.Expression | None) -> Doc:
        return concat(" if ", self.expression(condition, OR)) if condition else ""

    def _family(self, name: tree.Name, subscripts: Sequence[tree.Subscript]) -> Doc:
        return concat(name.text, self.members(subscripts, name.span.end))

    def _shape(
        self,
        keyword: str,
        name: tree.Name,
        legs: Sequence[tree.Leg],
        subscripts: Sequence[tree.Subscript] = (),
    ) -> Doc:
        end = subscripts[-1].span.end if subscripts else name.span.end
        head = self._family(name, subscripts)
        return concat(_keyword(keyword), head, self.listed("()", legs, end))

    def _attributes(self, attributes: Sequence[tree.Attribute]) -> Doc:
        """Attributes in the order written; an unknown word stays on its line, or it is TN101."""
        docs = [
            group(" " if isinstance(each, tree.UnknownAttribute) else LINE, self.part(each))
            for each in attributes
        ]
        return nest(2 * _INDENT, *docs)

    def _list(self, keyword: str, items: Sequence[tree.Node]) -> Doc:
        """A statement with a list; its lines are indented to the first item."""
        docs = [group(LINE if k else "", self.part(item)) for k, item in enumerate(items)]
        return concat(_keyword(keyword), nest(_KEYWORD + 1, joined(",", docs)))


def _keyword(word: str) -> str:
    return word.ljust(_KEYWORD + 1)
