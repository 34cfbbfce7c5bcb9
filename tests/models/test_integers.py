"""Tensors of integers: buffers that are never trained, whatever is done with the module."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch

import tncompile
from tncompile.language.diagnostics.diagnostic import Code

TEXT = """
model Shuffled(n: int = 5, counted: bool = true) {
  tensor order(n) int init arange
  tensor grid(2, 3) int init arange
  tensor ones[k in 0..2](3) int frozen init ones
  tensor same[k in 0..2](n) int init zeros share k
  tensor again(n) tie order
  tensor counts(n) init zeros int if counted
  tensor scale(n) init normal(0.5)
  input x(..., n)
  let seen = take(x, order, dim = -1) * scale + sum(ones[0] + ones[1], dim = -1)
  let shifted = seen + same[0] + same[1] + again + sum(grid, dim = [-1, -2])
  output if counted then shifted + counts else shifted
}
"""


@pytest.fixture(scope="module")
def arch() -> tncompile.Architecture:
    return tncompile.loads(TEXT)["Shuffled"].instantiate()


def filled(arch: tncompile.Architecture) -> torch.nn.Module:
    """A module with its inputs in another order."""
    module = arch.module(seed=0)
    module.order.copy_(torch.tensor([3, 1, 4, 0, 2]))
    return module


def due(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    order: torch.Tensor = module.order  # type: ignore[assignment]
    scaled: torch.Tensor = x[..., order] * module.scale
    return scaled + 6 + order + 6


def test_they_start_as_declared_under_keys_of_their_own(arch: tncompile.Architecture) -> None:
    state = arch.module(seed=0).state_dict()
    integers = {key: tensor for key, tensor in state.items() if key != "scale"}
    assert set(integers) == {"order", "grid", "ones.0", "ones.1", "same", "counts"}
    assert all(tensor.dtype is torch.int64 for tensor in integers.values())
    assert torch.equal(state["order"], torch.arange(5))
    assert torch.equal(state["grid"], torch.arange(3).expand(2, 3))
    assert torch.equal(state["ones.1"], torch.ones(3, dtype=torch.int64))
    assert not state["same"].any()
    assert [key for key, _ in arch.module().named_parameters()] == ["scale"]


def test_a_condition_leaves_one_out() -> None:
    module = tncompile.loads(TEXT)["Shuffled"].instantiate(counted=False).module()
    assert "counts" not in module.state_dict()


@pytest.mark.parametrize("way", ["eager", "compiled", "exported", "vmap", "loaded", "pickled"])
def test_values_in_every_mode(arch: tncompile.Architecture, way: str) -> None:
    module, x = filled(arch), torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    wanted = due(module, x)
    match way:
        case "compiled":
            found = torch.compile(module, backend="aot_eager")(x)
        case "exported":
            found = torch.export.export(module, (x,)).module()(x)
        case "vmap":
            found = torch.func.vmap(module)(x.reshape(2, 2, 5)).reshape(4, 5)
        case "loaded":
            other = arch.module()
            other.load_state_dict(module.state_dict())
            found = other(x)
        case "pickled":
            found = pickle.loads(pickle.dumps(copy.deepcopy(module)))(x)
        case _:
            found = module(x)
    torch.testing.assert_close(found, wanted)


def test_conversions_leave_them(arch: tncompile.Architecture) -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        module = filled(arch).to(dtype)
        assert (module.order.dtype, module.scale.dtype) == (torch.int64, dtype)
        assert module(torch.ones(5, dtype=dtype)).dtype is dtype
    empty = arch.module(device="meta")
    assert empty(torch.empty(2, 5, device="meta")).shape == (2, 5)
    here = empty.to_empty(device="cpu")
    here.reset_parameters()
    assert torch.equal(here.order, torch.arange(5))


@pytest.mark.filterwarnings("ignore")
def test_onnx_has_them(arch: tncompile.Architecture) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    module, x = filled(arch), torch.ones(2, 5)
    written = io.BytesIO()
    torch.onnx.export(module, (x,), written, dynamo=True, verbose=False)
    model = onnx.load_model_from_string(written.getvalue())
    onnx.checker.check_model(model)
    tensors = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    assert any(t.tolist() == [3, 1, 4, 0, 2] for t in tensors.values())


def test_gradients_and_steps_leave_them(arch: tncompile.Architecture) -> None:
    module = filled(arch)
    before = module.order.clone()
    module(torch.ones(3, 5)).sum().backward()
    torch.optim.SGD(module.parameters(), 0.1).step()
    assert torch.equal(module.order, before)


def test_bytes_count_and_parameters_do_not(arch: tncompile.Architecture) -> None:
    """Eight bytes a number, of each tensor once."""
    cost = arch.cost(batch=1, search="fast")
    without = tncompile.loads(TEXT)["Shuffled"].instantiate(counted=False)
    assert cost.parameters == 5
    assert cost.peak_bytes - without.cost(batch=1, search="fast").peak_bytes == 8 * 5


def test_quantizing_leaves_them(arch: tncompile.Architecture) -> None:
    state = filled(arch).state_dict()
    eight = arch.module(weights="int8")
    eight.load_state_dict(tncompile.quantized_state(arch, state, "int8"))
    assert torch.equal(eight.order, state["order"])


def test_the_text_comes_back(arch: tncompile.Architecture) -> None:
    text = arch.describe("program")
    assert "tensor order(n) int init arange" in text
    assert tncompile.loads(text)["Shuffled"].instantiate().source() == arch.source()


def refused(lines: str) -> tuple[str, str, str]:
    """Code, text and hint of the one mistake of these lines in a model."""
    with pytest.raises(tncompile.CompileError) as caught:
        tncompile.loads(f"model M() {{ input x(..., 3) {lines} }}")["M"].instantiate()
    (found,) = caught.value.diagnostics
    return found.code, found.primary.span.text, found.hint or ""


@pytest.mark.parametrize(
    ("lines", "code", "place", "hint"),
    [
        ("tensor p(3) int output x + p", Code.WRONG_ARGUMENT, "p", "init arange"),
        ("tensor p(3) int init normal(1) output x + p", Code.MISPLACED, "normal", "leave out"),
        ("tensor p(3) int init eye output x + p", Code.MISPLACED, "eye", "leave out"),
        ("tensor p(3) int init auto output x + p", Code.MISPLACED, "auto", "leave out"),
        ("tensor p(3) int init constant(2) output x + p", Code.MISPLACED, "constant", "leave out"),
        ("tensor p(3) int init arrange output x + p", Code.MISPLACED, "arrange", "`arange`"),
        ("tensor p(3) int init arange(2) output x + p", Code.WRONG_ARGUMENT, "2", "remove it"),
        ("tensor p(3) init arange output x + p", Code.MISPLACED, "arange", "`int`"),
        ("tensor p(3) int complex init ones output x + p", Code.MISPLACED, "complex", "keep one"),
        ("tensor p(3) int int init ones output x + p", Code.MISPLACED, "int", "keep one"),
        (
            "tensor p(3) init ones tensor q(3) int tie p output x + q",
            Code.MISPLACED, "int", "tied to",
        ),
        (
            "tensor p(3) int init ones part l = Linear(3, 3) tie bias = p output l(x) + p",
            Code.SHAPES_DIFFER, "p", "integers",
        ),
        ("tensor p(3) int init ones output take(x, p)", Code.MODEL_SHAPES, "x", "legs"),
        (
            "tensor p(2, 3) int init ones output take(x, p, dim = -1)",
            Code.MODEL_SHAPES, "p", "reshape",
        ),
        ("tensor p(3) init ones output take(x, p, dim = -1)", Code.KINDS, "p", ""),
        (
            "tensor p(3) int init ones output take(x, p, dim = -2)",
            Code.NO_SUCH_AXIS, "dim = -2", "-1",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(lines: str, code: Code, place: str, hint: str) -> None:
    found = refused(lines)
    assert found[:2] == (code, place)
    assert hint in found[2]


def test_networks_have_none() -> None:
    text = "network N() { index i = 4, o = 4 input x(..., i) tensor A(i, o) INT output y(..., o) }"
    for word in ("int", "init arange"):
        with pytest.raises(tncompile.CompileError) as caught:
            tncompile.loads(text.replace("INT", word))
        (found,) = caught.value.diagnostics
        assert found.code == Code.MISPLACED
