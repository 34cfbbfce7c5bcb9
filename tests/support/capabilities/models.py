"""Manners of whole models: what torch's transforms and compilers make of modules of parts."""

from __future__ import annotations

import copy
import io
import pickle
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.utils.checkpoint import checkpoint

from tests.support.capabilities.registry import Output, close, differentiable, near
from tests.support.capabilities.transforms import translations_read_once
from tests.support.model_subjects import ModelSubject
from tests.support.modules import tensors

Check = Callable[[ModelSubject], str]


@dataclass(frozen=True)
class ModelCapability:
    """A column of the table. Without a `check` one test tries all models at once."""

    title: str
    meaning: str
    check: Check | None = None

    def __str__(self) -> str:
        return self.title.replace(" ", "_")


MODEL_CAPABILITIES: list[ModelCapability] = []


def capability(title: str) -> Callable[[Check], Check]:
    """Makes a function a capability; its docstring is the legend. It returns what the cell says."""

    def register(check: Check) -> Check:
        meaning = " ".join((check.__doc__ or "").split())
        MODEL_CAPABILITIES.append(ModelCapability(title, meaning, check))
        return check

    return register


def gradients(module: nn.Module, call: Callable[..., Output], inputs: list[Tensor]) -> list[Tensor]:
    """The gradients of the parameters that are trained."""
    trained = [each for each in module.parameters() if each.requires_grad]
    return list(torch.autograd.grad(differentiable(call(*inputs)), trained))


# ── copies ─────────────────────────────────────────────────────────────────────────────────────


@capability("copies")
def copies(subject: ModelSubject) -> str:
    """Deep copies and pickles compute the same to the bit."""
    module, inputs = subject.module(), subject.inputs()
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        close(twin(*inputs), module(*inputs), 0.0)
    return "yes"


@capability("dtypes")
def dtypes(subject: ModelSubject) -> str:
    """Moved to float64 and to bfloat16 by `.to`, constants with it: outputs have the dtype. There
    are no complex numbers of half precision: a TypeError says so."""
    module = subject.module()
    inputs = subject.inputs()
    due = module(*inputs)
    wide = subject.module().to(torch.float64)(*subject.inputs(torch.float64))
    near(tuple(part.to(torch.float32) for part in tensors(wide)), due, 1e-4)
    if any(each.is_complex() for each in module.parameters()):
        with pytest.raises(TypeError, match="take a module of float32 or float64"):
            module.to(torch.bfloat16)
        return "float64"
    narrow = module.to(torch.bfloat16)
    made = narrow(*subject.inputs(torch.bfloat16))
    assert {part.dtype for part in tensors(made)} == {torch.bfloat16}
    near(tuple(part.float() for part in tensors(made)), due, 0.1)
    return "both"


@capability("meta device")
def meta(subject: ModelSubject) -> str:
    """Built on `meta`, it has memory after `to_empty`, and the values after `load_state_dict`."""
    module, inputs = subject.module(), subject.inputs()
    twin = subject.module(device="meta").to_empty(device="cpu")
    twin.load_state_dict(module.state_dict())
    close(twin(*inputs), module(*inputs), 0.0)
    return "yes"


