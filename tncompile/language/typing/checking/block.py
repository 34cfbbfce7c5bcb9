"""What is wrong with a model block whatever its arguments are: names, attributes, the output."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tncompile.language.checking.name_rules import foreign_constant
from tncompile.language.checking.usage_rules import against_tie, attribute_problems, scheme_problems
from tncompile.language.diagnostics.collector import (
    Problems,
    Suggestions,
    listed,
    problem,
    with_article,
)
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.evaluating.functions import FUNCTIONS as NUMBER_FUNCTIONS
from tncompile.language.syntax import tree
from tncompile.language.syntax.walk import values_used
from tncompile.language.typing.functions import FUNCTIONS
from tncompile.language.typing.habits import elsewhere, made_otherwise
from tncompile.language.typing.layers import LAYERS
from tncompile.language.typing.names import CONSTANTS

PART_ATTRIBUTES = ("tie", "frozen", "share", "if")
TENSOR_ATTRIBUTES = ("init", "frozen", "complex", "share", "tie", "if")


@dataclass(slots=True)
class _Declared:
    """A name of the block: what it is, where, and whether something uses it."""

    kind: str
    name: tree.Name
    used: bool = False
    together: tuple[str, ...] = ()  # the names of its tuple


@dataclass(slots=True)
class _Names:
    """The names of one block in the order of the text; what is wrong is reported on the way."""

    block: tree.Block
    blocks: Collection[str]
    own: Collection[str]
    lost: bool
    suggestions: Suggestions
    later: Mapping[str, tree.Name]
    problems: Problems = field(default_factory=Problems)
    scope: dict[str, _Declared] = field(default_factory=dict)
    local: dict[str, _Declared] = field(default_factory=dict)

    # ── declaring and looking up ──────────────────────────────────────────────────────────────

    def declare(self, kind: str, name: tree.Name, together: tuple[str, ...] = ()) -> None:
        """A name from here on; TN202 where it is one already."""
        earlier = self.scope.get(name.text) or self.local.get(name.text)
        if earlier is not None:
            message = f"`{name.text}` is declared twice"
            note = "a block has one scope, and nothing in it hides another name"
            first = Label(earlier.name.span, f"first here, as {with_article(earlier.kind)}")
            code, label, hint = Code.DECLARED_TWICE, "again here", "rename one of the two"
            self.problems.add(problem(code, message, name.span, label, note, hint, first))
            return
        self.scope[name.text] = _Declared(kind, name, together=together)

    def find(self, name: str) -> _Declared | None:
        """What a name is, which is used from here on."""
        found = self.local.get(name) or self.scope.get(name)
        if found is not None:
            found.used = True
        return found

    def use(self, name: tree.Name) -> None:
        """A name as a value; TN201 where it is none."""
        if self.find(name.text) is not None or name.text in CONSTANTS:
            return
        candidates = [*self.local, *self.scope]
        message, label = f"there is no value `{name.text}`", "unknown name"
        note = f"known here: {listed(candidates)}" if candidates else "nothing is declared yet"
        labels: tuple[Label, ...] = ()
        close = self.suggestions.closest(name.text, candidates)
        hint = f"did you mean `{close}`?" if close else (
            f"declare it: a parameter, `let {name.text} = …`, or `batch {name.text}` for a size "
            "that is known at run time"
        )  # fmt: skip
        if name.text in self.later and name.text not in self.scope:
            message = f"`{name.text}` is used before it is declared"
            label, hint = "not declared yet", "move the declaration up"
            labels = (Label(self.later[name.text].span, "declared here"),)
        elif name.text in FUNCTIONS or name.text in NUMBER_FUNCTIONS:
            message, label = f"`{name.text}` is a function", "a function is no value"
            note, hint = "functions are called, or stages of a pipe", f"call it: `{name.text}(…)`"
        elif name.text in self.blocks or name.text in LAYERS:
            message = f"`{name.text}` is a block or a layer, not a value"
            label, note = "not a value", "a part is made of it, and the part is called"
            hint = f"declare a part: `part p = {name.text}(…)`"
        elif (constant := foreign_constant(name.text)) is not None:
            hint = constant
        code = Code.UNKNOWN_NAME
        self.problems.add(problem(code, message, name.span, label, note, hint, labels))

    def function(self, name: tree.Name) -> None:
        """A name that is called; TN207 where there is no such part or function."""
        if self.find(name.text) is not None:
            return
        if name.text in FUNCTIONS or name.text in NUMBER_FUNCTIONS:
            return
        parts = [name for name, found in self.scope.items() if found.kind == "part"]
        message, label = f"there is no function and no part `{name.text}`", "unknown function"
        note = "parts that are declared above and the functions of the language are called"
        known = (*parts, *FUNCTIONS, *NUMBER_FUNCTIONS)
        close = self.suggestions.closest(name.text, known)
        hint = f"did you mean `{close}`?" if close else "declare a part of this name"
        hint = elsewhere(name.text) or hint
        if name.text in self.blocks or name.text in LAYERS:
            message = f"`{name.text}` is a block or a layer: a part is made of it first"
            hint = f"declare a part, `part p = {name.text}(…)`, and call it"
        if name.text in self.later:
            hint = "move its declaration up"
        code = Code.MISPLACED
        self.problems.add(problem(code, message, name.span, label, note, hint))

    # ── expressions ───────────────────────────────────────────────────────────────────────────

    def expressions(self, *nodes: tree.Node | None, stage: bool = False) -> None:
        """All names in expressions, in the order of the text; stages may be functions."""
        todo: list[tuple[tree.Node, bool]] = [
            (node, stage) for node in reversed(nodes) if node is not None
        ]
        while todo:
            node, stage = todo.pop()
            match node:
                case tree.Reference(name):
                    (self.function if stage else self.use)(name)
                case tree.Call(function, arguments):
                    values: list[tree.Node] = [argument.value for argument in arguments]
                    cell = isinstance(function, tree.Reference) and function.name.text == "scan"
                    todo += [(value, cell and value is values[0]) for value in reversed(values)]
                    todo.append((function, True))
                case tree.Pipe(value, following):
                    todo += [(following, True), (value, stage)]
                case tree.Conditional(condition, chosen, otherwise):
                    todo += [(otherwise, stage), (chosen, stage), (condition, False)]
                case tree.Repeat(subscript, body):
                    self.expressions(subscript.start, subscript.stop)
                    with_variable = dict(self.local)
                    self.subscript(subscript)
                    self.expressions(body, stage=True)
                    self.local = with_variable
                case tree.NetworkExpression(operands):
                    for operand in operands:
                        if operand.name is not None:
                            self.use(operand.name)
                        elif not stage:
                            self._nameless(operand)
                        self.expressions(*operand.subscripts)
                    self._legs(node)
                case tree.Slice(start, stop):
                    todo += [(stop, False), (start, False)]
                case tree.Item(value, subscripts):
                    todo += [(subscript, False) for subscript in reversed(subscripts)]
                    todo.append((value, False))
                case _:
                    todo += [(part, False) for part in reversed([*_inside(node)])]

    def _legs(self, node: tree.NetworkExpression) -> None:
        """Names that the block has count as used: they are sizes."""
        for legs in (*(operand.legs for operand in node.operands), node.output):
            for leg in legs:
                for index in leg.legs if isinstance(leg, tree.GroupLeg) else (leg,):
                    if isinstance(index, tree.IndexLeg):
                        self.find(index.name.text)

    def _nameless(self, operand: tree.Operand) -> None:
        message, label = "this operand has no name", "whose legs are these?"
        note = "one operand of a stage stands for the piped value; all others are named"
        hint = "write the name of a value before the legs: `x(..., i)`"
        self.problems.add(problem(Code.MISPLACED, message, operand.span, label, note, hint))

    def subscript(self, subscript: tree.Subscript) -> None:
        """`k in a..b`: `k` from here on, in this statement."""
        name = subscript.name
        earlier = self.scope.get(name.text) or self.local.get(name.text)
        if earlier is not None:
            message, label = f"`{name.text}` is declared twice", "again here"
            note = "a block has one scope, and nothing in it hides another name"
            first = Label(earlier.name.span, f"first here, as {with_article(earlier.kind)}")
            code, hint = Code.DECLARED_TWICE, "rename one of the two"
            self.problems.add(problem(code, message, name.span, label, note, hint, first))
            return
        self.local[name.text] = _Declared("subscript", name, used=True)

    def family(self, subscripts: Sequence[tree.Subscript]) -> None:
        """The ranges of a statement."""
        for subscript in subscripts:
            self.expressions(subscript.start, subscript.stop)
            self.subscript(subscript)

    # ── statements ────────────────────────────────────────────────────────────────────────────

    def statement(self, statement: tree.Statement) -> None:
        """The names of a statement; what it declares is known behind it."""
        self.local = {}
        match statement:
            case tree.Let(name, value, subscripts):
                self.family(subscripts)
                if subscripts:  # members see those before them
                    self.declare("value", name)
                    self.scope[name.text].used = False
                self.expressions(value)
                if not subscripts:
                    self.declare("value", name)
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
        for attribute in attributes:
            match attribute:
                case tree.If(condition):
                    self.expressions(condition)
                case tree.Scheme(scheme, arguments):
                    if statement == "tensor":
                        self.problems.extend(scheme_problems(attribute, self.suggestions))
                    if scheme.text == "auto":
                        message, label = "`auto` is for the tensors of networks", "not here"
                        note = "it looks at the whole map of a network; a plain tensor has none"
                        hint = "write another scheme: `init normal(0.02)`"
                        code, span = Code.MISPLACED, scheme.span
                        self.problems.add(problem(code, message, span, label, note, hint))
                    self.expressions(*(argument.value for argument in arguments))
                case tree.Tie(other, members):
                    self._tie(other, statement, name)
                    self.expressions(*members)
                case tree.Share(names):
                    self._share(names, own)
                case _:
                    pass

    def _tie(self, other: tree.Name, kind: str, own: tree.Name) -> None:
        found = self.find(other.text)
        if found is not None and found.kind == kind:
            return
        message = f"there is no {kind} `{other.text}` above"
        if found is not None:
            message = f"`{other.text}` is {with_article(found.kind)}, not a {kind}"
        note, label = f"a {kind} is tied to a {kind} that is declared before it", f"no {kind}"
        candidates = [n for n, declared in self.scope.items() if declared.kind == kind]
        close = self.suggestions.closest(other.text, candidates)
        hint = f"did you mean `{close}`?" if close else f"declare the {kind} before `{own.text}`"
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
    names = _Names(
        block, blocks, own, lost, suggestions, {name.text: name for name in _declared(block)}
    )
    for parameter in block.parameters:
        names.expressions(parameter.default)
        length = parameter.type.length
        if isinstance(length, tree.Reference) and names.find(length.name.text) is None:
            names.declare("length", length.name)
        else:
            names.expressions(length)
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


def _never_used(names: _Names) -> Iterator[Diagnostic]:
    """TN204: a parameter or a value that nothing reads; of a tuple, where nothing reads any."""
    for name, declared in names.scope.items():
        if declared.used or declared.kind not in ("parameter", "value"):
            continue
        if any(names.scope[other].used for other in declared.together if other in names.scope):
            continue
        what = declared.kind
        message, hint = f"the {what} `{name}` is never used", "use it, or remove it"
        note = f"a {what} that changes nothing is often a typo elsewhere"
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


def _inside(node: tree.Node) -> Iterator[tree.Node]:
    for part in node.parts():
        for each in part if isinstance(part, tuple) else (part,):
            if isinstance(each, tree.Argument):
                yield each.value
            elif isinstance(each, tree.Node) and not isinstance(each, tree.Name):
                yield each
