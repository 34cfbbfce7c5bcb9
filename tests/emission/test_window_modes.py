"""Emitted convolutions under the transforms of torch, in other formats, copied and loaded."""

from __future__ import annotations

import copy
import io
import pickle
import warnings

import pytest
import torch
from torch import Tensor, nn

import tncompile
from tests.emission.test_windows import WINDOWS, close, image, module_of
from tests.support.capabilities.transforms import translations_read_once
from tests.support.windows import (
    Convolution,
    cp,
    depthwise,
    generated,
    meaning,
    train,
    tucker2,
    window,
)
from tncompile.emission.loading import instantiate
from tncompile.lowering import lower
from tncompile.lowering.schedule import Schedule
from tncompile.program.program import TensorProgram

SUBJECTS = {
    "tucker2-strided": (tucker2(WINDOWS["2d"]), 0),
    "tucker2-dense": (tucker2(WINDOWS["2d-valid"]), 1),
    "cp-modes": (cp(WINDOWS["2d-modes"]), 0),
    "train-circular": (train(WINDOWS["1d-circular"]), 0),
    "train-3d": (train(WINDOWS["3d"]), 0),
    "depthwise-uneven": (depthwise(WINDOWS["2d-uneven"]), 0),
    "tucker2-transposed": (tucker2(WINDOWS["2d-transposed"]), 0),
    "cp-longer": (cp(WINDOWS["1d-longer"]), 0),
}

subjects = pytest.mark.parametrize(("made", "order"), SUBJECTS.values(), ids=SUBJECTS)


def sized(made: Convolution, batch: int, *lengths: int) -> Tensor:
    """An input of these lengths."""
    x = image(made, batch)
    count = len(made.network.windows)
    rng = torch.Generator().manual_seed(2)
    shape = (*x.shape[: x.dim() - count], *lengths[:count])
    return torch.randn(shape, dtype=torch.float64, generator=rng)


def step(call: nn.Module, module: nn.Module, x: Tensor) -> list[Tensor]:
    """The output, and the gradients of parameters and the input."""
    y = call(x.requires_grad_())
    return [y, *torch.autograd.grad(y.sin().sum(), [*module.parameters(), x])]


SIZES = (7, 6, 5), (9, 12, 8), (5, 11, 6), (32, 17, 9)


@subjects
@pytest.mark.parametrize("fold", [False, True])
def test_one_graph_for_all_sizes(made: Convolution, order: int, fold: bool) -> None:
    torch._dynamo.reset()
    module = module_of(made, order)
    module = module.fold() if fold else module
    graphs = 0

    def backend(graph: torch.fx.GraphModule, examples: list[Tensor]) -> object:
        nonlocal graphs
        graphs += 1
        return graph

    compiled = torch.compile(module, fullgraph=True, dynamic=True, backend=backend)
    for batch, lengths in zip((19, 4, 8, 2), SIZES, strict=True):
        x = sized(made, batch, *lengths)
        for one, other in zip(
            step(compiled, module, x.clone()), step(module, module, x.clone()), strict=True
        ):
            close(one, other)
    assert graphs == 1


@subjects
@pytest.mark.parametrize("fold", [False, True])
def test_exports_take_any_height_and_width(made: Convolution, order: int, fold: bool) -> None:
    module = module_of(made, order)
    module = module.fold() if fold else module
    x = sized(made, 19, 13, 12, 8)
    count = len(made.network.windows)
    names = [torch.export.Dim(each.name, min=5) for each in made.network.windows]
    shapes = {0: torch.export.Dim("batch")}
    shapes |= {x.dim() - count + k: name for k, name in enumerate(names)}
    program = torch.export.export(module, (x,), dynamic_shapes=(shapes,))
    held = io.BytesIO()
    torch.export.save(program, held)
    held.seek(0)
    loaded = torch.export.load(held).module()
    for batch, lengths in zip((7, 1, 64, 2), SIZES, strict=True):
        again = sized(made, batch, *lengths)
        close(loaded(again), module(again))


