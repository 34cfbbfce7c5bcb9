"""Models of transformers: folders in, folders that transformers itself loads out.

They are skipped where transformers, an extra, is not installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

import tncompile
import tncompile.transformers
from tests.tensorizing.replacing.models import rewrite_text
from tncompile.tensorizing.storing import read_tensors, write_tensors

pytestmark = pytest.mark.filterwarnings("ignore")

SIZES: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
HEADS: dict[str, Any] = {**SIZES, "num_key_value_heads": 1, "max_position_embeddings": 32}
PARTS: dict[str, Any] = {"num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0}

RANKS = 'embedding "*" -> TTEmbedding(ranks = 3) linear "*" -> LowRank(rank = 4)'
EXPERTS = 'parameter "*.experts.*" -> Experts(shape[0], shape[1], shape[2], rank = 3) '

MODELS: dict[str, tuple[str, Callable[[], Any], str]] = {
    "BERT": (
        "AutoModelForMaskedLM",
        lambda: transformers.BertForMaskedLM(transformers.BertConfig(**SIZES)),
        RANKS,
    ),
    "GPT-2": (
        "AutoModelForCausalLM",
        lambda: transformers.GPT2LMHeadModel(
            transformers.GPT2Config(
                **{**SIZES, "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 32}
            )
        ),
        'embedding "*.wte" -> TTEmbedding(ranks = 3) conv1d "*" -> LowRank(rank = 4)',
    ),
    "Llama": (
        "AutoModelForCausalLM",
        lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**HEADS)),
        RANKS,
    ),
    "ViT": (
        "AutoModelForImageClassification",
        lambda: transformers.ViTForImageClassification(
            transformers.ViTConfig(**{**SIZES, "image_size": 16, "patch_size": 4})
        ),
        'conv "*" -> Tucker2Conv(in_rank = 3, out_rank = 4) linear "*" -> LowRank(rank = 4)',
    ),
    "Mixtral": (
        "AutoModelForCausalLM",
        lambda: transformers.MixtralForCausalLM(
            transformers.MixtralConfig(**{**HEADS, "num_local_experts": 4})
        ),
        EXPERTS + RANKS,
    ),
    "Qwen3-MoE, tied": (
        "AutoModelForCausalLM",
        lambda: transformers.Qwen3MoeForCausalLM(
            transformers.Qwen3MoeConfig(
                **HEADS,
                moe_intermediate_size=24,
                num_experts=4,
                num_experts_per_tok=2,
                tie_word_embeddings=True,
            )
        ),
        EXPERTS + RANKS,
    ),
    "T5": (
        "AutoModelForSeq2SeqLM",
        lambda: transformers.T5ForConditionalGeneration(
            transformers.T5Config(vocab_size=60, d_model=16, d_kv=8, d_ff=32, **PARTS)
        ),
        'embedding "shared" -> TTEmbedding(ranks = 3) linear "*" -> LowRank(rank = 4)',
    ),
    "Pegasus": (  # a table under three names, with a row of padding
        "AutoModelForSeq2SeqLM",
        lambda: transformers.PegasusForConditionalGeneration(
            transformers.PegasusConfig(
                vocab_size=60,
                d_model=16,
                encoder_layers=1,
                decoder_layers=1,
                encoder_attention_heads=2,
                decoder_attention_heads=2,
                encoder_ffn_dim=24,
                decoder_ffn_dim=24,
                max_position_embeddings=32,
            )
        ),
        'embedding "*.shared" -> TTEmbedding(ranks = 3) linear "*_proj" -> LowRank(rank = 4)',
    ),
}


def run(model: Any) -> torch.Tensor:
    """What a model says of some inputs."""
    ids = torch.arange(3, 15).reshape(2, 6)
    inputs: dict[str, torch.Tensor] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if model.main_input_name == "pixel_values":
        inputs = {"pixel_values": torch.linspace(-1, 1, 1536).reshape(2, 3, 16, 16)}
    elif model.config.is_encoder_decoder:
        inputs |= {"decoder_input_ids": ids}
    with torch.no_grad():
        out: torch.Tensor = model(**inputs)[0]
    return out


def made(name: str) -> Any:
    """A model with random weights, the plain vectors too."""
    torch.manual_seed(0)
    model = MODELS[name][1]().eval()
    for parameter in model.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter)
    return model


def tensorized(model: nn.Module, lines: str) -> tncompile.Tensorized:
    return tncompile.tensorize(model, tncompile.Rewrite.loads(rewrite_text(lines)))


@pytest.mark.parametrize("name", MODELS)
def test_a_folder_becomes_one_that_transformers_loads(name: str, tmp_path: Path) -> None:
    auto, _, lines = MODELS[name]
    original = made(name)
    original.save_pretrained(tmp_path / "dense", max_shard_size="8kB")
    (tmp_path / "dense" / "tokenizer.json").write_text("{}", "utf-8")
    dense = tncompile.load_model(tmp_path / "dense")
    assert torch.equal(run(dense), run(original))
    done = tensorized(dense, lines)
    reference = run(done.model)
    assert not torch.allclose(reference, run(original))
    done.save(tmp_path / "small")
    assert (tmp_path / "small" / "tokenizer.json").is_file()
    assert torch.equal(run(tncompile.load_model(tmp_path / "small")), reference)
    read, told = getattr(transformers, auto).from_pretrained(
        tmp_path / "small", output_loading_info=True
    )
    assert not any(told[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert torch.equal(run(read), reference)
    assert list(read.state_dict()) == list(done.model.state_dict())
    if read.can_generate():
        ids = torch.arange(3, 9).reshape(1, 6)
        calls = [each.generate(ids, max_new_tokens=4, do_sample=False) for each in (read, dense)]
        assert calls[0].shape[1] > 1
        assert read.generation_config.to_dict() == dense.generation_config.to_dict()  # type: ignore[operator,union-attr]
    read.save_pretrained(tmp_path / "again")
    again = getattr(transformers, auto).from_pretrained(tmp_path / "again")
    assert torch.equal(run(again), reference)
    again.tie_weights()
    assert torch.equal(run(again), reference)


@pytest.mark.parametrize("name", ["BERT", "GPT-2", "Mixtral"])
def test_the_base_of_a_model_with_a_head_and_the_reverse(name: str, tmp_path: Path) -> None:
    auto, _, lines = MODELS[name]
    model = made(name)
    done = tensorized(model, lines)
    done.save(tmp_path / "small")
    base = transformers.AutoModel.from_pretrained(tmp_path / "small")
    ids = torch.arange(3, 15).reshape(2, 6)
    own = getattr(done.model, model.base_model_prefix)
    with torch.no_grad():
        assert torch.equal(base(input_ids=ids)[0], own(input_ids=ids)[0])
    base.save_pretrained(tmp_path / "base")
    headed, told = getattr(transformers, auto).from_pretrained(
        tmp_path / "base", output_loading_info=True
    )
    assert all(key.startswith(("cls.", "lm_head.")) for key in told["missing_keys"])
    inner = getattr(headed, model.base_model_prefix)
    with torch.no_grad():
        assert torch.equal(inner(input_ids=ids)[0], own(input_ids=ids)[0])


def test_a_new_head_starts_as_in_a_dense_model(tmp_path: Path) -> None:
    """A part of T5 that another one initializes, which has no parameters of its own."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 60, "d_model": 64, "d_kv": 8, "d_ff": 32, **PARTS}
    base = transformers.T5Model(transformers.T5Config(**sizes)).eval()
    tensorized(base, 'linear "*.wi" -> LowRank(rank = 4)').save(tmp_path / "small")
    made = transformers.T5ForSequenceClassification.from_pretrained(tmp_path / "small")
    spread = float(made.classification_head.dense.weight.std())
    assert spread == pytest.approx(64**-0.5, rel=0.1)


