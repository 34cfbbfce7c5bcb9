"""Lines against the names and the shapes of a model: TN701, TN702, who is matched first."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import tncompile
from tests.tensorizing.replacing.models import GPT2, Mixtral, Padded, ResNet, rewrite_text
from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.tensorizing.rewriting.layers import layers_of
from tncompile.tensorizing.rewriting.matching import match
from tncompile.tensorizing.rewriting.replacements import replacements

OWN = """
network Bare(i: int, o: int) { index a = i, b = o input x(..., a) tensor W(b, a) output y(..., b) }
network Two(i: int, o: int) {
  index a = i, b = o input x(..., a) input z(..., a) tensor W(b, a) output y(..., b)
}
network Strided(i: int, o: int) {
  window h = conv(size = 3, padding = 1), w = conv(size = 3, padding = 1)
  index a = i, b = o
  input x(..., a, h.in, w.in)
  tensor K(b, a, h.kernel, w.kernel)
  bias c(b)
  output y(..., b, h.out, w.out)
}
"""


def matched(model: nn.Module, lines: str) -> dict[str, str]:
    """What each layer becomes, by name."""
    rewrite = tncompile.Rewrite.loads(OWN + rewrite_text(lines))
    return {layer.name: line.target or "keep" for layer, line in match(rewrite, model)}


def wrong(model: nn.Module, lines: str) -> list[Diagnostic]:
    """What is wrong with lines for a model."""
    with pytest.raises(tncompile.CompileError) as caught:
        replacements(tncompile.Rewrite.loads(OWN + rewrite_text(lines)), model)
    return list(caught.value.diagnostics)


def test_the_first_line_that_matches_wins() -> None:
    found = matched(
        GPT2(),
        'conv1d "h.0.*" -> keep conv1d "*.c_fc" -> LowRank(rank = 1) any "h.?.c_*" -> LowRank',
    )
    assert found == {
        "h.0.attn.c_attn": "keep",
        "h.0.attn.c_proj": "keep",
        "h.0.c_fc": "keep",
        "h.0.c_proj": "keep",
        "h.1.c_fc": "LowRank(rank = 1)",
        "h.1.c_proj": "LowRank",
    }


def test_shared_modules_are_matched_by_any_name() -> None:
    assert matched(ResNet(), 'conv "again" -> keep conv "depth*" -> GroupedConv') == {
        "depthwise": "keep"
    }


def test_kinds_are_told_apart() -> None:
    kinds = {
        layer.name: layer.kind
        for model in (GPT2(), ResNet(), Padded(), Mixtral())
        for group in layers_of(model)
        for layer in group
        if layer.kind != "parameter"
    }
    assert kinds["h.0.c_fc"] == "conv1d"
    assert kinds["wte"] == "embedding"
    assert kinds["lm_head"] == "linear"
    assert {kinds[each] for each in ("stem", "depthwise", "temporal")} == {"conv"}
    assert kinds["attend.out_proj"] == "linear"
    assert "bn" not in kinds
    assert "experts" not in kinds
    assert layers_of(nn.Sequential(nn.LazyLinear(3), nn.ConvTranspose1d(2, 2, 3)))[0][0].kind == (
        "parameter"
    )


def test_sizes_of_each_match_are_in_scope() -> None:
    model = nn.ModuleDict({"a": nn.Linear(12, 8), "b": nn.Linear(20, 6)})
    lines = 'linear "*" -> LowRank(rank = min(in_features, shape[0]) // 2)'
    made, _ = replacements(tncompile.Rewrite.loads(rewrite_text(lines)), model)
    assert [each.architecture.arguments["rank"] for each in made] == [4, 3]


@pytest.mark.parametrize(
    ("line", "label", "note"),
    [
        ('conv1d "h.*.attn.c_atn" -> LowRank', '"h.*.attn.c_atn"', "`h.0.attn.c_attn`"),
        ('linear "h.*" -> LowRank', '"h.*"', "of the kind `conv1d`"),
        ('conv "*" -> keep', '"*"', "of the kind"),
        ('conv "nothing" -> keep', '"nothing"', "the model has no `conv` layer"),
        ('parameter "wte" -> keep', '"wte"', "of the kind `embedding`"),
        ('any "LM_HEAD" -> keep', '"LM_HEAD"', "closest names"),
    ],
)
def test_a_pattern_that_matches_nothing(line: str, label: str, note: str) -> None:
    (found,) = wrong(GPT2(), line)
    assert (found.code, found.primary.span.text) == ("TN701", label)
    assert note in found.notes[0]
    assert found.hint


@pytest.mark.parametrize(
    ("model", "line", "message"),
    [
        (
            GPT2,
            'conv1d "*.c_fc" -> LowRank(out_features, in_features)',
            "the network is 8 × 16, the weight of `h.0.c_fc` is 16 × 8",
        ),
        (Padded, 'linear "*" -> Bare(8, 8)', "the layer has a bias, the network has none"),
        (Mixtral, 'linear "gate" -> LowRank(with_bias = true)', "the network has a bias"),
        (Padded, 'linear "*" -> Two(8, 8)', "has several inputs"),
        (Padded, 'linear "*" -> TTEmbedding(rows = [8], columns = [8])', "no map like"),
        (Padded, 'linear "*" -> Tucker2Conv(8, 8)', "8 × 8 × 3 × 3"),
        (ResNet, 'conv "wide" -> Strided(8, 12)', "`padding` is (2, 1) in `wide`, and (1, 1)"),
        (ResNet, 'conv "depthwise" -> Tucker2Conv', "has no groups, the layer has 8"),
        (Mixtral, 'parameter "*.up" -> keep parameter "*" -> Bare(6, 8)', ""),
        (Mixtral, 'parameter "experts.*" -> Experts(3, 8, 6, 2)', "3 × 8 × 6"),
        (Padded, 'parameter "attend.in_proj_bias" -> LowRank(1, 24)', "24 × 1"),
    ],
)
def test_networks_that_do_not_fit(model: type[nn.Module], line: str, message: str) -> None:
    found = wrong(model(), line)
    if not message:
        assert found[0].code == "TN701"
        return
    assert {each.code for each in found} == {"TN702"}
    written = [f"{each.message} {each.primary.text}" for each in found]
    assert any(message in text for text in written), written
    assert found[0].primary.span.text in line
    assert found[0].secondary[0].span.text == line.split()[1]


def test_a_layer_has_what_its_kind_has() -> None:
    (found,) = wrong(nn.Linear(4, 4), 'any "*" -> LowRank(rank = num_embeddings)')
    assert (found.code, found.primary.span.text) == ("TN201", "num_embeddings")


def test_mistakes_of_a_network_are_labelled_at_the_call() -> None:
    (found,) = wrong(nn.Linear(4, 4), 'linear "*" -> LowRank(rank = in_features - 4)')
    assert found.code == "TN301"
    assert "in_features - 4" in {label.span.text for label in found.secondary}


def test_a_bias_that_others_hold_is_not_taken_from_them() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].bias = model[0].bias
    (found,) = wrong(model, 'linear "0" -> LowRank(rank = 2)')
    assert (found.code, "shared with `1`" in found.message) == ("TN702", True)


def test_hostile_patterns_and_many_names_take_no_time() -> None:
    model = nn.Module()
    for k in range(300):
        model.add_module("a" * 150 + f"\n{k}", nn.Linear(1, 1, device="meta"))
    pattern = "*a" * 200 + "b"
    (found,) = wrong(model, f'linear "{pattern}" -> keep')
    assert found.code == "TN701"
    assert all("\n" not in note for note in found.notes)


def test_a_weight_that_is_computed_can_be_replaced() -> None:
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)))
    rewrite = tncompile.Rewrite.loads(rewrite_text('linear "0" -> LowRank(rank = 4)'))
    x = torch.randn(3, 4)
    done = tncompile.tensorize(model, rewrite)
    torch.testing.assert_close(done.model(x), model(x), atol=1e-5, rtol=1e-5)
