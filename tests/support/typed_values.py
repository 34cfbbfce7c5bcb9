"""Values made by hand and expressions out of a parsed text, for the typing of models."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from tests.support.parsing import block
from tncompile.language.diagnostics.collector import Failed, Problems
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import SourceFile, Span
from tncompile.language.typing.model import ModelInput, Part, RunTimeSize
from tncompile.language.typing.operations import Read
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Call, Typed, Typing
from tncompile.language.typing.values import Kind, Shape, Term, Tuple, Value

HERE = Span(SourceFile("values.tn", "declared"), 0, 8)
"""Where everything that is made by hand is declared."""


def size(text: str) -> Size:
    """`2 * t // 3`, with any names as run-time sizes."""
    names = set(re.findall("[a-z]+", text))
    found = eval(text, {"__builtins__": {}}, {name: Size.name(name) for name in names})
    return Size.number(found) if isinstance(found, int) else found


def shape(text: str) -> Shape:
    """`..., t, 8` or nothing."""
    axes = [axis.strip() for axis in text.split(",") if axis.strip()]
    dots = bool(axes) and axes[0] == "..."
    return Shape(tuple(map(size, axes[dots:])), dots)


def value(text: str, kind: Kind = "float", name: str = "x") -> Value:
    """An input of this shape."""
    sizes = shape(text)
    source = ModelInput(name, (), kind, sizes, HERE, ())
    return Value(kind, sizes, Read(source=source, span=HERE), span=HERE)


def typing(*names: str) -> Typing:
    """A model with these run-time sizes, and nothing in it yet."""
    sizes = {name: RunTimeSize(name, None, False, HERE) for name in names}
    return Typing(Problems(), sizes=sizes)


def expression(text: str) -> tree.Expression:
    """The tree of an expression."""
    (statement,) = block(f"model M() {{ output {text} }}").statements
    assert isinstance(statement, tree.ModelOutput)
    return statement.value


@dataclass
class Names:
    """What the names of a block stand for, and what is typed in it."""

    terms: dict[str, Term | Part]
    typing: Typing = field(default_factory=typing)

    def operand(self, node: tree.Operand) -> Typed:
        """The value that an operand names."""
        assert node.name is not None
        term = self.terms[node.name.text]
        assert not isinstance(term, Part)
        return Typed(term, node.name.span)

    def typed(self, node: tree.Expression) -> Typed:
        """A name, a literal, or a sum, difference or quotient of sizes."""
        term = self._term(node)
        if isinstance(term, Size) and term.value is not None:
            term = term.value
        return Typed(term, node.span)

    def _term(self, node: tree.Expression) -> Term:
        match node:
            case tree.Number() | tree.Boolean() | tree.String():
                return node.value
            case tree.TupleOf(items):
                terms = [self._term(item) for item in items]
                return Tuple(tuple(term for term in terms if not isinstance(term, Tuple | Shape)))
            case tree.Reference(name):
                term = self.terms[name.text]
                assert not isinstance(term, Part)
                return term
            case tree.Unary("-", operand):
                return -self._size(operand)
            case tree.Binary("+", left, right):
                return self._size(left) + self._size(right)
            case tree.Binary("-", left, right):
                return self._size(left) - self._size(right)
            case tree.Binary("//", left, right):
                return self._size(left) // self._size(right)
        raise AssertionError(node)

    def _size(self, node: tree.Expression) -> Size:
        term = self._term(node)
        assert isinstance(term, int | Size)
        return Size.number(term) if isinstance(term, int) else term


def called(names: Names, text: str, *, without_first: bool = False) -> Call:
    """A call as written; `without_first` leaves out its first argument, which is a part."""
    node = expression(text)
    assert isinstance(node, tree.Call)
    arguments = tuple(
        replace(names.typed(argument.value), name=argument.name)
        for argument in node.arguments[without_first:]
    )
    return Call(node.function.span.text, node.function.span, node.span, arguments)


def diagnostic(failed: Failed) -> Diagnostic:
    """What it carries, which is complete."""
    found = failed.diagnostic
    assert found is not None
    assert found.message
    assert found.primary.text
    assert found.notes
    assert found.hint
    return found


def place(found: Diagnostic) -> tuple[Code, str]:
    """The code, and the text at its place."""
    return found.code, found.primary.span.text
