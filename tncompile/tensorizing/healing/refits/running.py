"""The layers of a smaller model, refitted one stop after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tncompile.tensorizing.calibrating.calling import called, require_batches, undisturbed
from tncompile.tensorizing.calibrating.layers import Layer, layer_of
from tncompile.tensorizing.calibrating.model_moments import Moments, require_of
from tncompile.tensorizing.calibrating.patches import rows_of
from tncompile.tensorizing.calibrating.sharing import shared_metric
from tncompile.tensorizing.healing.memory import Memory
from tncompile.tensorizing.healing.refits.passes import Passes, Reached
from tncompile.tensorizing.healing.refits.ridge import RidgeSums, ShiftSums
from tncompile.tensorizing.healing.refits.stops import Seen, Stop, seen
from tncompile.tensorizing.healing.refits.weighing import Counted, counted
from tncompile.tensorizing.healing.refitted import Refit, RefitLayer
from tncompile.tensorizing.healing.renewing import dense, remeasured, renewed
from tncompile.tensorizing.moments import Metric
from tncompile.tensorizing.replacing.placing import Placed
from tncompile.tensorizing.replacing.tensorized import Tensorized

Output = Callable[[nn.Module, Any], torch.Tensor]

NOTHING = 1e-5
"""A relative error that is left as it is: it is of the size of what float32 rounds off."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A layer of the original model, and what stands in its place."""

    name: str
    module: nn.Module
    layer: Layer
    placed: Placed

    @property
    def bias(self) -> nn.Parameter | None:
        """The bias of the network that is the bias of the layer."""
        own = getattr(self.module, "bias", None)
        biases = self.placed.architecture._map.biases
        if own is None or len(biases) != 1:
            return None
        found = self.placed.module.get_parameter(biases[0].parameter)
        return found if found.numel() == own.numel() else None


