"""Functions of emitted models that run a `scan`: as one operation of a graph, or calling cells.

PyTorch's own gradients of its scan operator are refused or wrong in 2.13 (pytorch#195977, #153679):
`_scan` goes back through the states by itself.
"""

from __future__ import annotations

ONE_LOOP = '''\
_VERSION = tuple(map(int, torch.__version__.split(".")[:2]))


def _constant(question: Callable[[], bool]) -> Callable[[], bool]:
    """Compilers take the answer as it is when they read the call."""
    mark: Any = torch.compiler.assume_constant_result
    mark(question)
    return question


def _one_loop(learned: bool = True) -> bool:
    """Whether the steps are one operation of a graph, for any number of them.

    For ONNX and in transforms of `torch.func` they are unrolled; with gradients, too, where none
    can be `learned` through the operation.
    """
    if not torch.compiler.is_compiling() or _VERSION < (2, 13) or torch.onnx.is_in_onnx_export():
        return False
    if _transformed():
        return False
    return learned or torch.compiler.is_exporting() or not torch.is_grad_enabled()


@_constant
def _transformed() -> bool:
    """Whether a transform of `torch.func` is around."""
    return torch._C._functorch.peek_interpreter_stack() is not None
'''

SCAN = '''\
def _scan(
    step: Callable[..., Any],
    xs: list[Tensor],
    state: list[Tensor],
    reverse: bool = False,
    alone: bool = False,
) -> list[Tensor]:
    """The outputs of all steps along axis 0, then the last state; see `_one_loop`.

    With gradients the loop gives the states alone. Their results are one call for all steps, by
    `vmap` where a cell takes steps `alone`; `_Chain` adds what states owe to those behind them.
    """
    from torch._higher_order_ops import scan

    def turn(state: list[Tensor], entries: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        new, outputs = _parted(step(*entries, *state), state)
        return [_own(y) for y in new], [_own(y) for y in outputs or new[:1]]

    def kept(state: list[Tensor], entries: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        return turn(state, entries)[0], [_own(h) for h in state]

    start, xs = [_own(h) for h in state], [_own(x) for x in xs]
    if not torch.is_grad_enabled() or torch.compiler.is_exporting():
        last, outputs = scan(turn, start, xs, reverse=reverse)
        return [*outputs, *last]
    _spare()
    with torch.no_grad():
        _, before = scan(kept, start, xs, reverse=reverse)
    made = torch.func.vmap(step)(*xs, *before) if alone else step(*xs, *before)
    new, outputs = _parted(made, state)
    counts = len(xs), len(state)
    tensors = (x.view_as(x) for x in (*state, *xs, *before, *outputs, *new))  # each once
    chain: Any = _Chain.apply
    made = chain(step, counts, reverse, *tensors)
    new, outputs = _parted(made, state)
    return [*(outputs or new[:1]), *(y[0 if reverse else -1] for y in new)]


def _parted(made: Any, state: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The new state, in the dtypes of the old one, and the outputs in front of it."""
    results = [made] if isinstance(made, Tensor) else [*made]
    count = len(results) - len(state)
    new = [y.to(h.dtype) for h, y in zip(state, results[count:], strict=True)]
    return new, results[:count]


def _own(x: Tensor) -> Tensor:
    """The tensor in memory of its own."""
    return x.clone(memory_format=torch.contiguous_format)


class _Chain(torch.autograd.Function):
    """The results of all steps as they are; backward, from step to step through the states."""

    @staticmethod
    def forward(
        ctx: Any, step: Callable[..., Any], counts: tuple[int, int], reverse: bool, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        xs, states = counts
        ctx.step, ctx.counts, ctx.reverse = step, counts, reverse
        ctx.save_for_backward(*tensors[states : 2 * states + xs])
        return tuple(_own(y) for y in tensors[2 * states + xs :])

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
        from torch._higher_order_ops import scan

        (xs, states), step, saved = ctx.counts, ctx.step, ctx.saved_tensors

        def turn(later: list[Tensor], entries: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            x, before, g = entries[:xs], entries[xs : xs + states], entries[xs + states :]

            def results(*state: Tensor) -> tuple[Tensor, ...]:
                new, outputs = _parted(step(*x, *state), [*state])
                return *outputs, *new

            owed = [a + b for a, b in zip(g[-states:], later, strict=True)]
            back: Any = torch.func.vjp(results, *before)[1]
            return [_own(a) for a in back((*g[:-states], *owed))], [_own(a) for a in owed]

        none = [torch.zeros_like(h[0]) for h in saved[xs:]]
        first, owed = scan(turn, none, [_own(x) for x in (*saved, *given)], reverse=not ctx.reverse)
        return (*[None] * 3, *first, *[None] * (xs + states), *given[:-states], *owed)


@_constant
def _spare() -> bool:
    """Keep PyTorch 2.13 from overwriting, in a loop of gradients, what the next step reads."""
    if _VERSION < (2, 14):
        torch._functorch.config.donated_buffer = False
    return True
'''

HOOKED = '''\
def _hooked(cell: nn.Module) -> bool:
    """Whether something waits for calls of a cell: hooks, FSDP, a compiler, another `forward`."""
    hooks = cell._forward_hooks, cell._forward_pre_hooks
    backward = cell._backward_hooks, cell._backward_pre_hooks
    replaced = "forward" in cell.__dict__ or cell._compiled_call_impl is not None
    hooked: Any = nn.modules.module._has_any_global_hook
    return replaced or any((*hooks, *backward, hooked()))
'''

CALLED = '''\
def _called(
    cell: nn.Module, xs: list[Tensor], state: list[Tensor], reverse: bool = False
) -> list[Tensor]:
    """The outputs of a call for each step along axis 0, then the last state."""
    steps = zip(*(reversed(x.unbind()) if reverse else x.unbind() for x in xs), strict=True)
    outputs = []
    for entries in steps:
        made = cell(*entries, *state)
        results = [made] if isinstance(made, Tensor) else [*made]
        count = len(results) - len(state)
        outputs.append(results[:count] or results[:1])
        state = results[count:]
    columns = zip(*(reversed(outputs) if reverse else outputs), strict=True)
    return [*(torch.stack(column) for column in columns), *state]
'''
