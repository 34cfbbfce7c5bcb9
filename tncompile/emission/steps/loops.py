"""The text of a loop over chunks of a batch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tncompile.emission.text.writer import TAB, call, function, indented, statement
from tncompile.program.program import Loop

RERUN = '''\
def _recomputed(part: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """Return `part(*tensors)` without saving its intermediates: backward recomputes them."""
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return part(*tensors)  # the transforms of `torch.func` save all intermediates
    result: Tensor = checkpoint(part, *tensors, use_reentrant=False, preserve_rng_state=False)
    return result
'''
"""The function that runs a chunk of which nothing is to be saved."""

RERUN_IMPORT = ("torch.utils.checkpoint", "checkpoint")
"""What it needs of torch; of the standard library it is `Callable`."""


@dataclass(frozen=True)
class ChunkText:
    """An input that is cut: the `split` of it, the name of a chunk, its comment and its length."""

    split: str
    name: str
    comment: str
    length: str


@dataclass
class LoopText:
    """A loop under way: `for x1 in torch.split(x, 16):`, its results appended to a list of parts.

    `size` is the run-time length of a chunk, `before` are the lines ahead of the loop, `dead` the
    values that die with it. An iteration that the backward pass recomputes is a `function` of its
    own, `captured` what it reads beside the chunks, by the names inside; `outside` are the texts of
    values that have others there.
    """

    loop: Loop
    parts: str
    size: str
    before: list[str]
    function: str = ""
    captured: dict[str, str] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    chunks: list[ChunkText] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)

    def lines(self, result: str, body: list[str], *, indent: int) -> list[str]:
        """The lines before and of the loop; `result` is what an iteration makes."""
        code = [text.split("  # ")[0] for text in body if not text.lstrip().startswith("#")]
        if any(re.search(rf"\b{self.size}\b", text) for text in [*code, result]):
            body = [f"{self.size} = {self.chunks[0].length}", *body]
        names = [chunk.name for chunk in self.chunks]
        head = f"for {', '.join(names)} in "
        if len(self.chunks) == 1:
            opening = statement(
                f"{head}{self.chunks[0].split}:", self.chunks[0].comment, indent=indent
            )
        else:
            splits = [*(chunk.split for chunk in self.chunks), "strict=True"]
            opening = call(f"{head}zip(", splits, "):", indent=indent)
        before = self.before
        if self.function:
            text = '"""Run one chunk of the batch; its intermediates are recomputed in backward."""'
            parameters = [f"{name}: Tensor" for name in (*names, *self.captured)]
            body = [text, *body, f"return {result}"]
            lines = function(self.function, parameters, "Tensor", body, indent=indent)
            before = [*before, "", *lines, ""]
            items = [self.function, *names, *self.captured.values()]
            body = call(f"{self.parts}.append(_recomputed(", items, "))", indent=indent + len(TAB))
        else:
            body = [*body, f"{self.parts}.append({result})"]
        return [*before, f"{self.parts} = []", *opening, *indented(body)]
