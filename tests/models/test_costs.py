"""What models cost, against what torch counts and allocates, and what has to add up."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import tncompile
from benchmarks.memory import peak_allocated
from tests.support.memory import held_bytes
from tncompile.models.costs.report import ModelCost, PartCost

TEXT = """
import "std/linear.tn" { MPO }

model Attention(d: int = 256, heads: int = 8) {
  let n = 3
  part qkv = Linear(d, n * d)
  part out = Linear(d, d)
  batch t causal
  input x(..., t, d)
  let (q, k, v) = qkv(x) |> network { (..., t, (n heads e)) -> (..., (n heads), t, e) }
    |> chunk(n, dim = -3)
  output attention(q, k, v, causal = true)
    |> network { (..., heads, t, e) -> (..., t, (heads e)) } |> out
}

model Block(d: int = 256, heads: int = 8, dense: bool = true) {
  part norm[k in 0..2] = LayerNorm(d)
  part attend = Attention(d, heads)
  part up = if dense then Linear(d, 4 * d)
    else MPO(ins = [16, d // 16], outs = [d // 4, 16], ranks = 16)
  part down = if dense then Linear(4 * d, d)
    else MPO(ins = [16, d // 4], outs = [d // 16, 16], ranks = 16)
  part drop = Dropout(0.1)
  batch t causal
  input x(..., t, d)
  let a = x + drop(attend(norm[0](x)))
  output a + (a |> norm[1] |> up |> gelu |> down |> drop)
}

model Language(depth: int = 3, vocab: int = 500, d: int = 64, dense: bool = true) {
  part embed = Embedding(vocab, d)
  part block[l in 0..depth] = Block(d, 4, dense)
  part head = Linear(d, vocab, bias = false) tie embed
  batch t = 32 causal
  input ids(..., t) int
  output embed(ids) |> repeat l in 0..depth { block[l] } |> head
}

model Basic(c: int = 64) {
  part conv[k in 0..2] = Conv2d(c, c, 3, padding = 1, bias = false)
  part norm[k in 0..2] = BatchNorm2d(c)
  batch h = 28, w = 28
  input x(..., c, h, w)
  output relu(x + (x |> conv[0] |> norm[0] |> relu |> conv[1] |> norm[1]))
}

model Spectrum() {
  batch n
  input x(..., n)
  output irfft(rfft(x), n = 256)
}

model Twice(d: int = 32) {
  part map = Linear(d, d)
  input x(..., d)
  output x |> repeat k in 0..3 { map }
}

model Cell(d: int = 16) {
  part map = Linear(2 * d, d)
  input x(..., d)
  input h(..., d)
  output tanh(map(concat(x, h, dim = -1)))
}

model Steps(d: int = 16) {
  part cell = Cell(d)
  batch t
  input x(..., t, d)
  let (ys, h) = scan(cell, x, zeros((..., d)), dim = -2)
  output ys
}

model GRUCell(d: int = 32, h: int = 64, dense: bool = true) {
  part wx = Linear(d, 3 * h) if dense
  part wh = Linear(h, 3 * h) if dense
  part tx = MPO(ins = [4, 8], outs = [24, 8], ranks = 4) if not dense
  part th = MPO(ins = [8, 8], outs = [24, 8], ranks = 4) if not dense
  input x(..., d)
  input s(..., h)
  let (xr, xz, xn) = chunk(if dense then wx(x) else tx(x), 3, dim = -1)
  let (hr, hz, hn) = chunk(if dense then wh(s) else th(s), 3, dim = -1)
  let z = sigmoid(xz + hz)
  output (1 - z) * tanh(xn + sigmoid(xr + hr) * hn) + z * s
}

model Recurrent(dense: bool = true) {
  part cell = GRUCell(dense = dense)
  batch t
  input x(..., t, 32)
  let (ys, h) = scan(cell, x, zeros((..., 64)), dim = -2)
  output ys
}

model Python() {
  part norm = extern "torch.nn.LayerNorm"([8]) ((..., 8)) -> (..., 8)
  part map = Linear(8, 8)
  batch s, t
  input x(..., s, t, 8)
  output norm(map(x))
}
"""


@pytest.fixture(scope="module")
def spec() -> tncompile.Spec:
    return tncompile.loads(TEXT)


def cost(spec: tncompile.Spec, target: str, batch: int = 4, **sizes: int) -> ModelCost:
    model = spec.instantiate(target)
    assert isinstance(model, tncompile.Model)
    return model.cost(batch, sizes=sizes, search="fast")


CASES: dict[str, tuple[dict[str, int], tuple[int, ...], int]] = {
    "Block": ({"t": 64}, (4, 64, 256), 0),
    "Block(dense = false)": ({"t": 64}, (4, 64, 256), 0),
    "Language(d = 128)": ({"t": 64}, (4, 64), 500),
    "Basic": ({"h": 28, "w": 28}, (4, 64, 28, 28), 0),
    "Recurrent": ({"t": 64}, (4, 64, 32), 0),
    "Recurrent(dense = false)": ({"t": 64}, (4, 64, 32), 0),
}


@pytest.mark.parametrize("target", CASES)
def test_memory_and_operations_are_those_of_torch(spec: tncompile.Spec, target: str) -> None:
    """Within ten percent, forward and in a training step; FLOPs but for attention to the one."""
    sizes, shape, ids = CASES[target]
    figures = cost(spec, target, **sizes)
    model = spec.instantiate(target)
    assert isinstance(model, tncompile.Model)
    module = model.module(seed=0, batch=4, sizes=sizes, search="fast")
    x = torch.randint(0, ids, shape) if ids else torch.randn(shape)
    held = held_bytes([*module.parameters(), *module.buffers(), x])
    assert figures.parameters == sum(each.numel() for each in module.parameters())

    def forward() -> object:
        with torch.no_grad():
            return module(x)

    def step() -> object:
        made = module(x)
        gradient = torch.ones(made.shape)
        made.backward(gradient)
        return made, gradient

    module.eval()
    forward()
    measured = held + peak_allocated(forward)
    assert abs(figures.inference.peak_bytes - measured) <= 0.1 * measured
    with FlopCounterMode(display=False) as counter:
        forward()
    attended = counted_attention(figures.root)
    assert figures.inference.flops - attended == pytest.approx(counter.get_total_flops(), rel=0.02)
    module.train()
    step()
    module.zero_grad(set_to_none=True)
    measured = held + peak_allocated(step)
    assert abs(figures.training.peak_bytes - measured) <= 0.1 * measured


def counted_attention(part: PartCost) -> int:
    """The FLOPs of attention below a part, which torch does not count on a CPU."""
    if part.name == "attend":
        return part.inference.flops - sum(each.inference.flops for each in part.parts)
    return sum(counted_attention(each) for each in part.parts)


def test_parts_add_up(spec: tncompile.Spec) -> None:
    figures = cost(spec, "Language")
    blocks = [part for part in figures.parts if part.name.startswith("block")]
    assert [part.name for part in blocks] == ["block[0]", "block[1]", "block[2]"]
    assert len({(part.inference.flops, part.saved_bytes) for part in blocks}) == 1
    for figures_of in ("inference", "training"):
        flops = [getattr(part, figures_of).flops for part in figures.parts]
        assert getattr(figures, figures_of).flops == sum(flops)
    assert sum(part.share for part in figures.parts) <= 1.0
    assert figures.parameters == sum(part.parameters for part in figures.parts)
    assert figures.root["head"].parameters == 0  # tied
    assert figures.saved_bytes >= sum(part.saved_bytes for part in figures.parts)
    assert figures.root["block[0]"]["drop"].calls == 2


def test_depth_counts(spec: tncompile.Spec) -> None:
    """What twelve blocks add to nine is what three add to none."""
    flops = [cost(spec, f"Language(depth = {depth})").flops for depth in (0, 3, 9, 12)]
    assert flops[1] - flops[0] == flops[3] - flops[2] > 0


def test_a_part_that_is_called_again_counts_again(spec: tncompile.Spec) -> None:
    figures = cost(spec, "Twice", batch=8)
    assert figures.root["map"].calls == 3
    assert figures.flops == 3 * 2 * 8 * 32 * 32
    assert figures.training.flops == 3 * figures.flops - 2 * 8 * 32 * 32  # none of the input
    assert figures.parameters == 32 * 32 + 32


def test_a_cell_counts_for_every_step(spec: tncompile.Spec) -> None:
    once, often = cost(spec, "Steps", t=1), cost(spec, "Steps", t=10)
    assert often.flops == 10 * once.flops == 10 * 2 * 4 * 32 * 16
    assert often.root["cell"].calls == 10
    assert often.root["cell"]["map"].calls == 10
    assert often.parameters == once.parameters


def test_other_sizes_without_planning_anew(
    spec: tncompile.Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = cost(spec, "Language(dense = false)", t=16)
    fresh = cost(spec, "Language(dense = false)", t=48)
    dense = cost(spec, "Language", t=16)
    monkeypatch.setattr(tncompile.Architecture, "plan", None)
    for t in (1, 48, 200):
        assert figures.at(sizes={"t": t}).sizes == {"...": 4, "t": t}
    assert figures.at(sizes={"t": 48}).root["head"] == fresh.root["head"]
    assert figures.at(4) == figures
    assert dense.at(8).inference.flops == 2 * dense.inference.flops


def test_fourier_transforms_count(spec: tncompile.Spec) -> None:
    figures = cost(spec, "Spectrum", batch=2, n=256)
    assert figures.flops == 2 * 2 * round(2.5 * 256 * math.log2(256))


def test_python_is_not_counted(spec: tncompile.Spec) -> None:
    figures = cost(spec, "Python", s=2, t=3)
    assert figures.uncounted == ("torch.nn.LayerNorm",)
    assert not figures.root["norm"].counted
    assert "not counted" in str(figures)
    assert "Not counted: `torch.nn.LayerNorm`" in str(figures)


def test_networks_stand_beside_dense_layers(spec: tncompile.Spec) -> None:
    figures = cost(spec, "Block(dense = false)", t=64)
    up = figures.root["up"]
    assert up.dense is not None
    assert (up.dense.kind, up.dense.flops) == ("nn.Linear", 2 * 256 * 256 * 1024)
    assert up.contraction is not None
    assert "nn.Linear" in str(figures)
    assert figures.root["attend"]["qkv"].dense is None


def test_sizes_that_are_missing_are_named_together(spec: tncompile.Spec) -> None:
    with pytest.raises(ValueError, match="the sizes `s`, `t` of Python are neither given nor usu"):
        cost(spec, "Python")
    with pytest.raises(ValueError, match="the size `t` of Python is neither given nor usual"):
        cost(spec, "Python", s=2)
    with pytest.raises(ValueError, match="`q` is no run-time size of Python"):
        cost(spec, "Python", s=2, t=2, q=3)
    with pytest.raises(ValueError, match="must be positive, it is 0"):
        cost(spec, "Python", s=2, t=0)
    with pytest.raises(ValueError, match="a batch size must be positive, it is 0"):
        cost(spec, "Language", batch=0)
    with pytest.raises(TypeError, match="a batch size is an int"):
        cost(spec, "Language", batch=1.5)  # type: ignore[arg-type]


def test_the_usual_size_is_taken(spec: tncompile.Spec) -> None:
    assert cost(spec, "Language") == cost(spec, "Language", t=32)


def test_requirements_hold_for_costs() -> None:
    spec = tncompile.loads(
        'model M() { batch t require t <= 8, "too long" input x(..., t) output 2 * x }'
    )
    assert cost(spec, "M", t=8).flops == 0
    with pytest.raises(ValueError, match="too long: `t <= 8` is false"):
        cost(spec, "M", t=9)


def test_tables_have_a_hundred_columns(spec: tncompile.Spec) -> None:
    figures = cost(spec, "Language(depth = 12, dense = false)")
    lines = str(figures).splitlines()
    assert max(map(len, lines)) <= 100
    assert any("block[0] … block[11]" in line and "12 × Block" in line for line in lines)
    assert figures._repr_html_().startswith("<pre")
    assert figures.to_dict()["mode"] == "inference"


def test_shares_are_those_of_the_mode(spec: tncompile.Spec) -> None:
    model = spec.instantiate("Block")
    assert isinstance(model, tncompile.Model)
    for training in (False, True):
        figures = model.cost(4, sizes={"t": 16}, training=training, search="fast")
        part, whole = figures.root["up"], figures.figures
        own = part.training if training else part.inference
        assert part.share == pytest.approx(own.seconds / whole.seconds)
        assert isinstance(figures.peak_bytes, int)


def test_values_stay_alive_as_long_as_they_are_read() -> None:
    """A chain holds two values at a time, a name the value to the end."""
    chain = tncompile.loads("model M() { input x(..., 1000) output x |> sin |> cos |> sin |> cos }")
    held = tncompile.loads(
        "model M() { input x(..., 1000) let a = sin(x) output a |> cos |> sin |> cos |> sin }"
    )
    size = 4 * 1000 * 4
    assert cost(chain, "M").inference.peak_bytes == size + 2 * size
    assert cost(held, "M").inference.peak_bytes == size + 3 * size
    x = torch.randn(4, 1000)
    for spec in (chain, held):
        model = spec.instantiate("M")
        module = model.module(seed=0)

        def forward(module: torch.nn.Module = module) -> Tensor:
            with torch.no_grad():
                made: Tensor = module(x)
                return made

        forward()
        assert size + peak_allocated(forward) == cost(spec, "M").inference.peak_bytes


def test_host_and_device_overlap_on_cuda(spec: tncompile.Spec) -> None:
    model = spec.instantiate("Language")
    assert isinstance(model, tncompile.Model)
    figures = model.cost(4, machine="cuda", search="fast")
    assert figures.machine != cost(spec, "Language").machine
    assert sum(part.share for part in figures.parts) <= 1.0
    assert figures.seconds < sum(part.inference.seconds for part in figures.parts)
