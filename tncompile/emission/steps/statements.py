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
from tncompile.emission.steps.loops import ChunkText, LoopText
from tncompile.emission.text.writer import TAB, assignment, legs
from tncompile.program import operations as op
from tncompile.program import queries
from tncompile.program.operation import results, sources
from tncompile.program.program import Step, TensorProgram

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
    numbers = {} if origin is None else queries.contraction_numbers(program, origin)
    return _Printer(program, scope, indent, numbers, owned).run()


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


class _Printer:
    """The state of writing: what each value is called and what waits to be written."""

    def __init__(
        self,
        program: TensorProgram,
        scope: Scope,
        indent: int,
        numbers: dict[str, int],
        owned: bool,
    ) -> None:
        self.program, self.scope, self.indent, self.numbers = program, scope, indent, numbers
        self.position = 0
        self.lines: list[str] = []
        self.inlined = inlined_steps(program)
        self.reads = queries.count_reads(program)
        lenders = {name: lender(program, name) for name in program.returns if owned}
        self.copies = {copied for _, copied in lenders.values() if copied}
        self.lent = {name for name, (owner, copied) in lenders.items() if owner and not copied}
        self.repeated = queries.read_in_turns(program)
        self.texts: dict[str, str] = {}
        self.pending: dict[str, _Pending] = {}
        self.referring: dict[str, list[str]] = {}  # waiting values by the root of their text
        self.alive = Lifetimes(program, scope.names)
        self.low, self.last_product = lowered_by_autocast(program)
        self.loop: LoopText | None = None

    def run(self) -> Written:
        """Write all steps, each at once or where it is read."""
        members = self.scope.members
        for k, step in enumerate(self.program.steps):
            self.position, operation = k, step.operation
            match operation:
                case op.Argument(result, name):
                    self.texts[result] = self.scope.arguments[name]
                case op.Unbind():
                    self._unbind(step, operation)
                case op.Chunk():
                    self._cut(step, operation)
                case op.ConcatChunks():
                    self._join(step, operation)
                case op.LoadParameter(result, key, False) if result not in self.repeated and (
                    self.reads[result] == 1
                    or not (members.by_key[key].subscripts or members.around)
                ):  # read once, or an attribute: cheap to read again
                    self.texts[result] = members.read(key)
                case _ if self.inlined[k] and self._postpone(step):
                    pass
                case _:
                    self._assign(step)
        texts = [(self._text(k), ".clone()" * (k in self.lent)) for k in self.program.returns]
        whole = tuple(f"{text.text}{clone}" for text, clone in texts)
        unshaped = tuple(f"{text.unshaped}{clone}" for text, clone in texts)
        return Written(tuple(self.lines), whole, unshaped)

    def read(self, name: str) -> str:
        """The expression of a value, written or waiting."""
        return self._text(name).text

    def _text(self, name: str) -> _Pending:
        """The same, and whose names stand in it."""
        if name in self.pending:
            return self.pending[name]
        text = self.texts[name]
        return _Pending(text, name, (), text, name)

    @property
    def site(self) -> Site:
        """Where the step under way is written."""
        return Site(self.program, self.read, self.scope, self.alive.holders.get)

    # ── steps that wait ────────────────────────────────────────────────────────────────────────

    def _postpone(self, step: Step) -> bool:
        """Keep the text of a chained operation for its reader, unless it is long."""
        operation = step.operation
        text = self._right(step).flat
        (result,) = results(operation)
        root, drops, unshaped, base = result, step.drops, text, result
        for source in sources(operation):
            operand = self._text(source)
            root, drops = operand.root, drops + operand.drops
            if isinstance(operation, op.View | op.Copy):
                unshaped, base = self._reshaped(operation)
        if len(unshaped if result in self.program.returns else text) > LONGEST_INLINE:
            return False
        for source in sources(operation):
            self.pending.pop(source, None)
        self.pending[result] = _Pending(text, root, drops, unshaped, base)
        self.referring.setdefault(root, []).append(result)
        return True

    def _reshaped(self, operation: op.View | op.Copy) -> tuple[str, str]:
        """What `reshape` turns into any shape of the source, and the value that it is.

        It is copied where that must not be left to `reshape`.
        """
        source = self._text(operation.source)
        copied = isinstance(operation, op.Copy) and operation.result in self.copies
        return source.unshaped + f"{CLONE}{LAID_OUT})" * copied, source.base

    def _settle(self, name: str) -> None:
        """Give a waiting value a line and a name of its own; what it drops waits for its reader."""
        waiting = self.pending.pop(name)
        target = self.alive.fresh(name)
        self._line(target, Text(waiting.text), self._comment(name))
        self._own(name, target)
        self.pending[name] = _Pending(target, name, waiting.drops, target, name)

    def _assign(self, step: Step) -> None:
        """`target = expression`, the dead deleted."""
        operation = step.operation
        names = results(operation)
        comment = self._comment(names[0])
        if isinstance(operation, op.IndexSelect):
            device = self.scope.device
            self.lines += positions_lines(operation.positions, device, self.indent)
        text = self._fitted(step)
        dead = self._dead(step)
        if not text.items and _ATTRIBUTE.fullmatch(text.head) and names[0] not in self.repeated:
            self.texts[names[0]] = text.head  # a parameter as it is
            self._drop(dead, "")
            return
        reused = self.alive.heir(names[0], dead)
        targets = [reused] if reused else []
        targets += [self.alive.fresh(name) for name in names[len(targets) :]]
        if text.flat != targets[0]:
            self._line(", ".join(targets), text, comment)
        self._drop(dead, targets[0])
        for name, target in zip(names, targets, strict=True):
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
        head = f"{target} = {text.head}"
        self.lines += assignment(head, text.items, text.tail, comment, indent=self.indent)

    def _right(self, step: Step) -> Text:
        """The right side of an assignment."""
        operation = step.operation
        match operation:
            case op.Embedding(result) if result in self.copies:
                row = expression(operation, self.site).flat.removesuffix(".contiguous()")
                return Text(f"{row}{CLONE}", (LAID_OUT,), ")")
            case op.Contiguous(result, source) if result in self.copies:
                return Text(f"{self.read(source)}{CLONE}", (LAID_OUT,), ")")
            case op.View() | op.Copy():
                unshaped, base = self._reshaped(operation)
                values = self.program.values
                if values[base].shape == values[operation.result].shape:
                    before, copied, _ = unshaped.partition(f"{LAID_OUT})")
                    return Text(before, (LAID_OUT,), ")") if copied else Text(unshaped)
                return expression(operation, replace(self.site, read=lambda _: unshaped))
            case op.Add(_, left, right) | op.Multiply(_, left, right):
                return expression(operation, replace(self.site, read=self._alike(left, right)))
            case _:
                return expression(operation, self.site)

    def _alike(self, left: str, right: str) -> Callable[[str], str]:
        """How two factors are read: behind the last product, a weight in the dtype of the other.

        Under autocast products are in low precision; `nn.Linear`, bias included, stays there, too.
        """
        values = self.program.values
        weights = {
            name: other
            for name, other in ((left, right), (right, left))
            if other in self.low
            and name not in self.low
            and not values[name].varying
            and not values[name].complex
        }
        if self.position < self.last_product or len(weights) != 1:
            return self.read

        def read(name: str) -> str:
            if name not in weights:
                return self.read(name)
            other = self.texts[self._text(weights[name]).root]
            return f"{self.read(name)}.to({other}.dtype)"

        return read

    def _unbind(self, step: Step, operation: op.Unbind) -> None:
        """One line for all slices along an axis."""
        text = expression(operation, self.site)
        dead = self._dead(step)
        target = self.alive.unbind(operation.source, operation.results)
        comment = f"{len(operation.results)} × {self._comment(operation.results[0])}"
        self._line(target, text, comment)
        self._drop(dead, "")
        for k, name in enumerate(operation.results):
            self.texts[name] = f"{target}[{k}]"

    # ── the loop ───────────────────────────────────────────────────────────────────────────────

    def _cut(self, step: Step, operation: op.Chunk) -> None:
        """A chunk of an input; the first one opens the loop."""
        loop = self.program.loop
        assert loop is not None
        if self.loop is None:
            names = self.scope.names
            self.loop = LoopText(loop, names.fresh("parts"), names.fresh("n"), self.lines)
            if loop.recompute:
                self._capture(self.loop)
            self.scope = replace(self.scope, sizes={**self.scope.sizes, loop.part: self.loop.size})
            self.lines = []
            self.indent += len(TAB)
        split = expression(operation, self.site).flat
        self.loop.dead += self._dead(step)
        target = self.alive.fresh(operation.result)
        self._own(operation.result, target)
        length = f"{target}.shape[{operation.axis}]"
        comment = self._comment(operation.result)
        self.loop.chunks.append(ChunkText(split, target, comment, length))

    def _capture(self, loop: LoopText) -> None:
        """Make what iterations read from before the loop parameters of their function."""
        loop.function = self.scope.names.fresh("part")
        before = (step.operation for step in self.program.steps[: loop.loop.start])
        for name in (name for operation in before for name in results(operation)):
            if name in self.repeated:
                text = self.texts[name]
                target = text if text.isidentifier() else self.alive.fresh(name)
                loop.captured[target] = text
                loop.outside[name], self.texts[name] = text, target

    def _join(self, step: Step, operation: op.ConcatChunks) -> None:
        """The end of the loop: each iteration appends its result, and all are joined after it."""
        loop = self.loop
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
        joined = expression(operation, replace(self.site, read=lambda _: loop.parts))
        self._line(target, joined, self._comment(operation.result))
        deleted = self.alive.drop(dead, target)
        if loop.function:  # what iterations make is gone with the function
            body = (self.program.steps[k].operation for k in queries.loop_body(self.program))
            local = {self.texts.get(name) for inner in body for name in results(inner)}
            deleted = [name for name in deleted if name not in local]
        if self.position + 1 < len(self.program.steps):
            self.lines.append(f"del {', '.join([loop.parts, *deleted])}")
        self.scope.names.release(loop.parts)
        self._own(operation.result, target)

    def _own(self, name: str, target: str) -> None:
        self.texts[name] = target
        self.alive.owned[name] = target

    def _dead(self, step: Step) -> list[str]:
        """What dies with a step, in the order of its operands: itself, or what its text drops.

        What other waiting values still refer to dies with them instead.
        """
        dead: dict[str, None] = {}
        for name in sources(step.operation):
            if consumed := self.pending.pop(name, None):
                dead |= dict.fromkeys(consumed.drops)
            if name in step.drops:
                dead[name] = None
        dead |= dict.fromkeys(step.drops)
        for root in list(dead):
            for name in self.referring.pop(root, ()):
                if (waiting := self.pending.get(name)) is not None and waiting.root == root:
                    self.pending[name] = replace(waiting, drops=(*waiting.drops, root))
                    self.referring.setdefault(root, []).append(name)
                    del dead[root]
                    break
        return list(dead)

    def _drop(self, dead: list[str], reused: str) -> None:
        """Delete the names of dead values, but for the one that a new value reuses."""
        if deleted := self.alive.drop(dead, reused):
            self.lines.append(f"del {', '.join(deleted)}")

    def _comment(self, name: str) -> str:
        value = self.program.values[name]
        shown = dict(self.scope.sizes)
        if self.loop is not None:
            shown[self.loop.loop.index] = self.loop.size
        for axis, length in zip(value.axes, value.shape, strict=True):
            if axis and axis[0][0] in "@|":  # slices of an input, a padded or cut axis
                shown[axis[0]] = self.scope.extent(length)
        number = f"[{self.numbers[name]}] " if name in self.numbers else ""
        return number + legs(value.axes, shown)


_ATTRIBUTE = re.compile(r"self\.\w+(\[[\d, ]+\])?")
