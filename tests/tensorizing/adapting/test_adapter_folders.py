"""Adapters in folders: whole or not at all, read without trust, and as LoRA."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import tncompile
from tests.tensorizing.adapting.models import IDS, LAYERS, copied, disturb, equal, mixed, stack
from tests.tensorizing.adapting.test_starts import SYMMETRIC
from tncompile.tensorizing.adapting import folders

FILES = ["adapter.json", "adapter.safetensors", "adapter.tn"]


@pytest.fixture(scope="module")
def adapted() -> tncompile.Adapted:
    """An adapter of every kind of layer, and a module trained whole."""
    model = mixed()
    found = tncompile.adapt(
        model,
        rank=2,
        rank_pattern={"up": 3},
        target_modules=LAYERS,
        modules_to_save=["norm"],
        alpha=3,
        dropout=0.1,
    )
    disturb(model)
    return found


@pytest.fixture
def folder(adapted: tncompile.Adapted, tmp_path: Path) -> Path:
    """It in a folder."""
    adapted.save(tmp_path / "out")
    return tmp_path / "out"


def test_it_is_read_as_it_was_written(adapted: tncompile.Adapted, folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == FILES
    model = mixed()
    before = copied(model)
    again = tncompile.load_adapter(model, folder, name="again")
    assert torch.equal(model(IDS), adapted.model(IDS))
    assert equal(dict(again.state_dict()), dict(adapted.state_dict()))
    assert [row[0] for row in again.trainable.rows] == [row[0] for row in adapted.trainable.rows]
    assert again.trainable.parameters == adapted.trainable.parameters
    assert model.up._adapters["again"].dropout == 0.1
    again.save(folder.parent / "second")
    for name in FILES[::2]:
        assert (folder / name).read_bytes() == (folder.parent / "second" / name).read_bytes()
    again.unload()
    assert equal(copied(model), before)


@pytest.mark.parametrize("block", ["MPO", "Symmetric"])
def test_other_networks_are_read_as_they_were_written(block: str, tmp_path: Path) -> None:
    symmetric = tncompile.loads(SYMMETRIC)["Symmetric"]
    arguments = {"MPO": {"ranks": 2}, "Symmetric": {"n": 16, "r": 2}}[block]
    made = symmetric if block == "Symmetric" else block
    model = stack(layers=1)
    adapted = tncompile.adapt(model, made, target_modules=["q"], **arguments)
    disturb(model)
    adapted.save(tmp_path / "out")
    other = stack(layers=1)
    tncompile.load_adapter(other, tmp_path / "out")
    x = torch.randn(3, 16)
    assert torch.equal(model[0][0]["q"](x), other[0][0]["q"](x))


def test_what_is_there_is_not_overwritten(adapted: tncompile.Adapted, folder: Path) -> None:
    for write in (adapted.save, adapted.to_peft):
        with pytest.raises(ValueError, match="is there already"):
            write(folder)


def test_nothing_is_half_written(
    adapted: tncompile.Adapted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(folders, "require_same", fail)
    with pytest.raises(OSError, match="disk is full"):
        adapted.save(tmp_path / "out")
    assert not [*tmp_path.iterdir()]


def change(folder: Path, **values: object) -> None:
    """Other entries in the JSON of a folder."""
    path = folder / "adapter.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def up(folder: Path, **values: object) -> None:
    """Another entry of one layer."""
    layers = json.loads((folder / "adapter.json").read_text())["layers"]
    change(folder, layers={**layers, "up": {**layers["up"], **values}})


def tensors(folder: Path, **values: torch.Tensor | None) -> None:
    """Other tensors."""
    path = folder / "adapter.safetensors"
    state = {**load_file(path), **values}
    save_file({key: tensor for key, tensor in state.items() if tensor is not None}, path)


HOSTILE = {
    "no JSON": (lambda f: (f / "adapter.json").write_text("{"), "is no JSON"),
    "nested": (lambda f: (f / "adapter.json").write_text("[" * 100_000), "is no JSON"),
    "version": (lambda f: change(f, version=9), "of version 1"),
    "no layers": (lambda f: change(f, layers={}), "names no layers"),
    "a layer that is none": (
        lambda f: change(f, layers={"x": {"network": "Adapter_1", "scale": 1, "dropout": 0}}),
        "match no layer|no layer 'x'",
    ),
    "no network": (lambda f: up(f, network=3), "names no network for up"),
    "another network": (lambda f: up(f, network="Adapter_9"), "has no network 'Adapter_9'"),
    "one that does not fit": (lambda f: up(f, network="Adapter_1"), "up: .*is no map like"),
    "a scale": (lambda f: up(f, scale="1"), "no scale and no dropout for up"),
    "NaN": (lambda f: up(f, scale=float("nan")), "no scale and no dropout for up"),
    "dropout": (lambda f: up(f, dropout=1), "no scale and no dropout for up"),
    "modules": (lambda f: change(f, modules_to_save=["nothing"]), "no module is called"),
    "a module of another name": (lambda f: change(f, modules_to_save=["up"]), "up"),
    "names": (lambda f: change(f, modules_to_save=[3]), "are no names"),
    "no tensors": (lambda f: (f / "adapter.safetensors").unlink(), "has no adapter.safetensors"),
    "pickle": (
        lambda f: (f / "adapter.safetensors").write_bytes(b"\x80\x04."),
        "no whole file of safetensors",
    ),
    "a tensor less": (lambda f: tensors(f, **{"up.A": None}), "lacks up.A"),
    "a tensor more": (lambda f: tensors(f, x=torch.ones(1)), "x in .* belongs to nothing"),
    "a shape": (lambda f: tensors(f, **{"up.A": torch.ones(2, 2)}), "up.A in .* not"),
    "numbers": (lambda f: tensors(f, **{"up.A": torch.full((8, 3), torch.nan)}), "not finite"),
    "whole numbers": (
        lambda f: tensors(f, **{"up.A": torch.ones(8, 3, dtype=torch.int8), "up.B": None}),
        "torch.int8|lacks",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_wrong_with_a_folder_is_one_message(case: str, folder: Path) -> None:
    spoil, message = HOSTILE[case]
    spoil(folder)
    model = mixed()
    state = copied(model)
    with pytest.raises(ValueError, match=message):
        tncompile.load_adapter(model, folder)
    assert equal(copied(model), state)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_texts_are_compiled_and_never_run(folder: Path) -> None:
    (folder / "adapter.tn").write_text("import os")
    with pytest.raises(tncompile.CompileError):
        tncompile.load_adapter(mixed(), folder)
    (folder / "adapter.tn").write_text('import "../secret.tn" { X }')
    with pytest.raises(tncompile.CompileError):
        tncompile.load_adapter(mixed(), folder)


def test_networks_are_no_larger_than_what_is_stored(folder: Path) -> None:
    text = (folder / "adapter.tn").read_text().replace("rank = 3,", "rank = 10000000,")
    text = text.replace("rank = 3)", "rank = 10000000)")
    (folder / "adapter.tn").write_text(text)
    with pytest.raises(ValueError, match="larger than all of adapter"):
        tncompile.load_adapter(mixed(), folder)


def test_low_rank_as_lora(adapted: tncompile.Adapted, tmp_path: Path) -> None:
    adapted.to_peft(tmp_path / "lora", base="a/model")
    config = json.loads((tmp_path / "lora" / "adapter_config.json").read_text())
    assert config["peft_type"] == "LORA"
    assert config["base_model_name_or_path"] == "a/model"
    assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (2, 3, 0.1)
    assert config["rank_pattern"] == {"^up": 3}
    assert config["target_modules"] == LAYERS
    assert config["modules_to_save"] == ["norm"]
    assert config["fan_in_fan_out"] is True
    state = load_file(tmp_path / "lora" / "adapter_model.safetensors")
    model = adapted.model
    for layer in LAYERS:
        module = model.get_submodule(layer)
        weight = module.weight.clone()
        adapted.merge()
        changed = module.weight - weight
        adapted.unmerge()
        start = f"base_model.model.{layer}"
        scale = 3 / config["rank_pattern"].get(f"^{layer}", 2)
        if layer == "embed":
            a, b = state[f"{start}.lora_embedding_A"], state[f"{start}.lora_embedding_B"]
            found = (b @ a).mT
        else:
            a, b = state[f"{start}.lora_A.weight"], state[f"{start}.lora_B.weight"]
            found = (b.flatten(1) @ a.flatten(1)).reshape(len(b), *a.shape[1:])
            found = found.mT if layer == "down" else found
        torch.testing.assert_close(found * scale, changed, atol=1e-6, rtol=1e-5)
    assert torch.equal(state["base_model.model.norm.weight"], model.norm.weight)


def test_other_networks_as_lora_where_their_rank_is_low(tmp_path: Path) -> None:
    model = stack(layers=1)
    adapted = tncompile.adapt(
        model, "Tucker", in_ranks=2, out_ranks=2, ins=[4, 4], outs=[2, 4], target_modules=["v"]
    )
    disturb(model)
    with pytest.raises(ValueError, match=r"0\.0\.v: Tucker.* is no matrix of low rank by itself"):
        adapted.to_peft(tmp_path / "lora")
    with pytest.raises(ValueError, match=r"0\.0\.v: its rank is 4; with rank 3 a part of"):
        adapted.to_peft(tmp_path / "lora", rank=3)
    assert not [*tmp_path.iterdir()]
    adapted.to_peft(tmp_path / "lora", rank=8)
    state = load_file(tmp_path / "lora" / "adapter_model.safetensors")
    a, b = (state[f"base_model.model.0.0.v.lora_{key}.weight"] for key in "AB")
    assert a.shape == (4, 16)
    weight = model[0][0]["v"].weight.clone()
    adapted.merge()
    torch.testing.assert_close(b @ a, model[0][0]["v"].weight - weight)


def test_names_that_end_others_are_written_as_a_pattern(tmp_path: Path) -> None:
    model = nn.ModuleDict({"q": nn.Linear(4, 4), "in": nn.ModuleDict({"q": nn.Linear(4, 4)})})
    tncompile.adapt(model, rank=2, target_modules="q").to_peft(tmp_path / "lora")
    config = json.loads((tmp_path / "lora" / "adapter_config.json").read_text())
    assert config["target_modules"] == "q"


@pytest.mark.filterwarnings(
    "ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"
)  # PEFT asks
def test_peft_reads_it(tmp_path: Path) -> None:
    """It runs where transformers and PEFT are installed."""
    transformers = pytest.importorskip("transformers")
    peft = pytest.importorskip("peft")
    os.environ["HF_HUB_OFFLINE"] = "1"
    sizes = {"vocab_size": 20, "n_positions": 16, "n_embd": 8, "n_layer": 2, "n_head": 2}
    special = {"bos_token_id": 0, "eos_token_id": 0}

    def make() -> nn.Module:
        torch.manual_seed(0)
        config = transformers.GPT2Config(**sizes, **special)
        return transformers.GPT2LMHeadModel(config).eval()

    model, ids = make(), torch.arange(10).reshape(2, 5)
    adapted = tncompile.adapt(model, target_modules=["c_attn", "c_fc", "wte"], rank=3, alpha=6)
    assert torch.equal(model(ids).logits, make()(ids).logits)
    disturb(model)
    adapted.to_peft(tmp_path / "lora")
    theirs = peft.PeftModel.from_pretrained(make(), tmp_path / "lora")
    torch.testing.assert_close(theirs(ids).logits, model(ids).logits)
    settings = {"max_new_tokens": 4, "do_sample": False, "pad_token_id": 0}
    assert torch.equal(model.generate(ids, **settings), theirs.generate(input_ids=ids, **settings))
