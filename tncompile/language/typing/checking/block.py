"""What is wrong with a model block whatever its arguments are: names, attributes, the output."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tncompile.language.checking.usage_rules import against_tie, attribute_problems, scheme_problems
from tncompile.language.diagnostics.collector import (
    Suggestions,
    problem,
    with_article,
)
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.syntax import tree
from tncompile.language.syntax.walk import values_used
from tncompile.language.typing.checking.names import Names
from tncompile.language.typing.functions import FUNCTIONS
from tncompile.language.typing.habits import made_otherwise
from tncompile.language.typing.layers import LAYERS

PART_ATTRIBUTES = ("tie", "frozen", "share", "if")
TENSOR_ATTRIBUTES = ("init", "frozen", "complex", "int", "share", "tie", "if")


@dataclass(slots=True)
class _Statements(Names):
    """Reads the statements of a block in order."""

    def statement(self, statement: tree.Statement) -> None:
        """The names of a statement; what it declares is known behind it."""
        self.local = {}
        match statement:
            case tree.Let(name, value, subscripts):
                self.family(subscripts)
                if not subscripts:
                    self.expressions(value)
                    self.declare("value", name)
                    return
                self.declare("value", name)  # members see those before them, which is no use of it
                declared = self.scope[name.text]
                used = declared.used
                self.expressions(value)
                declared.used = used
            case tree.LetTuple(names, value):
                self.expressions(value)
                for name in names:
                    self.declare("value", name, tuple(each.text for each in names))
            case tree.Require(condition):
                self.expressions(condition)
            case tree.BatchStatement(declarations):
                for declaration in declarations:
                    self.expressions(declaration.usual, declaration.condition)
                    self.declare("run-time size", declaration.name)
            case tree.PartStatement(name, subscripts, value, attributes):
                self.family(subscripts)
                self._choice(value)
                self._attributes(statement.attributes, "part", PART_ATTRIBUTES, name, subscripts)
                self.declare("part", name)
            case tree.TensorStatement(name, subscripts, legs, attributes):
                self.family(subscripts)
                self.expressions(*(leg for leg in legs if not isinstance(leg, tree.Dots)))
                self._attributes(attributes, "tensor", TENSOR_ATTRIBUTES, name, subscripts)
                self.problems.extend(against_tie(attributes, name.text))
                self.declare("tensor", name)
            case tree.InputStatement(name, subscripts, legs, condition):
                self.family(subscripts)
                self.expressions(*(leg for leg in legs if not isinstance(leg, tree.Dots)))
                self.expressions(condition)
                self.declare("input", name)
            case tree.ModelOutput(value):
                self.expressions(value)
            case _:
                pass

    def _choice(self, choice: tree.Choice) -> None:
        match choice:
            case tree.PartChoice(condition, chosen, otherwise):
                self.expressions(condition)
                self._choice(chosen)
                self._choice(otherwise)
            case tree.Call(tree.Reference(name), arguments):
                self.expressions(*(argument.value for argument in arguments))
                if self.lost or name.text in self.blocks or name.text in LAYERS:
                    return
                known = (*self.blocks, *LAYERS)
                close = self.suggestions.closest(name.text, known)
                message, label = f"there is no block and no layer `{name.text}`", "unknown"
                note = "parts are blocks that are declared above or imported, and layers of torch"
                hint = f"did you mean `{close}`?" if close else (
                    'import it, or write `extern "package.module.Class"(…)`'
                )  # fmt: skip
                hint = made_otherwise(name.text, FUNCTIONS) or hint
                code = Code.UNKNOWN_LAYER
                if name.text == self.block.name.text:
                    hint = "a model is no part of itself: `repeat` its part in another model"
                elif name.text in self.own:
                    code, label = Code.UNKNOWN_NAME, "not declared yet"
                    message = f"`{name.text}` is used before it is declared"
                    hint = f"move the declaration of `{name.text}` up"
                self.problems.add(problem(code, message, name.span, label, note, hint))
            case tree.Extern(_, _, arguments, takes, gives):
                self.expressions(*(argument.value for argument in arguments))
                shapes = (*(takes or ()), *(gives or ()))
                for used in values_used(*(leg for shape in shapes for leg in shape.legs)):
                    self.find(used.name.text)
            case _:
                pass

    def _attributes(
        self,
        attributes: Sequence[tree.Attribute],
        statement: str,
        allowed: tuple[str, ...],
        name: tree.Name,
        subscripts: Sequence[tree.Subscript],
    ) -> None:
        self.problems.extend(attribute_problems(attributes, statement, allowed, self.suggestions))
        own = [subscript.name.text for subscript in subscripts]
        integer = next((each for each in attributes if isinstance(each, tree.Int)), None)
        for attribute in attributes:
            match attribute:
                case tree.If(condition):
                    self.expressions(condition)
                case tree.Scheme(scheme, arguments):
                    if statement == "tensor":
                        found = scheme_problems(
                            attribute, self.suggestions, integer=integer is not None
                        )
                        self.problems.extend(found)
                    if scheme.text == "auto" and integer is None:
                        message, label = "`auto` is for the tensors of networks", "not here"
                        note = "it looks at the whole map of a network; a plain tensor has none"
                        hint = "write another scheme: `init normal(0.02)`"
                        code, span = Code.MISPLACED, scheme.span
                        self.problems.add(problem(code, message, span, label, note, hint))
                    self.expressions(*(argument.value for argument in arguments))
                case tree.Tie(place, _, inside):
                    self._tie(attribute, statement, name)
                    for member in (*inside, *place):
                        self.expressions(*member.subscripts)
                case tree.Share(names):
                    self._share(names, own)
                case tree.Complex() if integer is not None:
                    message, label = "`complex` and `int` exclude each other", "not beside `int`"
                    note = "a tensor has entries of one kind"
                    there = Label(integer.span, "these are integers")
                    hint = "keep one of the two words"
                    self.problems.add(
                        problem(Code.MISPLACED, message, attribute.span, label, note, hint, there)
                    )
                case _:
                    pass

    def _tie(self, tie: tree.Tie, kind: str, own: tree.Name) -> None:
        other = tie.name
        found = self.find(other.text)
        if kind == "tensor" and (len(tie.place) > 1 or tie.own):
            message, label = "a tensor is not tied to one inside a part", "a place inside a part"
            note = "tensors are tied to tensors of the same model, parts to any inside of parts"
            hint = f"tie the part to the tensor: `part p = … tie weight = {own.text}`"
            code = Code.MISPLACED
            self.problems.add(problem(code, message, tie.span, label, note, hint))
            return
        kinds = ("part", "tensor") if tie.own else (kind,)
        if found is not None and found.kind in kinds:
            return
        what = " or ".join(kinds)
        message = f"there is no {what} `{other.text}` above"
        if found is not None:
            message = f"`{other.text}` is {with_article(found.kind)}, not a {what}"
        note, label = f"a {kind} is tied to a {what} that is declared before it", f"no {what}"
        candidates = [n for n, declared in self.scope.items() if declared.kind in kinds]
        close = self.suggestions.closest(other.text, candidates)
        hint = f"did you mean `{close}`?" if close else f"declare the {what} before `{own.text}`"
        handed = {p.name.text for p in self.block.parameters if p.type.name.text == "part"}
        if found is not None and other.text in handed:
            message = f"`{other.text}` is handed on: its tensors are those of the caller"
            note, label = "parts that are handed on are arguments of `forward`", "a parameter"
            hint = (
                "tie where both are known, in the caller: `part p = M(…) tie PART.INSIDE = OTHER`"
            )
        self.problems.add(problem(Code.UNKNOWN_NAME, message, other.span, label, note, hint))

    def _share(self, names: Iterable[tree.Name], own: Sequence[str]) -> None:
        for name in names:
            if name.text in own:
                continue
            message, label = f"`{name.text}` is no subscript here", "not a subscript"
            note = "`share k` makes one of all members that differ in the subscript `k` alone"
            close = self.suggestions.closest(name.text, own)
            hint = f"did you mean `{close}`?" if close else "name a subscript of this statement"
            self.problems.add(problem(Code.UNKNOWN_NAME, message, name.span, label, note, hint))


def check_model(
    block: tree.Block,
    blocks: Collection[str],
    own: Collection[str],
    lost: bool,
    suggestions: Suggestions,
) -> Iterator[Diagnostic]:
    """What is wrong with a model block; `blocks` are those that are declared above it.

    `own` are all blocks of its file. With `lost` any other may have been imported by an import that
    failed.
    """
    names = _Statements(
        block, blocks, own, lost, suggestions, {name.text: name for name in _declared(block)}
    )
    for parameter in block.parameters:
        names.numbers(parameter.default)
        length = parameter.type.length
        if isinstance(length, tree.Reference) and names.find(length.name.text) is None:
            names.declare("length", length.name)
        else:
            names.numbers(length)
        names.declare("parameter", parameter.name, (length.name.text,) if isinstance(
            length, tree.Reference) else ())  # fmt: skip
    for statement in block.statements:
        names.statement(statement)
    yield from names.problems.errors
    yield from names.problems.warnings
    yield from _outputs(block)
    yield from _never_used(names)


def _outputs(block: tree.Block) -> Iterator[Diagnostic]:
    """TN406: exactly one output."""
    outputs = [s for s in block.statements if isinstance(s, tree.ModelOutput)]
    note = "a model has one result, which may be a tuple"
    if not outputs:
        name = block.name
        message, hint = f"the model `{name.text}` has no output", "add `output …`"
        yield problem(Code.ONE_OUTPUT, message, name.span, "no output", note, hint)
    for later in outputs[1:]:
        first = Label(outputs[0].span, "the first output")
        message, hint = "a model has one output", "put both in a tuple: `output (a, b)`"
        yield problem(Code.ONE_OUTPUT, message, later.span, "another output", note, hint, first)


_NEVER_USED = {
    "parameter": "a parameter that changes nothing is often a typo elsewhere",
    "value": "a value that changes nothing is often a typo elsewhere",
    "input": "`forward` takes it for nothing",
    "part": "weights without a gradient stop distributed training",
    "tensor": "weights without a gradient stop distributed training",
}


def _never_used(names: Names) -> Iterator[Diagnostic]:
    """TN204: what nothing reads; of a tuple, where nothing reads any."""
    for name, declared in names.scope.items():
        if declared.used or declared.kind not in _NEVER_USED:
            continue
        if any(names.scope[other].used for other in declared.together if other in names.scope):
            continue
        what = declared.kind
        message, hint = f"the {what} `{name}` is never used", "use it, or remove it"
        note = _NEVER_USED[what]
        yield problem(Code.NEVER_USED, message, declared.name.span, "never used", note, hint)


def _declared(block: tree.Block) -> Iterator[tree.Name]:
    for statement in block.statements:
        match statement:
            case tree.LetTuple(names):
                yield from names
            case tree.BatchStatement(declarations):
                yield from (declaration.name for declaration in declarations)
            case tree.Named():
                yield statement.name
            case _:
                pass
