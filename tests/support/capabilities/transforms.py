"""Manners under the transforms of torch: compilers, derivatives, several processes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from unittest import mock

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.backends.registry import lookup_backend

from tests.support.capabilities.registry import (
    CAPABILITIES,
    Capability,
    capability,
    close,
    gradients,
    near,
)
from tests.support.modules import Subject, tensors

# ── compilers ──────────────────────────────────────────────────────────────────────────────────


@capability("Compilers", "torch.compile")
def compiled(subject: Subject) -> str:
    """`fullgraph=True, dynamic=True`, forward and backward (`aot_eager`): the graphs for batches of
    19, 4, 8, 16, 17, 31, 64, 100 and 1, images of several sizes; two at most, one more where torch
    tells batches below 16 apart to choose a convolution."""
    torch._dynamo.reset()
    lower = lookup_backend("aot_eager")
    graphs = 0

    def backend(graph: torch.fx.GraphModule, examples: list[Tensor]) -> object:
        nonlocal graphs
        graphs += 1
        return lower(graph, examples)

    module = subject.module()
    made = torch.compile(module, fullgraph=True, dynamic=True, backend=backend)
    sizes = (19, 4, 8, 16, 17, 31, 64, 100, 1) if subject.network.inputs else (1,)
    for size in sizes:
        images = {w.input_leg: 4 + size % 3 for w in subject.network.windows}
        inputs = subject.inputs(size, sizes={"n": size} | images)
        close(made(*inputs), module(*inputs))
        for one, other in zip(
            gradients(module, made, inputs), gradients(module, module, inputs), strict=True
        ):
            near(one, other, 1e-4)
    assert 1 <= graphs <= 2 + subject.images
    return f"{graphs} graphs" if graphs > 1 else "1 graph"


def dynamic(subject: Subject, inputs: list[Tensor]) -> tuple[dict[int, object], ...] | None:
    """The first axis of every input has any length, and so have those of windows.

    None where there is no such axis.
    """
    if not subject.batched and str(subject) != "Member":
        return None
    batch = torch.export.Dim("batch")
    return tuple({0: batch} | lengths(subject, x) for x in inputs)


def lengths(subject: Subject, x: Tensor) -> dict[int, object]:
    """The axes of windows, which end the only input: any length that is not the shortest.

    Torch's convolutions tell results of length 1 apart.
    """
    windows = subject.network.windows
    first = x.dim() - len(windows)
    return {first + k: torch.export.Dim(f"length_{k}", min=5) for k in range(len(windows))}


def other_batches(subject: Subject, inputs: list[Tensor]) -> Iterator[list[Tensor]]:
    """Inputs of other sizes than the exported ones."""
    if dynamic(subject, inputs) is None:
        yield inputs
        return
    for size in (7, 64, 1):
        images = {w.input_leg: 5 + size % 3 + k for k, w in enumerate(subject.network.windows)}
        yield subject.inputs(size, sizes={"n": size} | images)


@capability("Compilers", "torch.export", plain_names=True)
def exported(subject: Subject) -> str:
    """Exported with a dynamic batch (and height and width), saved, loaded and run at
    other batch sizes, 1 among them."""
    module = subject.module()
    inputs = subject.inputs(19, sizes={"n": 19})
    shapes = dynamic(subject, inputs)
    program = torch.export.export(module, tuple(inputs), dynamic_shapes=shapes)
    held = io.BytesIO()
    torch.export.save(program, held)
    held.seek(0)
    loaded = torch.export.load(held).module()
    for again in other_batches(subject, inputs):
        close(loaded(*again), module(*again))
    return "any batch"


@capability("Compilers", "ONNX", plain_names=True)
def onnx_model(subject: Subject) -> str:
    """`torch.onnx.export(dynamo=True)` with a dynamic batch, checked, and run by ONNX's reference
    evaluator at other batch sizes, 1 among them."""
    checker = pytest.importorskip("onnx.checker")
    reference = pytest.importorskip("onnx.reference")
    pytest.importorskip("onnxscript")
    module = subject.module()
    inputs = subject.inputs(19, sizes={"n": 19})
    with warnings.catch_warnings(), translations_read_once():
        warnings.simplefilter("ignore")  # torch's own, about its own tree specifications
        program = torch.onnx.export(
            module,
            tuple(inputs),
            dynamo=True,
            dynamic_shapes=dynamic(subject, inputs),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    checker.check_model(model)
    evaluator = reference.ReferenceEvaluator(model)
    names = [given.name for given in model.graph.input]
    for again in other_batches(subject, inputs):
        arrays = {name: x.numpy() for name, x in zip(names, again, strict=True)}
        made = [torch.tensor(part) for part in evaluator.run(None, arrays)]
        close(made, [part.detach() for part in tensors(module(*again))], 1e-4)
    return "any batch"


@cache
def _translations() -> Callable[..., object]:
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    return cache(ONNXRegistry.from_torchlib)


@contextmanager
def translations_read_once() -> Iterator[None]:
    """Exports to ONNX parse 500 functions that never change: most of the time of a small one."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with mock.patch.object(ONNXRegistry, "from_torchlib", staticmethod(_translations())):
        yield