@pytest.mark.parametrize("name", ["tucker2-strided", "train-3d", "depthwise-uneven", "cp-modes"])
def test_onnx(name: str) -> None:
    checker = pytest.importorskip("onnx.checker")
    reference = pytest.importorskip("onnx.reference")
    pytest.importorskip("onnxscript")
    made, order = SUBJECTS[name]
    module = module_of(made, order).float()
    x = sized(made, 5, 13, 12, 8).float()
    count = len(made.network.windows)
    shapes: dict[int, object] = {0: torch.export.Dim("batch")}
    names = [torch.export.Dim(each.name, min=5) for each in made.network.windows]
    shapes |= {x.dim() - count + k: name for k, name in enumerate(names)}
    with warnings.catch_warnings(), translations_read_once():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module, (x,), dynamo=True, dynamic_shapes=(shapes,), verbose=False
        )
    assert program is not None
    model = program.model_proto
    checker.check_model(model)
    evaluator = reference.ReferenceEvaluator(model)
    for batch, lengths in zip((3, 1), SIZES, strict=False):
        again = sized(made, batch, *lengths).float()
        (y,) = evaluator.run(None, {model.graph.input[0].name: again.numpy()})
        torch.testing.assert_close(torch.tensor(y), module(again), rtol=1e-4, atol=1e-4)


@subjects
def test_transforms(made: Convolution, order: int) -> None:
    module = module_of(made, order)
    x = image(made, 3)
    close(torch.func.vmap(module)(x), module(x))
    held = {key: value.detach() for key, value in module.named_parameters()}

    def loss(parameters: dict[str, Tensor], given: Tensor) -> Tensor:
        return torch.func.functional_call(module, parameters, (given,)).sin().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(held, x)
    for key, value in torch.func.grad(loss)(held, x).items():
        close(each[key].sum(0), value)
    twice = {key: torch.stack([value, 2 * value]) for key, value in held.items()}
    losses = torch.func.vmap(loss, in_dims=(0, None))(twice, x)
    close(losses[0], loss(held, x))


@subjects
@pytest.mark.parametrize("fold", [False, True])
def test_ensembles_are_the_modules_one_by_one(made: Convolution, order: int, fold: bool) -> None:
    one = module_of(made, order)
    several = [one, copy.deepcopy(one), copy.deepcopy(one)]
    for k, module in enumerate(several):
        with torch.no_grad():
            for tensor in module.parameters():
                tensor.mul_(1 + k)
    several = [module.fold() for module in several] if fold else several
    parameters, buffers = torch.func.stack_module_state(several)
    x = image(made, 3, 2).requires_grad_()

    def call(held: dict[str, Tensor], given: Tensor) -> Tensor:
        return torch.func.functional_call(several[0], held, (given,))

    y = torch.func.vmap(call)({**parameters, **buffers}, x)
    due = torch.stack([module(each) for module, each in zip(several, x, strict=True)])
    close(y, due)
    close(torch.func.vmap(call, (0, None))({**parameters, **buffers}, x[0])[0], due[0])
    names = list(parameters)
    apart = [dict(module.named_parameters()) for module in several]
    grads = torch.autograd.grad(y.sin().sum(), [*parameters.values(), x])
    own = [held[name] for name in names for held in apart]
    *wanted, last = torch.autograd.grad(due.sin().sum(), [*own, x])
    close(grads[-1], last)
    for k in range(len(names)):
        close(grads[k], torch.stack(wanted[3 * k : 3 * k + 3]))


