"""Manners of any layer: parameters, inputs, dtypes and devices, copies."""

from __future__ import annotations

import copy
import io
import itertools
import math
import re

import pytest
import torch
from torch import Tensor, nn

from tests.support.capabilities.registry import (
    CAPABILITIES,
    Capability,
    Output,
    capability,
    close,
    differentiable,
    gradients,
    near,
)
from tests.support.modules import Subject, tensors
from tncompile.initialization.estimates import clear_of_borders

# ── parameters ─────────────────────────────────────────────────────────────────────────────────


@capability("Parameters", "state dict")
def state_dict(subject: Subject) -> str:
    """Keys and shapes are those of the declarations, parameters are contiguous, frozen tensors are
    buffers; the cell counts the keys."""
    module = subject.module()
    held = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    assert held == {parameter.key: parameter.shape for parameter in subject.network.parameters}
    frozen = {parameter.key for parameter in subject.network.parameters if parameter.frozen}
    assert set(dict(module.named_buffers())) == frozen
    for key, parameter in module.named_parameters():
        assert parameter.is_contiguous(), key
        assert parameter.requires_grad, key
        assert key not in frozen
    return f"{len(held)} keys"


@capability("Parameters", "gradients")
def gradient(subject: Subject) -> str:
    """Every parameter gets a gradient of its own shape."""
    module = subject.module()
    differentiable(module(*subject.inputs(4))).backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.shape == parameter.shape
    return "all"


@capability("Parameters", "seed")
def seed(subject: Subject) -> str:
    """A seed decides how the module starts and leaves torch's generator alone."""
    torch.manual_seed(5)
    due = torch.rand(3)
    torch.manual_seed(5)
    first, second = subject.module(seed=1), subject.module(seed=1)
    assert torch.equal(torch.rand(3), due)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    return "yes"


def basis(subject: Subject) -> tuple[list[Tensor], int]:
    """Every choice of one unit vector an input (one a slice), and how many of them are averaged.

    A linear layer starts as one on inputs of mean square 1, so its unit vectors are summed; vectors
    of slices have norm 1, and an id is one word, so they are averaged. Images have one place, of
    all that borders do not reach.
    """
    clear = {window.input_leg: clear_of_borders(window)[0] for window in subject.network.windows}
    choices: list[list[Tensor]] = []
    averaged = 1
    for given in subject.network.inputs:
        slices = [axis.length or 1 for axis in given.axes if axis.kind == "slices"]
        lengths = [
            axis.length or clear[axis.indices[0]]
            for axis in given.axes
            if axis.kind in ("legs", "onehot")
        ]
        width = math.prod(lengths)
        if given.integer:
            choices.append(list(torch.arange(width)))
            averaged *= width
        elif slices:
            sites = torch.Size(slices).numel()
            each = itertools.product(torch.eye(width), repeat=sites)
            choices.append([torch.stack(held).reshape(*slices, width) for held in each])
            averaged *= width**sites
        else:
            choices.append(list(torch.eye(width).reshape(-1, *lengths)))
    columns = zip(*itertools.product(*choices), strict=True)
    return [torch.stack(column) for column in columns], averaged


@capability("Parameters", "mean square at the start")
def start(subject: Subject) -> str:
    """Mean square of the outputs of each single draw, biases apart: 1/3 as `nn.Linear` has on
    inputs of mean square 1 (and classifiers on vectors of norm 1, convolutions away from the
    borders), 1 as `nn.Embedding` has."""
    if subject.file == "oddities":
        return "not promised"
    inputs, averaged = basis(subject)
    due = 1.0 if any(given.integer for given in subject.network.inputs) else 1 / 3
    for draw in range(3):
        module = subject.module(seed=draw)
        made = module(*inputs)
        if due != 1.0:
            made = made - module(*(torch.zeros_like(x[:1]) for x in inputs))
        spans = (clear_of_borders(window)[1:] for window in subject.network.windows)
        made = made[(..., *(slice(*span) for span in spans))]
        mean_square = made.square().sum().item() / made[0].numel() / averaged
        assert mean_square == pytest.approx(due, rel=1e-3)
    return "1" if due == 1.0 else "1/3"


# ── inputs ─────────────────────────────────────────────────────────────────────────────────────


@capability("Inputs", "leading axes", batched=True)
def leading_axes(subject: Subject) -> str:
    """Any number of leading axes: several, one, none, empty ones."""
    module = subject.module()
    inputs = subject.inputs(2, 3)
    due = tensors(module(*inputs))
    assert due[0].shape[:2] == (2, 3)
    for k in range(2):
        close(module(*(x[k] for x in inputs)), [part[k] for part in due])
    close(module(*(x[0, 0] for x in inputs)), [part[0, 0] for part in due])
    for lead in ((0,), (0, 3), (2, 0)):
        empty = tensors(module(*subject.inputs(*lead)))
        assert empty[0].shape == (*lead, *due[0].shape[2:])
        differentiable(empty).backward()
    return "any"