# ── derivatives and transforms ─────────────────────────────────────────────────────────────────


def functional(module: nn.Module, names: list[str]) -> Callable[..., Tensor]:
    """The module as a function of its parameters, then its inputs."""
    buffers = dict(module.named_buffers())

    def call(*values: Tensor) -> Tensor:
        parameters = dict(zip(names, values[: len(names)], strict=True))
        made = torch.func.functional_call(module, (parameters, buffers), values[len(names) :])
        return tensors(made)[-1]

    return call


@capability("Derivatives and transforms", "double backward")
def double_backward(subject: Subject) -> str:
    """First and second derivatives by every parameter and input equal differences of outputs."""
    module = subject.module(torch.float64)
    held = dict(module.named_parameters())
    inputs = subject.inputs(2, dtype=torch.float64, sizes={"s": 2, "t": 3, "n": 2})
    leaves = [
        value.detach().requires_grad_() if value.is_floating_point() else value
        for value in (*held.values(), *inputs)
    ]
    call = functional(module, list(held))
    assert torch.autograd.gradcheck(call, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(call, leaves, fast_mode=True)
    return "yes"


@capability("Derivatives and transforms", "vmap", batched=True)
def vmap(subject: Subject) -> str:
    """`torch.func.vmap` over a batch gives the batch."""
    module = subject.module()
    inputs = subject.inputs(4)
    close(torch.func.vmap(module)(*inputs), module(*inputs))
    return "yes"


@capability("Derivatives and transforms", "grad", batched=True)
def per_sample(subject: Subject) -> str:
    """`vmap` of `torch.func.grad`: gradients per sample add up to that of the batch."""
    loss, held, inputs = _loss(subject)
    axes = (None, *[0] * len(inputs))
    each = torch.func.vmap(torch.func.grad(loss), in_dims=axes)(held, *inputs)
    for key, value in torch.func.grad(loss)(held, *inputs).items():
        torch.testing.assert_close(each[key].sum(0), value, rtol=1e-3, atol=1e-4)
    return "per sample"


@capability("Derivatives and transforms", "functional_call", batched=True)
def functional_call(subject: Subject) -> str:
    """Other parameters by `torch.func.functional_call`, and an ensemble of them under `vmap`."""
    loss, held, inputs = _loss(subject)
    twice = {key: torch.stack([value, 2 * value]) for key, value in held.items()}
    axes = (0, *[None] * len(inputs))
    losses = torch.func.vmap(loss, in_dims=axes)(twice, *inputs)
    for k in range(2):
        alone = loss({key: value[k] for key, value in twice.items()}, *inputs)
        torch.testing.assert_close(losses[k], alone, rtol=1e-3, atol=1e-4)
    assert not torch.equal(losses[0], losses[1])
    return "ensembles"


def _loss(subject: Subject) -> tuple[Callable[..., Tensor], dict[str, Tensor], list[Tensor]]:
    """A loss as a function of parameters and inputs, and both."""
    module = subject.module()
    held = {key: value.detach() for key, value in module.named_parameters()}
    buffers = dict(module.named_buffers())

    def loss(parameters: dict[str, Tensor], *given: Tensor) -> Tensor:
        made = torch.func.functional_call(module, (parameters, buffers), given)
        return tensors(made)[-1].sum()

    return loss, held, subject.inputs(3)


CAPABILITIES += [
    Capability(
        "Several processes",
        "DDP",
        "`DistributedDataParallel` in two gloo processes, half of the batch each: outputs, "
        "gradients and parameters after three steps are those of one process with all of it.",
    ),
    Capability(
        "Several processes",
        "FSDP2",
        "The same with `fully_shard`, over shards of parameters. Torch shards parameters of one "
        "dtype together: a module of real and complex ones is refused by the first `forward`, with "
        "`FSDP expects uniform original parameter dtype but got {torch.float32, torch.complex64}`; "
        "made with `dtype=torch.complex64` it has one.",
    ),
]
