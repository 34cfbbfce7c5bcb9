"""Drawings of models: blocks, what is folded, what unfolds, pages with links."""

from __future__ import annotations

import base64
import hashlib
import re
from xml.etree import ElementTree

import pytest

import tncompile
from tests.acceptance import ACCEPTANCE
from tests.inspection.drawing.faults import faults
from tests.support.library import architecture
from tncompile.inspection.drawing.drawing import Drawing
from tncompile.inspection.drawing.scene import Scene

MODELS = (
    ("adapters", "LoRA(64, 64)"),
    ("adapters", "QuanTA"),
    ("attention", "CausalAttention"),
    ("attention", "CrossAttention"),
    ("attention", "TensorProductAttention"),
    ("encoder", "Encoder"),
    ("encoder", "DecoderBlock"),
    ("generative", "BornMachine"),
    ("linear", "Interpolative(64, 64)"),
    ("mixtures", "MixtureOfExperts"),
    ("recurrent", "GRUCell(8, 16)"),
    ("recurrent", "LSTMLayers(8, 16)"),
    ("resnet", "ResNet"),
    ("resnet", "BasicBlock(64, 128, stride = 2)"),
    ("spectral", "FNO"),
    ("statespace", "MambaBlock"),
    ("transformer", "LanguageModel"),
    ("transformer", "TransformerBlock"),
    ("vision", "VisionTransformer"),
    ("vision", "MLPMixer"),
)

WRITTEN = tuple(sorted(path.stem for path in (ACCEPTANCE / "models").glob("*.tn")))


def wrong(scene: Scene) -> list[str]:
    """Faults, but for pictures that are wide: models have names of any length."""
    found = [fault for fault in faults(scene) if "px wide" not in fault]
    for figure in scene.figures:
        if figure.inner is not None:
            found += wrong(figure.inner)
    return found


@pytest.mark.parametrize(("file", "target"), MODELS)
@pytest.mark.parametrize("depth", [0, 2])
def test_models_of_the_library(file: str, target: str, depth: int) -> None:
    drawing = architecture(file, target).draw(depth=depth)
    assert wrong(drawing.scene) == []
    ElementTree.fromstring(drawing.svg)


@pytest.mark.parametrize("name", WRITTEN)
def test_programs(name: str) -> None:
    spec = tncompile.load(ACCEPTANCE / "models" / f"{name}.tn")
    for block in spec.blocks:
        if block == "Elementwise":  # all functions at once, 4,670 px wide: legs cross at no angle
            continue
        try:
            model = spec.instantiate(block)
        except tncompile.CompileError:  # it needs arguments
            continue
        assert wrong(model.draw().scene) == []


def test_equal_blocks_in_a_chain_are_one() -> None:
    drawing = architecture("transformer", "LanguageModel(depth = 12)").draw()
    labels = ["".join(span.text for span in f.label) for f in drawing.scene.figures]
    assert "block × 12" in labels
    whole = architecture("transformer", "LanguageModel(depth = 12)").draw(unfolded=True)
    assert (
        sum(figure.key.partition(" ")[2].startswith("block") for figure in whole.scene.figures)
        == 12
    )


def test_blocks_that_differ_stay() -> None:
    scene = architecture("resnet", "ResNet").draw().scene
    names = ["".join(span.text for span in f.label) for f in scene.figures]
    assert [name for name in names if name.startswith("stage")] == [f"stage[{k}]" for k in range(4)]


def test_turns_of_a_repeat_are_one_block() -> None:
    model = tncompile.loads(
        "model M(n: int = 4) {\n  part up[k in 0..n] = Linear(8, 8)\n  input x(..., 8)\n"
        "  output x |> repeat k in 0..n { up[k] |> relu }\n}"
    ).instantiate("M")
    labels = ["".join(span.text for span in f.label) for f in model.draw().scene.figures]
    assert labels == ["repeat × 4"]


def test_inputs_are_below_and_shapes_are_on_the_lines() -> None:
    scene = architecture("transformer", "FeedForward").draw().scene
    y = {figure.key.partition(" ")[2]: figure.box.y for figure in scene.figures}
    strips = {strip.role: strip.box.y for strip in scene.strips}
    assert strips["output"] < y["down"] < y["up"] < strips["input"]
    texts = {"".join(span.text for span in label.line) for label in scene.labels}
    assert {"…, 3,072", "…, 768"} <= texts


def test_depth_unfolds_networks_in_their_place() -> None:
    flat = architecture("transformer", "FeedForward(dense = false)").draw()
    deep = architecture("transformer", "FeedForward(dense = false)").draw(depth=1)
    assert not [figure for figure in flat.scene.figures if figure.inner]
    inner = [figure.inner for figure in deep.scene.figures if figure.inner]
    assert len(inner) == 2
    assert all({"G[0]", "G[1]", "G[2]"} <= {f.key for f in each.figures} for each in inner)
    with pytest.raises(ValueError, match="depth is from 0 to 4"):
        architecture("transformer", "FeedForward").draw(depth=5)


def page(drawing: Drawing) -> str:
    return drawing.html()


def test_blocks_of_a_page_lead_to_their_own_pictures() -> None:
    html = page(architecture("transformer", "LanguageModel(dense_feed = false)").draw())
    links = set(re.findall(r'<a href="#([\w-]+)">', html))
    places = re.findall(r'<details id="([\w-]+)">', html)
    assert links == set(places)
    assert len(places) == len(set(places)) > 3
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html
    assert "<a " not in architecture("transformer", "LanguageModel").draw().svg


def test_a_page_of_a_network_has_no_script() -> None:
    html = page(architecture("linear", "LowRank(8, 8)").draw())
    assert "<script" not in html
    assert "script-src" not in html
