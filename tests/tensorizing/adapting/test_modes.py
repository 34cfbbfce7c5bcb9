"""What models are used with: compilers, autocast, copies, processes, torch's own fast paths."""

from __future__ import annotations

import copy
import io
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import tncompile
from tests.tensorizing.adapting.models import IDS, LAYERS, disturb, mixed

ROOT = Path(__file__).parents[3]


@pytest.fixture
def adapted() -> tncompile.Adapted:
    """All kinds of layers with a network that does something."""
    model = mixed()
    found = tncompile.adapt(model, rank=2, target_modules=LAYERS, alpha=3)
    disturb(model)
    return found


def gradients(model: nn.Module, loss: torch.Tensor) -> list[torch.Tensor]:
    """Those of all that is trained."""
    return [*torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad])]


def test_compiled_in_one_graph(adapted: tncompile.Adapted) -> None:
    model = adapted.model
    due = model(IDS)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(IDS), due)
    for ours, theirs in zip(
        gradients(model, compiled(IDS).square().sum()),
        gradients(model, due.square().sum()),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)
    with adapted.disable():
        torch.testing.assert_close(compiled(IDS), model(IDS))


def test_autocast(adapted: tncompile.Adapted) -> None:
    model = adapted.model
    due = model(IDS)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(IDS)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), due, rtol=0.05, atol=0.05)
    assert all(g.dtype == torch.float32 for g in gradients(model, found.float().sum()))


def test_copies_and_pickles(adapted: tncompile.Adapted) -> None:
    due = adapted.model(IDS)
    again = copy.deepcopy(adapted)
    stream = io.BytesIO()
    torch.save(adapted.model, stream)
    stream.seek(0)
    adapted.unload()
    for model in (again.model, torch.load(stream, weights_only=False)):
        assert torch.equal(model(IDS), due)
        plain = tncompile.Adapted(model).unload()
        assert torch.equal(plain(IDS), adapted.model(IDS))
        assert type(plain.up) is nn.Linear


def test_a_fresh_process_unpickles_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer = tncompile.from_linear(nn.Linear(8, 8), "LowRank", rank=3)  # of a class of its own
    model = nn.Sequential(layer, nn.Linear(8, 8))
    tncompile.adapt(model, "MPO", ranks=2, target_modules=["0", "1"])
    disturb(model)
    x = torch.ones(2, 8)
    torch.save((model, x, model(x).detach()), tmp_path / "model.pt")
    script = (
        "import torch\n"
        "model, x, y = torch.load('model.pt', weights_only=False)\n"
        "assert torch.equal(model(x), y)\n"
        "import tncompile\n"
        "plain = tncompile.Adapted(model).unload()\n"
        "assert not torch.equal(plain(x), y)\n"
    )
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()


def test_checkpointing(adapted: tncompile.Adapted) -> None:
    model = adapted.model
    due = gradients(model, model(IDS).square().sum())
    found = gradients(model, checkpoint(model, IDS, use_reentrant=False).square().sum())
    for ours, theirs in zip(found, due, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_encoders_of_torch_hear_their_adapters() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    model = nn.TransformerEncoder(layer, 2).eval()
    x = torch.randn(2, 5, 16)
    mask = torch.tensor([[False] * 4 + [True], [False] * 5])
    with torch.no_grad():
        before = model(x, src_key_padding_mask=mask)
    adapted = tncompile.adapt(model, rank=2)
    assert len(adapted.trainable.rows) == 4
    disturb(model)
    with torch.no_grad():
        found = model(x, src_key_padding_mask=mask)
    torch.testing.assert_close(found, model(x, src_key_padding_mask=mask))
    assert not torch.allclose(found, before)
    adapted.unload()
    with torch.no_grad():
        assert torch.equal(model(x, src_key_padding_mask=mask), before)
    assert model.use_nested_tensor
    assert model.layers[0].activation_relu_or_gelu == 1


class Int8(nn.Module):
    """A linear layer that keeps its weight in whole numbers."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        scale = layer.weight.detach().abs().amax(1, keepdim=True) / 127
        self.register_buffer("weight", (layer.weight / scale).round().to(torch.int8))
        self.register_buffer("scale", scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self.weight.to(x.dtype) * self.scale)


def test_beside_a_quantized_layer() -> None:
    model, x = nn.Sequential(Int8(nn.Linear(16, 8)), nn.ReLU()), torch.randn(3, 16)
    before = model(x)
    adapted = tncompile.adapt(model, "MPO", ranks=2, target_modules=["0"])
    assert torch.equal(model(x), before)
    disturb(model)
    torch.testing.assert_close(
        model(x), functional.relu(Int8.forward(model[0], x) + model[0].adapter["default"](x))
    )
    for merge in (adapted.merge, adapted.merge_and_unload):
        with pytest.raises(ValueError, match="0: Int8 has no dense weight"):
            merge()
    adapted.unload()
    assert torch.equal(model(x), before)
    assert type(model[0]) is Int8


def test_beside_a_network() -> None:
    small = tncompile.from_linear(nn.Linear(16, 8), "LowRank", rank=2)
    model, x = nn.Sequential(small), torch.randn(3, 16)
    before = model(x)
    tncompile.adapt(model, "MPO", ranks=2, target_modules=["0"])
    assert torch.equal(model(x), before)
    disturb(model)
    assert not torch.equal(model(x), before)
    assert not model[0].A.requires_grad


def test_a_layer_whose_forward_was_replaced_by_a_tool() -> None:
    layer, x = nn.Linear(4, 4), torch.randn(3, 4)
    old = layer.forward
    layer.forward = lambda x: old(x) + 1
    before = layer(x)
    adapted = tncompile.adapt(layer, rank=2)
    assert torch.equal(layer(x), before)
    disturb(layer)
    torch.testing.assert_close(layer(x), before + layer.adapter["default"](x))
    adapted.unload()
    assert torch.equal(layer(x), before)


def test_dropout_is_of_inputs_while_training() -> None:
    layer, x = nn.Linear(64, 4), torch.ones(50, 64)
    tncompile.adapt(layer, rank=2, dropout=0.5)
    disturb(layer)
    assert torch.equal(layer.train(False)(x), layer(x))
    first, second = layer.train()(x), layer(x)
    assert not torch.equal(first, second)


def test_inputs_by_name_and_without_a_batch(adapted: tncompile.Adapted) -> None:
    model = adapted.model
    x = torch.randn(8)
    assert torch.equal(model.up(input=x), model.up(x))
    assert model.conv(torch.randn(8, 5)).shape == (8, 5)
