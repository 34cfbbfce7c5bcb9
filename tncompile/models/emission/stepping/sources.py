"""Functions and the class that a file with a `step` has beside its models."""

from __future__ import annotations

from collections.abc import Mapping

_PAST = '''\
class _Past:
    """What `step` has of the entries before: tensors, read and kept in one order.

    `length` is how many entries came before.
    """

    def __init__(self, state: tuple[Tensor, ...] | None) -> None:
        self.length = 0
        self._before = None if state is None else iter(state)
        self._kept: list[Tensor] = []
        self._lead: tuple[int, ...] = ()

    def expanded(self, lead: tuple[int, ...]) -> "_Past":
        """The same for values without the axes of `...`: their tensors are kept with them."""
        past = _Past(None)
        past.length, past._before, past._kept = self.length, self._before, self._kept
        past._lead = (*self._lead, *lead)
        return past

    def last(self) -> Tensor | None:
        """The next tensor of the state; None at the first entries."""
        if self._before is None:
            return None
        x = next(self._before, None)
        if x is None:
            raise ValueError("state: it is not one that this `step` returned: too few tensors")
        return x[(0,) * len(self._lead)] if self._lead else x

    def keep(self, x: Tensor, *, owned: bool = False) -> None:
        """Keep a tensor; a copy, unless nothing else has it."""
        x = x if owned else x.clone()
        self._kept.append(x.expand(*self._lead, *x.shape) if self._lead else x)

    def count(self, entries: int, lead: tuple[int, ...], device: torch.device) -> int:
        """How many entries came before; the state has a mark for each of them."""
        marks = self.last()
        self.length = 0 if marks is None else marks.shape[-1]
        marks = torch.ones((*lead, self.length + entries), dtype=torch.bool, device=device)
        self.keep(marks, owned=True)
        return self.length

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
        self.keep(y.select(dim, -1))
        return y

    def begun(self, first: Tensor) -> Tensor:
        """The state that a loop goes on with."""
        before = self.last()
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
        if self._before is not None and next(self._before, None) is not None:
            raise ValueError("state: it is not one that this `step` returned: too many tensors")
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

SOURCES: Mapping[str, str] = {
    "_Past": _PAST,
    "_evaluating": _EVALUATING,
}