@pytest.mark.parametrize("whole", [False, True], ids=["networks", "dense"])
@pytest.mark.parametrize("name", ["T5", "Pegasus"])
def test_tied_tables_of_integers(name: str, whole: bool, tmp_path: Path) -> None:
    auto, _, lines = MODELS[name]
    model = made(name)
    small = tncompile.quantize(model if whole else tensorized(model, lines), "int8")
    small.save(tmp_path / "small")
    read, told = getattr(transformers, auto).from_pretrained(
        tmp_path / "small", output_loading_info=True
    )
    assert not any(told[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert torch.equal(run(read), run(small.model))
    read.save_pretrained(tmp_path / "again")
    again = getattr(transformers, auto).from_pretrained(tmp_path / "again")
    assert torch.equal(run(again), run(small.model))


def test_dtypes_are_kept_and_may_be_asked_for(tmp_path: Path) -> None:
    made("GPT-2").to(torch.bfloat16).save_pretrained(tmp_path / "dense")
    dense = tncompile.load_model(tmp_path / "dense")
    done = tensorized(dense, MODELS["GPT-2"][2])
    done.model.transformer.ln_f.float()  # type: ignore[union-attr,operator]
    done.save(tmp_path / "small")
    read = tncompile.load_model(tmp_path / "small")
    dtypes = {key: value.dtype for key, value in read.state_dict().items()}
    assert dtypes == {key: value.dtype for key, value in done.model.state_dict().items()}
    assert set(dtypes.values()) == {torch.bfloat16, torch.float32}
    half = transformers.AutoModel.from_pretrained(tmp_path / "small", dtype=torch.float16)
    assert {p.dtype for p in half.parameters()} == {torch.float16}
    assert {p.device.type for p in half.parameters()} == {"cpu"}


def test_a_fresh_process_needs_one_import(tmp_path: Path) -> None:
    done = tensorized(made("Llama"), RANKS)
    done.save(tmp_path / "small")
    code = (
        "import sys, torch, tncompile.transformers\n"
        "from transformers import AutoModelForCausalLM\n"
        "model = AutoModelForCausalLM.from_pretrained(sys.argv[1])\n"
        "out = model(torch.arange(3, 15).reshape(2, 6)).logits.double().sum().item()\n"
        "print(out, type(model.model.layers[0].mlp.up_proj).__name__)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "small")],
        capture_output=True,
        text=True,
        check=True,
    )
    total, kind = ran.stdout.split()
    assert float(total) == pytest.approx(run(done.model).double().sum().item(), rel=1e-5)
    assert kind.startswith("LowRank")


def _edited(path: Path, **change: object) -> None:
    config = json.loads(path.read_text("utf-8"))
    config["quantization_config"] |= change
    path.write_text(json.dumps(config), "utf-8")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "is not that of tncompile 1"),
        ({"networks": 3}, "is not that of tncompile 1"),
        ({"networks": "import os"}, "TN101"),
        ({"networks": 'rewrite R { linear "nowhere" -> keep }'}, "TN701"),
        ({"networks": 'import "/etc/passwd" rewrite R { any "*" -> keep }'}, "TN2"),
    ],
)
def test_hostile_networks_give_one_message(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    tensorized(made("Llama"), RANKS).save(tmp_path / "small")
    _edited(tmp_path / "small" / "config.json", **change)
    with pytest.raises(ValueError, match=words):
        tncompile.load_model(tmp_path / "small")


def test_a_huge_network_is_refused(tmp_path: Path) -> None:
    tensorized(made("Llama"), RANKS).save(tmp_path / "small")
    path = tmp_path / "small" / "config.json"
    text = path.read_text("utf-8")
    assert "rank = 4" in text
    path.write_text(text.replace("rank = 4", "rank = 1000000000"), "utf-8")
    with pytest.raises(ValueError, match="is larger than all of the weights"):
        tncompile.load_model(tmp_path / "small")


@pytest.mark.parametrize(
    ("architectures", "words"),
    [
        (["pipeline"], "is a pipeline, which transformers itself has no class for"),
        (["os.system"], "has no class for"),
        ([3], "has no class for"),
        ("BertModel", "has no class for"),
        (["BertConfig"], "has no class for"),
    ],
)
def test_architectures_that_are_none(tmp_path: Path, architectures: object, words: str) -> None:
    made("Llama").save_pretrained(tmp_path / "dense")
    path = tmp_path / "dense" / "config.json"
    config = json.loads(path.read_text("utf-8")) | {"architectures": architectures}
    path.write_text(json.dumps(config), "utf-8")
    with pytest.raises(ValueError, match=words):
        tncompile.load_model(tmp_path / "dense")


def test_missing_weights_are_not_random(tmp_path: Path) -> None:
    model = made("BERT")
    model.bert.save_pretrained(tmp_path / "dense")
    path = tmp_path / "dense" / "config.json"
    text = path.read_text("utf-8").replace("BertModel", "BertForMaskedLM")
    path.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=r"has no cls\.predictions.*, which would be random"):
        tncompile.load_model(tmp_path / "dense")


