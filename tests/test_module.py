"""Manners of emitted modules: all that a layer of `torch.nn` does, they do."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

import tncompile
from tests.modules import ALL, LIBRARY, ODDS, STANDARD, Subject, tensors

every = pytest.mark.parametrize("subject", ALL, ids=str)
batched = pytest.mark.parametrize("subject", [s for s in ALL if s.batched], ids=str)


def named(name: str) -> Subject:
    """The subject of this block."""
    return next(subject for subject in ALL if str(subject) == name)


def close(made: object, due: object, tolerance: float = 1e-5) -> None:
    """Equal outputs, tuples part by part."""
    for one, other in zip(tensors(made), tensors(due), strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def differentiable(value: Tensor | tuple[Tensor, ...]) -> Tensor:
    """A number that depends on all of an output."""
    return sum((part.abs().sum() for part in tensors(value)), torch.zeros(()))


def test_the_table_has_every_block_of_the_standard_library() -> None:
    for file in STANDARD:
        blocks = list(tncompile.loads(f'import "std/{file}.tn"').blocks)
        assert blocks == [str(subject) for subject in LIBRARY if subject.file == file]


# ── parameters ─────────────────────────────────────────────────────────────────────────────────


@every
def test_the_state_dict_is_what_the_network_declares(subject: Subject) -> None:
    module = subject.module()
    held = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    assert held == {parameter.key: parameter.shape for parameter in subject.network.parameters}
    frozen = {parameter.key for parameter in subject.network.parameters if parameter.frozen}
    assert set(dict(module.named_buffers())) == frozen
    for key, parameter in module.named_parameters():
        assert parameter.is_contiguous(), key
        assert parameter.requires_grad, key
        assert key not in frozen


@every
def test_all_parameters_get_a_gradient(subject: Subject) -> None:
    module = subject.module()
    differentiable(module(*subject.inputs(4))).backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.shape == parameter.shape


@every
def test_a_seed_decides_how_it_starts_and_leaves_torch_alone(subject: Subject) -> None:
    torch.manual_seed(5)
    due = torch.rand(3)
    torch.manual_seed(5)
    first, second = subject.module(seed=1), subject.module(seed=1)
    torch.testing.assert_close(torch.rand(3), due)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_families_are_read_by_subscript() -> None:
    module = named("Grid").module()
    assert torch.equal(module.S[1, 0], module.state_dict()["S.1.0"])
    chain = named("Chain").module()
    assert chain.G[79] is dict(chain.named_parameters())["G.79"]


# ── dtypes and devices ─────────────────────────────────────────────────────────────────────────


@every
@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.bfloat16, torch.float16, torch.complex64], ids=str
)
@pytest.mark.filterwarnings("ignore:Complex modules are a new feature")
def test_dtypes(subject: Subject, dtype: torch.dtype) -> None:
    module = subject.module(dtype)
    made = tensors(module(*subject.inputs(3, dtype=dtype)))
    assert made[0].dtype == dtype
    assert all(bool(part.isfinite().all()) for part in made)
    moved = subject.module().to(dtype)
    assert tensors(moved(*subject.inputs(3, dtype=dtype)))[0].dtype == dtype


@every
def test_meta_device_and_back(subject: Subject) -> None:
    module = subject.module(device="meta")
    inputs = subject.inputs(3)
    made = tensors(module(*(x.to("meta") for x in inputs)))
    module.to_empty(device="cpu")
    module.reset_parameters()
    shapes = [part.shape for part in tensors(module(*inputs))]
    assert shapes == [part.shape for part in made]


@every
def test_autocast_gives_what_linear_gives(subject: Subject) -> None:
    module = subject.module()
    inputs = subject.inputs(3)
    due = tensors(module(*inputs))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = tensors(module(*inputs))
        differentiable(made).backward()
    products = any("mm(" in line for line in subject.architecture.source().splitlines())
    if products and not subject.network.output.log and subject.network.inputs:
        assert made[0].dtype == torch.bfloat16
    for one, other in zip(made, due, strict=True):
        scale = other.abs().max().clamp(min=0.1)
        assert (one.float() - other).abs().max() < 0.1 * scale


# ── batches ────────────────────────────────────────────────────────────────────────────────────


@batched
def test_any_leading_axes_even_none_or_empty_ones(subject: Subject) -> None:
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


def test_several_inputs_broadcast() -> None:
    subject = named("Scores")
    module = subject.module()
    q, k = subject.inputs(2, 3)
    close(module(q[:, :1], k[0]), module(q[:, :1].expand(q.shape), k[:1].expand(k.shape)))
    with pytest.raises(ValueError, match=r"leading axes.*do not broadcast.*\(2, 3\) of q"):
        module(q, k[:, :2])


def test_inputs_of_any_strides() -> None:
    subject = named("MPO")
    module = subject.module()
    x = torch.randn(6, 4).t()
    close(module(x), module(x.contiguous()))


# ── wrong inputs ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("MPO", (7, 59), "x(..., (i[*]) as inputs): the last axis must have 6 = 2·3 entries"
         " (i[0], i[1]), got shape (7, 59)"),
        ("Padded", (7, 9), "x(..., (i[*]) as wide): the last axis must have 7 entries"
         " (the first of 9 = 3·3: i[0], i[1]), got shape (7, 9)"),
        ("Grid", (2, 2, 3), "x(..., r in 0..2, c in 0..2, p[r, c]): the last 3 axes must be"
         " 2 (slices), 2 (slices), 2 (p[0, 0]), got shape (2, 2, 3)"),
        ("MPO", (), "the last axis must have 6 = 2·3 entries (i[0], i[1]), got shape ()"),
    ],
)  # fmt: skip
def test_a_wrong_shape_is_told_in_the_words_of_the_spec(
    name: str, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        named(name).module()(torch.zeros(shape))
    assert message in str(caught.value)


def test_batch_axes_that_disagree() -> None:
    subject = named("Member")
    which, x = subject.inputs()
    with pytest.raises(ValueError, match=r"x\(n, i\): n must be as in which"):
        subject.module()(which, x[:-1])


def test_ids_out_of_range_name_the_input() -> None:
    module = named("TTEmbedding").module()
    for wrong in (-1, 12):
        with pytest.raises(IndexError, match=rf"ids.*\[0, 12\), got {wrong}"):
            module(torch.tensor([[3, wrong]]))
    for ids in (torch.zeros(3), torch.zeros(3, dtype=torch.bool)):
        with pytest.raises(TypeError, match=r"ids.*must be integers"):
            module(ids)
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32):
        close(module(torch.tensor([3, 7], dtype=dtype)), module(torch.tensor([3, 7])))


def test_an_input_of_another_dtype_is_refused_as_by_linear() -> None:
    with pytest.raises(RuntimeError, match="dtype"):
        named("MPO").module()(torch.zeros(2, 6, dtype=torch.float64))


# ── copies ─────────────────────────────────────────────────────────────────────────────────────


@every
def test_copies_and_files(subject: Subject, tmp_path: Path) -> None:
    module = subject.module()
    inputs = subject.inputs(3)
    due = module(*inputs)
    twin = copy.deepcopy(module)
    close(twin(*inputs), due)
    assert type(twin) is type(module)
    close(pickle.loads(pickle.dumps(module))(*inputs), due)
    held = io.BytesIO()
    torch.save(module, held)
    held.seek(0)
    close(torch.load(held, weights_only=False)(*inputs), due)
    held = io.BytesIO()
    torch.save(module.state_dict(), held)
    held.seek(0)
    fresh = subject.module(seed=9)
    fresh.load_state_dict(torch.load(held, weights_only=True))
    close(fresh(*inputs), due)


READ_AGAIN = """
import pickle, sys
for path in sys.argv[1:]:
    module, inputs, due = pickle.load(open(path, "rb"))
    assert module.__class__.__module__.startswith("tncompile_generated_")
    made = module(*inputs)
    made, due = (made, due) if isinstance(due, tuple) else ((made,), (due,))
    assert all((a - b).abs().max() < 1e-6 for a, b in zip(made, due)), path