@capability("Inputs", "strides", batched=True)
def strides(subject: Subject) -> str:
    """Inputs need not be contiguous, images may have their channels last."""
    module = subject.module()
    inputs = subject.inputs(5)
    if subject.images:
        last = (x.movedim(1, -1).contiguous().movedim(-1, 1) for x in inputs)
        close(module(*last), module(*inputs))
    close(module(*(x.repeat_interleave(2, 0)[::2] for x in inputs)), module(*inputs))
    close(module(*(x.movedim(0, -1).contiguous().movedim(-1, 0) for x in inputs)), module(*inputs))
    return "any"


@capability("Inputs", "wrong input")
def wrong_input(subject: Subject) -> str:
    """A wrong shape is a ValueError that names the input as declared, its legs, the size they have
    and the shape that came, too short an image one that names the window, a wrong dtype a
    TypeError; an id out of range is an IndexError, ids
    that are no integers are a TypeError."""
    module = subject.module()
    inputs = subject.inputs(3)
    raised: list[str] = []
    for k, given in enumerate(subject.network.inputs):
        if given.integer:
            classes = next(axis.length or 0 for axis in given.axes if axis.kind == "onehot")
            wrong = [torch.full_like(inputs[k], bad) for bad in (classes, -1)]
            for ids in wrong:
                message = rf"{re.escape(given.written)}.*\[0, {classes}\), got {ids.flatten()[0]}"
                with pytest.raises(IndexError, match=message):
                    module(*inputs[:k], ids, *inputs[k + 1 :])
            with pytest.raises(TypeError, match=re.escape(given.written)):
                module(*inputs[:k], inputs[k].float(), *inputs[k + 1 :])
            raised += ["IndexError", "TypeError"]
            continue
        for place, axis in enumerate(reversed(given.axes), start=1):
            if axis.kind not in ("legs", "slices") or axis.length is None:
                continue
            for length in (axis.length - 1, axis.length + 1):
                shape = list(inputs[k].shape)
                shape[-place] = length
                with pytest.raises(ValueError) as caught:  # noqa: PT011
                    module(*inputs[:k], torch.zeros(shape), *inputs[k + 1 :])
                message = str(caught.value)
                parts = (given.written, str(axis.length), *axis.indices, str(tuple(shape)))
                assert all(part in message for part in parts), message
            raised.append("ValueError")
        for window in subject.network.windows:
            place = 1 + [axis.indices for axis in reversed(given.axes)].index((window.input_leg,))
            shape = list(inputs[k].shape)
            shape[-place] = window.least_length - 1
            with pytest.raises(ValueError, match=re.escape(f"(window {window.name})")):
                module(torch.zeros(shape))
        with pytest.raises(TypeError, match=re.escape(given.written)) as refused:
            module(*inputs[:k], inputs[k].double(), *inputs[k + 1 :])
        assert "expected torch.float32" in str(refused.value)
        assert "got torch.float64" in str(refused.value)
        raised.append("TypeError")
    return ", ".join(dict.fromkeys(raised)) or "takes none"


# ── dtypes and devices ─────────────────────────────────────────────────────────────────────────

PRECISIONS = (
    (torch.float16, torch.float64, 0.03),
    (torch.bfloat16, torch.float64, 0.2),
    (torch.float32, torch.float64, 1e-4),
    (torch.complex64, torch.complex128, 1e-4),
)
"""A dtype, the one that it is held against, and how near it must come."""


@capability("Dtypes and devices", "dtypes")
def dtypes(subject: Subject) -> str:
    """Made as float16, bfloat16, float32, float64, complex64 and complex128, or moved there by
    `.to`: outputs have the dtype and the values."""
    for dtype, exact, tolerance in PRECISIONS:
        due = subject.module(exact)
        inputs = subject.inputs(3, dtype=exact)
        outputs = due(*inputs)
        assert tensors(outputs)[0].dtype == exact
        made = subject.module(dtype, seed=8)
        made.load_state_dict(due.state_dict())
        cast = [
            x if not x.is_floating_point() and not x.is_complex() else x.to(dtype) for x in inputs
        ]
        for module in (made, copy.deepcopy(due).to(dtype)):
            output = module(*cast)
            assert tensors(output)[0].dtype == dtype
            near(output, outputs, tolerance)
    return "all six"


@capability("Dtypes and devices", "meta device")
def meta(subject: Subject) -> str:
    """Built and run without memory on `meta`; after `to_empty` and `reset_parameters` it starts as
    a fresh one does."""
    module = subject.module(device="meta")
    inputs = subject.inputs(3)
    made = tensors(module(*(x.to("meta") for x in inputs)))
    module.to_empty(device="cpu")
    torch.manual_seed(7)
    module.reset_parameters()
    torch.manual_seed(7)
    fresh = subject.module(seed=None)
    due = tensors(fresh(*inputs))
    close(module(*inputs), due)
    assert [part.shape for part in made] == [part.shape for part in due]
    return "yes"