@capability("autocast")
def autocast(subject: ModelSubject) -> str:
    """Under CPU autocast to bfloat16: outputs near those without, gradients of float32."""
    module, inputs = subject.module(), subject.inputs()
    due, exact = module(*inputs), gradients(module, module, inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made, rounded = module(*inputs), gradients(module, module, inputs)
    near(tuple(part.float() for part in tensors(made)), due, 0.1)
    for one, other in zip(rounded, exact, strict=True):
        assert one.dtype == other.dtype
    return "yes"


@capability("checkpoint")
def checkpointed(subject: ModelSubject) -> str:
    """`torch.utils.checkpoint` of a part gives the gradients that the module gives without."""
    module, inputs = subject.module(), subject.inputs()
    due = gradients(module, module, inputs)
    part = module.get_submodule(subject.blocks[0])
    whole, calls = part.forward, 0

    def counted(*given: Tensor) -> Output:
        nonlocal calls
        calls += 1
        made: Output = whole(*given)
        return made

    part.forward = lambda *given: checkpoint(counted, *given, use_reentrant=False)
    for one, other in zip(gradients(module, module, inputs), due, strict=True):
        torch.testing.assert_close(one, other)
    assert calls > 0
    return "yes"


# ── compilers ──────────────────────────────────────────────────────────────────────────────────


@capability("torch.compile")
def compiled(subject: ModelSubject) -> str:
    """`fullgraph=True, dynamic=True`: the graphs for the sizes of two calls and a batch of one.
    Loops over time are one operation, forward and backward."""
    torch._dynamo.reset()
    graphs = 0

    def backend(graph: torch.fx.GraphModule, examples: list[Tensor]) -> object:
        nonlocal graphs
        graphs += 1
        return graph.forward

    module = subject.module()
    made = torch.compile(module, fullgraph=True, dynamic=True, backend=backend)
    for sizes in ({}, subject.example.loose, {"b": 1}):
        inputs = subject.inputs(sizes=sizes)
        close(made(*inputs), module(*inputs))
    return f"{graphs} graphs" if graphs > 1 else "1 graph"


def dynamic(subject: ModelSubject, others: Sequence[Tensor]) -> tuple[dict[int, object], ...]:
    """The axes that have other lengths in other calls."""
    pairs = zip(subject.inputs(), others, strict=True)
    return tuple(
        {
            k: Dim.AUTO
            for k, (one, two) in enumerate(zip(a.shape, b.shape, strict=True))
            if one != two
        }
        for a, b in pairs
    )


@capability("torch.export")
def exported(subject: ModelSubject) -> str:
    """With dynamic axes, saved, loaded, run at other sizes. Loops over time are one operation."""
    module, inputs, others = subject.module(), subject.inputs(), subject.others()
    shapes = dynamic(subject, others)
    program = torch.export.export(module, tuple(inputs), dynamic_shapes=shapes)
    held = io.BytesIO()
    torch.export.save(program, held)
    held.seek(0)
    loaded = torch.export.load(held).module()
    for again in (inputs, others):
        close(loaded(*again), module(*again))
    return "any sizes"


@capability("ONNX")
def onnx_model(subject: ModelSubject) -> str:
    """`torch.onnx.export(dynamo=True)` with dynamic axes, checked, and run by ONNX's reference
    evaluator at other sizes; its operators have no complex numbers. Loops over time are unrolled,
    their length is fixed."""
    checker = pytest.importorskip("onnx.checker")
    reference = pytest.importorskip("onnx.reference")
    pytest.importorskip("onnxscript")
    module, inputs = subject.module(), subject.inputs()
    others = subject.others(unrolled=True)
    shapes = dynamic(subject, others)
    with warnings.catch_warnings(), translations_read_once():
        warnings.simplefilter("ignore")  # torch's own, about its own tree specifications
        try:
            program = torch.onnx.export(
                module, tuple(inputs), dynamo=True, dynamic_shapes=shapes, verbose=False
            )
        except torch.onnx.errors.OnnxExporterError:
            if not any(each.is_complex() for each in module.parameters()):
                raise
            return "no"
    assert program is not None
    model = program.model_proto
    checker.check_model(model)
    evaluator = reference.ReferenceEvaluator(model)
    names = [given.name for given in model.graph.input]
    for again in (inputs, others):
        arrays = {name: x.numpy() for name, x in zip(names, again, strict=True)}
        made = [torch.tensor(part) for part in evaluator.run(None, arrays)]
        close(made, [part.detach() for part in tensors(module(*again))], 1e-4)
    return "one length" if subject.loops else "any sizes"


# ── transforms ─────────────────────────────────────────────────────────────────────────────────


@capability("vmap")
def vmap(subject: ModelSubject) -> str:
    """`torch.func.vmap` over the batch gives the batch."""
    module, inputs = subject.module(), subject.inputs()
    close(torch.func.vmap(module)(*inputs), module(*inputs), 1e-4)
    return "yes"


def _loss(subject: ModelSubject) -> tuple[Callable[..., Tensor], dict[str, Tensor]]:
    """A loss as a function of the trained parameters and inputs, and the parameters."""
    module = subject.module()
    held = {key: value.detach() for key, value in module.named_parameters() if value.requires_grad}

    def loss(parameters: dict[str, Tensor], *given: Tensor) -> Tensor:
        made: Output = torch.func.functional_call(module, parameters, given)
        return sum((part.square().sum() for part in tensors(made)), torch.zeros(()))

    return loss, held


@capability("grad")
def per_sample(subject: ModelSubject) -> str:
    """`vmap` of `torch.func.grad`: gradients per sample add up to that of the batch. `F.one_hot`,
    which `onehot` becomes, is refused there by torch."""
    loss, held = _loss(subject)
    inputs = subject.inputs()
    axes = (None, *[0] * len(inputs))
    try:
        each = torch.func.vmap(torch.func.grad(loss), in_dims=axes)(held, *inputs)
    except RuntimeError:
        if "F.one_hot" not in traceback.format_exc():
            raise
        return "no"
    for key, value in torch.func.grad(loss)(held, *inputs).items():
        near(each[key].sum(0), value, 1e-3)
    return "per sample"


@capability("functional_call")
def ensembles(subject: ModelSubject) -> str:
    """An ensemble of parameters by `torch.func.functional_call` under `vmap`."""
    loss, held = _loss(subject)
    inputs = subject.inputs()
    drawn = torch.Generator().manual_seed(2)
    twice = {
        key: torch.stack([value, value + 0.1 * torch.randn(value.shape, generator=drawn)])
        for key, value in held.items()
    }
    axes = (0, *[None] * len(inputs))
    losses = torch.func.vmap(loss, in_dims=axes)(twice, *inputs)
    for k in range(2):
        alone = loss({key: value[k] for key, value in twice.items()}, *inputs)
        torch.testing.assert_close(losses[k], alone, rtol=1e-3, atol=1e-4)
    assert not torch.equal(losses[0], losses[1])
    return "ensembles"


# ── several processes ──────────────────────────────────────────────────────────────────────────


MODEL_CAPABILITIES += [
    ModelCapability(
        "DDP",
        "`DistributedDataParallel` in two gloo processes, half of the batch each: outputs, "
        "gradients and parameters after three steps are those of one process with all of it.",
    ),
    ModelCapability(
        "FSDP2",
        "The same with `fully_shard` of blocks, then of the module. Parts of complex parameters "
        "are blocks of their own; tied parts stay together.",
    ),
]