"""


def test_pickles_are_read_by_a_process_that_never_saw_the_class(tmp_path: Path) -> None:
    paths = []
    for subject in (named("MPO"), named("Grid"), named("Names"), named("Log")):
        module, inputs = subject.module(), subject.inputs(3)
        due = module(*inputs)
        due = tuple(part.detach() for part in due) if isinstance(due, tuple) else due.detach()
        paths.append(tmp_path / f"{subject}.pickle")
        paths[-1].write_bytes(pickle.dumps((module, inputs, due)))
    subprocess.run([sys.executable, "-c", READ_AGAIN, *map(str, paths)], check=True)


def test_equal_sources_are_one_class() -> None:
    subject = named("MPO")
    assert type(subject.module()) is type(subject.module(seed=3))


def test_a_traceback_shows_the_emitted_line() -> None:
    import traceback

    try:
        named("MPO").module()(torch.zeros(2, 6, dtype=torch.float64))
    except RuntimeError as error:
        text = "".join(traceback.format_exception(error))
        assert "torch.mm(" in text


# ── compilers ──────────────────────────────────────────────────────────────────────────────────


@every
def test_compiled_into_at_most_two_graphs(subject: Subject) -> None:
    torch._dynamo.reset()
    module = subject.module()
    counter = CompileCounter()
    compiled = torch.compile(module, fullgraph=True, dynamic=True, backend=counter)
    sizes = (19, 4, 8, 16, 17, 31, 64, 100, 1) if subject.network.inputs else (1,)
    for size in sizes:
        inputs = subject.inputs(size, sizes={"n": size})
        close(compiled(*inputs), module(*inputs))
    assert counter.frame_count <= 2


@pytest.mark.parametrize("subject", [named("MPO"), named("TTEmbedding"), named("Log")], ids=str)
def test_compiled_backward(subject: Subject) -> None:
    torch._dynamo.reset()
    module = subject.module()
    compiled = torch.compile(module, fullgraph=True, dynamic=True, backend="aot_eager")
    inputs = subject.inputs(19)
    differentiable(compiled(*inputs)).backward()
    made = [parameter.grad.clone() for parameter in module.parameters()]
    module.zero_grad()
    differentiable(module(*inputs)).backward()
    for one, parameter in zip(made, module.parameters(), strict=True):
        torch.testing.assert_close(one, parameter.grad)


@pytest.mark.parametrize("subject", [s for s in ALL if str(s) != "Names"], ids=str)
def test_exported_with_a_dynamic_batch(subject: Subject) -> None:
    module = subject.module()
    inputs = subject.inputs(19, sizes={"n": 19})
    shapes = None
    if subject.batched or str(subject) == "Member":
        batch = torch.export.Dim("batch", min=2)
        shapes = tuple({0: batch} for _ in inputs)
    exported = torch.export.export(module, tuple(inputs), dynamic_shapes=shapes).module()
    again = subject.inputs(7, sizes={"n": 7}) if shapes else inputs
    close(exported(*again), module(*again))


# ── derivatives and transforms ─────────────────────────────────────────────────────────────────


def functional(module: nn.Module, names: list[str]) -> object:
    """The module as a function of its parameters, then its inputs."""
    buffers = dict(module.named_buffers())

    def call(*values: Tensor) -> Tensor:
        parameters = dict(zip(names, values[: len(names)], strict=True))
        made = torch.func.functional_call(module, (parameters, buffers), values[len(names) :])
        return tensors(made)[-1]

    return call


@every
def test_first_and_second_derivatives(subject: Subject) -> None:
    module = subject.module(torch.float64)
    held = dict(module.named_parameters())
    inputs = subject.inputs(2, dtype=torch.float64, sizes={"s": 2, "t": 3, "n": 2})
    values = [*held.values(), *(x for x in inputs)]
    leaves = [
        value.detach().requires_grad_() if value.is_floating_point() else value for value in values
    ]
    call = functional(module, list(held))
    assert torch.autograd.gradcheck(call, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(call, leaves, fast_mode=True)


@batched
def test_vmap_over_the_batch_is_the_batch(subject: Subject) -> None:
    module = subject.module()
    inputs = subject.inputs(4)
    close(torch.func.vmap(module)(*inputs), module(*inputs))


@batched
def test_gradients_per_sample_and_ensembles(subject: Subject) -> None:
    module = subject.module()
    held = {key: value.detach() for key, value in module.named_parameters()}
    buffers = dict(module.named_buffers())
    inputs = subject.inputs(3)

    def loss(parameters: dict[str, Tensor], *given: Tensor) -> Tensor:
        made = torch.func.functional_call(module, (parameters, buffers), given)
        return tensors(made)[-1].sum()

    axes = (None, *[0] * len(inputs))
    each = torch.func.vmap(torch.func.grad(loss), in_dims=axes)(held, *inputs)
    whole = torch.func.grad(loss)(held, *inputs)
    for key, value in whole.items():
        torch.testing.assert_close(each[key].sum(0), value, rtol=1e-3, atol=1e-4)
    twice = {key: torch.stack([value, value]) for key, value in held.items()}
    axes = (0, *[None] * len(inputs))
    losses = torch.func.vmap(loss, in_dims=axes)(twice, *inputs)
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(losses[0], loss(held, *inputs), rtol=1e-3, atol=1e-4)


def test_ids_are_checked_inside_a_gradient_and_not_under_vmap() -> None:
    module = named("TTEmbedding").module()
    torch.func.vmap(module)(torch.tensor([[3, 4]]))
    with pytest.raises(IndexError, match="ids"):
        torch.func.grad(lambda scale: (scale * module(torch.tensor([50]))).sum())(torch.ones(()))


# ── training ───────────────────────────────────────────────────────────────────────────────────


def test_training_lowers_the_loss() -> None:
    subject = named("MPO")
    module = subject.module()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    (x,) = subject.inputs(32)
    target = x.flip(-1)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = (module(x) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes_train_as_one(kind: str, tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "tests.distributed", kind, str(tmp_path / "meeting")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]


def test_stacked_families_are_one_parameter_and_convert() -> None:
    from tncompile.emission.loading import convert_state_dict

    subject = named("Chain")
    architecture = subject.architecture
    stacked = architecture.module(stacked=True, seed=0)
    assert stacked.state_dict()["G"].shape == (79, 3, 2, 3)
    single = subject.module()
    inputs = subject.inputs(3)
    stacked.load_state_dict(convert_state_dict(single.state_dict(), stacked))
    close(stacked(*inputs), single(*inputs))
    fresh = subject.module(seed=4)
    fresh.load_state_dict(convert_state_dict(stacked.state_dict(), fresh))
    close(fresh(*inputs), single(*inputs))


def test_odd_names_are_kept_where_they_do_no_harm() -> None:
    module = named("Names").module()
    assert set(module.state_dict()) == {"train", "None", "lead"}
    assert module.train().training
    assert module.half().state_dict()["train"].dtype == torch.float16
    assert {str(subject) for subject in ODDS} >= {"Names"}