@pytest.mark.parametrize("dense", [True, False])
def test_weights_of_another_shape_are_named(tmp_path: Path, dense: bool) -> None:
    model = made("BERT")
    if dense:
        model.save_pretrained(tmp_path / "model")
    else:
        tensorized(model, RANKS).save(tmp_path / "model")
    path = tmp_path / "model" / "model.safetensors"
    state, metadata = read_tensors(path)
    key = min(state)
    write_tensors(path, {**state, key: torch.zeros(3, 3, 3)}, metadata)
    with pytest.raises(ValueError, match=rf"has {key} of the shape \(3, 3, 3\), and .* in its"):
        tncompile.load_model(tmp_path / "model")


def test_scaled_tables_stay_what_they_are() -> None:
    config = transformers.BartConfig(
        vocab_size=60,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=32,
        scale_embedding=True,
    )
    torch.manual_seed(0)
    model = transformers.BartForConditionalGeneration(config).eval()
    lines = 'parameter "model.shared.weight" -> LowRank(16, 60, rank = 16, with_bias = false)'
    done = tensorized(model, lines)
    torch.testing.assert_close(run(done.model), run(model), atol=1e-4, rtol=1e-4)
    with pytest.raises(tncompile.CompileError, match="TN701"):
        tensorized(model, 'embedding "model.encoder.embed_tokens" -> TTEmbedding')
