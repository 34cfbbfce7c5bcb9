"""Tensor programs as Python: one line a step, with the legs of what it makes; one loop at most.

Operations that only look at a tensor in another way (`View`, `Permute`, …) are written inside the
call that uses them, where that changes neither their order nor what is alive. A result takes over
the name of an operand that dies with the step; other dead values are deleted, so that memory is
freed as `Step.drops` says.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from tncompile.emission.steps.expressions import Scope, Site, Text, expression, positions_lines
from tncompile.emission.steps.inlining import inlined_steps, lender, lowered_by_autocast
from tncompile.emission.steps.lifetimes import Lifetimes
from tncompile.emission.steps.loops import LoopText
from tncompile.emission.text.writer import TAB, assignment, legs, statement
from tncompile.program.operations import (
    Add,
    Argument,
    Chunk,
    ConcatChunks,
    Contiguous,
    Copy,
    IndexSelect,
    LoadParameter,
    Multiply,
    Unbind,
    View,
    results,
    sources,
)
from tncompile.program.program import Step, TensorProgram
from tncompile.program.queries import (
    contraction_numbers,
    count_reads,
    loop_body,
    read_in_turns,
)
from tncompile.program.registry import Registry

CLONE, LAID_OUT = ".clone(", "memory_format=torch.contiguous_format"

LONGEST_INLINE = 60
"""Characters of an operand that is still written inside the call that uses it."""


@dataclass(frozen=True)
class Written:
    """The lines of a program and the expressions of what it returns.

    `unshaped` are expressions that `reshape` turns into the results: the results themselves, or
    what they are reshaped views of.
    """

    lines: tuple[str, ...]
    results: tuple[str, ...]
    unshaped: tuple[str, ...]


def write_steps(
    program: TensorProgram,
    scope: Scope,
    *,
    indent: int = 8,
    origin: TensorProgram | None = None,
    owned: bool = True,
) -> Written:
    """The steps of a program, without indentation; `indent` is where they will stand.

    With `origin`, the program as planned, comments give the number that a contraction has there.
    Results are to be `owned`, in memory of their own, where they are handed on as they are.
    """
    numbers = {} if origin is None else contraction_numbers(program, origin)
    printer = _Printer(program, scope, indent, numbers, owned=owned)
    printer.run()
    return printer.written()


@dataclass(frozen=True)
class _Pending:
    """A value not written yet: it will stand inside the call that reads it.

    `root` is the value whose name the text begins with; it stays alive until then, and so does what
    the text `drops`. `unshaped` is the text without a `reshape` at its end, the expression of value
    `base`.
    """

    text: str
    root: str
    drops: tuple[str, ...]
    unshaped: str
    base: str


WRITTEN_LINES: Registry[None] = Registry()
"""Operations that are more than one assignment, or open or close the loop."""

writes_lines = WRITTEN_LINES.register


class _Printer:
    """The state of writing: what each value is called and what waits to be written."""

    def __init__(
        self,
        program: TensorProgram,
        scope: Scope,
        indent: int,
        numbers: dict[str, int],
        *,
        owned: bool,
    ) -> None:
        self.program = program
        self.numbers = numbers
        self.scope = scope
        self.indent = indent
        self.position = 0
        self.lines: list[str] = []
        self.inlined = inlined_steps(program)
        self.reads = count_reads(program)
        lenders = {name: lender(program, name) for name in program.returns if owned}
        self.copies = {copied for _, copied in lenders.values() if copied}
        self.lent = {name for name, (owner, copied) in lenders.items() if owner and not copied}
        self.repeated = read_in_turns(program)
        self.body = loop_body(program)
        self.texts: dict[str, str] = {}
        self.pending: dict[str, _Pending] = {}
        self.referring: dict[str, list[str]] = {}  # waiting values by the root of their text
        self.alive = Lifetimes(program, scope.names)
        self.low, self.last_product = lowered_by_autocast(program)
        self.loop: LoopText | None = None

    def run(self) -> None:
        """Write all steps."""
        for k, step in enumerate(self.program.steps):
            self.position = k
            self.write(k, step)

    def write(self, k: int, step: Step) -> None:
        """Write one step, or leave it to the step that reads it."""
        operation = step.operation
        match operation:
            case Argument(result, name):
                self.texts[result] = self.scope.arguments[name]
            case _ if (rule := WRITTEN_LINES.get(type(operation))) is not None:
                rule(self, step)
            case LoadParameter(result, _, False) if (
                self.reads[result] == 1 or self._plain(operation)
            ) and result not in self.repeated:
                self.texts[result] = expression(operation, self.site).flat
            case _ if self.inlined[k] and self._postpone(step):
                pass
            case _:
                self._assign(step)

    def read(self, name: str) -> str:
        """The expression of a value, written or waiting."""
        waiting = self.pending.get(name)
        return self.texts[name] if waiting is None else waiting.text

    @property
    def site(self) -> Site:
        """Where the step under way is written."""
        return Site(self.program, self.read, self.scope, self.alive.holder)

    def written(self) -> Written:
        """The finished text."""
        results: list[str] = []
        unshaped: list[str] = []
        for name in self.program.returns:
            clone = ".clone()" if name in self.lent else ""
            results.append(self.read(name) + clone)
            unshaped.append(self._unshaped(name)[0] + clone)
        return Written(tuple(self.lines), tuple(results), tuple(unshaped))

    def _plain(self, operation: LoadParameter) -> bool:
        """Whether the parameter is an attribute, cheap to read again."""
        members = self.scope.members
        return not members.by_key[operation.key].subscripts and not members.around

    # ── steps that wait ────────────────────────────────────────────────────────────────────────

    def _postpone(self, step: Step) -> bool:
        """Keep the text of a chained operation for its reader, unless it is long."""
        operation = step.operation
        text = self._right(step).flat
        (made,) = results(operation)
        root, drops, unshaped, base = made, step.drops, text, made
        for source in sources(operation):
            waiting = self.pending.get(source)
            root = source if waiting is None else waiting.root
            drops += () if waiting is None else waiting.drops
            if isinstance(operation, View | Copy):
                unshaped, base = self._reshaped(operation)
        if len(unshaped if made in self.program.returns else text) > LONGEST_INLINE:
            return False
        for source in sources(operation):
            self.pending.pop(source, None)
        self.pending[made] = _Pending(text, root, drops, unshaped, base)
        self.referring.setdefault(root, []).append(made)
        return True

    def _unshaped(self, name: str) -> tuple[str, str]:
        """An expression that `reshape` turns into any shape of the value, and whose it is."""
        waiting = self.pending.get(name)
        return (self.texts[name], name) if waiting is None else (waiting.unshaped, waiting.base)

    def _reshaped(self, operation: View | Copy) -> tuple[str, str]:
        """What stands before `reshape`, copied where that must not be left to it."""
        unshaped, base = self._unshaped(operation.source)
        copied = isinstance(operation, Copy) and operation.result in self.copies
        return (f"{unshaped}{CLONE}{LAID_OUT})" if copied else unshaped), base

    def _settle(self, name: str) -> None:
        """Give a waiting value a line and a name of its own; what it drops waits for its reader."""
        waiting = self.pending.pop(name)
        target = self.alive.fresh(name)
        self.lines += statement(
            f"{target} = {waiting.text}", self._comment(name), indent=self.indent
        )
        self._own(name, target)
        self.pending[name] = _Pending(target, name, waiting.drops, target, name)

    # ── lines ──────────────────────────────────────────────────────────────────────────────────

    def _assign(self, step: Step) -> None:
        """`target = expression`, the dead deleted."""
        operation = step.operation
        comment = self._comment(results(operation)[0])
        if isinstance(operation, IndexSelect):
            device = self.scope.device
            self.lines += positions_lines(operation.positions, device, self.indent)
        text = self._fitted(step)
        made = results(operation)
        if not text.items and _ATTRIBUTE.fullmatch(text.head) and made[0] not in self.repeated:
            self.texts[made[0]] = text.head  # a parameter as it is
            self._drop(self._dead(step), "")
            return
        dead = self._dead(step)
        reused = self.alive.heir(made[0], dead)
        targets = [self.alive.fresh(name) for name in made[1 if reused else 0 :]]
        if reused:
            targets.insert(0, reused)
        if text.flat != targets[0]:
            self._line(", ".join(targets), text, comment)
        self._drop(dead, targets[0])
        for name, target in zip(made, targets, strict=True):
            self._own(name, target)

    def _fitted(self, step: Step) -> Text:
        """The right side of an assignment, operands that are too long for it on lines before."""
        longest = sorted(
            (name for name in dict.fromkeys(sources(step.operation)) if name in self.pending),
            key=lambda name: len(self.read(name)),
        )
        while longest and len(self._right(step).flat) + self.indent + 12 > 100:
            self._settle(longest.pop())
        return self._right(step)

    def _line(self, target: str, text: Text, comment: str) -> None:
        """One assignment, laid out."""
        head = f"{target} = {text.head}"
        self.lines += assignment(head, text.items, text.tail, comment, indent=self.indent)

    def _right(self, step: Step) -> Text:
        """The right side of an assignment."""
        operation = step.operation
        match operation:
            case Contiguous(made, source) if made in self.copies:
                return Text(f"{self.read(source)}{CLONE}", (LAID_OUT,), ")")
            case View() | Copy():
                unshaped, base = self._reshaped(operation)
                values = self.program.values
                if values[base].shape == values[operation.result].shape:
                    before, copied, _ = unshaped.partition(f"{LAID_OUT})")
                    return Text(before, (LAID_OUT,), ")") if copied else Text(unshaped)
                return expression(operation, replace(self.site, read=lambda _: unshaped))
            case Add(_, left, right) | Multiply(_, left, right):
                return expression(operation, replace(self.site, read=self._alike(left, right)))
            case _:
                return expression(operation, self.site)

    def _alike(self, left: str, right: str) -> Callable[[str], str]:
        """How two factors are read: behind the last product, a weight in the dtype of the other.

        Under autocast products are in low precision; `nn.Linear`, bias included, stays there, too.
        """
        value = self.program.values
        weights = {
            name: other
            for name, other in ((left, right), (right, left))
            if other in self.low and name not in self.low and not value[name].varying
        }
        if self.position < self.last_product or len(weights) != 1:
            return self.read

        def read(name: str) -> str:
            if name not in weights:
                return self.read(name)
            other = weights[name]
            waiting = self.pending.get(other)
            root = self.texts[other if waiting is None else waiting.root]
            return f"{self.read(name)}.to({root}.dtype)"

        return read

    @writes_lines(Unbind)
    def _unbind(self, step: Step) -> None:
        """One line for all slices along an axis."""
        operation = step.operation
        assert isinstance(operation, Unbind)
        text = expression(operation, self.site)
        dead = self._dead(step)
        target = self.alive.unbind(operation.source, operation.results)
        comment = f"{len(operation.results)} × {self._comment(operation.results[0])}"
        self._line(target, text, comment)
        self._drop(dead, "")
        for k, name in enumerate(operation.results):
            self.texts[name] = f"{target}[{k}]"

    # ── the loop ───────────────────────────────────────────────────────────────────────────────

    @writes_lines(Chunk)
    def _cut(self, step: Step) -> None:
        """A part of an input; the first one opens the loop."""
        operation, loop = step.operation, self.program.loop
        assert isinstance(operation, Chunk)
        assert loop is not None
        if self.loop is None:
            names = self.scope.names
            self.loop = LoopText(loop, names.fresh("parts"), names.fresh("n"), self.lines)
            if loop.recompute:
                self._pass(self.loop)
            self.scope = replace(self.scope, sizes={**self.scope.sizes, loop.part: self.loop.size})
            self.lines = []
            self.indent += len(TAB)
        source = self.read(operation.source)
        dead = self._dead(step)
        target = self.alive.fresh(operation.result)
        self._own(operation.result, target)
        self.loop.cut(source, target, operation.axis, self._comment(operation.result))
        self.loop.dead += dead

    def _pass(self, loop: LoopText) -> None:
        """Make what turns read from before the loop parameters of the function of a turn."""
        loop.function = self.scope.names.fresh("part")
        for step in self.program.steps[: loop.loop.start]:
            for name in results(step.operation):
                if name in self.repeated:
                    text = self.texts[name]
                    target = text if text.isidentifier() else self.alive.fresh(name)
                    loop.given[target] = text
                    loop.outside[name], self.texts[name] = text, target

    @writes_lines(ConcatChunks)
    def _join(self, step: Step) -> None:
        """The end of the loop: what was made is kept in each turn, and joined after the last."""
        operation, loop = step.operation, self.loop
        assert isinstance(operation, ConcatChunks)
        assert loop is not None
        text = self.read(operation.source)
        if len(text) > LONGEST_INLINE:
            self._settle(operation.source)
            text = self.read(operation.source)
        dead = [*self._dead(step), *loop.dead]
        self.texts |= loop.outside
        self.indent -= len(TAB)
        self.lines = loop.lines(text, self.lines, indent=self.indent)
        self.loop = None
        target = self.alive.heir(operation.result, dead) or self.alive.fresh(operation.result)
        joined = Text(f"torch.cat({loop.parts}{f', dim={operation.axis}' * bool(operation.axis)})")
        self._line(target, joined, self._comment(operation.result))
        deleted = self.alive.drop(dead, target)
        if loop.function:  # what turns make is gone with the function
            steps = (self.program.steps[k] for k in self.body)
            local = {self.texts.get(name) for held in steps for name in results(held.operation)}
            deleted = [name for name in deleted if name not in local]
        if self.position + 1 < len(self.program.steps):
            self.lines.append(f"del {', '.join([loop.parts, *deleted])}")
        self.scope.names.release(loop.parts)
        self._own(operation.result, target)

    # ── what is alive ──────────────────────────────────────────────────────────────────────────

    def _own(self, name: str, target: str) -> None:
        self.texts[name] = target
        self.alive.own(name, target)

    def _dead(self, step: Step) -> list[str]:
        """What dies with a step, in the order of its operands: itself, or what its text drops.

        What other waiting values still refer to dies with them instead.
        """
        found: dict[str, None] = {}
        for name in sources(step.operation):
            consumed = self.pending.pop(name, None)
            found |= dict.fromkeys(() if consumed is None else consumed.drops)
            if name in step.drops:
                found[name] = None
        found |= dict.fromkeys(step.drops)
        for root in list(found):
            for name in self.referring.pop(root, ()):
                if (waiting := self.pending.get(name)) is not None and waiting.root == root:
                    self.pending[name] = replace(waiting, drops=(*waiting.drops, root))
                    self.referring.setdefault(root, []).append(name)
                    found.pop(root, None)
                    break
        return list(found)

    def _drop(self, dead: list[str], kept: str) -> None:
        """Delete the names of dead values, but for the one that has been given a new value."""
        if deleted := self.alive.drop(dead, kept):
            self.lines.append(f"del {', '.join(deleted)}")

    def _comment(self, name: str) -> str:
        value = self.program.values[name]
        shown = dict(self.scope.sizes)
        if self.loop is not None:
            shown[self.loop.index] = self.loop.size
        for axis, length in zip(value.axes, value.shape, strict=True):
            if axis and axis[0][0] in "@|":  # slices of an input, a padded or cut axis
                shown[axis[0]] = self.scope.extent(length)
        number = f"[{self.numbers[name]}] " if name in self.numbers else ""
        return number + legs(value.axes, shown)


_ATTRIBUTE = re.compile(r"self\.\w+(\[[\d, ]+\])?")
