"""One forward and one backward pass a batch, and what they say of each layer.

With z of independent entries of variance 1 and g the gradient of ⟨z, output⟩ at the output of a
layer, E g gᵀ over z is Jᵀ J, with J the Jacobian of the output: the Gauss-Newton matrix of ‖change
of the output‖² (Martens and Grosse, "Optimizing Neural Networks with Kronecker-factored Approximate
Curvature", 2015; random z: Dangel, Kunstner and Hennig, "BackPACK", 2020). No labels are needed,
and one z a batch will do, since samples have their own entries of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from tncompile.tensorizing.calibrating.attention import called_projections
from tncompile.tensorizing.calibrating.calling import (
    called,
    digest,
    first_tensor,
    own_random,
    undisturbed,
)
from tncompile.tensorizing.calibrating.calls import call_of, counted
from tncompile.tensorizing.calibrating.layers import Layer, aliases_of, layers_of
from tncompile.tensorizing.calibrating.model_moments import Moments, together
from tncompile.tensorizing.calibrating.patches import axis_sums, moment_of, rows_of
from tncompile.tensorizing.calibrating.sums import LayerSums


class Accumulators:
    """Sums of all layers, as far as they were reached."""

    def __init__(self, dtype: torch.dtype, start: Moments | None) -> None:
        self.dtype = dtype
        self.sums: dict[str, LayerSums] = {}
        self.samples, self.batches, self.output, self.data = 0, 0, 0.0, 0
        if start is not None:
            for name, each in start.layers.items():
                self.sums[name] = each.to(each.inputs.device, dtype)
            self.samples, self.batches = start.samples, start.batches
            self.output, self.data = start.output, start.data

    def of(self, name: str, layer: Layer, device: torch.device) -> LayerSums:
        """Those of a layer, on the device that it computes on."""
        if name not in self.sums:
            size = 0 if layer.axes else layer.inputs
            table = layer.kind == "embedding"
            shapes = (
                (size,) if table else (size, size),
                layer.gradients,
                *((each, each) for each in layer.axes),
            )
            inputs, outputs, *axes = (
                torch.zeros(s, dtype=self.dtype, device=device) for s in shapes
            )
            rows = torch.zeros(shapes[0][:table], dtype=torch.float64, device=device)
            self.sums[name] = LayerSums(layer, inputs, outputs, rows, tuple(axes))
        sums = self.sums[name]
        if sums.inputs.device != device:  # read from a file
            sums = self.sums[name] = sums.to(device, self.dtype)
        return sums

    def add(self, name: str, module: nn.Module, layer: Layer, x: Any, gradient: Any) -> None:
        """A call of a layer: its input, and the gradient at its output.

        Products over a batch are float32 at least: their rounding is far below the noise of
        samples. Sums over batches have their own dtype, since a small batch would be lost in a
        large sum.
        """
        wide = torch.promote_types(gradient.dtype, torch.float32)
        if layer.axes:
            heard = self._add_axes(name, module, layer, x.to(wide), gradient.to(wide))
        else:
            heard = self._add_rows(name, module, layer, x, gradient.to(wide))
        if heard:
            sums = self.sums[name]
            calls = counted(sums.calls, {call_of(module, layer, x): 1})
            self.sums[name] = replace(sums, calls=calls)

    def _add_rows(
        self, name: str, module: nn.Module, layer: Layer, x: torch.Tensor, gradient: torch.Tensor
    ) -> bool:
        """A call of a layer that has one moment; whether there was something to add."""
        found = False
        for into, g in rows_of(module, layer, x, gradient):
            squares = g.square().sum(2)
            heard = squares > 0
            if not bool(heard.any()):
                continue
            found = True
            sums = self.of(name, layer, g.device)
            rows = g.transpose(0, 1).reshape(-1, layer.outputs)
            sums.outputs.add_(moment_of(rows, layer))
            if layer.kind == "embedding":
                sums.inputs.index_add_(0, into, squares[0].to(self.dtype))
                sums.rows.index_add_(0, into, heard[0].to(sums.rows))
                continue
            weighted = into.to(g.dtype) * squares.sqrt().unsqueeze(2)
            flat = weighted.reshape(-1, layer.inputs)
            sums.inputs.add_(flat.mT @ flat)
            sums.rows.add_(heard.any(0).sum())
        return found

    def _add_axes(
        self, name: str, module: nn.Module, layer: Layer, x: torch.Tensor, g: torch.Tensor
    ) -> bool:
        """The same of a convolution that has a moment for each axis."""
        channels = g.dim() - len(layer.axes)  # the first axis, or behind that of the batch
        rows = g.movedim(channels, -1).reshape(-1, layer.outputs)
        heard = rows.square().sum(1) > 0
        if not bool(heard.any()):
            return False
        sums = self.of(name, layer, g.device)
        sums.outputs.add_(moment_of(rows, layer))
        sums.rows.add_(heard.sum())
        for total, new in zip(sums.axes, axis_sums(module, layer, x, g), strict=True):
            total.add_(new)
        return True

    def require_finite(self) -> None:
        """Raise ValueError where a sum is not finite."""
        for name, each in reversed(self.sums.items()):  # the first was reached last
            inputs = [("inputs", sums) for sums in (each.inputs, *each.axes)]
            for what, sums in (*inputs, ("gradients", each.outputs)):
                diagonal = sums.diagonal() if sums.dim() == 2 else sums
                if not bool(torch.isfinite(diagonal).all()):
                    raise ValueError(
                        f"batch {self.batches + 1}: {what} of {name or 'the model'} are not finite"
                    )

    def moments(self, model: nn.Module, names: Iterable[str]) -> Moments:
        """What was added up until now."""
        return Moments(
            {name: self.sums[name] for name in names if name in self.sums},
            tuple(name for name in names if name not in self.sums),
            aliases_of(model),
            self.samples,
            self.batches,
            self.output,
            self.data,
        )


def run_batches(
    model: nn.Module,
    data: Iterable[object],
    output: Callable[[nn.Module, Any], torch.Tensor] | None,
    layers: Iterable[str] | None,
    seed: int,
    dtype: torch.dtype,
    start: Moments | None,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Callable[[], Moments]]:
    """After each batch what gives the moments until then; once before all of them."""
    watched = layers_of(model, layers)
    if not watched:
        raise ValueError("the model has no layer with a weight: nothing to calibrate")
    if start is not None and {*start.layers, *start.unreached} != {*watched}:
        raise ValueError("the moments to continue are of other layers")
    sums = Accumulators(dtype, start)
    total = len(data) if isinstance(data, Sized) else 0

    def now() -> Moments:
        return sums.moments(model, watched)

    number, skipped = -1, 0
    yield now
    modules = [module for module, _ in watched.values()]
    with (
        undisturbed(model),
        called_projections(model, modules),
        watching(watched, sums) as anchor,
    ):
        for number, batch in enumerate(data):
            drawn = digest(seed, batch)
            if number >= sums.batches:
                one_batch(model, batch, output, drawn, sums, anchor)
                yield now
            else:
                skipped = together(skipped, drawn)
                if number + 1 == sums.batches and sums.data not in (0, skipped):
                    raise ValueError("the moments to continue are of other data, or another seed")
            if progress is not None:
                progress(number + 1, max(total, number + 1))
    if number + 1 < sums.batches:
        raise ValueError(
            f"there are {number + 1:,} batches, and the moments to continue have {sums.batches:,}"
        )


NO_GRADIENTS = "the gradients of the output cannot be computed"


def one_batch(
    model: nn.Module,
    batch: object,
    output: Callable[[nn.Module, Any], torch.Tensor] | None,
    drawn: int,
    sums: Accumulators,
    anchor: torch.Tensor,
) -> None:
    """A batch.

    It draws by what it holds, `drawn`, so that shards, another order and a run that was interrupted
    give the same sums.
    """
    with own_random(), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(drawn)  # for what the model draws
        found = first_tensor(called(model, batch)) if output is None else output(model, batch)
        if not isinstance(found, torch.Tensor) or not found.is_floating_point():
            what = found.dtype if isinstance(found, torch.Tensor) else type(found).__name__
            raise ValueError(f"the output is to be a tensor of real numbers, not {what}")
        if found.requires_grad:
            generator = torch.Generator().manual_seed(drawn)
            signs = torch.randint(0, 2, found.shape, generator=generator).to(found) * 2 - 1
            try:
                torch.autograd.grad(found, anchor, signs, allow_unused=True)
            except NotImplementedError as error:
                words = str(error).strip() or "an operation has none"
                raise ValueError(f"{NO_GRADIENTS}: {words.splitlines()[0]}") from error
            except RuntimeError as error:
                if "inplace operation" not in str(error):
                    raise  # memory, say, or a device
                raise ValueError(f"{NO_GRADIENTS}: {str(error).splitlines()[0]}") from error
    sums.require_finite()
    sums.batches += 1
    sums.data = together(sums.data, drawn)
    sums.samples += found.shape[0] if found.dim() else 1
    sums.output += float(found.detach().double().square().sum())


@contextmanager
def watching(
    watched: Mapping[str, tuple[nn.Module, Layer]], sums: Accumulators
) -> Iterator[torch.Tensor]:
    """Hooks on the layers while the body runs; every watched output depends on what is yielded.

    So gradients run to the layers alone: none of a parameter is computed, whatever `requires_grad`
    says, and frozen models need no other way.
    """
    anchor = torch.zeros((), requires_grad=True)
    handles = []
    for name, (module, layer) in watched.items():

        def hook(
            module: nn.Module,
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
            output: torch.Tensor,
            name: str = name,
            layer: Layer = layer,
        ) -> torch.Tensor:
            if not torch.is_grad_enabled():  # the user's `output` does not want it
                return output
            x = (args[0] if args else next(iter(kwargs.values()))).detach()
            version = x._version
            output = output + anchor.to(output)

            def note(gradient: torch.Tensor) -> None:
                if x._version != version:
                    raise ValueError(f"the input of {name} is changed in place after it was read")
                sums.add(name, module, layer, x, gradient.detach())

            output.register_hook(note)  # type: ignore[no-untyped-call]
            return output

        handles.append(module.register_forward_hook(hook, with_kwargs=True))
    try:
        yield anchor
    finally:
        for handle in handles:
            handle.remove()
