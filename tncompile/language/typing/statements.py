"""One model block with its arguments, statement by statement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tncompile.language.diagnostics.collector import Failed, Problems, failure, problem
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.evaluating.functions import FUNCTIONS as NUMBER_FUNCTIONS
from tncompile.language.evaluating.scope import Budget, Scope
from tncompile.language.linked import ArgumentValue, LinkedBlock
from tncompile.language.resolved import LARGEST_SIZE, ResolvedNetwork, member_name, value_text
from tncompile.language.resolving.binding import bind
from tncompile.language.syntax import tree
from tncompile.language.syntax.walk import walk
from tncompile.language.typing.calls.inputs import output_of
from tncompile.language.typing.causality import check_causal
from tncompile.language.typing.conditions import require
from tncompile.language.typing.expressions import Reader, numbers
from tncompile.language.typing.families import unroll
from tncompile.language.typing.model import (
    ModelInput,
    Part,
    PlainTensor,
    Requirement,
    ResolvedModel,
    RunTimeSize,
)
from tncompile.language.typing.names import CONSTANTS, Family
from tncompile.language.typing.operations import Read
from tncompile.language.typing.parts import Instantiate, read_part
from tncompile.language.typing.repeats import Graph, without_repeats
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Typed, Typing
from tncompile.language.typing.tensors import read_tensor, tied_paths
from tncompile.language.typing.values import KIND_NAMED, Kind, Shape, Term, Tuple, Value, flattened

Written = TypeVar("Written")


@dataclass(slots=True)
class _Statements:
    """Reads the statements of one block into what the model holds."""

    reader: Reader
    blocks: Mapping[str, LinkedBlock]
    instantiate: Instantiate
    parts: list[Part] = field(default_factory=list)
    tensors: list[PlainTensor] = field(default_factory=list)
    tied: dict[str, str] = field(default_factory=dict)
    inputs: list[ModelInput] = field(default_factory=list)
    requirements: list[Requirement] = field(default_factory=list)
    labels: dict[Value, str] = field(default_factory=dict)
    output: Term | None = None
    read: set[int] = field(default_factory=set)  # statements of numbers, read first

    # ── numbers come first ────────────────────────────────────────────────────────────────────

    def numbers(self, block: tree.Block) -> None:
        """`let` and `require` of numbers: what they rule out is not looked at."""
        known = {*self.reader.names}
        for k, statement in enumerate(block.statements):
            if isinstance(statement, tree.Let) and not statement.subscripts:
                if _is_number(statement.value, known):
                    known.add(statement.name.text)
                    self.read.add(k)
                    self._attempt(self._let, statement)
            elif isinstance(statement, tree.Require) and _is_number(statement.condition, known):
                self.read.add(k)
                self._attempt(self._require, statement)

    def all(self, block: tree.Block) -> None:
        """The other statements in the order written."""
        for k, statement in enumerate(block.statements):
            if k in self.read:
                continue
            match statement:
                case tree.BatchStatement(declarations):
                    for declaration in declarations:
                        self._attempt(self._batch, declaration)
                case tree.PartStatement():
                    self._attempt(self._part, statement)
                case tree.TensorStatement():
                    self._attempt(self._tensor, statement)
                case tree.InputStatement():
                    self._attempt(self._input, statement)
                case tree.Let():
                    self._attempt(self._let, statement)
                case tree.LetTuple():
                    self._attempt(self._let_tuple, statement)
                case tree.Require():
                    self._attempt(self._require, statement)
                case tree.ModelOutput(value):
                    self._attempt(self._output, value)

    def _attempt(self, read: Callable[[Written], None], node: Written) -> None:
        """Read a statement; what is wrong with it is reported, what it declares has no value."""
        try:
            read(node)
        except Failed as failed:
            self.reader.typing.problems.add(failed.diagnostic)
            if failed.diagnostic is not None and failed.diagnostic.code is Code.TOO_MANY:
                self.reader.typing.problems.raise_errors()
            if isinstance(node, tree.Let | tree.LetTuple):
                for name in node.names if isinstance(node, tree.LetTuple) else (node.name,):
                    family = self.reader.names.setdefault(name.text, Family("value", name))
                    if isinstance(family, Family):  # with members that were read before, or none
                        family.failed = True

    # ── declarations ──────────────────────────────────────────────────────────────────────────

    def _batch(self, declaration: tree.BatchDeclaration) -> None:
        name, usual = declaration.name, None
        typing = self.reader.typing
        causal, condition = declaration.causal, declaration.condition
        if condition is not None and causal is None and not self.reader.truth(condition):
            absent = Family("run-time size", name, condition=condition.span)
            self.reader.names[name.text] = absent
            return
        size = RunTimeSize(name.text, None, causal is not None, name.span)
        typing.sizes[name.text] = size
        self.reader.names[name.text] = Size.name(name.text)
        if causal is not None and condition is not None and not self.reader.truth(condition):
            causal = None
            typing.sizes[name.text] = size = replace(size, causal=False)
        if declaration.usual is not None:
            usual = self.reader.integer(declaration.usual)
            if not 1 <= usual <= LARGEST_SIZE:
                message, label = f"the usual size of `{name.text}` is {usual}", "not a size"
                note = "it is what is planned for where nobody says another size"
                hint = f"give it a size of at least 1, or none: `batch {name.text}`"
                span = declaration.usual.span
                raise failure(Code.BAD_SIZE, message, span, label, note, hint)
            typing.sizes[name.text] = replace(size, usual=usual)
        if causal is not None:
            others = (s for s in typing.sizes.values() if s.causal and s.name != name.text)
            if first := next(others, None):
                message, label = "two causal sizes", "the second one"
                note = "a model runs step by step along one axis"
                hint = "leave `causal` out at one of the two"
                there = Label(first.declared, "the first one")
                raise failure(Code.NOT_CAUSAL, message, causal.span, label, note, hint, there)

    def _part(self, statement: tree.PartStatement) -> None:
        names, name = self.reader.names, statement.name
        family = Family("part", name, len(statement.subscripts), failed=True)
        names[name.text] = family
        family, parts = read_part(self.reader, statement, self.blocks, self.instantiate)
        names[name.text] = family
        self.parts += parts

    def _tensor(self, statement: tree.TensorStatement) -> None:
        names, name = self.reader.names, statement.name
        names[name.text] = Family("tensor", name, len(statement.subscripts), failed=True)
        family, tensors = read_tensor(self.reader, statement)
        names[name.text] = family
        self.tensors += tensors
        self.tied |= tied_paths(statement, family)

    def _input(self, statement: tree.InputStatement) -> None:
        reader, name = self.reader, statement.name
        family = Family("input", name, len(statement.subscripts), failed=True)
        reader.names[name.text] = family
        if statement.condition is not None:
            family.condition = statement.condition.span
        kind: Kind = "float"
        if statement.kind is not None:
            kind = KIND_NAMED[statement.kind.text]
        legs = [leg for leg in statement.legs if isinstance(leg, tree.Expression)]
        dots = bool(legs) and isinstance(legs[0], tree.Dots)
        for key, inner in unroll(reader, statement.subscripts, statement.condition, name.span):
            sizes = tuple([_leg(inner, leg) for leg in legs[dots:]])
            shape = Shape(sizes, dots)
            spans = tuple(leg.span for leg in legs)
            source = ModelInput(name.text, key, kind, shape, name.span, spans)
            self.inputs.append(source)
            reader.typing.dots |= dots
            operation = Read(source=source, span=name.span)
            family.members[key] = reader.typing.value(operation, kind, shape)
        family.failed = False

    # ── values ────────────────────────────────────────────────────────────────────────────────

    def _let(self, statement: tree.Let) -> None:
        names, name = self.reader.names, statement.name
        if not statement.subscripts:
            self._name(name, self.reader.term(statement.value))
            return
        family = Family("value", name, len(statement.subscripts))
        names[name.text] = family
        for key, inner in unroll(self.reader, statement.subscripts, None, name.span):
            family.next = key
            term = inner.term(statement.value)
            family.members[key] = self._named(term, member_name(name.text, key))
        family.next = None

    def _let_tuple(self, statement: tree.LetTuple) -> None:
        term, count = self.reader.term(statement.value), len(statement.names)
        items = tuple(flattened(term))
        if len(items) != count or not isinstance(term, Tuple):
            values = f"{len(items)} values" if isinstance(term, Tuple) else "one value"
            message = f"{count} {'name' if count == 1 else 'names'} for {values}"
            note = "a tuple is taken apart into as many names as it has values"
            hint = f"write {len(items)} names"
            if not isinstance(term, Tuple):
                hint = "write one name without parentheses: `let a = …`"
            gives = output_of(term) if isinstance(term, Tuple) else None
            there = Label(gives or statement.value.span, f"this gives {values}")
            span, label = statement.parenthesis, f"{count} here"
            raise failure(Code.NUMBER_OF_VALUES, message, span, label, note, hint, there)
        for name, item in zip(statement.names, items, strict=True):
            self._name(name, item)

    def _name(self, name: tree.Name, term: Term) -> None:
        """What a name stands for from here on."""
        self._named(term, name.text)
        values = isinstance(term, Value | Tuple)
        family = Family("value", name, members={(): term})
        self.reader.names[name.text] = family if values else term

    def _named(self, term: Term, name: str) -> Term:
        """The term, whose value has this name from here on unless it has one."""
        if isinstance(term, Value) and not isinstance(term.operation, Read):
            self.labels.setdefault(term, name)
        return term

    def _require(self, statement: tree.Require) -> None:
        requirement = require(self.reader, statement, self.requirements)
        if requirement is not None:
            self.requirements.append(requirement)

    def _output(self, node: tree.Expression) -> None:
        term = self.reader.term(node)
        typing = self.reader.typing
        values = [typing.as_value(Typed(item, node.span)) for item in flattened(term)]
        self.output = Tuple(tuple(values)) if isinstance(term, Tuple) else values[0]


def resolve_model(
    block: tree.Block,
    arguments: Mapping[str, ArgumentValue],
    handed: Mapping[str, Part],
    name: str,
    doc: str | None,
    blocks: Mapping[str, LinkedBlock],
    instantiate: Instantiate,
    budget: Budget,
    *,
    instance: bool = False,
) -> ResolvedModel:
    """The model that `block` is with these arguments; `name` is what it is called by.

    `handed` are the parts among its arguments; `blocks` are those that it may make parts of.
    Raises `CompileError` with everything that is wrong.
    """
    problems, scope = Problems(), Scope()
    scope.values.update(CONSTANTS)  # defaults may use them
    bind(block, arguments, scope, problems)
    problems.raise_errors()
    for constant in CONSTANTS.keys() - scope.declared.keys():
        del scope.values[constant]
    values = {p.name.text: scope.values[p.name.text] for p in block.parameters
              if p.name.text in scope.values}  # fmt: skip
    reader = Reader(Typing(problems, budget), dict(scope.values), {}, dict(scope.places))
    for parameter in block.parameters:
        if (part := handed.get(parameter.name.text)) is not None:
            outer = replace(part, family=parameter.name.text, subscripts=(), key=(), outer=True)
            family = Family("part", parameter.name, members={(): outer})
            reader.names[parameter.name.text] = family
    statements = _Statements(reader, blocks, instantiate)
    statements.numbers(block)
    if any(error.code is Code.REQUIREMENT_FAILED for error in problems.errors):
        problems.raise_errors()
    statements.all(block)
    problems.extend(_unbound_sizes(block, reader.typing, statements.inputs))
    problems.raise_errors()
    assert statements.output is not None
    output = tuple(v for v in flattened(statements.output) if isinstance(v, Value))
    causal = next((size for size in reader.typing.sizes.values() if size.causal), None)
    if causal is not None:
        check_causal(reader.typing, causal, output)
        problems.raise_errors()
    written = ", ".join(f"{key} = {value_text(values[key])}" for key in values if key in arguments)
    for part in statements.parts:
        if isinstance(part.callee, ResolvedNetwork | ResolvedModel):
            problems.extend(part.callee.warnings)
    operations = tuple(reader.typing.operations)
    graph = without_repeats(Graph(operations, output, statements.labels))
    return ResolvedModel(
        name=name,
        target=name if instance or not written else f"{name}({written})",
        doc=doc,
        values=values,
        handed=handed,
        sizes=tuple(reader.typing.sizes.values()),
        inputs=tuple(statements.inputs),
        parts=tuple(statements.parts),
        tensors=tuple(statements.tensors),
        tied=statements.tied,
        requirements=tuple(statements.requirements),
        checks=tuple(reader.typing.checks.values()),
        operations=graph.operations,
        output=graph.output,
        single=not isinstance(statements.output, Tuple),
        names=graph.names,
        block=block,
        members={
            key: each
            for key, each in reader.names.items()
            if isinstance(each, Family) and each.what in ("part", "tensor")
        },
        uniform=frozenset(scope.uniform),
        warnings=problems.warnings,
    )


def _is_number(node: tree.Expression, known: set[str]) -> bool:
    """Whether an expression uses numbers alone, of those that are known."""
    called: set[int] = set()
    for each in walk(node):
        match each:
            case tree.Call(tree.Reference(name)) if (
                name.text in NUMBER_FUNCTIONS or name.text in numbers.ANALYTIC
            ):
                called.add(id(each.function))
            case tree.Reference(name) if name.text in known or id(each) in called:
                pass
            case tree.Number() | tree.Boolean() | tree.String() | tree.ListOf() | tree.Unary():
                pass
            case tree.Binary() | tree.Conditional():
                pass
            case tree.Item(_, (tree.Slice() | tree.Star(),)) | tree.Item(_, (_, _, *_)):
                return False
            case tree.Item():
                pass
            case _:
                return False
    return True


def _leg(reader: Reader, leg: tree.Expression) -> Size:
    """The size of an axis of an input."""
    size = reader.leg(leg)
    if size.value is not None and not 1 <= size.value <= LARGEST_SIZE:
        message, label = f"an axis of {size.value} entries", "not a size"
        note, hint = "sizes reach from 1 to 2**40", "give it a size of at least 1"
        raise failure(Code.BAD_SIZE, message, leg.span, label, note, hint)
    return size


def _unbound_sizes(block: tree.Block, typing: Typing, inputs: list[ModelInput]) -> list[Diagnostic]:
    """TN405: a run-time size stands alone as a leg of some input, or nothing says what it is.

    Where that input is left out by its `if`, so is the size, unless something else uses it.
    """
    alone = {size for source in inputs for size in source.shape.sizes}
    optional = {
        leg.name.text
        for statement in block.statements
        if isinstance(statement, tree.InputStatement) and statement.condition is not None
        for leg in statement.legs
        if isinstance(leg, tree.Reference)
    }
    problems: list[Diagnostic] = []
    for size in [*typing.sizes.values()]:
        if Size.name(size.name) in alone:
            continue
        if size.name in optional - typing.sizes_read:
            del typing.sizes[size.name]
            continue
        message = f"no input says what `{size.name}` is"
        note = "a run-time size is read off an input that has it as a leg of its own"
        hint = f"write `{size.name}` alone among the legs of an input"
        uses = [
            Label(span, "not alone here")
            for source in inputs
            for leg, span in zip(source.shape.sizes, source.spans[source.shape.dots :], strict=True)
            if size.name in leg.names
        ]
        code = Code.BATCH_MISSING
        label = "on no input by itself"
        problems.append(problem(code, message, size.declared, label, note, hint, tuple(uses[:3])))
    return problems
