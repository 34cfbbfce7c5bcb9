"""Modules whose weights are integers and scales: values, keys, dtypes, what is refused."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

import tncompile
from tests.support import golden_programs, library
from tncompile import compiler
from tncompile.lowering import lower
from tncompile.lowering.schedule import Schedule
from tncompile.network import packing
from tncompile.network.packing import Weights, packings, quantization
from tncompile.program.interpreter import run_program
from tncompile.program.operations import Embedding, Unpack
from tncompile.program.program import Extent
from tncompile.program.quantizing import dequantized
from tncompile.program.verifying import verify_program
from tncompile.tensorizing.quantizing.codes import unpacked

KINDS: tuple[tuple[Weights, int | None], ...] = (
    ("int8", None),
    ("int4", None),
    ("int8", 16),
    ("int4", 10),
)

TABLE = """network Table(words: int, features: int) {
  index  v = words, e = features
  input  ids(..., onehot(v))
  tensor E(v, e)
  output y(..., e)
}"""

LOW_RANK = "LowRank(in_features = 48, out_features = 33, rank = 9)"


def architecture(target: str = LOW_RANK, file: str = "linear") -> tncompile.Architecture:
    return library.architecture(file, target)


def pair(
    arch: tncompile.Architecture,
    weights: Weights,
    group: int | None = None,
    dtype: torch.dtype = torch.float64,
) -> tuple[nn.Module, nn.Module]:
    """A quantized module, and the plain one on the weights that its integers stand for."""
    plain = arch.module(dtype=dtype, seed=0, search="fast")
    small = arch.module(dtype=dtype, seed=1, weights=weights, group=group, search="fast")
    found = tncompile.quantized_state(arch, plain.state_dict(), weights, group=group)
    small.load_state_dict(found)
    dense = plain.state_dict()
    for key, each in packings(arch.network, quantization(weights, group)).items():
        dense[key] = unpacked(found[each.codes.key], found[each.scale.key], each)
    plain.load_state_dict(dense)
    return plain, small


def drawn(arch: tncompile.Architecture) -> dict[str, Tensor]:
    """Inputs of three rows; windows have nine entries."""
    generator = torch.Generator().manual_seed(0)
    found: dict[str, Tensor] = {}
    for source in arch.network.inputs:
        shape = [
            3 if axis.kind == "dots" else axis.length or 9
            for axis in source.axes
            if axis.kind != "onehot"
        ]
        ids = next((axis.length for axis in source.axes if axis.kind == "onehot"), None)
        if ids is not None:
            found[source.name] = torch.randint(ids, shape, generator=generator)
        else:
            found[source.name] = torch.randn(shape, generator=generator, dtype=torch.float64)
    return found


def flat(result: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("program", golden_programs.PROGRAMS)
@pytest.mark.parametrize(("weights", "group"), [("int8", None), ("int4", 10)])
def test_values_are_those_of_the_dequantized_weights(
    program: str, weights: Weights, group: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "SMALLEST", 2)
    arch = golden_programs.architecture(program)
    if not packings(arch.network, quantization(weights, group)):
        small = arch.module(weights=weights, group=group, seed=0, search="fast")
        plain = arch.module(seed=0, search="fast")
        assert list(small.state_dict()) == list(plain.state_dict())
        return
    plain, small = pair(arch, weights, group)
    inputs = list(drawn(arch).values())
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients):
            torch.testing.assert_close(flat(small(*inputs)), flat(plain(*inputs)))
    torch.testing.assert_close(flat(small.fold()(*inputs)), flat(plain.fold()(*inputs)))
    if "weight" in dir(type(plain)):
        torch.testing.assert_close(small.weight, plain.weight)


@pytest.mark.parametrize(("weights", "group"), KINDS)
def test_rows_are_looked_up_as_integers(weights: Weights, group: int | None) -> None:
    arch = tncompile.loads(TABLE).instantiate("Table", words=41, features=73)
    plain, small = pair(arch, weights, group)
    program = compiler.lower_network(arch.network, arch.plan(search="fast")).whole
    rewritten = dequantized(program, packings(arch.network, quantization(weights, group)))
    verify_program(rewritten)
    made = [step.operation for step in rewritten.steps]
    assert sum(isinstance(each, Embedding) for each in made) == 2
    assert any(isinstance(each, Unpack) for each in made) == (weights == "int4")
    long = [value for value in rewritten.values.values() if Extent(41) in value.shape]
    assert len(long) == 2  # codes and scales alone are as long as the table
    inputs = drawn(arch)
    found = run_program(arch.network, rewritten, small.state_dict(), inputs)
    for made_of in (found, small(inputs["ids"])):
        torch.testing.assert_close(made_of, plain(inputs["ids"]))


def test_a_loop_over_chunks_stays_one() -> None:
    arch = architecture()
    tree = arch.plan(search="fast").whole.tree
    program = lower(arch.network, tree, Schedule(chunk_rows=2, recompute=True))
    rewritten = dequantized(program, packings(arch.network, quantization("int4", 8)))
    verify_program(rewritten)
    assert rewritten.loop is not None
    assert rewritten.loop.rows == 2
    plain, small = pair(arch, "int4", 8)
    inputs = drawn(arch)
    found = run_program(arch.network, rewritten, small.state_dict(), inputs)
    torch.testing.assert_close(found, plain(inputs["x"]))


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_compilers_exports_and_transforms(weights: Weights) -> None:
    plain, small = pair(architecture(), weights)
    x = torch.randn(3, 48, dtype=torch.float64)
    due = plain(x)
    compiled = torch.compile(small, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), due)
    exported = torch.export.export(small, (x,)).module()
    torch.testing.assert_close(exported(x), due)
    torch.testing.assert_close(torch.func.vmap(small)(x.unsqueeze(1)).squeeze(1), due)
    state = {name: buffer * 1 for name, buffer in small.state_dict().items()}
    torch.testing.assert_close(torch.func.functional_call(small, state, (x,)), due)
    x.requires_grad_()
    gradient, _ = torch.autograd.grad(small(x).sum(), (x, small.c))
    torch.testing.assert_close(gradient, torch.autograd.grad(plain(x).sum(), x)[0])


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_dtypes_devices_and_copies(weights: Weights) -> None:
    _, small = pair(architecture(), weights, dtype=torch.float32)
    assert [name for name, _ in small.named_parameters()] == ["c"]
    codes = f"A_{weights}"
    kind = torch.int8 if weights == "int8" else torch.uint8
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        cast = copy.deepcopy(small).to(dtype)
        assert cast.A_scale.dtype == cast.c.dtype == dtype
        assert getattr(cast, codes).dtype == kind
        assert cast(torch.ones(2, 48, dtype=dtype)).dtype == dtype
    x = torch.randn(2, 48)
    with torch.autocast("cpu"):
        assert small(x).dtype == torch.bfloat16
    for again in (pickle.loads(pickle.dumps(small)), copy.deepcopy(small)):
        assert torch.equal(again(x), small(x))
    arch = architecture()
    empty = arch.module(weights=weights, device="meta", search="fast")
    assert empty(x.to("meta")).shape == (2, 33)
    half = arch.module(weights=weights, dtype=torch.bfloat16, seed=0, search="fast")
    assert half.A_scale.dtype == torch.bfloat16
    with pytest.raises(TypeError, match=r"expected torch\.float32 as the module"):
        small(x.double())


@pytest.mark.parametrize(("weights", "group"), KINDS)
def test_modules_start_as_the_plain_ones_do(weights: Weights, group: int | None) -> None:
    arch = architecture("MPO(ins = [8, 6], outs = [7, 8], ranks = [12])")
    due = arch.module(seed=0, search="fast").weight.detach()
    small = arch.module(seed=0, weights=weights, group=group, search="fast")
    assert float(small.weight.square().mean()) == pytest.approx(float(due.square().mean()), 1e-4)
    assert (small.weight - due).norm() / due.norm() < (0.03 if weights == "int8" else 0.5)
    small.reset_parameters()
    assert float(small.weight.std()) > 0


def test_state_dicts_follow_from_the_file_and_the_option() -> None:
    arch = architecture("MPO(ins = [8, 6, 4], outs = [7, 8, 4], ranks = [12, 9])")
    small = arch.module(weights="int8", search="fast")
    shapes = {key: (tuple(t.shape), t.dtype) for key, t in small.state_dict().items()}
    floats, codes = torch.float32, torch.int8
    assert shapes == {
        "c": ((224,), floats),
        "G.2": ((9, 4, 4), floats),  # fewer than 256 entries
        "G_scale.0": ((8, 1, 1), floats),
        "G_scale.1": ((12, 1, 1, 1), floats),
        "G_int8.0": ((8, 7, 12), codes),
        "G_int8.1": ((12, 6, 8, 9), codes),
    }
    assert small.G_int8[1] is small.state_dict(keep_vars=True)["G_int8.1"]
    with pytest.raises(RuntimeError, match="Missing key"):
        small.load_state_dict(arch.module(search="fast").state_dict())
    assert "6,224 parameters, 5,856 of them in 8 bits" in " ".join(repr(small).split())


def test_names_that_are_taken() -> None:
    text = """network N() {
      index i = 20, o = 20
      bond m = 20
      input x(..., i)
      tensor A(i, m)
      tensor A_int8(m, o)
      output y(..., o)
    }"""
    arch = tncompile.loads(text).instantiate("N")
    plain, small = pair(arch, "int8")
    assert set(small.state_dict()) == {"A_scale", "A_int8_", "A_int8_scale", "A_int8_int8"}
    x = torch.randn(2, 20, dtype=torch.float64)
    torch.testing.assert_close(small(x), plain(x))


def test_what_is_refused() -> None:
    arch = architecture()
    for weights in ("int3", "", "INT8"):
        with pytest.raises(ValueError, match="weights are one of int8, int4, not"):
            arch.source(weights=weights, search="fast")
    with pytest.raises(ValueError, match="say which"):
        arch.source(group=32, search="fast")
    for group in (0, -2, 7, 33, 5000):
        with pytest.raises(ValueError, match="an even number from 8 to 4,096"):
            arch.source(weights="int4", group=group, search="fast")
    for group in (True, 32.0, "32"):
        with pytest.raises(TypeError, match="a group is an int"):
            arch.source(weights="int4", group=group, search="fast")
    with pytest.raises(ValueError, match="is not sharded"):
        arch.source(weights="int8", shard="i", search="fast")


def test_models_hold_quantized_networks() -> None:
    text = """import "std/linear.tn" { LowRank }
    model M(d: int = 24) {
      part up = LowRank(d, 3 * d, rank = 12)
      part down = LowRank(3 * d, d, rank = 12)
      input x(..., d)
      output down(relu(up(x)))
    }"""
    arch = tncompile.loads(text).instantiate("M")
    plain = arch.module(seed=0, search="fast", dtype=torch.float64)
    small = arch.module(seed=0, search="fast", dtype=torch.float64, weights="int8")
    found = tncompile.quantized_state(arch, plain.state_dict(), "int8")
    small.load_state_dict(found)
    assert found["up.A_int8"].dtype == torch.int8
    assert "up.A" not in found
    x = torch.randn(2, 24, dtype=torch.float64)
    error = (small(x) - plain(x)).norm() / plain(x).norm()
    assert 0 < error < 0.02
    state = plain.state_dict()
    del state["up.A"]
    with pytest.raises(ValueError, match="lacks 'A'"):
        tncompile.quantized_state(arch, state, "int8")


def test_a_tied_network_is_refused() -> None:
    arch = library.architecture("generative", "BornMachine(sites = 6, symbols = 4, rank = 12)")
    with pytest.raises(ValueError, match="is tied: it has no tensor of its own"):
        arch.module(weights="int8", search="fast")