@capability("Dtypes and devices", "autocast")
def autocast(subject: Subject) -> str:
    """Under CPU autocast the output is bfloat16, as that of `nn.Linear`; gradients are float32."""
    module = subject.module()
    inputs = subject.inputs(3)
    due = module(*inputs)
    exact = gradients(module, lambda *given: _plain(module(*given)), inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = module(*inputs)
        rounded = gradients(module, lambda *given: _plain(module(*given)), inputs)
    near(made, due, 0.1)
    for one, other in zip(rounded, exact, strict=True):
        assert one.dtype == torch.float32
        near(one, other, 0.1)
    if subject.file == "oddities":
        return "its products"
    assert tensors(made)[0].dtype == torch.bfloat16
    return "bfloat16"


def _plain(output: Output) -> Output:
    """A `log` output beside its largest entry, whose gradients, unlike 1/y, have bounded errors."""
    if isinstance(output, Tensor):
        return output
    sign, log = output
    return sign * (log - log.detach().max()).exp()


# ── in place of torch's layers ─────────────────────────────────────────────────────────────────

STANDING = "In place of torch's layers"


@capability(STANDING, "stands for")
def stands_for(subject: Subject) -> str:
    """The layer with whose `weight` and `bias` it computes the same: both are read-only properties,
    made of the parameters by each read and no part of the state dict. The sizes that such a layer
    has (`in_features`, `kernel_size`, …) are there, too, and the folded module has all of it."""
    module = subject.module()
    layer = _layer(module)
    if layer is None:
        return "none"
    for held in (module, module.fold()):
        like = _layer(held)
        assert type(like) is type(layer)
        weight, bias = held.weight, getattr(held, "bias", None)
        assert weight.shape == like.weight.shape
        assert {"weight", "bias"}.isdisjoint(held.state_dict())
        given = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
        inputs = subject.inputs(2) if subject.network.windows else subject.inputs(2, 3)
        close(held(*inputs), torch.func.functional_call(like, given, tuple(inputs)), 1e-4)
        with pytest.raises(AttributeError):
            held.weight = weight
    weight, bias = module.weight, getattr(module, "bias", None)
    total = weight.square().sum() + (0 if bias is None else bias.sum())
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(total, module.parameters()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(module.weight, weight)
    return type(layer).__name__


def _layer(module: nn.Module) -> nn.Module | None:
    """The layer of torch that has the sizes which a module says it has."""
    if hasattr(module, "kernel_size"):
        given = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation")
        held = {name: getattr(module, name) for name in (*given, "groups", "padding_mode")}
        convolutions: tuple[type[nn.Module], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
        kind = convolutions[len(held["kernel_size"]) - 1]
        return kind(**held, bias=module.bias is not None)
    kinds: tuple[type[nn.Module], ...] = (nn.Linear, nn.Bilinear, nn.Embedding)
    for kind in kinds:
        names = {
            nn.Linear: ["in_features", "out_features"],
            nn.Bilinear: ["in1_features", "in2_features", "out_features"],
            nn.Embedding: ["num_embeddings", "embedding_dim"],
        }[kind]
        if all(hasattr(module, name) for name in names):
            sizes = {name: getattr(module, name) for name in names}
            bias = {} if kind is nn.Embedding else {"bias": module.bias is not None}
            return kind(**sizes, **bias)
    return None


# ── copies ─────────────────────────────────────────────────────────────────────────────────────


@capability("Copies", "deepcopy")
def deepcopy(subject: Subject) -> str:
    """A deep copy computes the same and shares nothing."""
    module = subject.module()
    inputs = subject.inputs(3)
    due = module(*inputs)
    twin = copy.deepcopy(module)
    close(twin(*inputs), due)
    assert type(twin) is type(module)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    close(module(*inputs), due)
    return "yes"


@capability("Copies", "torch.save")
def saved(subject: Subject) -> str:
    """The module, and its state dict with `weights_only=True`, come back from a file."""
    module = subject.module()
    inputs = subject.inputs(3)
    due = module(*inputs)
    close(torch.load(_file(module), weights_only=False)(*inputs), due)
    fresh = subject.module(seed=9)
    fresh.load_state_dict(torch.load(_file(module.state_dict()), weights_only=True))
    close(fresh(*inputs), due)
    return "yes"


def _file(value: object) -> io.BytesIO:
    held = io.BytesIO()
    torch.save(value, held)
    held.seek(0)
    return held


CAPABILITIES.append(
    Capability("Copies", "pickle", "A pickle is read by a process that never saw the class.")
)
