"""Tensor programs as straight-line Python: one line a step, with the legs of what it makes.

Operations that only look at a tensor in another way (`View`, `Permute`, …) are written inside the
call that uses them, where that changes neither their order nor what is alive. A result takes over
the name of an operand that dies with the step; other dead values are deleted, so that memory is
freed as `Step.drops` says.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

from tncompile.emission.facts import (
    contraction_numbers,
    count_reads,
    foreign_values,
    inlined_steps,
    logarithms_of_scales,
    lowered_by_autocast,
)
from tncompile.emission.operations import (
    Scope,
    Text,
    expression,
    positions_list,
)
from tncompile.emission.writer import TAB, WIDTH, call, legs, nested_list, statement
from tncompile.lowering.program import (
    Add,
    Argument,
    Concatenate,
    Copy,
    Gather,
    Multiply,
    Stack,
    StackWeights,
    Step,
    TensorProgram,
    Unbind,
    View,
    Weight,
    results,
    sources,
)

LONGEST_INLINE = 60
"""Characters of an operand that is still written inside the call that uses it."""


@dataclass(frozen=True)
class Written:
    """The lines of a program and the expressions of what it returns.

    `unshaped` is an expression that `reshape` turns into the result: the result itself, or what it
    is a reshaped view of.
    """

    lines: tuple[str, ...]
    result: str
    unshaped: str
    log: str | None


def write_steps(
    program: TensorProgram, scope: Scope, *, indent: int = 8, numbered: bool = False
) -> Written:
    """The steps of a program, without indentation; `indent` is where they will stand.

    With `numbered`, the comments give the number of the contraction that a product belongs to.
    """
    printer = _Printer(program, scope, indent, contraction_numbers(program) if numbered else {})
    for k, step in enumerate(program.steps):
        printer.position = k
        printer.write(k, step)
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


class _Printer:
    """The state of writing: what each value is called and what waits to be written."""

    def __init__(
        self, program: TensorProgram, scope: Scope, indent: int, numbers: dict[str, int]
    ) -> None:
        self.program = program
        self.numbers = numbers
        self.scope = scope
        self.indent = indent
        self.position = 0
        self.lines: list[str] = []
        self.inlined = inlined_steps(program)
        self.reads = count_reads(program)
        self.texts: dict[str, str] = {}
        self.pending: dict[str, _Pending] = {}
        self.referring: dict[str, list[str]] = {}  # waiting values by the root of their text
        self.owned: dict[str, str] = {}  # identifiers that keep memory alive, by value
        self.slices: dict[str, str] = {}  # the tuple that holds a value, by value
        self.slices_left: Counter[str] = Counter()
        self.foreign = foreign_values(program)
        self.logarithms = logarithms_of_scales(program)
        self.low, self.last_product = lowered_by_autocast(program)

    def write(self, k: int, step: Step) -> None:
        """Write one step, or leave it to the step that reads it."""
        operation = step.operation
        match operation:
            case Argument(result, name):
                self.texts[result] = self.scope.arguments[name]
            case Weight(result, _, False) if self.reads[result] == 1 or self._plain(operation):
                self.texts[result] = expression(operation, self.program, self.read, self.scope).flat
            case StackWeights(result) if self._plain_stack(step):
                self.texts[result] = self._right(step).flat
            case Unbind():
                self._unbind(operation, step)
            case _ if self.inlined[k] and self._postpone(step):
                pass
            case _:
                self._assign(step)

    def read(self, name: str) -> str:
        """The expression of a value, written or waiting."""
        waiting = self.pending.get(name)
        return self.texts[name] if waiting is None else waiting.text

    def written(self) -> Written:
        """The finished text."""
        result = self.program.result
        waiting = self.pending.get(result)
        text = self.read(result)
        log = None if self.program.log is None else self.read(self.program.log)
        return Written(tuple(self.lines), text, text if waiting is None else waiting.unshaped, log)

    def _plain(self, operation: Weight) -> bool:
        """Whether the parameter is an attribute, cheap to read again."""
        return not self.scope.members.by_key[operation.key].subscripts

    def _plain_stack(self, step: Step) -> bool:
        """Whether a stack of parameters is there already, as one parameter or a slice of it."""
        text = self._right(step)
        return not text.items and text.flat.startswith("self.")

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
                unshaped, base = self._unshaped(source)
        if len(unshaped if made == self.program.result else text) > LONGEST_INLINE:
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

    def _settle(self, name: str) -> None:
        """Give a waiting value a line and a name of its own; what it drops waits for its reader."""
        waiting = self.pending.pop(name)
        target = self.scope.names.fresh(self._stem(name))
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
        if isinstance(operation, Gather):
            self._positions(operation)
        longest = sorted(
            (name for name in dict.fromkeys(sources(operation)) if name in self.pending),
            key=lambda name: len(self.read(name)),
        )
        while longest and len(self._right(step).flat) + self.indent + 12 > 100:
            self._settle(longest.pop())
        text = self._right(step)
        made = results(operation)
        if not text.items and _ATTRIBUTE.fullmatch(text.head):
            self.texts[made[0]] = text.head  # a parameter as it is
            self._drop(self._dead(step), "")
            return
        dead = self._dead(step)
        reused = self._heir(made[0], dead)
        targets = [self.scope.names.fresh(self._stem(name)) for name in made[1 if reused else 0 :]]
        if reused:
            targets.insert(0, reused)
        if text.flat != targets[0]:
            self._line(", ".join(targets), text, comment)
        self._drop(dead, targets[0])
        for name, target in zip(made, targets, strict=True):
            self._own(name, target)

    def _line(self, target: str, text: Text, comment: str) -> None:
        """One assignment, laid out."""
        if len(f"{target} = {text.flat}") + self.indent <= 100:
            self.lines += statement(f"{target} = {text.flat}", comment, indent=self.indent)
            return
        self.lines.append(f"# {comment}")
        layout = nested_list if text.head.endswith("[") else call
        head = f"{target} = {text.head}"
        if layout is nested_list:
            head, tail = head[:-1], text.tail[1:]
            self.lines += nested_list(head, text.items, tail, indent=self.indent)
        else:
            self.lines += call(head, text.items, text.tail, indent=self.indent)

    def _right(self, step: Step) -> Text:
        """The right side of an assignment."""
        operation = step.operation
        match operation:
            case StackWeights(_, keys, conjugate):
                head, items, tail = self.scope.members.stack(keys)
                return Text(head, items, tail + (".conj()" if conjugate else ""))
            case Stack(_, given):
                return self._listed("torch.stack(", given)
            case Concatenate(_, given):
                return self._listed("torch.cat(", given)
            case Gather(_, source, _):
                return Text(f"{self.read(source)}.index_select(", ("0", "positions"), ")")
            case View() | Copy():
                unshaped, base = self._unshaped(operation.source)
                values = self.program.values
                if values[base].shape == values[operation.result].shape:
                    return Text(unshaped)
                return expression(operation, self.program, lambda _: unshaped, self.scope)
            case Add(_, left, right) | Multiply(_, left, right):
                return expression(operation, self.program, self._alike(left, right), self.scope)
            case _:
                return expression(operation, self.program, self.read, self.scope)

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

    def _listed(self, head: str, given: tuple[str, ...]) -> Text:
        """A call on a list of values; neighbors that were unbound together are a slice."""
        held = {self.slices.get(name) for name in given}
        texts = [self.read(name) for name in given]
        if len(held) == 1 and len(given) > 2:
            (holder,) = held
            numbers = [int(text.rsplit("[", 1)[1][:-1]) for text in texts] if holder else []
            step = numbers[1] - numbers[0] if numbers else 0
            if step > 0 and all(b - a == step for a, b in pairwise(numbers)):
                by = f":{step}" if step != 1 else ""
                return Text(f"{head}{holder}[{numbers[0]}:{numbers[-1] + 1}{by}])")
        return Text(f"{head}[", tuple(texts), "])")

    def _positions(self, operation: Gather) -> None:
        """A line for the positions of a gather, so that it stays readable."""
        device = f"device={self.scope.device}"
        items = positions_list(operation.positions)
        flat = f"[{', '.join(items)}]"
        head = "positions = torch.tensor("
        if self.indent + len(TAB) + len(flat) < WIDTH:
            self.lines += call(head, [flat, device], indent=self.indent)
            return
        exploded = [f"{TAB}[", *(f"{TAB}{TAB}{item}," for item in items), f"{TAB}],"]
        self.lines += [head, *exploded, f"{TAB}{device},", ")"]

    def _unbind(self, operation: Unbind, step: Step) -> None:
        """One line for all slices along an axis."""
        text = Text(f"{self.read(operation.source)}.unbind({operation.axis or ''})")
        dead = self._dead(step)
        target = self.scope.names.fresh(f"{self._stem(operation.source)}_slices")
        comment = f"{len(operation.results)} × {self._comment(operation.results[0])}"
        self._line(target, text, comment)
        self._drop(dead, "")
        for k, name in enumerate(operation.results):
            self.texts[name] = f"{target}[{k}]"
            self.slices[name] = target
        self.slices_left[target] = len(operation.results)

    # ── what is alive ──────────────────────────────────────────────────────────────────────────

    def _heir(self, made: str, dead: list[str]) -> str | None:
        """The name of a dead value of the same kind, for the result to take over."""
        stem = self._stem(made)
        return next(
            (self.owned[name] for name in dead if name in self.owned and self._stem(name) == stem),
            None,
        )

    def _stem(self, name: str) -> str:
        """What the identifier of a value begins with."""
        return "log" if name in self.logarithms else _stem(name)

    def _own(self, name: str, target: str) -> None:
        self.texts[name] = target
        self.owned[name] = target

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
        deleted: list[str] = []
        for name in dead:
            target = self.owned.pop(name, None)
            holder = self.slices.pop(name, None)
            if holder is not None:
                self.slices_left[holder] -= 1
                if not self.slices_left[holder]:
                    target = holder
            if target is None or target == kept:
                continue
            if self._large(name):
                deleted.append(target)
            self.scope.names.release(target)
        if deleted:
            self.lines += [f"del {', '.join(dict.fromkeys(deleted))}"]

    def _large(self, name: str) -> bool:
        """Whether deleting the value frees memory worth a line."""
        return self.program.values[name].storage not in self.foreign and name not in self.logarithms

    def _comment(self, name: str) -> str:
        value = self.program.values[name]
        shown = dict(self.scope.sizes)
        for axis, length in zip(value.axes, value.shape, strict=True):
            if axis and axis[0][0] in "@|":  # slices of an input, a padded or cut axis
                shown[axis[0]] = self.scope.extent(length)
        number = f"[{self.numbers[name]}] " if name in self.numbers else ""
        return number + legs(value.axes, shown)


def _stem(name: str) -> str:
    """The name of a value without what makes it distinct: `t` of `t2_1`, `G` of `G_0_2`."""
    stem = _NUMBERS.sub("", name)
    return "t" if _RESULT.fullmatch(stem) else stem


_NUMBERS = re.compile(r"(_\d+)+$")
_RESULT = re.compile(r"t\d*")
_ATTRIBUTE = re.compile(r"self\.\w+(\[[\d, ]+\])?")
