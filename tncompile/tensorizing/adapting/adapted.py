"""What a user holds of an adapter: switched on and off, merged, unloaded, stored, exported."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tncompile.notebook import as_html
from tncompile.tensorizing.rewriting.rewrite import shown

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tncompile.tensorizing.adapting.layers import AdaptedLayer
    from tncompile.tensorizing.adapting.records import Record


@dataclass(frozen=True, repr=False)
class Trainable:
    """What an adapter trains: (layer, network, parameters) for each layer; it prints as a table.

    `network` is empty for a module that is trained whole. `whole` are the parameters of the model
    with its adapters.

    >>> tuned.trainable.rows[0][0], tuned.trainable.parameters
    ('0', 144)
    """

    rows: tuple[tuple[str, str, int], ...]
    whole: int

    @property
    def parameters(self) -> int:
        """How many numbers are trained.

        >>> tuned.trainable.parameters
        144
        """
        return sum(row[2] for row in self.rows)

    def __repr__(self) -> str:
        from tncompile.planning.wording import columns_text, shortened

        share = f"{self.parameters / max(self.whole, 1):.2%} of {self.whole:,}"
        rows = [
            (shown(layer), shortened(network, LONGEST) or "trained whole", f"{count:,}")
            for layer, network, count in self.rows
        ]
        rows.append(("all", share, f"{self.parameters:,}"))
        head = ("layer", "network", "parameters")
        lines = columns_text(head, rows, WIDEST, 2).split("\n")
        return "\n".join([*lines[:-1], lines[1], lines[-1]])

    def _repr_html_(self) -> str:
        return as_html(repr(self))


LONGEST, WIDEST = 60, 10_000
"""Characters of a network in the table, and of the table: names of layers are never cut."""


@dataclass(frozen=True, eq=False)
class Adapted:
    """An adapter of a model, as `adapt` and `load_adapter` return it; `model` was changed in place.

    Several adapters of a model, by `name`, are independent: each is switched, merged and unloaded
    by itself. After `unload` and `merge_and_unload` there is none left, and methods raise
    ValueError.

    >>> tuned.model is base, tuned.name
    (True, 'default')
    """

    model: nn.Module = field(repr=False)
    name: str = "default"

    @property
    def trainable(self) -> Trainable:
        """What is trained, by layer.

        >>> print(tuned.trainable)
        layer  network                                                       parameters
        ───────────────────────────────────────────────────────────────────────────────
        0      MPO(ins = [4, 4], outs = [4, 8], ranks = [3], with_bias = f…         144
        ───────────────────────────────────────────────────────────────────────────────
        all    17.56% of 820                                                        144
        """
        from tncompile.tensorizing.adapting.records import saved_tensors

        record = self._record
        rows: list[tuple[str, str, int]] = []
        for layer, module in self._layers:
            tensors = module.adapter[self.name].named_parameters()
            count = sum(p.numel() for key, p in tensors if not key.startswith("start."))
            rows.append((layer, module._adapters[self.name].call, count))
        saved = saved_tensors(self.model, record, self.name)
        for name in record.modules.get(self.name, ()):
            inside = {
                id(t): t.numel()
                for key, t in saved.items()
                if t.requires_grad and key.startswith(f"{name}." if name else "")
            }
            rows.append((name, "", sum(inside.values())))
        return Trainable(tuple(rows), sum(p.numel() for p in self.model.parameters()))

    @property
    def enabled(self) -> bool:
        """Whether the adapter is added to what its layers compute, merged or not.

        >>> tuned.enabled
        True
        """
        from tncompile.tensorizing.adapting.layers import is_on

        return self.merged or all(is_on(module, self.name) for _, module in self._layers)

    def switch(self, on: bool) -> None:
        """Add the adapter, or no more; others stay as they are: all that are on are added.

        >>> tuned.switch(False)
        >>> torch.equal(base(x), before)
        True
        >>> tuned.switch(True)
        """
        from tncompile.tensorizing.adapting.layers import switch
        from tncompile.tensorizing.adapting.records import swap

        if not on:
            self.unmerge()
        swap(self.model, self._record, self.name, on=on)
        for _, module in self._layers:
            if self.name not in module._merged:
                switch(module, self.name, on=on)

    @contextmanager
    def disable(self) -> Iterator[None]:
        """The model without this adapter, for as long as the context lasts.

        >>> with tuned.disable():
        ...     torch.equal(base(x), before)
        True
        """
        on, merged = self.enabled, self.merged
        self.switch(False)
        try:
            yield
        finally:
            self.switch(on)
            if merged:
                self.merge()

    def select(self) -> None:
        """Add and train this adapter alone; all others of the model are off and frozen.

        >>> tuned.select()
        >>> sum(p.numel() for p in base.parameters() if p.requires_grad)
        144
        """
        from tncompile.tensorizing.adapting.records import trained_tensors

        for other in self._record.adapters:
            if other != self.name:
                Adapted(self.model, other).switch(False)
        self.switch(True)
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)
        for parameter in trained_tensors(self.model, self._record, self.name).values():
            parameter.requires_grad_(True)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The tensors of the adapter alone: `LAYER.TENSOR`, and those of modules trained whole.

        They share memory with the model.

        >>> {key: tuple(value.shape) for key, value in tuned.state_dict().items()}
        {'0.G.0': (4, 4, 3), '0.G.1': (3, 4, 8)}
        """
        from tncompile.tensorizing.adapting.records import saved_tensors

        state = {
            f"{layer}.{key}" if layer else key: tensor.detach()
            for layer, module in self._layers
            for key, tensor in module.adapter[self.name].state_dict().items()
        }
        saved = saved_tensors(self.model, self._record, self.name)
        return state | {key: tensor.detach() for key, tensor in saved.items()}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take the tensors of an adapter like this one, all of them.

        Raises ValueError for other keys or shapes, before any tensor is changed.

        >>> tuned.load_state_dict({key: value.clone() for key, value in tuned.state_dict().items()})
        """
        import torch

        own = self.state_dict()
        for key, tensor in own.items():
            if key not in state:
                raise ValueError(f"{shown(key)} is missing")
            if state[key].shape != tensor.shape:
                have, want = list(state[key].shape), list(tensor.shape)
                raise ValueError(f"{shown(key)} is {have} and not {want}")
        if more := [key for key in state if key not in own]:
            raise ValueError(f"{shown(more[0])} belongs to nothing")
        merged = self.merged
        self.unmerge()
        with torch.no_grad():
            for key, tensor in own.items():
                tensor.copy_(state[key])
        if merged:
            self.merge()

    @property
    def merged(self) -> bool:
        """Whether the weights of the layers have the adapter in them.

        >>> tuned.merged
        False
        """
        return all(self.name in module._merged for _, module in self._layers)

    def merge(self) -> None:
        """Add the dense map of each network to the weight of its layer: no cost at inference.

        It is computed in float32 at least and rounded once, to the dtype of the weight. The weights
        themselves are put aside, so that `unmerge` has them back to the bit: memory for one more
        copy of them. A weight that several modules hold is changed in the layer that is adapted
        alone. Raises ValueError for a layer without a dense weight (quantized ones), and where the
        adapter is not finite, before anything is changed.

        >>> y = base(x)
        >>> tuned.merge()
        >>> torch.allclose(base(x), y)
        True
        >>> tuned.unmerge()
        """
        from tncompile.tensorizing.adapting.layers import switch
        from tncompile.tensorizing.adapting.merging import require_dense, set_merged
        from tncompile.tensorizing.adapting.records import swap

        layers = self._layers
        for layer, module in layers:
            require_dense(layer, module)
        swap(self.model, self._record, self.name, on=True)
        try:
            for layer, module in layers:
                if self.name not in module._merged:
                    set_merged(layer, module, (*module._merged, self.name))
        except ValueError:
            self.unmerge()
            raise
        for _, module in layers:
            switch(module, self.name, on=False)

    def unmerge(self) -> None:
        """Put the weights of the layers back, to the bit, and add the adapter as it is.

        >>> tuned.merge(), tuned.unmerge()
        (None, None)
        """
        from tncompile.tensorizing.adapting.layers import switch
        from tncompile.tensorizing.adapting.merging import set_merged

        for layer, module in self._layers:
            if self.name in module._merged:
                left = tuple(each for each in module._merged if each != self.name)
                set_merged(layer, module, left)
                switch(module, self.name, on=True)

    def unload(self) -> nn.Module:
        """Take the adapter away: the model as it was, to the bit, and what was trained before.

        >>> other = tncompile.adapt(base, rank=2, target_modules=["2"], name="other")
        >>> keys = list(other.unload().state_dict())
        >>> "2.adapter.other.A" in keys
        False
        """
        from tncompile.tensorizing.adapting.layers import detach
        from tncompile.tensorizing.adapting.records import finish

        record = self._record
        self.switch(False)
        for _, module in self._layers:
            detach(module, self.name)
        finish(self.model, record, self.name)
        return self.model

    def merge_and_unload(self) -> nn.Module:
        """The model with the adapter in its weights for good, and none of its tensors left.

        Modules that were trained whole stay as they were trained. Raises what `merge` raises.

        >>> tiny = torch.nn.Sequential(torch.nn.Linear(4, 4))
        >>> tncompile.adapt(tiny, rank=2).merge_and_unload()
        Sequential(
          (0): Linear(in_features=4, out_features=4, bias=True)
        )
        """
        from tncompile.tensorizing.adapting.merging import (
            difference,
            merge_for_good,
            require_dense,
        )
        from tncompile.tensorizing.adapting.records import finish, swap

        record, layers = self._record, self._layers
        for layer, module in layers:
            require_dense(layer, module)
        for layer, module in layers:
            difference(layer, module, self.name)  # else half of the layers might be changed
        swap(self.model, record, self.name, on=True)
        for layer, module in layers:
            merge_for_good(layer, module, self.name)
        finish(self.model, record, self.name)
        return self.model

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write a folder that `load_adapter` reads; nothing in it is executed when it is read.

        It holds `adapter.safetensors`, `adapter.tn` (the networks) and `adapter.json` (which layer
        has which, scales, dropout). It appears whole or not at all. Raises ValueError where it is
        there already and not empty, and `OSError` where it cannot be written.

        >>> from pathlib import Path
        >>> tuned.save("adapter")
        >>> sorted(path.name for path in Path("adapter").iterdir())
        ['adapter.json', 'adapter.safetensors', 'adapter.tn']
        """
        from tncompile.tensorizing.adapting.folders import write_adapter

        write_adapter(self, folder)

    def to_peft(
        self, folder: str | os.PathLike[str], *, rank: int | None = None, base: str | None = None
    ) -> None:
        """Write the adapter as LoRA, in a folder that PEFT loads beside the same model.

        Networks of low rank are written as they are. With a `rank`, others are factored by singular
        values, if their dense map has no higher rank. `base` is the name of the model that the
        folder says it is for. Dropout, scales and modules that are trained whole go along.
        Raises ValueError for an adapter that is no LoRA: its rank is higher, its layer a
        convolution in groups.

        >>> lora = tncompile.adapt(base, rank=2, target_modules=["2"], name="lora")
        >>> lora.to_peft("peft")
        >>> sorted(path.name for path in Path("peft").iterdir())
        ['adapter_config.json', 'adapter_model.safetensors']
        >>> _ = lora.unload()
        """
        from tncompile.tensorizing.adapting.exporting import write_peft

        write_peft(self, folder, rank, base)

    @property
    def _record(self) -> Record:
        from tncompile.tensorizing.adapting.records import record_of

        record = record_of(self.model)
        if record is None or self.name not in record.adapters:
            raise ValueError(f"the model has no adapter {self.name!r}: it was unloaded")
        return record

    @property
    def _layers(self) -> list[tuple[str, AdaptedLayer]]:
        from tncompile.tensorizing.adapting.merging import adapted_layers

        assert self._record
        return list(adapted_layers(self.model, self.name))
