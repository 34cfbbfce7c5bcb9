"""Manners of the modules that `fold` makes."""

from __future__ import annotations

import copy

import torch

from tests.support.capabilities.registry import capability, close
from tests.support.capabilities.transforms import dynamic, other_batches
from tests.support.modules import Subject, tensors


@capability("Folded for inference", "fold")
def folded(subject: Subject) -> str:
    """`module.fold()` computes the same; it holds buffers, none of them memory of the module, and
    no parameters."""
    module = subject.module()
    twin = module.fold()
    own = {tensor.untyped_storage().data_ptr() for tensor in module.state_dict().values()}
    held = list(twin.buffers())
    assert not list(twin.parameters())
    assert not own & {tensor.untyped_storage().data_ptr() for tensor in held}
    for size in (1, 3, 70):
        inputs = subject.inputs(size, sizes={"n": size})
        with torch.no_grad():
            close(twin(*inputs), module(*inputs), 1e-4)
    return "yes"


@capability("Folded for inference", "gradients of inputs")
def gradients_of_inputs(subject: Subject) -> str:
    """Gradients with respect to inputs are those of the module."""
    module = subject.module(torch.float64)
    inputs = subject.inputs(3, dtype=torch.float64)
    leaves = [x.requires_grad_() for x in inputs if x.is_floating_point()]
    if not leaves:
        return "ids have none"
    made, due = (
        torch.autograd.grad(tensors(held(*inputs))[-1].sin().sum(), leaves)
        for held in (module.fold(), module)
    )
    for one, other in zip(made, due, strict=True):
        torch.testing.assert_close(one, other)
    return "yes"


@capability("Folded for inference", "copies of it")
def copies(subject: Subject) -> str:
    """Deep copies and state dicts, `.to` another dtype."""
    twin = subject.module().fold()
    inputs = subject.inputs(3)
    due = tensors(twin(*inputs))
    close(copy.deepcopy(twin)(*inputs), due)
    fresh = subject.module(seed=4).fold()
    fresh.load_state_dict(twin.state_dict())
    close(fresh(*inputs), due)
    wide = [x.double() if x.is_floating_point() else x for x in inputs]
    close(fresh.to(torch.float64)(*wide), [part.double() for part in due], 1e-4)
    return "yes"


@capability("Folded for inference", "compilers on it", plain_names=True)
def compilers(subject: Subject) -> str:
    """`torch.compile(fullgraph=True, dynamic=True)` and `torch.export` with a dynamic batch."""
    torch._dynamo.reset()
    twin = subject.module().fold()
    inputs = subject.inputs(19, sizes={"n": 19})
    shapes = dynamic(subject, inputs)
    loaded = torch.export.export(twin, tuple(inputs), dynamic_shapes=shapes).module()
    made = torch.compile(twin, fullgraph=True, dynamic=True, backend="eager")
    for again in other_batches(subject, inputs):
        with torch.no_grad():
            due = twin(*again)
            close(loaded(*again), due)
            close(made(*again), due)
    return "any batch"
