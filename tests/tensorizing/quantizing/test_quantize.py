"""Models with quantized weights: values, ties, names, reports, folders, what is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import tncompile
from tncompile.network.packing import Weights


class Net(nn.Module):
    """A tied head, a shared layer, a row of padding, groups, strides and a circular border."""

    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(50, 32, padding_idx=0)
        self.a = nn.Linear(32, 64)
        self.b = self.a
        self.up = nn.Linear(64, 32)
        self.head = nn.Linear(32, 50, bias=False)
        self.head.weight = self.emb.weight
        self.c = nn.Conv2d(3, 16, 3, padding=1, stride=2)
        self.g = nn.Conv1d(16, 32, 5, groups=4, padding_mode="circular", padding=2)
        self.small = nn.Linear(4, 4)

    def forward(self, ids: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        hidden: Tensor = self.up(torch.relu(self.a(self.emb(ids))))
        return self.head(hidden), self.g(self.c(image).flatten(2))


REWRITE = """import "std/linear.tn" { LowRank }
network Table(words: int, features: int) {
  index  v = words, e = features
  bond   r = 12
  input  ids(..., onehot(v))
  tensor A(v, r)
  tensor B(r, e)
  output y(..., e)
}
rewrite Small {
  linear "a" -> LowRank(rank = 8)
  embedding "emb" -> Table(words = 50, features = 32)
}"""


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture(scope="module")
def eight(net: Net) -> tncompile.Tensorized:
    return tncompile.quantize(net, "int8")


def inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(50, (2, 7), generator=generator)
    return ids, torch.randn(2, 3, 8, 8, generator=generator)


def dense(model: nn.Module, names: tuple[str, ...]) -> dict[str, Tensor]:
    """The weights that the layers of a model stand for."""
    return {name: model.get_submodule(name).weight.detach().clone() for name in names}  # type: ignore[union-attr,operator]


@pytest.mark.parametrize(("weights", "worst"), [("int8", 0.02), ("int4", 0.25)])
def test_a_model_computes_with_the_weights_that_its_integers_stand_for(
    net: Net, weights: Weights, worst: float
) -> None:
    done = tncompile.quantize(net, weights)
    plain = copy.deepcopy(net)
    with torch.no_grad():
        for name, weight in dense(done.model, ("emb", "a", "up", "c", "g")).items():
            layer = plain.get_submodule(name)
            assert (weight - layer.weight).norm() < worst * layer.weight.norm()  # type: ignore[operator]
            layer.weight.copy_(weight)  # type: ignore[operator]
    for found, due, first in zip(
        done.model(*inputs()), plain(*inputs()), net(*inputs()), strict=True
    ):
        torch.testing.assert_close(found, due)
        assert (found - first).norm() < worst * first.norm()


def test_names_ties_and_sharing_are_kept(net: Net, eight: tncompile.Tensorized) -> None:
    model = eight.model
    assert model.a is model.b
    assert torch.equal(model.head.weight, model.emb.weight)  # type: ignore[union-attr,arg-type]
    assert torch.equal(model.emb(torch.tensor([0]))[0], net.emb.weight[0])  # type: ignore[operator]
    assert isinstance(model.small, nn.Linear)
    assert not isinstance(net.a, type(model.a))
    keys = model.state_dict()
    assert keys["a.weight_int8"].dtype == torch.int8
    assert torch.equal(keys["a.bias"], net.a.bias)
    assert not model.training
    names = [name for name, _ in model.named_parameters()]
    assert names == ["a.bias", "up.bias", "c.bias", "g.bias", "small.weight", "small.bias"]


def test_the_report_counts_bytes_and_errors(eight: tncompile.Tensorized) -> None:
    report = eight.report
    rows = {row.names[0]: row for row in report.rows}
    assert set(rows) == {"emb", "a", "c", "g", "up"}
    assert rows["a"].names == ("a", "b")
    assert rows["emb"].readers == ("head",)
    assert rows["up"].bytes_before == 4 * (64 * 32 + 32)
    assert rows["up"].bytes_after == 64 * 32 + 4 * (32 + 32)
    assert all(0 < row.error < 0.01 for row in report.rows)
    assert report.before == report.after
    state = eight.model.state_dict()
    skipped = state["emb.padding"].numel() * 4
    shared = sum(t.numel() * t.element_size() for key, t in state.items() if key[:2] == "b.")
    total = sum(t.numel() * t.element_size() for t in state.values())
    assert report.bytes_after == total - skipped - shared
    assert "int8 Dense(" in repr(report)
    assert "head is tied" in repr(report)


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_a_folder_comes_back_to_the_bit(net: Net, weights: Weights, tmp_path: Path) -> None:
    done = tncompile.quantize(net, weights, group=16 if weights == "int4" else None)
    done.save(tmp_path / "small")
    again = tncompile.load_model(tmp_path / "small", model=net)
    for found, due in zip(again(*inputs()), done.model(*inputs()), strict=True):
        assert torch.equal(found, due)
    files = list((tmp_path / "small" / "networks").glob(f"Dense_*_{weights}.py"))
    assert files
    assert all(f"weight_{weights}" in path.read_text("utf-8") for path in files)
    config = json.loads((tmp_path / "small" / "tncompile.json").read_text("utf-8"))
    assert config["quantized"]["a"] == {
        "weights": weights,
        "group": 16 if weights == "int4" else None,
    }


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ([], "is no object"),
        ({"zz": {"weights": "int8", "group": None}}, "names zz, which is not replaced"),
        ({"a": "int8"}, "has no `weights` and `group`"),
        ({"a": {"weights": "int2", "group": None}}, "weights are one of int8, int4"),
        ({"a": {"weights": "int4", "group": "x"}}, "a group is an int"),
        ({"a": {"weights": None, "group": None}}, "names no weights"),
        ({"a": {"weights": "int4", "group": None}}, "does not fit"),
        ({}, "does not fit"),
    ],
)
def test_a_folder_that_says_something_else_is_refused(
    net: Net, entry: object, words: str, tmp_path: Path
) -> None:
    tncompile.quantize(net, "int8", layers="a").save(tmp_path / "small")
    path = tmp_path / "small" / "tncompile.json"
    path.write_text(json.dumps({"version": 1, "model": None, "quantized": entry}), "utf-8")
    with pytest.raises(ValueError, match=words):
        tncompile.load_model(tmp_path / "small", model=net)


def test_factors_of_a_tensorized_model(net: Net, tmp_path: Path) -> None:
    first = tncompile.tensorize(net, tncompile.Rewrite.loads(REWRITE))
    before = {key: tensor.clone() for key, tensor in first.model.state_dict().items()}
    done = tncompile.quantize(first, "int8")
    assert {row.names[0] for row in done.report.rows} == {"emb", "a", "c", "g", "up"}
    for found, due in zip(done.model(*inputs()), first.model(*inputs()), strict=True):
        assert 0 < (found - due).norm() < 0.03 * due.norm()
    assert done.model.a.A_int8.dtype == torch.int8  # type: ignore[union-attr]
    assert torch.equal(done.model.head.weight, done.model.emb.weight)  # type: ignore[union-attr,arg-type]
    rows = {row.names[0]: row.error for row in done.report.rows}
    fitted = {row.names[0]: row.error for row in first.report.rows}
    assert rows["a"] == pytest.approx(fitted["a"], rel=0.01)  # of the first weight
    for key, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, before[key])
    done.save(tmp_path / "small")
    again = tncompile.load_model(tmp_path / "small", model=net)
    for found, due in zip(again(*inputs()), done.model(*inputs()), strict=True):
        assert torch.equal(found, due)
    twice = tncompile.quantize(done, "int4")
    assert twice.report.bytes_after == done.report.bytes_after  # what is quantized stays


def test_patterns_choose_layers(net: Net) -> None:
    done = tncompile.quantize(net, "int8", layers=["a", "u*"])
    assert [row.names[0] for row in done.report.rows] == ["a", "up"]
    mixed = tncompile.quantize(done, "int4", layers="emb")
    kinds = {row.names[0]: row.network.split()[0] for row in mixed.report.rows}
    assert kinds == {"a": "int8", "up": "int8", "emb": "int4"}
    assert tncompile.quantize(net, "int8", layers=[]).report.rows == ()


def test_moments_weigh_the_errors_of_four_bits(net: Net) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 24))
    x = torch.randn(200, 64) * torch.logspace(0, -2, 64)
    moments = tncompile.calibrate(model, [x])
    due = model(x)
    plain = tncompile.quantize(model, "int4", moments=moments).model(x)
    blind = tncompile.quantize(model, "int4").model(x)
    assert (plain - due).norm() < (blind - due).norm()
    with pytest.raises(ValueError, match="moments"):
        tncompile.quantize(net, "int4", moments=moments)


def test_the_dtype_is_that_of_the_layer() -> None:
    model = nn.Sequential(nn.Linear(32, 32), nn.ReLU()).to(torch.bfloat16)
    done = tncompile.quantize(model, "int8")
    assert done.model[0].weight_scale.dtype == torch.bfloat16  # type: ignore[index]
    assert done.model(torch.ones(1, 32, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_what_is_refused(net: Net) -> None:
    with pytest.raises(ValueError, match="weights are one of"):
        tncompile.quantize(net, "int5")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no layer is called z"):
        tncompile.quantize(net, "int8", layers="z*")
    with pytest.raises(TypeError, match="a pattern is a str"):
        tncompile.quantize(net, "int8", layers=[3])  # type: ignore[list-item]
    with pytest.raises(TypeError, match=r"an nn\.Module or a Tensorized, not str"):
        tncompile.quantize("net", "int8")  # type: ignore[arg-type]
    broken = copy.deepcopy(net)
    broken.up.weight.data[3, 3] = torch.nan
    with pytest.raises(ValueError, match="up: 'weight' has entries that are not finite"):
        tncompile.quantize(broken, "int8")


def test_a_folder_that_transformers_loads(tmp_path: Path) -> None:
    import transformers

    config = transformers.GPT2Config(
        n_embd=32,
        n_layer=1,
        n_head=2,
        vocab_size=64,
        n_positions=16,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    ids = torch.arange(9).unsqueeze(0)
    done = tncompile.quantize(model, "int4", group=16)
    assert {row.kind for row in done.report.rows} == {"conv1d", "embedding"}
    done.save(tmp_path / "small")
    again = tncompile.load_model(tmp_path / "small").eval()
    assert torch.equal(again(ids).logits, done.model(ids).logits)


def test_what_a_rewrite_kept_is_kept_no_more() -> None:
    model = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64))
    text = (
        'import "std/linear.tn" { LowRank }'
        ' rewrite S { linear "0" -> keep linear "1" -> LowRank(rank = 8) }'
    )
    done = tncompile.tensorize(model, tncompile.Rewrite.loads(text))
    assert done.report.kept == ("0",)
    assert repr(done) == "Tensorized(Sequential, 1 layer replaced, 5,248 of 8,320 parameters)"
    assert tncompile.quantize(done, "int8").report.kept == ()
    assert tncompile.quantize(done, "int8", layers="1").report.kept == ("0",)