@subjects
def test_second_derivatives(made: Convolution, order: int) -> None:
    module = module_of(made, order)
    names = list(dict(module.named_parameters()))
    x = sized(made, 2, 4, 3, 3)

    def call(*values: Tensor) -> Tensor:
        parameters = dict(zip(names, values[:-1], strict=True))
        return torch.func.functional_call(module, parameters, (values[-1],))

    leaves = [value.detach().requires_grad_() for value in (*module.parameters(), x)]
    assert torch.autograd.gradcheck(call, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(call, leaves, fast_mode=True)


@subjects
def test_copies(made: Convolution, order: int) -> None:
    torch.manual_seed(0)
    module = instantiate(generated(made.network, made.programs()[order]), dtype=torch.float64)
    x = image(made, 3)
    due = module(x)
    held = io.BytesIO()
    torch.save(module, held)
    held.seek(0)
    for again in (
        copy.deepcopy(module),
        pickle.loads(pickle.dumps(module)),
        torch.load(held, weights_only=False),
    ):
        close(again(x), due)
    meta = copy.deepcopy(module).to("meta")
    assert meta(x.to("meta")).shape == due.shape


@subjects
def test_formats_of_images(made: Convolution, order: int) -> None:
    """Channels last, transposed, strided: equal values."""
    module = module_of(made, order)
    x = image(made, 3)
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    givens = [x.transpose(-1, 0).contiguous().transpose(-1, 0), x.repeat_interleave(2, 0)[::2]]
    if x.dim() in formats:
        givens.append(x.to(memory_format=formats[x.dim()]))
    for given in givens:
        for held in (module, module.fold()):
            close(held(given), module(x))
        leaf = given.detach().requires_grad_()
        own = x.detach().requires_grad_()
        close(torch.autograd.grad(module(leaf).sin().sum(), leaf)[0],
              torch.autograd.grad(module(own).sin().sum(), own)[0])  # fmt: skip


@subjects
def test_autocast(made: Convolution, order: int) -> None:
    module = module_of(made, order).float()
    x = image(made, 3).float()
    due = module(x)
    for held in (module, module.fold()):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = held(x)
        assert y.dtype == torch.bfloat16
        assert (y.float() - due).abs().max() <= 0.1 * due.abs().max()


@subjects
def test_chunks_of_a_batch(made: Convolution, order: int) -> None:
    tree = made.trees()[order]
    for schedule in (Schedule(chunk_rows=3), Schedule(chunk_rows=2, recompute=True)):
        program = lower(made.network, tree, schedule)
        assert program.loop is not None
        looped = loaded(made, program)
        x = image(made, 7).requires_grad_()
        parameters = dict(looped.named_parameters())
        y = looped(x)
        due = meaning(made.network, parameters, x)
        close(y, due)
        for one, other in zip(
            *(torch.autograd.grad(z.sin().sum(), [*parameters.values(), x]) for z in (y, due)),
            strict=True,
        ):
            close(one, other)


def loaded(made: Convolution, program: TensorProgram) -> nn.Module:
    torch.manual_seed(0)
    return instantiate(generated(made.network, program), dtype=torch.float64)


# ── sizes that are too small ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "least"),
    [
        ({"size": 3}, 3),
        ({"size": 3, "padding": 1}, 1),
        ({"size": 3, "dilation": 4, "left": 2}, 7),
        ({"size": 3, "padding": 3, "mode": "reflect"}, 4),
        ({"size": 3, "left": 3, "mode": "circular"}, 3),
        ({"size": 9, "left": 1, "right": 2, "mode": "circular"}, 6),
        ({"size": 5, "padding": 2, "mode": "replicate"}, 1),
        ({"size": 3, "padding": 4, "stride": 2, "transposed": True}, 4),
        ({"size": 3, "padding": 8, "stride": 3, "extra": 2, "transposed": True}, 5),
        ({"size": 2, "left": 9, "extra": 6, "transposed": True}, 8),  # cut first, then extended
    ],
)
def test_an_input_that_is_too_short_names_the_window(
    options: dict[str, object], least: int
) -> None:
    transposed = bool(options.get("transposed"))
    made = depthwise([window("h", **options), window("w", 1, transposed=transposed)])
    module = module_of(made)
    torch._dynamo.reset()
    compiled = torch.compile(module, backend="eager")
    for held in (module, module.fold(), compiled):
        assert min(held(torch.zeros(2, 4, least, 1, dtype=torch.float64)).shape) >= 1
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            held(torch.zeros(2, 4, least - 1, 1, dtype=torch.float64))
        message = str(caught.value)
        assert f"at least {least} (window h), at least 1 (window w), got shape (2, 4," in message


def test_a_shape_of_other_channels_names_the_legs() -> None:
    module = module_of(tucker2(WINDOWS["2d"]))
    for shape in ((2, 5, 7, 7), (4, 7), ()):
        with pytest.raises(ValueError, match=r"the last 3 axes must be 4 \(i\), at least 1"):
            module(torch.zeros(shape, dtype=torch.float64))


def test_a_layer_of_a_residual_network() -> None:
    """64 channels at 56², as planned, against the dense convolution of its own weight."""
    arch = tncompile.load("std/convolution.tn").instantiate("Tucker2Conv(64, 64, padding = 1)")
    module = arch.module(search="fast", seed=0)
    x = torch.randn(2, 64, 56, 56, generator=torch.Generator().manual_seed(0))
    due = nn.functional.conv2d(x, module.weight, module.bias, padding=1)
    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True, dynamic=True, backend="eager")
    for held in (module, module.fold(), compiled):
        with torch.no_grad():
            torch.testing.assert_close(held(x), due, rtol=1e-4, atol=1e-4)
            last = held(x.to(memory_format=torch.channels_last))
            torch.testing.assert_close(last, due, rtol=1e-4, atol=1e-4)
