"""What every emitted module must do, one function a manner; `docs/modules.md` is their table."""

from __future__ import annotations

import copy
import io
import itertools
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.backends.registry import lookup_backend

from tests.modules import Subject, tensors

Check = Callable[[Subject], str]


@dataclass(frozen=True)
class Manner:
    """A column of the table. Without a `check` one test tries all modules at once."""

    chapter: str
    title: str
    meaning: str
    check: Check | None = None
    batched: bool = False  # tried on modules with leading axes only
    plain_names: bool = False  # torch refuses parameters that are named like methods

    def __str__(self) -> str:
        return self.title.replace(" ", "_")

    def applies(self, subject: Subject) -> bool:
        """Whether a module can be asked for it."""
        named_oddly = str(subject) == "Names"
        return (subject.batched or not self.batched) and not (self.plain_names and named_oddly)


MANNERS: list[Manner] = []


def manner(
    chapter: str, title: str, *, batched: bool = False, plain_names: bool = False
) -> Callable[[Check], Check]:
    """Makes a function a manner; its docstring is the legend. It returns what the cell says."""

    def register(check: Check) -> Check:
        meaning = " ".join((check.__doc__ or "").split())
        MANNERS.append(Manner(chapter, title, meaning, check, batched, plain_names))
        return check

    return register


