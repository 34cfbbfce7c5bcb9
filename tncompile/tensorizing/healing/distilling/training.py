"""The loop of `distill`: batches, outputs of the original, looks at what is held out."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tncompile.tensorizing.calibrating.calling import (
    digest,
    kept_modes,
    require_batches,
    undisturbed,
)
from tncompile.tensorizing.calibrating.model_moments import Moments, require_of
from tncompile.tensorizing.healing.distilled import Distilled, Evaluation
from tncompile.tensorizing.healing.distilling.asking import (
    Answer,
    Asked,
    Output,
    integers,
    layers_of,
    split,
)
from tncompile.tensorizing.healing.distilling.checkpoints import State, read_state, write_state
from tncompile.tensorizing.healing.distilling.coordinates import (
    Coordinates,
    coordinates_of,
    fingerprint,
)
from tncompile.tensorizing.healing.distilling.losses import distance
from tncompile.tensorizing.healing.distilling.settings import Settings
from tncompile.tensorizing.healing.distilling.stepping import Stepper, rate_at, trained
from tncompile.tensorizing.healing.memory import Memory
from tncompile.tensorizing.healing.renewing import balance, remeasured, renewed
from tncompile.tensorizing.replacing.tensorized import Tensorized

LOOKS = 20
"""How often what is held out is looked at."""

Loss = Callable[[torch.Tensor, torch.Tensor, Any], torch.Tensor]


def run_distill(
    model: nn.Module,
    small: Tensorized | nn.Module,
    data: Iterable[Any],
    settings: Settings,
    *,
    output: Output | None,
    loss: Loss | None,
    layers: Sequence[str],
    moments: Moments | None,
    held_out: Iterable[Any] | float,
    parameters: Sequence[str] | None,
    checkpoint: str | os.PathLike[str] | None,
    progress: Callable[[int, int], None] | None,
) -> Distilled:
    """What `distill` does."""
    begun = time.monotonic()
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is an nn.Module, not {type(model).__name__}")
    if not isinstance(small, Tensorized | nn.Module):
        kind = type(small).__name__
        raise TypeError(f"small is what tncompile.tensorize returns or an nn.Module, not {kind}")
    if moments is not None:
        if not isinstance(moments, Moments):
            kind = type(moments).__name__
            raise TypeError(f"moments are what tncompile.calibrate returns, not {kind}")
        if not isinstance(small, Tensorized):
            raise TypeError("moments are for networks: give what tncompile.tensorize returns")
        require_of(moments, model)
    require_batches("data", data)
    batches, held = split(list(data), held_out, settings.seed)
    names = layers_of(model, small.model if isinstance(small, Tensorized) else small, layers)
    tensorized: Tensorized | None = None
    if isinstance(small, Tensorized):
        tensorized = renewed(small)
        balance(tensorized)
        student = tensorized.model
    else:
        student = _copied(small)
    chosen = trained(student, parameters)
    teach, learn = Asked(model, output, names), Asked(student, output, names)
    coordinates: dict[str, Coordinates] = {}
    if moments is not None and tensorized is not None:
        coordinates = coordinates_of(tensorized._placed, chosen, moments)
    run = _Run(teach, learn, chosen, batches, held, settings, loss, coordinates)
    if checkpoint is not None:
        run.keep_in(checkpoint, None if moments is None else fingerprint(moments))
    with undisturbed(model), undisturbed(student), teach.listening(), learn.listening():
        state = run.run(begun, progress or (lambda done, total: None))
    if tensorized is not None:
        tensorized = remeasured(tensorized, model, moments)
    history = tuple(Evaluation(*row) for row in state.history)
    return Distilled(
        student, tensorized, state.step, state.samples, state.tokens, state.seconds, state.start,
        state.best, history, state.stopped,
    )  # fmt: skip


def _copied(small: nn.Module) -> nn.Module:
    try:
        return deepcopy(small)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(f"the model cannot be copied: {error}") from error


class _Run:
    """One training."""

    def __init__(
        self,
        teach: Asked,
        learn: Asked,
        chosen: Mapping[str, nn.Parameter],
        batches: list[Any],
        held: list[Any],
        settings: Settings,
        loss: Loss | None,
        coordinates: Mapping[str, Coordinates],
    ) -> None:
        self.teach, self.learn, self.settings, self.loss = teach, learn, settings, loss
        self.batches, self.held = batches, held
        self.stepper = Stepper(chosen, settings.rate, coordinates)
        self.steps = settings.steps
        if self.steps is None and settings.minutes is None:
            self.steps = len(batches)
        self.state = State()
        self._answers: dict[tuple[bool, int], Answer] = {}
        self._memory = Memory(settings.memory_limit)
        self._file: Path | None = None
        self._moments: int | None = None
        self._order: tuple[int, list[int]] = (-1, [])

    def keep_in(self, path: str | os.PathLike[str], moments: int | None) -> None:
        """Write states to a file; what is there is continued. Raises ValueError for another run."""
        self._file, self._moments = Path(path), moments
        if not self._file.exists():
            return
        shapes = {name: tuple(each.shape) for name, each in self.stepper.masters.items()}
        self.state = read_state(self._file, shapes, self._facts())
        self.stepper.restore(self.state.tensors, self.state.step)

    def _facts(self) -> dict[str, object]:
        """What makes it another run if it differs."""
        own = self.settings
        facts: dict[str, object] = {
            "steps": self.steps,
            "minutes": own.minutes,
            "rate": own.rate,
            "patience": own.patience,
            "dropout": own.dropout,
            "seed": own.seed,
            "layers": list(self.teach.names),
            "moments": self._moments,
        }
        facts["data"] = digest(own.seed, [self.batches, self.held])
        return facts

    def run(self, begun: float, progress: Callable[[int, int], None]) -> State:
        """Until it ends; the model has the best parameters then."""
        state, before = self.state, self.state.seconds
        if not state.history:
            state.start = state.best = self._look(0.0)
            if not math.isfinite(state.start):
                raise ValueError(f"the loss is {state.start} before the first step")
            self._remember(best=True)
        losses: list[float] = []
        looks = len(state.history)
        while not state.stopped:
            state.seconds = before + time.monotonic() - begun
            done = self._done()
            progress(*self._shown(done))
            if done >= 1:
                break
            found = self._step(done)
            if not math.isfinite(found):
                state.stopped = "the loss was not finite"
                break
            losses.append(found)
            if self._done(state.seconds + 0.0) * LOOKS >= looks and self._done() < 1:
                looks += 1
                self._judge(losses, before + time.monotonic() - begun)
                losses = []
        if losses and not state.stopped:
            self._judge(losses, before + time.monotonic() - begun)
        if not state.stopped:
            state.stopped = "all steps were made" if self._by_steps() else "the time was over"
        state.seconds = before + time.monotonic() - begun
        self._write()
        self.stepper.put(state.tensors["best"])
        return state

    def _by_steps(self) -> bool:
        return self.steps is not None and self.state.step >= self.steps

    def _done(self, seconds: float | None = None) -> float:
        """Which part is over."""
        state, minutes = self.state, self.settings.minutes
        parts = [0.0]
        if self.steps is not None:
            parts.append(state.step / self.steps)
        if minutes is not None:
            parts.append((state.seconds if seconds is None else seconds) / (60 * minutes))
        return max(parts)

    def _shown(self, done: float) -> tuple[int, int]:
        if self.steps is not None and self.settings.minutes is None:
            return min(self.state.step, self.steps), self.steps
        return min(1000, int(1000 * done)), 1000

    def _step(self, done: float) -> float:
        """One batch; the loss of it."""
        state = self.state
        place = self._next(state.step)
        batch = self.batches[place]
        wanted = self._answer(place, batch, held=False)
        with torch.inference_mode(False), torch.enable_grad(), self._dropping():
            given = self.learn(batch)
            loss = self._distance(given, wanted, batch)
            self.stepper.zero()
            loss.backward()  # type: ignore[no-untyped-call]
        value = float(loss.detach())
        if math.isfinite(value) and self.stepper.step(rate_at(done, state.step)):
            state.step += 1
            state.samples += given.output.shape[0] if given.output.dim() else 1
            state.tokens += integers(batch)
            return value
        return math.nan

    def _next(self, step: int) -> int:
        epoch, place = divmod(step, len(self.batches))
        if self._order[0] != epoch:
            generator = torch.Generator().manual_seed(digest(self.settings.seed, epoch))
            order = torch.randperm(len(self.batches), generator=generator).tolist()
            self._order = epoch, order
        return self._order[1][place]

    def _answer(self, place: int, batch: object, *, held: bool) -> Answer:
        """What the original gives, kept as far as memory allows."""
        key = held, place
        if key in self._answers:
            return self._answers[key]
        with torch.no_grad():
            found = self.teach(batch)
        tensors = [found.output, *found.layers]
        again = held or self.steps is None or self.steps > len(self.batches)
        if again and self._memory.take(sum(t.numel() * t.element_size() for t in tensors)):
            self._answers[key] = found
        return found

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        """In training mode while the body runs, which is both passes, where dropout is wanted."""
        if not self.settings.dropout:
            yield
            return
        model = self.learn.model
        with kept_modes(model.modules(), training=False):
            model.train()  # which a module may have in its own way, to stay as it is
            torch.manual_seed(digest(self.settings.seed, self.state.step))
            yield

    def _distance(self, given: Answer, wanted: Answer, batch: object) -> torch.Tensor:
        if self.loss is None:
            if given.output.shape != wanted.output.shape:
                shapes = f"{tuple(given.output.shape)} and {tuple(wanted.output.shape)}"
                raise ValueError(f"the outputs of the models are {shapes}: give a loss of your own")
            return distance(given.output, wanted.output, given.layers, wanted.layers)
        found = self.loss(given.output, wanted.output, batch)
        if not isinstance(found, torch.Tensor) or found.numel() != 1:
            raise ValueError("a loss is a tensor of one number")
        return found.reshape(())

    def _look(self, training: float) -> float:
        """The loss on what is held out, written to the history."""
        found = []
        with torch.no_grad():
            for place, batch in enumerate(self.held):
                wanted = self._answer(place, batch, held=True)
                found.append(float(self._distance(self.learn(batch), wanted, batch)))
        mean = sum(found) / len(found)
        if math.isfinite(mean):
            state = self.state
            state.history.append((state.step, state.seconds, training, mean))
        return mean

    def _judge(self, losses: list[float], seconds: float) -> None:
        """Look at what is held out, and keep the parameters if they are the best."""
        state, patience = self.state, self.settings.patience
        state.seconds = seconds
        found = self._look(sum(losses) / len(losses))
        if not math.isfinite(found):
            state.stopped = "the loss was not finite"
            return
        better = found < state.best
        state.waited = 0 if better else state.waited + 1
        if better:
            state.best = found
        self._remember(best=better)
        if patience is not None and state.waited >= patience:
            state.stopped = f"no gain in {patience} looks"
        self._write()

    def _remember(self, *, best: bool) -> None:
        tensors = self.stepper.tensors()
        kept = self.state.tensors.get("best")
        if best or kept is None:
            kept = {name: each.clone() for name, each in tensors["now"].items()}
        self.state.tensors = {**tensors, "best": kept}

    def _write(self) -> None:
        if self._file is not None:
            write_state(self._file, self.state, self._facts())
