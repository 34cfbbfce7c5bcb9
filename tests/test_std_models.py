"""The models of the library: each against a twin in plain torch, and as torch's tools take it."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor, nn

import tncompile
from tests.models.test_acceptance import Reading, close, flat, generator, randomize
from tests.std import encoders, images, matrices, others, tables, transformers
from tests.std.case import Case
from tests.test_std import name

FOLDERS = (transformers, encoders, images, others, tables, matrices)
CASES = tuple(case for folder in FOLDERS for case in folder.CASES)
LAYERS = ("linear", "embedding")
"""Files whose models stand for a layer, and have its sizes; the others are networks."""

FILES = tuple(dict.fromkeys(case.file for case in CASES if case.file not in LAYERS))
"""Those of models."""

tried = pytest.mark.parametrize("case", CASES, ids=lambda case: case.target)


@cache
def spec(file: str) -> tncompile.Spec:
    return tncompile.load(f"std/{file}.tn")


@cache
def made(case: Case) -> nn.Module:
    """The module of a case in evaluation, of random entries; checked to be without warnings."""
    program = tncompile.loads(case.text) if case.text else spec(case.file)
    architecture = program.instantiate("Mine" if case.text else case.target)
    assert architecture.warnings == ()
    module = architecture.module(dtype=torch.float64, seed=0, search="fast").eval()
    randomize(module, generator(0))
    return module


@tried
def test_values_and_keys_are_those_of_the_twin(case: Case) -> None:
    module = made(case)
    for sizes in ({}, dict(case.loose)):
        inputs = case.inputs(generator(1), **sizes)
        state = Reading(module.state_dict())
        due = flat(case.twin(state, *inputs))
        close(flat(module(*inputs)), due, 1e-9)
        assert {key for key in state if not key.endswith("num_batches_tracked")} == state.read


@tried
def test_gradients_are_those_of_the_twin(case: Case) -> None:
    module = made(case)
    inputs = [
        x.requires_grad_() if x.is_floating_point() or x.is_complex() else x
        for x in case.inputs(generator(1))
    ]
    trained = {key: p for key, p in module.named_parameters() if p.requires_grad}
    frozen = [key for key, p in module.named_parameters() if not p.requires_grad]
    assert all(key.startswith(case.frozen or ("-",)) for key in frozen)
    assert not any(key.startswith(case.frozen or ("-",)) for key in trained)
    leaves = [*(x for x in inputs if x.requires_grad), *trained.values()]
    if not leaves:
        return

    def gradients(results: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
        drawn, total = generator(3), torch.zeros((), dtype=torch.float64)
        for each in results:
            parts = torch.view_as_real(each) if each.is_complex() else each
            weights = torch.randn(parts.shape, generator=drawn, dtype=torch.float64)
            total = total + (parts * weights).sum()
        return torch.autograd.grad(total, leaves, allow_unused=True)

    due = gradients(flat(case.twin(module.state_dict(keep_vars=True), *inputs)))
    close(gradients(flat(module(*inputs))), due, 1e-8)


def test_every_block_is_tested_and_names_its_paper() -> None:
    offered = {block: held.doc for file in FILES for block, held in spec(file).blocks.items()}
    for file in LAYERS:  # the networks of which test_std.py has
        layers = spec(file).blocks.items()
        offered |= {block: held.doc for block, held in layers if held.kind == "model"}
    own = {block for block in offered if block not in IMPORTED}
    assert own == {name(case.target) for case in CASES}
    for block in own:
        doc = offered[block]
        assert doc is not None
        summary, _, rest = doc.strip().partition("\n\n")
        assert "\n" not in summary, block
        assert "arXiv:" in rest or block in OLDER, block


IMPORTED = {"MPO", "TTEmbedding", "Monarch", "Tucker2Conv"}
"""Blocks of networks that the files use; test_std.py has them."""

OLDER = {"LSTMCell", "LSTMLayers", "LanguageModel"}
"""Blocks whose papers are not on arXiv."""


# ── as torch's tools take them ───────────────────────────────────────────────────────────────────

ONE_EACH = tuple({name(case.target): case for case in reversed(CASES)}.values())
"""The first case of every block."""

of_each = pytest.mark.parametrize("case", ONE_EACH, ids=lambda case: name(case.target))


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.* is deprecated")
@of_each
def test_every_block_is_compiled_and_exported(case: Case) -> None:
    module, inputs = made(case), case.inputs(generator(1))
    due = flat(module(*inputs))
    torch._dynamo.reset()
    compiled = torch.compile(module, backend="eager", fullgraph=True, dynamic=True)
    close(flat(compiled(*inputs)), due, 1e-9)
    others = case.inputs(generator(2), **dict(case.loose))
    moving = tuple(
        {
            axis: torch.export.Dim.AUTO
            for axis, (here, there) in enumerate(zip(one.shape, other.shape, strict=True))
            if here != there
        }
        for one, other in zip(inputs, others, strict=True)
    )
    exported = torch.export.export(module, inputs, dynamic_shapes=moving).module()
    close(flat(exported(*inputs)), due, 1e-9)
    close(flat(exported(*others)), flat(module(*others)), 1e-9)


STEPPED = {
    "Rotary", "Heads", "CausalHeads", "CausalAttention", "CrossAttention", "CausalAttentionOver",
    "TensorProductAttention", "TransformerBlock", "TransformerBlockOver", "LanguageModel",
    "DecoderBlock", "GRULayers", "LSTMLayers", "MambaBlock",
}  # fmt: skip
"""Blocks that are causal."""


@tried
def test_causal_blocks_run_in_steps(case: Case) -> None:
    """Entry by entry as all at once, so none looks ahead; `case.held` inputs are given whole."""
    module = made(case)
    assert hasattr(module, "step") == (name(case.target) in STEPPED)
    if not hasattr(module, "step"):
        return
    inputs = case.inputs(generator(1))
    due, results, state, at = flat(module(*inputs)), [], None, 0
    for count in (2, 1, inputs[0].shape[1] - 3):
        piece = [x if k in case.held else x[:, at : at + count] for k, x in enumerate(inputs)]
        result, state = module.step(*piece, state=state)
        results.append(flat(result)[0])
        at += count
    close((torch.cat(results, 1),), due[:1], 1e-9)


# ── as they come ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("file", FILES)
def test_defaults_are_whole(file: str) -> None:
    """All blocks can be used as they are but those that take parts, sizes of maps included."""
    for block, held in spec(file).blocks.items():
        needed = {each.name for each in held.parameters if each.default is None}
        if block in IMPORTED:
            continue
        if needed:
            parts = {each.name for each in held.parameters if each.type == "part"}
            assert block in OPEN or parts, block
        else:
            assert held.instantiate().warnings == ()


OPEN = {"ModeMaps", "TuckerModeMaps", "ZeroMPO", "LowRankTable", "LowRankConv"}
"""Networks that other blocks are made of, whose sizes nothing suggests."""


@pytest.mark.parametrize(
    ("file", "target", "count"),
    [
        ("transformer", "LanguageModel", 124_439_808),  # GPT-2
        ("encoder", "Encoder", 109_482_240 - 768 * 769),  # BERT without its pooler
        ("vision", "VisionTransformer", 86_567_656),  # ViT-B/16
        ("vision", "MLPMixer", 59_880_472),  # Mixer-B/16
        ("resnet", "ResNet", 11_689_512),  # ResNet-18
        ("resnet", "ResNet(blocks = [3, 4, 6, 3], bottleneck = true)", 25_557_032),  # ResNet-50
    ],
)
def test_defaults_are_the_sizes_of_the_papers(file: str, target: str, count: int) -> None:
    module = spec(file).instantiate(target).module(device="meta")
    assert sum(each.numel() for each in module.parameters()) == count


def test_llama_by_its_arguments() -> None:
    target = (
        "LanguageModel(depth = 32, vocab = 32000, width = 4096, heads = 32, hidden = 11008, "
        "rotary = true, gated = true, rms = true, with_bias = false, tied = false)"
    )
    module = spec("transformer").instantiate(target).module(device="meta")
    assert sum(each.numel() for each in module.parameters()) == 6_738_415_616


@pytest.mark.parametrize(
    ("file", "target", "shape"),
    [
        ("transformer", "TransformerBlock(16, 4, dropout = 0.5)", (2, 5, 16)),
        ("transformer", "FeedForward(16, dropout = 0.5)", (2, 5, 16)),
        ("encoder", "EncoderBlock(16, 4, dropout = 0.5)", (2, 5, 16)),
        ("vision", "VisionTransformer(8, 4, 3, 5, 2, 16, 4, dropout = 0.5)", (2, 3, 8, 8)),
        ("vision", "MLPMixer(8, 4, 3, 5, 2, 16, dropout = 0.5)", (2, 3, 8, 8)),
        ("attention", "Attention(16, 4, dropout = 0.5)", (2, 5, 16)),
        ("attention", "CausalAttention(16, 4, dropout = 0.5)", (2, 5, 16)),
        ("resnet", "ResNet([1, 1], [6, 8])", (2, 3, 32, 32)),
    ],
)
def test_training_differs_from_evaluation(file: str, target: str, shape: tuple[int, ...]) -> None:
    module = spec(file).instantiate(target).module(seed=0)
    x = torch.randn(shape, generator=generator(0))
    due = module.eval()(x)
    assert torch.equal(module(x), due)
    torch.manual_seed(0)
    assert not torch.allclose(module.train()(x), due)


def test_adapters_start_at_nothing() -> None:
    x = torch.randn(4, 12, generator=generator(0))
    for target in ("LoRA(12, 8)", "LoRETTA(12, 8, 4, sites = 2)", "QuanTA([2, 3, 2])"):
        module = spec("adapters").instantiate(target).module(seed=0, search="fast")
        torch.testing.assert_close(module(x), module.base(x))
        trained = [key for key, each in module.named_parameters() if each.requires_grad]
        assert trained, target
        assert not any(key.startswith("base.") for key in trained)
    behind = spec("adapters").instantiate("LoRETTAAdapter(12, 4, sites = 2)").module(seed=0)
    assert torch.equal(behind(x), x)
    meta = spec("adapters").instantiate("MetaTT(12, 8)").module(seed=0)
    assert not meta(x, torch.tensor(3), torch.tensor(1)).any()


def test_experts_that_are_not_picked_have_no_gradient() -> None:
    target = "MixtureOfExperts(12, 15, 4, 1, dense = false, sites = 2, rank = 3)"
    module = spec("mixtures").instantiate(target).module(seed=0, search="fast")
    x = torch.randn(1, 12, generator=generator(0))
    module(x).sum().backward()
    found = int(module.router(x).argmax())
    rows = module.up.E.grad.abs().sum(1) > 0
    assert rows.tolist() == [k == found for k in range(4)]


def test_trigonometric_features_are_unit_vectors() -> None:
    module = spec("features").instantiate("Trigonometric(4)").module()
    phi = module(torch.rand(7, 5, generator=generator(0)))
    torch.testing.assert_close(phi.norm(dim=-1), torch.ones(7, 5))
