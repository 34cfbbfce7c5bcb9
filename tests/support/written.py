"""Operations of models as they are written, run beside what the oracle computes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.support.typed_calls import Calls
from tncompile.language.typing.operations import Contract, Operation, Read
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Term, Value, flattened
from tncompile.models.contracting import best_order, joined
from tncompile.models.emission.expressions import HELPERS, Context, Text, as_tensor, write
from tncompile.planning.paths.problem import Path


@dataclass
class Written(Context):
    """A context in which sizes are arguments, and the expressions of all values in it."""

    like: str = "x"
    used: set[str] = field(default_factory=set)
    texts: dict[Value, Text] = field(default_factory=dict)

    def size(self, size: Size) -> str:
        return str(size)

    def leading(self, value: Value | None) -> str:
        return "lead"

    def order(self, operation: Contract) -> Path:
        return best_order(joined(operation), {})

    def use(self, helper: str) -> None:
        self.used.add(helper)


def expression(
    operation: Operation, names: Mapping[Value, str] | None = None, context: Context | None = None
) -> str:
    """An operation as one expression, all that it needs written inside."""
    context = context or Written()

    def text(value: Value) -> Text:
        if names and value in names:
            return Text(names[value])
        operands = [text(operand) for operand in value.operation.operands]
        whole = write(value.operation, operands, context)
        return whole if value.position is None else whole.item(str(value.position))

    return write(operation, [text(value) for value in operation.operands], context).code


def source(calls: Calls, term: Term) -> tuple[str, set[str]]:
    """A function `forward(like, lead, sizes, inputs)`, and what it uses.

    What is read once is written where it is read.
    """
    context = Written(like="like")
    operations = calls.typing.operations
    uses = Counter(operand for each in operations for operand in each.operands)
    results = [value for value in flattened(term) if isinstance(value, Value)]
    known: dict[tuple[Operation, int | None], Text] = {}
    lines: list[str] = []
    inputs = 0
    for k, operation in enumerate(operations):
        if isinstance(operation, Read):
            known[operation, None] = Text(f"inputs[{inputs}]")
            inputs += 1
            continue
        operands = [known[value.operation, value.position] for value in operation.operands]
        text = write(operation, operands, context)
        several = any(
            value.operation is operation for value in results if value.position is not None
        )
        several |= any(
            value.operation is operation and value.position is not None for value in uses
        )
        reads = sum(count for value, count in uses.items() if value.operation is operation)
        if several or reads > 1:
            lines.append(f"y{k} = {text}")
            known[operation, None] = Text(f"y{k}")
            for position in range(64):
                known[operation, position] = Text(f"y{k}[{position}]")
        else:
            known[operation, None] = text
    outs = [
        as_tensor(value, known[value.operation, value.position], context).code for value in results
    ]
    lines.append(f"return [{', '.join(outs)}]")
    names = ", ".join(calls.oracle.sizes)
    body = "\n    ".join(lines)
    return f"def forward(self, like, lead, {names}, *inputs):\n    {body}\n", context.used


def compiled(text: str, used: set[str]) -> Callable[..., list[Tensor]]:
    """The function of a source, beside the helpers that it uses and no others."""
    known: dict[str, Any] = {"torch": torch, "Tensor": Tensor, "nn": nn}
    known |= {"F": functional} if "F" in used else {}
    known |= {"math": math} if "math" in used else {}
    for name in sorted(used - {"F", "math"}):
        exec(HELPERS[name], known)
    exec(text, known)
    forward: Callable[..., list[Tensor]] = known["forward"]
    return forward


def inputs(calls: Calls) -> list[Tensor]:
    """The tensors of all inputs, in order."""
    read = [each for each in calls.typing.operations if isinstance(each, Read)]
    return [calls.oracle.results[each][0] for each in read]


SINGLE = {torch.float64: torch.float32, torch.complex128: torch.complex64}


def agree(
    calls: Calls, term: Term, expected: Callable[[list[Tensor]], Tensor] | None = None
) -> str:
    """Assert that what is written gives what the oracle does, or what is `expected`; the source.

    In float64 with gradients, and in float32.
    """
    text, used = source(calls, term)
    forward = compiled(text, used)
    sizes, lead = list(calls.oracle.sizes.values()), calls.oracle.lead
    tensors = inputs(calls)
    for tensor in tensors:
        if tensor.dtype in SINGLE:
            tensor.requires_grad_()
    results = calls.oracle.results
    calls.oracle.results = {each: results[each] for each in results if isinstance(each, Read)}
    try:
        due = [expected(tensors)] if expected else calls.results(term)
    except RuntimeError as error:  # `silu` of complex numbers has no gradient in torch
        if "differentiation" not in str(error):
            raise
        with torch.no_grad():
            due = calls.results(term)
    like = torch.zeros((), dtype=torch.float64)
    given = forward(nn.Module().eval(), like, lead, *sizes, *tensors)
    for one, two in zip(given, due, strict=True):
        torch.testing.assert_close(
            one, two, rtol=1e-9, atol=1e-9, equal_nan=True, msg=lambda m: f"{text}\n{m}"
        )
    _gradients(text, tensors, given, due)
    with torch.no_grad():
        like = like.float()
        singles = [each.to(SINGLE.get(each.dtype, each.dtype)) for each in tensors]
        for one, two in zip(
            forward(nn.Module().eval(), like, lead, *sizes, *singles), due, strict=True
        ):
            assert one.dtype == SINGLE.get(two.dtype, two.dtype), text
            assert one.shape == two.shape, text
    return text


def _gradients(text: str, tensors: list[Tensor], given: list[Tensor], due: list[Tensor]) -> None:
    if any(one.requires_grad != two.requires_grad for one, two in zip(given, due, strict=True)):
        assert "_silu" in text or "floor" in text, text
        return
    trained = [each for each in tensors if each.requires_grad]
    found: list[tuple[Tensor | None, ...]] = []
    for results in (given, due):
        floats = [each for each in results if each.requires_grad]
        whole = sum((each.abs().square().nan_to_num().sum() for each in floats), torch.zeros(()))
        try:
            gradients = torch.autograd.grad(whole, trained, allow_unused=True) if floats else ()
        except RuntimeError as error:  # `//` of torch has none
            if results is given or "derivative" not in str(error):
                raise
            return
        found.append(gradients or (None,) * len(trained))
    for one, two, tensor in zip(*found, trained, strict=True):
        left, right = (torch.zeros_like(tensor) if g is None else g for g in (one, two))
        torch.testing.assert_close(
            left, right, rtol=1e-7, atol=1e-7, equal_nan=True, msg=lambda m: f"{text}\n{m}"
        )