def run_refit(
    model: nn.Module,
    done: Tensorized,
    data: Iterable[Any],
    *,
    output: Output | None,
    damping: float,
    residual: Sequence[str] | None,
    moments: Moments | None,
    memory_limit: int,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> Refit:
    """What `refit` does."""
    _require(model, done, damping, memory_limit)
    if moments is not None:
        require_of(moments, model)
    require_batches("data", data)
    batches = list(data)
    if not batches:
        raise ValueError("there are no batches")
    new = renewed(done)
    pairs, kept = _pairs(model, new)
    call: Callable[[nn.Module, Any], object] = called if output is None else output
    with ExitStack() as stack:
        for each in (model, new.model):
            stack.enter_context(undisturbed(each))
        stack.enter_context(_slow_attention())
        given = {name: (pair.module, pair.layer) for name, pair in pairs.items()}
        counts = counted(model, given, batches, output, seed) if pairs else Counted()
        for name in list(pairs):
            if not any((name, place) in counts.rows for place in range(len(batches))):
                kept[name] = "the output does not depend on it, or it is never called"
                del pairs[name]
        modules = {name: pair.module for name, pair in pairs.items()}
        found = seen(model, modules, call, batches[0], residual) if pairs else Seen()
        for name in found.unreached:  # with gradients another way is taken
            kept[name] = "it is not called without gradients"
        run = _Run(model, new, batches, call, pairs, counts, moments, damping, seed, memory_limit)
        made = run.refitted(found, progress or (lambda done, total: None))
    rows = {each.name: each for each in made}
    for name, why in kept.items():
        rows[name] = RefitLayer(name, 0.0, 0.0, "kept", why=why)
    layers = tuple(rows[placed.replacement.layer.name] for placed in new._placed)
    return Refit(remeasured(new, model, moments), layers)


def _require(model: nn.Module, done: Tensorized, damping: float, memory_limit: int) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is an nn.Module, not {type(model).__name__}")
    if not isinstance(done, Tensorized):
        raise TypeError(f"done is what tncompile.tensorize returns, not {type(done).__name__}")
    if isinstance(damping, bool) or not isinstance(damping, int | float):
        raise TypeError(f"damping is a number, not {type(damping).__name__}")
    if not 0 < damping < math.inf:
        raise ValueError(f"damping is a number above 0, not {damping}")
    if isinstance(memory_limit, bool) or not isinstance(memory_limit, int) or memory_limit < 0:
        raise ValueError(f"memory_limit is a number of bytes, not {memory_limit!r}")


def _pairs(model: nn.Module, done: Tensorized) -> tuple[dict[str, Pair], dict[str, str]]:
    """What can be refitted, by name; and why the rest cannot. Raises for another model."""
    modules = dict(model.named_modules(remove_duplicate=False))
    pairs: dict[str, Pair] = {}
    kept: dict[str, str] = {}
    for placed in done._placed:
        own = placed.replacement.layer
        module = modules.get(own.name)
        if own.kind == "parameter":
            kept[own.name] = "a raw parameter"
            continue
        layer = None if module is None else layer_of(module)
        if module is None or layer is None or _shape_of(module) != own.shape:
            raise ValueError(f"{own.name or 'the model itself'} is no such layer of this model")
        if own.kind == "embedding":
            kept[own.name] = "an embedding"
        elif own.kind not in ("linear", "conv1d", "conv") or layer.groups > 1:
            kept[own.name] = "a convolution in groups" if layer.groups > 1 else own.kind
        elif own.holders:
            kept[own.name] = "its weight is read by others"
        elif layer.kind == "conv" and _shape_of(placed.module) != own.shape:
            kept[own.name] = "another kind of weight"
        else:
            pair = Pair(own.name, module, layer, placed)
            if layer.axes and pair.bias is None:
                kept[own.name] = "too many inputs for a moment of all, and no bias"
            else:
                pairs[own.name] = pair
    return pairs, kept


def _shape_of(module: nn.Module) -> tuple[int, ...]:
    weight: torch.Tensor = module.weight  # type: ignore[assignment]
    return tuple(weight.shape)


@contextmanager
def _slow_attention() -> Iterator[None]:
    """Encoders of torch call their layers while the body runs, in place of one fused operation."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


class _Run:
    """Both models, their passes, and what is known of rows."""

    def __init__(
        self,
        model: nn.Module,
        new: Tensorized,
        batches: Sequence[object],
        call: Callable[[nn.Module, Any], object],
        pairs: Mapping[str, Pair],
        counts: Counted,
        moments: Moments | None,
        damping: float,
        seed: int,
        memory_limit: int,
    ) -> None:
        self.batches, self.pairs, self.counts = batches, pairs, counts
        self.moments, self.damping, self.seed = moments, damping, seed
        memory = Memory(memory_limit)
        originals = [pair.module for pair in pairs.values()]
        self.teacher = Passes(model, originals, call, memory)
        self.student = Passes(new.model, [each.module for each in new._placed], call, memory)

    def refitted(self, found: Seen, progress: Callable[[int, int], None]) -> list[RefitLayer]:
        """All stops, in order."""
        made: list[RefitLayer] = []
        total = sum(len(stop.names) for stop in found.stops)
        with self.teacher.watched(), self.student.watched():
            self._try_keeping(found)
            for stop in found.stops:
                progress(len(made), total)
                sums = self._summed(stop)
                for name, own in sums.items():
                    solved = self._moved if isinstance(own, ShiftSums) else self._solved
                    made.append(solved(name, own, stop))  # type: ignore[arg-type]
        progress(total, total)
        return made

    def _try_keeping(self, found: Seen) -> None:
        """Keep nothing between stops unless that leads to what a whole pass has."""
        last: Reached | None = None
        for stop in found.stops:
            last = self._teacher(0, stop)
        self.teacher.forget()
        wanted = found.last
        if last is None or wanted is None:
            return
        same = (
            bool(last.calls)
            and last.calls[0].x.shape == wanted.shape
            and torch.allclose(last.calls[0].x, wanted, rtol=1e-3, atol=1e-5)
        )
        if not same:
            self.teacher.keeps = self.student.keeps = False

    def _teacher(self, place: int, stop: Stop) -> Reached:
        module = self.pairs[stop.names[0]].module
        return self.teacher.up_to(
            place, self.batches[place], module, added=stop.added, every=stop.every
        )

    def _summed(self, stop: Stop) -> dict[str, RidgeSums | ShiftSums]:
        """What is added up for the layers of a stop, over all batches."""
        sums: dict[str, RidgeSums | ShiftSums] = {}
        for name in stop.names:
            layer = self.pairs[name].layer
            heard = self.counts.outputs[name]
            known = self.pairs[name].placed.replacement.layer
            metric = shared_metric(self.moments, known.weight_names, known.kind)
            if metric is not None and metric.outputs is not None:
                heard = metric.outputs.to(heard)
            if layer.axes:
                sums[name] = ShiftSums.empty(layer.outputs, heard)
            else:
                sums[name] = RidgeSums.empty(layer.inputs, layer.outputs, heard)
        first = self.pairs[stop.names[0]].placed.module
        for place, batch in enumerate(self.batches):
            if not any((name, place) in self.counts.rows for name in stop.names):
                continue
            theirs = self._teacher(place, stop)
            ours = self.student.up_to(place, batch, first, added=stop.added, every=stop.every)
            if len(theirs.calls) != len(ours.calls) or len(theirs.added) != len(ours.added):
                raise ValueError(f"the models call {stop.names[0]} in different ways")
            with torch.no_grad():
                for name, own in sums.items():
                    self._add(self.pairs[name], own, place, theirs, ours)
        return sums

    def _add(
        self,
        pair: Pair,
        sums: RidgeSums | ShiftSums,
        place: int,
        theirs: Reached,
        ours: Reached,
    ) -> None:
        """The calls of a layer in a batch."""
        weights = self.counts.rows.get((pair.name, place))
        if weights is None:
            return
        layer = pair.layer
        pairs = list(zip(theirs.calls, ours.calls, strict=True))[-len(weights) :]
        for (given, found), squares in zip(pairs, weights, strict=True):
            wanted = pair.module(given.x) if given.y is None else given.y
            for h, other in zip(theirs.added, ours.added, strict=True):
                wanted = wanted + (h - other)
            if isinstance(sums, ShiftSums):
                missing = wanted - pair.placed.module(found.x)
                rows = (_rows(each, layer) for each in (missing, wanted))
                sums.add(squares[0], *rows)
                continue
            start = 0
            for x, r in rows_of(pair.module, layer, found.x, wanted - pair.module(found.x)):
                w = squares[0, start : start + r.shape[1]]
                start += r.shape[1]
                some = w > 0
                sums.add(w[some], x[0, some], r[0, some])

    def _moved(self, name: str, sums: ShiftSums, stop: Stop) -> RefitLayer:
        """The best of a bias that moves, and what there is."""
        pair, stream = self.pairs[name], stop.added > 0
        bias, total = pair.bias, float(sums.missing.total)
        assert bias is not None
        if not total > 0:
            return RefitLayer(name, 0.0, 0.0, "kept", stream, "no row of it counts")
        shift, before, after = sums.solved()
        if not math.isfinite(before) or not bool(torch.isfinite(shift).all()):
            raise ValueError(f"what {name} is given, or gives, is not finite")
        if before <= NOTHING or not after < before:
            return RefitLayer(name, before, before, "kept", stream)
        with torch.no_grad():
            bias.add_(shift.to(bias).reshape(bias.shape))
        return RefitLayer(name, before, after, "bias", stream)

    def _solved(self, name: str, sums: RidgeSums, stop: Stop) -> RefitLayer:
        """The best of a new fit, a bias that moves alone, and what there is."""
        pair, stream = self.pairs[name], stop.added > 0
        if not float(sums.total) > 0:
            return RefitLayer(name, 0.0, 0.0, "kept", stream, "no row of it counts")
        network, bias, original = pair.placed.module, pair.bias, dense(pair.placed, pair.module)
        own: torch.Tensor | None = getattr(pair.module, "bias", None)
        base = torch.zeros_like(sums.r) if own is None else own.detach().to(sums.r)
        now = torch.zeros_like(sums.r) if bias is None else bias.detach().reshape(-1).to(base)
        present = dense(pair.placed, network) - original
        whole = sums.lost(-original, -base)

        def relative(step: torch.Tensor, shift: torch.Tensor) -> float:
            return math.sqrt(max(0.0, sums.lost(step, shift) / whole)) if whole > 0 else 0.0

        centered = bias is not None
        before = relative(present, now - base if centered else torch.zeros_like(base))
        if not math.isfinite(before) or not bool(torch.isfinite(sums.xx).all()):
            raise ValueError(f"what {name} is given, or gives, is not finite")
        if before <= NOTHING:
            return RefitLayer(name, before, before, "kept", stream)
        kept = {key: value.clone() for key, value in network.state_dict().items()}

        def moved(shift: torch.Tensor) -> None:
            if bias is not None:
                with torch.no_grad():
                    bias.copy_((base + shift).reshape(bias.shape))

        alone = sums.shift(present, centered=centered)
        biased = relative(present, alone)
        if sums.varies(centered=centered):
            step, _ = sums.solved(self.damping, centered=centered)
            metric = Metric(sums.covariance(centered=centered), sums.heard)
            target = (original + step).reshape(_shape(pair))
            fit = pair.placed.architecture.fit(target, metric=metric, seed=self.seed)
            network.load_state_dict(fit.state_dict)
            found = dense(pair.placed, network) - original
            shift = sums.shift(found, centered=centered)
            after = relative(found, shift)
            if after < min(before, biased):
                moved(shift)
                return RefitLayer(name, before, after, "weight", stream)
            network.load_state_dict(kept)
        if centered and biased < before:
            moved(alone)
            return RefitLayer(name, before, biased, "bias", stream)
        return RefitLayer(name, before, before, "kept", stream)


def _shape(pair: Pair) -> tuple[int, ...]:
    """The shape in which a fit takes the weight."""
    shape = pair.placed.replacement.layer.shape
    return shape[::-1] if pair.layer.kind == "conv1d" else shape


def _rows(images: torch.Tensor, layer: Layer) -> torch.Tensor:
    """What a convolution gave, (rows, out): an entry for each place."""
    batched = images if images.dim() > len(layer.axes) else images.unsqueeze(0)
    return batched.flatten(2).mT.reshape(-1, layer.outputs)
