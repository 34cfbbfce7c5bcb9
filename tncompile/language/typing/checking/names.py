"""The names of a model block: declared, looked up, used in expressions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tncompile.language.checking.name_rules import foreign_constant
from tncompile.language.checking.usage_rules import expression_problems
from tncompile.language.diagnostics.collector import (
    Problems,
    Suggestions,
    listed,
    problem,
    with_article,
)
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.evaluating.functions import FUNCTIONS as NUMBER_FUNCTIONS
from tncompile.language.evaluating.functions import readable
from tncompile.language.syntax import tree
from tncompile.language.syntax.walk import values_used
from tncompile.language.typing.functions import FUNCTIONS
from tncompile.language.typing.habits import elsewhere
from tncompile.language.typing.layers import LAYERS
from tncompile.language.typing.names import CONSTANTS


@dataclass(slots=True)
class Declared:
    """A name of the block: what it is, where, and whether something uses it."""

    kind: str
    name: tree.Name
    used: bool = False
    together: tuple[str, ...] = ()  # the names of its tuple


@dataclass(slots=True)
class Names:
    """The names of one block in the order of the text; what is wrong is reported on the way."""

    block: tree.Block
    blocks: Collection[str]
    own: Collection[str]
    lost: bool
    suggestions: Suggestions
    later: Mapping[str, tree.Name]
    problems: Problems = field(default_factory=Problems)
    scope: dict[str, Declared] = field(default_factory=dict)
    local: dict[str, Declared] = field(default_factory=dict)

    # ── declaring and looking up ──────────────────────────────────────────────────────────────

    def declare(self, kind: str, name: tree.Name, together: tuple[str, ...] = ()) -> None:
        """A name from here on; TN202 where it is one already."""
        if self._is_new(name):
            self.scope[name.text] = Declared(kind, name, together=together)
        elif name.text not in self.scope:  # its own subscript has the name
            self.scope[name.text] = Declared(kind, name, used=True)

    def _is_new(self, name: tree.Name) -> bool:
        earlier = self.scope.get(name.text) or self.local.get(name.text)
        if earlier is None:
            return True
        message, label = f"`{name.text}` is declared twice", "again here"
        note = "a block has one scope, and nothing in it hides another name"
        first = Label(earlier.name.span, f"first here, as {with_article(earlier.kind)}")
        code, hint = Code.DECLARED_TWICE, "rename one of the two"
        self.problems.add(problem(code, message, name.span, label, note, hint, first))
        return False

    def find(self, name: str) -> Declared | None:
        """What a name is, which is used from here on."""
        found = self.local.get(name) or self.scope.get(name)
        if found is not None:
            found.used = True
        return found

    def use(self, name: tree.Name) -> None:
        """A name as a value; TN201 where it is none."""
        if self.find(name.text) is not None or name.text in CONSTANTS:
            return
        candidates = [*{**self.local, **self.scope}]
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

    def numbers(self, node: tree.Expression | None) -> None:
        """A default or a length, which is known before there are values."""
        if node is not None:
            note = "defaults and lengths are numbers, which are known before there are values"
            self.problems.extend(expression_problems(node, self.suggestions, note))
            for used in values_used(node, into=readable):
                self.use(used.name)

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
        if self._is_new(name):
            self.local[name.text] = Declared("subscript", name, used=True)

    def family(self, subscripts: Sequence[tree.Subscript]) -> None:
        """The ranges of a statement."""
        for subscript in subscripts:
            self.expressions(subscript.start, subscript.stop)
            self.subscript(subscript)


def _inside(node: tree.Node) -> Iterator[tree.Node]:
    for part in node.parts():
        for each in part if isinstance(part, tuple) else (part,):
            if isinstance(each, tree.Argument):
                yield each.value
            elif isinstance(each, tree.Node) and not isinstance(each, tree.Name):
                yield each