def close(made: object, due: object, tolerance: float = 1e-5) -> None:
    """Equal outputs, tuples part by part."""
    for one, other in zip(tensors(made), tensors(due), strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def near(made: object, due: object, tolerance: float) -> None:
    """Equal outputs up to a part of the largest; of a `log` output the logarithm alone."""
    one, other = tensors(made)[-1], tensors(due)[-1]
    assert one.isfinite().all()
    scale = other.abs().max().clamp(min=0.1)
    assert (one.to(other.dtype) - other).abs().max() <= tolerance * scale


def differentiable(value: Tensor | tuple[Tensor, ...]) -> Tensor:
    """A number that depends on all of an output, on each entry in another way."""
    weighed = (part.flatten() * torch.arange(part.numel()).cos() for part in tensors(value))
    return sum((part.sum() for part in weighed), torch.zeros(()))


def gradients(module: nn.Module, call: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    """The gradients of the module's parameters where `call`, some form of it, is run."""
    module.zero_grad()
    differentiable(call(*inputs)).backward()
    return [parameter.grad for parameter in module.parameters()]


# ── parameters ─────────────────────────────────────────────────────────────────────────────────


@manner("Parameters", "state dict")
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


@manner("Parameters", "gradients")
def gradient(subject: Subject) -> str:
    """Every parameter gets a gradient of its own shape."""
    module = subject.module()
    differentiable(module(*subject.inputs(4))).backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.shape == parameter.shape
    return "all"


@manner("Parameters", "seed")
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
    of slices have norm 1, and an id is one word, so they are averaged.
    """
    choices: list[list[Tensor]] = []
    averaged = 1
    for given in subject.network.inputs:
        slices = [axis.length or 1 for axis in given.axes if axis.kind == "slices"]
        (width,) = (axis.length or 1 for axis in given.axes if axis.kind in ("legs", "onehot"))
        if given.integer:
            choices.append(list(torch.arange(width)))
            averaged *= width
        elif slices:
            sites = torch.Size(slices).numel()
            each = itertools.product(torch.eye(width), repeat=sites)
            choices.append([torch.stack(held).reshape(*slices, width) for held in each])
            averaged *= width**sites
        else:
            choices.append(list(torch.eye(width)))
    columns = zip(*itertools.product(*choices), strict=True)
    return [torch.stack(column) for column in columns], averaged


@manner("Parameters", "mean square at the start")
def start(subject: Subject) -> str:
    """Mean square of the outputs of each single draw, biases apart: 1/3 as `nn.Linear` has on
    inputs of mean square 1 (and classifiers on vectors of norm 1), 1 as `nn.Embedding` has."""
    if subject.file == "oddities":
        return "not promised"
    inputs, averaged = basis(subject)
    due = 1.0 if any(given.integer for given in subject.network.inputs) else 1 / 3
    for draw in range(3):
        module = subject.module(seed=draw)
        made = module(*inputs)
        if due != 1.0:
            made = made - module(*(torch.zeros_like(x[:1]) for x in inputs))
        mean_square = made.square().sum().item() / made.shape[-1] / averaged
        assert mean_square == pytest.approx(due, rel=1e-3)
    return "1" if due == 1.0 else "1/3"


# ── inputs ─────────────────────────────────────────────────────────────────────────────────────


@manner("Inputs", "leading axes", batched=True)
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


@manner("Inputs", "strides", batched=True)
def strides(subject: Subject) -> str:
    """Inputs need not be contiguous."""
    module = subject.module()
    inputs = subject.inputs(5)
    close(module(*(x.repeat_interleave(2, 0)[::2] for x in inputs)), module(*inputs))
    close(module(*(x.movedim(0, -1).contiguous().movedim(-1, 0) for x in inputs)), module(*inputs))
    return "any"


@manner("Inputs", "wrong input")
def wrong_input(subject: Subject) -> str:
    """A wrong shape is a ValueError that names the input as declared, its legs, the size they have
    and the shape that came; an id out of range an IndexError; ids that are no integers a
    TypeError."""
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
        for axis in given.axes:
            if axis.kind != "legs" or axis.length is None:
                continue
            for bad in (inputs[k][..., :-1], torch.cat([inputs[k], inputs[k][..., :1]], -1)):
                with pytest.raises(ValueError) as caught:  # noqa: PT011
                    module(*inputs[:k], bad, *inputs[k + 1 :])
                message = str(caught.value)
                parts = [given.written, str(axis.length), *axis.indices, str(tuple(bad.shape))]
                assert all(part in message for part in parts), message
            raised.append("ValueError")
    return ", ".join(dict.fromkeys(raised)) or "takes none"


# ── dtypes and devices ─────────────────────────────────────────────────────────────────────────

PRECISIONS = (
    (torch.float16, torch.float64, 0.03),
    (torch.bfloat16, torch.float64, 0.2),
    (torch.float32, torch.float64, 1e-4),
    (torch.complex64, torch.complex128, 1e-4),
)
"""A dtype, the one that it is held against, and how near it must come."""


@manner("Dtypes and devices", "dtypes")
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


@manner("Dtypes and devices", "meta device")
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


@manner("Dtypes and devices", "autocast")
def autocast(subject: Subject) -> str:
    """Under CPU autocast the output is bfloat16, as that of `nn.Linear`; gradients are float32."""
    module = subject.module()
    inputs = subject.inputs(3)
    due = module(*inputs)
    exact = gradients(module, module, inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = module(*inputs)
        rounded = gradients(module, module, inputs)
    near(made, due, 0.1)
    for one, other in zip(rounded, exact, strict=True):
        assert one.dtype == torch.float32
        near(one, other, 0.1)
    if subject.file == "oddities":
        return "its products"
    assert tensors(made)[0].dtype == torch.bfloat16
    return "bfloat16"


# ── copies ─────────────────────────────────────────────────────────────────────────────────────


@manner("Copies", "deepcopy")
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


@manner("Copies", "torch.save")
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


MANNERS.append(
    Manner("Copies", "pickle", "A pickle is read by a process that never saw the class.")
)

# ── compilers ──────────────────────────────────────────────────────────────────────────────────


@manner("Compilers", "torch.compile")
def compiled(subject: Subject) -> str:
    """`fullgraph=True, dynamic=True`, forward and backward (`aot_eager`): the graphs for batches of
    19, 4, 8, 16, 17, 31, 64, 100 and 1; two at most."""
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
        inputs = subject.inputs(size, sizes={"n": size})
        close(made(*inputs), module(*inputs))
        for one, other in zip(
            gradients(module, made, inputs), gradients(module, module, inputs), strict=True
        ):
            near(one, other, 1e-4)
    assert 1 <= graphs <= 2
    return f"{graphs} graphs" if graphs > 1 else "1 graph"


def dynamic(subject: Subject, inputs: list[Tensor]) -> tuple[dict[int, object], ...] | None:
    """The first axis of every input has any length; None where there is no such axis."""
    if not subject.batched and str(subject) != "Member":
        return None
    batch = torch.export.Dim("batch")
    return tuple({0: batch} for _ in inputs)


def other_batches(subject: Subject, inputs: list[Tensor]) -> Iterator[list[Tensor]]:
    """Inputs of other sizes than the exported ones."""
    if dynamic(subject, inputs) is None:
        yield inputs
        return
    for size in (7, 64, 1):
        yield subject.inputs(size, sizes={"n": size})


@manner("Compilers", "torch.export", plain_names=True)
def exported(subject: Subject) -> str:
    """Exported with a dynamic batch, saved, loaded and run at other batch sizes, 1 among them."""
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


@manner("Compilers", "ONNX", plain_names=True)
def onnx_model(subject: Subject) -> str:
    """`torch.onnx.export(dynamo=True)` with a dynamic batch, checked, and run by ONNX's reference
    evaluator at other batch sizes, 1 among them."""
    checker = pytest.importorskip("onnx.checker")
    reference = pytest.importorskip("onnx.reference")
    pytest.importorskip("onnxscript")
    module = subject.module()
    inputs = subject.inputs(19, sizes={"n": 19})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about its own tree specifications
        program = torch.onnx.export(
            module,
            tuple(inputs),
            dynamo=True,
            dynamic_shapes=dynamic(subject, inputs),
            verbose=False,
        )
    model = program.model_proto
    checker.check_model(model)
    evaluator = reference.ReferenceEvaluator(model)
    names = [given.name for given in model.graph.input]
    for again in other_batches(subject, inputs):
        arrays = {name: x.numpy() for name, x in zip(names, again, strict=True)}
        made = [torch.tensor(part) for part in evaluator.run(None, arrays)]
        close(made, [part.detach() for part in tensors(module(*again))], 1e-4)
    return "any batch"


# ── derivatives and transforms ─────────────────────────────────────────────────────────────────


def functional(module: nn.Module, names: list[str]) -> Callable[..., Tensor]:
    """The module as a function of its parameters, then its inputs."""
    buffers = dict(module.named_buffers())

    def call(*values: Tensor) -> Tensor:
        parameters = dict(zip(names, values[: len(names)], strict=True))
        made = torch.func.functional_call(module, (parameters, buffers), values[len(names) :])
        return tensors(made)[-1]

    return call


@manner("Derivatives and transforms", "double backward")
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


@manner("Derivatives and transforms", "vmap", batched=True)
def vmap(subject: Subject) -> str:
    """`torch.func.vmap` over a batch gives the batch."""
    module = subject.module()
    inputs = subject.inputs(4)
    close(torch.func.vmap(module)(*inputs), module(*inputs))
    return "yes"


@manner("Derivatives and transforms", "grad", batched=True)
def per_sample(subject: Subject) -> str:
    """`vmap` of `torch.func.grad`: gradients per sample add up to that of the batch."""
    loss, held, inputs = _loss(subject)
    axes = (None, *[0] * len(inputs))
    each = torch.func.vmap(torch.func.grad(loss), in_dims=axes)(held, *inputs)
    for key, value in torch.func.grad(loss)(held, *inputs).items():
        torch.testing.assert_close(each[key].sum(0), value, rtol=1e-3, atol=1e-4)
    return "per sample"


@manner("Derivatives and transforms", "functional_call", batched=True)
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


MANNERS += [
    Manner(
        "Several processes",
        "DDP",
        "`DistributedDataParallel` in two gloo processes, half of the batch each: outputs, "
        "gradients and parameters after three steps are those of one process with all of it.",
    ),
    Manner("Several processes", "FSDP2", "The same with `fully_shard`, over shards of parameters."),
]
