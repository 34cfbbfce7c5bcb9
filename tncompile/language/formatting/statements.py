"""Statements and the heads of blocks as documents to lay out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from tncompile.language.formatting.expressions import OR, ExpressionPrinter, quoted
from tncompile.language.formatting.layout import LINE, Doc, concat, group, joined, nest
from tncompile.language.syntax import tree

_INDENT = 2
_KEYWORD = len("tensor")
"""Declarations of networks are set in columns: names begin after the longest keyword."""


class StatementPrinter(ExpressionPrinter):
    """Writes statements, one at a time."""

    def statement(self, statement: tree.Statement) -> Doc:
        """A statement of a network or a model."""
        match statement:
            case tree.Let(name, value, subscripts):
                return concat("let ", self._family(name, subscripts), " = ", self.expression(value))
            case tree.LetTuple(names, value):
                head = self.listed("()", names, statement.parenthesis.start)
                return concat("let ", head, " = ", self.expression(value))
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
                return concat(self._keyword("window"), self.part(window))
            case tree.WindowStatement(declarations):
                return self._list("window", declarations)
            case tree.InputStatement(name, subscripts, legs, condition, kind):
                shape = self._shape("input", name, legs, subscripts)
                return concat(shape, f" {kind.text}" if kind else "", self._if(condition))
            case tree.TensorStatement(name, subscripts, legs, attributes):
                shape = self._shape("tensor", name, legs, subscripts)
                return concat(shape, self._attributes(attributes))
            case tree.BiasStatement(name, legs, attributes):
                return concat(self._shape("bias", name, legs), self._attributes(attributes))
            case tree.OutputStatement(name, legs, log, attributes):
                shape = self._shape("output", name, legs)
                return concat(shape, " log" if log else "", self._attributes(attributes))
            case tree.PartStatement(name, subscripts, value, attributes):
                head = concat("part ", self._family(name, subscripts), " = ")
                return concat(head, self.part(value), self._attributes(attributes))
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

    def part(self, node: tree.Node) -> Doc:
        """A part of a statement: an attribute, a declaration, a layer, or an item of a list."""
        end = node.span.end
        match node:
            case tree.IndexDeclaration(name, subscripts, size, condition):
                head, sized = self._family(name, subscripts), self.expression(size)
                return concat(head, " = ", sized, self._if(condition))
            case tree.BatchDeclaration(name, usual, causal, condition):
                sized = concat(" = ", self.expression(usual)) if usual else ""
                return concat(name.text, sized, " causal" if causal else "", self._if(condition))
            case tree.WindowDeclaration(name, subscripts, function, arguments):
                written = self.arguments(arguments, function.span.end, end)
                return concat(self._family(name, subscripts), f" = {function.text}", written)
            case tree.Extern(function, path, arguments):
                written = self.arguments(arguments, path.span.end, end)
                word = "function " if function else ""
                return concat(f"extern {word}{quoted(path.value)}", written, self._shapes(node))
            case tree.TypedShape(legs, kind):
                shape = self.listed("()", legs, node.span.start)
                return concat(shape, f" {kind.text}" if kind else "")
            case tree.PartChoice():
                return group(nest(_INDENT, self._part_choice(node)))
            case tree.Scheme(name, arguments):
                written = self.arguments(arguments, name.span.end, end) if arguments else ""
                return concat(f"init {name.text}", written)
            case tree.Frozen():
                return "frozen"
            case tree.Complex():
                return "complex"
            case tree.Int():
                return "int"
            case tree.Share(names):
                return "share " + ", ".join(name.text for name in names)
            case tree.Tie(place, conjugate, own):
                inner = concat(self._place(own), " = ") if own else ""
                return concat("tie ", inner, self._place(place), " conj" if conjugate else "")
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
        return concat(self._keyword(keyword), head, self.listed("()", legs, end))

    def _place(self, place: Sequence[tree.Member]) -> Doc:
        """`a.b[0].c`."""
        steps = (
            concat(each.name.text, self.members(each.subscripts, each.name.span.end))
            for each in place
        )
        return joined(".", steps)

    def _shapes(self, extern: tree.Extern) -> Doc:
        """What an `extern` takes and gives, on a line of its own where it does not fit."""
        docs: list[Doc] = []
        if extern.takes is not None:
            offset = self.comments.after_bracket(extern.path.span.end)
            docs += [LINE, self.listed("()", extern.takes, offset)]
        if extern.gives is not None:
            docs += [" -> ", joined(", ", map(self.part, extern.gives))]
        return nest(_INDENT, *docs, grouped=True)

    def _part_choice(self, choice: tree.PartChoice) -> Doc:
        other = choice.otherwise
        last = self._part_choice(other) if isinstance(other, tree.PartChoice) else self.part(other)
        return self.choice(choice.condition, choice.chosen, last)

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
        head = self._keyword(keyword)
        return concat(head, nest(len(head), joined(",", docs)))

    def _keyword(self, word: str) -> str:
        return f"{word} " if self.model else word.ljust(_KEYWORD + 1)
