"""Functions and the class that a file with a `step` has beside its models."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PAST = '''\
class _Past:
    """What `step` has of the entries before: tensors, read and kept in one order.

    `length` is how many entries came before, `first` says that none did. Raises ValueError where
    the tensors of a state do not begin with the axes of `...`, `lead`.
    """

    def __init__(self, state: tuple[Tensor, ...] | None, lead: tuple[int, ...] = ()) -> None:
        self.length = 0
        self.first = state is None
        self._before = iter(state or ())
        self._kept: list[Tensor] = []
        self._lead: tuple[int, ...] = ()
        if lead and state and state[0].shape[: len(lead)] != lead:
            got = f"{tuple(lead)}, got shape {tuple(state[0].shape)}"
            raise ValueError(f"state: the axes of `...` must be as in every input: {got}")

    def expanded(self, lead: tuple[int, ...]) -> "_Past":
        """The same for values without the axes of `...`: their tensors are kept with them."""
        past = _Past(None)
        past.length, past.first = self.length, self.first
        past._before, past._kept = self._before, self._kept
        past._lead = (*self._lead, *lead)
        return past

    def last(self) -> Tensor | None:
        """The next tensor of the state; None at the first entries."""
        if self.first:
            return None
        x = next(self._before, None)
        if x is None:
            raise ValueError("state: it has too few tensors")
        return x[(0,) * len(self._lead)] if self._lead else x

    def keep(self, x: Tensor, *, owned: bool = False) -> None:
        """Keep a tensor; a copy, unless nothing else has it."""
        x = x if owned else x.clone()
        self._kept.append(x.expand(*self._lead, *x.shape) if self._lead else x)

    def hold(self, x: Tensor) -> Tensor:
        """Keep what is the same at all steps."""
        self.keep(x)
        return x

    def held(self) -> Tensor:
        """What was kept with the first entries, which is kept on."""
        x = self.last()
        assert x is not None
        self.keep(x, owned=True)
        return x

    def given(self, x: Tensor) -> Tensor:
        """An input that is the same at all steps: that of the first entries."""
        if self.first:
            return self.hold(x)
        before = self.held()
        if before.shape != x.shape:
            got = f"{tuple(before.shape)} at the first entries, now {tuple(x.shape)}"
            raise ValueError(f"state: an input is the same at all steps: its shape was {got}")
        return before

    def count(self, entries: int, lead: tuple[int, ...], device: torch.device) -> None:
        """Count the entries before; the state has a mark for each of them."""
        marks = self.last()
        self.length = 0 if marks is None else marks.shape[-1]
        marks = torch.ones((*lead, self.length + entries), dtype=torch.bool, device=device)
        self.keep(marks, owned=True)

    def joined(self, x: Tensor, dim: int, most: int | None = None) -> Tensor:
        """All entries so far, or as many as the last step kept of them: `most`."""
        before = self.last()
        y = x if before is None else torch.cat((before, x), dim)
        if most is None:
            self.keep(y, owned=before is not None)
        else:
            most = min(most, y.shape[dim])
            self.keep(y.narrow(dim, y.shape[dim] - most, most))
        return y

    def summed(self, x: Tensor, dim: int) -> Tensor:
        """Running sums that go on from the last one."""
        before = self.last()
        y = x if before is None else x + before.unsqueeze(dim)
        last = y.select(dim, -1)
        if before is not None and last.shape != before.shape:
            raise ValueError("state: it has other rows")
        self.keep(last)
        return y

    def begun(self, first: Tensor) -> Tensor:
        """The state that a loop goes on with."""
        before = self.last()
        if before is not None and before.shape != first.shape:
            raise ValueError("state: it has other rows")
        return first if before is None else before

    def recurrent(self, layer: nn.RNNBase, x: Tensor, first: Any = None) -> Any:
        """A recurrent layer that goes on from its last state."""
        pair = isinstance(layer, nn.LSTM)
        before = tuple(self.last() for _ in range(1 + pair))
        if before[0] is not None:
            first = before if pair else before[0]
        y, last = layer(x, first)
        for state in last if pair else (last,):
            self.keep(state)
        return y, last

    def state(self) -> tuple[Tensor, ...]:
        """What the next step begins with."""
        if next(self._before, None) is not None:
            raise ValueError("state: it has too many tensors")
        return tuple(self._kept)
'''

_EVALUATING = '''\
@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """A module in evaluation mode, and each of its parts as it was afterwards."""
    parts = [part for part in module.modules() if part.training]
    for part in parts:
        part.training = False
    try:
        yield
    finally:
        for part in parts:
            part.training = True
'''

_STEPPED = '''\
def _stepped(
    module: Any, past: _Past, state: tuple[Tensor, ...] | None, *inputs: Tensor
) -> tuple[Any, tuple[Tensor, ...]]:
    """A step in evaluation mode, and the state behind it; ValueError where a state is wrong."""
    if module.training:
        with _evaluating(module):
            return _stepped(module, past, state, *inputs)
    try:
        return module._step(*inputs, past), past.state()
    except (RuntimeError, ValueError, IndexError) as error:
        if state is not None and (wrong := _wrong_state(module, state, inputs)):
            raise ValueError(wrong) from error
        raise


def _wrong_state(module: Any, state: tuple[Tensor, ...], inputs: tuple[Tensor, ...]) -> str | None:
    """How a state differs from those that a module returns, which grow along some axes."""
    try:
        _, one = module.step(*inputs)
        _, two = module.step(*inputs, one)
    except (RuntimeError, ValueError):
        return None  # it is not the state that is wrong
    text = "state: it is not one that this `step` returned for such inputs: "
    if len(state) != len(one):
        return f"{text}{len(one)} tensors are expected, got {len(state)}"
    for k, (x, before, y) in enumerate(zip(state, one, two, strict=True)):
        sizes = [n if m == n else "*" for m, n in zip(before.shape, y.shape, strict=True)]
        same = len(sizes) == x.dim()
        same = same and all(n in (m, "*") for m, n in zip(x.shape, sizes, strict=True))
        if not same or (x.dtype, x.device) != (y.dtype, y.device):
            due = f"({', '.join(map(str, sizes))}), {y.dtype} on {y.device}"
            got = f"{tuple(x.shape)}, {x.dtype} on {x.device}"
            return f"{text}tensor {k} must be {due}, got {got}"
    return None
'''

SOURCES: Mapping[str, str] = {
    "_Past": _PAST,
    "_evaluating": _EVALUATING,
    "_stepped": _STEPPED,
}

_METHOD = "\n\n    def "


def past_of(file: str) -> str:
    """The class `_Past` with the methods that the rest of a file calls, and what these call."""
    head, *rest = _PAST.rstrip("\n").split(_METHOD)
    methods = {text.partition("(")[0]: text for text in rest}
    called = [file, methods["__init__"]]
    wanted = {"__init__"}
    while called:
        names = set(re.findall(r"\.(\w+)\(", called.pop())) & set(methods) - wanted
        wanted |= names
        called += [methods[name] for name in names]
    return _METHOD.join([head, *(text for name, text in methods.items() if name in wanted)])
