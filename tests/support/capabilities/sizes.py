"""Manners at the sizes that people use, and of networks whose equal steps run together."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tests.support.capabilities.registry import SIZED, Output, capability, differentiable
from tests.support.capabilities.transforms import functional
from tests.support.modules import Subject, tensors

CHAPTER = "At the sizes that people use"
BATCHES = (19, 4, 1)
IMAGE = 14
EXACT = 1e-8
"""Of float64, relative to the largest entry: other orders of summation, nothing else."""


def inputs_of(
    subject: Subject, batch: int, dtype: torch.dtype = torch.float64, seed: int = 0
) -> list[Tensor]:
    """Random inputs; vectors of slices are positive and of norm 1, as features of pixels are.

    Images have `IMAGE` entries along each axis.
    """
    images = {window.input_leg: IMAGE for window in subject.network.windows}
    made = subject.inputs(batch, dtype=dtype, seed=seed, sizes=images)
    for k, given in enumerate(subject.network.inputs):
        if any(axis.kind == "slices" for axis in given.axes):
            made[k] = made[k].abs() / made[k].norm(dim=-1, keepdim=True)
    return made


def alike(made: Output, due: Output) -> None:
    """Equal values, each part of a `log` output."""
    for one, other in zip(tensors(made), tensors(due), strict=True):
        assert one.shape == other.shape
        error = (one - other).abs().max()
        assert error <= EXACT * other.abs().max(), error


def step(module: nn.Module, call: Callable[..., Output], inputs: list[Tensor]) -> list[Tensor]:
    """Outputs, and the gradients of parameters and inputs."""
    leaves = [x.requires_grad_() if x.is_floating_point() else x for x in inputs]
    wanted = [*module.parameters(), *(x for x in leaves if x.requires_grad)]
    outputs = call(*leaves)
    gradients = torch.autograd.grad(differentiable(outputs), wanted)
    return [*(part.detach() for part in tensors(outputs)), *gradients]


@capability(CHAPTER, "torch.compile", into=SIZED)
def compiled(subject: Subject) -> str:
    """`fullgraph=True, dynamic=True`: values and gradients at batches of 19, 4 and 1 are those of
    the module, in float64."""
    torch._dynamo.reset()
    module = subject.module(torch.float64)
    made = torch.compile(module, fullgraph=True, dynamic=True, backend="eager")
    for batch in BATCHES:
        ours = step(module, made, inputs_of(subject, batch))
        alike(ours, step(module, module, inputs_of(subject, batch)))
    return "any batch"


@capability(CHAPTER, "torch.export", into=SIZED)
def exported(subject: Subject) -> str:
    """With a dynamic batch, run at other batch sizes, 1 among them."""
    return _export(subject, subject.module(torch.float64))


def _export(subject: Subject, module: nn.Module) -> str:
    inputs = inputs_of(subject, 19)
    batch = torch.export.Dim("batch")
    shapes = tuple({0: batch} for _ in inputs)
    made = torch.export.export(module, tuple(inputs), dynamic_shapes=shapes).module()
    for size in (7, 64, 1):
        alike(made(*inputs_of(subject, size)), module(*inputs_of(subject, size)))
    return "any batch"


@capability(CHAPTER, "vmap and grad", into=SIZED)
def transformed(subject: Subject) -> str:
    """`torch.func.vmap` gives the batch, and `vmap` of `grad` gradients that add up to those of the
    batch."""
    module = subject.module(torch.float64)
    inputs = inputs_of(subject, 4)
    alike(torch.func.vmap(module)(*inputs), module(*inputs))
    held = {key: value.detach() for key, value in module.named_parameters()}
    call = functional(module, list(held))

    def loss(parameters: dict[str, Tensor], *given: Tensor) -> Tensor:
        return call(*parameters.values(), *given).sum()

    axes = (None, *[0] * len(inputs))
    each = torch.func.vmap(torch.func.grad(loss), in_dims=axes)(held, *inputs)
    for key, value in torch.func.grad(loss)(held, *inputs).items():
        alike(each[key].sum(0), value)
    return "yes"


@capability(CHAPTER, "fold", into=SIZED)
def folded(subject: Subject) -> str:
    """`module.fold()` computes the same at several batch sizes, and so do deep copies of both."""
    module = subject.module(torch.float64)
    twin = module.fold()
    for batch in (1, 3, 70):
        inputs = inputs_of(subject, batch)
        with torch.no_grad():
            due = module(*inputs)
            for held in (twin, copy.deepcopy(module), copy.deepcopy(twin)):
                alike(held(*inputs), due)
    return "yes"


@capability(CHAPTER, "compilers on it", into=SIZED)
def folded_compiled(subject: Subject) -> str:
    """`torch.compile(fullgraph=True, dynamic=True)` and `torch.export` of the folded module."""
    torch._dynamo.reset()
    twin = subject.module(torch.float64).fold()
    made = torch.compile(twin, fullgraph=True, dynamic=True, backend="eager")
    for batch in BATCHES:
        inputs = inputs_of(subject, batch)
        with torch.no_grad():
            alike(made(*inputs), twin(*inputs))
    return _export(subject, twin)


@capability(CHAPTER, "autocast", into=SIZED)
def autocast(subject: Subject) -> str:
    """Under CPU autocast module and folded module give bfloat16, off by a tenth of the largest
    output at most."""
    module = subject.module()
    inputs = inputs_of(subject, 3, torch.float32)
    due = module(*inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made, served = module(*inputs), module.fold()(*inputs)
    for outputs in (made, served):
        one, other = tensors(outputs)[-1], tensors(due)[-1]  # the logarithm, where it is one
        assert (one.to(other.dtype) - other).abs().max() <= 0.1 * other.abs().max()
    if subject.file == "stacked":
        return "its products"
    assert tensors(made)[0].dtype == torch.bfloat16
    return "bfloat16"
