"""The text of a loop over parts of a batch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tncompile.emission.text.writer import TAB, call, indented, statement
from tncompile.program.program import Loop

RERUN = '''\
def _recomputed(part: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """Return `part(*tensors)` without saving its intermediates: backward recomputes them."""
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return part(*tensors)  # the transforms of `torch.func` save all intermediates
    result: Tensor = checkpoint(part, *tensors, use_reentrant=False, preserve_rng_state=False)
    return result
'''
"""The function that runs a part of which nothing is to be saved."""

RERUN_IMPORT = "from torch.utils.checkpoint import checkpoint"
"""What it needs of torch; of the standard library it is `Callable`."""


@dataclass
class LoopText:
    """A loop under way: `for x1 in torch.split(x, 16):`, its turns appended to a list of parts.

    `size` is the run-time length of one part, `before` are the lines ahead of the loop, `dead` the
    values that die with it. Turns that the backward pass runs again are a `function` of their own,
    `given` what it reads beside the parts, by the names inside; `outside` are the texts of values
    that have others there.
    """

    loop: Loop
    parts: str
    size: str
    before: list[str]
    function: str = ""
    given: dict[str, str] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    splits: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    lengths: list[str] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)

    @property
    def index(self) -> str:
        """The index that the parts are of."""
        return self.loop.index

    def cut(self, source: str, target: str, axis: int, comment: str) -> None:
        """One more input that is cut along with the others."""
        along = f", dim={axis}" if axis else ""
        self.splits.append(f"torch.split({source}, {self.loop.rows}{along})")
        self.targets.append(target)
        self.comments.append(comment)
        self.lengths.append(f"{target}.shape[{axis}]")

    def lines(self, kept: str, body: list[str], *, indent: int) -> list[str]:
        """The lines before and of the loop; `kept` is what a turn makes."""
        inner = list(body)
        if any(re.search(rf"\b{self.size}\b", line.split("  # ")[0]) for line in [*inner, kept]):
            inner.insert(0, f"{self.size} = {self.lengths[0]}")
        function: list[str] = []
        if self.function:
            inner.append(f"return {kept}")
            function = self._function(inner, indent)
            given = [self.function, *self.targets, *self.given.values()]
            width = indent + len(TAB)
            inner = call(f"{self.parts}.append(_recomputed(", given, "))", indent=width)
        else:
            inner.append(f"{self.parts}.append({kept})")
        return [
            *self.before,
            *function,
            f"{self.parts} = []",
            *self._head(indent),
            *indented(inner),
        ]

    def _function(self, body: list[str], indent: int) -> list[str]:
        """A turn as a function, with the blank lines around it."""
        given = [f"{name}: Tensor" for name in (*self.targets, *self.given)]
        head = call(f"def {self.function}(", given, ") -> Tensor:", indent=indent)
        text = '"""Run one chunk of the batch; its intermediates are recomputed in backward."""'
        return ["", *head, *indented([text, *body]), ""]

    def _head(self, indent: int) -> list[str]:
        """The `for` statement, with the axes of what it cuts."""
        targets = ", ".join(self.targets)
        if len(self.targets) == 1:
            text = f"for {targets} in {self.splits[0]}:"
            return statement(text, self.comments[0], indent=indent)
        return call(f"for {targets} in zip(", [*self.splits, "strict=True"], "):", indent=indent)
