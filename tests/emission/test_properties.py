"""Modules in the places of torch's layers: features, the dense weight, the bias."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from unittest import mock

import pytest
import torch
from torch import nn
from torch.nn import functional

import tncompile

LINEAR = tncompile.loads('import "std/linear.tn"')


def layer(ins: list[int], outs: list[int], seed: int = 0, **arguments: object) -> nn.Module:
    """An MPO, its bias no longer zero."""
    arch = LINEAR.instantiate("MPO", ins=ins, outs=outs, ranks=3, **arguments)
    return arch.module(search="fast", seed=seed)


def encoder(folded: bool = False) -> nn.TransformerEncoderLayer:
    """A layer of a transformer, three of its linear maps tensor networks."""
    torch.manual_seed(0)
    made = nn.TransformerEncoderLayer(
        d_model=32, nhead=4, dim_feedforward=64, batch_first=True, dropout=0.0
    )
    maps = layer([4, 8], [8, 8]), layer([8, 8], [4, 8], 1), layer([4, 8], [8, 4], 2)
    made.linear1, made.linear2, made.self_attn.out_proj = (
        (one.fold() for one in maps) if folded else maps
    )
    return made


@pytest.fixture
def fast_path() -> Iterator[mock.Mock]:
    """The function of torch that evaluation runs in one, which must not go around our layers."""
    name = "_transformer_encoder_layer_fwd"
    with mock.patch.object(torch, name, side_effect=getattr(torch, name)) as watched:
        yield watched


@pytest.mark.parametrize("folded", [False, True])
def test_a_transformer_layer_in_evaluation(folded: bool, fast_path: mock.Mock) -> None:
    model = encoder(folded)
    x = torch.randn(3, 5, 32)
    due = model(x)
    model.eval()
    torch.testing.assert_close(model(x), due, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(model(x), due, rtol=1e-4, atol=1e-5)
    assert fast_path.call_count == 1


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors_run_through_it(fast_path: mock.Mock) -> None:
    stack = nn.TransformerEncoder(encoder(), 2, enable_nested_tensor=True).eval()
    x = torch.randn(3, 5, 32)
    hidden = torch.zeros(3, 5, dtype=torch.bool)
    hidden[0, 3:] = True
    with torch.no_grad():
        made = stack(x, src_key_padding_mask=hidden)
        assert fast_path.call_count == 2
        assert fast_path.call_args.args[0].is_nested
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            due = stack(x, src_key_padding_mask=hidden)
        finally:
            torch.backends.mha.set_fastpath_enabled(True)
    torch.testing.assert_close(made[~hidden], due[~hidden], rtol=1e-4, atol=1e-5)


def test_attention_trains_its_projection() -> None:
    attention = nn.MultiheadAttention(32, 4, batch_first=True)
    attention.out_proj = layer([4, 8], [8, 4])
    x = torch.randn(3, 5, 32)
    before = copy.deepcopy(attention)
    before.out_proj = nn.Linear(32, 32)
    before.out_proj.load_state_dict(
        {"weight": attention.out_proj.weight, "bias": attention.out_proj.bias}
    )
    made, due = attention(x, x, x)[0], before(x, x, x)[0]
    torch.testing.assert_close(made, due, rtol=1e-4, atol=1e-5)
    made.square().sum().backward()
    assert all(tensor.grad.abs().sum() > 0 for tensor in attention.out_proj.parameters())
    compiled = torch.compile(attention, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, x, x)[0], due, rtol=1e-4, atol=1e-5)


def said(module: nn.Module) -> set[str]:
    """What a module says of itself, one argument each."""
    return set(repr(module).partition("(")[2].removesuffix(")").split(", "))


def test_rules_that_keep_biases_from_weight_decay_find_them() -> None:
    maps_of_tensors = {"TensorContraction", "TensorRegression"}  # stand for no layer of features
    for name, block in LINEAR.blocks.items():
        if name in maps_of_tensors:
            continue
        wide = {parameter.name for parameter in block.parameters}
        given = {"ins": [2, 3], "outs": [3, 2]} if "ins" in wide else {}
        given |= {key: 6 for key in wide if key.endswith("_features")}
        given |= {"rank": 4} if "rank" in wide else {}
        module = LINEAR.instantiate(name, **given).module(search="fast", seed=0)
        assert module.c.shape == (6,)
        assert module.bias is module.c
        assert {f"out_features={module.out_features}", "bias=True"} <= said(module)
        bare = LINEAR.instantiate(name, **given, with_bias=False).module(search="fast", seed=0)
        assert bare.bias is None
        assert "bias=False" in said(bare)


ODDITIES = """
network Heads() {
  index  s = 3, i = 4, o = 2
  input  x(..., (s, i) as 10)
  tensor W(o, s, i)
  bias   c(o)
  bias   d(s)
  output y(..., (o, s) as 5)
}
network Diagonal() {
  index  s = 5
  input  x(..., s)
  tensor w(s)
  output y(..., s)
}
network Through() {
  index  s = 3, i = 4, o = 5
  bond   r = 2
  input  x(..., (s, i))
  tensor A(i, r)
  tensor B(r, o)
  output y(..., (o, s))
}
network Turned() {
  index  i[k in 0..2] = 3, o[k in 0..2] = 2
  bond   b = 2
  input  x(..., (i[*]))
  tensor G[k in 0..2](b, i[k], o[k])
  bias   c(o[1], o[0])
  output y(..., (o[*]))
}
network Shared() {
  index  i[k in 0..2] = 3, o[k in 0..2] = 2
  bond   b = 2
  input  x(..., (i[*]))
  tensor G[k in 0..2](b, i[k], o[k]) share k
  bias   c((o[*]))
  output y(..., (o[*]))
}
network Conjugate() {
  index  i = 4, o = 4
  bond   r = 2
  input  x(..., i)
  tensor A(i, r)
  tensor B(o, r) tie A conj
  output y(..., o)
}
network Rows() {
  batch  t
  index  i = 4, o = 3
  input  x(..., t, i)
  tensor W(i, o) frozen
  bias   c(o)
  output y(..., t, o)
}
network Single() {
  index  i = 4, o = 3
  input  x(i)
  tensor W(i, o)
  bias   c(o)
  output y(o)
}
network Named() {
  index  i = 4, o = 3
  bond   r = 2
  input  x(..., i)
  tensor weight(i, r)
  tensor in_features(r, o)
  bias   c(o)
  output y(..., o)
}
network Matrix() {
  index  i[k in 0..2] = 4, o = 3
  input  x(..., i[0], i[1])
  tensor W(i[*], o)
  output y(..., o)
}
network Logarithm() {
  index  i = 4, o = 3
  input  x(..., i)
  tensor W(i, o)
  output y(..., o) log
}
network Product() {
  index  s = 4, o = 3
  input  a(..., s)
  input  b(..., s)
  tensor W(o, s)
  bias   c(o)
  output y(..., o)
}
network Words() {
  index  v[k in 0..2] = 3, e = 2
  input  ids(..., onehot(v[*]) as 7)
  tensor G[k in 0..2](v[k], e) share k
  output y(..., e)
}
"""


def odd(name: str, dtype: torch.dtype = torch.float64) -> nn.Module:
    """One of these networks; what starts at zero is drawn."""
    made = tncompile.loads(ODDITIES).instantiate(name).module(search="fast", seed=0, dtype=dtype)
    torch.manual_seed(1)
    for tensor in made.state_dict().values():
        tensor.normal_()
    return made


def properties(module: nn.Module) -> set[str]:
    """What the class has of `weight` and `bias`."""
    kind = type(module)
    return {name for name in ("weight", "bias") if isinstance(getattr(kind, name, 0), property)}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("Heads", torch.float64), ("Diagonal", torch.float64), ("Through", torch.float64),
        ("Turned", torch.float64), ("Shared", torch.float64), ("Conjugate", torch.complex128),
        ("Rows", torch.float64), ("Single", torch.float64),
    ],
)  # fmt: skip
def test_the_weight_of_an_odd_layer(name: str, dtype: torch.dtype) -> None:
    module = odd(name, dtype)
    for held in (module, module.fold()):
        assert properties(held) == {"weight", "bias"}
        lead = () if name == "Single" else (2, 3)
        x = torch.randn(*lead, held.in_features, dtype=dtype)
        assert held.weight.shape == (held.out_features, held.in_features)
        due = functional.linear(x, held.weight, held.bias)
        torch.testing.assert_close(held(x), due, rtol=1e-9, atol=1e-12)


def test_several_inputs_and_ids() -> None:
    product, words = odd("Product"), odd("Words")
    a, b = torch.randn(5, 4).double(), torch.randn(5, 4).double()
    for held in (product, product.fold()):
        due = functional.bilinear(a, b, held.weight, held.bias)
        torch.testing.assert_close(held(a, b), due)
    for held in (words, words.fold()):
        assert (held.num_embeddings, held.embedding_dim) == (7, 2)
        torch.testing.assert_close(held(torch.arange(7)), held.weight)
        assert properties(held) == {"weight"}


def test_tensors_of_the_declaration_have_their_names() -> None:
    module = odd("Named")
    assert properties(module) == {"bias"}
    assert module.weight is dict(module.named_parameters())["weight"]
    assert module.in_features.shape == (2, 3)
    assert module.out_features == 3
    x = torch.randn(2, 4).double()
    due = functional.linear(x, (module.weight @ module.in_features).t(), module.bias)
    torch.testing.assert_close(module(x), due)
    torch.testing.assert_close(module.fold()(x), due)


@pytest.mark.parametrize("name", ["Matrix", "Logarithm"])
def test_what_stands_for_no_layer_has_none_of_it(name: str) -> None:
    module = odd(name)
    assert not properties(module)
    assert not hasattr(module, "in_features")


def test_a_weight_that_no_machine_holds_is_not_there() -> None:
    module = LINEAR.instantiate("LowRank", in_features=2**17, out_features=2**17, rank=1).module(
        search="fast", seed=0
    )
    assert (module.in_features, module.out_features) == (2**17, 2**17)
    assert not hasattr(module, "weight")
    assert module.bias is module.c
